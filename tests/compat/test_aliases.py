"""The reference's module names, in processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

from ptychofold.compat.aliases import ALIASES

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "compat"


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, check=False)


def test_every_alias_imports_and_holds_our_names() -> None:
    code = f"""
import importlib, sys
from ptychofold.compat import install
install(); install()
for name in {sorted(ALIASES)!r}:
    importlib.import_module(name)
import ptycho.raw_data, ptycho.params, ptycho.loader
from ptycho_torch.config_params import DataConfig
from ptychofold import compat
assert ptycho.raw_data.RawData is compat.RawData
assert ptycho.loader.load is compat.load
ptycho.params.set("N", 64)
from ptychofold.compat import params
assert params.cfg["N"] == 64 and ptycho.params.cfg is params.cfg
assert "tensorflow" not in sys.modules
try:
    import ptycho.model
except ModuleNotFoundError as error:
    print(error)
import ptychofold.compat.aliases as aliases
aliases.uninstall()
assert importlib.util.find_spec("ptycho") is None
"""
    done = run("-c", code)
    assert done.returncode == 0, done.stderr
    assert "has no 'ptycho.model'. Known: ptycho.raw_data" in done.stdout


def test_the_real_package_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "ptycho_torch").mkdir()
    (tmp_path / "ptycho_torch" / "__init__.py").write_text("")
    done = run("-c", "from ptychofold.compat import install; install()", cwd=tmp_path)
    assert done.returncode == 1
    assert "ptycho_torch is installed here, and ptychofold does not take its place" in done.stderr


def test_a_script_gets_its_arguments_its_directory_and_its_name(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("WORD = 'helped'")
    script = tmp_path / "script.py"
    script.write_text("import sys, helper, ptycho.raw_data; print(__name__, helper.WORD, sys.argv[1:])")
    done = run("-m", "ptychofold.compat", str(script), "a", "-b")
    assert done.stdout.strip() == "__main__ helped ['a', '-b']", done.stderr
    assert "usage: python -m ptychofold.compat SCRIPT" in run("-m", "ptychofold.compat").stderr


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_a_script_written_for_the_reference_runs_unchanged(script: str, tmp_path: Path) -> None:
    done = run("-W", "error", "-m", "ptychofold.compat", str(EXAMPLES / script), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1].startswith("done")


def test_a_folder_without_code_does_not_count_as_the_project(tmp_path: Path) -> None:
    (tmp_path / "ptycho" / "data").mkdir(parents=True)
    done = run(
        "-c", "import ptychofold.compat as c; c.install(); import ptycho.raw_data; print(c.RawData)", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


def test_a_script_that_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    done = run("-m", "ptychofold.compat", "nope.py", cwd=tmp_path)
    assert done.returncode == 1
    assert "SCRIPT a file that exists" in done.stderr
    assert "Traceback" not in done.stderr
