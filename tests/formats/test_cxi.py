"""CXI: names that vary, signs, units, masks, and the measured near-field scan in its three layouts."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import ptychofold as pf
from ptychofold.config import PositionStep, PreprocessConfig
from ptychofold.errors import DomainError, MissingFieldError, ShapeError
from ptychofold.formats import identify, read_fields
from ptychofold.testing import make_scan

DATA = Path(__file__).parents[3] / "shared" / "data"
P25 = DATA / "PETRAIII_P25_Near_Field_Ptycho.cxi"
needs_p25 = pytest.mark.skipif(not P25.exists(), reason=f"needs {P25}, a real scan beside the checkout")
N_SCAN, N = 5, 8
ENERGY_J = 8000.0 * 1.602176634e-19
TRANSLATION = np.random.default_rng(3).uniform(-1e-6, 1e-6, (N_SCAN, 3))


def _make(path: Path, *, one: str = "_1", basis: np.ndarray | None = None, raster: bool = False) -> Path:
    """Write a CXI file by hand; frame i holds the number i."""
    data = np.broadcast_to(np.arange(N_SCAN)[:, None, None], (N_SCAN, N, N)).astype(np.uint16)
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 160
        detector = file.create_group(f"entry{one}/instrument{one}/detector{one}")
        detector["data"] = data.reshape(1, N_SCAN, N, N) if raster else data
        detector["distance"] = [2.0]
        detector["x_pixel_size"] = 75e-6
        detector["mask"] = np.zeros((N, N), np.uint32)
        detector["mask"][0, 1], detector["mask"][0, 2] = 0x1000, 0x8
        if basis is not None:
            detector["basis_vectors"] = basis
        file[f"entry{one}/instrument{one}/source{one}/energy"] = ENERGY_J
        file[f"entry{one}/sample{one}/geometry{one}/translation"] = TRANSLATION
        data_group = file.create_group(f"entry{one}/data{one}")
        data_group["data"] = h5py.SoftLink(f"/entry{one}/instrument{one}/detector{one}/data")
        data_group["translation"] = h5py.SoftLink(f"/entry{one}/sample{one}/geometry{one}/translation")
    return path


def _edit(path: Path, name: str, value: object) -> Path:
    with h5py.File(path, "r+") as file:
        if name in file:
            del file[name]
        if value is not None:
            file[name] = value
    return path


@pytest.mark.parametrize("one", ["_1", ""])
def test_units_mask_and_links_are_read_under_both_spellings(tmp_path: Path, one: str) -> None:
    found = read_fields(_make(tmp_path / "a.cxi", one=one), reading=pf.ReadingConfig(probe="estimate"))
    assert found.patterns is not None
    assert found.patterns.read(np.array([3]))[0, 0, 0] == 3
    assert found.metadata.wavelength_m == pytest.approx(1.549802e-10, rel=1e-6)
    assert found.metadata.pixel_size_m == pytest.approx((1.549802e-10 * 2.0 / (N * 75e-6),) * 2, rel=1e-6)
    assert found.bad_pixels is not None
    assert np.argwhere(found.bad_pixels).tolist() == [[0, 2]]


@pytest.mark.parametrize(
    ("basis", "y", "x"),
    [
        (None, (1, 1), (0, 1)),
        ([[0, -1], [-1, 0], [0, 0]], (1, 1), (0, 1)),
        ([[0, -1, 0], [-1, 0, 0]], (1, 1), (0, 1)),
        ([[0, 1], [-1, 0], [0, 0]], (1, 1), (0, -1)),
        ([[1, 0], [0, 1], [0, 0]], (0, -1), (1, -1)),
    ],
)
def test_basis_vectors_and_sample_motion_decide_the_signs(
    tmp_path: Path, basis: list[list[float]] | None, y: tuple[int, int], x: tuple[int, int]
) -> None:
    vectors = None if basis is None else np.array(basis) * 75e-6
    found = read_fields(_make(tmp_path / "a.cxi", basis=vectors), reading=pf.ReadingConfig(probe="estimate"))
    want = np.stack([axis[1] * TRANSLATION[:, axis[0]] for axis in (y, x)], axis=1)
    assert found.positions_m is not None
    assert found.positions is not None
    assert np.abs(found.positions_m - want).max() < 1e-18
    np.testing.assert_allclose(found.positions.min(axis=0), N // 2, atol=1e-9)
    pixel_size_m = found.metadata.pixel_size_m
    assert pixel_size_m is not None
    np.testing.assert_allclose(np.diff(found.positions, axis=0), np.diff(want, axis=0) / pixel_size_m)


def test_a_mask_of_each_frame_marks_what_is_bad_in_any_and_other_entries_are_mentioned(tmp_path: Path) -> None:
    path = _make(tmp_path / "a.cxi")
    masks = np.zeros((N_SCAN, N, N), np.uint32)
    masks[1, 2, 3], masks[4, 5, 6], masks[2, 0, 0] = 1, 0x1001, 0x1000
    _edit(path, "entry_1/instrument_1/detector_1/mask", masks)
    _edit(path, "number_of_entries", 2)
    scan = pf.read(path, probe="estimate")
    assert scan.bad_pixels is not None
    assert np.argwhere(scan.bad_pixels).tolist() == [[2, 3], [5, 6]]
    assert scan.metadata.extra["number_of_entries"] == "2, of which entry_1 is read"


def test_a_raster_of_frames_is_read_line_by_line(tmp_path: Path) -> None:
    found = read_fields(_make(tmp_path / "a.cxi", raster=True), reading=pf.ReadingConfig(probe="estimate"))
    assert found.patterns is not None
    assert found.patterns.shape == (N_SCAN, N, N)
    assert found.patterns.read(np.array([4, 1]))[:, 0, 0].tolist() == [4, 1]


def test_a_missing_probe_is_named_with_what_supplies_it(tmp_path: Path) -> None:
    with pytest.raises(MissingFieldError, match=r"expected a probe.*--probe FILE.*--probe estimate.*--focus-m"):
        pf.read(_make(tmp_path / "a.cxi"))


def test_a_missing_distance_is_named_with_its_option_and_supplied_by_it(tmp_path: Path) -> None:
    path = _edit(_make(tmp_path / "a.cxi"), "entry_1/instrument_1/detector_1/distance", None)
    with pytest.raises(MissingFieldError, match=r"far field needs distance_m.*--distance-m"):
        pf.read(path, probe="estimate")
    assert pf.read(path, probe="estimate", distance_m=2.0).metadata.pixel_size_m is not None


def test_an_energy_that_is_not_in_joules_is_refused(tmp_path: Path) -> None:
    path = _edit(_make(tmp_path / "a.cxi"), "entry_1/instrument_1/source_1/energy", 8000.0)
    with pytest.raises(DomainError, match=r"photon energy in joules.* found 8000\. If that is in eV.*--energy-ev"):
        pf.read(path, probe="estimate")


@pytest.mark.parametrize(("unit", "scale"), [("um", 1e6), ("mm", 1e3), ("µm", 1e6), ("nm", 1e9), ("m", 1.0)])
def test_a_length_is_read_in_the_unit_that_the_file_states(tmp_path: Path, unit: str, scale: float) -> None:
    want = pf.read(_make(tmp_path / "metres.cxi"), probe="estimate")
    path = _make(tmp_path / "other.cxi")
    detector = "entry_1/instrument_1/detector_1"
    for name in ("entry_1/sample_1/geometry_1/translation", f"{detector}/x_pixel_size", f"{detector}/distance"):
        with h5py.File(path, "r+") as file:
            values = np.asarray(file[name][()])
            del file[name]
            file[name] = values * scale
            file[name].attrs["units"] = np.bytes_(unit.encode()) if unit == "mm" else unit
    scan = pf.read(path, probe="estimate")
    np.testing.assert_allclose(scan.positions, want.positions, rtol=1e-9)
    assert scan.metadata.pixel_size_m == pytest.approx(want.metadata.pixel_size_m, rel=1e-9)


def test_an_energy_is_read_in_the_unit_that_the_file_states(tmp_path: Path) -> None:
    path = _edit(_make(tmp_path / "a.cxi"), "entry_1/instrument_1/source_1/energy", 8.0)
    with h5py.File(path, "r+") as file:
        file["entry_1/instrument_1/source_1/energy"].attrs["units"] = "keV"
    assert pf.read(path, probe="estimate").metadata.wavelength_m == pytest.approx(1.549802e-10, rel=1e-6)


@pytest.mark.parametrize("name", ["sample_1/geometry_1/translation", "instrument_1/detector_1/x_pixel_size"])
def test_a_unit_that_is_not_known_is_refused(tmp_path: Path, name: str) -> None:
    path = _make(tmp_path / "a.cxi")
    with h5py.File(path, "r+") as file:
        file[f"entry_1/{name}"].attrs["units"] = "furlong"
    with pytest.raises(
        DomainError, match=f"{name.rsplit('/', maxsplit=1)[-1]} with the attribute units, one of m, .* found 'furlong'"
    ):
        pf.read(path, probe="estimate")


def test_a_position_that_is_no_number_is_named_and_can_be_left_out(tmp_path: Path) -> None:
    translation = TRANSLATION.copy()
    translation[3] = np.nan
    path = _edit(_make(tmp_path / "a.cxi"), "entry_1/sample_1/geometry_1/translation", translation)
    with pytest.raises(DomainError, match=r"found 2 non-finite of 10 values, the first at index \(3, 0\)"):
        pf.read(path, probe="estimate")
    steps = PreprocessConfig(steps=(PositionStep(),))
    reading = pf.ReadingConfig(probe="estimate")
    scan = pf.RawData.from_file(path, reading=reading, steps=steps)
    whole = pf.RawData.from_file(_make(tmp_path / "b.cxi"), reading=reading)
    others = whole.positions[[0, 1, 2, 4]]
    np.testing.assert_allclose(scan.positions, others - others.min(axis=0) + N // 2, rtol=1e-9)


def test_what_lies_along_the_beam_does_not_matter(tmp_path: Path) -> None:
    translation = TRANSLATION.copy()
    translation[:, 2] = np.nan
    path = _edit(_make(tmp_path / "a.cxi"), "entry_1/sample_1/geometry_1/translation", translation)
    whole = pf.read(_make(tmp_path / "b.cxi"), probe="estimate")
    np.testing.assert_array_equal(pf.read(path, probe="estimate").positions, whole.positions)


def test_of_several_probes_the_first_is_read_and_their_number_said(tmp_path: Path) -> None:
    probes = np.arange(1, 3 * 2 * N * N + 1).reshape(3, 2, N, N).astype(np.complex64)
    path = _make(tmp_path / "a.cxi")
    with h5py.File(path, "r+") as file:
        file["entry_1/instrument_1/source_1/illumination"] = probes
    scan = pf.read(path)
    np.testing.assert_array_equal(scan.probe, probes[0])
    assert scan.metadata.extra["n_position_dependent_probes"] == 3


def test_a_mask_of_another_shape_is_named_before_a_probe_is_estimated(tmp_path: Path) -> None:
    mask = np.zeros((N - 1, N - 1), np.uint32)
    path = _edit(_make(tmp_path / "a.cxi"), "entry_1/instrument_1/detector_1/mask", mask)
    with pytest.raises(ShapeError, match=r"bad_pixels of the frames' shape \(8, 8\); found \(7, 7\)"):
        pf.read(path, probe="estimate")


def test_a_scan_whose_detector_is_unknown_is_written_without_one(tmp_path: Path) -> None:
    scan = make_scan(n_scan=9, N=16)
    known = replace(scan.metadata, geometry=None, pixel_size_m=(1e-8, 2e-8), wavelength_m=None)
    for suffix in ("cxi", "nxs"):
        replace(scan, metadata=known).to_file(tmp_path / f"a.{suffix}")
        assert pf.read(tmp_path / f"a.{suffix}").metadata.geometry is None
        back = pf.read(tmp_path / f"a.{suffix}", wavelength_m=2e-12, distance_m=0.1)
        assert back.metadata.pixel_size_m == known.pixel_size_m
        assert back.metadata.geometry is not None
        assert back.metadata.geometry.detector_pixel_m is None
        np.testing.assert_allclose(back.positions, scan.positions, atol=1e-6)


def test_basis_vectors_of_length_one_say_nothing_of_the_pixel(tmp_path: Path) -> None:
    path = _make(tmp_path / "a.cxi", basis=np.array([[0.0, -1.0], [-1.0, 0.0], [0.0, 0.0]]))
    _edit(path, "entry_1/instrument_1/detector_1/x_pixel_size", None)
    with pytest.raises(MissingFieldError, match=r"far field needs detector_pixel_m.*--detector-pixel-m"):
        pf.read(path, probe="estimate")


def test_a_detector_before_the_sample_is_refused(tmp_path: Path) -> None:
    path = _edit(_make(tmp_path / "a.cxi"), "entry_1/instrument_1/detector_1/distance", -2.0)
    with pytest.raises(DomainError, match=r"a\.cxi: the file's set-up makes no sense: distance_m: .* found -2\.0"):
        pf.read(path, probe="estimate")


def test_an_energy_that_contradicts_the_wavelength_is_refused(tmp_path: Path) -> None:
    path = _edit(_make(tmp_path / "a.cxi"), "entry_1/instrument_1/source_1/wavelength", 1e-10)
    with pytest.raises(DomainError, match=r"means a wavelength of 1\.5498e-10 m, but it says 1e-10 m"):
        pf.read(path, probe="estimate")


@pytest.mark.parametrize(
    ("name", "value", "error", "why"),
    [
        ("entry_1/sample_1/geometry_1/translation", None, MissingFieldError, "expected positions in the scan; the CXI"),
        ("entry_1/sample_1/geometry_1/translation", np.zeros(N_SCAN), ShapeError, r"translations of shape \(scan, 3\)"),
        ("entry_1/instrument_1/detector_1/basis_vectors", np.zeros((2, 2)), ShapeError, r"basis_vectors of shape"),
        ("entry_1/instrument_1/detector_1/data", np.zeros((3, 2)), ShapeError, r"expected .*data of shape \(scan, N"),
        ("entry_1/instrument_1/detector_1/distance", [1.0, 2.0], ShapeError, "expected one number as .*distance"),
    ],
)
def test_wrong_content_is_named(tmp_path: Path, name: str, value: object, error: type[Exception], why: str) -> None:
    path = _edit(_make(tmp_path / "a.cxi"), name, value)
    with pytest.raises(error, match=why):
        pf.read(path, probe="estimate")


def test_patterns_and_positions_in_two_files_are_joined(tmp_path: Path) -> None:
    data, rest = _make(tmp_path / "data.cxi"), _make(tmp_path / "rest.cxi")
    _edit(data, "entry_1/sample_1/geometry_1/translation", None)
    _edit(rest, "entry_1/instrument_1/detector_1/data", None)
    joined, whole = pf.read(rest, patterns=data, probe="estimate"), pf.read(_make(tmp_path / "a.cxi"), probe="estimate")
    np.testing.assert_array_equal(joined.positions, whole.positions)
    np.testing.assert_array_equal(joined.patterns.read(slice(None)), whole.patterns.read(slice(None)))
    _edit(rest, "entry_1/sample_1/geometry_1/translation", None)
    with pytest.raises(MissingFieldError, match=r"expected entry_1/data_1/data or .*translation; the file holds"):
        pf.read(rest, format="CXI")


@pytest.mark.parametrize("n_modes", [1, 3])
def test_a_probe_can_come_from_another_file(tmp_path: Path, n_modes: int) -> None:
    probe = np.ones((n_modes, N, N), np.complex64)
    np.save(tmp_path / "probe.npy", probe)
    scan = pf.read(_make(tmp_path / "a.cxi"), probe=tmp_path / "probe.npy", measurement="intensity")
    np.testing.assert_array_equal(scan.probe, probe)
    with pytest.raises(MissingFieldError, match="expected a probe in this file; found none"):
        pf.read(tmp_path / "a.cxi", probe=tmp_path / "a.cxi")


@needs_p25
def test_the_measured_cxi_scan_is_that_of_the_contract_s_npz() -> None:
    npz = read_fields(DATA / "p25_nearfield_n128.npz")
    scan = pf.read(P25, probe="estimate", focus_m=3.65e-3, distance_from="focus")
    assert identify(P25)[0].name == "CXI"
    assert scan.metadata.format_reason == "an HDF5 file with cxi_version 160 and /entry_1/data_1/data"
    assert npz.positions is not None
    assert npz.patterns is not None
    assert npz.bad_pixels is not None
    shift = scan.positions - npz.positions
    assert np.ptp(shift, axis=0).max() < 1e-5
    middle = slice(14, 114)
    np.testing.assert_array_equal(scan.bad_pixels, npz.bad_pixels[middle, middle])
    amplitude = npz.patterns.read(slice(None))
    np.testing.assert_allclose(scan.amplitude(np.arange(200)), amplitude[:, middle, middle], rtol=1e-6)
    assert amplitude.sum() == pytest.approx(amplitude[:, middle, middle].sum(), rel=1e-6)
    ours, theirs = scan.metadata.geometry, npz.metadata.geometry
    assert ours is not None
    assert theirs is not None
    assert ours.effective_distance_m == pytest.approx(theirs.effective_distance_m, rel=1e-6)
    assert scan.metadata.pixel_size_m == pytest.approx(npz.metadata.pixel_size_m, rel=1e-6)
    assert scan.metadata.wavelength_m == pytest.approx(npz.metadata.wavelength_m, rel=1e-5)
