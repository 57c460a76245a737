"""Patterns stored as a raster, ``(row, column, H, W)``, shown as a list of frames."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Shaped

from ptychofold.formats.rows import row_numbers, target_array
from ptychofold.typing import ArraySource

__all__ = ["RasterRows"]


@dataclass(frozen=True, eq=False)
class RasterRows:
    """A raster of frames as one list, the second scan axis running fastest; lines of the raster are read whole.

    Examples
    --------
    >>> from ptychofold.formats.lazy import ArrayInMemory
    >>> RasterRows(ArrayInMemory(np.arange(6).reshape(2, 3, 1, 1))).read(np.array([4, 0])).ravel().tolist()
    [4, 0]
    """

    source: ArraySource
    """(row, column, H, W)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(scan, H, W)."""
        rows, columns, *frame = self.source.shape
        return (rows * columns, *frame)

    @property
    def dtype(self) -> np.dtype:
        """Data type as stored."""
        return self.source.dtype

    @property
    def access(self) -> str:
        """How rows are reached."""
        return f"raster lines of {self.source.access}"

    @property
    def random_access(self) -> bool:
        """Never: the line around a frame is read too."""
        return False

    def read(
        self, rows: Int64[np.ndarray, " n"] | slice, out: Shaped[np.ndarray, "n ..."] | None = None
    ) -> Shaped[np.ndarray, "n ..."]:
        """Return frames, a line at a time."""
        wanted = row_numbers(rows, self.shape[0])
        result = target_array(out, (len(wanted), *self.shape[1:]), self.dtype)
        lines, columns = np.divmod(wanted, self.source.shape[1])
        for line in np.unique(lines):
            chosen = np.flatnonzero(lines == line)
            result[chosen] = self.source.read(slice(int(line), int(line) + 1))[0][columns[chosen]]
        return result
