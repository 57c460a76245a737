import sys
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from tests.cli.files import good_scan
from typer.testing import CliRunner

from ptychofold.cli import demo
from ptychofold.cli.main import app
from ptychofold.grouping import ScanGroups
from ptychofold.plotting import html_report, results, style
from ptychofold.raw_data import RawData
from ptychofold.reconstruction import Reconstruction
from ptychofold.survey import PatternSummary
from ptychofold.testing import make_scan

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
    result = CliRunner().invoke(app, ["plot", str(file), "-o", str(tmp_path / "out"), "-g", "3", "-k", "7"])
    assert result.exit_code == 2
    assert "n_neighbors" in result.stderr


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave pictures of the scan and of the report undrawn, as they take most of the time."""

    def draw(scan: RawData, summary: PatternSummary, folder: Path, groups: ScanGroups) -> tuple[Path, ...]:
        assert len(scan) == len(summary.dose) == len(groups)
        return (folder / "overview.png",)

    monkeypatch.setattr(demo, "draw", draw)
    monkeypatch.setattr(html_report, "figure_html", lambda _, caption: caption)
    monkeypatch.setattr(style, "save_figure", _blank)


def _blank(_: Figure, path: Path) -> Path:
    """Save a figure without drawing it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PNG)
    return path


@pytest.mark.usefixtures("quick")
def test_the_demo_goes_the_whole_road(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan = make_scan(n_scan=36, N=16, step=2.0)
    demo.run_demo(
        scan, tmp_path, demo.DemoSettings(network_epochs=1, network_minutes=1.0, refinement_epochs=3, n_modes=2)
    )
    said = capsys.readouterr().out
    for word in (
        "36 × 16 × 16",
        "doctor, without trial reconstructions:",
        "coords_relative",
        "36 groups of 4",
        "1 epochs in",
        "predicted and stitched 36",
    ):
        assert word in said
    assert said.count("R = ") + said.count("R of ") >= 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "before_after.png",
        "reconstruction.npz",
        "reconstruction.png",
        "report.html",
    ]
    assert Reconstruction.from_file(tmp_path / "reconstruction.npz").losses


@pytest.mark.usefixtures("quick")
def test_without_lightning_the_demo_begins_with_a_flat_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "lightning", None)
    scan = make_scan(n_scan=36, N=16, step=2.0)
    demo.run_demo(
        scan, tmp_path, demo.DemoSettings(network_epochs=1, network_minutes=1.0, refinement_epochs=1, n_modes=1)
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "left out: lightning is needed here" in said
    assert "from a flat object" in said


def test_the_demo_takes_the_shipped_scan_and_longer_with_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[int, demo.DemoSettings]] = []
    monkeypatch.setattr(demo, "run_demo", lambda scan, _, settings: taken.append((len(scan), settings)))
    for options in ((), ("--full",)):
        assert CliRunner().invoke(app, ["demo", "-o", str(tmp_path), *options]).exit_code == 0
    assert taken == [(516, demo.QUICK), (516, demo.FULL)]
    assert demo.FULL.network_epochs > demo.QUICK.network_epochs


def test_plot_draws_a_result_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "save_figure", _blank)
    scan = make_scan(n_scan=16, N=16, step=2.0)
    replace(Reconstruction.from_scan(scan), losses=(0.2, 0.1)).save(tmp_path / "a.h5")
    result = CliRunner().invoke(app, ["plot", str(tmp_path / "a.h5"), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.stderr
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == ["loss", "object", "probe", "reconstruction"]
