"""How the frames of a format differ from ours: zero frequency in the corner, rows and columns exchanged, amplitudes."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64, Num

from ptychofold.conventions import intensity_from_amplitude
from ptychofold.formats.transformed import FrameTransform

__all__ = ["CornerToMiddle", "Squared", "Transposed"]


@dataclass(frozen=True)
class CornerToMiddle(FrameTransform):
    """Move the zero frequency from ``[0, 0]`` to ``[N//2, N//2]``.

    Examples
    --------
    >>> CornerToMiddle().apply(np.arange(4).reshape(1, 2, 2), np.array([0])).tolist()
    [[[3, 2], [1, 0]]]
    """

    def apply(self, frames: Num[np.ndarray, "n H W"], rows: Int64[np.ndarray, " n"]) -> Num[np.ndarray, "n H W"]:
        """Shift frames by half their sides."""
        return np.fft.fftshift(frames, axes=(-2, -1))


@dataclass(frozen=True)
class Transposed(FrameTransform):
    """Exchange rows and columns, as an array that MATLAB saved in HDF5 needs."""

    def frame_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the sides exchanged."""
        return shape[::-1]

    def apply(self, frames: Num[np.ndarray, "n H W"], rows: Int64[np.ndarray, " n"]) -> Num[np.ndarray, "n W H"]:
        """View frames with their axes exchanged."""
        return frames.transpose(0, 2, 1)


@dataclass(frozen=True)
class Squared(FrameTransform):
    """Make intensity of amplitude, float32."""

    def dtype(self, stored: np.dtype) -> np.dtype:
        """Return float32."""
        return np.dtype(np.float32)

    def apply(self, frames: Num[np.ndarray, "n H W"], rows: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n H W"]:
        """Square frames."""
        return intensity_from_amplitude(frames)
