"""What a scan file said, in the conventions of ptychofold but not yet validated."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from ptychofold.metadata import Metadata
from ptychofold.typing import ArraySource, Measurement

__all__ = ["ScanFields"]


@dataclass(frozen=True, kw_only=True)
class ScanFields:
    """The fields that a reader found; the file border has been crossed, validation has not.

    A reader converts axis order, coordinate order and units, and nothing else: it never guesses a value,
    never repairs one, and leaves None what the file does not hold.
    """

    path: Path | None
    """The file; None for arrays from memory."""
    format: str
    """Name of the format, such as ``"PtychoPINN NPZ"``."""
    format_reason: str | None = None
    """Why the file was read as this format."""
    patterns: ArraySource | None = None
    """(scan, N, N), as stored; zero frequency at ``[N//2, N//2]``."""
    positions: np.ndarray | None = None
    """(scan, 2), ``(y, x)`` in object pixels."""
    positions_nominal: np.ndarray | None = None
    """(scan, 2), commanded positions before correction."""
    positions_m: np.ndarray | None = None
    """(scan, 2), ``(y, x)`` of the probe on the sample in metres, rows down, columns right; see `completed`."""
    positions_nominal_m: np.ndarray | None = None
    """(scan, 2), the same of the commanded positions."""
    origin: tuple[float, float] | None = None
    """Pixel ``(y, x)`` where metre 0 lies; None where the file does not say."""
    probe: np.ndarray | None = None
    """(N, N), (mode, N, N) or as the file has it; complex."""
    object: np.ndarray | None = None
    """(H, W) complex transmission."""
    patches: np.ndarray | None = None
    """(scan, N, N) ground truth cut per pattern."""
    scan_index: np.ndarray | None = None
    """(scan,) number of the measurement each pattern came from."""
    point_numbers: np.ndarray | None = None
    """(scan,) number by which patterns and positions of one scan, kept in two files, find each other."""
    bad_pixels: np.ndarray | None = None
    """(N, N), True where the detector is bad."""
    measurement: Measurement | None = None
    """What the file or its known exporter declares the patterns to be; None if nothing does."""
    measurement_reason: str | None = None
    """Why ``measurement`` is known, for people, such as ``"exported by Ptychodus as counts"``."""
    measurement_expected: Literal["amplitude"] | None = None
    """What the format's convention says where the file declares nothing; the numbers may contradict it."""
    metadata: Metadata = field(default_factory=Metadata)
    """Units, dose and whatever else the file says of itself; the reader fills what it knows."""
    names: tuple[str, ...] = ()
    """Every name found in the file, for messages."""
