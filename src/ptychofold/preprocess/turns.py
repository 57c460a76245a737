"""The eight symmetries of a square as one value, and what each does to frames, waves and positions."""

from dataclasses import dataclass
from typing import Self, get_args

import numpy as np
from jaxtyping import Float64, Shaped

from ptychofold.config.preprocess import Turn

__all__ = ["D4", "TURNS"]


@dataclass(frozen=True, order=True)
class D4:
    """An element of the symmetry group of the square: exchange the axes, then mirror rows, then columns.

    Examples
    --------
    >>> turn = D4.named("rotate_90")
    >>> (turn @ turn).name, (turn @ turn.inverse()).name
    ('rotate_180', 'identity')
    >>> turn.pixels(np.array([[1, 2], [3, 4]])).tolist()
    [[2, 4], [1, 3]]
    """

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def named(cls, name: Turn) -> Self:
        """Return the element of a name."""
        return cls(*_PARTS[name])

    @property
    def name(self) -> Turn:
        """Name of the element."""
        parts = (self.transpose, self.flip_rows, self.flip_columns)
        return next(name for name, known in _PARTS.items() if known == parts)

    def __matmul__(self, first: "D4") -> "D4":
        """Return the element that does ``first``, then this one."""
        rows, columns = (
            (first.flip_columns, first.flip_rows) if self.transpose else (first.flip_rows, first.flip_columns)
        )
        return D4(first.transpose != self.transpose, rows != self.flip_rows, columns != self.flip_columns)

    def inverse(self) -> "D4":
        """Return the element that undoes this one."""
        return D4(
            self.transpose,
            self.flip_columns if self.transpose else self.flip_rows,
            self.flip_rows if self.transpose else self.flip_columns,
        )

    def pixels(self, images: Shaped[np.ndarray, "*batch H W"]) -> Shaped[np.ndarray, "*batch h w"]:
        """Turn images as `numpy.rot90` or `numpy.flip` do: the first pixel may become the last."""
        turned = images.swapaxes(-1, -2) if self.transpose else images
        turned = turned[..., ::-1, :] if self.flip_rows else turned
        return turned[..., ::-1] if self.flip_columns else turned

    def frames(self, frames: Shaped[np.ndarray, "*batch H W"]) -> Shaped[np.ndarray, "*batch h w"]:
        """Turn frames about pixel ``[H//2, W//2]``, which stays where it is.

        On an axis of even length the first pixel is its own mirror image, as the frequency -N/2 is that of N/2.
        """
        turned, shape = self.pixels(frames), frames.shape[-2:]
        height, width = (shape[1], shape[0]) if self.transpose else (shape[0], shape[1])
        shift = (int(self.flip_rows and height % 2 == 0), int(self.flip_columns and width % 2 == 0))
        return np.roll(turned, shift, axis=(-2, -1)) if any(shift) else turned

    def positions(
        self, positions: Float64[np.ndarray, "scan 2"], last: tuple[float, float]
    ) -> Float64[np.ndarray, "scan 2"]:
        """Turn positions (y, x) in a field whose coordinates, before the turn, run from 0 to ``last``."""
        turned, ends = (positions[:, ::-1], last[::-1]) if self.transpose else (positions, last)
        y, x = turned[:, 0], turned[:, 1]
        return np.stack([ends[0] - y if self.flip_rows else y, ends[1] - x if self.flip_columns else x], axis=1)


_PARTS: dict[Turn, tuple[bool, bool, bool]] = {
    "identity": (False, False, False),
    "rotate_90": (True, True, False),
    "rotate_180": (False, True, True),
    "rotate_270": (True, False, True),
    "flip_rows": (False, True, False),
    "flip_columns": (False, False, True),
    "transpose": (True, False, False),
    "anti_transpose": (True, True, True),
}

TURNS: tuple[D4, ...] = tuple(D4.named(name) for name in get_args(Turn))
"""All eight, the identity first."""
