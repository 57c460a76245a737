"""Settings of preprocessing: one frozen class a step, and the recipe that puts steps in order.

A setting of None is estimated from the data when the step runs; the history of the scan holds what was found, so that
`ptychofold.preprocess.replay` gives the same bits.
"""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from ptychofold.config.base import Config
from ptychofold.typing import Measurement

__all__ = [
    "BackgroundStep",
    "BadPixelStep",
    "BinStep",
    "ConvertStep",
    "CropStep",
    "FlatStep",
    "FrameFile",
    "FrameStep",
    "InpaintStep",
    "MaskStep",
    "MonitorStep",
    "OrientStep",
    "PadStep",
    "PositionStep",
    "PreprocessConfig",
    "Step",
    "Turn",
]

Propagation = Literal["far_field", "near_field"]
Turn = Literal[
    "identity", "rotate_90", "rotate_180", "rotate_270", "flip_rows", "flip_columns", "transpose", "anti_transpose"
]
"""The eight symmetries of a square; rotations are anticlockwise where rows run downwards, as `numpy.rot90` turns."""


class CropStep(Config):
    """Cut a square of the frames about the beam's centre.

    Examples
    --------
    >>> CropStep(size=64).center is None
    True
    """

    step: Literal["crop"] = "crop"
    size: PositiveInt
    """Side of the square in detector pixels."""
    center: tuple[NonNegativeFloat, NonNegativeFloat] | None = None
    """(row, column) of the beam in pixels of the frame, rounded to a pixel; None estimates it."""
    probe: Literal["with_patterns", "centred"] | None = None
    """Cut the probe's diffraction pattern with the patterns, or about its own middle (for an idealised probe);
    None takes the one whose beam lies nearer."""
    propagation: Propagation | None = None
    """Far field: object pixels grow, as the detector shrinks. Near field: they stay. None asks the scan."""


class PadStep(Config):
    """Surround the frames with dark pixels, which are marked bad."""

    step: Literal["pad"] = "pad"
    size: PositiveInt
    """Side of the frames afterwards, in detector pixels."""
    propagation: Propagation | None = None
    """As in `CropStep`."""


class BinStep(Config):
    """Add the photons of square blocks of pixels."""

    step: Literal["bin"] = "bin"
    factor: Annotated[int, Field(ge=2)]
    """Side of a block in pixels; it must divide the frame."""
    bad_share: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Largest share of bad pixels in a good block; its sum is then scaled up to the whole block."""
    propagation: Propagation | None = None
    """Far field: the probe's window shrinks. Near field: object pixels grow. None asks the scan."""


class FrameFile(Config):
    """How a frame of a side file lies, where it lies as the detector's own file has its frames and not as the scan."""

    transposed: bool = False
    """Its rows and columns are exchanged."""
    zero_frequency: Literal["middle", "corner"] = "middle"
    """Where it has the zero frequency."""


class BackgroundStep(FrameFile):
    """Subtract dark counts and clip at zero."""

    step: Literal["background"] = "background"
    level: NonNegativeFloat = 0.0
    """Intensity that is subtracted from every pixel."""
    file: str | None = None
    """Dark frame to subtract, ``frame.npy``, ``file.npz:name`` or ``file.h5:dataset``."""
    checksum: int | None = None
    """CRC-32 of the numbers in the file; filled in when the step runs."""


class FlatStep(FrameFile):
    """Divide intensities by the response of the pixels; pixels without response become bad."""

    step: Literal["flat"] = "flat"
    file: str
    """Flat field, as in `BackgroundStep`; it is normalised to a median of 1."""
    checksum: int | None = None
    """CRC-32 of the numbers in the file; filled in when the step runs."""


class MonitorStep(Config):
    """Divide intensities by the flux that a monitor measured for each pattern, relative to its median."""

    step: Literal["monitor"] = "monitor"
    file: str
    """Monitor value of each pattern, as in `BackgroundStep`."""
    checksum: int | None = None
    """CRC-32 of the numbers in the file; filled in when the step runs."""


