"""Several arrays shown as one, each row still read where it lies."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Shaped

from ptychofold.errors import ShapeError
from ptychofold.formats.rows import row_numbers, target_array
from ptychofold.typing import ArraySource

__all__ = ["ConcatenatedArray", "concatenated"]


@dataclass(frozen=True, eq=False)
class ConcatenatedArray:
    """Arrays of equal rows, one behind the other; made by `concatenated`."""

    sources: tuple[ArraySource, ...]
    """At least one array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole, rows first."""
        return (sum(source.shape[0] for source in self.sources), *self.sources[0].shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Data type as stored."""
        return self.sources[0].dtype

    @property
    def access(self) -> str:
        """How rows are reached."""
        return f"{len(self.sources)} parts, the first {self.sources[0].access}"

    @property
    def random_access(self) -> bool:
        """Whether every part reads a few rows at their own cost."""
        return all(source.random_access for source in self.sources)

    def read(
        self, rows: Int64[np.ndarray, " n"] | slice, out: Shaped[np.ndarray, "n ..."] | None = None
    ) -> Shaped[np.ndarray, "n ..."]:
        """Return rows in the order asked for; each part is asked once."""
        wanted = row_numbers(rows, self.shape[0])
        result = target_array(out, (len(wanted), *self.shape[1:]), self.dtype)
        start = 0
        for source in self.sources:
            inside = np.flatnonzero((wanted >= start) & (wanted < start + source.shape[0]))
            if len(inside) == len(wanted):
                return source.read(_as_slice(wanted - start), out=result)
            if len(inside):
                result[inside] = source.read(wanted[inside] - start)
            start += source.shape[0]
        return result


def _as_slice(rows: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"] | slice:
    """Return rows that count up by one as a slice, which sources read through the file."""
    if len(rows) and (np.diff(rows) == 1).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def concatenated(sources: list[ArraySource], *, field: str = "patterns") -> ArraySource:
    """Show arrays as one.

    Raises
    ------
    ShapeError
        If there is none, or their rows differ in shape or type.

    Examples
    --------
    >>> from ptychofold.formats.lazy import ArrayInMemory
    >>> both = concatenated([ArrayInMemory(np.array([[1], [2]])), ArrayInMemory(np.array([[3]]))])
    >>> both.read(np.array([2, 0])).tolist()
    [[3], [1]]
    """
    kinds = {(source.shape[1:], str(source.dtype)) for source in sources}
    if len(kinds) != 1:
        found = " and ".join(f"{dtype} {shape}" for shape, dtype in sorted(kinds)) or "no part at all"
        raise ShapeError(f"expected parts whose frames agree in shape and type; found {found}.", field=field)
    return sources[0] if len(sources) == 1 else ConcatenatedArray(tuple(sources))
