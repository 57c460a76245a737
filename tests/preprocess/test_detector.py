"""Probe, object and positions follow the detector, so that they still explain the patterns."""

from dataclasses import replace

import numpy as np
import pytest
from tests.preprocess.running import numbers_of, run

from ptychofold.config import BinStep, CropStep, PadStep, PreprocessConfig, ScanGeometry, Step
from ptychofold.formats.lazy import ArrayInMemory
from ptychofold.physics import Geometry
from ptychofold.physics.simulation import simulate
from ptychofold.preprocess import preprocess
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.metrics import scan_r_factor
from ptychofold.testing import dead_leaves, make_positions, make_probe, make_scan, random_phase


def _r(scan: RawData, geometry: Geometry | None = None, *, shift: float = 0.0) -> float:
    assert scan.object is not None
    return scan_r_factor(scan, scan.object, scan.probe, scan.positions + shift, geometry=geometry)


@pytest.fixture(scope="module")
def far() -> RawData:
    y, x = np.indices((64, 64)) - 32
    probe = (make_probe(64, defocus=0.5) * np.exp(-(y**2 + x**2) / 2 / 6**2)).astype(np.complex64)
    scan = simulate(random_phase((128, 128), 1), probe, make_positions(36, step=3.0) + 34, seed=0)
    return replace(scan, metadata=replace(scan.metadata, pixel_size_m=(1e-8, 1e-8)))


@pytest.mark.parametrize(
    ("steps", "most", "pixel_size_m"),
    [
        ((CropStep(size=48, center=(32, 32)),), 0.03, 1e-8 * 64 / 48),
        ((CropStep(size=48, center=(35, 30), probe="with_patterns"),), 0.03, 1e-8 * 64 / 48),
        ((PadStep(size=96),), 0.02, 1e-8 * 64 / 96),
        ((BinStep(factor=2),), 0.045, 1e-8),
        ((CropStep(size=32, center=(32, 32)),), 0.075, 2e-8),
        ((BinStep(factor=2), CropStep(size=24, center=(16, 16))), 0.065, 1e-8 * 64 / 48),
    ],
    ids=["crop", "crop beside the beam", "pad", "bin", "crop by half", "bin and crop"],
)
def test_probe_object_and_positions_still_explain_the_far_field(
    far: RawData, steps: tuple[Step, ...], most: float, pixel_size_m: float
) -> None:
    changed = run(far, *steps)
    assert _r(changed) < most
    assert min(_r(changed, shift=0.5), _r(changed, shift=-0.5)) > 1.5 * _r(changed)
    assert changed.metadata.pixel_size_m == pytest.approx((pixel_size_m, pixel_size_m))


def test_cropping_and_padding_back_restores_what_the_window_kept(far: RawData) -> None:
    back = run(far, CropStep(size=32, center=(32, 32)), PadStep(size=64))
    np.testing.assert_allclose(back.positions, far.positions)
    window = slice(16, 48)
    np.testing.assert_array_equal(numbers_of(back)[:, window, window], numbers_of(far)[:, window, window])
    assert back.bad_pixels is not None
    assert back.bad_pixels.sum() == 64**2 - 32**2
    assert not back.bad_pixels[window, window].any()


@pytest.mark.parametrize(
    "step",
    [
        CropStep(size=48, center=(32, 32), propagation="near_field"),
        CropStep(size=48, center=(30, 36), propagation="near_field", probe="with_patterns"),
        PadStep(size=80, propagation="near_field"),
        BinStep(factor=2, propagation="near_field"),
    ],
    ids=["crop", "crop aside", "pad", "bin"],
)
def test_the_near_field_follows_too(step: Step) -> None:
    y, x = np.indices((64, 64)) - 32
    probe = np.exp(-(y**2 + x**2) / 2 / 5**2)[None].astype(np.complex64)
    geometry = Geometry(propagation="near_field", wavelength_m=1e-10, distance_m=2e-4, pixel_size_m=(5e-8, 5e-8))
    canvas, positions = dead_leaves((128, 128), 1, n_leaves=40), make_positions(16, step=4.0) + 40
    changed = run(simulate(canvas, probe, positions, seed=0, geometry=geometry), step)
    after = geometry.replace(pixel_size_m=changed.metadata.pixel_size_m)
    assert _r(changed, after) < 0.12
    assert _r(changed, after, shift=1.0) > 1.5 * _r(changed, after)


