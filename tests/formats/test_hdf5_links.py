"""What an HDF5 file keeps in other files is there, or refused; HDF5 itself would read zeros."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from ptychofold.errors import FormatError, MissingFieldError, UnsupportedFormatError
from ptychofold.formats import read_fields
from ptychofold.formats.hdf5 import open_array, read_all

COUNTS = np.arange(1, 6 * 16 + 1, dtype=np.uint16).reshape(6, 4, 4)


def _virtual(folder: Path, *, sliced: bool = False) -> Path:
    """Write a virtual data set over two parts, each shown whole or by its first rows."""
    shown = 2 if sliced else 3
    layout = h5py.VirtualLayout((2 * shown, 4, 4), np.uint16)
    for part in (0, 1):
        with h5py.File(folder / f"part{part}.h5", "w") as file:
            file["x"] = COUNTS[3 * part : 3 * part + 3]
        source = h5py.VirtualSource(f"part{part}.h5", "x", (3, 4, 4))
        layout[shown * part : shown * part + shown] = source[:2] if sliced else source
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_virtual_dataset("dp", layout)
    return folder / "a.h5"


def _read(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        whole = read_all(file["dp"])
        np.testing.assert_array_equal(open_array(file["dp"]).read(slice(None)), whole)
    return whole


@pytest.mark.parametrize("sliced", [False, True])
def test_a_virtual_data_set_is_read_whole_or_refused(tmp_path: Path, sliced: bool) -> None:
    path = _virtual(tmp_path, sliced=sliced)
    np.testing.assert_array_equal(_read(path), COUNTS[[0, 1, 3, 4]] if sliced else COUNTS)
    with h5py.File(tmp_path / "part1.h5", "w") as file:
        file["x"] = COUNTS[3:4]
    with pytest.raises(FormatError, match=r"shows more of x than .*part1\.h5 holds, which is \(1, 4, 4\)\. Wait"):
        _read(path)
    with h5py.File(tmp_path / "part1.h5", "w") as file:
        file["y"] = COUNTS[3:]
    with pytest.raises(FormatError, match=r"part1\.h5 holds, which is nothing"):
        _read(path)
    (tmp_path / "part1.h5").unlink()
    with pytest.raises(FormatError, match=r"a\.h5: /dp is a virtual data set whose source .*part1\.h5 is missing"):
        _read(path)


def test_a_source_that_goes_away_before_it_is_read_is_refused(tmp_path: Path) -> None:
    with h5py.File(_virtual(tmp_path)) as file:
        source = open_array(file["dp"])
    (tmp_path / "part1.h5").unlink()
    with pytest.raises(FormatError, match=r"part1\.h5 is missing"):
        source.read(slice(None))


def test_a_virtual_data_set_that_grows_with_its_source_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file.create_dataset("x", data=COUNTS, maxshape=(None, 4, 4))
    layout = h5py.VirtualLayout((1, 4, 4), np.uint16, maxshape=(None, 4, 4))
    source = h5py.VirtualSource("part.h5", "x", (1, 4, 4), maxshape=(None, 4, 4))
    layout[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_virtual_dataset("dp", layout)
    np.testing.assert_array_equal(_read(tmp_path / "a.h5"), COUNTS)


def test_a_raw_file_that_is_missing_is_named(tmp_path: Path) -> None:
    raw = tmp_path / "counts.raw"
    COUNTS.tofile(raw)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("dp", COUNTS.shape, COUNTS.dtype, external=[(str(raw), 0, COUNTS.nbytes)])
    np.testing.assert_array_equal(_read(tmp_path / "a.h5"), COUNTS)
    raw.unlink()
    with pytest.raises(FormatError, match=r"/dp keeps its numbers in .*counts\.raw, which is missing\. Put that file"):
        _read(tmp_path / "a.h5")


def test_a_link_to_a_missing_file_is_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["dp"] = h5py.ExternalLink("gone.h5", "/dp")
    with pytest.raises(
        UnsupportedFormatError, match=r"an HDF5 file with dp; dp is a link to gone\.h5, which is missing"
    ):
        read_fields(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.ptyd", "w") as file:
        file["meta/energy"], file["chunks/1/data"] = 8.0, COUNTS
        file["chunks/0/data"] = h5py.ExternalLink("gone.h5", "/data")
        file["chunks/0/positions"] = np.zeros((6, 2))
    with pytest.raises(MissingFieldError, match=r"found positions, data \(a link to gone\.h5, which is missing\)"):
        read_fields(tmp_path / "b.ptyd")
