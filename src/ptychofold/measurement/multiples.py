"""Tell amplitude from intensity by counts: intensities are whole multiples of a unit, or the squares of amplitudes are.

The unit is one for all patterns, or each pattern has its own (a monitor, its largest value), or each pixel (a flat
field). Multiples of a unit are counts only if they scatter as counts do, and are the counts themselves, not their
roots, only if some of them are no squares: a count of 2 or more is a square with a probability below ¼, whatever its
mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from ptychofold.measurement.lattice import Lattice, find_lattice
from ptychofold.measurement.scatter import doubt_of_scatter
from ptychofold.typing import Measurement

__all__ = ["Told", "told_by_multiples"]

_SINGLE = float(np.finfo(np.float32).eps)
"""Precision of numbers that were rounded to float32 before they were scaled in float64."""
_FEW = 50
"""Pixels with light of which a message says how few they are."""
_PROOF = -4.5
"""Largest logarithm of a chance that proves a unit."""
_N_VALUES = 1 << 18
"""Values that a common unit is sought in."""
_COARSER = 8.0
"""How much coarser a pattern's own unit is than one that all share by chance, as 1/2 and 1/3 share 1/6."""
_REPAIRED = 0.02
"""Share of the values that may occur once where the others repeat: repaired pixels, which are no multiples."""
_LEAST_REPEATED = 3
"""Distinct values that repeat below which none is taken as repaired."""
_N_ROWS, _N_FIRST = 64, 6
"""Patterns, or pixels, that are looked at for a unit of their own; if none of the first has one, none has."""
_LEAST_OWN = 0.95
"""Share of them that must have one."""
_SAME = 1e-5
"""Relative difference of units that are the same."""
_PARTS = 12
"""Parts of the least unit that all may be multiples of."""
_FEW_DISTINCT, _DIM = 8, 2.5
"""Different counts, and the least of them, of which more or less are needed: few photons are 1, 2, 3."""
_SPARSE = 0.1
"""Share of the rows above which such values have no unit of counts."""
_ROUNDED = "few values with multiples of a unit that rounding may have left"
_IRRATIONAL = 0.3
"""Share of the counts above the least whose root is no ratio of the least's; few counts are squares."""
_NON_SQUARES = 3
"""Pixels with multiples that are no squares; by chance counts lack them with a probability of ¼ to this power."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What numbers say."""

    measurement: Measurement | None
    """None if they leave it open."""
    why: str
    """The reason, or the doubt; empty if they say nothing."""
    unit: float = 0.0
    """The smallest unit that was found."""


@dataclass(frozen=True, kw_only=True)
class _Units:
    """Units of rows of intensities or, if ``squared``, of amplitudes' squares."""

    rows: Int64[np.ndarray, " found"]
    lattices: tuple[Lattice, ...]
    squared: bool

    def __str__(self) -> str:
        return str(self.lattices[0])

    @property
    def common(self) -> float | None:
        """The unit, if it is the same for all rows."""
        least, largest = (extreme(lattice.unit for lattice in self.lattices) for extreme in (min, max))
        return least if largest < least * (1 + _SAME) else None

    @property
    def are_one(self) -> bool:
        """Whether all are multiples of one, a part of the least, as of rounded numbers and not as of a flat field."""
        units = np.array([lattice.unit for lattice in self.lattices])
        multiples = units / units.min() * np.arange(1, _PARTS + 1)[:, None]
        return bool((np.abs(multiples - np.round(multiples)) < _SAME * multiples).all(axis=1).any())


def told_by_multiples(values: Float64[np.ndarray, "n H W"], *, precision: float) -> Told:
    """Return what photon counts in the values say.

    Parameters
    ----------
    values
        Some patterns, not negative.
    precision
        Relative rounding error of a value.
    """
    several = _tell(values)
    if not several.any():
        n_light = int((values > 0).sum())
        doubt = f"only {n_light} pixels with light" if n_light < _FEW else "only one value besides zero in each pattern"
        return Told(measurement=None, why=doubt)
    images = values[several].reshape(int(several.sum()), -1)
    told = _told_by_images(images, width=values.shape[2], precision=precision)
    if told.measurement is None and not told.why and precision < _SINGLE:
        told = _told_by_images(images, width=values.shape[2], precision=_SINGLE)
    return told


def _told_by_images(images: Float64[np.ndarray, "image pixel"], *, width: int, precision: float) -> Told:
    pixels = np.broadcast_to(np.arange(images.shape[1]), images.shape)
    told = _told(images.reshape(1, -1), pixels.reshape(1, -1), each="", side=width, precision=precision)
    if told.measurement is None:
        own = _told(images, pixels, each="pattern", side=width, precision=precision)
        told = own if own.unit > _COARSER * told.unit else told
    if told.measurement is None and not told.why:
        told = _told(images.T, pixels.T, each="pixel", side=len(images), precision=precision)
    return told


def _tell(values: Float64[np.ndarray, "n H W"]) -> Bool[np.ndarray, " n"]:
    """Say which patterns tell: those with several values, else all, if the least is 1.

    Patterns of single photons that were divided by their light, or its root, differ as amplitudes do, but are below 1.
    """
    several = _have_several(values.reshape(len(values), -1))
    light = values[values > 0]
    whole = bool(light.size and light.min() == 1 < light.max())
    return np.ones_like(several) if whole and not several.any() else several


