"""Metrics: what they must give for known differences, and what must not change them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptychofold.errors import ConfigError, DomainError, ShapeError
from ptychofold.physics import make_object
from ptychofold.reconstruction import metrics
from ptychofold.reconstruction.alignment import align, estimate_ambiguities, resampled, shifted
from ptychofold.testing import make_scan

SHAPE = (64, 56)


def smooth(seed: int = 0) -> np.ndarray:
    """Return an object that a sub-pixel shift does not alias, and whose edges meet."""
    return make_object("random_phase", SHAPE, seed=seed).astype(np.complex128)


def noisy(values: np.ndarray, level: float, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(values + level * (rng.normal(size=values.shape) + 1j * rng.normal(size=values.shape)))


def ambiguous(values: np.ndarray, *, scale: float, phase: float, ramp: tuple[float, float]) -> np.ndarray:
    y, x = (np.arange(n) - (n - 1) / 2 for n in values.shape)
    return np.asarray(scale * values * np.exp(1j * (phase + ramp[0] * y[:, None] + ramp[1] * x)))


@pytest.mark.parametrize("seed", range(6))
def test_what_diffraction_cannot_tell_is_taken_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scale, phase, shift = float(10 ** rng.uniform(-2, 2)), rng.uniform(-np.pi, np.pi), rng.uniform(-4, 4, 2)
    ramp = (float(rng.uniform(-0.05, 0.05)), float(rng.uniform(-0.05, 0.05)))
    reference = make_object("dead_leaves", (96, 88), seed=0).astype(np.complex128)
    test = ambiguous(shifted(reference, shift), scale=scale, phase=phase, ramp=ramp)
    pair = align(test, reference)
    np.testing.assert_allclose(pair.ambiguities.shift, np.negative(shift), atol=0.06)
    assert pair.ambiguities.scale == pytest.approx(scale, rel=0.03)
    inner = (slice(6, -6), slice(6, -6))
    assert metrics.ssim(np.abs(pair.test[inner]), np.abs(pair.reference[inner])) > 0.8  # edges ring when moved
    assert metrics.phase_error(pair.test[inner], pair.reference[inner]) < 0.05


@settings(max_examples=20)
@given(scale=st.floats(0.01, 100), phase=st.floats(-np.pi, np.pi), ramp=st.tuples(*[st.floats(-0.5, 0.5)] * 2))
def test_every_metric_is_the_same_for_objects_that_diffract_alike(
    scale: float, phase: float, ramp: tuple[float, float]
) -> None:
    reference = smooth()
    plain = align(noisy(reference, 0.05), reference, shift=False).test
    turned = align(ambiguous(noisy(reference, 0.05), scale=scale, phase=phase, ramp=ramp), reference, shift=False).test
    np.testing.assert_allclose(turned, plain, atol=1e-9)


def test_the_estimate_is_exact_without_noise_and_weights_choose_what_counts() -> None:
    reference = smooth()
    test = ambiguous(reference, scale=2.5, phase=0.7, ramp=(0.03, -0.05))
    found = estimate_ambiguities(test, reference)
    assert (found.scale, found.phase_rad, *found.ramp_rad) == pytest.approx((2.5, 0.7, 0.03, -0.05))
    test[:20] = 1j
    weights = np.ones(SHAPE)
    weights[:20] = 0
    found = estimate_ambiguities(test, reference, weights=weights)
    assert (found.scale, found.phase_rad, *found.ramp_rad) == pytest.approx((2.5, 0.7, 0.03, -0.05))


def test_objects_of_different_sizes_are_compared_in_their_common_middle() -> None:
    reference = smooth()
    pair = align(reference[4:-4], reference, shift=False)
    np.testing.assert_allclose(pair.test, pair.reference)
    assert pair.reference.shape == (56, 56)


def test_a_shift_by_whole_pixels_is_a_roll_and_shifts_add_up() -> None:
    values = smooth()
    np.testing.assert_allclose(shifted(values, np.array([2.0, -3.0])), np.roll(values, (2, -3), axis=(0, 1)))
    there_and_back = shifted(shifted(values, np.array([0.3, 1.6])), np.array([-0.3, -1.6]))
    np.testing.assert_allclose(there_and_back, values, atol=1e-3)


def test_equal_objects_are_perfect_in_every_metric() -> None:
    values = smooth()
    phase = np.angle(values)
    assert metrics.ssim(phase, phase) == 1
    assert metrics.root_mean_square_error(values, values) == metrics.mean_absolute_error(values, values) == 0
    assert metrics.phase_error(values, values) == metrics.relative_error(values, values) == 0
    rings = metrics.fourier_ring_correlation(values, values)
    np.testing.assert_allclose(rings.correlation[np.isfinite(rings.correlation)], 1)
    assert rings.resolution(bits=0.5) is None
    assert np.nanmin(rings.snr()) > 1e10


def test_known_errors_have_known_values() -> None:
    reference, test = np.zeros((8, 8)), np.full((8, 8), 0.1)
    reference[0, 0] = 2.0
    test[0, 0] = 2.1
    assert metrics.psnr(test, reference) == pytest.approx(10 * np.log10(2.0**2 / 0.1**2))
    assert metrics.psnr(test, reference, data_range=1.0) == pytest.approx(20.0)
    assert metrics.ssim(test, reference, data_range=100.0) > metrics.ssim(test, reference)
    assert metrics.mean_absolute_error(test, reference) == pytest.approx(0.1)
    assert metrics.root_mean_square_error(test, reference) == pytest.approx(0.1)
    assert metrics.relative_error(test, reference) == pytest.approx(6.4 / 2)
    assert metrics.relative_error(test, np.zeros((8, 8))) is None
    wrapped = np.exp(1j * np.full((8, 8), np.pi - 0.1)), np.exp(1j * np.full((8, 8), -np.pi + 0.1))
    assert metrics.phase_error(*wrapped) == pytest.approx(0.2)


@settings(max_examples=20)
@given(level=st.floats(0.01, 1), seed=st.integers(0, 99))
def test_the_ring_correlation_is_symmetric_bounded_and_blind_to_scale(level: float, seed: int) -> None:
    first, second = smooth(), noisy(smooth(), level, seed)
    there, back = metrics.fourier_ring_correlation(first, second), metrics.fourier_ring_correlation(second, first)
    np.testing.assert_allclose(there.correlation, back.correlation)
    assert np.nanmax(np.abs(there.correlation)) <= 1
    scaled = metrics.fourier_ring_correlation(3 * first + 1, 0.2 * second - 4j)
    np.testing.assert_allclose(scaled.correlation, there.correlation, atol=1e-9)


def test_noise_lowers_the_correlation_and_the_resolution() -> None:
    reference = make_object("dead_leaves", (128, 128), seed=0)
    found = [
        metrics.fourier_ring_correlation(noisy(reference, level, 1), noisy(reference, level, 2))
        for level in (0.03, 0.1, 0.3)
    ]
    means = [np.nanmean(rings.correlation) for rings in found]
    assert means[0] > means[1] > means[2]
    periods = [rings.resolution(bits=0.5) for rings in found[1:]]
    assert periods[0] is not None
    assert periods[1] is not None
    assert 2 <= periods[0] < periods[1]
    strict, mild = found[2].resolution(bits=1.0), found[2].resolution(snr=0.5)
    assert strict is not None
    assert mild is not None
    assert strict > periods[1] > mild


def test_independent_noise_does_not_correlate() -> None:
    rings = metrics.fourier_ring_correlation(noisy(np.zeros((96, 96)), 1, 1), noisy(np.zeros((96, 96)), 1, 2))
    expected = 1 / np.sqrt(2 * rings.n_pixels[5:])
    assert (np.abs(rings.correlation[5:]) < 5 * expected).all()
    assert abs(np.mean(rings.correlation[5:] / expected)) < 1


def test_thresholds_follow_their_formulas() -> None:
    rings = metrics.fourier_ring_correlation(smooth(0), smooth(1))
    half = rings.bit_threshold(0.5)
    limit, spread = (np.sqrt(2) - 1) / (np.sqrt(2) + 1), 1 / np.sqrt(rings.n_pixels[-2])
    assert limit < half[-2] < limit + 2 * spread
    assert half[1] > half[-2]
    assert (rings.bit_threshold(1.0)[1:] > half[1:]).all()
    assert half[0] == pytest.approx(0.7, abs=0.2)
    assert rings.frequency[-1] <= 0.5


def test_no_resolution_is_told_apart_by_whether_anything_correlates() -> None:
    same = np.random.default_rng(0).standard_normal((48, 48))
    other = np.random.default_rng(1).standard_normal((48, 48))
    alike, apart = (metrics.fourier_ring_correlation(same, image) for image in (same, other))
    assert alike.resolution(snr=4) is None
    assert apart.resolution(snr=4) is None
    assert alike.exceeds(snr=4)
    assert not apart.exceeds(snr=4)


def test_the_resolution_is_where_the_correlation_falls_and_not_where_it_begins() -> None:
    rings = metrics.RingCorrelation(
        frequency=np.arange(5) * 0.1,
        correlation=np.array([0.1, 0.9, 0.8, 0.2, 0.9]),
        n_pixels=np.full(5, 10**9),
    )
    assert rings.resolution(snr=2.0) == pytest.approx(1 / 0.25)
    low = metrics.RingCorrelation(frequency=rings.frequency, correlation=np.zeros(5), n_pixels=rings.n_pixels)
    assert low.resolution(snr=2.0) is None


def test_images_of_two_shapes_and_two_thresholds_at_once_are_refused() -> None:
    rings = metrics.fourier_ring_correlation(smooth(0), smooth(1))
    with pytest.raises(ConfigError, match="expected a threshold by bits or by snr"):
        rings.resolution()
    with pytest.raises(ConfigError, match=r"found bits=0\.5 and snr=1"):
        rings.resolution(bits=0.5, snr=1)
    with pytest.raises(DomainError, match="their product is zero"):
        estimate_ambiguities(np.zeros((4, 4), complex), np.ones((4, 4), complex))


def test_r_is_the_same_however_many_patterns_are_modelled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scan = make_scan(n_scan=9, N=16, step=2.0, n_bad_pixels=3)
    assert scan.object is not None
    done: list[int] = []
    whole = metrics.scan_r_factor(scan, scan.object, scan.probe, scan.positions, progress=done.append)
    monkeypatch.setattr(metrics, "PATTERNS_TOGETHER", 1)
    assert metrics.scan_r_factor(scan, scan.object, scan.probe, scan.positions) == pytest.approx(whole, rel=1e-6)
    assert sum(done) == 9
    some = metrics.scan_r_factor(scan, scan.object, scan.probe, scan.positions, rows=np.array([2, 5]))
    assert 0 < some != whole
    flipped = metrics.scan_r_factor(scan, scan.object[::-1].copy(), scan.probe, scan.positions)
    assert flipped > 2 * whole


def test_align_refuses_weights_of_another_shape() -> None:
    with pytest.raises(ShapeError, match="expected objects and weights of one shape"):
        align(smooth(), smooth(), weights=np.ones((3, 3)), shift=False)
    with pytest.raises(ShapeError, match="expected images of one shape"):
        metrics.ssim(np.ones((8, 8)), np.ones((8, 9)))


def test_what_a_shift_brings_in_from_the_opposite_border_is_cut_off() -> None:
    reference = make_object("dead_leaves", (96, 88), seed=0).astype(np.complex128)
    test = np.roll(reference, (3, -2), axis=(0, 1))
    test[:3], test[:, -2:] = 1j, 1j
    pair = align(test, reference)
    assert pair.ambiguities.shift == pytest.approx((-3, 2), abs=0.02)
    assert pair.ambiguities.scale == pytest.approx(1, abs=0.01)
    assert pair.test.shape == pair.reference.shape
    assert pair.test.shape in {(93, 86), (92, 85)}
    assert np.abs(pair.test - pair.reference).max() < 0.2
    assert align(test, reference, keep_border=True).test.shape == (96, 88)


@pytest.mark.parametrize("factor", [(0.5, 0.5), (0.5, 1.0), (2 / 3, 0.7)])
def test_larger_pixels_leave_the_middle_where_it_was(factor: tuple[float, float]) -> None:
    y, x = (np.arange(n) - (n - 1) / 2 for n in (48, 60))
    ramp = y[:, None] + 1j * x
    coarse = resampled(ramp, factor)
    assert coarse.shape == (int(48 * factor[0] + 1e-9), int(60 * factor[1] + 1e-9))
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in coarse.shape)
    expected = rows[:, None] / factor[0] + 1j * columns / factor[1]
    np.testing.assert_allclose(coarse[6:-6, 6:-6], expected[6:-6, 6:-6], atol=0.02)


def test_pixels_larger_than_the_object_are_refused() -> None:
    with pytest.raises(ShapeError, match="pixels smaller than the object"):
        resampled(smooth(), (0.01, 1.0))


def test_measures_that_need_a_range_are_undefined_without_one() -> None:
    flat = np.ones((16, 16))
    assert np.isnan(metrics.psnr(flat, flat))
    assert np.isnan(metrics.ssim(flat, flat))
    assert metrics.psnr(np.eye(16), np.eye(16)) == np.inf


def test_an_image_without_features_correlates_with_nothing() -> None:
    flat = np.full(SHAPE, 0.7 + 0.1j)
    assert np.isnan(metrics.fourier_ring_correlation(flat, smooth()).correlation).all()
