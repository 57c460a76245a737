import json

import numpy as np
import pytest
import torch

from ptychofold.errors import ConfigError
from ptychofold.physics import AmplitudeScaling, CountIntensityScaling, scaling_from_dict, scaling_type
from ptychofold.raw_data import RawData

N = 8
TRAINING = np.array([0, 2, 3, 5])


def _counts() -> np.ndarray:
    counts = np.random.default_rng(0).integers(0, 60000, (6, N, N)).astype(np.uint16)
    counts[[1, 4]] = 1  # of the test split: a statistic that reads them is far off
    return counts


def _scan(*, amplitude: bool) -> RawData:
    return RawData.from_arrays(
        patterns=np.sqrt(_counts().astype(np.float32)) if amplitude else _counts(),
        positions=np.zeros((6, 2)),
        probe=np.ones((N, N), np.complex64),
        measurement="amplitude" if amplitude else "intensity",
    )


@pytest.mark.parametrize("amplitude", [True, False])
def test_amplitudes_are_scaled_to_the_energy_of_the_training_split(amplitude: bool) -> None:
    profile = AmplitudeScaling.from_scan(_scan(amplitude=amplitude), training=TRAINING)
    energy = _counts()[TRAINING].astype(float).sum(axis=(1, 2)).mean()
    assert profile.rms_input_scale == pytest.approx(np.sqrt((N / 2) ** 2 / energy), rel=1e-6)
    assert profile.n_patterns == 4
    seen = profile.network_input(torch.from_numpy(_scan(amplitude=True).amplitude(TRAINING)))
    assert seen.square().sum(dim=(1, 2)).mean().item() == pytest.approx((N / 2) ** 2, rel=1e-5)


@pytest.mark.parametrize("amplitude", [True, False])
def test_counts_are_scaled_to_the_squares_of_the_training_split(amplitude: bool) -> None:
    profile = CountIntensityScaling.from_scan(_scan(amplitude=amplitude), training=TRAINING)
    counts = _counts()[TRAINING].astype(float)
    scale = np.sqrt((N / 2) ** 2 / (counts**2).sum(axis=(1, 2)).mean())
    assert profile.rms_input_scale == pytest.approx(scale, rel=1e-6)
    assert profile.mean_measured_intensity == pytest.approx(counts.mean(), rel=1e-6)
    seen = profile.network_input(torch.from_numpy(_scan(amplitude=True).amplitude(TRAINING)))
    np.testing.assert_allclose(seen.numpy(), counts * scale, rtol=1e-5)


@pytest.mark.parametrize("profile", [AmplitudeScaling, CountIntensityScaling])
def test_a_profile_survives_json_to_the_last_bit(profile: type[AmplitudeScaling] | type[CountIntensityScaling]) -> None:
    measured = profile.from_scan(_scan(amplitude=False), training=TRAINING)
    assert scaling_from_dict(json.loads(json.dumps(measured.to_dict()))) == measured


@pytest.mark.parametrize(
    ("version", "domain"),
    [
        ("legacy_v1", None),
        (None, "count_intensity"),
        (None, None),
        ("legacy_v1", "count_intensity"),
        ("ci_intensity_v2", "normalized_amplitude"),
        ("v3", "count_intensity"),
    ],
)
def test_half_a_pair_or_a_contradictory_one_is_refused(version: str | None, domain: str | None) -> None:
    with pytest.raises(ConfigError, match="Give both names of one profile"):
        scaling_type(scale_contract_version=version, measurement_domain=domain)


def test_numbers_of_the_other_profile_are_refused() -> None:
    values = AmplitudeScaling(N=8, rms_input_scale=1.0, n_patterns=1).to_dict()
    with pytest.raises(ConfigError, match="expected N, n_patterns, rms_input_scale with 'legacy_v1'"):
        scaling_from_dict({**values, "mean_measured_intensity": 2.0})
    with pytest.raises(ConfigError, match="expected rms_input_scale to be a number; found 'one'"):
        scaling_from_dict({**values, "rms_input_scale": "one"})


def test_a_scale_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ConfigError, match="positive, finite rms_input_scale; found nan"):
        AmplitudeScaling(N=8, rms_input_scale=float("nan"), n_patterns=1)
