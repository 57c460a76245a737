"""Import aliases: scripts that import PtychoPINN's data side get these faces where PtychoPINN is not installed."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import MappingProxyType, ModuleType
from typing import Final

from ptychofold.errors import ConfigError

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


class _Finder(MetaPathFinder, Loader):
    """Finds the modules of `ALIASES` and fills them with the names of our modules."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in ALIASES:
            return ModuleSpec(fullname, self, is_package=not ALIASES[fullname])
        if fullname.partition(".")[0] in ALIASES:
            raise ModuleNotFoundError(
                f"ptychofold stands in for PtychoPINN's data side only; it has no {fullname!r}. Known: "
                f"{', '.join(name for name, homes in ALIASES.items() if homes)}.",
                name=fullname,
            )
        return None

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python."""

    def exec_module(self, module: ModuleType) -> None:
        for home in ALIASES[module.__name__]:
            ours = import_module(f"ptychofold.compat.{home}")
            vars(module).update({name: getattr(ours, name) for name in ours.__all__})


def install() -> None:
    """Make the modules of `ALIASES` importable in this process.

    Raises
    ------
    ConfigError
        If PtychoPINN itself is installed, or has been imported: it is never replaced.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    for package in ("ptycho", "ptycho_torch"):
        if package in sys.modules or PathFinder.find_spec(package) is not None:
            raise ConfigError(
                f"{package} is installed here, and ptychofold does not take its place. Use another environment, "
                "or import ptychofold.compat by its own name."
            )
    sys.meta_path.insert(0, _Finder())


def uninstall() -> None:
    """Undo `install`; modules that hold our names already keep them."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    for name in ALIASES:
        sys.modules.pop(name, None)
