"""A folder of TIFF files, one frame each, is a scan: in natural order, read frame by frame, odd files named."""

import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import ptychofold as pf
from ptychofold.cli.main import app
from ptychofold.data.store import PatternStore
from ptychofold.errors import DependencyError, FormatError, MissingFieldError, ShapeError, StoreError
from ptychofold.formats import identify, read_fields

tifffile = pytest.importorskip("tifffile")
N_SCAN, N = 12, 16
COUNTS = np.random.default_rng(0).poisson(20.0, (N_SCAN, N, N)).astype(np.uint16)
FRAME = pf.PositionFrame(unit="px")


def _folder(tmp_path: Path, **settings: object) -> Path:
    folder = tmp_path / "Messung 3 µm.run"
    folder.mkdir()
    for number, frame in enumerate(COUNTS):
        tifffile.imwrite(folder / f"frame_{number + 1}.tif", frame, **settings)
    (folder / "table.csv").write_text("y,x\n" + "\n".join(f"{3 * i},{i % 4}" for i in range(N_SCAN)))
    (folder / ".frame_0.tif").write_bytes(b"a desktop's own")
    return folder


def _read(folder: Path, **more: object) -> pf.RawData:
    return pf.read(folder, positions=folder / "table.csv", frame=FRAME, probe="estimate", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [{}, {"byteorder": ">"}, {"compression": "zlib"}, {"bigtiff": True}])
@pytest.mark.parametrize("lazy", [False, True])
def test_frames_lie_in_the_order_of_their_numbers(tmp_path: Path, settings: dict[str, object], lazy: bool) -> None:
    scan = pickle.loads(pickle.dumps(_read(_folder(tmp_path, **settings), lazy=lazy)))
    assert scan.metadata.format == "TIFF folder"
    assert scan.metadata.format_reason == (
        "a folder of 12 TIFF frames, frame_1.tif to frame_12.tif; passed over: table.csv"
    )
    np.testing.assert_array_equal(scan.patterns.read(np.array([11, 1, 1])), COUNTS[[11, 1, 1]])
    np.testing.assert_array_equal(scan.patterns.read(slice(2, 11, 4)), COUNTS[2:11:4])
    assert scan.positions[:, 0].tolist() == [3 * i for i in range(N_SCAN)]
    assert scan.patterns.access.startswith("TIFF files" if lazy else "in memory")


def test_a_frame_is_opened_when_it_is_asked_for(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    patterns = _read(folder).patterns
    (folder / "frame_7.tif").unlink()
    np.testing.assert_array_equal(patterns.read(slice(0, 6)), COUNTS[:6])
    with pytest.raises(FormatError, match=r"frame_7\.tif: reading the frame failed"):
        patterns.read(slice(0, 7))


def test_a_folder_goes_into_a_store_that_knows_its_frames(tmp_path: Path) -> None:
    folder, runner = _folder(tmp_path), CliRunner()
    options = ["--positions", str(folder / "table.csv"), "--frame", "unit=px", "--probe", "estimate"]
    shown = runner.invoke(app, ["inspect", str(folder), *options])
    assert shown.exit_code == 0, shown.output
    assert "TIFF folder" in shown.output
    done = runner.invoke(app, ["ingest", str(folder), "-o", str(tmp_path / "out"), *options])
    assert done.exit_code == 0, done.output
    (folder / "notes.txt").write_text("a file that is no frame changes nothing")
    store = PatternStore.open(tmp_path / "out" / folder.name)
    np.testing.assert_array_equal(store.scan.patterns.read(slice(None)), COUNTS)
    tifffile.imwrite(folder / "frame_3.tif", COUNTS[0, :8])
    with pytest.raises(StoreError, match=r"frame_3\.tif"):
        PatternStore.open(tmp_path / "out" / folder.name)


@pytest.mark.parametrize(
    ("name", "frame", "why"),
    [
        ("frame_5.tif", COUNTS[0, :8], r"frame_5\.tif: expected a frame of uint16 and shape \(16, 16\).*\(8, 16\)"),
        ("frame_5.tif", COUNTS[0].view(np.int16), r"frame_5\.tif: expected a frame of uint16 .* found int16"),
        ("frame_5.tif", COUNTS[:3], r"frame_5\.tif: expected one frame of one channel.* found 3 of shape \(16, 16\)"),
    ],
)
def test_an_odd_frame_is_refused_by_name(tmp_path: Path, name: str, frame: np.ndarray, why: str) -> None:
    folder = _folder(tmp_path)
    tifffile.imwrite(folder / name, frame, photometric="minisblack")
    with pytest.raises(ShapeError, match=why):
        _read(folder, lazy=False)


def test_a_damaged_frame_is_one_line_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _folder(tmp_path)
    frame = folder / "frame_3.tif"
    frame.write_bytes(frame.read_bytes()[:200])
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    options = ["--positions", str(folder / "table.csv"), "--frame", "unit=px", "--probe", "estimate"]
    done = CliRunner().invoke(app, ["inspect", str(folder), *options])
    assert done.exit_code == 3
    assert len(done.stderr.splitlines()) == 1
    assert "frame_3.tif: reading the frame failed" in done.stderr


def test_a_file_that_is_no_tiff_is_refused_by_name(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    (folder / "frame_1.tif").write_bytes(b"cut")
    with pytest.raises(FormatError, match=r"frame_1\.tif: reading the frame failed: not a TIFF file"):
        _read(folder)


def test_what_decompresses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(page: object) -> None:
        del page
        raise KeyError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    folder = _folder(tmp_path)
    monkeypatch.setattr(tifffile.TiffPage, "asarray", lacking)
    with pytest.raises(DependencyError, match=r"frame_1\.tif: .*LZW.*pip install imagecodecs; or save"):
        _read(folder)


def test_a_folder_of_scans_is_not_taken_for_frames(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    with pytest.raises(FormatError, match=r"found TIFF frames of one scan\. Open it by"):
        pf.RawData.from_directory(folder)
    for number in range(N_SCAN + 1):
        (folder / f"scan_{number}.h5").write_bytes(b"x")
    with pytest.raises(FormatError, match="found a directory of something else"):
        identify(folder)
    tifffile.imwrite(tmp_path / "stack.tif", COUNTS, photometric="minisblack")
    with pytest.raises(FormatError, match="found a directory of something else"):
        identify(tmp_path)


def test_what_is_asked_for_by_name_must_be_there(tmp_path: Path) -> None:
    reading = pf.ReadingConfig(format="tiff folder")
    with pytest.raises(FormatError, match="found no TIFF file in it"):
        read_fields(tmp_path, reading=reading)
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(FormatError, match="one frame each; found a file"):
        read_fields(tmp_path / "a.txt", reading=reading)
    with pytest.raises(MissingFieldError, match=r"expected positions in the scan; .*positions=FILE.*--positions FILE"):
        pf.read(_folder(tmp_path), probe="estimate")
