"""Which rows a read asks for, where they go, and how a file lays them out."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Int64, Shaped, UInt8

from ptychofold.errors import DomainError

__all__ = ["Layout", "Rows", "as_bytes", "row_numbers", "runs", "target_array"]

Rows = Int64[np.ndarray, " n"] | slice
"""Row numbers in any order, or a slice that runs forwards."""


def row_numbers(rows: Rows, length: int) -> Int64[np.ndarray, " n"]:
    """Return the rows as numbers; refuse numbers outside ``0 ≤ row < length`` and slices that run backwards.

    Examples
    --------
    >>> row_numbers(slice(1, None, 2), 6).tolist()
    [1, 3, 5]
    """
    if isinstance(rows, slice):
        if rows.step is not None and rows.step < 1:
            raise DomainError(f"expected a slice of rows with a positive step; found {rows}.", field="rows")
        return np.arange(*rows.indices(length), dtype=np.int64)
    if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= length):
        raise DomainError(
            f"expected rows from 0 to {length - 1}; found {int(rows.min())} to {int(rows.max())}.", field="rows"
        )
    return rows


def runs(*numbers: Int64[np.ndarray, " n"]) -> list[tuple[int, int]]:
    """Return the index ranges over which all these numbers count up by one.

    Examples
    --------
    >>> runs(np.array([3, 4, 8]))
    [(0, 2), (2, 3)]
    """
    steps = np.stack([np.diff(found) != 1 for found in numbers])
    edges = [0, *(np.flatnonzero(steps.any(axis=0)) + 1).tolist(), len(numbers[0])]
    return list(pairwise(edges))


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How an array's elements follow one another in a file, and which of its axes numbers the frames."""

    shape: tuple[int, ...]
    """Shape as the file names it."""
    dtype: np.dtype
    """Numbers as stored, byte order included."""
    fortran: bool = False
    """The first axis varies fastest."""
    frames_last: bool = False
    """The last axis numbers the frames, not the first."""

    @property
    def rows_shape(self) -> tuple[int, ...]:
        """Shape with the frames first."""
        return (self.shape[-1], *self.shape[:-1]) if self.frames_last else self.shape

    @property
    def contiguous(self) -> bool:
        """Whether each frame's bytes lie together, row after row."""
        return self.frames_last == self.fortran or len(self.shape) < 2

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array."""
        return math.prod(self.shape) * self.dtype.itemsize

    def frames_first(self, array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
        """View an array of ``shape`` with its frames first."""
        return np.moveaxis(array, -1, 0) if self.frames_last else array


def as_bytes(array: Shaped[np.ndarray, "..."]) -> UInt8[np.ndarray, " byte"]:
    """View a C-contiguous array as its bytes."""
    return array.reshape(-1).view(np.uint8)


def target_array(
    out: Shaped[np.ndarray, "..."] | None, shape: tuple[int, ...], dtype: np.dtype
) -> Shaped[np.ndarray, "..."]:
    """Return ``out`` if it has this shape and dtype, a fresh array if it is None."""
    if out is None:
        return np.empty(shape, dtype)
    if out.shape != shape or out.dtype != dtype:
        raise DomainError(f"expected out of {dtype} and shape {shape}; found {out.dtype} and {out.shape}.", field="out")
    return out
