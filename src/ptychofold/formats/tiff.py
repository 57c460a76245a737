"""TIFF stacks of patterns: one page a pattern, positions and probe from other files.

Uncompressed stacks whose frames follow one another are mapped in place; others are read page by page by tifffile, which
scikit-image brings (extra ``plot``).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Shaped

from ptychofold.errors import DependencyError, ShapeError
from ptychofold.formats.base import Format, foreign_errors_refused, read_start
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.lazy import ArrayInMemory, MappedArray
from ptychofold.formats.rows import Layout, Rows, row_numbers, target_array
from ptychofold.optional import require
from ptychofold.typing import ArraySource

__all__ = ["ENDINGS", "FORMAT", "TiffFile", "TiffPage", "TiffPages", "tiff_file"]

NAME = "TIFF stack"
ENDINGS = (".tif", ".tiff")
MAGICS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
"""Classic TIFF and BigTIFF, either byte order (TIFF 6.0; BigTIFF by the LibTIFF project)."""


class _Series(Protocol):
    """What is used of tifffile's series of pages."""

    shape: tuple[int, ...]
    dtype: np.dtype
    dataoffset: int | None
    pages: Sequence["TiffPage"]


class TiffPage(Protocol):
    """What is used of one of tifffile's pages."""

    shape: tuple[int, ...]
    dtype: np.dtype | None

    def asarray(self) -> Shaped[np.ndarray, "..."]:
        """Decode the page."""
        ...


class TiffFile(Protocol):
    """What is used of tifffile's files."""

    byteorder: Literal[">", "<"]
    pages: Sequence[TiffPage]
    series: Sequence[_Series]


@contextmanager
def tiff_file(path: Path, *, doing: str) -> Iterator[TiffFile]:
    """Open a TIFF file; no error of tifffile leaves the block.

    Raises
    ------
    FormatError
        If it cannot be read.
    DependencyError
        If tifffile, or what its compression needs, is not installed.
    """
    tifffile = require("tifffile", extra="plot")
    with foreign_errors_refused(path, doing=doing):
        try:
            with tifffile.TiffFile(path) as file:
                yield file
        except (KeyError, ValueError) as error:
            if "imagecodecs" not in str(error):
                raise
            raise DependencyError(
                f"{path}: {' '.join(str(error.args[0]).split())} to decompress. Install it with: pip install "
                "imagecodecs; or save the frames uncompressed."
            ) from error


@dataclass(frozen=True, eq=False)
class TiffPages:
    """Pages that are compressed or scattered over the file; each call reads the pages asked for."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def access(self) -> str:
        """How rows are reached."""
        return "TIFF pages, read by tifffile"

    @property
    def random_access(self) -> bool:
        """Always: a page costs only itself."""
        return True

    def read(self, rows: Rows, out: Shaped[np.ndarray, "n ..."] | None = None) -> Shaped[np.ndarray, "n ..."]:
        """Return pages in the order asked for."""
        wanted = row_numbers(rows, self.shape[0])
        result = target_array(out, (len(wanted), *self.shape[1:]), self.dtype)
        with tiff_file(self.path, doing="reading TIFF pages") as file:
            pages = file.series[0].pages
            for place, row in enumerate(wanted.tolist()):
                result[place] = pages[row].asarray()
        return result


def sniff(path: Path) -> str | None:
    """Recognise TIFF by its first bytes."""
    start = read_start(path)
    return f"a TIFF file ({start[:2].decode()})" if start.startswith(MAGICS) else None


def read(path: Path, *, lazy: bool) -> ScanFields:
    """Read a stack; it holds patterns and nothing else.

    Raises
    ------
    ShapeError
        If the pages are no stack of frames of one channel.
    DependencyError
        If tifffile is not installed.
    """
    with tiff_file(path, doing="reading the TIFF file") as file:
        n_series = len(file.series)
        series = file.series[0]
        shape, dtype, offset = tuple(series.shape), np.dtype(series.dtype.str), series.dataoffset
        byte_order = file.byteorder
    if len(shape) == 2:
        shape = (1, *shape)
    if len(shape) != 3 or n_series != 1:
        raise ShapeError(
            f"expected one stack of frames (scan, N, N); found {n_series} series, the first of shape {shape}. Save the "
            "frames as pages of one shape, one channel each.",
            path=path,
            field="patterns",
        )
    source: ArraySource
    if offset is None:
        source = TiffPages(path, shape, dtype)
    else:
        source = MappedArray(path, offset, Layout(shape=shape, dtype=dtype.newbyteorder(byte_order)))
    return ScanFields(
        path=path,
        format=NAME,
        patterns=source if lazy else ArrayInMemory(source.read(slice(None)).astype(dtype, copy=True)),
        names=("pages",),
    )


FORMAT = Format(
    name=NAME,
    description="one pattern a page; positions come from a table, the probe from another file",
    suffixes=ENDINGS,
    sniff=sniff,
    read=read,
)
