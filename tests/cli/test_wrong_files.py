import re
from pathlib import Path

import pytest
from tests.cli.files import WRONG_FILES
from typer.testing import CliRunner

from ptychofold.cli.main import app


@pytest.mark.parametrize("kind", WRONG_FILES)
@pytest.mark.parametrize("command", ["inspect", "group", "plot"])
def test_a_wrong_file_gives_one_clear_line_and_exit_code_3_and_leaves_nothing(
    command: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, says = WRONG_FILES[kind]
    file = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    output = {"inspect": [], "group": ["-o", "out.npz"], "plot": ["-o", "out"]}[command]
    result = CliRunner().invoke(app, [command, str(file), *output])
    assert result.exit_code == 3
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"ptychofold: error: {file}: ")
    assert re.search(says, lines[0])
    assert sorted(tmp_path.iterdir()) == before


def test_debug_shows_the_traceback_before_the_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--debug", "inspect", str(tmp_path / "none.npz")])
    assert result.exit_code == 3
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("ptychofold: error: ")
