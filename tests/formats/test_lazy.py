"""Every source gives the same rows as NumPy, whatever the layout, and survives pickling."""

import pickle
from itertools import product
from pathlib import Path

import h5py
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptychofold.errors import DomainError, FormatError, PtychoError
from ptychofold.formats.archive import list_members, read_header
from ptychofold.formats.hdf5 import open_array
from ptychofold.formats.lazy import ArrayInMemory, CompressedMember, MappedArray, mapped_member
from ptychofold.typing import ArraySource

SHAPE = (7, 5, 4)
LAYOUTS = list(product((False, True), (False, True), (False, True), ("<u2", ">f4", "<c8")))


def _frames(dtype: str) -> np.ndarray:
    return np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(dtype)


def _source(path: Path, layout: tuple[bool, bool, bool, str]) -> ArraySource:
    compressed, fortran, frames_last, dtype = layout
    stored = np.moveaxis(_frames(dtype), 0, -1) if frames_last else _frames(dtype)
    stored = np.asarray(stored, order="F" if fortran else "C")
    if not path.exists():
        (np.savez_compressed if compressed else np.savez)(path, odd=np.zeros(3, np.uint8), a=stored)
    member = list_members(path)["a"]
    return mapped_member(member, read_header(member), frames_last=frames_last)


ROWS = st.one_of(
    st.lists(st.integers(0, 6), max_size=9).map(lambda rows: np.array(rows, np.int64)),
    st.builds(slice, st.integers(0, 7), st.integers(0, 7), st.sampled_from([None, 1, 2, 3])),
)


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=st.lists(ROWS, min_size=1, max_size=3), into=st.booleans())
def test_a_member_reads_like_numpy_in_every_layout(
    tmp_path: Path, layout: tuple[bool, bool, bool, str], requests: list[np.ndarray | slice], into: bool
) -> None:
    source, frames = _source(tmp_path / "a.npz", layout), _frames(layout[3])
    assert isinstance(source, ArraySource)
    assert (source.shape, source.dtype) == (SHAPE, frames.dtype)
    for rows in requests:
        out = np.empty_like(frames[rows]) if into else None
        found = source.read(rows, out=out)
        np.testing.assert_array_equal(found, frames[rows])
        assert found.dtype == frames.dtype
        assert out is None or found is out


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_pickled_source_reads_the_same_in_its_copy(tmp_path: Path, layout: tuple[bool, bool, bool, str]) -> None:
    source = _source(tmp_path / "a.npz", layout)
    source.read(np.array([3]))
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy.read(np.array([6, 0, 6])), _frames(layout[3])[[6, 0, 6]])
    assert len(pickle.dumps(source)) < 1000


def test_an_unaligned_member_is_mapped_and_gathered_without_a_copy_of_the_whole(tmp_path: Path) -> None:
    frames = _frames("<f8")
    for pad in range(8):
        path = tmp_path / f"{pad}.npz"
        np.savez(path, **{"a" * (pad + 1): frames})  # type: ignore[arg-type]
        member = next(iter(list_members(path).values()))
        source = mapped_member(member, read_header(member))
        assert isinstance(source, MappedArray)
        np.testing.assert_array_equal(source.read(np.array([2, 5])), frames[[2, 5]])
        np.testing.assert_array_equal(source.read(slice(1, 3)), frames[1:3])
        np.testing.assert_array_equal(source.asarray(), frames)


def test_a_view_of_a_mapped_file_cannot_be_written(tmp_path: Path) -> None:
    source = _source(tmp_path / "a.npz", (False, False, False, "<u2"))
    assert isinstance(source, MappedArray)
    assert not source.asarray().flags.writeable
    assert not ArrayInMemory(np.zeros(3)).read(slice(None)).flags.writeable


def test_forward_calls_on_a_compressed_member_do_not_start_again(tmp_path: Path) -> None:
    source = _source(tmp_path / "a.npz", (True, False, False, "<u2"))
    assert isinstance(source, CompressedMember)
    source.read(slice(0, 2))
    (cursor,) = source._cursor
    source.read(slice(2, 4))
    assert source._cursor == [cursor]
    source.read(slice(0, 1))
    assert source._cursor != [cursor]


@pytest.mark.parametrize("rows", [np.array([7]), np.array([-1, 2])])
@pytest.mark.parametrize("compressed", [False, True])
def test_rows_outside_the_array_are_refused(tmp_path: Path, rows: np.ndarray, compressed: bool) -> None:
    source = _source(tmp_path / "a.npz", (compressed, False, False, "<u2"))
    with pytest.raises(DomainError, match="expected rows from 0 to 6"):
        source.read(rows)


def test_a_backward_slice_is_refused() -> None:
    with pytest.raises(DomainError, match="positive step"):
        ArrayInMemory(np.zeros(3)).read(slice(None, None, -1))


