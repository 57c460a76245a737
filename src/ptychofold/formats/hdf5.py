"""Arrays inside HDF5: mapped in place where the file allows it, read by h5py where it does not."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Int64, Shaped

from ptychofold.errors import FormatError
from ptychofold.formats.base import HDF5_MAGIC, foreign_errors_refused
from ptychofold.formats.hdf5_links import check_sources, grows
from ptychofold.formats.lazy import MappedArray
from ptychofold.formats.rows import Layout, row_numbers, runs, target_array
from ptychofold.typing import ArraySource

__all__ = ["HDF5Array", "is_hdf5", "open_array", "open_file", "read_all"]

_LINK_DEPTH = 8
_CACHE_LIMIT = 1 << 28
_FILTERS = {
    32000: "LZO", 32001: "Blosc", 32004: "LZ4", 32008: "bitshuffle", 32013: "ZFP", 32015: "Zstandard", 32017: "SZ",
    32019: "FCIDECOMP", 32023: "Sperr", 32026: "Blosc2", 307: "bzip2",
}  # fmt: skip


def is_hdf5(path: Path) -> bool:
    """Whether the file bears HDF5's signature, at the start or behind a user block."""
    with foreign_errors_refused(path, doing="opening the file"), path.open("rb") as file:
        offset, size = 0, path.stat().st_size
        while offset < size:
            file.seek(offset)
            if file.read(8) == HDF5_MAGIC:
                return True
            offset = max(512, 2 * offset)
    return False


