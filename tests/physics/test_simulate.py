import numpy as np
import pytest
import torch

from ptychofold.errors import ConfigError, DomainError, ShapeError
from ptychofold.physics import (
    OBJECTS,
    SCAN_PATTERNS,
    ForwardModel,
    Geometry,
    make_object,
    make_positions,
    make_probe,
    object_side,
    simulate,
)
from ptychofold.physics.scan_patterns import raster

SHAPE = (60, 66)
OBJECT = make_object("dead_leaves", SHAPE, seed=1)
PROBE = make_probe("focused", 32)
POSITIONS = make_positions("fermat", SHAPE, size=32, step=5.0, seed=0)
NEAR = Geometry(propagation="near_field", wavelength_m=1e-10, distance_m=1e-3, pixel_size_m=(1e-7, 1e-7))


def test_a_scan_without_noise_is_the_forward_model() -> None:
    scan = simulate(OBJECT, PROBE, POSITIONS, seed=0, measurement="amplitude", geometry=NEAR)
    model = ForwardModel(torch.from_numpy(PROBE), propagator=NEAR.propagator())
    expected = model.from_object(torch.from_numpy(OBJECT), torch.from_numpy(POSITIONS)).detach().numpy()
    np.testing.assert_allclose(scan.amplitude(np.arange(len(scan))), expected, rtol=1e-6)
    assert scan.patterns.dtype == np.float32
    assert scan.metadata.wavelength_m == 1e-10
    assert scan.metadata.pixel_size_m == (1e-7, 1e-7)


def test_the_dose_sets_the_counts_and_the_probe() -> None:
    clear = np.ones(SHAPE, np.complex64)
    scan = simulate(clear, PROBE, POSITIONS, seed=0, n_photons=1e4)
    counts = scan.patterns.read(slice(None)).sum(axis=(1, 2))
    assert scan.patterns.dtype == np.uint16
    assert scan.measurement == "intensity"
    assert counts.mean() == pytest.approx(1e4, rel=0.01)
    assert counts.std() == pytest.approx(100, rel=0.35)
    assert float(np.linalg.norm(scan.probe)) ** 2 == pytest.approx(1e4, rel=1e-4)
    assert scan.metadata.n_photons == 1e4


def test_a_high_dose_is_stored_in_wider_integers() -> None:
    assert simulate(OBJECT, PROBE, POSITIONS, seed=0, n_photons=1e9).patterns.dtype == np.uint32


def test_amplitudes_with_noise_are_roots_of_counts() -> None:
    counts = simulate(OBJECT, PROBE, POSITIONS, seed=4, n_photons=1e4)
    roots = simulate(OBJECT, PROBE, POSITIONS, seed=4, n_photons=1e4, measurement="amplitude")
    np.testing.assert_allclose(roots.patterns.read(slice(None)), np.sqrt(counts.patterns.read(slice(None))), rtol=1e-6)


def test_the_seed_decides_the_noise_and_the_size_of_portions_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def patterns(seed: int) -> np.ndarray:
        return simulate(OBJECT, PROBE, POSITIONS, seed=seed, n_photons=1e4).patterns.read(slice(None))

    first = patterns(1)
    assert not np.array_equal(first, patterns(2))
    monkeypatch.setattr("ptychofold.physics.simulation.CHUNK_PIXELS", 3 * 32 * 32)
    np.testing.assert_array_equal(first, patterns(1))


def test_nominal_positions_are_kept_beside_the_true_ones() -> None:
    nominal = POSITIONS + 0.5
    scan = simulate(OBJECT, PROBE, POSITIONS, seed=0, positions_nominal=nominal)
    np.testing.assert_array_equal(scan.positions, POSITIONS)
    np.testing.assert_array_equal(scan.positions_nominal, nominal)


def test_positions_whose_patch_leaves_the_object_are_refused() -> None:
    with pytest.raises(DomainError, match=r"positions from \[16, 16\] to \[44, 50\].*found \[44.5, 20.0\] at row 1"):
        simulate(OBJECT, PROBE, np.array([[20.0, 20.0], [44.5, 20.0]]), seed=0)


def test_a_scan_without_positions_is_refused() -> None:
    with pytest.raises(ShapeError, match="at least one scan position"):
        simulate(OBJECT, PROBE, np.empty((0, 2)), seed=0)


def test_a_dose_that_is_none_is_refused() -> None:
    with pytest.raises(DomainError, match="positive n_photons; found 0"):
        simulate(OBJECT, PROBE, POSITIONS, seed=0, n_photons=0.0)
    with pytest.raises(DomainError, match="probe with light"):
        simulate(OBJECT, np.zeros_like(PROBE), POSITIONS, seed=0, n_photons=1.0)


def test_a_dtype_too_small_for_the_patterns_is_refused() -> None:
    with pytest.raises(DomainError, match="fit into uint8"):
        simulate(OBJECT, PROBE, POSITIONS, seed=0, n_photons=1e9, dtype=np.uint8)
    with pytest.raises(DomainError, match="that are not whole"):
        simulate(OBJECT, PROBE, POSITIONS, seed=0, dtype=np.uint16)


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_objects_have_the_contrast_asked_for_and_repeat_by_seed(name: str) -> None:
    drawn = make_object(name, (80, 90), seed=3, absorption=0.3, phase_rad=0.8)
    assert drawn.shape == (80, 90)
    assert drawn.dtype == np.complex64
    assert 0.699 <= np.abs(drawn).min() < 0.9
    assert np.abs(drawn).max() <= 1.001
    assert 0.3 < np.angle(drawn).max() <= 0.801
    np.testing.assert_array_equal(drawn, make_object(name, (80, 90), seed=3, absorption=0.3, phase_rad=0.8))
    assert not np.array_equal(drawn, make_object(name, (80, 90), seed=4, absorption=0.3, phase_rad=0.8))


@pytest.mark.parametrize("name", sorted(SCAN_PATTERNS))
def test_scan_patterns_fill_what_fits_at_the_density_of_their_step(name: str) -> None:
    positions = make_positions(name, (264, 164), size=64, step=4.0, seed=1)
    assert (positions >= 32).all()
    assert (positions <= [232, 132]).all()
    assert len(positions) == pytest.approx(200 * 100 / 16, rel=0.08)
    assert len(np.unique(positions.round(9), axis=0)) == len(positions)


def test_an_object_sized_for_a_scan_holds_it() -> None:
    for n_scan in (1, 2, 100, 101, 2000):
        side = object_side(n_scan, size=64, step=3.3)
        assert len(raster((side, side), size=64, step=3.3)) >= n_scan


def test_an_object_smaller_than_a_patch_or_a_step_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 64 by 64 pixels"):
        make_positions("raster", (63, 100), size=64, step=1.0, seed=0)
    with pytest.raises(ConfigError, match="positive step; found 0"):
        make_positions("raster", (100, 100), size=64, step=0.0, seed=0)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="dead_leaves, lines, random_phase, siemens; found 'cat'"):
        make_object("cat", (8, 8), seed=0)
    with pytest.raises(ConfigError, match="fermat, jittered, raster; found 'snake'"):
        make_positions("snake", (80, 80), size=64, step=1.0, seed=0)
