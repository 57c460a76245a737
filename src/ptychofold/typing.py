"""Array types shared by all floors.

Shapes are written with `jaxtyping <https://docs.kidger.site/jaxtyping>`_; an annotation such as
``Float64[np.ndarray, "scan 2"]`` is the shape documentation of the argument. Axis names: ``scan`` (scan points),
``group``, ``C`` (members of a group), ``mode`` (probe modes), ``N`` (pattern side), ``H W`` (object grid).
"""

from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Complex64, Float64, Int64, Shaped

__all__ = ["ArraySource", "Indices", "Measurement", "Object", "Positions", "Probe", "RequestedMeasurement"]

Measurement = Literal["amplitude", "intensity"]
"""What a pattern's numbers are: the square root of counts, or counts (or proportional to them)."""

RequestedMeasurement = Literal["auto", "amplitude", "intensity"]
"""What a caller says of the patterns; "auto" leaves it to the file's declaration, then to the numbers."""

Indices = Int64[np.ndarray, " n"]
Positions = Float64[np.ndarray, "scan 2"]
Probe = Complex64[np.ndarray, "mode N N"]
Object = Complex64[np.ndarray, "H W"]


@runtime_checkable
class ArraySource(Protocol):
    """An array whose rows are read on demand: in memory, memory-mapped, compressed, or inside HDF5.

    A source is stateless, immutable and picklable: a copy in another process reads the same numbers.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array, rows first."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Data type as stored."""
        ...

    @property
    def access(self) -> str:
        """How rows are reached, in a few words for people, such as ``"memory-mapped at byte 4398"``."""
        ...

    @property
    def random_access(self) -> bool:
        """Whether reading a few rows costs about as much as those rows, wherever they lie."""
        ...

    def read(
        self, rows: Int64[np.ndarray, " n"] | slice, out: Shaped[np.ndarray, "n ..."] | None = None
    ) -> Shaped[np.ndarray, "n ..."]:
        """Return rows in the stored dtype, in the order asked for.

        Parameters
        ----------
        rows
            Row numbers (any order, repeats allowed, 0 ≤ row < len) or a slice with a positive step.
        out
            Where to put them; same dtype and shape as the result. A fresh array or a read-only view if None.
        """
        ...
