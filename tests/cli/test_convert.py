"""The command that writes a scan in another format."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import ptychofold as pf
from ptychofold.cli.main import app
from ptychofold.testing.scans import make_scan

RUNNER = CliRunner()


def _npz(folder: Path, **settings: object) -> Path:
    path = folder / "scan.npz"
    make_scan(n_scan=6, N=16, **settings).to_file(path)  # type: ignore[arg-type]
    return path


def _run(*arguments: object) -> str:
    result = RUNNER.invoke(app, ["convert", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    ("name", "format"), [("a.cxi", "CXI"), ("a.nxs", "NeXus NXcxi_ptycho"), ("a_dp.h5", "PtychoViT pair")]
)
def test_the_ending_chooses_the_format(tmp_path: Path, name: str, format: str) -> None:
    said = _run(_npz(tmp_path), tmp_path / name)
    assert "as PtychoPINN NPZ (a zip archive with diff3d, probeGuess, xcoords, ycoords)" in said
    assert "6 patterns of 16 × 16, intensity" in said
    assert pf.read(tmp_path / name).metadata.format == format


def test_what_is_lost_is_counted_and_named(tmp_path: Path) -> None:
    path = _npz(tmp_path, measurement="amplitude", patches=True)
    said = _run(path, tmp_path / "a.cxi")
    assert "these 2 fields were not representable: patches, measurement" in said
    assert "6 patterns of 16 × 16, intensity (squared)" in said
    assert "6 scan points, no patterns" in _run(path, tmp_path / "p.h5", "--format", "Ptychodus product")
    assert "this field was not representable: measurement" in _run(
        _npz(tmp_path, measurement="amplitude"), tmp_path / "b.cxi"
    )
    assert "everything was representable" in _run(_npz(tmp_path), tmp_path / "c.npz", "--format", "ptychopinn npz")


def test_what_the_file_lacks_is_taken_from_the_options(tmp_path: Path) -> None:

    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["dp"] = rng.poisson(9.0, (4, 16, 16)).astype(np.uint16)
    np.save(tmp_path / "bad.npy", np.eye(16, dtype=bool))
    (tmp_path / "p.csv").write_text("0,0\n1,2\n2,1\n3,3\n")
    options = ["--positions", tmp_path / "p.csv", "--frame", "unit=um,axes=xy,y=up", "--probe", "estimate"]
    options += [
        "--energy-ev",
        8000,
        "--distance-m",
        2,
        "--detector-pixel-m",
        75e-6,
        "--bad-pixels",
        tmp_path / "bad.npy",
    ]
    _run(tmp_path / "a.h5", tmp_path / "a.npz", *options)
    scan = pf.read(tmp_path / "a.npz")
    pixel = 1.549802e-10 * 2 / (16 * 75e-6)
    np.testing.assert_allclose(np.diff(scan.positions, axis=0) * pixel * 1e6, [[-2, 1], [1, 1], [-2, 1]], rtol=1e-5)
    assert scan.bad_pixels is not None
    assert scan.bad_pixels.sum() == 16
    electrons = pf.read(tmp_path / "a.npz", particle="electron", energy_ev=3e5).metadata.wavelength_m
    _run(tmp_path / "a.npz", tmp_path / "b.npz", "--electrons", "--energy-ev", 3e5)
    assert pf.read(tmp_path / "b.npz").metadata.wavelength_m == electrons


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("scan.npz", "scan.npz"), 2, "expected an output other than what is read"),
        (("scan.npz", "a.xyz"), 3, "no writer for suffix '.xyz'. Writable: 'PtychoPINN NPZ'"),
        (("scan.npz", "a.cxi", "--frame", "um"), 2, "expected --frame as unit=um,axes=xy"),
        (("scan.npz", "a.cxi", "--positions", "p.csv"), 2, "a table of positions says nothing of its unit and axes"),
        (("scan.npz", "a.cxi", "--positions", "q.csv", "--frame", "unit=m"), 3, "expected two numbers a line"),
        (("scan.npz", "a.cxi", "--bad-pixels", "scan.npz"), 3, "expected an NPY file; found something else"),
        (("scan.npz", "a.cxi", "--focus-m", "-1"), 2, "focus_m: Input should be greater than 0"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, why: str
) -> None:
    _npz(tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("p.csv").write_text("1,2\n")
    Path("q.csv").write_text("1,2,3\n")
    before = sorted(path.name for path in tmp_path.iterdir())
    result = RUNNER.invoke(app, ["convert", *arguments])
    assert result.exit_code == code, result.output
    assert why in " ".join(result.output.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_inspect_and_ingest_take_the_same_options(tmp_path: Path) -> None:
    scan = make_scan(n_scan=6, N=16)
    np.save(tmp_path / "probe.npy", scan.probe)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["dp"] = scan.patterns.read(slice(None))
    lines = [f"{y:.9f} {x:.9f}" for y, x in scan.positions]
    (tmp_path / "p.txt").write_text("\n".join(lines))
    options = ["--positions", tmp_path / "p.txt", "--frame", "unit=px", "--probe", tmp_path / "probe.npy"]
    inspected = RUNNER.invoke(app, ["inspect", str(tmp_path / "a.h5"), "--json", *map(str, options)])
    assert inspected.exit_code == 0, inspected.output
    assert json.loads(inspected.stdout)["format_reason"] == "an HDF5 file with dp and nothing beside it"
    stored = RUNNER.invoke(app, ["ingest", str(tmp_path / "a.h5"), "-o", str(tmp_path / "out"), *map(str, options)])
    assert stored.exit_code == 0, stored.output
    assert (tmp_path / "out" / "a" / "manifest.json").is_file()


def _bare(folder: Path, *, moved: float = 0.0) -> list[str]:
    """Write a CXI file without a probe, and return it with the options that complete it."""
    scan = make_scan(n_scan=16, N=16)
    scan.to_file(folder / "a.cxi")
    with h5py.File(folder / "a.cxi", "r+") as file:
        for name in ("image_1", "instrument_1/source_1/illumination"):
            del file[f"entry_1/{name}"]
        file["entry_1/sample_1/geometry_1/translation"][5, 0] += moved
    np.save(folder / "probe.npy", scan.probe)
    return [str(folder / "a.cxi"), "--probe", str(folder / "probe.npy")]


@pytest.mark.parametrize(
    "command",
    [
        ["report", "-o", "page.html"],
        ["preprocess", "-o", "b.npz", "--crop", "8"],
        ["group", "-o", "g.npz", "-k", "4"],
        ["plot", "-o", "pictures"],
        ["reconstruct", "-o", "r.npz", "--epochs", "1"],
    ],
)
def test_every_command_on_a_scan_takes_what_its_file_lacks(
    tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = _bare(tmp_path)
    monkeypatch.chdir(tmp_path)
    name, *options = command
    alone = RUNNER.invoke(app, [name, given[0], *options])
    assert "expected a probe" in " ".join(alone.output.split())
    assert not (tmp_path / options[1]).exists()
    completed = RUNNER.invoke(app, [name, *given, *options])
    assert completed.exit_code == 0, completed.output
    assert (tmp_path / options[1]).exists()


def test_preprocess_drops_a_position_that_is_no_number(tmp_path: Path) -> None:
    given, output = _bare(tmp_path, moved=float("nan")), tmp_path / "b.npz"
    done = RUNNER.invoke(app, ["preprocess", *given, "--clean-positions", "-o", str(output)])
    assert done.exit_code == 0, done.output
    assert len(pf.read(output)) == 15


def test_a_run_is_not_completed_by_the_options_of_a_file(tmp_path: Path) -> None:
    refused = RUNNER.invoke(app, ["report", str(tmp_path), "--probe", "estimate", "-o", str(tmp_path / "r.html")])
    assert refused.exit_code == 2
    assert "expected no options that complete a scan file with a run" in " ".join(refused.output.split())
    refused = RUNNER.invoke(app, ["report", str(tmp_path), "-m", "amplitude", "-o", str(tmp_path / "r.html")])
    assert refused.exit_code == 2
    assert "expected no options that complete a scan file with a run" in " ".join(refused.output.split())
