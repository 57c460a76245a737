"""Ingest: bounded memory, killed and resumed, one at a time, and never half a store."""

import errno
import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from ptychofold.data import files, ingest
from ptychofold.data.store import PatternStore
from ptychofold.errors import DomainError, FormatError, StoreError
from ptychofold.formats.hdf5 import open_array
from ptychofold.raw_data import RawData
from ptychofold.testing import make_scan

N_SCAN, N = 300, 32


@pytest.fixture(scope="module")
def scan() -> RawData:
    return make_scan(n_scan=N_SCAN, N=N)


@pytest.fixture(scope="module")
def compressed(scan: RawData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "scan.npz"
    write_compressed(scan, path)
    return path


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "BLOCK_BYTES", 16384)


def write_compressed(scan: RawData, path: Path) -> None:
    y, x = scan.positions.T
    np.savez_compressed(path, xcoords=x, ycoords=y, diff3d=everything(scan), probeGuess=scan.probe[0])


def everything(scan: RawData) -> np.ndarray:
    return scan.patterns.read(np.arange(len(scan)))


def in_hdf5(path: Path, patterns: np.ndarray, scan: RawData, **options: Any) -> RawData:  # noqa: ANN401 (of h5py)
    """Return a scan like another one whose patterns lie in an HDF5 file."""
    with h5py.File(path, "w") as file:
        file.create_dataset("patterns", data=patterns, **options)
    with h5py.File(path) as file:
        return with_patterns(open_array(file["patterns"]), scan)


def read(path: Path) -> RawData:
    return RawData.from_file(path, measurement="intensity")


def with_patterns(source: object, scan: RawData) -> RawData:
    return RawData.from_arrays(
        patterns=source,  # type: ignore[arg-type]
        positions=scan.positions,
        probe=scan.probe,
        measurement="intensity",
    )


class Stopped(Exception):
    """Raised by a test to end an ingest."""


def stop_after(n_patterns: int) -> Callable[[int, int], None]:
    def on_progress(done: int, _total: int) -> None:
        if done >= n_patterns:
            raise Stopped

    return on_progress


def stored_by(path: Path, directory: Path) -> list[int]:
    """Ingest and return the numbers of patterns that were reported."""
    seen: list[int] = []
    PatternStore.create(read(path), directory, on_progress=lambda done, _total: seen.append(done)).verify()
    return seen


# ------------------------------------------------------------------------------------------------------------- stopped


def test_progress_runs_from_nothing_to_every_pattern(compressed: Path, tmp_path: Path) -> None:
    seen = stored_by(compressed, tmp_path / "store")
    assert seen == [*range(0, N_SCAN, 8), N_SCAN]


def test_an_interrupted_ingest_goes_on_where_it_stopped(compressed: Path, tmp_path: Path, scan: RawData) -> None:
    with pytest.raises(Stopped):
        PatternStore.create(read(compressed), tmp_path / "store", on_progress=stop_after(80))
    with pytest.raises(StoreError, match="incomplete"):
        PatternStore.open(tmp_path / "store")
    assert stored_by(compressed, tmp_path / "store")[0] >= 80
    store = PatternStore.open(tmp_path / "store")
    assert np.array_equal(everything(store.scan), everything(scan))
    assert np.array_equal(store.scan.energies(), everything(scan).sum(axis=(1, 2), dtype=np.float64))


