"""The README's session runs and prints what it says."""

import doctest
from pathlib import Path


def test_the_session_in_the_readme_runs_as_printed() -> None:
    readme = Path(__file__).parents[1] / "README.md"
    outcome = doctest.testfile(str(readme), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert outcome.attempted >= 10
    assert outcome.failed == 0
