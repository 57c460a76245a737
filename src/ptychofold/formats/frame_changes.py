"""How the frames of a format differ from ours: zero frequency in the corner, rows and columns exchanged, amplitudes."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64, Num, Shaped

from ptychofold.conventions import intensity_from_amplitude
from ptychofold.errors import ShapeError
from ptychofold.formats.transformed import FrameTransform

__all__ = ["CornerToMiddle", "Squared", "Transposed", "changed_frame", "frame_changes"]


@dataclass(frozen=True)
class CornerToMiddle(FrameTransform):
    """Move the zero frequency from ``[0, 0]`` to ``[N//2, N//2]``.

    Examples
    --------
    >>> CornerToMiddle().apply(np.arange(4).reshape(1, 2, 2), np.array([0])).tolist()
    [[[3, 2], [1, 0]]]
    """

    def apply(self, frames: Shaped[np.ndarray, "n H W"], rows: Int64[np.ndarray, " n"]) -> Shaped[np.ndarray, "n H W"]:
        """Shift frames by half their sides."""
        return np.fft.fftshift(frames, axes=(-2, -1))


@dataclass(frozen=True)
class Transposed(FrameTransform):
    """Exchange rows and columns, as an array that MATLAB saved in HDF5 needs."""

    def frame_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the sides exchanged."""
        return shape[::-1]

    def apply(self, frames: Shaped[np.ndarray, "n H W"], rows: Int64[np.ndarray, " n"]) -> Shaped[np.ndarray, "n W H"]:
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


def frame_changes(*, transposed: bool, zero_frequency: str) -> tuple[FrameTransform, ...]:
    """Return what makes our frames of those that lie otherwise, in the order in which it is done."""
    return (*((Transposed(),) if transposed else ()), *((CornerToMiddle(),) if zero_frequency == "corner" else ()))


def changed_frame(
    frame: Shaped[np.ndarray, "..."], *, transposed: bool, zero_frequency: str, name: str
) -> Shaped[np.ndarray, "H W"]:
    """Return one number a pixel (mask, dark, flat) after the changes of the frames that it belongs to.

    Raises
    ------
    ShapeError
        If it is no frame.

    Examples
    --------
    >>> changed_frame(np.eye(2), transposed=True, zero_frequency="corner", name="mask").tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if frame.ndim != 2:
        raise ShapeError(f"expected {name} as one frame of rows and columns; found shape {frame.shape}.", field=name)
    for change in frame_changes(transposed=transposed, zero_frequency=zero_frequency):
        frame = change.apply(frame[None], np.zeros(1, np.int64))[0]
    return frame
