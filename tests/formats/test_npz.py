"""The contract's NPZ: what is read from it, what is refused, and what is written."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.formats.making import N_SCAN, N, arrays, save, save_raw
from tests.golden_files import golden, golden_dir, golden_json, golden_names

from ptychofold.errors import (
    DataError,
    DomainError,
    DtypeError,
    FormatError,
    MissingFieldError,
    ShapeError,
    UnsupportedFormatError,
)
from ptychofold.formats import read_fields, write_fields
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.layout import frames_are_last
from ptychofold.formats.lazy import ArrayInMemory, CompressedMember, MappedArray
from ptychofold.metadata import Metadata


@pytest.mark.parametrize("compressed", [False, True])
def test_every_field_is_read_in_our_conventions(tmp_path: Path, compressed: bool) -> None:
    content = arrays()
    found = read_fields(save(tmp_path / "scan.npz", content, compressed=compressed))
    assert found.patterns is not None
    assert isinstance(found.patterns, CompressedMember if compressed else MappedArray)
    np.testing.assert_array_equal(found.patterns.read(slice(None)), content["diff3d"])
    np.testing.assert_array_equal(found.positions, np.stack([content["ycoords"], content["xcoords"]], axis=1))
    nominal = np.stack([content["ycoords_start"], content["xcoords_start"]], axis=1)
    np.testing.assert_array_equal(found.positions_nominal, nominal)
    for field, name in (("probe", "probeGuess"), ("object", "objectGuess"), ("patches", "Y"), ("scan_index",) * 2):
        np.testing.assert_array_equal(getattr(found, field), content[name])
    np.testing.assert_array_equal(found.bad_pixels, content["bad_pixels"])
    assert set(found.names) == set(content)


def test_patterns_are_loaded_when_laziness_is_declined(tmp_path: Path) -> None:
    found = read_fields(save(tmp_path / "scan.npz", arrays()), lazy=False)
    assert isinstance(found.patterns, ArrayInMemory)


def test_optional_fields_may_be_absent(tmp_path: Path) -> None:
    content = {
        name: value for name, value in arrays().items() if name in ("xcoords", "ycoords", "diff3d", "probeGuess")
    }
    found = read_fields(save(tmp_path / "scan.npz", content))
    assert (found.positions_nominal, found.object, found.patches, found.scan_index, found.bad_pixels) == (None,) * 5


@pytest.mark.parametrize(("given", "want"), [((N, N), (N, N)), ((N, N, 1), (N, N)), ((3, N, N), (3, N, N))])
def test_a_probe_of_every_contract_shape_is_read(tmp_path: Path, given: tuple[int, ...], want: tuple[int, ...]) -> None:
    content = arrays() | {"probeGuess": np.ones(given, np.complex64)}
    found = read_fields(save(tmp_path / "scan.npz", content))
    assert found.probe is not None
    assert found.probe.shape == want


def test_ground_truth_with_a_channel_axis_loses_it(tmp_path: Path) -> None:
    content = arrays()
    found = read_fields(save(tmp_path / "scan.npz", content | {"Y": content["Y"][..., None]}))
    np.testing.assert_array_equal(found.patches, content["Y"])


def test_ground_truth_may_be_named_label(tmp_path: Path) -> None:
    content = arrays()
    content["label"] = content.pop("Y")
    np.testing.assert_array_equal(read_fields(save(tmp_path / "scan.npz", content)).patches, content["label"])


@pytest.mark.parametrize("case", golden_json("diffraction_layout.json")["cases"], ids=str)
def test_the_layout_of_the_patterns_is_told_as_the_reference_tells_it(case: dict) -> None:  # type: ignore[type-arg]
    shape = tuple(case["shape"])
    if "error" in case:
        with pytest.raises(ShapeError, match="expected patterns of shape"):
            frames_are_last(shape, n_scan=case["n_coords"])
        return
    canonical, transposed = case["result"]
    last = frames_are_last(shape, n_scan=case["n_coords"])
    assert last is transposed
    assert [shape[2], shape[0], shape[1]] == canonical if last else list(shape) == canonical


@pytest.mark.parametrize("compressed", [False, True])
def test_frames_along_the_last_axis_are_read_lazily(tmp_path: Path, compressed: bool) -> None:
    content = arrays()
    content["diffraction"] = np.ascontiguousarray(np.moveaxis(content.pop("diff3d"), 0, -1))
    found = read_fields(save(tmp_path / "scan.npz", content, compressed=compressed))
    assert found.patterns is not None
    assert not isinstance(found.patterns, ArrayInMemory)
    assert found.patterns.shape == (N_SCAN, N, N)
    rows = np.array([5, 0, 5])
    np.testing.assert_array_equal(found.patterns.read(rows), np.moveaxis(content["diffraction"], -1, 0)[rows])
    assert not found.patterns.random_access


@pytest.mark.parametrize("name", golden_names("npz_load"))
def test_the_golden_archives_are_read(tmp_path: Path, name: str) -> None:
    inputs, _, _ = golden(name)
    found = read_fields(save(tmp_path / "scan.npz", inputs))
    assert found.patterns is not None
    assert found.patterns.shape[0] == len(inputs["xcoords"])


def test_the_reference_s_pickled_metadata_is_read_without_unpickling() -> None:
    want = golden_json("metadata_upstream_written.json")
    found = read_fields(golden_dir() / "metadata_upstream_written.npz")
    assert found.metadata.extra == want["metadata"]
    assert found.metadata.n_photons == want["nphotons"]


@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_pickled_none_is_an_absent_field(tmp_path: Path, shape: tuple[int, ...]) -> None:
    none = np.full(shape, None, dtype=object)
    found = read_fields(save(tmp_path / "scan.npz", arrays() | {"objectGuess": none, "Y": none}))
    assert found.object is None
    assert found.patches is None


class _Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("exploded"),))


@pytest.mark.parametrize(
    "payload", [{"a": 1}, [1, 2], 7, _Bomb(), b"bytes", "two"], ids=["dict", "list", "int", "code", "bytes", "text"]
)
@pytest.mark.parametrize("name", ["objectGuess", "_metadata", "xcoords"])
def test_any_other_pickle_is_refused_and_never_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, payload: object, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    content = np.empty(1 if payload != "two" else 2, dtype=object)
    content[:] = [payload] if payload != "two" else ["a", "b"]
    path = save(tmp_path / "scan.npz", arrays() | {name: content})
    with pytest.raises(FormatError, match=rf"{name}' holds .*only a pickled None or text is read"):
        read_fields(path)
    assert not (tmp_path / "exploded").exists()


def test_the_refusal_of_a_pickle_names_what_it_calls_in_words(tmp_path: Path) -> None:
    content = np.empty(1, dtype=object)
    content[:] = [_Bomb()]
    with pytest.raises(FormatError, match=r"holds a pickle that calls pathlib[\w.]*\.PosixPath;") as caught:
        read_fields(save(tmp_path / "scan.npz", arrays() | {"objectGuess": content}))
    assert "_Name(" not in str(caught.value)


def test_a_pickled_text_where_numbers_belong_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "scan.npz", arrays() | {"objectGuess": np.array("text", dtype=object)})
    with pytest.raises(DtypeError, match="expected numbers as objectGuess; found a pickled text"):
        read_fields(path)


def test_text_where_numbers_belong_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DtypeError, match="expected numbers as probeGuess; found text"):
        read_fields(save(tmp_path / "scan.npz", arrays() | {"probeGuess": np.array(["a", "b"])}))


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 100_000])
def test_metadata_that_is_not_a_json_object_is_refused(tmp_path: Path, text: str) -> None:
    path = save(tmp_path / "scan.npz", arrays() | {"_metadata": np.array(text)})
    with pytest.raises(DataError, match="expected a JSON object as _metadata"):
        read_fields(path)


def test_metadata_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "scan.npz", arrays() | {"_metadata": np.zeros(3)})
    with pytest.raises(FormatError, match="expected one text as _metadata"):
        read_fields(path)


@pytest.mark.parametrize("name", ["xcoords", "ycoords", "diff3d", "xcoords_start"])
def test_a_missing_field_is_named_beside_what_was_found(tmp_path: Path, name: str) -> None:
    content = arrays()
    del content[name]
    tried = {"diff3d": "diff3d or diffraction"}.get(name, "xcoords and ycoords")
    with pytest.raises(MissingFieldError, match=rf"expected {tried}.*; the archive holds .*objectGuess"):
        read_fields(save(tmp_path / "scan.npz", content))


def test_a_geometry_in_the_metadata_that_makes_no_sense_is_the_file_s_fault(tmp_path: Path) -> None:
    geometry = json.dumps({"ptychofold": {"geometry": {"distance_m": -1.0}}})
    with pytest.raises(DomainError, match=r"scan.npz: the file's set-up makes no sense: distance_m") as caught:
        read_fields(save(tmp_path / "scan.npz", arrays() | {"_metadata": np.array(geometry)}))
    assert caught.value.field == "geometry"


def test_positions_of_another_shape_are_refused(tmp_path: Path) -> None:
    for wrong in (np.zeros((N_SCAN, 2)), np.zeros(N_SCAN - 1)):
        with pytest.raises(ShapeError, match=r"expected xcoords and ycoords of shape \(scan,\)"):
            read_fields(save(tmp_path / "scan.npz", arrays() | {"xcoords": wrong}))


def test_positions_that_are_not_real_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DtypeError, match="expected real numbers as ycoords"):
        read_fields(save(tmp_path / "scan.npz", arrays() | {"ycoords": np.zeros(N_SCAN, complex)}))


def test_what_ptychodus_exports_is_counts(tmp_path: Path) -> None:
    content = arrays()
    del content["Y"]
    found = read_fields(save(tmp_path / "scan.npz", content))
    assert found.measurement == "intensity"
    assert "exported by Ptychodus" in str(found.measurement_reason)
    assert found.measurement_expected is None
    assert found.positions is not None
    np.testing.assert_allclose(found.positions, np.stack([content["ycoords"], content["xcoords"]], axis=1) + 0.5)


def test_float_patterns_are_expected_but_not_declared_to_be_amplitude(tmp_path: Path) -> None:
    found = read_fields(save(tmp_path / "scan.npz", arrays(dtype="float32")))
    assert (found.measurement, found.measurement_expected) == (None, "amplitude")


def test_patterns_named_counts_are_intensity(tmp_path: Path) -> None:
    content = arrays()
    content["counts"] = content.pop("diff3d")
    assert read_fields(save(tmp_path / "scan.npz", content)).measurement == "intensity"


# ------------------------------------------------------------------------------------------------------------ writing


def _full(path: Path) -> ScanFields:
    found = read_fields(path)
    known = Metadata(
        wavelength_m=1.5e-10,
        pixel_size_m=(4e-9, 5e-9),
        n_photons=1e6,
        history=({"step": "crop", "size": 8},),
        extra={"beamline": "2-ID", "numbers": [1, 2.5, None]},
    )
    return replace(found, measurement="intensity", measurement_reason="because", metadata=known)


@pytest.mark.parametrize("dtype", ["uint16", "float32", ">i4"])
def test_what_is_written_is_read_back_whole(tmp_path: Path, dtype: str) -> None:
    fields = _full(save(tmp_path / "a.npz", arrays(dtype=dtype), compressed=True))
    assert write_fields(fields, tmp_path / "b.npz") == ()
    found = read_fields(tmp_path / "b.npz")
    assert found.patterns is not None
    assert fields.patterns is not None
    assert found.patterns.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found.patterns.read(slice(None)), fields.patterns.read(slice(None)))
    for name in ("positions", "positions_nominal", "probe", "object", "patches", "scan_index", "bad_pixels"):
        np.testing.assert_array_equal(getattr(found, name), getattr(fields, name), err_msg=name)
    assert (found.metadata, found.measurement, found.measurement_reason) == (fields.metadata, "intensity", "because")


def test_written_archives_need_no_pickle_and_are_mapped_and_aligned(tmp_path: Path) -> None:
    write_fields(_full(save(tmp_path / "a.npz", arrays())), tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz", allow_pickle=False) as archive:
        assert {name: archive[name].shape for name in archive.files}["_metadata"] == ()
        assert json.loads(str(archive["_metadata"]))["physics_parameters"]["nphotons"] == 1e6
    source = read_fields(tmp_path / "b.npz").patterns
    assert isinstance(source, MappedArray)
    assert source.offset % 64 == 0


def test_one_mode_is_written_as_a_plain_probe_and_no_object_not_at_all(tmp_path: Path) -> None:
    content = arrays()
    fields = read_fields(save(tmp_path / "a.npz", content | {"probeGuess": content["probeGuess"][:1]}))
    write_fields(replace(fields, object=None), tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz") as archive:
        assert archive["probeGuess"].shape == (N, N)
        assert "objectGuess" not in archive.files


def test_the_legacy_metadata_survives(tmp_path: Path) -> None:
    fields = read_fields(golden_dir() / "metadata_upstream_written.npz")
    write_fields(fields, tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz") as archive:
        written = json.loads(str(archive["_metadata"]))
    assert {key: written[key] for key in fields.metadata.extra} == fields.metadata.extra
    assert read_fields(tmp_path / "b.npz").metadata == fields.metadata


@pytest.mark.parametrize("name", ["patterns", "positions", "probe"])
def test_a_scan_without_a_required_field_is_not_written(tmp_path: Path, name: str) -> None:
    fields = replace(read_fields(save(tmp_path / "a.npz", arrays())), **{name: None})  # type: ignore[arg-type]
    with pytest.raises(MissingFieldError, match=f"expected {name} in the scan to write"):
        write_fields(fields, tmp_path / "b.npz")
    assert not (tmp_path / "b.npz").exists()


def test_a_failed_write_leaves_the_old_file_and_no_partial(tmp_path: Path) -> None:
    class Failing(ArrayInMemory):
        def read(self, rows: object, out: object = None) -> np.ndarray:
            raise OSError("disk on fire")

    old = save(tmp_path / "b.npz", arrays())
    before = old.read_bytes()
    fields = replace(read_fields(old), patterns=Failing(np.zeros((3, 8, 8))))
    with pytest.raises(FormatError, match="writing the NPZ failed: disk on fire"):
        write_fields(fields, old)
    assert old.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["b.npz"]


def test_an_unwritable_suffix_or_format_is_refused(tmp_path: Path) -> None:
    fields = read_fields(save(tmp_path / "a.npz", arrays()))
    with pytest.raises(UnsupportedFormatError, match=r"no writer for suffix '.png'"):
        write_fields(fields, tmp_path / "b.png")
    with pytest.raises(UnsupportedFormatError, match="no writer for format 'Ptychodus training data'"):
        write_fields(fields, tmp_path / "b.h5", format="Ptychodus training data")


# ------------------------------------------------------------------------------------------------------------- damage


def _npy(header: str) -> bytes:
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (b"no array", "does not start as a NumPy array"),
        (_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (9,), }"), "needs .* bytes for float64"),
        (_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }"), "not one of descr"),
        (_npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (), }"), "not numbers or text"),
        (_npy("{'descr': "), "not a dictionary of descr"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + bytes(200), "claims 2147483647 bytes of header"),
    ],
)
def test_a_member_that_is_no_array_is_refused(tmp_path: Path, member: bytes, why: str) -> None:
    path = save_raw(tmp_path / "scan.npz", {"xcoords.npy": member, "ycoords.npy": member})
    with pytest.raises(FormatError, match=why):
        read_fields(path)


def test_an_unknown_zip_method_is_refused(tmp_path: Path) -> None:
    path = save_raw(tmp_path / "scan.npz", {"xcoords.npy": b"x" * 99}, method=zipfile.ZIP_BZIP2)
    with pytest.raises(FormatError, match="compressed by zip method 12"):
        read_fields(path)


def _patched(path: Path, find: bytes, offset: int, value: bytes) -> Path:
    content = bytearray(path.read_bytes())
    at = content.rindex(find) + offset
    content[at : at + len(value)] = value
    path.write_bytes(content)
    return path


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = _patched(save_raw(tmp_path / "scan.npz", {"xcoords.npy": b"x" * 99}), b"PK\x01\x02", 8, b"\x01")
    with pytest.raises(FormatError, match="is encrypted"):
        read_fields(path)


def test_an_impossible_size_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = save_raw(tmp_path / "scan.npz", {"xcoords.npy": b"x" * 99})
    with pytest.raises(FormatError, match="claims 2130706432 bytes from 99"):
        read_fields(_patched(path, b"PK\x01\x02", 24, (127 << 24).to_bytes(4, "little")))


def test_a_directory_that_points_elsewhere_is_refused(tmp_path: Path) -> None:
    path = save_raw(tmp_path / "scan.npz", {"xcoords.npy": b"x" * 99})
    with pytest.raises(FormatError, match="does not lie where the zip directory says"):
        read_fields(_patched(path, b"PK\x01\x02", 42, b"\x05"))


@pytest.mark.parametrize("compressed", [False, True])
def test_a_changed_byte_in_a_small_array_fails_its_checksum(tmp_path: Path, compressed: bool) -> None:
    content = arrays() | {"xcoords": np.arange(N_SCAN, dtype=float)}
    path = save(tmp_path / "scan.npz", content, compressed=compressed)
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("probeGuess.npy")
    content_bytes = bytearray(path.read_bytes())
    content_bytes[info.header_offset + 64 + info.compress_size // 2] ^= 0x10
    path.write_bytes(content_bytes)
    with pytest.raises(FormatError, match="probeGuess"):
        read_fields(path)
