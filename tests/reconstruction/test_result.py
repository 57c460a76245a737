"""Results: saved whole, read back as they were, and never with NaN in them."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptychofold.errors import (
    ConfigError,
    DivergenceError,
    DomainError,
    MissingFieldError,
    ShapeError,
    UnsupportedFormatError,
)
from ptychofold.formats import FORMATS, read_fields
from ptychofold.metadata import Metadata
from ptychofold.physics import Geometry
from ptychofold.raw_data import RawData
from ptychofold.reconstruction import Reconstruction
from ptychofold.reconstruction.result import check_output, object_frame, overhang
from ptychofold.testing import make_scan

SCAN = make_scan(n_scan=16, N=16, step=2.0, n_modes=2, nominal_error=0.3, n_bad_pixels=2)
SUFFIXES = sorted({suffix for known in FORMATS if known.write is not None for suffix in known.suffixes})


def reconstruction(**changes: object) -> Reconstruction:
    scan = SCAN
    assert scan.object is not None
    known = {
        "scan": replace(scan, object=None),
        "object": scan.object * np.complex64(1j),
        "coverage": np.ones(scan.object.shape, np.float32),
        "probe": scan.probe * np.float32(2),
        "positions": scan.positions + 0.25,
        "r_factor": 0.125,
        "r_factor_held_out": 0.25,
        "held_out": np.array([3, 5]),
        "losses": (0.5, 0.25, 0.125),
        "provenance": {"engine": "test", "settings": {"epochs": 3}},
        "seconds": 2.0,
    }
    return Reconstruction(**{**known, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_result_is_read_back_as_it_was_saved(tmp_path: Path, suffix: str) -> None:
    saved, path = reconstruction(), tmp_path / f"result{suffix}"
    saved.save(path)
    saved.save(path)
    assert path.is_file()
    assert not list(tmp_path.glob("*.partial"))
    patterns = None
    if read_fields(path).patterns is None:
        patterns = tmp_path / "scan.npz"
        SCAN.to_file(patterns)
    found = Reconstruction.from_file(path, patterns=patterns)
    np.testing.assert_array_equal(found.object, saved.object)
    np.testing.assert_array_equal(found.probe, saved.probe)
    np.testing.assert_allclose(found.positions, saved.positions, atol=1e-6)
    for name in ("r_factor", "r_factor_held_out", "losses", "provenance", "seconds", "geometry"):
        assert getattr(found, name) == getattr(saved, name), name
    assert found.held_out.tolist() == [3, 5]
    rows = np.arange(len(SCAN))
    np.testing.assert_array_equal(found.scan.amplitude(rows), SCAN.amplitude(rows))


def test_an_archive_is_ground_truth_for_supervised_training(tmp_path: Path) -> None:
    saved = reconstruction()
    assert saved.save(tmp_path / "a.npz") == ()
    scan = RawData.from_file(tmp_path / "a.npz")
    truth = scan.ground_truth(np.arange(2))
    assert truth is not None
    assert truth.shape == (2, 16, 16)
    np.testing.assert_allclose(scan.positions_nominal, SCAN.positions_nominal)
    assert scan.bad_pixels is not None


def test_reading_and_saving_again_changes_nothing(tmp_path: Path) -> None:
    reconstruction(shift=np.array([2.0, 3.0])).save(tmp_path / "a.npz")
    Reconstruction.from_file(tmp_path / "a.npz").save(tmp_path / "b.npz")
    first, second = (RawData.from_file(tmp_path / name) for name in ("a.npz", "b.npz"))
    np.testing.assert_array_equal(first.positions_nominal, second.positions_nominal)
    np.testing.assert_array_equal(first.positions, second.positions)
    np.testing.assert_allclose(first.positions_nominal, SCAN.positions_nominal + np.array([2.0, 3.0]))


def test_coverage_and_r_are_measured_where_the_file_does_not_say_them() -> None:
    found = Reconstruction.from_scan(SCAN)
    assert 0 < found.r_factor < 0.2
    assert found.r_factor_held_out is None
    assert found.losses == ()
    assert found.coverage.sum() == pytest.approx(len(SCAN) * (np.abs(SCAN.probe) ** 2).sum(), rel=0.01)
    assert 0.6 < found.mode_shares[0] < 0.7


def test_a_product_keeps_the_losses_of_other_programs(tmp_path: Path) -> None:
    reconstruction().save(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        assert file["loss_values"][()].tolist() == [0.5, 0.25, 0.125]
        del file["ptychofold_reconstruction"]
    SCAN.to_file(tmp_path / "scan.npz")
    found = Reconstruction.from_file(tmp_path / "a.h5", patterns=tmp_path / "scan.npz")
    assert found.losses == (0.5, 0.25, 0.125)
    assert found.provenance == {}
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["ptychofold_reconstruction"] = "not JSON"
    assert read_fields(tmp_path / "a.h5").metadata.extra["reconstruction"] == {"losses": [0.5, 0.25, 0.125]}


def test_the_near_field_is_written_and_read(tmp_path: Path) -> None:
    near = Geometry(propagation="near_field", wavelength_m=1e-10, distance_m=1e-3, pixel_size_m=(1e-7, 1e-7))
    reconstruction(geometry=near).save(tmp_path / "a.h5")
    SCAN.to_file(tmp_path / "scan.npz")
    assert Reconstruction.from_file(tmp_path / "a.h5", patterns=tmp_path / "scan.npz").geometry == near
    with h5py.File(tmp_path / "a.h5") as file:
        assert not file.attrs["far_field"]


@pytest.mark.parametrize("name", ["object", "probe", "coverage", "positions", "r_factor"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_no_result(name: str, value: float) -> None:
    good = getattr(reconstruction(), name)
    wrong = np.array(good)
    wrong.flat[-1] = value
    with pytest.raises(DivergenceError, match=f"expected a finite {name}; found NaN or infinity"):
        reconstruction(**{name: wrong if isinstance(good, np.ndarray) else float(wrong)})


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected coverage of .* and 16 positions; found"):
        reconstruction(positions=np.zeros((3, 2)))


def test_files_that_could_not_be_written_are_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormatError, match=r"expected one of .*\.npz.*; found '\.png'"):
        check_output(tmp_path / "a.png", SCAN)
    unknown = replace(SCAN, metadata=Metadata())
    with pytest.raises(MissingFieldError, match="expected a scan that tells its pixel size"):
        check_output(tmp_path / "a.h5", unknown)
    with pytest.raises(MissingFieldError, match="expected a scan with an object"):
        Reconstruction.from_scan(replace(SCAN, object=None))
    foreign = replace(SCAN, metadata=Metadata(extra={"reconstruction": {"r_factor": "good"}}))
    with pytest.raises(ConfigError, match="r_factor"):
        Reconstruction.from_scan(foreign)


def test_a_frame_holds_every_patch_and_keeps_the_one_that_is_known() -> None:
    positions = np.array([[2.5, 40.0], [30.2, 9.0]])
    shape, shift = object_frame(positions, 16)
    assert shift.tolist() == [6.0, 0.0]
    assert shape == (31 + 6 + 8, 48)
    assert object_frame(positions, 16, (50, 50))[0] == (50, 50)


def test_the_coordinates_of_a_stage_leave_no_empty_object_before_the_scan() -> None:
    positions = np.array([[2.5, 40.0], [30.2, 9.0]])
    shape, shift = object_frame(positions + np.array([0.0, 1e6]), 16)
    assert shift.tolist() == [6.0, 8.0 - 1_000_009.0]
    assert shape == (31 + 6 + 8, 31 + 16)
    near = object_frame(positions + 20, 16)
    assert near[1].tolist() == [0.0, 0.0]


def test_positions_in_another_unit_are_refused_before_any_memory_is_asked_for() -> None:
    with pytest.raises(DomainError, match=r"a field of 19 × 10+\d+\. Check the unit of the positions"):
        object_frame(np.array([[8.0, 8.0], [11.0, 1e12]]), 16)


def test_an_object_that_holds_the_scan_holds_it_after_a_way_through_metres() -> None:
    assert SCAN.object is not None
    shape = SCAN.object.shape
    for corner in ([8.0, 8.0], [shape[0] - 8.0, shape[1] - 8.0]):
        for off in (-1e-11, 1e-11):
            assert overhang((shape[0], shape[1]), np.array([corner]) + off, N=16) <= 0