def test_an_unfit_target_is_refused() -> None:
    with pytest.raises(DomainError, match="expected out of float64"):
        ArrayInMemory(np.zeros((3, 2))).read(slice(None), out=np.zeros((3, 2), np.float32))


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_that_changed_since_it_was_opened_is_refused(tmp_path: Path, compressed: bool) -> None:
    source = _source(tmp_path / "a.npz", (compressed, False, False, "<u2"))
    with (tmp_path / "a.npz").open("ab") as file:
        file.write(b"more")
    with pytest.raises(FormatError, match="has changed since it was opened"):
        source.read(np.array([0]))


def test_an_array_in_memory_gathers_from_any_stride() -> None:
    frames = np.moveaxis(np.arange(24).reshape(2, 3, 4), -1, 0)
    out = np.empty((2, 2, 3), frames.dtype)
    np.testing.assert_array_equal(ArrayInMemory(frames).read(np.array([3, 1]), out=out), frames[[3, 1]])
    np.testing.assert_array_equal(ArrayInMemory(frames).read(np.array([3, 1])), frames[[3, 1]])


def _hdf5(path: Path, **options: object) -> np.ndarray:
    frames = _frames("<u2")
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("group/data", data=frames, **options)
        file["soft"] = h5py.SoftLink("/group/data")
    return frames


def _open(path: Path, name: str) -> ArraySource:
    with h5py.File(path) as file:
        return open_array(file[name])


@pytest.mark.parametrize("name", ["group/data", "soft"])
def test_a_contiguous_data_set_is_mapped(tmp_path: Path, name: str) -> None:
    frames = _hdf5(tmp_path / "a.h5")
    source = _open(tmp_path / "a.h5", name)
    assert isinstance(source, MappedArray)
    np.testing.assert_array_equal(source.read(np.array([6, 2])), frames[[6, 2]])


def test_external_links_and_whole_virtual_data_sets_are_mapped_in_the_file_that_holds_them(tmp_path: Path) -> None:
    frames = _hdf5(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["external"] = h5py.ExternalLink("a.h5", "/group/data")
        layout = h5py.VirtualLayout(SHAPE, "<u2")
        layout[:] = h5py.VirtualSource("a.h5", "group/data", SHAPE)
        file.create_virtual_dataset("virtual", layout)
    for name in ("external", "virtual"):
        source = _open(tmp_path / "b.h5", name)
        assert isinstance(source, MappedArray)
        assert source.path.name == "a.h5"
        np.testing.assert_array_equal(source.read(slice(2, 5)), frames[2:5])


def test_a_virtual_data_set_of_parts_is_read_by_h5py(tmp_path: Path) -> None:
    frames = _hdf5(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        layout = h5py.VirtualLayout((3, *SHAPE[1:]), "<u2")
        layout[:] = h5py.VirtualSource("a.h5", "group/data", SHAPE)[2:5]
        file.create_virtual_dataset("part", layout)
    source = _open(tmp_path / "b.h5", "part")
    assert "virtual" in source.access
    np.testing.assert_array_equal(source.read(np.array([2, 0])), frames[[4, 2]])


def test_a_missing_source_of_a_virtual_data_set_is_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "b.h5", "w") as file:
        layout = h5py.VirtualLayout(SHAPE, "<u2")
        layout[:] = h5py.VirtualSource("gone.h5", "data", SHAPE)
        file.create_virtual_dataset("virtual", layout)
    with pytest.raises(FormatError, match=r"gone\.h5 is missing"):
        _open(tmp_path / "b.h5", "virtual")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, into=st.booleans(), options=st.sampled_from([{"compression": "gzip"}, {"chunks": (3, 5, 2)}]))
def test_a_chunked_data_set_reads_like_numpy(
    tmp_path: Path, rows: np.ndarray | slice, into: bool, options: dict[str, object]
) -> None:
    frames = _hdf5(tmp_path / "a.h5", **options)
    source = pickle.loads(pickle.dumps(_open(tmp_path / "a.h5", "group/data")))
    out = np.empty_like(frames[rows]) if into else None
    np.testing.assert_array_equal(source.read(rows, out=out), frames[rows])
    assert "HDF5" in source.access


def test_only_chunks_of_one_row_are_random_access(tmp_path: Path) -> None:
    _hdf5(tmp_path / "a.h5", chunks=(3, 5, 2))
    _hdf5(tmp_path / "b.h5", chunks=(1, 5, 4))
    assert not _open(tmp_path / "a.h5", "group/data").random_access
    assert _open(tmp_path / "b.h5", "group/data").random_access


def test_a_missing_compression_filter_is_named_with_its_cure(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((1, 4))
        properties.set_filter(32099, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((2, 4))
        h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_INT32, space, properties)
    with pytest.raises(FormatError, match=r"HDF5 filter 32099 .* not installed here.*hdf5plugin"):
        _open(path, "data")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(array=hnp.arrays(st.sampled_from(["<u2", ">f8", "?"]), hnp.array_shapes(min_dims=1, max_dims=3, max_side=5)))
def test_any_array_saved_by_numpy_is_read_back(tmp_path: Path, array: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", a=array)
    member = list_members(tmp_path / "a.npz")["a"]
    try:
        found = mapped_member(member, read_header(member)).read(slice(None))
    except PtychoError as error:
        pytest.fail(str(error))
    np.testing.assert_array_equal(found, array)
