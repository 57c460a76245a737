"""Find the unit that numbers are whole multiples of, and say how likely chance alone would have made them so.

A number that came from k counts by one factor is a multiple of that factor to within its rounding error. So a few
distinct numbers prove a unit: each unrelated one would lie so near a multiple with twice its error, in units, as
probability.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float64, Shaped

__all__ = ["Lattice", "find_lattice", "precision_of"]

_ROUNDINGS = 2.0
"""Relative error of a stored number, in units of its type's eps: four roundings."""
_RESOLVED = 0.05
"""Largest error of a multiple, in units, that still says something."""
_LAST_DIGITS = 0.1
"""Share of the distinct numbers that use the last binary digit of their type, of which rounding leaves half."""
_N_DISTINCT = 256
"""Distinct values, the dimmest, that are looked at."""
_LARGEST_FIRST = 32
"""Multiples that the dimmest value is tried as."""
_ROUNDING_UNITS = tuple([10.0**-digits for digits in range(1, 6)] + [1 / (2**bits - 1) for bits in (8, 10, 12, 14, 16)])
"""Units of decimals, and of the levels of an image."""
_N_GAPS = 6
"""Smallest gaps between values whose common divisor is tried as the unit."""
_ENOUGH = 16
"""Distinct values whose gaps tell."""
_DIVISOR_ERRORS = (8.0, 4096.0)
"""Remainders that count as none, in errors of a gap; many divisions add up their errors."""
_MISFITS = 0.02
"""Share of the distinct values that need not fit: repaired pixels."""


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """Whole multiples of one unit."""

    unit: float
    log10_chance: float
    """Logarithm of the probability that as many unrelated numbers fit as well."""

    def __str__(self) -> str:
        return "whole numbers" if self.unit == 1 else f"whole multiples of {self.unit:.4g}"


def precision_of(sample: Shaped[np.ndarray, "..."]) -> float:
    """Return the relative rounding error of the numbers, whatever wider type they were saved in.

    A narrow type may hold numbers exactly that were not rounded to it: whole numbers leave its last digits empty.
    """
    for narrow, digits in ((np.float16, 11), (np.float32, 24)):
        with np.errstate(over="ignore", under="ignore"):
            if not np.array_equal(sample.astype(narrow), sample):
                continue
        distinct = np.unique(sample[sample > 0])
        last = np.ldexp(np.frexp(distinct.astype(np.float64))[0], digits) % 2 == 1
        if last.sum() >= _LAST_DIGITS * len(distinct):
            return float(np.finfo(narrow).eps)
    return float(np.finfo(sample.dtype if sample.dtype.kind == "f" else np.float64).eps)


def find_lattice(values: Float64[np.ndarray, " value"], *, precision: float) -> Lattice | None:
    """Return the coarsest unit that values are multiples of; None if there is none.

    Parameters
    ----------
    values
        Positive, sorted, each once.
    precision
        Relative rounding error of one.

    Examples
    --------
    >>> find_lattice(np.array([0.3, 0.6, 1.5]), precision=1e-15).unit
    0.3
    """
    error = _ROUNDINGS * precision
    distinct = values[np.diff(values, prepend=0) > 2 * error * values][:_N_DISTINCT]
    if len(distinct) < 2:
        return None
    for unit, n_tried in _candidates(distinct, error=error):
        if (found := _fitted(distinct, unit, error=error, n_tried=n_tried)) is not None:
            return found
    return None


def _candidates(distinct: Float64[np.ndarray, " value"], *, error: float) -> Iterator[tuple[float, int]]:
    """Yield units, and among how many each was picked: one, parts of the dimmest value, divisors of gaps, decimals."""
    yield 1.0, 1
    parts = np.arange(1.0, _LARGEST_FIRST + 1)
    multiples = distinct[1:17, None] / distinct[0] * parts
    near = np.abs(multiples - np.round(multiples)) <= np.minimum(4 * error * multiples, _RESOLVED)
    for part in parts[near.mean(axis=0) >= 1 - _MISFITS]:
        yield float(distinct[0] / part), 2 * int(part)
    gaps = np.sort(np.diff(distinct))[:_N_GAPS]
    gap_error = 2 * error * float(np.median(distinct))
    for a, b in combinations(gaps, 2) if len(distinct) >= _ENOUGH else ():
        for factor in _DIVISOR_ERRORS:
            divisor = _common_divisor(float(a), float(b), error=factor * gap_error)
            if divisor is not None and (unit := _refined(distinct, divisor, error=error)):
                yield unit, _N_GAPS**2
    for unit in _ROUNDING_UNITS:
        yield unit, len(_ROUNDING_UNITS)


def _common_divisor(a: float, b: float, *, error: float) -> float | None:
    """Return the largest number that both are multiples of, by Euclid's algorithm; None if errors hide it."""
    while b > error:
        a, b = b, abs(a - round(a / b) * b)
    return a if a > 4 * error else None


def _refined(distinct: Float64[np.ndarray, " value"], unit: float, *, error: float) -> float:
    """Improve a unit by ever larger differences, whose multiples are sure; 0 if the unit stays too uncertain."""
    offsets = distinct[1:] - distinct[0]
    errors = error * (distinct[1:] + distinct[0])
    relative = errors[0] / max(offsets[0], unit)
    for _ in range(24):
        if distinct[0] > unit / 2 and distinct[0] / unit * relative < _RESOLVED:
            return float(distinct[0] / np.round(distinct[0] / unit))
        sure = offsets * relative + errors < 4 * _RESOLVED * unit
        if not sure.any():
            return 0.0
        last = int(np.flatnonzero(sure)[-1])
        multiple = np.round(offsets[last] / unit)
        better = errors[last] / max(offsets[last], unit)
        if multiple < 1 or better >= relative:
            return 0.0
        unit, relative = float(offsets[last] / multiple), better
    return 0.0


def _fitted(distinct: Float64[np.ndarray, " value"], unit: float, *, error: float, n_tried: int) -> Lattice | None:
    """Return the lattice of a unit if the values that it resolves fit; the unit came from one of them."""
    multiples = distinct / unit
    tolerance = (1 if unit == 1 else 2) * error * multiples
    multiples, tolerance = multiples[tolerance < _RESOLVED], tolerance[tolerance < _RESOLVED]
    off = np.abs(multiples - np.round(multiples))
    near = (off <= tolerance) & (multiples > 0.5)
    if len(multiples) < 2 or (~near).sum() > _MISFITS * len(multiples):
        return None
    unit = unit if unit == 1 else float(np.median(unit * multiples[near] / np.round(multiples[near])))
    chances = np.log10(2 * tolerance[near])
    n_misfits = len(multiples) - len(chances)
    chance = chances[1:].sum() + np.log10(n_tried) + n_misfits * np.log10(len(multiples))
    return Lattice(unit=unit, log10_chance=float(chance))
