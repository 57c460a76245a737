"""Which files the rows of a source come from, and the check that names them."""

from pathlib import Path

import numpy as np
from jaxtyping import Int64, Shaped

from ptychofold.formats.concatenated import ConcatenatedArray
from ptychofold.formats.hdf5 import HDF5Array
from ptychofold.formats.lazy import CompressedMember, MappedArray
from ptychofold.formats.raster import RasterRows
from ptychofold.formats.tiff import TiffPages
from ptychofold.formats.tiff_frames import TiffFrames
from ptychofold.formats.transformed import TransformedSource
from ptychofold.formats.view import RowView, rows_in_file
from ptychofold.typing import ArraySource
from ptychofold.validation import check_patterns

__all__ = ["check_rows", "file_of", "files_of"]


def file_of(source: ArraySource) -> Path | None:
    """Return the file or folder that all rows of a source are read from; None if they are in memory or in several."""
    if isinstance(source, RowView | TransformedSource | RasterRows):
        return file_of(source.source)
    if isinstance(source, MappedArray | HDF5Array | TiffPages):
        return source.path
    if isinstance(source, TiffFrames):
        return source.folder
    return source.member.path if isinstance(source, CompressedMember) else None


def files_of(source: ArraySource) -> set[Path]:
    """Return the files that patterns are read from; empty if they are in memory or it cannot be told."""
    if isinstance(source, RowView | TransformedSource | RasterRows):
        return files_of(source.source)
    if isinstance(source, ConcatenatedArray):
        return set().union(*(files_of(part) for part in source.sources))
    if isinstance(source, TiffFrames):
        return set(source.paths)
    file = file_of(source)
    return set() if file is None else {file}


def check_rows(
    stored: Shaped[np.ndarray, "n N M"],
    *,
    source: ArraySource,
    rows: Int64[np.ndarray, " n"],
    path: Path | None,
) -> None:
    """Refuse wrong numbers in rows that were read from a source, see `check_patterns`.

    Parameters
    ----------
    stored
        The rows, as read.
    source
        What they were read from; the message names its file and the rows in it.
    rows
        Which rows of the source they are.
    path
        The scan's file, named where the source is of no single one.

    Raises
    ------
    DomainError
        If a number is negative, not finite or beyond float32.
    """
    check_patterns(stored, rows=rows_in_file(source, rows), path=file_of(source) or path)
