"""Factors that bring measured patterns to the scale that networks and losses expect, and the sums they come from.

Every factor is a pure function of a mean over patterns; `energy_sums` and `squared_count_sums` make those sums from a
source that may be larger than memory. Sums are float64 (exact for integers below 2⁵³), whatever the stored dtype.

A is an amplitude, I = A² an intensity in counts, N the side of a pattern; ⟨·⟩ is the mean over patterns and Σ the sum
over the pixels of one pattern.
"""

from collections.abc import Callable, Iterator
from math import isfinite, sqrt
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64, Real

from ptychofold.errors import DomainError
from ptychofold.formats.origins import check_rows
from ptychofold.typing import ArraySource, Measurement

__all__ = [
    "amplitude_sums",
    "counting_unit",
    "energy_sums",
    "mean_measured_intensity",
    "photon_scale",
    "physics_scale",
    "rms_input_scale",
    "rms_input_scale_counts",
    "squared_count_sums",
    "torch_rms_scale",
]

DIMMEST = 0.1
"""Mean intensity of a pixel below which numbers are taken to be in a unit of their own, not in counts."""
CHUNK_BYTES = 8 << 20
"""Stored bytes that are read and summed in one step."""


def rms_input_scale(mean_energy: float, N: int) -> float:
    """Return √((N/2)² / ⟨Σ A²⟩), which gives amplitudes the mean energy (N/2)².

    Parameters
    ----------
    mean_energy
        ⟨Σ A²⟩, counts a pattern.
    N
        Side of a pattern in pixels.

    Raises
    ------
    DomainError
        If the energy is not a positive, finite number.

    Examples
    --------
    >>> rms_input_scale(1024.0, 64)
    1.0
    """
    return sqrt((N / 2) ** 2 / _positive(mean_energy, "mean energy of the patterns"))


def rms_input_scale_counts(mean_squared_counts: float, N: int) -> float:
    """Return √((N/2)² / ⟨Σ I²⟩), the scale of networks whose input is counts, not amplitude.

    Raises
    ------
    DomainError
        If the mean is not a positive, finite number.
    """
    return sqrt((N / 2) ** 2 / _positive(mean_squared_counts, "mean sum of squared counts"))


def torch_rms_scale(mean_energy: float, N: int) -> float:
    """Return √(N² / ⟨Σ A²⟩), the constant of PtychoPINN's PyTorch data set: twice `rms_input_scale`.

    Raises
    ------
    DomainError
        If the energy is not a positive, finite number.
    """
    return sqrt(N**2 / _positive(mean_energy, "mean energy of the patterns"))


def physics_scale(mean_amplitude_sum: float) -> float:
    """Return 1 / ⟨Σ A⟩, the physics constant of PtychoPINN's PyTorch data set.

    Raises
    ------
    DomainError
        If the mean is not a positive, finite number.
    """
    return 1 / _positive(mean_amplitude_sum, "mean amplitude sum of the patterns")


def photon_scale(n_photons: float, mean_energy: float) -> float:
    """Return √(n_photons / ⟨Σ X²⟩), which gives amplitudes X a mean of ``n_photons`` counts a pattern.

    Raises
    ------
    DomainError
        If the photons or the energy are not positive, finite numbers.
    """
    return sqrt(_positive(n_photons, "photons a pattern") / _positive(mean_energy, "mean energy of the patterns"))


def mean_measured_intensity(mean_counts: float, N: int) -> float:
    """Return ⟨Σ I⟩ / N², the mean counts of a pixel.

    Raises
    ------
    DomainError
        If the mean is not a positive, finite number.
    """
    return _positive(mean_counts, "mean counts of the patterns") / N**2


def counting_unit(mean_energy: float, N: int) -> float:
    """Return what counts as one photon: less than 1 where patterns are so dim that they are hardly counts.

    Numbers in a unit of their own, such as amplitudes divided by the largest, would else drown in the background of a
    loss and in the rounding of an optimiser. In this unit the mean of a pixel is at least a tenth.

    Parameters
    ----------
    mean_energy
        ⟨Σ A²⟩ of the patterns.
    N
        Side of a pattern in pixels.

    Examples
    --------
    >>> counting_unit(1e5, 64), counting_unit(4.096, 64)
    (1.0, 0.01)
    """
    return min(1.0, mean_energy / N**2 / DIMMEST)


