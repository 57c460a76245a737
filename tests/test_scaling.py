from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptychofold import scaling
from ptychofold.errors import DomainError
from ptychofold.formats.lazy import ArrayInMemory
from ptychofold.typing import Measurement
from tests.golden_files import golden, golden_names, stored

REAL_DTYPES = ["uint8", "uint16", "uint32", "int32", "float32", "float64"]


def grouped_energy(name: str) -> tuple[np.ndarray, int, float]:
    """Energy of each grouped pattern of a golden, N and the norm constant of the reference."""
    inputs, _, outputs = golden(name)
    patterns, rows = inputs["diff3d"], stored(outputs, "nn_indices").ravel().astype(np.int64)
    energy = scaling.energy_sums(ArrayInMemory(patterns), measurement="amplitude", rows=rows)
    return energy, patterns.shape[-1], float(stored(outputs, "norm_const"))


def goldens_with_a_constant() -> list[str]:
    return [name for name in golden_names("grouping") if "norm_const" in golden(name)[2]]


@pytest.mark.parametrize("name", goldens_with_a_constant())
def test_the_scale_equals_the_norm_constant_of_the_reference(name: str) -> None:
    energy, N, constant = grouped_energy(name)
    if not len(energy):
        with pytest.raises(DomainError, match="found nan"):
            scaling.rms_input_scale(float("nan"), N)
        return
    assert np.float32(scaling.rms_input_scale(float(energy.mean()), N)) == np.float32(constant)


def test_the_factors_of_the_pytorch_side_equal_its_golden() -> None:
    inputs, _, outputs = golden("m01_batch_c4")
    amplitude = inputs["e0_diff3d"]
    energy = scaling.energy_sums(ArrayInMemory(amplitude), measurement="amplitude")
    rms, physics = stored(outputs, "state_scaling_constant"), stored(outputs, "mmap_physics_scaling_constant")
    np.testing.assert_allclose(rms, scaling.torch_rms_scale(energy.mean(), amplitude.shape[-1]), rtol=1e-5)
    sums = amplitude.sum(axis=(1, 2), dtype=np.float64)
    np.testing.assert_allclose(physics, scaling.physics_scale(sums.mean()), rtol=1e-5)


def test_the_count_intensity_factors_equal_their_golden() -> None:
    inputs, _, outputs = golden("m04_ci")
    rows, counts = stored(outputs, "mmap_nn_indices").ravel(), ArrayInMemory(inputs["e0_diff3d"])
    squared = scaling.squared_count_sums(counts, rows=rows).mean()
    total = scaling.energy_sums(counts, measurement="intensity", rows=rows).mean()
    rms, mean = stored(outputs, "ci_rms_input_scale"), stored(outputs, "ci_mean_measured_intensity")
    np.testing.assert_allclose(rms, scaling.rms_input_scale_counts(squared, 8), rtol=1e-5)
    np.testing.assert_allclose(mean, scaling.mean_measured_intensity(total, 8), rtol=1e-5)


@given(st.floats(1e-6, 1e12), st.integers(1, 512))
def test_scaled_amplitudes_have_the_energy_that_each_factor_promises(energy: float, N: int) -> None:
    assert scaling.rms_input_scale(energy, N) ** 2 * energy == pytest.approx((N / 2) ** 2)
    assert scaling.torch_rms_scale(energy, N) == pytest.approx(2 * scaling.rms_input_scale(energy, N))
    assert scaling.photon_scale(1e5, energy) ** 2 * energy == pytest.approx(1e5)
    assert scaling.rms_input_scale_counts(energy, N) ** 2 * energy == pytest.approx((N / 2) ** 2)
    assert scaling.physics_scale(energy) * energy == pytest.approx(1)
    assert scaling.mean_measured_intensity(energy, N) * N * N == pytest.approx(energy)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_of_dark_or_broken_patterns_is_refused(value: float) -> None:
    with pytest.raises(DomainError, match="expected a positive, finite mean energy of the patterns; found"):
        scaling.rms_input_scale(value, 64)
    with pytest.raises(DomainError, match="positive, finite mean energy"):
        scaling.torch_rms_scale(value, 64)
    with pytest.raises(DomainError, match="positive, finite mean sum of squared counts"):
        scaling.rms_input_scale_counts(value, 64)
    with pytest.raises(DomainError, match="positive, finite mean amplitude sum"):
        scaling.physics_scale(value)
    with pytest.raises(DomainError, match="positive, finite photons a pattern"):
        scaling.photon_scale(value, 1.0)
    with pytest.raises(DomainError, match="positive, finite mean energy"):
        scaling.photon_scale(1.0, value)
    with pytest.raises(DomainError, match="positive, finite mean counts"):
        scaling.mean_measured_intensity(value, 64)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("measurement", ["amplitude", "intensity"])
