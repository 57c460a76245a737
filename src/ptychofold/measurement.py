"""Decide whether patterns hold amplitude or intensity: by declaration first, then by evidence, never by a guess.

Photon counts are whole numbers. So intensities that were only scaled are multiples of one unit, and amplitudes that
were only scaled have squares that are. Where corrections left neither, a format's convention holds, with a logged
warning, unless what `ptychofold.evidence` looks at contradicts it; then the patterns are refused.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float64, Shaped

from ptychofold.config.dialects import suggest
from ptychofold.errors import ConfigError, DomainError
from ptychofold.evidence import ExitEnergy, contradiction_of_amplitude
from ptychofold.typing import Measurement, RequestedMeasurement

__all__ = ["decide_measurement"]

logger = logging.getLogger(__name__)

_REQUESTS = get_args(RequestedMeasurement)
_MIN_VALUES = 50
"""Positive values below which numbers prove nothing."""
_MATCHING = 0.98
"""Share of values that must be multiples of the unit; the rest may be repaired pixels."""
_OTHERS_MATCHING = 0.9
"""The same of the values beside the most frequent one."""
_SHARPNESS = 0.1
"""Largest distance from a multiple, in units; a random value comes so near with probability 0.2."""
_N_OWN_UNITS = 8
"""Patterns that must agree where each has a unit of its own."""
_DISPERSION_LIMIT = 0.5
"""Variance over mean below which whole numbers are not counts."""


@dataclass(frozen=True, kw_only=True)
class _Lattice:
    """Values that are multiples of one unit."""

    unit: float
    multiples: Float64[np.ndarray, " value"]

    def __str__(self) -> str:
        return "whole numbers" if self.unit == 1 else f"whole multiples of {self.unit:.4g}"


def decide_measurement(
    sample: Shaped[np.ndarray, "n H W"],
    *,
    requested: RequestedMeasurement = "auto",
    declared: Measurement | None = None,
    declared_reason: str | None = None,
    expected: Literal["amplitude"] | None = None,
    exit_energy: ExitEnergy | None = None,
    path: Path | None = None,
) -> tuple[Measurement, str]:
    """Return what the patterns are and why.

    Parameters
    ----------
    sample
        Some patterns, spread over the scan; finite and not negative.
    requested
        What the caller says; "auto" asks for a decision.
    declared
        What the file or its known exporter declares.
    declared_reason
        Why the declaration is known.
    expected
        What the format's convention says (only amplitudes are a convention anywhere); used, with a logged warning, if
        the numbers neither tell nor contradict it.
    exit_energy
        What the probe and the object beside the patterns say of their energy, if anything.
    path
        The file, for the message.

    Returns
    -------
    measurement, reason
        The decision and one phrase for people.

    Raises
    ------
    DomainError
        If neither declaration nor numbers tell, or the numbers contradict the convention; the message names the two
        ways to say it.
    ConfigError
        If ``requested`` is none of the three.

    Examples
    --------
    >>> decide_measurement(np.ones((2, 8, 8), np.uint16))
    ('intensity', 'uint16 whole numbers are taken as counts')
    """
    if requested not in _REQUESTS:
        raise ConfigError(
            f"expected measurement to be one of {', '.join(_REQUESTS)}; found {requested!r} "
            f"({suggest(str(requested), _REQUESTS)})."
        )
    if requested != "auto":
        return requested, "requested by the caller"
    if declared is not None:
        return declared, declared_reason or "declared by the file"
    if sample.dtype.kind in "bui":
        return "intensity", f"{sample.dtype} whole numbers are taken as counts"
    values = sample.astype(np.float64)
    precision = _precision(sample)
    decided, doubt = _decide_by_units(values, precision=precision)
    if decided is None and not doubt:
        decided, doubt = _decide_by_own_units(values, precision=precision)
    if decided is not None:
        return decided, doubt
    if not doubt and expected is not None:
        doubt = contradiction_of_amplitude(values, exit_energy=exit_energy)
        if not doubt:
            logger.warning(
                "%s: nothing in the numbers tells amplitude from intensity; taken as %s by the format's convention",
                path or "patterns",
                expected,
            )
            return expected, f"{expected} by the format's convention; the numbers neither confirm nor contradict it"
    found = doubt or f"{sample.dtype} values that are no whole multiples of one count, nor are their squares"
    raise DomainError(
        f'cannot tell whether the patterns are amplitude or intensity; found {found}. Say measurement="amplitude" or '
        'measurement="intensity" (command line: --measurement amplitude or --measurement intensity).',
        path=path,
        field="patterns",
    )


def _precision(sample: Shaped[np.ndarray, "n H W"]) -> float:
    """Return the relative rounding error of the numbers, whatever wider type they were saved in."""
    for narrow in (np.float16, np.float32):
        with np.errstate(over="ignore", under="ignore"):
            if np.array_equal(sample.astype(narrow), sample):
                return float(np.finfo(narrow).eps)
    return 1e-12


def _decide_by_units(values: Float64[np.ndarray, "n H W"], *, precision: float) -> tuple[Measurement | None, str]:
    """Return what whole multiples say and why; None with a doubt, or with an empty phrase if there are no multiples."""
    light = np.sort(values[values > 0])
    if len(light) < _MIN_VALUES:
        return None, f"only {len(light)} pixels with light"
    if light[0] == light[-1]:
        return None, "only one value besides zero, which may be its own square root"
    if (counts := _lattice(light, precision=precision)) is not None:
        doubt = _doubt_of_counts(counts, values)
        return (None, f"{counts} {doubt}") if doubt else ("intensity", f"the values are {counts}, as counts are")
    squares = _lattice(np.square(light), precision=2 * precision)
    if squares is not None and _has_no_square_root(squares.multiples):
        return "amplitude", f"the squares of the values are {squares}, as counts are"
    return None, ""


def _decide_by_own_units(values: Float64[np.ndarray, "n H W"], *, precision: float) -> tuple[Measurement | None, str]:
    """Return what whole multiples say where each pattern has a unit of its own, as a monitor or its largest gives it.

    Every pattern that is looked at must say the same.
    """
    some = values[np.unique(np.linspace(0, len(values) - 1, _N_OWN_UNITS).astype(np.int64))]
    said = {_decide_by_units(pattern[None], precision=precision)[0] for pattern in some[some.any(axis=(1, 2))]}
    if len(some) < _N_OWN_UNITS or len(said) != 1 or None in said:
        return None, ""
    decided = said.pop()
    squares = "squares of the " if decided == "amplitude" else ""
    return (
        decided,
        f"the {squares}values of each pattern are whole multiples of a unit of its own, as scaled counts are",
    )


def _doubt_of_counts(found: _Lattice, values: Float64[np.ndarray, "n H W"]) -> str:
    """Say why whole multiples may not be counts after all; empty if they are."""
    if not _has_no_square_root(found.multiples):
        return "that are all squares"
    dispersion = _dispersion(values / found.unit)
    return f"with {dispersion:.2f} of the variance of counts" if dispersion < _DISPERSION_LIMIT else ""


def _has_no_square_root(multiples: Float64[np.ndarray, " value"]) -> bool:
    """Whether enough of the whole numbers are not squares, as the whole roots of counts would be."""
    roots = np.round(np.sqrt(multiples))
    return int((roots * roots != np.round(multiples)).sum()) >= max(5, len(multiples) // 1000)


def _dispersion(counts: Float64[np.ndarray, "n H W"]) -> float:
    """Return variance over mean; Poisson noise alone gives 1, what changes over the scan adds to it."""
    return float(counts.var(axis=0, ddof=1).mean() / counts.mean()) if len(counts) >= 4 else np.inf


def _lattice(light: Float64[np.ndarray, " value"], *, precision: float) -> _Lattice | None:
    """Find the unit that all values are multiples of, if there is one; ``light`` is sorted and positive."""
    for unit in (1.0, *_unit_candidates(light, precision=precision)):
        refined = unit if unit == 1.0 else _refined(light, unit, precision=precision)
        resolvable = light[light <= refined * _SHARPNESS / precision / 2]
        if len(resolvable) < max(_MIN_VALUES, len(light) // 50):
            continue
        multiples = resolvable / refined
        near = np.abs(multiples - np.round(multiples)) < _SHARPNESS
        if near.mean() >= _MATCHING and multiples.max() > 1.5 and _others_match(resolvable, near):
            return _Lattice(unit=refined, multiples=np.round(multiples[near]))
    return None


def _others_match(light: Float64[np.ndarray, " value"], near: Bool[np.ndarray, " value"]) -> bool:
    """Whether the values beside the most frequent one are multiples too: where most are one count, it alone decides."""
    values, counts = np.unique(light, return_counts=True)
    others = light != values[int(np.argmax(counts))]
    return bool(near[others].mean() >= _OTHERS_MATCHING) if others.any() else False


def _unit_candidates(light: Float64[np.ndarray, " value"], *, precision: float) -> list[float]:
    """Return possible units: the smallest value, and small gaps between the dimmest distinct values."""
    dim = light[: max(_MIN_VALUES, len(light) // 2)]
    gaps = np.diff(dim)
    gaps = gaps[gaps > 8 * precision * dim[1:]]
    if not len(gaps):
        return [float(light[0])]
    small = float(np.quantile(gaps, 0.05))
    typical = gaps[gaps < 1.5 * small]
    unit = float(np.median(typical)) if len(typical) else small
    return [float(light[0]), unit, unit / 2, float(light[0]) / 2, float(light[0]) / 3]


def _refined(light: Float64[np.ndarray, " value"], unit: float, *, precision: float) -> float:
    """Improve a unit by least squares over ever larger multiples."""
    limit = 16.0
    while limit * unit <= 2 * light[-1] and limit < _SHARPNESS / precision:
        part = light[light <= limit * unit]
        limit *= 2
        if len(part) < _MIN_VALUES // 2:
            continue
        multiples = np.round(part / unit)
        good = (np.abs(part / unit - multiples) < 2 * _SHARPNESS) & (multiples > 0)
        if good.sum() < _MIN_VALUES // 4:
            break
        unit = float((part[good] * multiples[good]).sum() / np.square(multiples[good]).sum())
    return unit
