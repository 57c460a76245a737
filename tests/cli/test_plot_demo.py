from pathlib import Path

import pytest
from tests.cli.files import good_scan
from typer.testing import CliRunner

from ptychofold.cli import demo
from ptychofold.cli.main import app
from ptychofold.grouping import ScanGroups
from ptychofold.raw_data import RawData
from ptychofold.survey import PatternSummary

PNG = b"\x89PNG"


def test_plot_writes_every_picture(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["plot", str(good_scan(tmp_path / "a.npz")), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.stderr
    pictures = sorted((tmp_path / "out").iterdir())
    assert [p.stem for p in pictures] == ["coverage", "object", "overview", "patterns", "probe", "scan"]
    assert all(p.read_bytes().startswith(PNG) for p in pictures)
    assert result.stdout.splitlines()[0].endswith("overview.png")


def test_plot_refuses_a_file_as_its_directory(tmp_path: Path) -> None:
    file = good_scan(tmp_path / "a.npz")
    result = CliRunner().invoke(app, ["plot", str(file), "-o", str(file)])
    assert result.exit_code == 2
    assert "expected a directory" in result.stderr


def test_plot_refuses_an_impossible_grid(tmp_path: Path) -> None:
    file = good_scan(tmp_path / "a.npz")
    result = CliRunner().invoke(app, ["plot", str(file), "-o", str(tmp_path / "out"), "-g", "3"])
    assert result.exit_code == 2
    assert "n_neighbors" in result.stderr


def test_the_demo_goes_the_whole_road(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(scan: RawData, summary: PatternSummary, folder: Path, groups: ScanGroups) -> tuple[Path, ...]:
        assert len(scan) == len(summary.dose) == len(groups) == 516
        return (folder / "overview.png",)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "draw", draw)
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 0, result.stderr
    for word in ("516 × 128 × 128", "coords_relative", "516 groups of 4", "patterns/s", "demo_output/overview.png"):
        assert word in result.stdout
