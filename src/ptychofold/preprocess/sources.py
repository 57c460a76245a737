"""What steps need of a scan, and side files: dark frames, flats, masks and monitors."""

import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from ptychofold.errors import ConfigError, DomainError, FormatError, MissingFieldError
from ptychofold.formats.archive import list_members, read_array, read_header
from ptychofold.formats.base import HDF5_MAGIC, foreign_errors_refused, read_start
from ptychofold.formats.fields import ScanFields
from ptychofold.typing import ArraySource, Measurement

__all__ = ["checked_side_array", "checksum", "known_measurement", "patterns_of", "positions_of", "read_side_array"]


def patterns_of(found: ScanFields) -> ArraySource:
    """Return the patterns.

    Raises
    ------
    MissingFieldError
        If there are none.
    """
    if found.patterns is None:
        raise MissingFieldError("expected patterns to preprocess; found none.", path=found.path, field="patterns")
    return found.patterns


def positions_of(found: ScanFields) -> Shaped[np.ndarray, "scan 2"]:
    """Return the positions.

    Raises
    ------
    MissingFieldError
        If there are none.
    """
    if found.positions is None:
        raise MissingFieldError("expected positions to preprocess; found none.", path=found.path, field="positions")
    return found.positions


def known_measurement(found: ScanFields) -> Measurement:
    """Return what the patterns are.

    Raises
    ------
    DomainError
        If it has not been decided.
    """
    if found.measurement is None:
        raise DomainError(
            "expected patterns known to be amplitude or intensity; found neither. Preprocess with "
            'measurement="amplitude" or measurement="intensity".',
            path=found.path,
            field="patterns",
        )
    return found.measurement


def read_side_array(where: str) -> Shaped[np.ndarray, "..."]:
    """Read ``file.npy``, ``file.npz:name`` or ``file.h5:dataset``.

    Raises
    ------
    ConfigError
        If the file has no array of this name.
    FormatError
        If the file cannot be read as numbers.
    """
    path, name = (Path(where), "") if Path(where).is_file() else _split(where)
    if not path.is_file():
        raise ConfigError(f"expected an array in a file as file.npy, file.npz:name or file.h5:dataset; found {where}.")
    with foreign_errors_refused(path, doing="reading the array"):
        if read_start(path).startswith(b"\x93NUMPY"):
            return np.asarray(np.load(path, allow_pickle=False))
        if read_start(path).startswith(HDF5_MAGIC):
            return _from_hdf5(path, name)
        members = list_members(path)
        if name not in members:
            raise ConfigError(f"expected an array {name!r} in {path}; found {', '.join(sorted(members))}.")
        return read_array(members[name], read_header(members[name]))


def _split(where: str) -> tuple[Path, str]:
    path, _, name = where.rpartition(":")
    return Path(path), name


def _from_hdf5(path: Path, name: str) -> Shaped[np.ndarray, "..."]:
    import h5py

    with h5py.File(path) as file:
        dataset = file.get(name) if name else None
        if not isinstance(dataset, h5py.Dataset):
            raise ConfigError(f"expected a data set {name!r} in {path}; found {', '.join(file)}.")
        return np.asarray(dataset[()])


def checksum(array: Shaped[np.ndarray, "..."]) -> int:
    """Return the CRC-32 of an array's numbers."""
    return zlib.crc32(np.ascontiguousarray(array).tobytes())


def checked_side_array(where: str, expected: int | None) -> Shaped[np.ndarray, "..."]:
    """Read a side array and compare it with the checksum noted when the step first ran.

    Raises
    ------
    FormatError
        If the numbers are others.
    """
    array = read_side_array(where)
    if expected is not None and checksum(array) != expected:
        raise FormatError(
            "expected the numbers that this step first ran with; found others. Restore the file, or run the step anew.",
            path=where,
        )
    return array
