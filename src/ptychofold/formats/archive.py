"""Arrays in zip archives: where a member's bytes lie, what its NPY header says, and reading them forward."""

import ast
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import Shaped

from ptychofold.errors import FormatError
from ptychofold.formats.base import foreign_errors_refused

__all__ = ["ForwardReader", "Member", "NpyHeader", "check_size", "list_members", "read_array", "read_header"]

_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_HEADER_LIMIT = 1 << 16
_BLOCK = 1 << 18
_DEFLATE_LIMIT = 1032
"""A deflate stream expands by this factor at most (zlib technical details)."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file inside a zip archive."""

    path: Path
    """The archive."""
    name: str
    """Name without ``.npy``."""
    offset: int
    """Where the member's bytes start in the archive."""
    stored_size: int
    """Bytes in the archive."""
    size: int
    """Bytes after decompression."""
    crc: int
    """CRC-32 of the decompressed bytes."""
    compressed: bool
    """Deflated, or stored as is."""


@dataclass(frozen=True, kw_only=True)
class NpyHeader:
    """What an NPY header says; Python objects have dtype ``object``."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    size: int
    """Bytes before the data."""


def list_members(path: Path) -> dict[str, Member]:
    """Find every member of a zip archive from its directory; ZIP64 included.

    Raises
    ------
    FormatError
        If the archive is damaged, encrypted, or compressed otherwise than by deflate.
    """
    cure = "It is cut off or damaged. Copy the file again from its source."
    with foreign_errors_refused(path, doing="reading the zip directory", cure=cure), zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
    file_size = path.stat().st_size
    with foreign_errors_refused(path, doing="reading the zip members"), path.open("rb") as file:
        members = []
        for info in infos:
            file.seek(info.header_offset)
            local = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
            offset = info.header_offset + _LOCAL_HEADER.size + local[9] + local[10]
            _check_member(info, path=path, signature=local[0], end=offset + info.compress_size, file_size=file_size)
            members.append(
                Member(
                    path=path,
                    name=info.filename.removesuffix(".npy"),
                    offset=offset,
                    stored_size=info.compress_size,
                    size=info.file_size,
                    crc=info.CRC,
                    compressed=info.compress_type == zipfile.ZIP_DEFLATED,
                )
            )
    return {member.name: member for member in members}


def _check_member(info: zipfile.ZipInfo, *, path: Path, signature: bytes, end: int, file_size: int) -> None:
    if signature != b"PK\x03\x04" or end > file_size:
        raise FormatError(
            f"member {info.filename!r} does not lie where the zip directory says; the archive is damaged or truncated. "
            "Copy the file again from its source.",
            path=path,
        )
    if info.flag_bits & 0x1:
        raise FormatError(f"member {info.filename!r} is encrypted. Save the archive without a password.", path=path)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FormatError(
            f"member {info.filename!r} is compressed by zip method {info.compress_type}; NPZ uses 0 (stored) or 8 "
            "(deflate). Save it again with numpy.savez.",
            path=path,
        )
    most = info.compress_size * (1 if info.compress_type == zipfile.ZIP_STORED else _DEFLATE_LIMIT)
    if info.file_size > most:
        raise FormatError(
            f"member {info.filename!r} claims {info.file_size} bytes from {info.compress_size}; the zip directory is "
            "damaged. Copy the file again from its source.",
            path=path,
        )


class ForwardReader:
    """Read a member's decompressed bytes from front to back in bounded memory.

    The CRC is checked when the last byte has been read. The file is read by position, so that a fork shares no state.
    """

    def __init__(self, member: Member) -> None:
        self._member = member
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS) if member.compressed else None
        self._pending = b""
        self._taken = 0
        self._crc = 0
        self._whole = True
        self.position = 0
        """Decompressed bytes read so far."""

    def readinto(self, out: memoryview) -> None:
        """Fill ``out`` with the next bytes."""
        done = 0
        with foreign_errors_refused(self._member.path, doing=f"reading {self._member.name!r}"):
            descriptor = os.open(self._member.path, os.O_RDONLY)
            try:
                while done < len(out):
                    block = self._block(descriptor, min(_BLOCK, len(out) - done))
                    out[done : done + len(block)] = block
                    done += len(block)
            finally:
                os.close(descriptor)

    def skip(self, count: int) -> None:
        """Pass over the next bytes."""
        if self._inflate is None:
            self._whole = False
            self._taken += count
            self.position += count
            return
        waste = memoryview(bytearray(min(count, _BLOCK)))
        while count > 0:
            step = min(count, len(waste))
            self.readinto(waste[:step])
            count -= step

    def _block(self, descriptor: int, limit: int) -> bytes:
        block = self._raw(descriptor, limit) if self._inflate is None else self._inflated(descriptor, limit)
        if not block:
            raise FormatError(
                f"member {self._member.name!r} ends after {self.position} of {self._member.size} bytes; the archive "
                "is damaged. Copy the file again from its source.",
                path=self._member.path,
            )
        self._account(block)
        return block

    def _inflated(self, descriptor: int, limit: int) -> bytes:
        inflate = cast("zlib._Decompress", self._inflate)
        while True:
            fresh = not self._pending
            if fresh:
                self._pending = self._raw(descriptor, _BLOCK)
            exhausted = fresh and not self._pending
            block = inflate.decompress(self._pending, limit)
            self._pending = inflate.unconsumed_tail
            if block or exhausted or inflate.eof:
                return block

    def _raw(self, descriptor: int, limit: int) -> bytes:
        left = self._member.stored_size - self._taken
        block = os.pread(descriptor, min(limit, left), self._member.offset + self._taken)
        self._taken += len(block)
        return block

    def _account(self, block: bytes) -> None:
        self._crc = zlib.crc32(block, self._crc)
        self.position += len(block)
        if self._whole and self.position == self._member.size and self._crc != self._member.crc:
            raise FormatError(
                f"member {self._member.name!r} fails its checksum; the archive is damaged. "
                "Copy the file again from its source.",
                path=self._member.path,
            )


def read_header(member: Member) -> NpyHeader:
    """Parse the NPY header at the start of a member, without NumPy's own evaluation of it."""
    reader = ForwardReader(member)
    with foreign_errors_refused(member.path, doing=f"reading the NPY header of {member.name!r}"):
        start = bytearray(min(12, member.size))
        reader.readinto(memoryview(start))
        if start[:6] != b"\x93NUMPY" or start[6] not in (1, 2, 3):
            raise ValueError("it does not start as a NumPy array")
        begin, length = (10, struct.unpack("<H", start[8:10])[0])
        if start[6] > 1:
            begin, length = (12, struct.unpack("<I", start[8:12])[0])
        if length > min(_HEADER_LIMIT, member.size - begin):
            raise ValueError(f"it claims {length} bytes of header")
        text = bytearray(begin + length - len(start))
        reader.readinto(memoryview(text))
        return _parse_header(bytes(start[begin:] + text), begin + length)


