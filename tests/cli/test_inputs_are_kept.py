"""No command writes over what it reads, and each takes a store where it takes a scan."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.files import good_scan
from typer.testing import CliRunner

from ptychofold.cli.main import app
from ptychofold.data.store import PatternStore
from ptychofold.raw_data import RawData
from ptychofold.reconstruction import Reconstruction

Arguments = Callable[[str, str], list[str]]
"""Makes a command line of an input and an output."""

WRITERS: dict[str, Arguments] = {
    "convert": lambda scan, output: ["convert", scan, output],
    "preprocess": lambda scan, output: ["preprocess", scan, "-o", output, "--bin", "2"],
    "group": lambda scan, output: ["group", scan, "-o", output],
    "reconstruct": lambda scan, output: ["reconstruct", scan, "-o", output, "-e", "1"],
    "reconstruct from a start": lambda scan, output: ["reconstruct", "other.npz", "-o", output, "--start", scan],
    "reconstruct by an array": lambda scan, output: [
        *("reconstruct", "other.npz", "-o", output, "--probe-from", f"{scan}:probeGuess")
    ],
    "reconstruct other patterns": lambda scan, output: ["reconstruct", "other.npz", "-o", output, "--patterns", scan],
    "evaluate": lambda scan, output: ["evaluate", "other.npz", scan, "--plot", output],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    good_scan(tmp_path / "scan.npz")
    good_scan(tmp_path / "other.npz", seed=1)
    os.link("scan.npz", "linked.npz")
    Path("pointing.npz").symlink_to("scan.npz")
    return tmp_path


@pytest.mark.parametrize("output", ["scan.npz", "linked.npz", "pointing.npz"])
@pytest.mark.parametrize("arguments", WRITERS.values(), ids=WRITERS)
def test_a_command_never_writes_over_what_it_reads(folder: Path, arguments: Arguments, output: str) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    result = CliRunner().invoke(app, arguments("scan.npz", output))
    assert result.exit_code == 2, result.output
    assert f"expected an output other than what is read; found {output} for both" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    "arguments",
    [["report", "page.html", "-o", "page.html"], ["plot", "store", "-o", "store"], ["train", "store", "-o", "store"]],
    ids=lambda arguments: arguments[0],
)
def test_pages_pictures_and_models_do_not_go_where_the_scan_is(folder: Path, arguments: list[str]) -> None:
    PatternStore.create(RawData.from_file("scan.npz"), "store")
    (folder / "scan.npz").rename("page.html")
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2, result.output
    assert "expected an output other than what is read" in result.stderr
    PatternStore.open("store").verify()


def test_a_store_does_not_go_where_its_scan_file_is(folder: Path) -> None:
    (folder / "scan.npz").rename("scan")
    before = Path("scan").read_bytes()
    assert CliRunner().invoke(app, ["ingest", "scan", "-o", "."]).exit_code == 3
    assert Path("scan").read_bytes() == before


def test_a_store_is_taken_where_a_scan_is(folder: Path) -> None:
    scan = RawData.from_file("scan.npz")
    PatternStore.create(scan, "store")
    for arguments in (
        ["convert", "store", "converted.npz"],
        ["preprocess", "store", "-o", "binned.npz", "--bin", "2"],
        ["reconstruct", "store", "-o", "result.npz", "-e", "1", "--start", "store", "--probe-from", "store"],
        ["evaluate", "store", "scan.npz"],
        ["evaluate", "scan.npz", "store"],
    ):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
    kept, converted = (found.patterns.read(slice(None)) for found in (scan, RawData.from_file("converted.npz")))
    assert (kept == converted).all()
    assert RawData.from_file("binned.npz").N == scan.N // 2
    assert len(Reconstruction.from_file("result.npz").losses) == 1
    told = CliRunner().invoke(app, ["doctor", "store", "--quick"])
    assert told.exit_code == CliRunner().invoke(app, ["doctor", "scan.npz", "--quick"]).exit_code
    assert "untried" in told.output or "fix" in told.output
