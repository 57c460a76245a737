"""Amplitude or intensity: what is declared, what the numbers say, and that nothing is ever answered wrongly."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from tests.golden_files import golden, golden_names

from ptychofold import samples
from ptychofold.compat import PtychoDataContainer
from ptychofold.errors import ConfigError, DomainError
from ptychofold.formats.lazy import ArrayInMemory
from ptychofold.measurement import decide_measurement
from ptychofold.raw_data import RawData
from ptychofold.testing import make_scan
from ptychofold.testing.measurements import far_field_intensity, make_case

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.mark.parametrize("expected", [None, "amplitude"])
def test_no_counts_of_any_dose_and_scaling_are_answered_wrongly(expected: Literal["amplitude"] | None) -> None:
    right = 0
    for seed in range(120):
        case = make_case(seed)
        try:
            found, reason = decide_measurement(case.patterns, expected=expected)
        except DomainError:
            continue
        assert found == case.measurement, (seed, case.dose, case.done, reason)
        right += 1
    assert right > 100


@pytest.mark.parametrize(("corrected", "noisy"), [(True, True), (False, False)])
def test_without_a_convention_what_cannot_be_told_is_refused(corrected: bool, noisy: bool) -> None:
    for seed in range(24):
        case = make_case(seed, corrected=corrected, noisy=noisy)
        try:
            found, reason = decide_measurement(case.patterns)
        except DomainError:
            continue
        assert found == case.measurement, (seed, case.dose, case.done, reason)


def test_a_few_photons_whose_scaled_roots_lie_near_whole_numbers_are_amplitudes() -> None:
    case = make_case(1317)
    assert case.measurement == "amplitude"
    assert decide_measurement(case.patterns)[0] == "amplitude"


@pytest.mark.parametrize("amplitude", [True, False])
def test_patterns_that_were_each_normalised_are_told_by_their_own_units(amplitude: bool) -> None:
    counts = np.random.default_rng(1).poisson(
        20 * far_field_intensity(np.random.default_rng(0), N=32, n=8, strength=1.0) * 1e3
    )
    values = np.sqrt(counts) if amplitude else counts.astype(np.float64)
    found, reason = decide_measurement(values / np.linspace(3, 7, 8)[:, None, None])
    assert found == ("amplitude" if amplitude else "intensity")
    assert "a unit of its own" in reason


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
    return far_field_intensity(np.random.default_rng(3), N=32, n=n, strength=strength)


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
        (np.resize(np.arange(1.0, 65.0), (8, 8, 8)), "with 0.01 of the scatter of counts"),
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


def _corrected(counts: np.ndarray, correction: str) -> np.ndarray:
    """Return intensities as a beamline's corrections leave them: nothing is a whole multiple of one count."""
    rng = np.random.default_rng(2)
    gain, monitor = rng.normal(1, 0.05, counts.shape[1:]), rng.normal(1, 0.05, (len(counts), 1, 1))
    noise = rng.normal(0, 0.3, counts.shape)
    corrected = {
        "gain": counts * gain,
        "background": counts * gain - 0.3,
        "monitor": counts / monitor,
        "noise": counts + noise,
        "all": (counts + noise - 0.3) * gain / monitor,
    }[correction]
    return np.clip(corrected, 0, None).astype(np.float32)


def _write_contract(path: Path, patterns: np.ndarray, scan: RawData, *, scale: float = 1.0) -> Path:
    arrays = {
        "diff3d": patterns, "xcoords": scan.positions[:, 1], "ycoords": scan.positions[:, 0],
        "probeGuess": np.complex64(scale) * scan.probe,
    }  # fmt: skip
    np.savez(path, allow_pickle=False, **arrays)
    return path


@pytest.mark.parametrize(
    ("correction", "scale"),
    [("gain", 1e-3), ("background", 1e-3), ("monitor", 1e-3), ("noise", 1e-3), ("all", 1e-3), ("all", 1.0)],
)
def test_corrected_intensities_of_a_measured_scan_are_never_taken_as_amplitude_and_their_roots_are(
    correction: str, scale: float, tmp_path: Path
) -> None:
    scan = RawData.from_file(samples.path("siemens"))
    some = scan.subset(np.linspace(0, len(scan) - 1, 20).astype(np.int64))
    intensity = _corrected(np.square(some.amplitude(range(20)), dtype=np.float64), correction)
    file = _write_contract(tmp_path / "i.npz", intensity, some, scale=scale)
    if correction in ("gain", "monitor"):
        assert RawData.from_file(file).measurement == "intensity"
    else:
        with pytest.raises(DomainError, match=r'as (that of )?intensity does.*measurement="amplitude" or measurement='):
            RawData.from_file(file)
    opened = RawData.from_file(_write_contract(tmp_path / "a.npz", np.sqrt(intensity), some, scale=scale))
    assert opened.measurement == "amplitude"


