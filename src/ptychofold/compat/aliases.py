"""Import aliases: scripts that import PtychoPINN's data side get these faces where PtychoPINN is not installed."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ptychofold.standins import StandIns

__all__ = ["ALIASES", "install", "uninstall"]

ALIASES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({
    "ptycho": (),
    "ptycho.raw_data": ("raw_data", "coords", "patches"),
    "ptycho.loader": ("container",),
    "ptycho.params": ("params",),
    "ptycho.config": (),
    "ptycho.config.config": ("config_tf",),
    "ptycho.tf_helper": ("patches",),
    "ptycho.workflows": (),
    "ptycho.workflows.components": ("raw_data",),
    "ptycho_torch": (),
    "ptycho_torch.raw_data_bridge": ("raw_data",),
    "ptycho_torch.data_container_bridge": ("container",),
    "ptycho_torch.memmap_bridge": ("raw_data",),
    "ptycho_torch.config_params": ("config_torch",),
    "ptycho_torch.config_bridge": ("config",),
    "ptycho_torch.dataloader": ("dataset",),
    "ptycho_torch.patch_generator": ("coords",),
})  # fmt: skip
"""Module of the reference, and our modules whose names it has; a package has none."""

_STAND_INS: Final = StandIns(
    {name: tuple(f"ptychofold.compat.{home}" for home in homes) for name, homes in ALIASES.items()},
    project="PtychoPINN's data side",
)


def install() -> None:
    """Make the modules of `ALIASES` importable in this process; where PtychoPINN is installed it is a `ConfigError`."""
    _STAND_INS.install()


def uninstall() -> None:
    """Undo `install`."""
    _STAND_INS.uninstall()
