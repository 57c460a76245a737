"""Units and directions, against numbers worked out by hand."""

import numpy as np
import pytest

from ptychofold.config import PositionFrame, ReadingConfig, ScanGeometry, TrainingConfig
from ptychofold.errors import ConfigError, MissingFieldError

SET_UP = {"distance_m": 2.0, "detector_pixel_m": (75e-6, 150e-6)}


def test_a_photon_of_12398_4_ev_has_a_wavelength_of_one_angstrom() -> None:
    geometry = ScanGeometry(energy_ev=12398.419843)
    assert geometry.wavelength == pytest.approx(1e-10, rel=1e-9)
    assert ScanGeometry(wavelength_m=1e-10).energy == pytest.approx(12398.419843, rel=1e-9)


@pytest.mark.parametrize(("kilovolts", "picometres"), [(60, 4.866), (100, 3.701), (200, 2.508), (300, 1.969)])
def test_electrons_have_the_relativistic_wavelength_of_the_textbooks(kilovolts: int, picometres: float) -> None:
    geometry = ScanGeometry(particle="electron", energy_ev=1e3 * kilovolts)
    assert geometry.wavelength == pytest.approx(picometres * 1e-12, rel=3e-4)
    back = ScanGeometry(particle="electron", wavelength_m=geometry.wavelength)
    assert back.energy == pytest.approx(1e3 * kilovolts, rel=1e-9)


def test_the_far_field_object_pixel_is_wavelength_times_distance_over_the_detector_s_extent() -> None:
    geometry = ScanGeometry(wavelength_m=1e-10, **SET_UP)
    height, width = geometry.object_pixel_m((100, 200))
    assert height == pytest.approx(1e-10 * 2.0 / (100 * 75e-6), rel=1e-12)
    assert width == pytest.approx(1e-10 * 2.0 / (200 * 150e-6), rel=1e-12)


@pytest.mark.parametrize(("distance_from", "sample_to_detector"), [("sample", 1.0), ("focus", 0.99)])
def test_a_focus_magnifies_the_near_field(distance_from: str, sample_to_detector: float) -> None:
    geometry = ScanGeometry.from_mapping(
        {"distance_m": 1.0, "distance_from": distance_from, "focus_m": 0.01, "detector_pixel_m": (5e-6, 5e-6)}
    )
    magnification = (0.01 + sample_to_detector) / 0.01
    assert geometry.field == "near_field"
    assert geometry.magnification == pytest.approx(magnification, rel=1e-12)
    assert geometry.object_pixel_m((64, 64))[0] == pytest.approx(5e-6 / magnification, rel=1e-12)
    assert geometry.effective_distance_m == pytest.approx(sample_to_detector / magnification, rel=1e-12)


def test_a_parallel_beam_s_near_field_is_not_magnified() -> None:
    geometry = ScanGeometry(propagation="near_field", detector_pixel_m=(5e-6, 6e-6), distance_m=0.5)
    assert geometry.object_pixel_m((64, 64)) == (5e-6, 6e-6)
    assert geometry.effective_distance_m == 0.5


@pytest.mark.parametrize("missing", ["wavelength_m", "distance_m", "detector_pixel_m"])
def test_what_the_object_pixel_lacks_is_named_with_its_option(missing: str) -> None:
    facts: dict[str, object] = {"wavelength_m": 1e-10, **SET_UP}
    facts.pop(missing)
    option = {"wavelength_m": "--energy-ev", "distance_m": "--distance-m", "detector_pixel_m": "--detector-pixel-m"}
    with pytest.raises(MissingFieldError, match=f"far field needs {missing}, .* Supply {missing} by {option[missing]}"):
        ScanGeometry.from_mapping(facts).object_pixel_m((64, 64))


def test_contradicting_facts_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"energy_ev=8000 of a photon means wavelength_m=1\.549.*give one of the two"):
        ScanGeometry(energy_ev=8000.0, wavelength_m=1e-10)
    with pytest.raises(ConfigError, match=r"focus_m is the near field's .* give defocus_m"):
        ScanGeometry(propagation="far_field", focus_m=1e-3)
    with pytest.raises(ConfigError, match="lies before the sample"):
        ScanGeometry(distance_m=1e-3, distance_from="focus", focus_m=2e-3)


def test_a_stated_fact_replaces_what_follows_from_the_old_one() -> None:
    file = ScanGeometry(wavelength_m=1e-10, pixel_size_m=(1e-8, 1e-8), **SET_UP)
    changed = file.updated(ReadingConfig(energy_ev=8000.0))
    assert changed.wavelength == pytest.approx(1.5498e-10, rel=1e-4)
    assert changed.pixel_size_m is None
    assert file.updated(ReadingConfig(probe="estimate")) == file
    electrons = ScanGeometry(energy_ev=3e5).updated(ScanGeometry(particle="electron"))
    assert electrons.wavelength == pytest.approx(1.969e-12, rel=3e-4)


@pytest.mark.parametrize(
    ("frame", "yx"),
    [
        (PositionFrame(unit="um"), (2e-6, 3e-6)),
        (PositionFrame(unit="um", axes="xy"), (3e-6, 2e-6)),
        (PositionFrame(unit="um", y="up"), (-2e-6, 3e-6)),
        (PositionFrame(unit="um", x="left"), (2e-6, -3e-6)),
        (PositionFrame(unit="um", moves="sample"), (-2e-6, -3e-6)),
        (PositionFrame(unit="nm", axes="xy", y="up", moves="sample"), (3e-9, -2e-9)),
        (PositionFrame(unit="px"), (2.0, 3.0)),
    ],
)
def test_a_frame_says_what_two_numbers_mean(frame: PositionFrame, yx: tuple[float, float]) -> None:
    np.testing.assert_allclose(frame.probe_yx(np.array([[2, 3]])), [yx], rtol=1e-12)


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_settings_that_are_no_finite_numbers_are_refused_wherever_they_stand(number: float) -> None:
    for make in (
        lambda: ReadingConfig(distance_m=number),
        lambda: ScanGeometry(defocus_m=number),
        lambda: ScanGeometry(detector_pixel_m=(1e-6, number)),
        lambda: TrainingConfig(learning_rate=number),
    ):
        with pytest.raises(
            ConfigError, match=r"(distance_m|defocus_m|detector_pixel_m.1|learning_rate): .*found -?(inf|nan)"
        ):
            make()
