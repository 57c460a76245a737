"""ptychofold: from a measured ptychography scan to training-ready PyTorch batches and a reconstructed object.

The names here are NumPy's side: scans, groups, patches, and their settings. Batches are in `ptychofold.data`, which
imports torch; the faces of other projects' interfaces are in `ptychofold.compat`.

Examples
--------
>>> import ptychofold as pf
>>> from ptychofold import samples
>>> scan = pf.RawData.from_file(samples.path("siemens"))
>>> groups = pf.group_scan(scan.positions, pf.GroupingConfig(grid=(2, 2), n_neighbors=7, seed=0))
>>> groups.members.shape
(516, 4)
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ptychofold.config import (
        Config,
        GroupingConfig,
        LoaderConfig,
        MixtureConfig,
        PositionFrame,
        ReadingConfig,
        RecipeConfig,
        ScanGeometry,
        SplitConfig,
    )
    from ptychofold.contract import GroupedData
    from ptychofold.errors import (
        CheckpointError,
        ConfigError,
        ContractError,
        DataError,
        DependencyError,
        DivergenceError,
        DomainError,
        DtypeError,
        FormatError,
        GroupingError,
        MissingFieldError,
        PtychoError,
        ShapeError,
        StoreError,
        UnsupportedFormatError,
    )
    from ptychofold.grouping import ScanGroups, group_scan, split_scan
    from ptychofold.metadata import Metadata
    from ptychofold.opening import read
    from ptychofold.patches import extract_patches, place_patches
    from ptychofold.raw_data import RawData
    from ptychofold.typing import ArraySource, Measurement

__version__ = "0.1.0"

__all__ = [
    "ArraySource",
    "CheckpointError",
    "Config",
    "ConfigError",
    "ContractError",
    "DataError",
    "DependencyError",
    "DivergenceError",
    "DomainError",
    "DtypeError",
    "FormatError",
    "GroupedData",
    "GroupingConfig",
    "GroupingError",
    "LoaderConfig",
    "Measurement",
    "Metadata",
    "MissingFieldError",
    "MixtureConfig",
    "PositionFrame",
    "PtychoError",
    "RawData",
    "ReadingConfig",
    "RecipeConfig",
    "ScanGeometry",
    "ScanGroups",
    "ShapeError",
    "SplitConfig",
    "StoreError",
    "UnsupportedFormatError",
    "extract_patches",
    "group_scan",
    "place_patches",
    "read",
    "split_scan",
]

_HOMES = ("errors", "metadata", "typing", "config", "patches", "grouping", "contract", "raw_data", "opening")
"""Modules that the public names come from, imported in this order when a name is first asked for."""


def __getattr__(name: str) -> object:
    if name in __all__:
        for home in _HOMES:
            module = import_module(f"{__name__}.{home}")
            if name in module.__all__:
                globals()[name] = getattr(module, name)
                return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
