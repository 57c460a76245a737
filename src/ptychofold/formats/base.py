"""What a file format is, and the border that errors of other libraries do not cross."""

import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ptychofold.errors import FormatError, PtychoError
from ptychofold.formats.fields import ScanFields

__all__ = [
    "HDF5_MAGIC",
    "MANIFEST_NAME",
    "ZIP_MAGICS",
    "Format",
    "check_file",
    "foreign_errors_refused",
    "is_store",
    "read_start",
]

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
MANIFEST_NAME = "manifest.json"
"""The file by which the directory of a store is known."""

_FOREIGN_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, kw_only=True)
class Format:
    """One file format: how it is recognised, read and written."""

    name: str
    """Name for people, such as ``"PtychoPINN NPZ"``."""
    description: str
    """What the format holds, one line."""
    suffixes: tuple[str, ...]
    """Usual file name endings; used to choose a format for writing, never to recognise a file."""
    sniff: Callable[[Path], str | None]
    """``sniff(path)``: why the content is of this format, or None."""
    folder: bool = False
    """A scan is a folder of files, not a file; ``sniff`` is asked about folders alone."""
    read: Callable[..., ScanFields]
    """``read(path, *, lazy)``: what the file says."""
    write: Callable[[ScanFields, Path], tuple[str, ...]] | None = None
    """``write(fields, path)``: names of the fields that the format cannot hold; None if it is read only."""
    holds_patterns: bool = True
    """Whether what is written holds the patterns, without which a file is no scan."""


@contextmanager
def foreign_errors_refused(
    path: Path, *, doing: str, cure: str = "Copy the file again from its source."
) -> Iterator[None]:
    """Turn an error of zipfile, zlib, NumPy, h5py or the system into a FormatError that names the file.

    Parameters
    ----------
    path
        The file being read.
    doing
        What failed, such as ``"reading the zip directory"``.
    cure
        What to do about it.

    Examples
    --------
    >>> with foreign_errors_refused(Path("a.npz"), doing="reading the header"):
    ...     raise ValueError("bad magic")
    Traceback (most recent call last):
        ...
    ptychofold.errors.FormatError: a.npz: reading the header failed: bad magic. Copy the file again from its source.
    """
    try:
        yield
    except PtychoError:
        raise
    except _FOREIGN_ERRORS as error:
        raise FormatError(f"{doing} failed: {_why(error)}. {cure}", path=path) from error


def _why(error: BaseException) -> str:
    """Return what went wrong; of HDF5's account of a refused write only what the system said."""
    text = " ".join(str(error).split()) or type(error).__name__
    said = re.search(r"error message = '([^']+)", text)
    return said.group(1) if said else text[:200].rstrip(".")


def is_store(path: Path) -> bool:
    """Whether a path is that of a store of patterns, which is no scan file."""
    return (path / MANIFEST_NAME).is_file()


def check_file(path: Path) -> None:
    """Refuse what is not a readable file with content."""
    if is_store(path):
        raise FormatError(
            "expected a scan file; found a store, which holds a scan already. Open it with PatternStore.open, or make "
            "a file of it: ptychofold convert STORE scan.npz.",
            path=path,
        )
    if path.is_dir():
        raise FormatError(
            "expected a scan file, or a folder of single TIFF frames; found a directory of something else. Name one "
            "scan file in it.",
            path=path,
        )
    if path.is_file() and path.stat().st_size == 0:
        raise FormatError("expected a scan; found an empty file. Copy the file again from its source.", path=path)
    read_start(path)


def read_start(path: Path, count: int = 512) -> bytes:
    """Return the first bytes of a file."""
    if not path.exists():
        raise FormatError("expected a file; found nothing under this name. Check the path.", path=path)
    with foreign_errors_refused(path, doing="opening the file"), path.open("rb") as file:
        return file.read(count)
