"""Check a file against what NXcxi_ptycho requires."""

from pathlib import Path

import h5py

from ptychofold.errors import UnsupportedFormatError
from ptychofold.formats.base import check_file
from ptychofold.formats.hdf5 import is_hdf5, open_file
from ptychofold.formats.hdf5_items import find
from ptychofold.formats.nexus import DEFINITIONS, entry_of, of_class

__all__ = ["validate_nexus"]

REQUIRED: dict[tuple[str, ...], tuple[str, ...]] = {
    (): ("title", "definition"),
    ("NXinstrument", "NXsource"): ("name", "energy", "probe", "type"),
    ("NXinstrument", "NXbeam"): (
        "energy", "extent", "incident_beam_divergence", "incident_beam_energy", "incident_energy_spread",
    ),
    ("NXinstrument", "NXdetector"): (
        "translation", "data", "x_pixel_size", "y_pixel_size", "distance", "beam_center_x", "beam_center_y",
    ),
    ("NXinstrument", "NXmonitor"): ("data",),
    ("NXdata",): ("data", "x", "y"),
    ("NXcollection",): ("data", "translation"),
    ("NXsample",): ("geometry_1/translation",),
    ("NXsample", "NXtransformations"): (),
}  # fmt: skip
"""Groups by their classes, and the fields in them, that NXcxi_ptycho.nxdl.xml has with minOccurs 1."""
WITH_UNITS = {
    "extent", "incident_beam_divergence", "incident_beam_energy", "incident_energy_spread", "translation",
    "x_pixel_size", "y_pixel_size", "distance", "beam_center_x", "beam_center_y",
}  # fmt: skip


def validate_nexus(path: str | Path) -> tuple[str, ...]:
    """Return what a file lacks of the application definition NXcxi_ptycho; empty if it conforms.

    Raises
    ------
    UnsupportedFormatError
        If the file is not HDF5, or no entry of it names the definition.
    """
    path = Path(path)
    check_file(path)
    if not is_hdf5(path):
        raise UnsupportedFormatError("expected an HDF5 file; NeXus is written in it.", path=path)
    with open_file(path) as file:
        entry = entry_of(file)
        if entry is None:
            raise UnsupportedFormatError(
                f"expected an entry whose definition is {' or '.join(DEFINITIONS)}; found none.", path=path
            )
        found = [] if "cxi_version" in file else ["cxi_version: absent beside the entry, which CXI 1.6 asks for"]
        for classes, names in REQUIRED.items():
            found += _lacking(entry, classes, names)
        return tuple(found)


def _lacking(entry: h5py.Group, classes: tuple[str, ...], names: tuple[str, ...]) -> list[str]:
    group = next(of_class(entry, *classes), None) if classes else entry
    where = "/".join(classes) or entry.name.strip("/")
    if group is None:
        return [f"{where}: no such group"]
    found = []
    for name in names:
        item = find(group, name)
        if item is None:
            found.append(f"{where}/{name}: absent")
        elif name.split("/")[-1] in WITH_UNITS and "units" not in item.attrs:
            found.append(f"{where}/{name}: has no units")
    return found
