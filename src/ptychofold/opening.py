"""`read`: open a scan file of any format, completed by what the caller knows."""

from pathlib import Path

from ptychofold.config import ReadingConfig
from ptychofold.raw_data import RawData
from ptychofold.typing import RequestedMeasurement

__all__ = ["read"]


def read(
    path: str | Path, *, measurement: RequestedMeasurement = "auto", lazy: bool = True, **reading: object
) -> RawData:
    """Open a scan file of any supported format; ``metadata.format`` and ``format_reason`` say what it was and why.

    Parameters
    ----------
    path
        The file, or a folder of TIFF frames; it is recognised by its content.
    measurement
        What the patterns' numbers are; "auto" decides from the file's declaration, then from the numbers.
    lazy
        Leave the patterns in the file.
    **reading
        What the file lacks, by the names of `ReadingConfig`: ``energy_ev``, ``distance_m``, ``detector_pixel_m``,
        ``focus_m``, ``probe`` (a file, or "estimate"), ``positions``, ``patterns``, ``recipe`` and so on.

    Raises
    ------
    ConfigError
        If a name in ``reading`` is unknown.
    FormatError
        If the file cannot be read as what it claims to be.
    DataError
        If its content is wrong or incomplete; the message names what completes it.

    Examples
    --------
    >>> from ptychofold import samples
    >>> read(samples.path("siemens"), energy_ev=8000.0).metadata.format_reason
    'a zip archive with diff3d, probeGuess, xcoords, ycoords'
    """
    return RawData.from_file(path, measurement=measurement, lazy=lazy, reading=ReadingConfig(**reading))
