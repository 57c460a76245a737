"""Read consecutive patterns in the quickest way that their source allows; HDF5 chunks are decoded side by side.

HDF5 decodes under one lock. Where chunks hold whole patterns and are compressed by gzip or by bitshuffle with LZ4, the
raw chunks are taken from the file and decoded in threads by the libraries that HDF5 itself would call (zlib, and the
bitshuffle plugin of hdf5plugin); every other source is read through its own ``read``.
"""

import ctypes
import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Shaped, UInt8

from ptychofold.formats.base import foreign_errors_refused
from ptychofold.formats.hdf5 import HDF5Array
from ptychofold.typing import ArraySource

__all__ = ["Decoder", "ReadBlock", "block_reader", "find_decoder"]

SHUFFLE, DEFLATE, BITSHUFFLE = h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, 32008
BITSHUFFLE_LZ4 = 2
MOST_THREADS = 8

ReadBlock = Callable[[int, Shaped[np.ndarray, "rows N N"]], None]
"""``read(start, out)``: fill ``out`` with the patterns from ``start`` on."""
Decoder = Callable[[bytes, UInt8[np.ndarray, " byte"]], None]
"""``decode(raw, out)``: fill ``out`` with the bytes of one chunk."""


@contextmanager
def block_reader(source: ArraySource) -> Iterator[ReadBlock]:
    """Give a function that reads consecutive patterns of a source, and close what it needed at the end.

    Parameters
    ----------
    source
        Patterns (scan, N, N); reads must start at a multiple of the rows that it decodes together.
    """
    with ExitStack() as stack:
        chunks = _open_chunks(source, stack) if isinstance(source, HDF5Array) else None
        yield chunks.read if chunks is not None else lambda start, out: _read_plainly(source, start, out)


def find_decoder(dataset: h5py.Dataset) -> Decoder | None:
    """Return what decodes a chunk of whole patterns, or None if HDF5 must do it."""
    if dataset.is_virtual or dataset.chunks is None or dataset.chunks[1:] != dataset.shape[1:]:
        return None
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(index) for index in range(properties.get_nfilters())]
    codes, itemsize = [code for code, *_ in filters], dataset.dtype.itemsize
    if codes == [DEFLATE]:
        return _inflate
    if codes == [SHUFFLE, DEFLATE]:
        return lambda raw, out: _inflate_shuffled(raw, out, itemsize=itemsize)
    if codes == [BITSHUFFLE] and len(filters[0][2]) > 4 and filters[0][2][4] == BITSHUFFLE_LZ4:
        return _bitshuffle_decoder(itemsize)
    return None


def _read_plainly(source: ArraySource, start: int, out: Shaped[np.ndarray, "rows N N"]) -> None:
    source.read(slice(start, start + len(out)), out=out)


def _open_chunks(source: HDF5Array, stack: ExitStack) -> "_Chunks | None":
    with foreign_errors_refused(source.path, doing="reading the HDF5 file"):
        file = stack.enter_context(h5py.File(source.path, "r"))
        dataset = file[source.name]
        decoder = find_decoder(dataset)
    if decoder is None:
        return None
    threads = stack.enter_context(ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)))
    return _Chunks(source=source, dataset=dataset, decoder=decoder, threads=threads)


@dataclass(frozen=True, kw_only=True)
class _Chunks:
    """Chunks of an open data set, decoded side by side straight to where the patterns are wanted."""

    source: HDF5Array
    dataset: h5py.Dataset
    decoder: Decoder
    threads: ThreadPoolExecutor

    def read(self, start: int, out: Shaped[np.ndarray, "rows N N"]) -> None:
        rows = self.dataset.chunks[0]
        with foreign_errors_refused(self.source.path, doing=f"reading {self.source.name}"):
            under_way = []
            for begin in range(0, len(out), rows):
                target = out[begin : begin + rows]
                offset = (start + begin, *([0] * (self.dataset.ndim - 1)))
                stored = self.dataset.id.get_chunk_info_by_coord(offset)
                if stored.byte_offset is None or stored.filter_mask:  # never written, or without its filters
                    _read_plainly(self.source, start + begin, target)
                else:
                    raw = self.dataset.id.read_direct_chunk(offset)[1]
                    under_way.append(self.threads.submit(self._decode, raw, target))
            for chunk in under_way:
                chunk.result()

    def _decode(self, raw: bytes, target: Shaped[np.ndarray, "rows N N"]) -> None:
        rows = self.dataset.chunks[0]
        whole = target if len(target) == rows else np.empty((rows, *target.shape[1:]), target.dtype)
        self.decoder(raw, whole.reshape(-1).view(np.uint8))
        if whole is not target:
            target[...] = whole[: len(target)]


def _inflate(raw: bytes, out: UInt8[np.ndarray, " byte"]) -> None:
    out[:] = np.frombuffer(_inflated(raw, len(out)), np.uint8)


def _inflate_shuffled(raw: bytes, out: UInt8[np.ndarray, " byte"], *, itemsize: int) -> None:
    """Inflate, then undo HDF5's shuffle, which stores every number's first byte before every second one."""
    planes = np.frombuffer(_inflated(raw, len(out)), np.uint8).reshape(itemsize, -1)
    out.reshape(-1, itemsize)[...] = planes.T


def _inflated(raw: bytes, count: int) -> bytes:
    data = zlib.decompressobj().decompress(raw, count)
    if len(data) != count:
        raise ValueError(f"a chunk holds {len(data)} of {count} bytes")
    return data


def _bitshuffle_decoder(itemsize: int) -> Decoder | None:
    """Return a call of the bitshuffle library that hdf5plugin brings, or None if it does not export it.

    A chunk is a big-endian header, 8 bytes of size and 4 bytes of block size, and then what the library decodes
    (github.com/kiyo-masui/bitshuffle, src/bshuf_h5filter.c).
    """
    import hdf5plugin

    try:
        library = ctypes.CDLL(str(next(Path(hdf5plugin.PLUGIN_PATH).glob("libh5bshuf.*"))))
        call = library.bshuf_decompress_lz4
    except (AttributeError, OSError, StopIteration):
        return None
    call.restype = ctypes.c_int64
    call.argtypes = [ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_size_t] * 3]

    def decode(raw: bytes, out: UInt8[np.ndarray, " byte"]) -> None:
        size, block_bytes = int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:12], "big")
        if size != len(out):
            raise ValueError(f"a chunk holds {size} of {len(out)} bytes")
        data = np.frombuffer(raw, np.uint8)
        used = call(data.ctypes.data + 12, out.ctypes.data, size // itemsize, itemsize, block_bytes // itemsize)
        if used != len(raw) - 12:
            raise ValueError(f"a bitshuffle chunk is damaged (code {used})")

    return decode
