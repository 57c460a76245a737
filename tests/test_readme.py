"""The sessions in the README and in the pages beside it run and print what they say."""

import doctest
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("page", "least"),
    [
        ("README.md", 10),
        ("docs/quickstart.md", 14),
        ("docs/notation.md", 7),
        ("docs/preprocessing.md", 6),
        ("docs/results.md", 12),
        ("docs/doctor.md", 4),
        ("docs/extending.md", 8),
    ],
)
def test_the_session_of_a_page_runs_as_printed(page: str, least: int) -> None:
    outcome = doctest.testfile(str(ROOT / page), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert outcome.attempted >= least
    assert outcome.failed == 0


def test_the_reference_has_a_page_of_every_package_that_users_import() -> None:
    modules = runpy.run_path(str(ROOT / "scripts" / "write_docs.py"))["MODULES"]
    source = ROOT / "src"
    packages = {".".join(path.parent.relative_to(source).parts) for path in source.rglob("__init__.py")}
    assert packages - {"ptychofold.cli", "ptychofold.samples"} <= set(modules)
