"""What the three HDF5 formats of Ptychodus share.

Ptychodus counts object pixels with the object's centre at ``(n - 1) / 2`` and lays the centre of the probe array, at
``(N - 1) / 2``, on the position. Here the pixel ``N // 2`` of a patch lies on its position, so that a position grows by
``N // 2 - (N - 1) / 2``: half a pixel where N is even, nothing where it is odd.
"""

from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Shaped

from ptychofold.config.geometry import HC_EV_M
from ptychofold.errors import MissingFieldError, ShapeError
from ptychofold.formats.hdf5 import is_hdf5, open_array, open_file, read_all
from ptychofold.formats.lazy import ArrayInMemory
from ptychofold.typing import ArraySource

__all__ = [
    "COUNTS_REASON",
    "centre_shift",
    "dataset",
    "has_datasets",
    "patterns_of",
    "scalar",
    "wavelength_from_energy",
]

COUNTS_REASON = "Ptychodus keeps detector counts"


def wavelength_from_energy(energy_ev: float | None) -> float | None:
    """Return λ = h c / E in metres; None for an energy that is absent or zero, which Ptychodus writes for unknown."""
    return HC_EV_M / energy_ev if energy_ev else None


def centre_shift(size: tuple[int, int]) -> Shaped[np.ndarray, " 2"]:
    """Return what a Ptychodus pixel position (y, x) grows by for a probe of this size."""
    sides = np.asarray(size, np.float64)
    return sides // 2 - (sides - 1) / 2


def dataset(file: h5py.File, *names: str, field: str) -> h5py.Dataset:
    """Return the first data set under one of these names."""
    for name in names:
        found = file.get(name)
        if isinstance(found, h5py.Dataset):
            return found
    raise MissingFieldError(
        f"expected {' or '.join(names)}; the file holds {', '.join(file) or 'nothing'}. It is not complete.",
        path=file.filename,
        field=field,
    )


def scalar(file: h5py.File, name: str) -> float | None:
    """Return a number stored as a data set of one element; None if it is absent."""
    found = file.get(name)
    return (
        float(found[()].item())
        if isinstance(found, h5py.Dataset) and found.size == 1 and found.dtype.kind in "buif"
        else None
    )


def has_datasets(path: Path, *names: str) -> bool:
    """Whether the file is HDF5 and holds data sets under all these names."""
    if not is_hdf5(path):
        return False
    with open_file(path) as file:
        return all(isinstance(file.get(name), h5py.Dataset) for name in names)


def patterns_of(found: h5py.Dataset, *, lazy: bool) -> ArraySource:
    """Open or load a stack of patterns."""
    if found.ndim != 3:
        raise ShapeError(
            f"expected {found.name} of shape (scan, N, N); found {found.shape}.",
            path=found.file.filename,
            field="patterns",
        )
    return open_array(found) if lazy else ArrayInMemory(read_all(found))
