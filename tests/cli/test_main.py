import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.files import good_scan
from typer.testing import CliRunner

import ptychofold
from ptychofold.cli import inspect_
from ptychofold.cli.main import app, exit_code
from ptychofold.errors import (
    CheckpointError,
    ConfigError,
    ContractError,
    DependencyError,
    DivergenceError,
    DomainError,
    GroupingError,
    StoreError,
    UnsupportedFormatError,
)


def test_the_version_is_shown() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"ptychofold {ptychofold.__version__}\n")


def test_the_command_line_is_there_by_the_name_of_the_package_too() -> None:
    call = [sys.executable, "-m", "ptychofold", "--version"]
    assert subprocess.check_output(call, text=True) == f"ptychofold {ptychofold.__version__}\n"
    refused = subprocess.run([*call[:-1], "inspect", "absent.npz"], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "absent.npz" in refused.stderr


def test_the_help_does_not_load_torch_or_matplotlib_or_numpy() -> None:
    code = (
        "import sys; from ptychofold.cli.main import app; "
        "sys.argv = ['ptychofold', '--help']\n"
        "try: app()\n"
        "except SystemExit as end: print(end.code, *({'torch', 'matplotlib', 'numpy'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "0"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 2),
        (UnsupportedFormatError("x"), 3),
        (DomainError("x"), 3),
        (GroupingError("x"), 3),
        (ContractError("x"), 3),
        (StoreError("x"), 3),
        (CheckpointError("x"), 3),
        (DivergenceError("x"), 4),
        (DependencyError("x"), 4),
        (OSError("x"), 4),
        (MemoryError(), 4),
    ],
)
def test_every_error_has_its_exit_code(error: Exception, code: int) -> None:
    assert exit_code(error) == code


def test_an_unknown_command_is_wrong_usage() -> None:
    result = CliRunner().invoke(app, ["bogus"])
    assert result.exit_code == 2
    assert "No such command" in result.stderr


def test_an_interrupt_ends_with_one_line_and_130(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(inspect_, "is_store", interrupt)
    result = CliRunner().invoke(app, ["inspect", str(tmp_path / "a.npz")])
    assert (result.exit_code, result.stderr) == (130, "ptychofold: interrupted.\n")


def test_an_error_without_a_message_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhaust(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(inspect_, "is_store", exhaust)
    result = CliRunner().invoke(app, ["inspect", str(tmp_path / "a.npz")])
    assert (result.exit_code, result.stderr) == (4, "ptychofold: error: MemoryError\n")


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    file = good_scan(tmp_path / "a.npz")
    command = [sys.executable, "-c", "from ptychofold.cli.main import run; run()", "inspect", str(file), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
