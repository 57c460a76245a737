"""Bytes on disk: NPY headers that can grow, checksums, whole writes, and the lock of a directory's one writer."""

import errno
import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Shaped

from ptychofold.errors import StoreError

__all__ = [
    "HEADER_BYTES",
    "checksum",
    "file_checksum",
    "locked",
    "npy_header",
    "replace_text",
    "sync_directory",
    "write_all",
    "writing_explained",
]

HEADER_BYTES = 128
"""Bytes before the data of every array of a store; a multiple of 64, as NPY asks for."""
LOCK_NAME = "lock"
_PIECE = 1 << 20


def npy_header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """Return the NPY header of a C-ordered array, 128 bytes long whatever the number of rows.

    The number of rows is padded to a fixed width, so that a growing array changes the same 20 bytes each time.

    Examples
    --------
    >>> header = npy_header((3, 8, 8), np.dtype(np.uint16))
    >>> len(header), header[10:].decode().split("(")[1].split()
    (128, ['3,', '8,', '8),', '}'])
    """
    others = ", ".join(str(n) for n in shape[1:])
    text = f"{{'descr': {dtype.str!r}, 'fortran_order': False, 'shape': ({shape[0]:>20}, {others}), }}"
    start = b"\x93NUMPY\x01\x00" + (HEADER_BYTES - 10).to_bytes(2, "little")
    return start + text.encode("ascii").ljust(HEADER_BYTES - 11) + b"\n"


def checksum(data: bytes | Shaped[np.ndarray, "..."], start: int = 0) -> int:
    """Return the CRC-32 of bytes or of a C-contiguous array; ``start`` goes on from an earlier one.

    Examples
    --------
    >>> checksum(b"fold", checksum(b"ptycho")) == checksum(b"ptychofold")
    True
    """
    return zlib.crc32(_view(data), start)


def file_checksum(descriptor: int, *, offset: int, count: int) -> int:
    """Return the CRC-32 of ``count`` bytes of an open file; fewer if the file ends before."""
    total = 0
    for begin in range(offset, offset + count, _PIECE):
        total = zlib.crc32(os.pread(descriptor, min(_PIECE, offset + count - begin), begin), total)
    return total


def write_all(descriptor: int, data: bytes | Shaped[np.ndarray, "..."], *, offset: int) -> None:
    """Write every byte at an offset of an open file; arrays must be C-contiguous."""
    left = _view(data)
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written


def _view(data: bytes | Shaped[np.ndarray, "..."]) -> memoryview:
    return memoryview(data) if isinstance(data, bytes) else data.reshape(-1).view(np.uint8).data


def replace_text(path: Path, text: bytes, *, durable: bool) -> None:
    """Put ``text`` under ``path`` in one step: another process reads the old text or the new one.

    Parameters
    ----------
    path
        The file.
    text
        Its new content.
    durable
        Wait until the disk has it.
    """
    fresh = path.with_name(f"{path.name}.partial")
    with fresh.open("wb", buffering=0) as file:
        write_all(file.fileno(), text, offset=0)
        if durable:
            os.fsync(file.fileno())
    fresh.replace(path)
    if durable:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Wait until the disk has a directory's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing_explained(directory: Path, *, remedy: str) -> Iterator[None]:
    """Turn an error of the system while writing a store into a StoreError that names it.

    Parameters
    ----------
    directory
        What is being written.
    remedy
        What the user may do, one sentence.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        what = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
        raise StoreError(f"{directory}: writing failed: {what}. {remedy}") from error


@contextmanager
def locked(directory: Path, *, doing: str) -> Iterator[None]:
    """Hold the lock of a directory, which the system releases when this process ends, however it ends.

    Parameters
    ----------
    directory
        An existing directory; the lock is a file in it.
    doing
        What another holder of the lock does, for the message, such as ``"ingesting into it"``.

    Raises
    ------
    StoreError
        If another process, or another part of this one, holds the lock.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context((directory / LOCK_NAME).open("ab"))
            held = _lock(file) and os.path.samestat((directory / LOCK_NAME).stat(), os.fstat(file.fileno()))
        except FileNotFoundError:  # the last holder has just renamed the directory
            held = False
        if not held:
            raise StoreError(f"{directory}: another process is {doing}. Wait until it has ended, then try again.")
        yield


def _lock(file: BinaryIO) -> bool:
    import fcntl  # absent on Windows, where the rest of the package works

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
