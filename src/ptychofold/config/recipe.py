"""Where an HDF5 file of any make keeps what: a recipe, as a TOML file holds it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ptychofold.config.base import Config
from ptychofold.config.frame import PositionFrame
from ptychofold.config.geometry import ScanGeometry
from ptychofold.config.preprocess import Step
from ptychofold.typing import Measurement

__all__ = ["RecipeConfig", "RecipePositions", "RecordedNumber"]

Reference = Annotated[str, Field(min_length=1)]
"""A data set of the file that is opened, ``group/name``, or of another one beside it, ``other.h5:group/name``."""


class RecordedNumber(Config):
    """A number that the file records, in a unit of its own."""

    key: Reference
    """The data set; all its numbers must be equal, or ``reduce`` says what to do with them."""
    multiplier: float = 1.0
    """Factor to electronvolts or metres."""
    offset: float = 0.0
    """What is added afterwards, in electronvolts or metres."""
    reduce: Literal["equal", "mean", "first"] = "equal"
    """What to make of several numbers."""


class RecipePositions(Config):
    """Where the positions lie."""

    both: Reference | None = None
    """One data set (scan, 2), or (2, scan), in the order that ``frame.axes`` says."""
    y: Reference | None = None
    """The y coordinates, one a pattern, or one a line of a raster."""
    x: Reference | None = None
    """The x coordinates, one a pattern, or one a column of a raster."""
    y_multiplier: float = 1.0
    """Factor to the unit of ``frame``; a negative one turns the axis."""
    x_multiplier: float = 1.0
    """Factor to the unit of ``frame``."""
    raster: Literal["y_slow", "x_slow"] | None = None
    """The coordinates are those of lines and columns; which of the two changes slowly from pattern to pattern."""
    frame: PositionFrame
    """Unit, directions, and what moved."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.both is None) == (self.y is None or self.x is None):
            raise ValueError("positions are either both=…, or y=… and x=…")
        if self.both is not None and (self.raster or self.x or self.y):
            raise ValueError("raster, y and x belong to separate coordinates; leave out both=…")
        return self


class RecipeConfig(Config):
    """What an HDF5 file holds where, and what is done to it.

    Examples
    --------
    >>> recipe = RecipeConfig.from_mapping(
    ...     {
    ...         "patterns": "entry/data/data",
    ...         "measurement": "intensity",
    ...         "positions": {"y": "motors/y", "x": "motors/x", "frame": {"unit": "um", "moves": "sample"}},
    ...         "energy": {"key": "mono/energy", "multiplier": 1000.0},
    ...         "geometry": {"distance_m": 2.0, "detector_pixel_m": [75e-6, 75e-6]},
    ...     }
    ... )
    >>> recipe.positions.frame.unit
    'um'
    """

    patterns: Reference | tuple[Reference, ...]
    """Patterns (scan, N, N) or (lines, columns, N, N); several data sets are put one behind the other."""
    measurement: Measurement
    """What the patterns' numbers are."""
    frames_last: bool = False
    """The patterns lie as (N, N, scan)."""
    transposed: bool = False
    """Rows and columns of the frames are exchanged, as in a file that MATLAB wrote."""
    zero_frequency: Literal["middle", "corner"] = "middle"
    """Where the frames have it."""
    positions: RecipePositions
    """Where the positions lie, and what they mean."""
    mask: Reference | None = None
    """Detector mask, not 0 where pixels are bad."""
    mask_good: bool = False
    """The mask is not 0 where pixels are good."""
    dark: Reference | None = None
    """Dark frame to subtract."""
    flat: Reference | None = None
    """Flat field to divide by."""
    monitor: Reference | None = None
    """Flux of each pattern (I0) to divide by, relative to its median."""
    keep: Reference | None = None
    """Frame filter, one number a pattern: 0 leaves the pattern out."""
    probe: Reference | None = None
    """Complex probe (N, N) or (mode, N, N)."""
    object: Reference | None = None
    """Complex object; then ``origin`` says where its pixels lie."""
    origin: tuple[float, float] | None = None
    """Object pixel (y, x) of coordinate 0; None places the first patch at pixel 0."""
    energy: RecordedNumber | None = None
    """Recorded energy, in eV after its multiplier."""
    distance: RecordedNumber | None = None
    """Recorded detector distance, in metres after its multiplier."""
    detector_pixel: RecordedNumber | None = None
    """Recorded side of a detector pixel, in metres after its multiplier."""
    geometry: ScanGeometry = ScanGeometry()
    """What the file does not record; recorded numbers override it."""
    steps: tuple[Step, ...] = ()
    """Preprocessing after dark, flat, monitor and frame filter."""
