"""Files appear whole or not at all, and errors name them as the user did."""

import errno
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ptychofold.atomic import replacing
from ptychofold.cli.main import app
from ptychofold.errors import FormatError
from ptychofold.testing import make_scan
from tests.cli.files import good_scan


def _write_text(path: Path) -> None:
    with replacing(path) as partial:
        partial.write_text("whole")


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.txt", _write_text), ("a.npz", make_scan(n_scan=4, N=16).to_file), ("a.h5", make_scan(n_scan=4, N=16).to_file)],
)
def test_a_directory_under_the_name_of_a_file_is_refused_and_nothing_is_left(
    name: str, write: Callable[[Path], object], tmp_path: Path
) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(FormatError, match=rf"{name}: expected the name of a file to write; found a directory"):
        write(tmp_path / name)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("write", [_write_text, make_scan(n_scan=4, N=16).to_file])
def test_a_file_under_the_name_of_the_directory_is_refused(write: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "a").write_text("kept")
    with pytest.raises(FormatError, match=rf"a\.npz: expected a directory to write in; {tmp_path / 'a'} is a file"):
        write(tmp_path / "a" / "b" / "a.npz")
    assert (tmp_path / "a").read_text() == "kept"


def test_a_directory_that_may_not_be_written_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(FormatError, match=r"a\.txt: expected a directory that may be written to; .* may not"):
        _write_text(tmp_path / "new" / "a.txt")
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_system_names_the_file_and_not_the_partial_one(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No space left.*a\.txt'$") as full, replacing(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert full.value.errno == errno.ENOSPC
    with pytest.raises(FileNotFoundError, match=r"a\.txt'$"), replacing(tmp_path / "a.txt"):
        pass
    with pytest.raises(OSError, match=r"^cannot write a\.txt$"), replacing(tmp_path / "a.txt") as partial:
        raise OSError(f"cannot write {partial.name}")
    with pytest.raises(FileNotFoundError, match=r"other"), replacing(tmp_path / "a.txt"):
        (tmp_path / "other").read_text()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_ends_the_group_command_in_one_line_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, output = good_scan(tmp_path / "a.npz"), tmp_path / "out.npz"

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "open", full)
    result = CliRunner().invoke(app, ["group", str(file), "-o", str(output)])
    assert result.exit_code == 4
    assert result.stderr.splitlines() == [f"ptychofold: error: [Errno 28] No space left on device: '{output}'"]
    with pytest.raises(FormatError, match=rf"{tmp_path / 'b.npz'}: writing the NPZ failed: .*No space left"):
        make_scan(n_scan=4, N=16).to_file(tmp_path / "b.npz")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npz"]


def test_the_group_command_refuses_a_directory(tmp_path: Path) -> None:
    file, output = good_scan(tmp_path / "a.npz"), tmp_path / "out.npz"
    output.mkdir()
    result = CliRunner().invoke(app, ["group", str(file), "-o", str(output)])
    assert result.exit_code == 2
    assert "is a directory. Name a file in it." in result.stderr
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.npz", "out.npz"]
    assert not list(output.iterdir())
