"""Say what kind of file something looks like, for the message that nobody can read it."""

from pathlib import Path

import h5py

from ptychofold.formats.archive import list_members
from ptychofold.formats.base import ZIP_MAGICS, read_start
from ptychofold.formats.hdf5 import is_hdf5, open_file
from ptychofold.formats.hdf5_items import tree
from ptychofold.formats.hdf5_links import missing_links

__all__ = ["describe_content"]

_SHOWN = 12
_MOST = 60
EIGER_FRAMES = "entry/data/data"
"""Where the data files of an Eiger detector keep their part of the frames."""
_KINDS = (
    (b"MATLAB 5.0", "a MATLAB 5 file"),
    (b"MATLAB 7.3", "a MATLAB 7.3 file"),
    (b"\x93NUMPY", "a single NumPy array (.npy)"),
    (b"BZh", "a bzip2-compressed file; decompress it first"),
    (b"\x1f\x8b", "a gzip-compressed file; decompress it first"),
    (b"\xfd7zXZ", "an xz-compressed file; decompress it first"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
    (b"\x89PNG", "a PNG picture"),
    *((bytes([0x80, protocol]), "a Python pickle, which is never opened") for protocol in range(2, 6)),
)


def describe_content(path: Path) -> str:
    """Return a phrase such as ``"an HDF5 file with entry_1"``.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "notes"
    >>> _ = path.write_text("hello")
    >>> describe_content(path)
    "a text file that starts with 'hello'"
    """
    start = read_start(path)
    kind = next((kind for magic, kind in _KINDS if start.startswith(magic)), None)
    if kind is not None:
        return kind
    if start.startswith(ZIP_MAGICS):
        return f"a zip archive with {_listed(list(list_members(path)))}"
    if is_hdf5(path):
        return _describe_hdf5(path)
    text = start.decode("utf-8", "ignore")
    if len(text.encode()) > len(start) - 4 and all(letter.isprintable() or letter in "\t\r\n" for letter in text):
        return f"a text file that starts with {' '.join(text.split())[:40]!r}"
    return f"a binary file that starts with {start[:8]!r}"


def _describe_hdf5(path: Path) -> str:
    with open_file(path) as file:
        missing = missing_links(file)
        held = [name for name in tree(file, limit=_MOST) if not any(name.startswith(f"{link} (") for link in missing)]
        told = [f"; {name} is a link to {target}, which is missing" for name, target in missing.items()][:1]
        frames = file.get(EIGER_FRAMES)
        if isinstance(frames, h5py.Dataset) and "image_nr_low" in frames.attrs:
            told.append(", a part of the frames of an Eiger detector: open the master file, which names all parts")
        return f"an HDF5 file with {_listed(held or list(file))}{''.join(told)}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN]) or "nothing in it"
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
