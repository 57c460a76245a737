"""The only conversions between conventions: coordinate order, axis order, amplitude and intensity, units.

Inside ptychofold coordinates are ``(y, x)`` in object pixels with pixel centres at integers, images are
``(…, channel, row, column)`` and the zero frequency of a pattern lies at ``[N//2, N//2]``.
"""

import numpy as np
from jaxtyping import Float32, Float64, Num, Shaped

__all__ = [
    "amplitude_from_intensity",
    "channels_first",
    "channels_last",
    "intensity_from_amplitude",
    "metres_from_pixels",
    "pixels_from_metres",
    "xy_from_yx",
    "yx_from_columns",
]


def yx_from_columns(*, x: Num[np.ndarray, " scan"], y: Num[np.ndarray, " scan"]) -> Float64[np.ndarray, "scan 2"]:
    """Stack the two coordinate arrays of a file into positions ``(y, x)``.

    Examples
    --------
    >>> yx_from_columns(x=np.array([1, 2]), y=np.array([5, 6])).tolist()
    [[5.0, 1.0], [6.0, 2.0]]
    """
    return np.stack([y, x], axis=1).astype(np.float64, copy=False)


def xy_from_yx(coordinates: Shaped[np.ndarray, "*batch 2"]) -> Shaped[np.ndarray, "*batch 2"]:
    """Exchange ``(y, x)`` and ``(x, y)`` on the last axis, as a view; its own inverse.

    Examples
    --------
    >>> xy_from_yx(np.array([[5.0, 1.0]])).tolist()
    [[1.0, 5.0]]
    """
    return coordinates[..., ::-1]


def channels_last(images: Shaped[np.ndarray, "*batch C H W"]) -> Shaped[np.ndarray, "*batch H W C"]:
    """View ``(…, C, H, W)`` as ``(…, H, W, C)``."""
    return np.moveaxis(images, -3, -1)


def channels_first(images: Shaped[np.ndarray, "*batch H W C"]) -> Shaped[np.ndarray, "*batch C H W"]:
    """View ``(…, H, W, C)`` as ``(…, C, H, W)``."""
    return np.moveaxis(images, -1, -3)


def amplitude_from_intensity(
    intensity: Num[np.ndarray, "*shape"], out: Float32[np.ndarray, "*shape"] | None = None
) -> Float32[np.ndarray, "*shape"]:
    """Return √intensity as float32; integer counts of any width never overflow.

    Parameters
    ----------
    intensity
        Counts or a quantity proportional to them, not negative.
    out
        Where to put the amplitude.

    Examples
    --------
    >>> amplitude_from_intensity(np.array([0, 65025], np.uint16)).tolist()
    [0.0, 255.0]
    """
    target = np.empty(intensity.shape, np.float32) if out is None else out
    np.sqrt(intensity, out=target, dtype=np.float32, casting="unsafe")
    return target


def intensity_from_amplitude(
    amplitude: Num[np.ndarray, "*shape"], out: Float32[np.ndarray, "*shape"] | None = None
) -> Float32[np.ndarray, "*shape"]:
    """Return amplitude² as float32; integer amplitude of any width never overflows.

    Examples
    --------
    >>> intensity_from_amplitude(np.array([300], np.uint16)).tolist()
    [90000.0]
    """
    target = np.empty(amplitude.shape, np.float32) if out is None else out
    np.square(amplitude, out=target, dtype=np.float32, casting="unsafe")
    return target


def pixels_from_metres(
    positions_m: Num[np.ndarray, "*batch 2"], *, pixel_size_m: tuple[float, float]
) -> Float64[np.ndarray, "*batch 2"]:
    """Divide positions ``(y, x)`` in metres by the object pixel's height and width."""
    return np.asarray(positions_m, np.float64) / np.asarray(pixel_size_m, np.float64)


def metres_from_pixels(
    positions: Num[np.ndarray, "*batch 2"], *, pixel_size_m: tuple[float, float]
) -> Float64[np.ndarray, "*batch 2"]:
    """Multiply positions ``(y, x)`` in pixels by the object pixel's height and width."""
    return np.asarray(positions, np.float64) * np.asarray(pixel_size_m, np.float64)
