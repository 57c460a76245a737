"""Frames that are changed while they are read: a source over a source.

Nothing is computed before a row is asked for, and never for more than a few megabytes of frames at a time.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Num, Shaped

from ptychofold.formats.rows import Rows, row_numbers, target_array
from ptychofold.typing import ArraySource

__all__ = ["FrameTransform", "TransformedSource"]

CHUNK_BYTES = 4 << 20
"""Stored bytes that are read and changed in one step."""


class FrameTransform(ABC):
    """A change of single frames: stateless, picklable, the same for a frame wherever it is read."""

    def frame_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the frames' shape afterwards."""
        return shape

    def dtype(self, stored: np.dtype) -> np.dtype:
        """Return the frames' dtype afterwards."""
        return stored

    @abstractmethod
    def apply(self, frames: Num[np.ndarray, "n H W"], rows: Int64[np.ndarray, " n"]) -> Num[np.ndarray, "n h w"]:
        """Change frames that are the given rows of the source."""


@dataclass(frozen=True, eq=False)
class TransformedSource:
    """An `ArraySource` whose frames are changed as they are read.

    Examples
    --------
    >>> from ptychofold.formats.lazy import ArrayInMemory
    >>> from ptychofold.preprocess.frames import Windowed
    >>> source = TransformedSource(ArrayInMemory(np.ones((3, 4, 4), np.uint16)), Windowed((1, 1), (2, 2)))
    >>> source.shape, int(source.read(np.array([2])).sum())
    ((3, 2, 2), 4)
    >>> source.access
    'in memory, windowed while read'
    """

    source: ArraySource
    transform: FrameTransform

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape afterwards, rows first."""
        return (self.source.shape[0], *self.transform.frame_shape(self.source.shape[1:]))

    @property
    def dtype(self) -> np.dtype:
        """Dtype afterwards."""
        return self.transform.dtype(self.source.dtype)

    @property
    def access(self) -> str:
        """How rows are reached, for people."""
        change = re.sub("(?<=[a-z])(?=[A-Z])", " ", type(self.transform).__name__).lower()
        return f"{self.source.access}, {change} while read"

    @property
    def random_access(self) -> bool:
        """Whether the source reads a few rows at their own cost."""
        return self.source.random_access

    def read(self, rows: Rows, out: Shaped[np.ndarray, "n ..."] | None = None) -> Shaped[np.ndarray, "n ..."]:
        """Return changed rows; see `ArraySource.read`."""
        wanted = row_numbers(rows, self.shape[0])
        result = target_array(out, (len(wanted), *self.shape[1:]), self.dtype)
        in_order = isinstance(rows, slice)
        order = np.arange(len(wanted)) if in_order or self.source.random_access else np.argsort(wanted, kind="stable")
        frame_bytes = self.source.dtype.itemsize * int(np.prod(self.source.shape[1:]))
        step = max(1, CHUNK_BYTES // max(1, frame_bytes))
        for start in range(0, len(wanted), step):
            places = order[start : start + step]
            part = wanted[places]
            consecutive = in_order and rows.step in (None, 1)  # type: ignore[union-attr]  # a slice here
            stored = np.empty((len(part), *self.source.shape[1:]), self.source.dtype)
            self.source.read(slice(int(part[0]), int(part[-1]) + 1) if consecutive else part, out=stored)
            result[places] = self.transform.apply(stored, part)
        return result
