"""Make a store of a scan: one pass in bounded memory that can be killed at any moment and goes on where it stopped.

The store is filled under a partial name and renamed at the end. While it is partial it holds, beside the arrays, the
plan (its manifest without the checksums that are not known yet) and a journal of the checksums of finished blocks. An
ingest that finds a partial store of the same plan checks each finished block against the journal and goes on after the
last good one.
"""

import logging
import os
import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Shaped

from ptychofold.data.arrays import array_path
from ptychofold.data.decode import block_reader
from ptychofold.data.files import (
    HEADER_BYTES,
    LOCK_NAME,
    checksum,
    locked,
    npy_header,
    replace_text,
    sync_directory,
    write_all,
    writing_explained,
)
from ptychofold.data.manifest import PARTIAL_SUFFIX, ArrayRecord, Fingerprint, Manifest, Origin, read_manifest
from ptychofold.data.sources import chunk_rows
from ptychofold.errors import DataError, StoreError
from ptychofold.formats.origins import files_of
from ptychofold.formats.rows import Rows, row_numbers
from ptychofold.raw_data import RawData
from ptychofold.scaling import energy_sums
from ptychofold.typing import ArraySource

__all__ = ["OnProgress", "ingest"]

logger = logging.getLogger(__name__)

BLOCK_BYTES = 32 << 20
"""Bytes of patterns that are read, summed, written and covered by one checksum at a time; two blocks are in memory."""
SYNC_BLOCKS = 4
"""Blocks after which the disk is waited for, so that its work goes on beside the reading."""
CACHED_SHARE = 1 / 8
"""Share of this machine's memory up to which a store stays cached; of a larger one, what the disk has is let go."""
PLAN_NAME = "plan.json"
JOURNAL_NAME = "journal"

OnProgress = Callable[[int, int], None]
"""Called with (patterns stored, patterns in all)."""


def ingest(scan: RawData, directory: Path, *, live: bool = False, on_progress: OnProgress | None = None) -> None:
    """Make a store of a scan, or finish one that was begun; see `PatternStore.create`."""
    if directory.resolve() == Path.cwd():
        raise StoreError(f"{directory}: expected a new directory; found the working directory. Name one in it.")
    if directory.name.endswith(PARTIAL_SUFFIX):
        raise StoreError(f"{directory}: names ending in {PARTIAL_SUFFIX} are of unfinished stores. Choose another one.")
    plan = _plan(scan, live=live)
    if _exists(directory, plan):
        return
    partial = directory.with_name(directory.name + PARTIAL_SUFFIX)
    remedy = "Make room or choose another place, and run the ingest again"
    remedy += "; it goes on where it stopped." if plan.sources else "."
    with writing_explained(partial, remedy=remedy):
        partial.mkdir(parents=True, exist_ok=True)
        with locked(partial, doing="ingesting into it"), _removed_unless_resumable(partial, plan):
            if _exists(directory, plan):
                shutil.rmtree(partial)
                return
            _check_space(partial, plan)
            manifest = _fill(scan, partial, plan, on_progress=on_progress)
            manifest.write(partial, durable=True)
            for name in (PLAN_NAME, JOURNAL_NAME, LOCK_NAME):
                (partial / name).unlink()
            partial.rename(directory)
            sync_directory(directory.parent)
    logger.info("%s: stored %d patterns", directory, len(scan))


def _plan(scan: RawData, *, live: bool) -> Manifest:
    """Return the manifest of the store to be, as far as it is known before the patterns are read."""
    if live and (scan.patches is not None or scan.file_rows is not None):
        raise StoreError("expected a measured scan to append to; found a subset of a file, or patches. Store it whole.")
    files = files_of(scan.patterns)
    if files and scan.metadata.source is not None and not Path(scan.metadata.source).is_dir():
        files = {*files, Path(scan.metadata.source)}
    found = [Fingerprint.of(path) for path in sorted(files)]
    source = scan.metadata.source
    patterns = _record(scan.patterns.shape, scan.patterns.dtype, chunk=chunk_rows(scan.patterns))
    return Manifest(
        state="live" if live else "whole",
        measurement=scan.measurement,
        sources=tuple(known for known in found if known is not None),
        metadata=Origin.of(replace(scan.metadata, source=None if source is None else str(Path(source).absolute()))),
        arrays={
            "patterns": patterns,
            "energy": _record((len(scan),), np.dtype(np.float64)),
            **{
                name: _record((0, *array.shape[1:]), array.dtype).grown(array)
                for name, array in _sidecars(scan).items()
            },
        },
    )


