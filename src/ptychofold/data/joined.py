"""Several arrays of patterns as one, so that a batch across scans is gathered as fast as from one of them."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from jaxtyping import Int64, Shaped, UInt8

from ptychofold.data.arrays import GrowingArray
from ptychofold.formats.lazy import ArrayInMemory, MappedArray
from ptychofold.formats.rows import Rows, as_bytes, row_numbers, target_array
from ptychofold.formats.view import RowView
from ptychofold.typing import ArraySource

__all__ = ["JoinedArray", "first_rows", "split_rows"]


def first_rows(lengths: list[int]) -> Int64[np.ndarray, " source"]:
    """Return the number of each source's first row, when sources of these lengths lie one after another.

    Examples
    --------
    >>> first_rows([3, 2, 4]).tolist()
    [0, 3, 5]
    """
    return np.cumsum([0, *lengths[:-1]], dtype=np.int64)


def split_rows(
    rows: Int64[np.ndarray, " n"], starts: Int64[np.ndarray, " source"]
) -> tuple[Int64[np.ndarray, " n"], list[tuple[int, slice]]]:
    """Return rows as each source numbers them, and which source each run of them lies in.

    Examples
    --------
    >>> split_rows(np.array([2, 3, 4, 0]), starts=np.array([0, 3]))
    (array([2, 0, 1, 0]), [(0, slice(0, 1, None)), (1, slice(1, 3, None)), (0, slice(3, 4, None))])
    """
    owner = starts.searchsorted(rows, side="right") - 1
    edges = [0, *(np.flatnonzero(owner[1:] != owner[:-1]) + 1).tolist(), len(rows)] if len(rows) else [0]
    runs = [slice(start, stop) for start, stop in pairwise(edges)]
    return rows - starts.take(owner), list(zip(owner.take(edges[:-1]).tolist(), runs, strict=True))


@dataclass(frozen=True, eq=False)
class JoinedArray:
    """Sources of one dtype and frame shape, one after another; nothing is copied.

    A read costs one gather for each run of rows that lie in one source, so ask for rows in the order of the sources.

    Examples
    --------
    >>> ones, twos = ArrayInMemory(np.full((3, 2, 2), 1)), ArrayInMemory(np.full((2, 2, 2), 2))
    >>> JoinedArray((ones, twos)).read(np.array([2, 3, 0]))[:, 0, 0].tolist()
    [1, 2, 1]
    """

    sources: tuple[ArraySource, ...]
    starts: Int64[np.ndarray, " source"] = field(init=False)
    """Number of each source's first row."""
    _frames: list[UInt8[np.ndarray, "_ byte"] | None] = field(init=False, repr=False, default_factory=list)

    @classmethod
    def of(cls, sources: tuple[ArraySource, ...]) -> ArraySource:
        """Return sources as one; a single one as it is."""
        return sources[0] if len(sources) == 1 else cls(sources)

    def __post_init__(self) -> None:
        object.__setattr__(self, "starts", first_rows([source.shape[0] for source in self.sources]))

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_frames": []}

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all rows."""
        last = self.sources[-1].shape
        return (int(self.starts[-1]) + last[0], *last[1:])

    @property
    def dtype(self) -> np.dtype:
        """Data type as stored."""
        return self.sources[0].dtype

    @property
    def access(self) -> str:
        """How rows are reached, for people."""
        return f"{len(self.sources)} sources, the first of them {self.sources[0].access}"

    @property
    def random_access(self) -> bool:
        """Whether every source reads a few rows at their own cost."""
        return all(source.random_access for source in self.sources)

    def read(self, rows: Rows, out: Shaped[np.ndarray, "n ..."] | None = None) -> Shaped[np.ndarray, "n ..."]:
        """Return rows in the stored dtype; see `ArraySource.read`."""
        shape = self.shape
        wanted = row_numbers(rows, shape[0])
        result = target_array(out, (len(wanted), *shape[1:]), self.dtype)
        local, runs = split_rows(wanted, self.starts)
        frames = self._mapped_frames()
        target = as_bytes(result).reshape(len(wanted), -1) if result.size and result.flags.c_contiguous else None
        for number, run in runs:
            source, view, chosen = self.sources[number], frames[number], local[run]
            if view is None or target is None:
                source.read(chosen, out=result[run])
            else:
                view.take(source.rows.take(chosen) if isinstance(source, RowView) else chosen, 0, target[run], "clip")
        return result

    def _mapped_frames(self) -> list[UInt8[np.ndarray, "_ byte"] | None]:
        """Return the bytes of each source's frames where they lie together; files are mapped at the first read."""
        if not self._frames:
            self._frames.extend(_frames_of(source) for source in self.sources)
        return self._frames


def _frames_of(source: ArraySource) -> UInt8[np.ndarray, "row byte"] | None:
    whole = source.source if isinstance(source, RowView) else source
    return whole.frames() if isinstance(whole, ArrayInMemory | MappedArray | GrowingArray) else None