@given(seed=st.integers(0, 2**32 - 1), chunk_bytes=st.sampled_from([1, 300, 1 << 20]), n_scan=st.integers(1, 9))
def test_sums_are_exact_for_every_dtype_and_portion(
    dtype: str, measurement: Measurement, seed: int, chunk_bytes: int, n_scan: int
) -> None:
    rng = np.random.default_rng(seed)
    patterns = rng.integers(0, 250, (n_scan, 7, 7)).astype(dtype)
    found = scaling.energy_sums(ArrayInMemory(patterns), measurement=measurement, chunk_bytes=chunk_bytes)
    exact = patterns.astype(np.float64) ** (2 if measurement == "amplitude" else 1)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, exact.sum(axis=(1, 2)))


@pytest.mark.parametrize(("dtype", "largest"), [("uint8", 255), ("uint16", 65535), ("uint32", 2**32 - 1)])
def test_squares_of_the_largest_counts_do_not_overflow(dtype: str, largest: int) -> None:
    source = ArrayInMemory(np.full((2, 64, 64), largest, dtype))
    assert scaling.energy_sums(source, measurement="amplitude").tolist() == pytest.approx([4096.0 * largest**2] * 2)
    assert scaling.squared_count_sums(source).tolist() == pytest.approx([4096.0 * largest**2] * 2)
    assert scaling.energy_sums(source, measurement="intensity").tolist() == [4096.0 * largest] * 2


def test_float32_squares_are_summed_in_float64() -> None:
    patterns = np.full((1, 256, 256), 0.1, np.float32)
    patterns[0, 0, 0] = 3e4
    exact = float((patterns.astype(np.float64) ** 2).sum())
    assert scaling.energy_sums(ArrayInMemory(patterns), measurement="amplitude")[0] == pytest.approx(exact, rel=1e-13)


def test_rows_are_summed_in_the_order_asked_for() -> None:
    patterns = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((5, 2, 2), np.float32)
    rows = np.array([4, 0, 4, 1])
    found = scaling.energy_sums(ArrayInMemory(patterns), measurement="intensity", rows=rows, chunk_bytes=32)
    assert found.tolist() == [16.0, 0.0, 16.0, 4.0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
@pytest.mark.parametrize("measurement", ["amplitude", "intensity"])
def test_a_bad_pattern_deep_in_a_scan_is_named_by_its_row(bad: float, measurement: Measurement) -> None:
    patterns = np.ones((50, 4, 4), np.float32)
    patterns[37, 1, 2] = patterns[41, 0, 0] = bad
    source = ArrayInMemory(patterns)
    with pytest.raises(DomainError, match=rf"scan\.npz: expected patterns of finite.* found {bad} in row 37") as caught:
        scaling.energy_sums(source, measurement=measurement, chunk_bytes=500, path=Path("scan.npz"))
    assert caught.value.field == "patterns"
    with pytest.raises(DomainError, match="in row 41, at pixel"):
        scaling.squared_count_sums(source, rows=np.array([3, 41, 37]))


def test_a_negative_count_is_found_in_signed_integers() -> None:
    with pytest.raises(DomainError, match=r"found -1 in row 1, at pixel \(0, 1\); 1 of its 4"):
        scaling.energy_sums(
            ArrayInMemory(np.array([[[0, 1], [2, 3]], [[0, -1], [2, 3]]], np.int16)), measurement="intensity"
        )


def test_the_scale_does_not_depend_on_which_of_counts_or_amplitude_is_stored() -> None:
    counts = np.random.default_rng(0).poisson(20, (6, 16, 16)).astype(np.uint16)
    of_counts = scaling.energy_sums(ArrayInMemory(counts), measurement="intensity")
    of_amplitude = scaling.energy_sums(ArrayInMemory(np.sqrt(counts).astype(np.float32)), measurement="amplitude")
    np.testing.assert_allclose(of_counts, of_amplitude, rtol=1e-6)
    assert scaling.rms_input_scale(of_counts.mean(), 16) == pytest.approx(sqrt(64 / of_counts.mean()))


def test_amplitude_sums_are_of_amplitudes_whatever_is_stored() -> None:
    counts = np.array([[[4, 9], [16, 0]]], np.uint16)
    assert scaling.amplitude_sums(ArrayInMemory(counts), measurement="intensity").tolist() == [9.0]
    assert scaling.amplitude_sums(ArrayInMemory(counts), measurement="amplitude").tolist() == [29.0]
