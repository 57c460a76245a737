"""TIFF stacks: mapped where they can be, read by page where they cannot, completed by a table of positions."""

from pathlib import Path

import numpy as np
import pytest

import ptychofold as pf
from ptychofold.errors import FormatError, ShapeError
from ptychofold.formats import read_fields

tifffile = pytest.importorskip("tifffile")
N_SCAN, N = 6, 16
COUNTS = np.random.default_rng(0).poisson(20.0, (N_SCAN, N, N)).astype(np.uint16)


def _table(folder: Path, text: str = "") -> Path:
    (folder / "p.txt").write_text(text or "# y x in pixels\n" + "\n".join(f"{i}\t{2 * i}" for i in range(N_SCAN)))
    return folder / "p.txt"


@pytest.mark.parametrize(
    ("settings", "access"),
    [
        ({}, "memory-mapped"),
        ({"byteorder": ">"}, "memory-mapped"),
        ({"bigtiff": True}, "memory-mapped"),
        ({"compression": "zlib"}, "TIFF pages"),
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_a_stack_and_a_table_are_a_scan(tmp_path: Path, settings: dict[str, object], access: str, lazy: bool) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COUNTS, photometric="minisblack", **settings)
    frame = pf.PositionFrame(unit="px")
    scan = pf.read(tmp_path / "a.tif", positions=_table(tmp_path), frame=frame, probe="estimate", lazy=lazy)
    assert scan.metadata.format == "TIFF stack"
    assert scan.patterns.access.startswith(access if lazy else "in memory")
    np.testing.assert_array_equal(scan.patterns.read(np.array([5, 0, 0])), COUNTS[[5, 0, 0]])
    np.testing.assert_array_equal(scan.patterns.read(slice(1, 4)), COUNTS[1:4])
    assert scan.positions.tolist() == [[i, 2 * i] for i in range(N_SCAN)]


def test_what_is_no_stack_of_frames_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 3, 8, 8, 3), np.uint8), photometric="rgb")
    with pytest.raises(ShapeError, match=r"expected one stack of frames .*; found 1 series, .* \(2, 3, 8, 8, 3\)"):
        read_fields(tmp_path / "a.tif")
    (tmp_path / "b.tif").write_bytes(b"II*\x00" + b"\xff" * 40)
    with pytest.raises(FormatError, match="reading the TIFF file failed"):
        read_fields(tmp_path / "b.tif")
    tifffile.imwrite(tmp_path / "c.tif", COUNTS[0])
    assert read_fields(tmp_path / "c.tif").patterns is not None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
@pytest.mark.parametrize("header", ["", "y (µm), x (µm)\n"])
def test_a_table_is_read_as_spreadsheets_save_it(tmp_path: Path, encoding: str, header: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COUNTS, photometric="minisblack")
    text = header + "\n".join(f"{i};{2 * i}" for i in range(N_SCAN))
    (tmp_path / "p.csv").write_bytes(text.encode(encoding))
    frame = pf.PositionFrame(unit="px")
    scan = pf.read(tmp_path / "a.tif", positions=tmp_path / "p.csv", frame=frame, probe="estimate")
    assert scan.positions.tolist() == [[i, 2 * i] for i in range(N_SCAN)]


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "found no line"), ("# nothing\n", "found no line"), ("1,5;2,5\n", r"found '1 5 2 5'\. Keep the two")],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str, why: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COUNTS, photometric="minisblack")
    (tmp_path / "p.csv").write_text(text or " ")
    with pytest.raises(ShapeError, match=why):
        pf.read(tmp_path / "a.tif", positions=tmp_path / "p.csv", frame=pf.PositionFrame(unit="px"), probe="estimate")


def test_a_table_of_another_length_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COUNTS, photometric="minisblack")
    with pytest.raises(ShapeError, match="positions"):
        pf.read(
            tmp_path / "a.tif",
            positions=_table(tmp_path, "1 2\n3 4\n"),
            frame=pf.PositionFrame(unit="px"),
            probe="estimate",
        )