def _record(shape: tuple[int, ...], dtype: np.dtype, *, chunk: int = 1) -> ArrayRecord:
    """Return the record of an array; blocks are a whole number of the source's chunks."""
    row_bytes = max(1, int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize)
    rows = max(chunk, BLOCK_BYTES // row_bytes // chunk * chunk)
    return ArrayRecord(shape=shape, dtype=dtype.newbyteorder("=").str, block_rows=rows)


def _sidecars(scan: RawData) -> dict[str, np.ndarray]:
    """Return every array of a scan but its patterns, C-contiguous."""
    found = {
        "positions": scan.positions,
        "positions_nominal": scan.positions_nominal,
        "probe": scan.probe,
        "object": scan.object,
        "patches": scan.patches,
        "scan_index": scan.scan_index,
        "bad_pixels": scan.bad_pixels,
        "file_rows": scan.file_rows,
    }
    return {name: np.ascontiguousarray(array) for name, array in found.items() if array is not None}


def _exists(directory: Path, plan: Manifest) -> bool:
    """Tell whether the store of this plan is there already; refuse anything else but an empty directory."""
    if not directory.exists() or (directory.is_dir() and next(directory.iterdir(), None) is None):
        return False
    if plan.sources and read_manifest(directory).plan() == plan:
        return True
    read_manifest(directory)
    raise StoreError(
        f"{directory}: a store is here already, of another scan or of another state of its source. "
        "Delete it or choose another directory."
    )


def _check_space(partial: Path, plan: Manifest) -> None:
    needed = sum(record.file_bytes for record in plan.arrays.values())
    needed -= sum(path.stat().st_size for path in partial.iterdir())
    free = shutil.disk_usage(partial).free
    if needed > free:
        raise StoreError(
            f"{partial}: the store needs {needed} bytes more; the disk has {free} left. "
            "Make room or choose another place."
        )


@contextmanager
def _removed_unless_resumable(partial: Path, plan: Manifest) -> Iterator[None]:
    """Remove the partial store after an error, unless the same ingest may go on with it when the cause is gone."""
    try:
        yield
    except BaseException as error:
        if not plan.sources or isinstance(error, DataError):
            shutil.rmtree(partial, ignore_errors=True)
        raise


def _fill(scan: RawData, partial: Path, plan: Manifest, *, on_progress: OnProgress | None) -> Manifest:
    """Write every array into the partial store and return its manifest."""
    for name, array in _sidecars(scan).items():
        _write_array(partial, name, array)
    writer = _Writer(partial, plan.arrays["patterns"], scan=scan)
    with writer.opened(fresh=not _same_plan(partial, plan)) as n_done:
        if n_done:
            logger.info("%s: going on after %d finished blocks", partial, n_done)
        _copy(scan.patterns, writer, first=n_done, on_progress=on_progress)
    _write_array(partial, "energy", writer.energy)
    sync_directory(partial)
    arrays = {
        **plan.arrays,
        "patterns": plan.arrays["patterns"].model_copy(update={"checksums": tuple(writer.checksums)}),
        "energy": _record((0,), writer.energy.dtype).grown(writer.energy),
    }
    return plan.model_copy(update={"arrays": arrays})


def _same_plan(partial: Path, plan: Manifest) -> bool:
    """Tell whether the partial store was begun by the same plan; note this one if not."""
    path, text = partial / PLAN_NAME, plan.render()
    if plan.sources and path.exists() and path.read_bytes() == text:
        return True
    for name in (JOURNAL_NAME, "patterns.npy"):
        (partial / name).unlink(missing_ok=True)
    replace_text(path, text, durable=False)
    return False


def _write_array(partial: Path, name: str, array: Shaped[np.ndarray, "..."]) -> None:
    with array_path(partial, name).open("wb", buffering=0) as file:
        write_all(file.fileno(), npy_header(array.shape, array.dtype), offset=0)
        write_all(file.fileno(), array, offset=HEADER_BYTES)
        os.fsync(file.fileno())


def _copy(source: ArraySource, writer: "_Writer", *, first: int, on_progress: OnProgress | None) -> None:
    """Read block after block here, while a second thread sums, checks and writes the block before."""
    n_scan, rows = source.shape[0], writer.record.block_rows
    buffers = [np.empty((min(rows, n_scan), *source.shape[1:]), source.dtype) for _ in range(2)]
    report = on_progress or (lambda _done, _total: None)
    report(min(first * rows, n_scan), n_scan)
    with block_reader(source) as read, ThreadPoolExecutor(1) as thread:
        under_way: deque[Future[int]] = deque()
        for start in range(first * rows, n_scan, rows):
            if len(under_way) == len(buffers):
                report(under_way.popleft().result(), n_scan)
            stop = min(start + rows, n_scan)
            buffer = buffers[start // rows % len(buffers)][: stop - start]
            read(start, buffer)
            under_way.append(thread.submit(writer.store, buffer, start))
        while under_way:
            report(under_way.popleft().result(), n_scan)


class _Writer:
    """Patterns of a partial store: blocks go in one after the other, their checksums into the journal."""

    def __init__(self, partial: Path, record: ArrayRecord, *, scan: RawData) -> None:
        self.record = record
        self.energy: Float64[np.ndarray, " scan"] = np.zeros(record.shape[0])
        self.checksums: list[int] = []
        self._partial = partial
        self._measurement, self._bad_pixels = scan.measurement, scan.bad_pixels
        self._path = None if scan.metadata.source is None else Path(scan.metadata.source)
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        self._passes_cache = record.file_bytes > CACHED_SHARE * memory
        self._file = self._journal = -1

    @contextmanager
    def opened(self, *, fresh: bool) -> Iterator[int]:
        """Open the files, check what is finished, and give the number of good blocks; sync at the end."""
        path = array_path(self._partial, "patterns")
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        self._journal = os.open(self._partial / JOURNAL_NAME, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            write_all(self._file, npy_header(self.record.shape, np.dtype(self.record.dtype)), offset=0)
            if not fresh:
                self._recover()
            os.ftruncate(self._journal, 4 * len(self.checksums))
            yield len(self.checksums)
            os.fsync(self._file)
        finally:
            os.close(self._journal)
            os.close(self._file)

    def _recover(self) -> None:
        """Take over the blocks that the journal knows and whose bytes are still as it says."""
        n_scan, rows = self.record.shape[0], self.record.block_rows
        journal = os.pread(self._journal, 4 * -(-n_scan // rows), 0)
        for number, noted in enumerate(np.frombuffer(journal[: len(journal) // 4 * 4], "<u4").tolist()):
            start, stop = number * rows, min(n_scan, (number + 1) * rows)
            data = os.pread(
                self._file, (stop - start) * self.record.row_bytes, HEADER_BYTES + start * self.record.row_bytes
            )
            if len(data) < (stop - start) * self.record.row_bytes or checksum(data) != noted:
                return
            self._sum(np.frombuffer(data, self.record.dtype).reshape(-1, *self.record.shape[1:]), start)
            self.checksums.append(noted)

    def store(self, block: Shaped[np.ndarray, "rows N N"], start: int) -> int:
        """Sum, write and note one block; return the row after it."""
        if not block.dtype.isnative:
            block = block.byteswap(inplace=True).view(block.dtype.newbyteorder())
        self._sum(block, start)
        write_all(self._file, block, offset=HEADER_BYTES + start * self.record.row_bytes)
        self.checksums.append(checksum(block))
        if len(self.checksums) % SYNC_BLOCKS == 0:
            self._sync()
        write_all(
            self._journal, np.uint32(self.checksums[-1]).astype("<u4").tobytes(), offset=4 * len(self.checksums) - 4
        )
        return start + len(block)

    def _sync(self) -> None:
        """Wait for the disk; a store that would push everything else out of the page cache leaves it again."""
        os.fdatasync(self._file)
        if self._passes_cache and sys.platform == "linux":
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)

    def _sum(self, block: Shaped[np.ndarray, "rows N N"], start: int) -> None:
        rows = np.arange(start, start + len(block))
        self.energy[rows] = energy_sums(
            _Block(block, start),
            measurement=self._measurement,
            rows=rows,
            bad_pixels=self._bad_pixels,
            path=self._path,
        )


@dataclass(frozen=True, eq=False)
class _Block:
    """A block of consecutive rows under the numbers that they have in the scan."""

    block: np.ndarray
    start: int
    access: str = "in memory"
    random_access: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.start + len(self.block), *self.block.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        return self.block.dtype

    def read(self, rows: Rows, out: np.ndarray | None = None) -> np.ndarray:
        numbers = row_numbers(rows, self.shape[0]) - self.start
        found = self.block[numbers[0] : numbers[-1] + 1]
        if out is None:
            return found
        out[:] = found
        return out
