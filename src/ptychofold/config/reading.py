"""What a caller adds to what a scan file says."""

from pathlib import Path
from typing import Literal, Self

from ptychofold.config.frame import PositionFrame
from ptychofold.config.geometry import ScanGeometry

__all__ = ["COMPANIONS", "ReadingConfig"]

COMPANIONS = ("patterns", "probe", "positions", "bad_pixels", "recipe")
"""Settings that name a file."""


class ReadingConfig(ScanGeometry):
    """Facts and companion files that complete a scan file; a stated fact overrides the file's.

    Examples
    --------
    >>> ReadingConfig(focus_m=3.65e-3, distance_from="focus", probe="estimate").field
    'near_field'
    """

    probe: Path | Literal["estimate"] | None = None
    """A scan or NPY file that holds the probe; or "estimate": the wave that the mean pattern belongs to."""

    patterns: Path | None = None
    """Second file with the patterns of this scan, such as the diffraction file of a Ptychodus product."""

    positions: Path | None = None
    """Second file with the positions: a table of two columns (CSV, TXT), read by ``frame``, or any scan file."""

    frame: PositionFrame | None = None
    """What the numbers of a ``positions`` table mean."""

    bad_pixels: Path | None = None
    """NPY file that is True, or not 0, where the detector is bad."""

    recipe: Path | None = None
    """TOML file that says where an HDF5 file keeps what; see `RecipeConfig`."""

    format: str | None = None
    """Name of the format to read as, where the content fits several."""

    reader: str | None = None
    """Name of a Ptychodus diffraction reader, such as "APS_Velociprobe" (needs the extra ``facilities``)."""

    positions_reader: str | None = None
    """Name of a Ptychodus position reader for ``positions``; that of ``reader`` if it has the same name."""

    def moved_to(self, folder: Path) -> Self:
        """Return the same with companion files that are found from another directory.

        Examples
        --------
        >>> moved = ReadingConfig(probe="estimate", positions="points.csv").moved_to(Path("scans"))
        >>> moved.probe, moved.positions.as_posix()
        ('estimate', 'scans/points.csv')
        """
        files = {name: getattr(self, name) for name in COMPANIONS}
        return self.replace(**{name: folder / file for name, file in files.items() if isinstance(file, Path)})
