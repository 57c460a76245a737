"""How measured numbers become a network's input: two profiles, each a frozen value of the training split.

A profile is known by two names that belong together, ``scale_contract_version`` and ``measurement_domain``:

======================  ====================  =========================================================
`AmplitudeScaling`      ``legacy_v1``         ``normalized_amplitude``: input = k · A, ⟨Σ (k A)²⟩ = (N/2)²
`CountIntensityScaling` ``ci_intensity_v2``   ``count_intensity``: input = k · I, ⟨Σ (k I)²⟩ = (N/2)²
======================  ====================  =========================================================

A is an amplitude, I = A² are counts, Σ sums the pixels of a pattern and ⟨·⟩ is the mean over training patterns. The
numbers are computed once, kept with the weights of the network, and used unchanged on every other scan.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import ceil, isfinite
from typing import ClassVar, Self

import numpy as np
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from ptychofold import scaling
from ptychofold.conventions import intensity_from_amplitude
from ptychofold.errors import ConfigError
from ptychofold.formats.lazy import ArrayInMemory
from ptychofold.raw_data import RawData

__all__ = ["AmplitudeScaling", "CountIntensityScaling", "ScalingProfile", "scaling_from_dict", "scaling_type"]

CHUNK_PIXELS = 1 << 21
"""Pixels of amplitude that are squared in one step."""


@dataclass(frozen=True, kw_only=True)
class AmplitudeScaling:
    """The profile ``legacy_v1`` / ``normalized_amplitude``: networks see amplitudes of mean energy (N/2)².

    Examples
    --------
    >>> profile = AmplitudeScaling(N=64, rms_input_scale=0.5, n_patterns=100)
    >>> scaling_from_dict(profile.to_dict()) == profile
    True
    """

    scale_contract_version: ClassVar[str] = "legacy_v1"
    measurement_domain: ClassVar[str] = "normalized_amplitude"

    N: int
    """Side of a pattern in pixels."""
    rms_input_scale: float
    """k = √((N/2)² / ⟨Σ A²⟩)."""
    n_patterns: int
    """Training patterns that the mean was taken over."""

    def __post_init__(self) -> None:
        _check_positive(self)

    @classmethod
    def from_scan(cls, scan: RawData, *, training: Int64[np.ndarray, " n"]) -> Self:
        """Measure a scan.

        Parameters
        ----------
        scan
            Patterns of either measurement.
        training
            Scan points of the training split; no other pattern is read.
        """
        energy = scan.energies(training)
        return cls(
            N=scan.N, rms_input_scale=scaling.rms_input_scale(float(energy.mean()), scan.N), n_patterns=len(training)
        )

    @classmethod
    def over(cls, parts: Sequence[Self]) -> Self:
        """Return what the patterns of all parts together give.

        Examples
        --------
        >>> parts = [AmplitudeScaling(N=2, rms_input_scale=k, n_patterns=n) for k, n in ((1.0, 3), (0.5, 1))]
        >>> round(AmplitudeScaling.over(parts).mean_energy, 6), AmplitudeScaling.over(parts).n_patterns
        (1.75, 4)
        """
        if len(parts) == 1:
            return parts[0]
        N, n_patterns = parts[0].N, sum(part.n_patterns for part in parts)
        energy = sum(part.mean_energy * part.n_patterns for part in parts) / n_patterns
        return cls(N=N, rms_input_scale=scaling.rms_input_scale(energy, N), n_patterns=n_patterns)

    @property
    def mean_energy(self) -> float:
        """⟨Σ A²⟩, counts a pattern."""
        return (self.N / 2 / self.rms_input_scale) ** 2

    def network_input(self, amplitude: Float[Tensor, "*batch N N"]) -> Float[Tensor, "*batch N N"]:
        """Return what a network sees of patterns given as amplitude."""
        return amplitude * self.rms_input_scale

    def to_dict(self) -> dict[str, str | int | float]:
        """Return names and numbers, as JSON-like values; see `scaling_from_dict`."""
        return _to_dict(self)


@dataclass(frozen=True, kw_only=True)
class CountIntensityScaling:
    """The profile ``ci_intensity_v2`` / ``count_intensity``: networks and losses see measured counts."""

    scale_contract_version: ClassVar[str] = "ci_intensity_v2"
    measurement_domain: ClassVar[str] = "count_intensity"

    N: int
    """Side of a pattern in pixels."""
    rms_input_scale: float
    """k = √((N/2)² / ⟨Σ I²⟩)."""
    mean_measured_intensity: float
    """⟨Σ I⟩ / N², mean counts of a pixel; the Poisson loss is divided by it."""
    n_patterns: int
    """Training patterns that the means were taken over."""

    def __post_init__(self) -> None:
        _check_positive(self)

    @classmethod
    def from_scan(cls, scan: RawData, *, training: Int64[np.ndarray, " n"]) -> Self:
        """Measure a scan; see `AmplitudeScaling.from_scan`."""
        squared = _squared_count_sums(scan, training)
        total = scan.energies(training)
        return cls(
            N=scan.N,
            rms_input_scale=scaling.rms_input_scale_counts(float(squared.mean()), scan.N),
            mean_measured_intensity=scaling.mean_measured_intensity(float(total.mean()), scan.N),
            n_patterns=len(training),
        )

    @property
    def mean_energy(self) -> float:
        """⟨Σ A²⟩, counts a pattern."""
        return self.mean_measured_intensity * self.N**2

    def network_input(self, amplitude: Float[Tensor, "*batch N N"]) -> Float[Tensor, "*batch N N"]:
        """Return what a network sees of patterns given as amplitude."""
        return amplitude.square() * self.rms_input_scale

    def to_dict(self) -> dict[str, str | int | float]:
        """Return names and numbers, as JSON-like values; see `scaling_from_dict`."""
        return _to_dict(self)


ScalingProfile = AmplitudeScaling | CountIntensityScaling
"""Either profile."""

_TYPES: tuple[type[AmplitudeScaling] | type[CountIntensityScaling], ...] = (AmplitudeScaling, CountIntensityScaling)


def scaling_type(
    *, scale_contract_version: str | None, measurement_domain: str | None
) -> type[AmplitudeScaling] | type[CountIntensityScaling]:
    """Return the profile of a pair of names.

    Raises
    ------
    ConfigError
        If one name of the pair is missing, unknown, or of the other profile.

    Examples
    --------
    >>> scaling_type(scale_contract_version="legacy_v1", measurement_domain="normalized_amplitude").__name__
    'AmplitudeScaling'
    """
    for profile in _TYPES:
        if (profile.scale_contract_version, profile.measurement_domain) == (
            scale_contract_version,
            measurement_domain,
        ):
            return profile
    pairs = " or ".join(f"{p.scale_contract_version!r} with {p.measurement_domain!r}" for p in _TYPES)
    raise ConfigError(
        f"expected scale_contract_version and measurement_domain to be {pairs}; found {scale_contract_version!r} with "
        f"{measurement_domain!r}. Give both names of one profile."
    )


def scaling_from_dict(values: Mapping[str, object]) -> ScalingProfile:
    """Return the profile that ``to_dict`` wrote.

    Raises
    ------
    ConfigError
        If the names are no pair, or the numbers are not those of the profile.
    """
    numbers = dict(values)
    version, domain = (numbers.pop(name, None) for name in ("scale_contract_version", "measurement_domain"))
    profile = scaling_type(
        scale_contract_version=None if version is None else str(version),
        measurement_domain=None if domain is None else str(domain),
    )
    expected = {field.name for field in fields(profile)}
    if set(numbers) != expected:
        raise ConfigError(
            f"expected {', '.join(sorted(expected))} with {profile.scale_contract_version!r}; "
            f"found {', '.join(sorted(numbers)) or 'nothing'}."
        )
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"expected {name} to be a number; found {value!r}.")
    return profile(**numbers)  # type: ignore[arg-type]


def _squared_count_sums(scan: RawData, rows: Int64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    bad = scan.bad_pixels
    if scan.measurement == "intensity":
        return scaling.squared_count_sums(scan.patterns, rows=rows, bad_pixels=bad)
    sums = [
        scaling.squared_count_sums(ArrayInMemory(intensity_from_amplitude(scan.amplitude(part))), bad_pixels=bad)
        for part in np.array_split(rows, ceil(len(rows) * scan.N**2 / CHUNK_PIXELS))
    ]
    return np.concatenate(sums)


def _to_dict(profile: ScalingProfile) -> dict[str, str | int | float]:
    return {
        "scale_contract_version": profile.scale_contract_version,
        "measurement_domain": profile.measurement_domain,
        **asdict(profile),
    }


def _check_positive(profile: ScalingProfile) -> None:
    for name, value in asdict(profile).items():
        if not (isfinite(value) and value > 0):
            raise ConfigError(f"{type(profile).__name__}: expected a positive, finite {name}; found {value}.")
