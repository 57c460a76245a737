"""The assembled diffraction HDF5 of Ptychodus: patterns and their scan point numbers."""

from pathlib import Path

import numpy as np

from ptychofold.errors import ShapeError
from ptychofold.formats.base import Format
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.hdf5 import open_file, read_all
from ptychofold.formats.hdf5_items import attribute_number, dataset, has_datasets, names_in, patterns_of
from ptychofold.formats.ptychodus import COUNTS_REASON
from ptychofold.formats.view import RowView
from ptychofold.metadata import Metadata

__all__ = ["FORMAT"]

NAME = "Ptychodus diffraction data"


def sniff(path: Path) -> str | None:
    """Recognise assembled diffraction data by its patterns and their scan point numbers."""
    names = ("patterns", "indexes")
    return f"an HDF5 file with {', '.join(names)}" if has_datasets(path, *names) else None


def read(path: Path, *, lazy: bool) -> ScanFields:
    """Read assembled diffraction data; rows that Ptychodus has not filled, numbered below 0, are left out."""
    with open_file(path) as file:
        found = dataset(file, "patterns", field="patterns")
        patterns = patterns_of(found, lazy=lazy)
        numbers = read_all(dataset(file, "indexes", field="scan_index"))
        if numbers.shape != (patterns.shape[0],) or numbers.dtype.kind not in "ui":
            raise ShapeError(
                f"expected one whole number a pattern as indexes; found {numbers.dtype} of shape {numbers.shape} "
                f"beside {patterns.shape[0]} patterns.",
                path=path,
                field="scan_index",
            )
        filled = np.flatnonzero(numbers >= 0).astype(np.int64)
        sides = {name: attribute_number(found, name) for name in found.attrs if name.startswith("detector_pixel_")}
        return ScanFields(
            path=path,
            format=NAME,
            patterns=patterns if len(filled) == len(numbers) else RowView(patterns, filled),
            point_numbers=numbers[filled],
            bad_pixels=read_all(file["bad_pixels"]) if "bad_pixels" in file else None,
            measurement="intensity",
            measurement_reason=COUNTS_REASON,
            metadata=Metadata(extra={name: side for name, side in sides.items() if side}),
            names=names_in(file),
        )


FORMAT = Format(
    name=NAME,
    description="patterns and their scan point numbers in HDF5; the product has the rest",
    suffixes=(".h5", ".hdf5"),
    sniff=sniff,
    read=read,
)
