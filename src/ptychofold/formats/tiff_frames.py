"""Folders of TIFF frames: one pattern a file, in the order of the numbers in their names.

Positions and probe come from other files, as for a stack; a frame is opened when it is asked for.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from ptychofold.errors import FormatError, ShapeError
from ptychofold.formats.base import Format
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.lazy import ArrayInMemory
from ptychofold.formats.rows import Rows, row_numbers, target_array
from ptychofold.formats.tiff import ENDINGS, tiff_file
from ptychofold.formats.tiff import sniff as sniff_file

__all__ = ["FORMAT", "TiffFrames"]

NAME = "TIFF folder"
SCAN_ENDINGS = (".h5", ".hdf5", ".hdf", ".cxi", ".nxs", ".npz", ".bz2", ".mat", ".ptyd")
"""Endings of files that are scans of their own: where they outnumber the frames, the folder is one of scans."""
N_NAMED = 3
"""Most files that are named as passed over."""


@dataclass(frozen=True, eq=False)
class TiffFrames:
    """Files of one frame each; each call opens the files asked for, one at a time."""

    folder: Path
    names: tuple[str, ...]
    """File names in the order of the scan."""
    frame_shape: tuple[int, int]
    dtype: np.dtype

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the whole, frames first."""
        return (len(self.names), *self.frame_shape)

    @property
    def access(self) -> str:
        """How rows are reached."""
        return "TIFF files of one frame each, read by tifffile"

    @property
    def random_access(self) -> bool:
        """Always: a frame costs only itself."""
        return True

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files, in the order of the scan."""
        return tuple(self.folder / name for name in self.names)

    def read(self, rows: Rows, out: Shaped[np.ndarray, "n ..."] | None = None) -> Shaped[np.ndarray, "n ..."]:
        """Return frames in the order asked for.

        Raises
        ------
        FormatError
            If a file cannot be read.
        ShapeError
            If a file's frame differs from the others in shape or type.
        """
        wanted = row_numbers(rows, self.shape[0])
        result = target_array(out, (len(wanted), *self.frame_shape), self.dtype)
        for place, row in enumerate(wanted.tolist()):
            path = self.folder / self.names[row]
            with tiff_file(path, doing="reading the frame") as file:
                frame = np.asarray(file.pages[0].asarray())
            _check_alike(path, (frame.shape, frame.dtype), (self.frame_shape, self.dtype))
            result[place] = frame
        return result


def sniff(path: Path) -> str | None:
    """Recognise a folder whose first TIFF file holds one page; other files are named, and passed over."""
    if not path.is_dir():
        return None
    names, others = _listed(path)
    if not names or sum(name.lower().endswith(SCAN_ENDINGS) for name in others) > len(names):
        return None
    first = next((path / name for name in names if sniff_file(path / name) is not None), None)
    if first is None:
        return None
    with tiff_file(first, doing="reading the frame") as file:
        if len(file.pages) != 1:
            return None
    span = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    return f"a folder of {len(names)} TIFF frames, {span}" + _passed_over(others)


def read(path: Path, *, lazy: bool) -> ScanFields:
    """Read a folder of frames; it holds patterns and nothing else.

    Frames lie in the natural order of their names: ``frame_2`` before ``frame_10``. Of files as long as one that was
    looked at before, the frame is compared when it is read; of all others it is compared here.

    Raises
    ------
    FormatError
        If there is no TIFF file in the folder, or one of them is none.
    ShapeError
        If files hold frames of different shapes or types, or more than one frame.
    DependencyError
        If tifffile is not installed.
    """
    if not path.is_dir():
        raise FormatError("expected a folder of TIFF files of one frame each; found a file.", path=path)
    names, _ = _listed(path)
    if not names:
        raise FormatError("expected a folder of TIFF files of one frame each; found no TIFF file in it.", path=path)
    shape, dtype = first = _kind(path / names[0])
    lengths = set()
    for name in names:
        file = path / name
        length = file.stat().st_size
        if length not in lengths:
            _check_alike(file, _kind(file), first)
            lengths.add(length)
    source = TiffFrames(path, names, (shape[0], shape[1]), dtype)
    return ScanFields(
        path=path,
        format=NAME,
        patterns=source if lazy else ArrayInMemory(source.read(slice(None))),
        names=("frames",),
    )


def _listed(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of TIFF files in natural order, and those of other files; hidden ones are left out."""
    found = [entry.name for entry in folder.iterdir() if entry.name[0] != "." and entry.is_file()]
    frames = [name for name in found if name.lower().endswith(ENDINGS)]
    return tuple(sorted(frames, key=_natural)), tuple(sorted(set(found).difference(frames)))


def _natural(name: str) -> tuple[list[tuple[str, int]], str]:
    """Return a key that compares digits as numbers: text and number by turns, then the name itself.

    Examples
    --------
    >>> sorted(["f_10.tif", "f_9.tif", "f_009b.tif"], key=_natural)
    ['f_9.tif', 'f_009b.tif', 'f_10.tif']
    """
    parts = re.findall(r"([^0-9]*)([0-9]*)", name)
    return [(text, int(digits or -1)) for text, digits in parts], name


def _passed_over(others: tuple[str, ...]) -> str:
    if not others:
        return ""
    shown = ", ".join(others[:N_NAMED]) + (" …" if len(others) > N_NAMED else "")
    return f"; passed over: {shown}"


def _kind(path: Path) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and type of the one frame of a file."""
    with tiff_file(path, doing="reading the frame") as file:
        page, n_pages = file.pages[0], len(file.pages)
        shape, dtype = tuple(page.shape), page.dtype
    if n_pages != 1 or len(shape) != 2 or dtype is None:
        raise ShapeError(
            f"expected one frame of one channel, as every file of the folder; found {n_pages} of shape {shape}. Keep "
            "single frames in the folder; read a stack by its own name.",
            path=path,
            field="patterns",
        )
    return shape, np.dtype(dtype.str)


def _check_alike(path: Path, found: tuple[tuple[int, ...], np.dtype], first: tuple[tuple[int, ...], np.dtype]) -> None:
    if found != first:
        raise ShapeError(
            f"expected a frame of {first[1]} and shape {first[0]}, as in the folder's first file; found {found[1]} and "
            f"{found[0]}. Move files of another kind out of the folder.",
            path=path,
            field="patterns",
        )


FORMAT = Format(
    name=NAME,
    description="a folder of TIFF files, one pattern each; positions come from a table, the probe from another file",
    suffixes=ENDINGS,
    folder=True,
    sniff=sniff,
    read=read,
)
