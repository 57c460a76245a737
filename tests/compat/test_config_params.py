"""The legacy dictionary for scripts that insist on one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ptychofold
from ptychofold.compat import params, update_legacy_dict
from ptychofold.compat.config_tf import ModelConfig
from ptychofold.errors import ConfigError


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    yield
    params.cfg.clear()
    params.cfg.update(params.LEGACY_DEFAULTS)


def test_entries_are_read_and_written() -> None:
    params.set("N", 64)
    assert params.get("N") == params.cfg["N"] == 64
    assert params.get("absent", 3) == 3
    assert params.get("absent", default=None) is None


def test_an_absent_entry_is_a_key_error_that_names_the_nearest() -> None:
    with pytest.raises(KeyError, match=r"params\.cfg: unknown setting 'gridsiz' \(did you mean 'gridsize'\?\)"):
        params.get("gridsiz")


def test_a_configuration_can_be_written_into_it() -> None:
    update_legacy_dict(params.cfg, ModelConfig(N=64, gridsize=3, object_big=False))
    assert (params.get("N"), params.get("gridsize"), params.get("object.big")) == (64, 3, False)


def test_derived_sizes_follow_the_entries() -> None:
    params.set("gridsize", 3)
    assert params.get_bigN() == params.get("bigN") == params.params()["bigN"] == 128 + 2 * 4


def test_a_derived_size_needs_integers() -> None:
    params.set("offset", "wide")
    with pytest.raises(ConfigError, match=r"expected integers N, gridsize and offset .*; found \(128, 2, 'wide'\)"):
        params.get_bigN()


def test_a_cleared_dictionary_gets_its_defaults_back() -> None:
    params.cfg.clear()
    assert params.params() == {**params.LEGACY_DEFAULTS, "bigN": 132}


def test_nothing_of_ours_reads_it() -> None:
    package = Path(ptychofold.__file__).parent
    readers = []
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            home = node.module if isinstance(node, ast.ImportFrom) else None
            if home == "ptychofold.compat.params" and set(names) - {"LEGACY_DEFAULTS"}:
                readers.append(path.name)
            if home == "ptychofold.compat" and "params" in names:
                readers.append(path.name)
    assert readers == []
