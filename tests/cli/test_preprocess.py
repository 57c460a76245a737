import json
from pathlib import Path

import numpy as np
import pytest
from tests.cli.files import good_scan
from typer.testing import CliRunner

from ptychofold.cli.main import app
from ptychofold.data.store import PatternStore
from ptychofold.preprocess import replay
from ptychofold.raw_data import RawData

RECIPE = """
[[steps]]
step = "frames"
drop = [3]

[[steps]]
step = "crop"
size = 12
center = [8, 8]
"""


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["preprocess", *arguments])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_recipe_and_options_make_a_file_that_tells_its_history(tmp_path: Path) -> None:
    file, output = good_scan(tmp_path / "a.npz"), tmp_path / "b.npz"
    (tmp_path / "recipe.toml").write_text(RECIPE)
    shown = _run(str(file), "-o", str(output), "--steps", str(tmp_path / "recipe.toml"), "--bin", "2", "--pad", "8")
    scan = RawData.from_file(output)
    assert scan.patterns.shape == (24, 8, 8)
    names = ["frames", "crop", "bin", "pad"]
    assert [step["step"] for step in scan.metadata.history] == names
    assert all(name in shown for name in names)
    assert "24 × 8 × 8" in shown
    again = RawData.from_file(file, steps=replay(scan.metadata.history))
    np.testing.assert_array_equal(again.patterns.read(slice(None)), scan.patterns.read(slice(None)))


def test_a_directory_becomes_a_store(tmp_path: Path) -> None:
    file = good_scan(tmp_path / "a.npz")
    options = ["--clean-positions", "--find-bad-pixels", "--crop", "8", "--center", "8", "8", "--turn", "flip_rows"]
    _run(str(file), "-o", str(tmp_path / "store"), *options)
    store = PatternStore.open(tmp_path / "store")
    assert store.scan.patterns.shape == (25, 8, 8)
    assert len(store.scan.metadata.history) == 4
    inspected = CliRunner().invoke(app, ["inspect", str(file), "--json"])
    assert json.loads(inspected.stdout)["history"] == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "at least one step"),
        (["--center", "3", "4"], "--crop with --center"),
        (["--crop", "99"], "at most 16 pixels"),
        (["--turn", "upside_down"], "upside_down"),
    ],
)
def test_usage_mistakes_are_named(tmp_path: Path, options: list[str], says: str) -> None:
    file = good_scan(tmp_path / "a.npz")
    result = CliRunner().invoke(app, ["preprocess", str(file), "-o", str(tmp_path / "b.npz"), *options])
    assert result.exit_code == 2
    assert says in result.stderr
    assert not (tmp_path / "b.npz").exists()
