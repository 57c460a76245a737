"""Amplitude or intensity: what is declared, what the numbers say, and that nothing is ever answered wrongly."""

import logging
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from ptychofold.errors import DomainError
from ptychofold.measurement import decide_measurement
from ptychofold.typing import Measurement
from tests.golden_files import golden, golden_names

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def _intensity(rng: np.random.Generator, *, N: int, n: int, strength: float) -> np.ndarray:
    """Return n far-field intensities of a random object under a round probe, one photon a pattern on average."""
    row, column = np.mgrid[:N, :N] - N / 2
    radius = np.hypot(row, column)
    probe = np.exp(-(radius**2) / (2 * (rng.uniform(0.05, 0.2) * N) ** 2)) * np.exp(
        1j * rng.uniform(0, 2) * radius**2 / N
    )
    frequency = np.hypot(np.fft.fftfreq(N + 32)[:, None], np.fft.fftfreq(N + 32))
    noise = np.fft.fft2(rng.normal(size=(2, N + 32, N + 32))) * np.exp(-(frequency**2) * rng.uniform(5, 300))
    absorption, phase = np.fft.ifft2(noise).real / np.fft.ifft2(noise).real.std()
    canvas = np.exp(strength * (1j * phase - 0.3 * np.abs(absorption)))
    corners = rng.integers(0, 32, (n, 2))
    exit_waves = np.stack([probe * canvas[y : y + N, x : x + N] for y, x in corners])
    intensity = np.abs(np.fft.fftshift(np.fft.fft2(exit_waves), axes=(-2, -1))) ** 2
    return np.asarray(intensity / intensity.sum(axis=(1, 2)).mean())


def _case(seed: int) -> tuple[np.ndarray, Measurement, float]:
    """Return patterns of a random dose, size, scaling and beamstop, what they are, and the dose."""
    rng = np.random.default_rng(seed)
    N, n = int(rng.choice([32, 64])), int(rng.choice([16, 32]))
    dose = 10 ** rng.uniform(1, 9)
    counts = rng.poisson(_intensity(rng, N=N, n=n, strength=rng.choice([0.3, 1.0, 2.0])) * dose).astype(np.float64)
    if rng.random() < 0.3:
        stop = slice(N // 2 - N // 8, N // 2 + N // 8)
        counts[:, stop, stop] = 0
    truth: Measurement = "amplitude" if seed % 2 else "intensity"
    values = np.sqrt(counts) if truth == "amplitude" else counts
    largest = max(values.max(), 1e-9)
    scale = rng.choice([1.0, 1 / largest, 1 / max(values.mean(), 1e-9), rng.uniform(0.1, 30), 1 / np.sqrt(dose)])
    return (values * scale).astype(rng.choice(["f4", "f8"])), truth, dose


def test_no_measured_pattern_of_any_dose_and_scaling_is_answered_wrongly() -> None:
    expectations: tuple[Literal["amplitude"] | None, ...] = (None, "amplitude")
    right = 0
    for seed in range(220):
        patterns, truth, dose = _case(seed)
        for expected in expectations:
            try:
                found, reason = decide_measurement(patterns, expected=expected)
            except DomainError:
                continue
            assert found == truth, (seed, dose, reason)
            right += 1
    assert right > 400


@pytest.mark.parametrize(
    "name", [name for kind in ("grouping", "container", "npz_load") for name in golden_names(kind)]
)
def test_the_goldens_are_told_apart(name: str) -> None:
    inputs, _, _ = golden(name)
    patterns = inputs.get("diff3d", inputs.get("diffraction"))
    assert patterns is not None
    patterns = np.moveaxis(patterns, -1, 0) if patterns.shape[0] == patterns.shape[1] else patterns
    found, _ = decide_measurement(patterns[:64], expected="amplitude")
    assert found == ("intensity" if patterns.dtype == np.uint16 else "amplitude")


@pytest.mark.big
@pytest.mark.parametrize("name", ["siemens_n128", "cryo_n64_32x32", "p25_nearfield_n128"])
def test_the_measured_scans_are_amplitude_and_their_squares_intensity(name: str) -> None:
    path = SHARED_DATA / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"{path} is not beside the checkout")
    with np.load(path) as archive:
        patterns = archive["diff3d"][::16]
    assert decide_measurement(patterns)[0] == "amplitude"
    assert decide_measurement(patterns / patterns.max())[0] == "amplitude"
    assert decide_measurement(np.round(patterns.astype(float) ** 2))[0] == "intensity"


def _smooth(n: int = 8, strength: float = 0.1) -> np.ndarray:
    return _intensity(np.random.default_rng(3), N=32, n=n, strength=strength)


def test_the_caller_s_word_comes_first() -> None:
    counts = np.ones((2, 4, 4), np.uint16)
    assert decide_measurement(counts, requested="amplitude", declared="intensity")[0] == "amplitude"


def test_the_file_s_word_comes_second() -> None:
    counts = np.ones((2, 4, 4), np.uint16)
    assert decide_measurement(counts, declared="amplitude", declared_reason="so") == ("amplitude", "so")
    assert decide_measurement(counts, declared="amplitude") == ("amplitude", "declared by the file")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "bool"])
def test_integers_are_counts(dtype: str) -> None:
    found, reason = decide_measurement(np.ones((2, 4, 4), dtype))
    assert found == "intensity"
    assert dtype in reason


def test_ambiguous_patterns_are_refused_with_the_two_ways_to_say_it(tmp_path: Path) -> None:
    with pytest.raises(DomainError, match=r'measurement="amplitude" or measurement="intensity".*--measurement'):
        decide_measurement(np.sqrt(_smooth()), path=tmp_path)


@pytest.mark.parametrize(
    ("patterns", "why"),
    [
        (np.eye(8)[None] * 3.0, "only 8 pixels with light"),
        (np.ones((4, 8, 8)), "only one value besides zero"),
        (np.resize([1.0, 4.0, 9.0, 16.0], (8, 8, 8)), "whole numbers that are all squares"),
        (np.resize(np.arange(1.0, 65.0), (8, 8, 8)), "with 0.00 of the variance of counts"),
    ],
)
def test_numbers_that_prove_nothing_are_named_and_override_the_convention(patterns: np.ndarray, why: str) -> None:
    for expected in (None, "amplitude"):
        with pytest.raises(DomainError, match=why):
            decide_measurement(patterns, expected=expected)


def test_the_convention_decides_with_a_warning_where_the_numbers_are_silent(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found, reason = decide_measurement(np.sqrt(_smooth()).astype(np.float32), expected="amplitude")
    assert found == "amplitude"
    assert "neither confirm nor contradict" in reason
    assert "nothing in the numbers tells amplitude from intensity" in caplog.text


def test_noiseless_intensity_contradicts_the_convention() -> None:
    with pytest.raises(DomainError, match=r"contrast² of .* that of intensity"):
        decide_measurement(_smooth(strength=2.0), expected="amplitude")
    with pytest.raises(DomainError, match="limited in bandwidth, as intensity is"):
        decide_measurement(_smooth(n=2), expected="amplitude")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_precision_of_the_numbers_is_taken_into_account(dtype: str) -> None:
    counts = np.random.default_rng(0).poisson(5.0, (8, 16, 16))
    assert decide_measurement(np.sqrt(counts).astype(dtype))[0] == "amplitude"
    assert decide_measurement(counts.astype(dtype))[0] == "intensity"
    assert decide_measurement(np.sqrt(counts).astype(dtype).astype(np.float64))[0] == "amplitude"
