"""The NPZ of tike's test data, plain or compressed by bzip2: patterns with zero frequency in the corner.

``data`` (angle, scan, N, N) holds counts with zero frequency at ``[0, 0]``; ``scan`` (angle, scan, 2) holds (row,
column) of a patch's first pixel in object pixels, from any origin; ``probe`` (…, mode, N, N) lies in the middle.
"""

import bz2
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from ptychofold.errors import FormatError, MissingFieldError, ShapeError
from ptychofold.formats.archive import list_members, read_array, read_header
from ptychofold.formats.base import ZIP_MAGICS, Format, foreign_errors_refused, read_start
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.frame_changes import CornerToMiddle
from ptychofold.formats.lazy import ArrayInMemory, mapped_member
from ptychofold.formats.transformed import TransformedSource
from ptychofold.metadata import Metadata
from ptychofold.typing import ArraySource

__all__ = ["FORMAT"]

NAME = "tike NPZ"
NAMES = {"data", "scan", "probe"}
BZIP2_MAGIC = b"BZh"
_LOCAL_HEADER_SIZE = 30


def sniff(path: Path) -> str | None:
    """Recognise a zip archive, plain or inside bzip2, with tike's names."""
    start = read_start(path)
    if start.startswith(BZIP2_MAGIC):
        try:
            with foreign_errors_refused(path, doing="decompressing the start"), bz2.open(path) as file:
                inner = file.read(512)
        except FormatError:  # damaged, or another file that begins with the same letters
            return None
        first = inner[_LOCAL_HEADER_SIZE : _LOCAL_HEADER_SIZE + 10].split(b".npy")[0].decode("ascii", "replace")
        if inner.startswith(ZIP_MAGICS) and first in NAMES:
            return f"a bzip2 file of a zip archive that begins with {first}"
        return None
    if not start.startswith(ZIP_MAGICS):
        return None
    return "a zip archive with data, probe, scan" if set(list_members(path)) >= NAMES else None


def read(path: Path, *, lazy: bool) -> ScanFields:
    """Read tike's arrays; bzip2 has to be decompressed whole, a plain archive stays where it is.

    The scan is placed so that its first patch begins at pixel 0, for the file has no object.

    Raises
    ------
    MissingFieldError
        If an array is missing.
    ShapeError
        If there are several angles, or the arrays do not fit together.
    """
    arrays = _decompressed(path) if read_start(path).startswith(BZIP2_MAGIC) else _mapped(path, lazy=lazy)
    patterns, scan, probe = arrays
    if scan.ndim == 3 and len(scan) == 1:
        scan = scan[0]
    if scan.ndim != 2 or scan.shape[1] != 2 or not len(scan):
        raise ShapeError(
            f"expected scan of shape (1, scan, 2), one angle; found {scan.shape}. Save one angle a file.",
            path=path,
            field="positions",
        )
    if probe.ndim < 2 or probe.size != int(np.prod(probe.shape[-3:], dtype=np.int64)):
        raise ShapeError(
            f"expected a probe of one angle, (…, mode, N, N); found {probe.shape}.", path=path, field="probe"
        )
    corners = scan.astype(np.float64)
    finite = corners[np.isfinite(corners).all(axis=1)]
    return ScanFields(
        path=path,
        format=NAME,
        patterns=TransformedSource(patterns, CornerToMiddle()),
        positions=corners - (finite.min(axis=0) if len(finite) else 0.0) + np.array(patterns.shape[1:]) // 2,
        probe=probe.reshape(probe.shape[-3:]) if probe.ndim > 2 else probe,
        measurement="intensity",
        measurement_reason="tike holds detector counts",
        metadata=Metadata(),
        names=tuple(sorted(NAMES)),
    )


def _decompressed(path: Path) -> tuple[ArraySource, Shaped[np.ndarray, "..."], Shaped[np.ndarray, "..."]]:
    with foreign_errors_refused(path, doing="decompressing the archive"), bz2.open(path) as file:
        content = io.BytesIO(file.read())
        with np.load(content, allow_pickle=False) as archive:
            _check_names(set(archive.files), path)
            data, scan, probe = (archive[name] for name in ("data", "scan", "probe"))
    _check_one_angle(data.shape, path)
    return ArrayInMemory(data[0] if data.ndim == 4 else data), scan, probe


def _mapped(path: Path, *, lazy: bool) -> tuple[ArraySource, Shaped[np.ndarray, "..."], Shaped[np.ndarray, "..."]]:
    members = list_members(path)
    _check_names(set(members), path)
    scan, probe = (read_array(members[name], read_header(members[name])) for name in ("scan", "probe"))
    header = read_header(members["data"])
    _check_one_angle(header.shape, path)
    if len(header.shape) == 4:
        header = replace(header, shape=header.shape[1:])
    patterns = mapped_member(members["data"], header)
    return patterns if lazy else ArrayInMemory(patterns.read(slice(None))), scan, probe


def _check_one_angle(shape: tuple[int, ...], path: Path) -> None:
    if len(shape) != 3 and not (len(shape) == 4 and shape[0] == 1):
        raise ShapeError(
            f"expected data of shape (1, scan, N, N), one angle; found {shape}. Save one angle a file.",
            path=path,
            field="patterns",
        )


def _check_names(found: set[str], path: Path) -> None:
    if not found >= NAMES:
        raise MissingFieldError(
            f"expected data, scan and probe; the archive holds {', '.join(sorted(found))}.",
            path=path,
            field=", ".join(sorted(NAMES - found)),
        )


FORMAT = Format(
    name=NAME,
    description="data, scan and probe in a NumPy zip archive, as tike's tests keep them; also inside bzip2",
    suffixes=(".bz2",),
    sniff=sniff,
    read=read,
)
