"""Units of counts: what proves one, what only looks like one, and which counts are no roots of counts."""

import numpy as np
import pytest

from ptychofold.errors import DomainError
from ptychofold.measurement import decide_measurement
from ptychofold.measurement.lattice import find_lattice, precision_of
from ptychofold.measurement.multiples import told_by_multiples
from ptychofold.testing.measurements import far_field_intensity, make_case

EPS = float(np.finfo(np.float64).eps)


def _counts(dose: float, *, n: int = 16, N: int = 32, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(far_field_intensity(rng, N=N, n=n, strength=1.0) * dose).astype(np.float64)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("smallest", "largest"), [(1, 4), (1, 300), (31, 900), (2_000, 9_000)])
def test_the_unit_of_whole_multiples_is_found_and_no_other(dtype: str, smallest: int, largest: int) -> None:
    multiples = np.unique(np.random.default_rng(0).integers(smallest, largest, 200))
    values = (multiples * 0.0173).astype(dtype)
    found = find_lattice(values.astype(np.float64), precision=precision_of(values))
    assert found is not None
    assert found.unit == pytest.approx(0.0173, rel=1e-6)
    assert found.log10_chance < -4.5


def test_the_unit_of_bright_counts_in_float64_is_found() -> None:
    multiples = np.unique(np.random.default_rng(0).integers(100_000, 50_000_000, 300))
    found = find_lattice(multiples * 0.0173, precision=EPS)
    assert found is not None
    assert found.unit == pytest.approx(0.0173, rel=1e-9)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_unrelated_numbers_have_no_unit(dtype: str) -> None:
    for seed in range(20):
        values = np.unique(np.random.default_rng(seed).lognormal(0, 3, 300).astype(dtype)).astype(np.float64)
        found = find_lattice(values[values > 0], precision=precision_of(values))
        assert found is None or found.log10_chance > -3


def test_the_precision_is_that_of_the_type_that_numbers_were_rounded_to() -> None:
    numbers = np.random.default_rng(0).random(100)
    for dtype in (np.float16, np.float32, np.float64):
        assert precision_of(numbers.astype(dtype).astype(np.float64)) == np.finfo(dtype).eps
    assert precision_of(np.array([1.0, 2.0, 3.0])) == EPS


@pytest.mark.parametrize("amplitude", [True, False])
def test_a_flat_field_leaves_each_pixel_a_unit_of_its_own(amplitude: bool) -> None:
    flat = np.random.default_rng(1).normal(1, 0.05, (32, 32))
    corrected = _counts(3e4) / flat
    found, why = decide_measurement((np.sqrt(corrected) if amplitude else corrected).astype(np.float32))
    assert found == ("amplitude" if amplitude else "intensity")
    assert "values of each pixel are whole multiples of a unit of its own" in why


@pytest.mark.parametrize("amplitude", [True, False])
def test_numbers_of_float32_that_were_scaled_in_float64_keep_their_unit(amplitude: bool) -> None:
    counts = _counts(1e4)
    values = (np.sqrt(counts) if amplitude else counts).astype(np.float32) * np.float64(1.2345)
    assert decide_measurement(values)[0] == ("amplitude" if amplitude else "intensity")


def test_a_few_repaired_pixels_do_not_hide_the_unit() -> None:
    counts = _counts(2e4)
    counts[:, 5, 7] = counts[:, 4:7, 6:9].mean(axis=(1, 2)) * 1.01
    assert decide_measurement(np.sqrt(counts))[0] == "amplitude"
    assert decide_measurement(counts * 0.3)[0] == "intensity"


@pytest.mark.parametrize("noisy", [True, False])
def test_rounded_amplitudes_are_never_taken_as_counts(noisy: bool) -> None:
    for seed in range(1, 61, 2):
        case = make_case(seed, noisy=noisy, rounded=True)
        try:
            found, why = decide_measurement(case.patterns)
        except DomainError:
            continue
        assert found == "amplitude", (seed, case.dose, case.done, why)


@pytest.mark.parametrize("seed", [135, 2000243, 2000293, 2000381, 2000811, 2001606, 2001759, 2001931])
def test_levels_of_an_image_that_look_like_counts_of_a_pixel_or_of_few_photons_are_refused(seed: int) -> None:
    with pytest.raises(DomainError, match="rounding may have left"):
        decide_measurement(make_case(seed, rounded=True).patterns)


def test_decimals_and_empty_digits_are_no_counts() -> None:
    smooth = far_field_intensity(np.random.default_rng(0), N=32, n=16, strength=1.0)
    smooth = np.sqrt(smooth / smooth.max())
    for rounded in (np.round(smooth, 3), np.round(smooth * 255) / 255, smooth.astype(np.float16).astype(np.float32)):
        told = told_by_multiples(rounded.astype(np.float64), precision=precision_of(rounded))
        assert told.measurement is None
    with pytest.raises(DomainError, match=r"scatter of counts|that rounding may have left"):
        decide_measurement(np.round(smooth, 3))


def test_counts_divided_by_the_root_of_the_energy_of_each_pattern_are_not_told_by_what_patterns_share() -> None:
    singles = np.zeros((16, 8, 8))
    for row in range(16):
        singles[row].flat[: row + 20] = 1.0
    singles /= np.sqrt(np.square(singles).sum(axis=(1, 2), keepdims=True))
    with pytest.raises(DomainError, match="only one value besides zero in each pattern"):
        decide_measurement(singles)


def test_one_value_in_each_pattern_tells_if_the_least_is_one_photon() -> None:
    singles = np.zeros((16, 8, 8))
    for row in range(16):
        singles[row, row % 8, row // 2] = np.sqrt(1 + row % 3)
    assert decide_measurement(singles)[0] == "amplitude"
    assert decide_measurement(np.round(np.square(singles)))[0] == "intensity"


def test_too_few_multiples_beside_squares_are_refused() -> None:
    counts = np.zeros((4, 8, 8))
    counts[:, :4] = 1
    counts[:, 5, 5] = 2
    with pytest.raises(DomainError, match="whole numbers of which only 1 are no squares"):
        decide_measurement(counts)