def energy_sums(
    source: ArraySource,
    *,
    measurement: Measurement,
    rows: Int64[np.ndarray, " n"] | None = None,
    bad_pixels: Bool[np.ndarray, "N N"] | None = None,
    chunk_bytes: int = CHUNK_BYTES,
    path: Path | None = None,
) -> Float64[np.ndarray, " n"]:
    """Return Σ A² of each pattern, which is Σ I; every number of the patterns is looked at on the way.

    Parameters
    ----------
    source
        Patterns (scan, N, N) of any real dtype; read in portions.
    measurement
        What the patterns' numbers are; amplitudes are squared, intensities are not.
    rows
        Patterns to sum, in this order; all if None.
    bad_pixels
        (N, N), True where a number is not to be summed, such as the marker of a masked pixel.
    chunk_bytes
        Stored bytes to read at a time; at least one pattern is.
    path
        The patterns' file, for the message.

    Raises
    ------
    DomainError
        If a pattern holds a negative or a non-finite number; the message names the first such row of the file.

    Examples
    --------
    >>> from ptychofold.formats.lazy import ArrayInMemory
    >>> energy_sums(ArrayInMemory(np.full((2, 4, 4), 300, np.uint16)), measurement="amplitude").tolist()
    [1440000.0, 1440000.0]
    """
    reduce = _squares if measurement == "amplitude" else _values
    return _sums(source, reduce, rows=rows, bad_pixels=bad_pixels, chunk_bytes=chunk_bytes, path=path)


def amplitude_sums(source: ArraySource, *, measurement: Measurement) -> Float64[np.ndarray, " scan"]:
    """Return Σ A of each pattern; parameters and errors as in `energy_sums`."""
    reduce = _values if measurement == "amplitude" else _roots
    return _sums(source, reduce, rows=None, chunk_bytes=CHUNK_BYTES, path=None)


def squared_count_sums(
    source: ArraySource,
    *,
    rows: Int64[np.ndarray, " n"] | None = None,
    bad_pixels: Bool[np.ndarray, "N N"] | None = None,
    chunk_bytes: int = CHUNK_BYTES,
    path: Path | None = None,
) -> Float64[np.ndarray, " n"]:
    """Return Σ I² of each pattern of counts; parameters and errors as in `energy_sums`."""
    return _sums(source, _squares, rows=rows, bad_pixels=bad_pixels, chunk_bytes=chunk_bytes, path=path)


def _sums(
    source: ArraySource,
    reduce: Callable[[Real[np.ndarray, "part pixel"]], Float64[np.ndarray, " part"]],
    *,
    rows: Int64[np.ndarray, " n"] | None,
    chunk_bytes: int,
    path: Path | None,
    bad_pixels: Bool[np.ndarray, "N N"] | None = None,
) -> Float64[np.ndarray, " n"]:
    n_pixels = source.shape[1] * source.shape[2]
    step = max(1, chunk_bytes // (n_pixels * source.dtype.itemsize))
    sums = np.empty(source.shape[0] if rows is None else len(rows))
    for part in _parts(len(sums), step):
        wanted = np.arange(part.start, part.stop) if rows is None else rows[part]
        patterns = source.read(part if rows is None else wanted)
        check_rows(patterns, source=source, rows=wanted, path=path)
        flat = patterns.reshape(-1, n_pixels)
        sums[part] = reduce(flat if bad_pixels is None else flat[:, ~bad_pixels.ravel()])
    return sums


def _parts(length: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


def _values(patterns: Real[np.ndarray, "part pixel"]) -> Float64[np.ndarray, " part"]:
    exact = {"u": np.uint64, "i": np.int64}.get(patterns.dtype.kind, np.float64)
    sums: Float64[np.ndarray, " part"] = patterns.sum(axis=1, dtype=exact).astype(np.float64, copy=False)
    return sums


def _squares(patterns: Real[np.ndarray, "part pixel"]) -> Float64[np.ndarray, " part"]:
    return np.asarray(np.einsum("np,np->n", patterns, patterns, dtype=np.float64))


def _roots(patterns: Real[np.ndarray, "part pixel"]) -> Float64[np.ndarray, " part"]:
    return np.asarray(np.sqrt(patterns, dtype=np.float64).sum(axis=1))


def _positive(value: float, name: str) -> float:
    if not (isfinite(value) and value > 0):
        raise DomainError(
            f"expected a positive, finite {name}; found {value}. Check that the patterns have light in them."
        )
    return value
