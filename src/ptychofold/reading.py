"""Read patterns of a scan as amplitude or as intensity: one gather, one check, one conversion, all in cache."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from ptychofold.conventions import amplitude_from_intensity, intensity_from_amplitude
from ptychofold.formats.origins import check_rows
from ptychofold.typing import ArraySource, Measurement

__all__ = ["read_amplitude", "read_apart", "read_intensity", "spread_rows"]

CACHED_BYTES = 1 << 20
"""Stored bytes that are gathered before they are converted: they stay in the processor's cache between the two."""
CHECKED_BYTES = 1 << 23
"""Stored bytes that are gathered before they are checked, where they need no conversion."""


def read_amplitude(
    source: ArraySource,
    rows: Int64[np.ndarray, " n"],
    *,
    measurement: Measurement,
    out: Float32[np.ndarray, "n N N"] | None = None,
    path: Path | None = None,
) -> Float32[np.ndarray, "n N N"]:
    """Return rows of a source as float32 amplitude, in the order asked for.

    Parameters
    ----------
    source
        Patterns (scan, N, N) in any real dtype.
    rows
        Scan points; repeats are allowed.
    measurement
        What the source's numbers are.
    out
        Where to put the amplitude; a fresh array if None.
    path
        The patterns' file, for the message.

    Raises
    ------
    DomainError
        If a pattern holds a negative or a non-finite number; the message names its row in the file.
    """
    return _read(source, rows, amplitude_from_intensity if measurement == "intensity" else None, out, path)


def read_intensity(
    source: ArraySource,
    rows: Int64[np.ndarray, " n"],
    *,
    measurement: Measurement,
    out: Float32[np.ndarray, "n N N"] | None = None,
    path: Path | None = None,
) -> Float32[np.ndarray, "n N N"]:
    """Return rows of a source as float32 intensity; see `read_amplitude`."""
    return _read(source, rows, intensity_from_amplitude if measurement == "amplitude" else None, out, path)


def _read(
    source: ArraySource,
    rows: Int64[np.ndarray, " n"],
    convert: Callable[..., Float32[np.ndarray, "n N N"]] | None,
    out: Float32[np.ndarray, "n N N"] | None,
    path: Path | None,
) -> Float32[np.ndarray, "n N N"]:
    frame = source.shape[1:]
    target = np.empty((len(rows), *frame), np.float32) if out is None else out
    in_place = convert is None and source.dtype == target.dtype
    step = max(1, (CHECKED_BYTES if in_place else CACHED_BYTES) // (source.dtype.itemsize * frame[0] * frame[1]))
    scratch = None if in_place else np.empty((min(step, len(rows)), *frame), source.dtype)
    for start in range(0, len(rows), step):
        part, made = rows[start : start + step], target[start : start + step]
        stored = source.read(part, out=made if scratch is None else scratch[: len(part)])
        check_rows(stored, source=source, rows=part, path=path)
        if convert is not None:
            convert(stored, out=made)
        elif scratch is not None:
            np.copyto(made, stored, casting="unsafe")
    return target


def spread_rows(n_scan: int, n_wanted: int) -> Int64[np.ndarray, " n"]:
    """Return row numbers evenly spread over a scan, in order, first and last among them.

    Examples
    --------
    >>> spread_rows(9, 3).tolist(), spread_rows(2, 3).tolist()
    ([0, 4, 8], [0, 1])
    """
    return np.unique(np.linspace(0, n_scan - 1, n_wanted).astype(np.int64))


def read_apart(source: ArraySource, rows: Int64[np.ndarray, " n"]) -> Shaped[np.ndarray, "n N M"]:
    """Return rows as stored, unchecked; each is read through the file where that leaves no pages mapped."""
    if not source.random_access:
        return source.read(rows)
    sample = np.empty((len(rows), *source.shape[1:]), source.dtype)
    for place, row in enumerate(rows.tolist()):
        source.read(slice(row, row + 1), out=sample[place : place + 1])
    return sample