def _parse_header(text: bytes, size: int) -> NpyHeader:
    try:
        fields = ast.literal_eval(text.decode("utf-8").strip())
        shape, fortran = fields["shape"], fields["fortran_order"]
        dtype = np.lib.format.descr_to_dtype(fields["descr"])
    except (SyntaxError, RecursionError) as error:
        raise ValueError(f"its header is not a dictionary of descr, fortran_order and shape ({error})") from error
    whole = isinstance(shape, tuple) and all(type(n) is int and 0 <= n < 1 << 62 for n in shape)
    if not whole or type(fortran) is not bool or len(fields) != 3:
        raise ValueError("its header is not one of descr, fortran_order and shape")
    if dtype.kind not in "biufcUSO":
        raise ValueError(f"arrays of {dtype} are not numbers or text")
    return NpyHeader(shape=shape, dtype=dtype, fortran=fortran, size=size)


def check_size(member: Member, header: NpyHeader) -> None:
    """Refuse a member whose bytes are not exactly header and data."""
    count = 1
    for n in header.shape:
        count *= n
    expected = header.size + count * header.dtype.itemsize
    if expected != member.size:
        raise FormatError(
            f"{member.name!r} needs {expected} bytes for {header.dtype} of shape {header.shape}; the archive "
            f"holds {member.size}. Copy the file again from its source.",
            path=member.path,
        )


def read_array(member: Member, header: NpyHeader) -> Shaped[np.ndarray, "..."]:
    """Read a whole member of plain numbers or text into memory and check its CRC."""
    check_size(member, header)
    with foreign_errors_refused(member.path, doing=f"reading {member.name!r}"):
        array = np.empty(header.shape, header.dtype, order="F" if header.fortran else "C")
        reader = ForwardReader(member)
        reader.readinto(memoryview(bytearray(header.size)))
        flat = (
            array.reshape(-1, order="A").view(np.uint8)
            if array.size and array.dtype.itemsize
            else np.empty(0, np.uint8)
        )
        reader.readinto(flat.data)
        return array