@contextmanager
def open_file(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; no error of h5py leaves the block."""
    with foreign_errors_refused(path, doing="reading the HDF5 file"), h5py.File(path, "r") as file:
        yield file


def read_all(dataset: h5py.Dataset) -> Shaped[np.ndarray, "..."]:
    """Load a whole data set; its compression filters, and the files that it shows, are checked first."""
    _check_filters(dataset)
    check_sources(dataset)
    return np.asarray(dataset[()])


def open_array(dataset: h5py.Dataset) -> ArraySource:
    """Return a lazy array for a data set of an open file.

    A contiguous, uncompressed data set is mapped at its byte offset, also where it is reached through soft links,
    external links or a virtual data set that shows one such data set whole. Everything else is read by h5py.

    Raises
    ------
    FormatError
        If a compression filter is not installed, or a file that the data set shows is missing.
    """
    check_sources(dataset)
    return _mapped(dataset, depth=0) or HDF5Array(
        path=Path(dataset.file.filename),
        name=str(dataset.name),
        shape=dataset.shape,
        dtype=dataset.dtype,
        chunk_rows=dataset.chunks[0] if dataset.chunks else None,
        cache_bytes=_cache_bytes(dataset),
        description=_description(dataset),
    )


def _mapped(dataset: h5py.Dataset, *, depth: int) -> MappedArray | None:
    _check_filters(dataset)
    if dataset.is_virtual:
        return _mapped_source(dataset, depth=depth) if depth < _LINK_DEPTH else None
    offset = dataset.id.get_offset()
    plain = offset is not None and dataset.chunks is None and not dataset.external and dataset.dtype.kind in "biuf"
    if not plain or dataset.id.get_type().get_size() != dataset.dtype.itemsize:
        return None
    layout = Layout(shape=dataset.shape, dtype=dataset.dtype)
    if dataset.id.get_storage_size() != layout.nbytes:
        return None
    return MappedArray(Path(dataset.file.filename), offset, layout)


def _mapped_source(dataset: h5py.Dataset, *, depth: int) -> MappedArray | None:
    sources = dataset.virtual_sources()
    if len(sources) != 1 or grows(sources[0].vspace):
        return None
    whole = tuple(n - 1 for n in dataset.shape)
    first, last = sources[0].vspace.get_select_bounds()
    if tuple(first) != (0,) * dataset.ndim or tuple(last) != whole:
        return None
    own = Path(dataset.file.filename)
    path = own if sources[0].file_name == "." else own.parent / sources[0].file_name
    if not path.is_file():
        return None
    with h5py.File(path, "r") as file:
        source = file[sources[0].dset_name]
        same = source.shape == dataset.shape and source.dtype == dataset.dtype
        return _mapped(source, depth=depth + 1) if same else None


def _check_filters(dataset: h5py.Dataset) -> None:
    properties = dataset.id.get_create_plist()
    for index in range(properties.get_nfilters()):
        code, _, _, label = properties.get_filter(index)
        if code >= 256:
            import hdf5plugin  # noqa: F401 (registers its filters)
        if not h5py.h5z.filter_avail(code):
            name = _FILTERS.get(code) or label.decode("utf-8", "replace") or "unknown"
            raise FormatError(
                f"{dataset.name} is compressed by HDF5 filter {code} ({name}), which is not installed here. "
                "Install its plugin (pip install -U hdf5plugin has the common ones, else set HDF5_PLUGIN_PATH) or "
                "write the file again with h5repack -f NONE.",
                path=dataset.file.filename,
            )


def _cache_bytes(dataset: h5py.Dataset) -> int:
    """Return room for the chunks that one row crosses, so that no chunk is decompressed twice in a sorted pass."""
    if not dataset.chunks:
        return 1 << 20
    crossed = math.prod(-(-n // c) for n, c in zip(dataset.shape[1:], dataset.chunks[1:], strict=True))
    needed = (crossed + 1) * math.prod(dataset.chunks) * int(dataset.dtype.itemsize)
    return int(min(max(needed, 1 << 20), _CACHE_LIMIT))


def _description(dataset: h5py.Dataset) -> str:
    if dataset.is_virtual:
        return "virtual data set"
    properties = dataset.id.get_create_plist()
    names = [
        {1: "gzip", 2: "shuffle", 3: "checksum", 4: "szip", 32000: "lzf"}.get(code, _FILTERS.get(code, str(code)))
        for code in (properties.get_filter(index)[0] for index in range(properties.get_nfilters()))
    ]
    return f"chunks {dataset.chunks}" + (f", {'+'.join(names)}" if names else "") if dataset.chunks else "contiguous"


@dataclass(frozen=True, eq=False, kw_only=True)
class HDF5Array:
    """A data set read by h5py; the file is opened at the first read in each process and is not pickled."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    chunk_rows: int | None
    """Rows in a chunk; None if the data set is not chunked."""
    cache_bytes: int
    description: str
    _opened: dict[int, h5py.Dataset] = field(init=False, repr=False, default_factory=dict)
    """The open data set of each process, by process number."""

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_opened": {}}

    @property
    def access(self) -> str:
        """How rows are reached."""
        return f"read from HDF5 ({self.description})"

    @property
    def random_access(self) -> bool:
        """Whether a row costs only itself: there are no chunks, or chunks of one row."""
        return self.chunk_rows in (None, 1)

    def read(
        self, rows: Int64[np.ndarray, " n"] | slice, out: Shaped[np.ndarray, "n ..."] | None = None
    ) -> Shaped[np.ndarray, "n ..."]:
        """Return rows; the file is passed once from front to back, each row read once."""
        wanted = row_numbers(rows, self.shape[0])
        result = target_array(out, (len(wanted), *self.shape[1:]), self.dtype)
        if not result.size:
            return result
        unique, inverse = np.unique(wanted, return_inverse=True)
        direct = len(unique) == len(wanted) and bool((np.diff(wanted) > 0).all()) and result.flags.c_contiguous
        target = result if direct else np.empty((len(unique), *self.shape[1:]), self.dtype)
        with foreign_errors_refused(self.path, doing=f"reading {self.name}"):
            dataset = self._dataset()
            for begin, end in runs(unique):
                first = int(unique[begin])
                dataset.read_direct(target, np.s_[first : first + end - begin], np.s_[begin:end])
        if not direct:
            np.take(target, inverse, axis=0, out=result, mode="clip")
        return result

    def _dataset(self) -> h5py.Dataset:
        process = os.getpid()
        if process not in self._opened:
            self._opened.clear()
            file = h5py.File(self.path, "r", rdcc_nbytes=self.cache_bytes)
            dataset = file[self.name]
            if dataset.shape != self.shape or dataset.dtype != self.dtype:
                raise FormatError(f"{self.name} has changed since it was opened. Open the file again.", path=self.path)
            _check_filters(dataset)
            check_sources(dataset)
            self._opened[process] = dataset
        return self._opened[process]
