"""Compare results and metrics with Ptychodus's own; needs its wheel (``make test-interop``)."""

from pathlib import Path

import numpy as np
import pytest

from ptychofold.reconstruction import Reconstruction, metrics
from ptychofold.reconstruction.alignment import align, estimate_ambiguities
from ptychofold.testing import make_scan

pytestmark = pytest.mark.interop
PIXEL_M = 1e-8
"""Pixel size of the simulated scans."""


def _objects(shape: tuple[int, int] = (70, 61)) -> tuple[np.ndarray, np.ndarray]:
    """Return two objects that differ by noise, scale, phase, ramp and a shift."""
    rng = np.random.default_rng(0)
    scan = make_scan(n_scan=100, N=16, step=6.0, phantom="dead_leaves")
    assert scan.object is not None
    reference = scan.object[: shape[0], : shape[1]].astype(np.complex128)
    test = np.roll(reference, (1, -2), axis=(0, 1)) + 0.05 * (rng.normal(size=shape) + 1j * rng.normal(size=shape))
    y, x = np.indices(shape)
    return test * 1.7 * np.exp(1j * (0.4 + 0.01 * y - 0.02 * x)), reference


def _product(canvas: np.ndarray) -> object:
    from ptychodus.api.geometry import PixelGeometry
    from ptychodus.api.object import Object, ObjectCenter
    from ptychodus.api.probe import ProbeSequence
    from ptychodus.api.probe_positions import ProbePosition, ProbePositionSequence
    from ptychodus.api.product import Product, ProductMetadata

    pixel = PixelGeometry(width_m=PIXEL_M, height_m=PIXEL_M)
    return Product(
        metadata=ProductMetadata("name", "", 1.0, 8000.0, 1e6, 0.5, 0.0, 0.0),
        probe_positions=ProbePositionSequence([ProbePosition(0, 0.0, 0.0)]),
        probes=ProbeSequence(np.ones((1, 1, 16, 16), np.complex64), None, pixel),
        object_=Object(canvas[None], pixel, ObjectCenter(0.0, 0.0)),
        losses=[],
    )


def test_ptychodus_loads_a_saved_result(tmp_path: Path) -> None:
    pytest.importorskip("ptychodus")
    from dataclasses import replace

    from ptychodus.api.io import load_product

    scan = make_scan(n_scan=16, N=16, step=2.0, n_modes=2)
    result = replace(Reconstruction.from_scan(scan), losses=(0.5, 0.25))
    result.save(tmp_path / "a.h5")
    found = load_product(tmp_path / "a.h5")
    np.testing.assert_array_equal(found.object_.get_array()[0], result.object)
    np.testing.assert_array_equal(found.probes.get_array()[0], result.probe)
    assert [loss.value for loss in found.losses] == [0.5, 0.25]
    assert [loss.epoch for loss in found.losses] == [0, 1]
    geometry = found.object_.get_geometry()
    y = geometry.map_probe_positions_to_object_y_px(found.probe_positions)
    x = geometry.map_probe_positions_to_object_x_px(found.probe_positions)
    corners = np.stack([y, x], axis=1) - (16 - 1) / 2
    np.testing.assert_allclose(corners, result.positions - 16 // 2, atol=1e-6)


def test_values_of_images_agree_with_ptychodus() -> None:
    theirs = pytest.importorskip("ptychodus.api.metrics")
    test, reference = _objects()
    real = np.angle(test), np.angle(reference)
    assert metrics.ssim(*real) == pytest.approx(theirs.compute_structural_similarity(*real[::-1]), abs=1e-6)
    assert metrics.psnr(*real) == pytest.approx(theirs.compute_peak_signal_to_noise_ratio(*real[::-1]), abs=1e-6)
    for ours, other in (
        (metrics.root_mean_square_error, theirs.compute_root_mean_square_error),
        (metrics.mean_absolute_error, theirs.compute_mean_absolute_error),
        (metrics.relative_error, theirs.compute_r_factor),
    ):
        assert ours(test, reference) == pytest.approx(other(reference, test), abs=1e-6)


@pytest.mark.parametrize("shape", [(64, 64), (70, 61), (33, 48)])
@pytest.mark.parametrize("taper", [0.2, 1.0])
def test_the_ring_correlation_and_its_resolution_agree_with_ptychodus(shape: tuple[int, int], taper: float) -> None:
    theirs = pytest.importorskip("ptychodus.api.metrics")
    pair = align(*_objects(shape))
    ours = metrics.fourier_ring_correlation(pair.test, pair.reference, taper=taper)
    other = theirs.compute_fourier_ring_correlation(pair.test, pair.reference, PIXEL_M, PIXEL_M, taper_fraction=taper)
    np.testing.assert_allclose(ours.frequency / PIXEL_M, other.spatial_frequency_per_m, rtol=1e-9)
    np.testing.assert_allclose(ours.correlation, other.correlation, atol=1e-6)
    np.testing.assert_array_equal(ours.n_pixels, other.pixels_per_ring)
    np.testing.assert_allclose(ours.snr(), other.get_spectral_signal_to_noise_ratio(), rtol=1e-6)
    for bits in (0.5, 1.0):
        np.testing.assert_allclose(ours.bit_threshold(bits), other.get_bit_threshold_curve(bits), atol=1e-6)
        _check_period(ours.resolution(bits=bits), other.get_resolution_m_at_bit_threshold(bits))
    _check_period(ours.resolution(snr=1.0), other.get_resolution_m_at_signal_to_noise_threshold(1.0))


def _check_period(found: float | None, expected: float) -> None:
    """Compare periods; Ptychodus has none where no ring, or already the first one, is below the threshold."""
    if not np.isnan(expected):
        assert found is not None
        assert found * PIXEL_M == pytest.approx(expected, rel=1e-6)


def test_what_diffraction_cannot_tell_is_estimated_as_by_ptychodus() -> None:
    theirs = pytest.importorskip("ptychodus.api.metrics")
    test, reference = _objects()
    weights = np.random.default_rng(1).uniform(size=test.shape)
    for given in (None, weights):
        ours = estimate_ambiguities(test, reference, weights=given)
        other = theirs.estimate_reconstruction_ambiguities(_product(test), reference=_product(reference), weights=given)
        assert ours.scale == pytest.approx(other.object_scale_factor, abs=1e-6)
        assert ours.ramp_rad[0] == pytest.approx(other.phase_ramp_y_rad_per_m * PIXEL_M, abs=1e-6)
        assert ours.ramp_rad[1] == pytest.approx(other.phase_ramp_x_rad_per_m * PIXEL_M, abs=1e-6)
        assert ours.phase_rad == pytest.approx(other.phase_offset_rad, abs=1e-6)


def test_objects_are_aligned_as_by_ptychodus() -> None:
    theirs = pytest.importorskip("ptychodus.api.metrics")
    test, reference = _objects()
    ours = align(test, reference, keep_border=True)
    other = theirs.compute_object_comparison(_product(reference), _product(test), alignment_tolerance_px=0.005)
    scale = np.abs(ours.reference).max()
    np.testing.assert_allclose(ours.reference, other.reference_complex, atol=1e-6 * scale)
    np.testing.assert_allclose(ours.test, other.test_complex, atol=1e-6 * scale)