def test_the_scan_says_whether_it_is_near_field_and_its_geometry_follows() -> None:
    stated = ScanGeometry(wavelength_m=1e-10, distance_m=0.1, propagation="near_field", detector_pixel_m=(1e-7, 1e-7))
    scan = make_scan(n_scan=4, N=32)
    scan = replace(scan, metadata=replace(scan.metadata, pixel_size_m=(1e-7, 1e-7), geometry=stated))
    changed = run(scan, BinStep(factor=2), CropStep(size=8, center=(8, 8)))
    assert [step["propagation"] for step in changed.metadata.history] == ["near_field"] * 2
    assert changed.metadata.pixel_size_m == (2e-7, 2e-7)
    assert changed.metadata.geometry is not None
    assert changed.metadata.geometry.detector_pixel_m == (2e-7, 2e-7)
    far = replace(
        scan, metadata=replace(scan.metadata, geometry=stated.replace(propagation=None, pixel_size_m=(1e-7,) * 2))
    )
    cropped = run(far, CropStep(size=16, center=(16, 16)))
    assert cropped.metadata.geometry is not None
    assert cropped.metadata.geometry.pixel_size_m == cropped.metadata.pixel_size_m == (2e-7, 2e-7)


def test_true_patches_follow_the_object(far: RawData) -> None:
    assert far.ground_truth(np.arange(36)) is not None
    with_patches = replace(far, patches=far.ground_truth(np.arange(36)))
    for step in (CropStep(size=48, center=(32, 32)), BinStep(factor=2), PadStep(size=96)):
        changed = run(with_patches, step)
        assert changed.patches is not None
        cut = replace(changed, patches=None).ground_truth(np.arange(36))
        assert cut is not None
        lit = np.abs(changed.probe[0]) > 0.1 * np.abs(changed.probe).max()
        assert np.abs(changed.patches - cut)[:, lit].mean() < 0.05


def test_a_probe_that_has_the_new_size_is_taken_as_made_for_it() -> None:
    scan = make_scan(n_scan=4, N=32)
    raw = np.zeros((4, 40, 50), np.uint16)
    raw[:, 4:36, 9:41] = numbers_of(scan)
    found = replace(scan.to_fields(), patterns=ArrayInMemory(raw))
    changed = preprocess(found, PreprocessConfig(steps=(CropStep(size=32, center=(20, 25)),)))
    assert changed.patterns is not None
    assert changed.positions is not None
    np.testing.assert_array_equal(changed.patterns.read(slice(None)), numbers_of(scan))
    np.testing.assert_array_equal(changed.positions, scan.positions)
    assert changed.probe is not None
    np.testing.assert_array_equal(changed.probe, scan.probe)


def test_the_beam_is_found_and_the_window_laid_around_it() -> None:
    scan = make_scan(n_scan=16, N=32, n_photons=1e6)
    shifted = np.roll(numbers_of(scan), (3, -4), axis=(1, 2))
    shifted[:, 1, 1] = 60_000
    changed = run(replace(scan, patterns=ArrayInMemory(shifted)), CropStep(size=20))
    noted = changed.metadata.history[0]
    center = noted["center"]
    assert isinstance(center, list)
    assert (round(center[0]), round(center[1])) == (19, 12)
    assert noted["probe"] == "centred"
    ramp = np.exp(2j * np.pi * (3 * np.arange(32)[:, None] - 4 * np.arange(32)) / 32).astype(np.complex64)
    settled = run(replace(scan, patterns=ArrayInMemory(shifted), probe=scan.probe * ramp), CropStep(size=20))
    assert settled.metadata.history[0]["probe"] == "with_patterns"


def test_what_a_step_loses_is_logged(far: RawData, caplog: pytest.LogCaptureFixture) -> None:
    run(far, CropStep(size=40, center=(5, 32)), BinStep(factor=2), CropStep(size=12, center=(10, 10)))
    run(far, BinStep(factor=8))
    assert "reaches over the frame" in caplog.text
    assert "probe's power lies outside" in caplog.text
