"""What an ingest wants to know of where patterns come from."""

from ptychofold.formats.concatenated import ConcatenatedArray
from ptychofold.formats.hdf5 import HDF5Array
from ptychofold.formats.transformed import TransformedSource
from ptychofold.typing import ArraySource

__all__ = ["chunk_rows"]


def chunk_rows(source: ArraySource) -> int:
    """Return how many patterns the source decodes together; 1 if it decodes each on its own."""
    if isinstance(source, TransformedSource):
        return chunk_rows(source.source)
    if isinstance(source, ConcatenatedArray):
        return max(chunk_rows(part) for part in source.sources)
    return (source.chunk_rows or 1) if isinstance(source, HDF5Array) else 1
