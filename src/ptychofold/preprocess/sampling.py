"""Waves and objects on other grids, by their Fourier transforms: what a smaller or larger detector would have seen."""

from math import ceil, gcd

import numpy as np
from jaxtyping import Complex

from ptychofold.preprocess.frames import cut_window

__all__ = ["resample_object", "tilted", "window_spectrum"]

MARGIN = 16
"""Least pixels of mirrored object around it while it is resampled."""


def window_spectrum(
    waves: Complex[np.ndarray, "*batch H W"], start: tuple[int, int], size: tuple[int, int]
) -> Complex[np.ndarray, "*batch h w"]:
    """Cut a window of the waves' centered, unitary Fourier transforms, dark outside, and transform back."""
    axes = (-2, -1)
    spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(waves, axes), norm="ortho"), axes)
    cut = cut_window(spectrum, start, size)
    wave: np.ndarray = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(cut, axes), norm="ortho"), axes)
    return wave.astype(waves.dtype)


def resample_object(
    canvas: Complex[np.ndarray, "H W"], old: tuple[int, int], new: tuple[int, int]
) -> Complex[np.ndarray, "h w"]:
    """Return the object on pixels of ``old / new`` times the side, pixel 0 staying on pixel 0.

    Each axis is mirrored at its ends, and its Fourier transform is cut or filled with zeros.
    """
    for axis in range(2):
        canvas = _resample_axis(canvas, axis, old[axis], new[axis])
    return canvas


def _resample_axis(canvas: Complex[np.ndarray, "H W"], axis: int, old: int, new: int) -> Complex[np.ndarray, "h w"]:
    if old == new:
        return canvas
    unit = old // gcd(old, new)
    before = unit * ceil(MARGIN / unit)
    length = canvas.shape[axis]
    after = -(length + before) % unit + before
    padded = np.pad(canvas, [(before, after) if a == axis else (0, 0) for a in range(2)], mode="symmetric")
    n_old = padded.shape[axis]
    n_new = n_old * new // old
    spectrum = np.moveaxis(np.fft.fftshift(np.fft.fft(padded, axis=axis), axis), axis, -1)
    cut = cut_window(spectrum, (0, n_old // 2 - n_new // 2), (spectrum.shape[0], n_new))
    wave = np.fft.ifft(np.fft.ifftshift(np.moveaxis(cut, -1, axis), axis), axis=axis) * (n_new / n_old)
    first, count = before * new // old, ceil(length * new / old)
    resampled: np.ndarray = np.take(wave, np.arange(first, first + count), axis=axis).astype(canvas.dtype)
    return resampled


def tilted(waves: Complex[np.ndarray, "*batch N M"], shift: tuple[float, float]) -> Complex[np.ndarray, "*batch N M"]:
    """Turn the phase of waves so that their diffraction patterns move by (row, column) detector pixels."""
    height, width = waves.shape[-2:]
    y, x = np.arange(height) - height // 2, np.arange(width) - width // 2
    phase = shift[0] * y[:, None] / height + shift[1] * x / width
    turned: np.ndarray = (waves * np.exp(2j * np.pi * phase)).astype(waves.dtype)
    return turned
