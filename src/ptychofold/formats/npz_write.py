"""Write the contract's NPZ: uncompressed so that it can be mapped, aligned, streamed, whole or not at all."""

import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, cast

import numpy as np
from jaxtyping import Shaped

from ptychofold.atomic import replacing
from ptychofold.errors import MissingFieldError
from ptychofold.formats.base import foreign_errors_refused
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.npz_metadata import format_metadata
from ptychofold.formats.origins import check_rows
from ptychofold.typing import ArraySource

__all__ = ["write", "write_arrays"]

_Values = Shaped[np.ndarray, "..."] | ArraySource
_ALIGNMENT = 64
_PADDING_ID = 0xD935
"""Extra-field number that zip tools use for alignment."""
_FIXED_HEADER = 30 + 20
"""Bytes of a local header with its ZIP64 field, without name and padding."""
_CHUNK = 1 << 25


def write(fields: ScanFields, path: Path) -> tuple[str, ...]:
    """Write a scan under the contract's names, patterns in their stored dtype, a few megabytes in memory at a time.

    Returns
    -------
    names
        Fields that the format cannot hold: none.

    Raises
    ------
    MissingFieldError
        If the scan has no patterns, positions or probe.
    """
    for name in ("patterns", "positions", "probe"):
        if getattr(fields, name) is None:
            raise MissingFieldError(
                f"expected {name} in the scan to write; found None. The NPZ contract needs it.", path=path, field=name
            )
    with foreign_errors_refused(path, doing="writing the NPZ", cure="Check the folder and the space left on the disk."):
        write_arrays(path, _arrays(fields), source=fields.path)
    return ()


def write_arrays(
    path: str | Path,
    arrays: Mapping[str, _Values],
    *,
    source: Path | None = None,
    on_written: Callable[[], None] | None = None,
) -> None:
    """Write named arrays as an NPZ without any pickle, whole or not at all.

    Parameters
    ----------
    path
        The archive.
    arrays
        Numbers or text; lazy ones are streamed.
    source
        The file that lazy ones come from, for messages.
    on_written
        Called after each array.
    """
    with replacing(path) as partial, zipfile.ZipFile(partial, "x", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            _write_member(archive, name, array, source=source)
            if on_written is not None:
                on_written()


def _arrays(fields: ScanFields) -> dict[str, _Values]:
    positions, probe = np.asarray(fields.positions), np.asarray(fields.probe)
    found: dict[str, _Values | None] = {
        "xcoords": positions[:, 1],
        "ycoords": positions[:, 0],
        "diff3d": fields.patterns,
        "probeGuess": probe[0] if probe.ndim == 3 and len(probe) == 1 else probe,
        "scan_index": fields.scan_index,
        "objectGuess": fields.object,
        "Y": fields.patches,
        "bad_pixels": fields.bad_pixels,
        "_metadata": np.array(format_metadata(fields)),
    }
    if fields.positions_nominal is not None:
        found["xcoords_start"] = fields.positions_nominal[:, 1]
        found["ycoords_start"] = fields.positions_nominal[:, 0]
    return {name: value for name, value in found.items() if value is not None}


def _write_member(archive: zipfile.ZipFile, name: str, array: _Values, *, source: Path | None) -> None:
    info = zipfile.ZipInfo(f"{name}.npy")
    info.extra = _padding(cast(IO[bytes], archive.fp).tell() + _FIXED_HEADER + len(info.filename))
    with archive.open(info, "w", force_zip64=True) as member:
        shape, dtype = tuple(array.shape), np.dtype(array.dtype)
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(member, header)
        if not shape:
            member.write(np.asarray(array).tobytes())
            return
        step = max(1, _CHUNK * shape[0] // max(1, int(np.prod(shape, dtype=object)) * dtype.itemsize))
        for start in range(0, shape[0], step):
            rows = slice(start, min(start + step, shape[0]))
            member.write(_chunk(array, rows, source))


def _chunk(array: _Values, rows: slice, path: Path | None) -> memoryview:
    if isinstance(array, np.ndarray):
        block = np.ascontiguousarray(array[rows])
    else:
        block = np.empty((rows.stop - rows.start, *array.shape[1:]), array.dtype)
        array.read(rows, out=block)
        check_rows(block, source=array, rows=np.arange(rows.start, rows.stop), path=path)
    return block.reshape(-1).view(np.uint8).data


def _padding(end: int) -> bytes:
    """Return an extra field that moves the data to a multiple of the alignment."""
    size = -end % _ALIGNMENT
    if size == 0:
        return b""
    size += _ALIGNMENT if size < 4 else 0
    return struct.pack("<HH", _PADDING_ID, size - 4) + bytes(size - 4)
