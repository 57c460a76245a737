"""PatternStore: what it shows of a scan, what it refuses to open, and what verify finds."""

import json
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptychofold.data import ingest
from ptychofold.data.store import PatternStore
from ptychofold.errors import StoreError
from ptychofold.raw_data import RawData
from ptychofold.scaling import energy_sums
from ptychofold.testing import make_scan


@pytest.fixture(scope="module")
def scan() -> RawData:
    return make_scan(n_scan=30, N=16, n_modes=2, n_bad_pixels=3, patches=True, nominal_error=0.5)


@pytest.fixture(scope="module")
def store(scan: RawData, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PatternStore]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "BLOCK_BYTES", 1024)
        yield PatternStore.create(scan, tmp_path_factory.mktemp("stores") / "scan")


def everything(scan: RawData) -> np.ndarray:
    return scan.patterns.read(np.arange(len(scan)))


@contextmanager
def changed_byte(path: Path, offset: int, change: int) -> Iterator[None]:
    whole = path.read_bytes()
    path.write_bytes(whole[:offset] + bytes([whole[offset] ^ change]) + whole[offset + 1 :])
    try:
        yield
    finally:
        path.write_bytes(whole)


def test_a_store_shows_every_field_of_its_scan(scan: RawData, store: PatternStore) -> None:
    opened = PatternStore.open(store.directory).scan
    assert np.array_equal(everything(opened), everything(scan))
    assert opened.patterns.dtype == scan.patterns.dtype
    for item in fields(RawData):
        if item.name not in ("patterns", "metadata", "energy"):
            assert np.array_equal(getattr(opened, item.name), getattr(scan, item.name)), item.name
    assert opened.metadata == scan.metadata


def test_the_scan_of_a_store_is_read_only_and_mapped(store: PatternStore) -> None:
    assert store.scan.patterns.random_access
    assert "mapped" in store.scan.patterns.access
    with pytest.raises(ValueError, match="read-only"):
        store.scan.positions[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        store.scan.patterns.read(slice(0, 2))[0] = 0


def test_anyone_can_map_the_patterns_with_numpy(scan: RawData, store: PatternStore) -> None:
    mapped = np.load(store.directory / "patterns.npy", mmap_mode="r", allow_pickle=False)
    assert np.array_equal(mapped, everything(scan))


@pytest.mark.parametrize("measurement", ["amplitude", "intensity"])
def test_the_stored_energy_is_that_of_the_patterns(tmp_path: Path, measurement: str) -> None:
    scan = make_scan(n_scan=9, N=16, measurement=measurement)  # type: ignore[arg-type]
    store = PatternStore.create(scan, tmp_path / "scan")
    assert np.array_equal(store.scan.energies(), energy_sums(scan.patterns, measurement=scan.measurement))


def test_numbers_of_foreign_byte_order_are_stored_in_this_machines(tmp_path: Path) -> None:
    scan = make_scan(n_scan=9, N=16)
    swapped = RawData.from_arrays(
        patterns=everything(scan).astype(">u2"), positions=scan.positions, probe=scan.probe, measurement="intensity"
    )
    store = PatternStore.create(swapped, tmp_path / "scan")
    assert store.scan.patterns.dtype.isnative
    assert np.array_equal(everything(store.scan), everything(scan))


def test_a_store_goes_to_another_process_without_its_patterns(tmp_path: Path) -> None:
    store = PatternStore.create(make_scan(n_scan=400, N=32), tmp_path / "scan")
    sent = pickle.dumps(store)
    assert len(sent) < (store.directory / "patterns.npy").stat().st_size / 4
    assert np.array_equal(everything(pickle.loads(sent).scan), everything(store.scan))


def test_a_subset_of_a_file_remembers_its_rows(tmp_path: Path) -> None:
    subset = make_scan(n_scan=30, N=16).subset([7, 3, 20])
    store = PatternStore.create(subset, tmp_path / "scan")
    assert store.scan.file_rows is not None
    assert store.scan.file_rows.tolist() == [7, 3, 20]
    assert np.array_equal(everything(store.scan), everything(subset))


def test_a_store_takes_hardly_more_bytes_than_its_patterns(tmp_path: Path) -> None:
    n_scan, N = 1500, 64
    scan = RawData.from_arrays(
        patterns=np.ones((n_scan, N, N), np.uint16),
        positions=np.random.default_rng(0).uniform(40, 400, (n_scan, 2)),
        probe=np.ones((N, N), np.complex64),
        object=np.ones((450, 450), np.complex64),
        measurement="intensity",
    )
    store = PatternStore.create(scan, tmp_path / "scan")
    raw = n_scan * N * N * 2 + scan.probe.nbytes + 450 * 450 * 8 + scan.positions.nbytes
    assert sum(path.stat().st_size for path in store.directory.iterdir()) < 1.02 * raw


def test_history_and_facts_of_the_scan_survive(tmp_path: Path) -> None:
    scan = make_scan(n_scan=9, N=16)
    known = replace(
        scan.metadata,
        history=({"step": "crop", "size": 16, "center": (8, 8)},),
        extra={"beamline": "2-ID", "n": np.int64(3)},
    )
    store = PatternStore.create(replace(scan, metadata=known), tmp_path / "scan")
    assert store.scan.metadata.history == ({"step": "crop", "size": 16, "center": [8, 8]},)
    assert store.scan.metadata.extra == {"beamline": "2-ID", "n": 3}


# -------------------------------------------------------------------------------------------------------------- verify


def test_verify_passes_a_store_that_is_whole(store: PatternStore) -> None:
    seen: list[tuple[int, int]] = []
    store.verify(on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] > 0


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_changed_byte_of_any_file_is_found(store: PatternStore, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(store.directory.iterdir())))
    offset = data.draw(st.integers(0, path.stat().st_size - 1))
    with changed_byte(path, offset, data.draw(st.integers(1, 255))), pytest.raises(StoreError):
        PatternStore.open(store.directory).verify()


