"""A live store: one writer, readers that see whole patterns only, and a count of what was dropped."""

import errno
import multiprocessing
import os
import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ptychofold.config import GroupingConfig
from ptychofold.data import GroupedDataset, ingest
from ptychofold.data.appends import MOST_LINES
from ptychofold.data.live import StoreWriter
from ptychofold.data.store import PatternStore
from ptychofold.errors import DtypeError, ShapeError, StoreError
from ptychofold.raw_data import RawData
from ptychofold.testing import make_scan

N = 16


@pytest.fixture(scope="module")
def scan() -> RawData:
    return make_scan(n_scan=60, N=N)


@pytest.fixture
def store(scan: RawData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PatternStore:
    """Ten patterns of the scan in a live store whose blocks have seven rows."""
    monkeypatch.setattr(ingest, "BLOCK_BYTES", 7 * N * N * 2)
    return PatternStore.create(first(scan, 10), tmp_path / "live", live=True)


def first(scan: RawData, count: int) -> RawData:
    patterns, positions = part(scan, 0, count)
    return RawData.from_arrays(
        patterns=patterns,
        positions=positions,
        probe=scan.probe,
        scan_index=np.full(count, 4),
        measurement="intensity",
    )


def part(scan: RawData, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    return scan.patterns.read(np.arange(start, stop)), scan.positions[start:stop]


def assert_shows(store: PatternStore, scan: RawData, count: int) -> None:
    assert len(store) == count
    patterns, positions = part(scan, 0, count)
    assert np.array_equal(store.scan.patterns.read(np.arange(count)), patterns)
    assert np.array_equal(store.scan.positions, positions)
    assert np.array_equal(store.scan.energies(), patterns.sum(axis=(1, 2), dtype=np.float64))


def test_appended_patterns_are_seen_by_a_reader_that_looks_again(scan: RawData, store: PatternStore) -> None:
    earlier = PatternStore.open(store.directory)
    grown = store.append(*part(scan, 10, 33))
    assert_shows(grown, scan, 33)
    assert_shows(earlier, scan, 10)
    assert_shows(earlier.refresh(), scan, 33)
    assert grown.scan.scan_index.tolist() == [4] * 33


@pytest.mark.parametrize("cuts", [[10, 11, 12, 60], [10, 14, 21, 28, 60], [10, 60], [10, 10, 17, 60]])
def test_however_patterns_are_appended_the_store_verifies_and_numpy_maps_it(
    scan: RawData, store: PatternStore, cuts: list[int]
) -> None:
    with store.writer() as writer:
        for start, stop in pairwise(cuts):
            assert writer.append(*part(scan, start, stop)) == 0
            store.verify()
            assert len(np.load(store.directory / "patterns.npy", mmap_mode="r")) == stop == writer.n_scan
        writer.finish()
    assert_shows(PatternStore.open(store.directory), scan, 60)
    store.verify()


def test_a_finished_store_is_whole_and_takes_no_more(scan: RawData, store: PatternStore) -> None:
    assert store.is_live
    with store.writer() as writer:
        writer.finish()
    assert not store.refresh().is_live
    with pytest.raises(StoreError, match="expected a live store to append to; this one is whole"):
        store.append(*part(scan, 10, 11))


def test_patterns_that_cannot_be_stored_are_dropped_and_counted(scan: RawData, tmp_path: Path) -> None:
    begun = RawData.from_arrays(
        patterns=part(scan, 0, 10)[0].astype(np.float32),
        positions=scan.positions[:10],
        probe=scan.probe,
        measurement="intensity",
    )
    store = PatternStore.create(begun, tmp_path / "live", live=True)
    patterns, positions = part(scan, 10, 20)
    patterns, positions = patterns.astype(np.float32), positions.copy()
    patterns[2, 0, 0], patterns[4, 1, 1], positions[7, 1] = np.nan, -1, np.nan
    with store.writer() as writer:
        assert writer.append(patterns, positions, n_dropped=5) == 8
        assert writer.append(patterns[:2], positions[:2], positions_nominal=positions[:2] + 1) == 0
        assert (writer.n_scan, writer.n_dropped) == (19, 8)
    now = store.refresh()
    assert (len(now), now.n_dropped) == (19, 8)
    assert np.array_equal(now.scan.positions[10:17], positions[[0, 1, 3, 5, 6, 8, 9]])
    assert np.array_equal(now.scan.positions_nominal[17:], positions[:2] + 1)


def test_patterns_and_positions_must_fit_the_store_and_each_other(scan: RawData, store: PatternStore) -> None:
    patterns, positions = part(scan, 10, 12)
    with store.writer() as writer:
        with pytest.raises(ShapeError, match=r"expected patterns of shape \(n, 16, 16\)"):
            writer.append(patterns[:, :8], positions)
        with pytest.raises(DtypeError, match="expected patterns of uint16, as the store has; found float32"):
            writer.append(patterns.astype(np.float32), positions)
        with pytest.raises(ShapeError, match=r"expected positions of shape \(2, 2\)"):
            writer.append(patterns, positions[:1])
        with pytest.raises(ShapeError, match=r"expected positions_nominal of shape \(2, 2\)"):
            writer.append(patterns, positions, positions_nominal=positions[:1])
    assert_shows(store.refresh(), scan, 10)


def test_there_is_one_writer(scan: RawData, store: PatternStore) -> None:
    with store.writer(), pytest.raises(StoreError, match="another process is appending to it"):
        store.append(*part(scan, 10, 12))
    assert_shows(store.append(*part(scan, 10, 12)), scan, 12)


def test_subsets_and_scans_with_patches_are_not_appended_to(scan: RawData, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="expected a measured scan to append to"):
        PatternStore.create(scan.subset([1, 2]), tmp_path / "live", live=True)


def test_a_full_disk_costs_only_the_patterns_of_that_call(
    scan: RawData, store: PatternStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, n_left = os.pwrite, [3]

    def pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        if not n_left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        n_left[0] -= 1
        return write(descriptor, data, offset)

    with store.writer() as writer:
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", pwrite)
            with pytest.raises(StoreError, match="What was appended before is whole"):
                writer.append(*part(scan, 20, 40))
        assert_shows(store.refresh(), scan, 10)
        store.verify()
        writer.append(*part(scan, 10, 12))
        writer.finish()
    assert_shows(store.refresh(), scan, 12)
    store.verify()


def test_a_writer_that_was_killed_leaves_whole_patterns_and_the_next_one_goes_on(
    scan: RawData, store: PatternStore
) -> None:
    for delay in np.random.default_rng(0).uniform(0.02, 0.1, 4):
        process = multiprocessing.get_context("fork").Process(target=append_singly, args=(store, scan))
        process.start()
        time.sleep(delay)
        process.kill()
        process.join()
        store.verify()
        assert_shows(store.refresh(), scan, len(store.refresh()))
    append_singly(store, scan)
    assert_shows(store.refresh(), scan, 60)
    store.verify()


def append_singly(store: PatternStore, scan: RawData) -> None:
    with store.writer() as writer:
        for row in range(writer.n_scan, 60):
            writer.append(*part(scan, row, row + 1))


def test_a_reader_alongside_sees_nothing_torn_and_loses_nothing(tmp_path: Path) -> None:
    """Every pattern and position holds its own number, so that a torn or misplaced row is seen at once."""
    side, batch, n_batches = 64, 20, 60

    def numbered(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        numbers = np.arange(start, stop) + 1
        patterns = np.broadcast_to(numbers[:, None, None], (len(numbers), side, side)).astype(np.uint16)
        return patterns, np.stack([numbers, -numbers], axis=1).astype(np.float64)

    patterns, positions = numbered(0, batch)
    begun = RawData.from_arrays(
        patterns=patterns, positions=positions, probe=np.ones((side, side), np.complex64), measurement="intensity"
    )
    store = PatternStore.create(begun, tmp_path / "live", live=True)

    def write() -> None:
        with StoreWriter(store.directory) as writer:
            for number in range(1, n_batches):
                writer.append(*numbered(number * batch, (number + 1) * batch))
                time.sleep(0.005)

    writer = threading.Thread(target=write)
    writer.start()
    n_seen, n_looks = 0, 0
    while n_seen < batch * n_batches:
        now = store.refresh()
        assert len(now) >= n_seen
        assert len(now) % batch == 0
        for row in {n_seen, len(now) - 1} if len(now) > n_seen else set():
            assert (now.scan.patterns.read(np.array([row])) == row + 1).all()
            assert now.scan.positions[row].tolist() == [row + 1, -row - 1]
        n_seen, n_looks = len(now), n_looks + 1
    writer.join()
    whole = store.refresh().scan.patterns.read(slice(0, n_seen))
    assert np.array_equal(whole, numbered(0, n_seen)[0])
    assert n_looks > 10


def test_many_appends_are_found_again_by_another_writer_and_by_readers(scan: RawData, tmp_path: Path) -> None:
    store = PatternStore.create(first(scan, 1), tmp_path / "live", live=True)
    n_appends = 2 * MOST_LINES + 5
    with store.writer() as writer:
        for number in range(n_appends):
            writer.append(*part(scan, number % 50, number % 50 + 1))
            if number % 60 == 0:
                assert len(store.refresh()) == number + 2
    with store.writer() as writer:
        assert writer.n_scan == n_appends + 1
        writer.append(*part(scan, 0, 3), n_dropped=2)
        writer.sync()
    now = store.refresh()
    assert (len(now), now.n_dropped) == (n_appends + 4, 2)
    now.verify()
    with store.writer() as writer:
        writer.finish()
    assert not list(store.directory.glob("*.log"))


def test_only_dropped_patterns_are_counted_too(scan: RawData, store: PatternStore) -> None:
    with store.writer() as writer:
        writer.append(*part(scan, 0, 0), n_dropped=3)
    assert (len(store.refresh()), store.refresh().n_dropped) == (10, 3)


def test_an_unfinished_line_of_the_log_does_not_count_and_a_damaged_one_is_found(
    scan: RawData, store: PatternStore
) -> None:
    with store.writer() as writer:
        for row in range(10, 14):
            writer.append(*part(scan, row, row + 1))
        (log,) = store.directory.glob("*.log")
        whole = log.read_bytes()
    log.write_bytes(whole[:-5])
    assert_shows(store.refresh(), scan, 13)
    log.write_bytes(whole[:40] + b"?" + whole[41:])
    with pytest.raises(StoreError, match="line 1 of its log of appends is damaged; it holds 10 patterns"):
        store.refresh()
    log.write_bytes(whole)
    with store.writer() as writer:
        assert writer.n_scan == 14


def test_a_dataset_trains_on_what_has_been_measured_so_far(scan: RawData, store: PatternStore) -> None:
    grown = store.append(*part(scan, 10, 40))
    dataset = GroupedDataset(grown.scan, GroupingConfig(grid=(2, 2), n_neighbors=5, seed=0))
    assert dataset.load().diffraction.shape[1:] == (4, N, N)


def test_the_energy_of_appended_patterns_leaves_out_bad_pixels(tmp_path: Path) -> None:
    scan = make_scan(n_scan=9, N=N, n_bad_pixels=3)
    assert scan.bad_pixels is not None
    patterns = scan.patterns.read(slice(0, 9)).copy()
    patterns[:, scan.bad_pixels] = np.iinfo(patterns.dtype).max
    head = np.arange(4)
    begun = replace(scan.with_patterns(patterns).subset(head), file_rows=None)
    store = PatternStore.create(begun, tmp_path / "live", live=True)
    with StoreWriter(store.directory) as writer:
        writer.append(patterns[4:], scan.positions[4:])
    assert np.array_equal(PatternStore.open(store.directory).scan.energies(), scan.energies())


def test_markers_in_bad_pixels_cost_no_pattern(tmp_path: Path) -> None:
    mask = np.zeros((N, N), bool)
    mask[2, 3] = True
    counts = np.ones((4, N, N), np.int32)
    counts[:, 2, 3] = -1
    positions = np.array([[8.0, 8.0], [8.0, 9.0], [9.0, 8.0], [9.0, 9.0]])
    scan = RawData.from_arrays(
        patterns=counts, positions=positions, probe=np.ones((N, N), np.complex64), bad_pixels=mask,
        measurement="intensity",
    )  # fmt: skip
    store = PatternStore.create(scan, tmp_path / "live", live=True)
    later = counts.copy()
    later[3, 5, 5] = -1
    with store.writer() as writer:
        assert writer.append(later, positions) == 1
    assert later[0, 2, 3] == -1
    grown = store.refresh().scan
    assert len(grown) == 7
    assert (grown.patterns.read(slice(None))[:, 2, 3] == 0).all()
    assert (grown.energies() == N * N - 1).all()
