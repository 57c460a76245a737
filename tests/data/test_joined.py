"""Several scans read as one, and memory that batches use again."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ptychofold.config import GroupingConfig, LoaderConfig
from ptychofold.data import GroupedDataset, MixtureDataset, make_loader
from ptychofold.data.arrays import GrowingArray
from ptychofold.data.buffers import KEPT_BYTES, BatchBuffers
from ptychofold.data.files import HEADER_BYTES, npy_header
from ptychofold.data.joined import JoinedArray, split_rows
from ptychofold.errors import DomainError
from ptychofold.formats.lazy import ArrayInMemory, Layout, MappedArray
from ptychofold.formats.view import RowView
from ptychofold.testing import make_scan
from ptychofold.typing import ArraySource


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[ArraySource], np.ndarray]:
    """Every kind of source, and all rows of all of them."""
    folder, rng = tmp_path_factory.mktemp("parts"), np.random.default_rng(0)
    whole = rng.integers(0, 60_000, (9, 6, 6)).astype(np.uint16)
    mapped, fortran, growing = (folder / f"{name}.npy" for name in ("mapped", "fortran", "growing"))
    mapped.write_bytes(b"odd" + whole[:5].tobytes())
    fortran.write_bytes(whole[5:].transpose(0, 2, 1).tobytes())  # (6, 6, 4) in Fortran order: each frame transposed
    growing.write_bytes(npy_header(whole.shape, whole.dtype) + whole.tobytes())
    in_file = MappedArray(mapped, 3, Layout(shape=(5, 6, 6), dtype=whole.dtype))
    turned = MappedArray(fortran, 0, Layout(shape=(6, 6, 4), dtype=whole.dtype, fortran=True, frames_last=True))
    chosen = np.array([4, 0, 4])
    sources: list[ArraySource] = [
        in_file,
        RowView(in_file, chosen),
        ArrayInMemory(whole[:, ::-1]),
        turned,
        ArrayInMemory(whole),
        GrowingArray(growing, (7, 6, 6), whole.dtype),
    ]
    assert len(npy_header(whole.shape, whole.dtype)) == HEADER_BYTES
    return sources, np.concatenate([whole[:5], whole[chosen], whole[:, ::-1], whole[5:], whole, whole[:7]])


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.integers(0, 36), max_size=20), in_place=st.booleans())
def test_joined_arrays_read_like_their_concatenation(
    parts: tuple[list[ArraySource], np.ndarray], rows: list[int], in_place: bool
) -> None:
    sources, whole = parts
    joined = JoinedArray(tuple(sources))
    wanted = np.array(rows, np.int64)
    out = np.empty((6, len(rows), 6), np.uint16).transpose(1, 0, 2) if in_place else None
    np.testing.assert_array_equal(joined.read(wanted, out), whole[wanted])


def test_joined_arrays_say_what_they_are(parts: tuple[list[ArraySource], np.ndarray]) -> None:
    sources, whole = parts
    joined = JoinedArray(tuple(sources))
    assert (joined.shape, joined.dtype, joined.random_access) == (whole.shape, whole.dtype, True)
    assert joined.access == "6 sources, the first of them memory-mapped at byte 3"
    assert JoinedArray.of((sources[0],)) is sources[0]
    np.testing.assert_array_equal(joined.read(slice(3, 30, 2)), whole[3:30:2])
    with pytest.raises(DomainError, match="expected rows from 0 to 36; found 37 to 37"):
        joined.read(np.array([37]))


def test_joined_arrays_go_to_another_process_without_their_maps(tmp_path: Path) -> None:
    path = tmp_path / "large.npy"
    np.save(path, np.ones((100, 32, 32), np.uint16))
    joined = JoinedArray((MappedArray(path, 128, Layout(shape=(100, 32, 32), dtype=np.dtype(np.uint16))),) * 2)
    joined.read(np.array([150]))
    sent = pickle.dumps(joined)
    assert len(sent) < 5_000
    assert pickle.loads(sent).read(np.array([150])).all()


@given(rows=st.lists(st.integers(0, 8), max_size=12))
def test_split_rows_finds_the_source_of_every_row(rows: list[int]) -> None:
    starts = np.array([0, 3, 5])
    local, runs = split_rows(np.array(rows, np.int64), starts)
    found = [starts[number] + local[place] for number, run in runs for place in range(run.start, run.stop)]
    assert found == rows


GRID = GroupingConfig(grid=(2, 2), n_neighbors=7, seed=3)


@pytest.mark.parametrize("mode", [{}, {"device": "cpu"}, {"resident": True}, {"device": "cpu", "resident": True}])
def test_a_mixture_of_alike_scans_reads_them_as_one(mode: dict[str, object]) -> None:
    scans = [make_scan(n_scan=9, N=8, seed=seed).subset(np.arange(8, -1, -1)) for seed in range(4)]
    datasets = {f"{i}": GroupedDataset(scan, GRID, **mode) for i, scan in enumerate(scans)}  # type: ignore[arg-type]
    mixture = MixtureDataset(datasets)
    assert len(mixture.reader.parts) == 1
    for batch in make_loader(mixture, LoaderConfig(batch_size=7, seed=0)):
        for row, experiment in enumerate(batch.experiment.tolist()):
            expected = scans[experiment].amplitude(batch.members[row].numpy())
            np.testing.assert_allclose(batch.diffraction[row], expected, rtol=2e-7)


def test_scans_of_another_kind_are_read_apart() -> None:
    kinds = ["intensity", "intensity", "amplitude", "intensity"]
    scans = [make_scan(n_scan=9, N=8, seed=seed, measurement=kind) for seed, kind in enumerate(kinds)]  # type: ignore[arg-type]
    mixture = MixtureDataset({f"{i}": GroupedDataset(scan, GRID) for i, scan in enumerate(scans)})
    assert [len(part.sources) for part in mixture.reader.parts] == [2, 1, 1]
    batch = mixture.__getitems__(np.arange(36))
    expected = [scan.amplitude(batch.members[9 * i : 9 * i + 9].numpy().ravel()) for i, scan in enumerate(scans)]
    np.testing.assert_array_equal(batch.diffraction.reshape(-1, 8, 8), np.concatenate(expected))


def test_memory_is_used_again_only_when_nothing_refers_to_it() -> None:
    buffers = BatchBuffers()
    first = buffers.empty((3, 4, 4))
    place, view = first.data_ptr(), first[1:].numpy()
    del first
    second = buffers.empty((3, 4, 4))
    assert second.data_ptr() != place
    view[:] = 7
    assert not (second == 7).all()
    del view
    assert buffers.empty((2, 4, 4)).data_ptr() == place


def test_memory_that_is_too_small_is_replaced_and_huge_memory_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    buffers = BatchBuffers()
    buffers.empty((4, 4))
    assert buffers.empty((64, 64)).shape == (64, 64)
    monkeypatch.setattr("ptychofold.data.buffers.KEPT_BYTES", 1 << 10)
    kept = BatchBuffers()
    kept.empty((64, 64))
    assert pickle.loads(pickle.dumps(kept)).empty((2, 2)).dtype == torch.float32
    assert KEPT_BYTES > 1 << 28
    assert kept.__getstate__() == {"_idle": []}
    assert not kept._idle


def test_a_bad_number_in_a_mixture_is_told_by_its_file_and_row(tmp_path: Path) -> None:
    datasets = {}
    for name in "abc":
        scan = make_scan(n_scan=9, N=8)
        patterns = scan.patterns.read(slice(None)).astype(np.float32)
        scan.with_patterns(patterns).to_file(tmp_path / f"{name}.npz")
        loaded = type(scan).from_file(tmp_path / f"{name}.npz", measurement="intensity")
        datasets[name] = GroupedDataset(loaded, GRID)
        if name == "b":
            assert isinstance(loaded.patterns, MappedArray)
            with (tmp_path / "b.npz").open("r+b") as file:
                file.seek(loaded.patterns.offset + 5 * 8 * 8 * 4)
                file.write(np.float32(-3).tobytes())
    with pytest.raises(DomainError, match=r"b\.npz.*found -3\.0 in row 5, at pixel \(0, 0\)"):
        MixtureDataset(datasets).__getitems__(range(27))