class MaskStep(FrameFile):
    """Mark pixels bad."""

    step: Literal["mask"] = "mask"
    file: str
    """Mask whose non-zero pixels are bad, as in `BackgroundStep`."""
    good: bool = False
    """The file's non-zero pixels are the good ones."""
    checksum: int | None = None
    """CRC-32 of the numbers in the file; filled in when the step runs."""


class BadPixelStep(Config):
    """Find hot and dead pixels by their median over the scan, and mark them bad."""

    step: Literal["bad_pixels"] = "bad_pixels"
    threshold: PositiveFloat = 8.0
    """Distance from the neighboring pixels, in robust standard deviations over the scan (1.48 MAD)."""
    n_frames: PositiveInt = 200
    """Patterns, evenly spread over the scan, that are looked at."""
    pixels: tuple[NonNegativeInt, ...] | None = None
    """Numbers (row · width + column) of the pixels found; None looks for them."""


class ConvertStep(Config):
    """Store amplitude instead of intensity, or the other way round.

    Examples
    --------
    >>> ConvertStep(to="amplitude").step
    'convert'
    """

    step: Literal["convert"] = "convert"
    to: Measurement
    """What the patterns are afterwards: roots of intensities, squares of amplitudes, or what they are already."""


class InpaintStep(Config):
    """Replace bad pixels by the median of the good ones around; they stay marked bad."""

    step: Literal["inpaint"] = "inpaint"
    radius: PositiveInt = 2
    """Distance in pixels up to which neighbors count; pixels without a good neighbor become 0."""


class OrientStep(Config):
    """Turn or mirror the frames, the positions, or the scan as a whole."""

    step: Literal["orient"] = "orient"
    turn: Turn
    """What is done to the axes."""
    target: Literal["patterns", "positions", "scan"] = "patterns"
    """Patterns: the detector is mounted turned. Positions: the stage is. Scan: both, with probe and object."""


class FrameStep(Config):
    """Leave out scan points by their dose or their number."""

    step: Literal["frames"] = "frames"
    least_dose: NonNegativeFloat = 0.0
    """Intensity of a pattern, as a share of the median of those that are not dark, below which it is dropped."""
    most_dose: PositiveFloat | None = None
    """Share of that median above which it is dropped; None keeps bright ones."""
    drop: tuple[NonNegativeInt, ...] = ()
    """Rows that are dropped in any case."""
    dropped: tuple[NonNegativeInt, ...] | None = None
    """Rows found; None looks for them."""


class PositionStep(Config):
    """Leave out scan points whose positions are no numbers, far from all others, or repeated."""

    step: Literal["positions"] = "positions"
    isolation: PositiveFloat = 10.0
    """Distance to the nearest neighbor, in medians of that distance, above which a point is an outlier."""
    duplicates: Literal["drop", "keep"] = "drop"
    """Keep only the first of scan points at exactly the same position, or all."""
    dropped: tuple[NonNegativeInt, ...] | None = None
    """Rows found; None looks for them."""


Step = Annotated[
    CropStep
    | PadStep
    | BinStep
    | BackgroundStep
    | FlatStep
    | MonitorStep
    | MaskStep
    | BadPixelStep
    | ConvertStep
    | InpaintStep
    | OrientStep
    | FrameStep
    | PositionStep,
    Field(discriminator="step"),
]


class PreprocessConfig(Config):
    """Steps in the order in which they are done.

    Examples
    --------
    >>> recipe = PreprocessConfig.from_mapping({"steps": [{"step": "crop", "size": 64}, {"step": "bin", "factor": 2}]})
    >>> [step.step for step in recipe.steps]
    ['crop', 'bin']
    """

    steps: tuple[Step, ...] = ()
    """What is done, first to last."""
