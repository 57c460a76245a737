"""PtyLab's HDF5, also as MATLAB 7.3 saves it: ``ptychogram``, ``encoder``, ``wavelength``, ``dxd``, ``zo``.

``encoder`` (scan, 2) is the probe's (y, x) in metres, rows down (PtyLab.py ``ExperimentalData`` and
``Reconstruction.positions0``). MATLAB's arrays appear transposed in HDF5: its encoder is (2, scan), and its frames,
which PtyLab's MATLAB version keeps as (row, column, scan), appear as (scan, column, row).
"""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float64, Shaped

from ptychofold.config import ScanGeometry
from ptychofold.errors import ShapeError
from ptychofold.formats.base import Format
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.frame_changes import Transposed
from ptychofold.formats.hdf5 import open_file
from ptychofold.formats.hdf5_items import dataset, find, has_datasets, names_in, number, numbers, patterns_of
from ptychofold.formats.transformed import TransformedSource
from ptychofold.metadata import Metadata

__all__ = ["FORMAT"]

NAME = "PtyLab"


def sniff(path: Path) -> str | None:
    """Recognise HDF5 with PtyLab's names."""
    return "an HDF5 file with ptychogram, encoder" if has_datasets(path, "ptychogram", "encoder") else None


def read(path: Path, *, lazy: bool) -> ScanFields:
    """Read PtyLab's experimental data.

    Raises
    ------
    ShapeError
        If patterns and encoder do not fit together.
    """
    with open_file(path) as file:
        matlab = "MATLAB_class" in file["ptychogram"].attrs
        stored = patterns_of(dataset(file, "ptychogram", field="patterns"), lazy=lazy)
        return ScanFields(
            path=path,
            format=NAME,
            patterns=TransformedSource(stored, Transposed()) if matlab else stored,
            positions_m=_encoder(numbers(dataset(file, "encoder", field="positions")), matlab=matlab, path=path),
            measurement="intensity",
            measurement_reason="PtyLab keeps detector intensities",
            metadata=_metadata(file),
            names=names_in(file),
        )


def _encoder(encoder: Shaped[np.ndarray, "..."], *, matlab: bool, path: Path) -> Float64[np.ndarray, "scan 2"]:
    positions = encoder.T if matlab else encoder
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise ShapeError(
            f"expected an encoder of shape (scan, 2), the probe's (y, x); found {positions.shape}.",
            path=path,
            field="positions",
        )
    return positions.astype(np.float64)


def _metadata(file: h5py.File) -> Metadata:
    pixel_m = number(file, "dxd")
    facts: Mapping[str, object] = {
        "wavelength_m": number(file, "wavelength") or None,
        "distance_m": number(file, "zo") or None,
        "detector_pixel_m": (pixel_m, pixel_m) if pixel_m else None,
    }
    geometry = ScanGeometry.of(facts)
    extra: dict[str, object] = {}
    for name in ("entrancePupilDiameter", "magnification", "orientation", "theta"):
        value = number(file, name) if find(file, name) is not None else None
        if value:
            extra[name] = value
    return Metadata(wavelength_m=geometry.wavelength, geometry=geometry, extra=extra)


FORMAT = Format(
    name=NAME,
    description="ptychogram and encoder in HDF5 or MATLAB 7.3, as PtyLab reads them",
    suffixes=(".hdf5", ".mat"),
    sniff=sniff,
    read=read,
)