def _told(
    rows: Float64[np.ndarray, "row value"],
    pixels: Int64[np.ndarray, "row value"],
    *,
    each: str,
    side: int,
    precision: float,
) -> Told:
    """Return what rows say, each of which is an image of a width, or a series of a pixel, ``side`` long."""
    units = _units(rows, precision=precision)
    if units is None or (each == "pixel" and units.are_one):
        return Told(measurement=None, why="")
    counts = _counts(rows[units.rows], units)
    unit = min(lattice.unit for lattice in units.lattices)
    if np.mean([_is_sparse(row) for row in counts]) > _SPARSE:
        return Told(measurement=None, why=_ROUNDED)
    whose = f"values of each {each} are whole multiples of a unit of its own" if each else f"values are {units}"
    if units.squared:
        said = Told(measurement="amplitude", why=f"the squares of the {whose}, as counts are", unit=unit)
        return said if _have_irrational_roots(counts) else Told(measurement=None, why="")
    n_others = len(np.unique(pixels[units.rows][~_are_squares(counts)]))
    if n_others < _NON_SQUARES:
        doubt = f"of which only {n_others} are no squares" if n_others else "that are all squares"
    else:
        doubt = doubt_of_scatter(counts.reshape(-1, side), unit=units.common)
    if doubt:
        return Told(measurement=None, why=f"{whose.removeprefix('values are ')} {doubt}", unit=unit)
    return Told(measurement="intensity", why=f"the {whose}, as counts are", unit=unit)


def _have_several(rows: Float64[np.ndarray, "row value"]) -> Bool[np.ndarray, " row"]:
    """Say which rows have more than one value besides zero."""
    several: Bool[np.ndarray, " row"] = np.where(rows > 0, rows, np.inf).min(axis=1) < rows.max(axis=1)
    return several


def _units(rows: Float64[np.ndarray, "row value"], *, precision: float) -> _Units | None:
    """Return the unit of each of some rows; None if too many have none, or too little proves them."""
    some = np.flatnonzero(_have_several(rows))
    some = some[np.unique(np.linspace(0, len(some) - 1, _N_ROWS).astype(np.int64))] if len(some) else some
    of_values: list[Lattice | None] = []
    of_squares: list[Lattice | None] = []
    for row in some:
        distinct = _distinct(rows[row])
        of_values.append(find_lattice(distinct, precision=precision))
        of_squares.append(find_lattice(np.square(distinct), precision=2 * precision))
        if len(of_values) == _N_FIRST and not any(of_values) and not any(of_squares):
            return None
    # whole numbers have whole squares, so rows of which only the squares are multiples make all of them amplitudes
    squared = any(square and not value for value, square in zip(of_values, of_squares, strict=True))
    found = of_squares if squared else of_values
    known = [(row, lattice) for row, lattice in zip(some, found, strict=True) if lattice is not None]
    if len(known) < max(1.0, _LEAST_OWN * len(some)) or _chance(found, but=of_values if squared else ()) > _PROOF:
        return None
    return _Units(
        rows=np.array([row for row, _ in known]), lattices=tuple(lattice for _, lattice in known), squared=squared
    )


def _chance(found: Sequence[Lattice | None], *, but: Sequence[Lattice | None]) -> float:
    """Return the least logarithm of a chance, of rows that have no other unit."""
    other = but or [None] * len(found)
    chances = [own.log10_chance for own, not_too in zip(found, other, strict=True) if own and not not_too]
    return min(chances, default=0.0)


def _distinct(row: Float64[np.ndarray, " value"]) -> Float64[np.ndarray, " distinct"]:
    """Return the positive values, each once, without those that look repaired."""
    light = row[:: max(1, len(row) // _N_VALUES)]
    distinct, n_times = np.unique(light[light > 0], return_counts=True)
    repeated: Float64[np.ndarray, " distinct"] = distinct[n_times > 1]
    n_once = len(distinct) - len(repeated)
    return repeated if n_once <= _REPAIRED * n_times.sum() and len(repeated) > _LEAST_REPEATED else distinct


def _counts(rows: Float64[np.ndarray, "row value"], units: _Units) -> Float64[np.ndarray, "row value"]:
    unit = np.array([[lattice.unit] for lattice in units.lattices])
    counts: Float64[np.ndarray, "row value"] = np.round((np.square(rows) if units.squared else rows) / unit)
    return counts


def _are_squares(counts: Float64[np.ndarray, "*shape"]) -> Bool[np.ndarray, "*shape"]:
    squares: Bool[np.ndarray, "*shape"] = np.square(np.round(np.sqrt(counts))) == counts
    return squares


def _is_sparse(counts: Float64[np.ndarray, " value"]) -> bool:
    """Whether there are few different multiples and none is small, as of a few rounded numbers."""
    distinct = np.unique(counts[counts > 0])
    return len(distinct) < _FEW_DISTINCT and bool((distinct > _DIM).all())


def _have_irrational_roots(counts: Float64[np.ndarray, "row value"]) -> bool:
    """Whether the roots of counts have no ratios in a row, unlike those of squared whole numbers."""
    least = np.where(counts > 0, counts, np.inf).min(axis=1, keepdims=True)
    above = counts > least
    if not above.any():
        return False
    irrational = ~_are_squares(counts * least)
    # of rounded multiples it is the bright ones that leave the squares
    dim = above & (counts <= np.median(counts[above]))
    return bool(min(irrational[above].mean(), irrational[dim].mean()) >= _IRRATIONAL)