def test_a_store_that_would_fill_the_page_cache_leaves_it_and_holds_the_same(
    compressed: Path, tmp_path: Path, scan: RawData, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go: list[int] = []
    monkeypatch.setattr(ingest, "CACHED_SHARE", 0)
    monkeypatch.setattr(os, "posix_fadvise", lambda *_: let_go.append(1))
    stored_by(compressed, tmp_path / "store")
    assert let_go
    assert np.array_equal(everything(PatternStore.open(tmp_path / "store").scan), everything(scan))


def test_a_finished_block_that_is_damaged_is_made_again(compressed: Path, tmp_path: Path, scan: RawData) -> None:
    with pytest.raises(Stopped):
        PatternStore.create(read(compressed), tmp_path / "store", on_progress=stop_after(80))
    with (tmp_path / "store.partial" / "patterns.npy").open("r+b") as file:
        file.seek(128 + 20 * N * N * 2)
        file.write(b"damage")
    assert stored_by(compressed, tmp_path / "store")[0] == 16
    assert np.array_equal(everything(PatternStore.open(tmp_path / "store").scan), everything(scan))


def test_a_source_that_changed_meanwhile_is_ingested_from_the_start(compressed: Path, tmp_path: Path) -> None:
    path = tmp_path / "scan.npz"
    path.write_bytes(compressed.read_bytes())
    with pytest.raises(Stopped):
        PatternStore.create(read(path), tmp_path / "store", on_progress=stop_after(80))
    other = make_scan(n_scan=N_SCAN, N=N, seed=1)
    write_compressed(other, path)
    assert stored_by(path, tmp_path / "store")[0] == 0
    assert np.array_equal(everything(PatternStore.open(tmp_path / "store").scan), everything(other))


def test_a_scan_in_memory_leaves_nothing_behind_when_it_is_interrupted(scan: RawData, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        PatternStore.create(scan, tmp_path / "store", on_progress=stop_after(80))
    assert list(tmp_path.iterdir()) == []


def test_killed_at_random_moments_every_restart_ends_in_a_store_that_verifies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_compressed(make_scan(n_scan=1000, N=N, n_photons=1e6), tmp_path / "scan.npz")
    monkeypatch.setattr(ingest, "BLOCK_BYTES", 65536)
    scan, directory = read(tmp_path / "scan.npz"), tmp_path / "store"
    start = time.perf_counter()
    PatternStore.create(scan, tmp_path / "whole")
    duration = time.perf_counter() - start
    n_killed = 0
    for delay in np.random.default_rng(0).uniform(0, 0.7 * duration, 5):
        process = multiprocessing.get_context("fork").Process(target=PatternStore.create, args=(scan, directory))
        process.start()
        time.sleep(delay)
        process.kill()
        process.join()
        n_killed += process.exitcode == -9
        if not directory.exists():
            with pytest.raises(StoreError):
                PatternStore.open(directory)
    assert n_killed
    PatternStore.create(scan, directory).verify()
    assert (directory / "manifest.json").read_bytes() == (tmp_path / "whole" / "manifest.json").read_bytes()
    assert sorted(p.name for p in directory.iterdir()) == sorted(p.name for p in (tmp_path / "whole").iterdir())


# ------------------------------------------------------------------------------------------------------------ one wins


def test_of_two_ingests_into_one_directory_one_wins_and_the_other_says_why(compressed: Path, tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait(_done: int, _total: int) -> None:
        begun.set()
        go_on.wait()

    first = threading.Thread(
        target=PatternStore.create, args=(read(compressed), tmp_path / "store"), kwargs={"on_progress": wait}
    )
    first.start()
    begun.wait()
    try:
        with pytest.raises(StoreError, match=r"store\.partial: another process is ingesting into it"):
            PatternStore.create(read(compressed), tmp_path / "store")
    finally:
        go_on.set()
        first.join()
    PatternStore.open(tmp_path / "store").verify()


def test_the_lock_is_refused_when_the_directory_was_renamed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def renamed_before_locking(_file: object) -> bool:
        (tmp_path / "a").rename(tmp_path / "b")
        return True

    (tmp_path / "a").mkdir()
    monkeypatch.setattr(files, "_lock", renamed_before_locking)
    with pytest.raises(StoreError, match="another process is working"), files.locked(tmp_path / "a", doing="working"):
        pass


def test_a_store_that_is_there_already_is_opened_again(compressed: Path, tmp_path: Path) -> None:
    PatternStore.create(read(compressed), tmp_path / "store")
    before = (tmp_path / "store" / "patterns.npy").stat().st_mtime_ns
    assert len(PatternStore.create(read(compressed), tmp_path / "store")) == N_SCAN
    assert (tmp_path / "store" / "patterns.npy").stat().st_mtime_ns == before


def test_a_store_of_another_scan_is_not_replaced(compressed: Path, tmp_path: Path, scan: RawData) -> None:
    PatternStore.create(read(compressed), tmp_path / "store")
    with pytest.raises(StoreError, match="a store is here already"):
        PatternStore.create(scan, tmp_path / "store")


def test_a_directory_of_something_else_is_not_replaced_but_an_empty_one_is_filled(
    scan: RawData, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    assert len(PatternStore.create(scan, tmp_path / "folder")) == N_SCAN
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    with pytest.raises(StoreError, match=r"has no manifest\.json"):
        PatternStore.create(scan, tmp_path / "full")


def test_a_store_cannot_be_named_like_an_unfinished_one(scan: RawData, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="Choose another one"):
        PatternStore.create(scan, tmp_path / "store.partial")


# -------------------------------------------------------------------------------------------------------------- errors


def test_a_full_disk_ends_in_an_error_and_after_making_room_the_ingest_goes_on(
    compressed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = 20 * 16384
    write = os.pwrite

    def pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        if offset + len(data) > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        with pytest.raises(StoreError, match=r"the disk is full\. Make room"):
            PatternStore.create(read(compressed), tmp_path / "store")
    with pytest.raises(StoreError, match="incomplete"):
        PatternStore.open(tmp_path / "store")
    assert stored_by(compressed, tmp_path / "store")[0] > 0


def test_a_disk_that_is_too_small_is_told_before_anything_is_read(
    compressed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "BLOCK_BYTES", 1 << 20)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(StoreError, match=r"needs \d+ bytes more; the disk has 1000 left"):
        PatternStore.create(read(compressed), tmp_path / "store")


def test_a_place_that_cannot_be_written_is_named(scan: RawData, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"writing failed: Not a directory|writing failed: File exists"):
        PatternStore.create(scan, tmp_path / "file" / "store")


def test_a_source_that_cannot_be_read_to_its_end_leaves_no_store(compressed: Path, tmp_path: Path) -> None:
    path = tmp_path / "scan.npz"
    path.write_bytes(compressed.read_bytes())
    scan = read(path)
    path.write_bytes(compressed.read_bytes()[:-1000])
    with pytest.raises(FormatError):
        PatternStore.create(scan, tmp_path / "store")
    with pytest.raises(StoreError):
        PatternStore.open(tmp_path / "store")


def test_a_wrong_pattern_is_named_by_its_row_and_leaves_nothing(tmp_path: Path, scan: RawData) -> None:
    patterns = everything(scan).astype(np.float32)
    patterns[155, 3, 4] = np.nan
    wrong = in_hdf5(tmp_path / "scan.h5", patterns, scan)
    with pytest.raises(DomainError, match="found nan in row 155"):
        PatternStore.create(wrong, tmp_path / "store")
    assert [path.name for path in tmp_path.iterdir()] == ["scan.h5"]


# -------------------------------------------------------------------------------------------------------- HDF5, memory


FILTERS: dict[str, Mapping[str, object]] = {
    "none": {},
    "gzip": {"compression": "gzip", "compression_opts": 1},
    "shuffle and gzip": {"compression": "gzip", "shuffle": True},
    "lzf": {"compression": "lzf"},
    "bitshuffle": hdf5plugin.Bitshuffle(),
    "bitshuffle, Zstandard": hdf5plugin.Bitshuffle(cname="zstd"),
}


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("chunk", [(1, N, N), (7, N, N), (4, N // 2, N)])
@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.float32])
def test_every_chunked_source_is_stored_as_it_is(
    scan: RawData, tmp_path: Path, filters: str, chunk: tuple[int, ...], dtype: type[np.generic]
) -> None:
    patterns = everything(scan).astype(dtype)
    chunked = in_hdf5(tmp_path / "scan.h5", patterns, scan, chunks=chunk, **FILTERS[filters])
    store = PatternStore.create(chunked, tmp_path / "store")
    assert np.array_equal(everything(store.scan), patterns)
    assert store.manifest.arrays["patterns"].block_rows % chunk[0] == 0


def test_chunks_that_were_never_written_are_zeros(scan: RawData, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        dataset = file.create_dataset("patterns", (N_SCAN, N, N), np.uint16, chunks=(4, N, N), compression="gzip")
        dataset[:10] = everything(scan)[:10]
        source = open_array(dataset)
    stored = everything(PatternStore.create(with_patterns(source, scan), tmp_path / "store").scan)
    assert np.array_equal(stored[:10], everything(scan)[:10])
    assert not stored[10:].any()


@pytest.mark.parametrize("filters", ["gzip", "shuffle and gzip", "bitshuffle"])
def test_a_damaged_chunk_is_an_error_that_names_the_file(scan: RawData, tmp_path: Path, filters: str) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        dataset = file.create_dataset("patterns", data=everything(scan), chunks=(4, N, N), **FILTERS[filters])
        source = open_array(dataset)
        damaged = dataset.id.get_chunk_info_by_coord((200, 0, 0))
        intact = with_patterns(source, scan)
    with (tmp_path / "scan.h5").open("r+b") as raw:
        raw.seek(damaged.byte_offset)
        raw.write(b"\xff" * damaged.size)
    with pytest.raises(FormatError, match=r"scan\.h5: reading /patterns failed"):
        PatternStore.create(intact, tmp_path / "store")


@pytest.fixture
def anonymous_bytes() -> Iterator[Callable[[], int]]:
    """Watch this process's anonymous memory; the function returns its greatest growth so far."""
    start, peak, done = _anonymous(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.001):
            peak[0] = max(peak[0], _anonymous() - start)

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield lambda: peak[0]
    done.set()
    watcher.join()


def _anonymous() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024


@pytest.mark.parametrize("filters", ["gzip", "bitshuffle", "lzf"])
def test_ingest_takes_memory_for_two_blocks_and_not_for_the_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anonymous_bytes: Callable[[], int], filters: str
) -> None:
    n_scan, block = 1536, 2 << 20
    monkeypatch.setattr(ingest, "BLOCK_BYTES", block)
    some = np.random.default_rng(0).poisson(0.05, (64, 128, 128)).astype(np.uint16)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        dataset = file.create_dataset(
            "patterns", (n_scan, 128, 128), np.uint16, chunks=(16, 128, 128), **FILTERS[filters]
        )
        for start in range(0, n_scan, len(some)):
            dataset[start : start + len(some)] = some
        source = open_array(dataset)
    scan = RawData.from_arrays(
        patterns=source,
        positions=np.random.default_rng(0).uniform(70, 300, (n_scan, 2)),
        probe=np.ones((128, 128), np.complex64),
        measurement="intensity",
    )
    before = anonymous_bytes()
    PatternStore.create(scan, tmp_path / "store")
    size = n_scan * 128 * 128 * 2
    assert anonymous_bytes() - before < 8 * block < size / 2
