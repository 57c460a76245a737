"""Read patterns of a scan as amplitude or as intensity: one gather, one conversion, both in cache."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, Int64

from ptychofold.conventions import amplitude_from_intensity, intensity_from_amplitude
from ptychofold.typing import ArraySource, Measurement

__all__ = ["read_amplitude", "read_intensity"]

CACHED_BYTES = 1 << 18
"""Stored bytes that are gathered before they are converted: they stay in the processor's cache between the two."""


def read_amplitude(
    source: ArraySource,
    rows: Int64[np.ndarray, " n"],
    *,
    measurement: Measurement,
    out: Float32[np.ndarray, "n N N"] | None = None,
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
    """
    return _read(source, rows, amplitude_from_intensity if measurement == "intensity" else None, out)


def read_intensity(
    source: ArraySource,
    rows: Int64[np.ndarray, " n"],
    *,
    measurement: Measurement,
    out: Float32[np.ndarray, "n N N"] | None = None,
) -> Float32[np.ndarray, "n N N"]:
    """Return rows of a source as float32 intensity; see `read_amplitude`."""
    return _read(source, rows, intensity_from_amplitude if measurement == "amplitude" else None, out)


def _read(
    source: ArraySource,
    rows: Int64[np.ndarray, " n"],
    convert: Callable[..., Float32[np.ndarray, "n N N"]] | None,
    out: Float32[np.ndarray, "n N N"] | None,
) -> Float32[np.ndarray, "n N N"]:
    frame = source.shape[1:]
    target = np.empty((len(rows), *frame), np.float32) if out is None else out
    if convert is None and source.dtype == target.dtype:
        return source.read(rows, out=target)
    step = max(1, CACHED_BYTES // (source.dtype.itemsize * frame[0] * frame[1]))
    scratch = np.empty((min(step, len(rows)), *frame), source.dtype)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        stored = source.read(part, out=scratch[: len(part)])
        if convert is None:
            np.copyto(target[start : start + step], stored, casting="unsafe")
        else:
            convert(stored, out=target[start : start + step])
    return target
