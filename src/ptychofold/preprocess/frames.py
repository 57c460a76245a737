"""What can be done to each frame while it is read; see `ptychofold.formats.transformed`."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, Num, Shaped

from ptychofold.conventions import amplitude_from_intensity, intensity_from_amplitude
from ptychofold.formats.transformed import FrameTransform
from ptychofold.preprocess.turns import D4
from ptychofold.typing import Measurement

__all__ = [
    "Binned",
    "Converted",
    "Inpainted",
    "Rescaled",
    "Turned",
    "Windowed",
    "cut_window",
]


def cut_window(
    frames: Shaped[np.ndarray, "*batch H W"], start: tuple[int, int], size: tuple[int, int]
) -> Shaped[np.ndarray, "*batch h w"]:
    """Return rows ``start[0] … start[0] + size[0] - 1`` (columns alike), zero or False outside the frames.

    Examples
    --------
    >>> cut_window(np.arange(4).reshape(2, 2), (1, -1), (2, 2)).tolist()
    [[0, 2], [0, 0]]
    """
    found = np.zeros((*frames.shape[:-2], *size), frames.dtype)
    low = [max(0, s) for s in start]
    high = [min(n, s + k) for n, s, k in zip(frames.shape[-2:], start, size, strict=True)]
    if all(a < b for a, b in zip(low, high, strict=True)):
        rows, columns = (slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))
        found[..., rows, columns] = frames[..., low[0] : high[0], low[1] : high[1]]
    return found


@dataclass(frozen=True, eq=False)
class Windowed(FrameTransform):
    """Cut a window, dark where it reaches over the frame."""

    start: tuple[int, int]
    size: tuple[int, int]

    def frame_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the window's size."""
        del shape
        return self.size

    def apply(self, frames: Num[np.ndarray, "n H W"], rows: Int64[np.ndarray, " n"]) -> Num[np.ndarray, "n h w"]:
        """Cut the window."""
        del rows
        return cut_window(frames, self.start, self.size)


@dataclass(frozen=True, eq=False)
class Turned(FrameTransform):
    """Turn or mirror about the zero frequency."""

    turn: D4

    def frame_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape with its axes exchanged, if the turn exchanges them."""
        return (shape[1], shape[0]) if self.turn.transpose else shape

    def apply(self, frames: Num[np.ndarray, "n H W"], rows: Int64[np.ndarray, " n"]) -> Num[np.ndarray, "n h w"]:
        """Turn the frames."""
        del rows
        return self.turn.frames(frames)


@dataclass(frozen=True, eq=False)
class Binned(FrameTransform):
    """Add the intensity of blocks of pixels; integers stay integers that are wide enough."""

    factor: int
    measurement: Measurement
    weight: Float64[np.ndarray, "H W"] | None
    """Factor of each pixel before the sum, 0 where bad; None adds all pixels as they are."""

    def frame_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the number of blocks along each axis."""
        return (shape[0] // self.factor, shape[1] // self.factor)

    def dtype(self, stored: np.dtype) -> np.dtype:
        """Return an integer dtype that holds any sum of whole counts, else float32 or wider."""
        if stored.kind not in "ui" or self.measurement == "amplitude" or not self._whole:
            return np.result_type(stored, np.float32) if stored.kind == "f" else np.dtype(np.float32)
        largest = int(np.iinfo(stored).max) * self.factor**2
        widths = ("u1", "u2", "u4", "u8") if stored.kind == "u" else ("i1", "i2", "i4", "i8")
        return np.dtype(next((w for w in widths if np.iinfo(np.dtype(w)).max >= largest), widths[-1]))

    @property
    def _whole(self) -> bool:
        return self.weight is None or bool(np.isin(self.weight, (0, 1)).all())

    def apply(self, frames: Num[np.ndarray, "n H W"], rows: Int64[np.ndarray, " n"]) -> Num[np.ndarray, "n h w"]:
        """Add blocks; amplitudes are squared before and their root is taken after."""
        del rows
        target, b = self.dtype(frames.dtype), self.factor
        values = frames.astype(target if target.kind in "ui" else np.float64)
        if self.measurement == "amplitude":
            values = np.square(values)
        if self.weight is not None:
            values = values * self.weight.astype(values.dtype)
        n, height, width = frames.shape
        blocks = values.reshape(n, height // b, b, width // b, b).sum(axis=(2, 4), dtype=values.dtype)
        if self.measurement == "amplitude":
            blocks = np.sqrt(blocks)
        binned: np.ndarray = blocks.astype(target, copy=False)
        return binned


@dataclass(frozen=True, eq=False)
class Rescaled(FrameTransform):
    """Subtract from intensities, clip at zero, and multiply; float32 afterwards."""

    measurement: Measurement
    subtract: Float64[np.ndarray, "H W"] | float = 0.0
    multiply: Float64[np.ndarray, "H W"] | float = 1.0
    """Factor of each pixel."""
    each: Float64[np.ndarray, " scan"] | None = None
    """Factor of each pattern."""

    def dtype(self, stored: np.dtype) -> np.dtype:
        """Return float32 or, if the frames are wider, theirs."""
        return np.result_type(stored, np.float32) if stored.kind == "f" else np.dtype(np.float32)

    def apply(self, frames: Num[np.ndarray, "n H W"], rows: Int64[np.ndarray, " n"]) -> Num[np.ndarray, "n h w"]:
        """Change intensities; amplitudes are squared before and their root is taken after."""
        values = frames.astype(np.float64)
        if self.measurement == "amplitude":
            values = np.square(values)
        values = np.maximum(values - self.subtract, 0) * self.multiply
        if self.each is not None:
            values = values * self.each[rows][:, None, None]
        if self.measurement == "amplitude":
            values = np.sqrt(values)
        return values.astype(self.dtype(frames.dtype))


@dataclass(frozen=True, eq=False)
class Converted(FrameTransform):
    """Take the root of intensities, or square amplitudes; negative numbers, such as markers, keep their sign."""

    to: Measurement

    def dtype(self, stored: np.dtype) -> np.dtype:
        """Return float32."""
        del stored
        return np.dtype(np.float32)

    def apply(self, frames: Num[np.ndarray, "n H W"], rows: Int64[np.ndarray, " n"]) -> Num[np.ndarray, "n h w"]:
        """Change numbers that are of the other kind."""
        del rows
        convert = amplitude_from_intensity if self.to == "amplitude" else intensity_from_amplitude
        converted: np.ndarray = np.copysign(convert(np.abs(frames)), frames).astype(np.float32, copy=False)
        return converted


@dataclass(frozen=True, eq=False)
class Inpainted(FrameTransform):
    """Put the median of the good pixels around into bad ones."""

    bad_pixels: Bool[np.ndarray, "H W"]
    radius: int

    def apply(self, frames: Num[np.ndarray, "n H W"], rows: Int64[np.ndarray, " n"]) -> Num[np.ndarray, "n h w"]:
        """Fill bad pixels, one after the other, in all frames at once."""
        del rows
        filled, (height, width) = frames.copy(), frames.shape[1:]
        for row, column in np.argwhere(self.bad_pixels).tolist():
            near = (
                slice(max(0, row - self.radius), min(height, row + self.radius + 1)),
                slice(max(0, column - self.radius), min(width, column + self.radius + 1)),
            )
            good = ~self.bad_pixels[near]
            around = frames[(slice(None), *near)][:, good]
            filled[:, row, column] = np.median(around, axis=1) if good.any() else 0
        return filled
