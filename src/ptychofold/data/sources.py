"""What an ingest wants to know of where patterns come from."""

from pathlib import Path

from ptychofold.formats.concatenated import ConcatenatedArray
from ptychofold.formats.hdf5 import HDF5Array
from ptychofold.formats.lazy import CompressedMember, MappedArray
from ptychofold.formats.raster import RasterRows
from ptychofold.formats.tiff import TiffPages
from ptychofold.formats.tiff_frames import TiffFrames
from ptychofold.formats.transformed import TransformedSource
from ptychofold.formats.view import RowView
from ptychofold.typing import ArraySource

__all__ = ["chunk_rows", "files_of"]


def files_of(source: ArraySource) -> set[Path]:
    """Return the files that patterns are read from; empty if they are in memory or it cannot be told."""
    if isinstance(source, RowView | TransformedSource | RasterRows):
        return files_of(source.source)
    if isinstance(source, ConcatenatedArray):
        return set().union(*(files_of(part) for part in source.sources))
    if isinstance(source, MappedArray | HDF5Array | TiffPages):
        return {source.path}
    if isinstance(source, TiffFrames):
        return set(source.paths)
    if isinstance(source, CompressedMember):
        return {source.member.path}
    return set()


def chunk_rows(source: ArraySource) -> int:
    """Return how many patterns the source decodes together; 1 if it decodes each on its own."""
    if isinstance(source, TransformedSource):
        return chunk_rows(source.source)
    if isinstance(source, ConcatenatedArray):
        return max(chunk_rows(part) for part in source.sources)
    return (source.chunk_rows or 1) if isinstance(source, HDF5Array) else 1
