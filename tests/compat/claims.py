"""Which test exercises which golden through the compat names; `test_claims` fails where a case is left out.

A test claims cases with `exercises`, reads them with `golden`, and ends with `Outputs.assert_all_compared`: then every
output of the reference was compared, or stands in a named deviation.
"""

from collections.abc import Callable, ItemsView, Iterable
from typing import Any

import pytest
from tests import golden_files
from tests.golden_files import golden_names

CLAIMS: dict[str, set[str]] = {}
"""Case, and the tests that exercise it; filled when the test modules are imported."""

MODULES = ("test_data_goldens", "test_patch_goldens", "test_torch_goldens", "test_config_goldens")

JSON_FILES = {
    "config_bridge.json": "test_config_goldens",
    "diffraction_layout.json": "test_data_goldens",
    "metadata_upstream_written.json": "test_data_goldens",
}

Test = Callable[..., None]


class Outputs(dict[str, Any]):
    """What the reference put out, and which of it a test has looked at."""

    def __init__(self, outputs: golden_files.Expected) -> None:
        super().__init__(outputs)
        self.looked_at: set[str] = set()

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 (an output)
        self.looked_at.add(key)
        return super().__getitem__(key)

    def each(self) -> ItemsView[str, Any]:
        """Return all outputs, which then count as looked at."""
        self.looked_at.update(self)
        return self.items()

    def assert_all_compared(self, *, deviating: Iterable[str] = (), within: str = "") -> None:
        """Fail unless every output whose name begins with ``within`` was looked at, or deviates on purpose."""
        wanted = {key for key in self if key.startswith(within)}
        assert wanted - self.looked_at <= set(deviating)
        assert set(deviating) <= wanted


def golden(name: str) -> tuple[dict[str, Any], dict[str, Any], Outputs]:
    """Return (inputs, params, outputs) of a case; the outputs know which of them were looked at."""
    inputs, params, outputs = golden_files.golden(name)
    return inputs, params, Outputs(outputs)


def exercises(kind: str, *, prefix: str = "", only: Callable[[str], bool] = lambda _: True) -> Callable[[Test], Test]:
    """Run a test on the cases of a kind, whose names it then claims."""
    names = [name for name in golden_names(kind, prefix=prefix) if only(name)]
    assert names

    def claim(test: Test) -> Test:
        for name in names:
            CLAIMS.setdefault(name, set()).add(test.__name__)
        return pytest.mark.parametrize("name", names)(test)

    return claim


def claims(name: str) -> Callable[[Test], Test]:
    """Claim one case for a test that is about nothing else."""
    assert name in golden_names()

    def claim(test: Test) -> Test:
        CLAIMS.setdefault(name, set()).add(test.__name__)
        return test

    return claim