def test_the_contract_s_constructor_refuses_corrected_intensities_too() -> None:
    scan = RawData.from_file(samples.path("siemens"))
    some = scan.subset(np.linspace(0, len(scan) - 1, 20).astype(np.int64))
    y, x = some.positions.T
    intensity = _corrected(np.square(some.amplitude(range(20)), dtype=np.float64), "all")
    given = (x.copy(), y.copy(), intensity, some.probe[0], some.scan_index)
    with pytest.raises(DomainError, match="as intensity does"):
        PtychoDataContainer.from_raw_data_without_pc(*given)
    assert len(PtychoDataContainer.from_raw_data_without_pc(*given, measurement="intensity")) == 1


@pytest.mark.parametrize(("object_", "patches"), [(True, False), (False, True), (False, False)])
def test_the_energy_of_probe_and_object_tells_noiseless_intensity_from_amplitude(
    object_: bool, patches: bool, tmp_path: Path
) -> None:
    scan = make_scan(
        n_scan=4, N=16, noise=False, n_photons=1e5, phantom="random_phase", object=object_, patches=patches
    )
    intensity = scan.patterns.read(slice(None))
    fields = replace(scan.to_fields(), measurement=None, measurement_expected="amplitude")
    with pytest.raises(DomainError, match=r"sum to the energy of the probe( and object)? beside them"):
        RawData.from_fields(replace(fields, patterns=ArrayInMemory(intensity)))
    found = RawData.from_fields(replace(fields, patterns=ArrayInMemory(np.sqrt(intensity))))
    assert found.measurement == "amplitude"


def test_an_unknown_object_that_absorbs_half_of_the_light_does_not_hide_an_intensity() -> None:
    scan = make_scan(n_scan=4, N=16, noise=False, n_photons=1e5, object=False)
    intensity = 0.4 * scan.patterns.read(slice(None)) / scan.energies().mean() * 1e5
    fields = replace(scan.to_fields(), measurement=None, measurement_expected="amplitude")
    with pytest.raises(DomainError, match="sum to the energy of the probe beside them"):
        RawData.from_fields(replace(fields, patterns=ArrayInMemory(intensity.astype(np.float32))))


def test_sums_that_are_steadier_than_those_of_squares_are_an_intensity_s() -> None:
    rng = np.random.default_rng(0)
    spread = rng.uniform(2, 6, (16, 1, 1))
    row, column = np.mgrid[:32, :32] - 16
    patterns = np.exp(-(row**2 + column**2) / (2 * spread**2)) / spread**2
    with pytest.raises(DomainError, match="times steadier than those of its squares"):
        decide_measurement(patterns, expected="amplitude")
    with pytest.raises(DomainError, match="cannot tell"):
        decide_measurement(np.sqrt(patterns))


@pytest.mark.usefixtures("unchecked_signatures")
@pytest.mark.parametrize("wrong", ["Intensity", "counts", "amp"])
def test_a_misspelt_measurement_is_refused(wrong: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"expected measurement to be one of auto, amplitude, intensity; found '{wrong}'"
    ):
        decide_measurement(np.ones((2, 4, 4), np.uint16), requested=wrong)  # type: ignore[arg-type]


@pytest.mark.usefixtures("unchecked_signatures")
def test_the_measurement_that_was_meant_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scan.npz"
    make_scan(n_scan=4, N=16).to_file(path)
    with pytest.raises(ConfigError, match="did you mean 'intensity'"):
        RawData.from_file(path, measurement="Intensity")  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_precision_of_the_numbers_is_taken_into_account(dtype: str) -> None:
    counts = np.random.default_rng(0).poisson(5.0, (8, 16, 16))
    assert decide_measurement(np.sqrt(counts).astype(dtype))[0] == "amplitude"
    assert decide_measurement(counts.astype(dtype))[0] == "intensity"
    assert decide_measurement(np.sqrt(counts).astype(dtype).astype(np.float64))[0] == "amplitude"
