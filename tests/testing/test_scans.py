import numpy as np
import pytest

from ptychofold.patches import extract_patches
from ptychofold.testing import make_positions, make_probe, make_scan
from ptychofold.testing.scans import Grid, Phantom
from ptychofold.typing import Measurement

EVERY = np.arange(12)


@pytest.mark.parametrize("n_modes", [1, 2, 5])
@pytest.mark.parametrize("N", [16, 33])
def test_probe_modes_are_orthogonal_localised_and_of_unit_power(N: int, n_modes: int) -> None:
    probe = make_probe(N, n_modes=n_modes)
    gram = np.einsum("myx,nyx->mn", probe.conj(), probe)
    assert probe.dtype == np.complex64
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-6)
    assert np.trace(gram).real == pytest.approx(1, abs=1e-5)
    assert np.unravel_index(np.abs(probe[0]).argmax(), (N, N)) == (N // 2, N // 2)
    edge = np.abs(probe[0][[0, -1]]).max() / np.abs(probe[0]).max()
    assert edge < 3e-3
    assert np.ptp(np.angle(probe[0])[N // 2 - N // 8 : N // 2 + N // 8 + 1]) > 0.5


@pytest.mark.parametrize("grid", ["raster", "jitter", "fermat"])
def test_positions_start_at_zero_and_have_the_density_of_the_step(grid: Grid) -> None:
    positions = make_positions(400, grid=grid, step=3.0, seed=1)
    assert positions.min(axis=0).tolist() == [0, 0]
    hull = positions.max(axis=0)
    assert hull.prod() / 400 == pytest.approx(9, rel=0.35)
    np.testing.assert_array_equal(positions, make_positions(400, grid=grid, step=3.0, seed=1))


@pytest.mark.parametrize("grid", ["raster", "jitter", "fermat"])
@pytest.mark.parametrize("N", [9, 16])
def test_every_patch_of_a_scan_lies_inside_its_object(grid: Grid, N: int) -> None:
    scan = make_scan(n_scan=12, N=N, grid=grid)
    assert scan.object is not None
    first = np.floor(scan.positions) - N // 2
    assert first.min() >= 0
    assert (first + N < scan.object.shape).all()


@pytest.mark.parametrize("measurement", ["amplitude", "intensity"])
@pytest.mark.parametrize("n_modes", [1, 3])
def test_the_probe_and_object_of_a_scan_reproduce_its_noise_free_patterns(
    measurement: Measurement, n_modes: int
) -> None:
    scan = make_scan(n_scan=12, N=16, measurement=measurement, n_modes=n_modes, noise=False)
    assert scan.object is not None
    patches = extract_patches(scan.object, scan.positions, 16)
    exit_waves = scan.probe[:, None] * patches
    plain = np.abs(np.fft.fft2(exit_waves, norm="ortho")) ** 2
    amplitude = np.sqrt(np.fft.fftshift(plain.sum(axis=0), axes=(1, 2)))
    np.testing.assert_allclose(scan.amplitude(EVERY), amplitude, rtol=1e-3, atol=1e-2)


def test_the_zero_frequency_is_in_the_middle() -> None:
    scan = make_scan(n_scan=12, N=16, phantom="random_phase")
    mean = (scan.amplitude(EVERY) ** 2).mean(axis=0)
    y, x = np.indices(mean.shape)
    assert [(mean * y).sum() / mean.sum(), (mean * x).sum() / mean.sum()] == pytest.approx([8, 8], abs=0.7)


@pytest.mark.parametrize("measurement", ["amplitude", "intensity"])
def test_a_scan_has_the_dose_asked_for(measurement: Measurement) -> None:
    scan = make_scan(n_scan=12, N=16, measurement=measurement, n_photons=3e4)
    energy = (scan.amplitude(EVERY).astype(np.float64) ** 2).sum(axis=(1, 2))
    assert energy.mean() == pytest.approx(3e4, rel=0.01)
    assert scan.metadata.n_photons == 3e4
    assert scan.measurement == measurement


def test_counts_are_uint16_until_they_need_uint32() -> None:
    assert make_scan(n_scan=4, N=8).patterns.dtype == np.uint16
    assert make_scan(n_scan=4, N=8, n_photons=1e8).patterns.dtype == np.uint32
    assert make_scan(n_scan=4, N=8, noise=False).patterns.dtype == np.float32
    assert make_scan(n_scan=4, N=8, measurement="amplitude").patterns.dtype == np.float32


def test_a_scan_is_fixed_by_its_seed() -> None:
    one, same, other = make_scan(n_scan=4, N=8), make_scan(n_scan=4, N=8), make_scan(n_scan=4, N=8, seed=1)
    every = slice(0, 4)
    np.testing.assert_array_equal(one.patterns.read(every), same.patterns.read(every))
    assert (one.patterns.read(every) != other.patterns.read(every)).any()


def test_bad_pixels_read_zero_in_every_pattern() -> None:
    scan = make_scan(n_scan=12, N=16, n_bad_pixels=5)
    assert scan.bad_pixels is not None
    assert scan.bad_pixels.sum() == 5
    assert not scan.amplitude(EVERY)[:, scan.bad_pixels].any()


def test_object_patches_and_nominal_positions_are_there_when_asked_for() -> None:
    bare = make_scan(n_scan=12, N=8, object=False)
    assert bare.object is None
    assert bare.patches is None
    np.testing.assert_array_equal(bare.positions, bare.positions_nominal)
    rich = make_scan(n_scan=12, N=8, patches=True, nominal_error=0.5)
    assert rich.object is not None
    assert rich.patches is not None
    np.testing.assert_array_equal(rich.patches, extract_patches(rich.object, rich.positions, 8))
    assert 0.1 < (rich.positions - rich.positions_nominal).std() < 1


@pytest.mark.parametrize("phantom", ["dead_leaves", "siemens_star", "lines", "random_phase", "coordinate_ramp"])
def test_every_phantom_can_be_scanned(phantom: Phantom) -> None:
    scan = make_scan(n_scan=4, N=8, phantom=phantom)
    assert scan.patterns.shape == (4, 8, 8)
