"""A choice of rows of another array source, without a copy."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Shaped

from ptychofold.formats.transformed import TransformedSource
from ptychofold.typing import ArraySource

__all__ = ["RowView", "length_in_file", "rows_in_file"]


@dataclass(frozen=True, eq=False)
class RowView:
    """Some rows of a source, in any order; reads go to the source that holds them."""

    source: ArraySource
    """The whole array."""
    rows: Int64[np.ndarray, " n"]
    """Rows of the source that this view shows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the view, rows first."""
        return (len(self.rows), *self.source.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Data type as stored."""
        return self.source.dtype

    @property
    def access(self) -> str:
        """How rows are reached, for people."""
        return f"{len(self.rows)} rows of {self.source.access}"

    @property
    def random_access(self) -> bool:
        """Whether the source reads a few rows at their own cost."""
        return self.source.random_access

    def read(
        self, rows: Int64[np.ndarray, " n"] | slice, out: Shaped[np.ndarray, "n ..."] | None = None
    ) -> Shaped[np.ndarray, "n ..."]:
        """Return rows of the view in the stored dtype; see `ArraySource.read`."""
        return self.source.read(self.rows[rows], out)


def rows_in_file(source: ArraySource, rows: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Return which rows of its file, or of the array in memory, some rows of a source are.

    Examples
    --------
    >>> from ptychofold.formats.lazy import ArrayInMemory
    >>> rows_in_file(RowView(ArrayInMemory(np.zeros((9, 2, 2))), np.array([7, 3])), np.array([1])).tolist()
    [3]
    """
    if isinstance(source, TransformedSource):
        return rows_in_file(source.source, rows)
    return rows_in_file(source.source, source.rows[rows]) if isinstance(source, RowView) else rows


def length_in_file(source: ArraySource) -> int:
    """Return the number of rows of the file, or of the array in memory, that a source shows some rows of.

    Examples
    --------
    >>> from ptychofold.formats.lazy import ArrayInMemory
    >>> length_in_file(RowView(ArrayInMemory(np.zeros((9, 2, 2))), np.array([7, 3])))
    9
    """
    return length_in_file(source.source) if isinstance(source, TransformedSource | RowView) else source.shape[0]