def test_verify_names_the_damaged_rows(store: PatternStore) -> None:
    row_bytes = 16 * 16 * 2
    rows = store.manifest.arrays["patterns"].block_rows
    first = 12 // rows * rows
    damaged = changed_byte(store.directory / "patterns.npy", 128 + 12 * row_bytes, 1)
    with damaged, pytest.raises(StoreError, match=rf"patterns \(rows {first} to {min(first + rows, 30) - 1}\)"):
        store.verify()


def test_verify_names_a_damaged_header(store: PatternStore) -> None:
    with changed_byte(store.directory / "probe.npy", 20, 1), pytest.raises(StoreError, match=r"probe \(header\)"):
        store.verify()


def test_verify_names_some_of_many_damages(store: PatternStore) -> None:
    path = store.directory / "patterns.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:128] + bytes(byte ^ 1 for byte in whole[128:]))
    try:
        with pytest.raises(StoreError, match=r"and \d+ more"):
            PatternStore.open(store.directory).verify()
    finally:
        path.write_bytes(whole)


# ------------------------------------------------------------------------------------------------------------ refusals


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return PatternStore.create(make_scan(n_scan=4, N=8), tmp_path / "scan").directory


def test_a_missing_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="found nothing under this name"):
        PatternStore.open(tmp_path / "absent")


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "scan.npz").write_bytes(b"PK")
    with pytest.raises(StoreError, match="found a file"):
        PatternStore.open(tmp_path / "scan.npz")


def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"has no manifest\.json"):
        PatternStore.open(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": "zarr"}')
    with pytest.raises(StoreError, match="is of something else"):
        PatternStore.open(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(StoreError, match="is of something else"):
        PatternStore.open(tmp_path)


def test_an_incomplete_store_is_refused_under_both_names(tmp_path: Path, small: Path) -> None:
    small.rename(tmp_path / "other.partial")
    with pytest.raises(StoreError, match="Run the ingest again"):
        PatternStore.open(tmp_path / "other.partial")
    with pytest.raises(StoreError, match=r"see other\.partial"):
        PatternStore.open(tmp_path / "other")


def test_a_store_of_a_newer_schema_is_refused(small: Path) -> None:
    manifest = json.loads((small / "manifest.json").read_text())
    (small / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 2, "compression": "new"}))
    with pytest.raises(StoreError, match=r"schema version 2.*Update ptychofold"):
        PatternStore.open(small)


@pytest.mark.parametrize("text", ["{", '{"format": "ptychofold store", "schema_version": 1}'])
def test_a_damaged_manifest_is_refused(small: Path, text: str) -> None:
    (small / "manifest.json").write_text(text)
    with pytest.raises(StoreError, match="fails its checksum"):
        PatternStore.open(small)


def test_a_reformatted_manifest_is_refused(small: Path) -> None:
    path = small / "manifest.json"
    path.write_text(path.read_text().replace(" ", "  ", 1))
    with pytest.raises(StoreError, match="fails its checksum"):
        PatternStore.open(small)


def test_an_unreadable_manifest_is_refused(small: Path) -> None:
    (small / "manifest.json").unlink()
    (small / "manifest.json").mkdir()
    with pytest.raises(StoreError, match="the manifest cannot be read"):
        PatternStore.open(small)


def test_a_store_without_one_of_its_files_is_refused(small: Path) -> None:
    (small / "positions.npy").unlink()
    with pytest.raises(StoreError, match=r"positions\.npy cannot be found"):
        PatternStore.open(small)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_store_with_a_file_of_another_size_is_refused(small: Path, change: int) -> None:
    path = small / "patterns.npy"
    os.truncate(path, path.stat().st_size + change)
    with pytest.raises(StoreError, match=r"expected [0-9]+ bytes of patterns\.npy"):
        PatternStore.open(small)


def test_a_store_whose_source_changed_is_refused_unless_wanted(tmp_path: Path) -> None:
    make_scan(n_scan=4, N=8).to_file(tmp_path / "scan.npz")
    store = PatternStore.create(RawData.from_file(tmp_path / "scan.npz"), tmp_path / "store")
    os.utime(tmp_path / "scan.npz", ns=(0, 0))
    with pytest.raises(StoreError, match=r"stale: .*scan\.npz has changed"):
        PatternStore.open(store.directory)
    assert len(PatternStore.open(store.directory, check_source=False)) == 4
    (tmp_path / "scan.npz").unlink()
    assert len(PatternStore.open(store.directory)) == 4


def test_the_working_directory_does_not_become_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="expected a store"):
        PatternStore.open(".")
    with pytest.raises(StoreError, match="found the working directory"):
        PatternStore.create(make_scan(n_scan=9, N=8), ".")
    assert list(tmp_path.parent.glob("*.partial")) == []
