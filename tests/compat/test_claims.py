"""Every golden of the reference is exercised through the compat names, case by case."""

from importlib import import_module
from types import ModuleType

import numpy as np
import pytest
from tests.compat.claims import CLAIMS, JSON_FILES, MODULES, Outputs
from tests.golden_files import golden_json, golden_names


def modules() -> dict[str, ModuleType]:
    return {name: import_module(f"tests.compat.{name}") for name in MODULES}


def test_every_case_is_claimed_by_a_test_that_runs() -> None:
    tests = {name: test for module in modules().values() for name, test in vars(module).items()}
    assert set(CLAIMS) == set(golden_names())
    for case, claimed_by in CLAIMS.items():
        marks = {mark.name for name in claimed_by for mark in getattr(tests[name], "pytestmark", [])}
        assert marks <= {"parametrize"}, case  # nothing skips it, or expects it to fail


def test_every_table_is_claimed_and_its_cases_are_all_parameters() -> None:
    assert set(golden_json("index.json")["json_files"]) == set(JSON_FILES)
    found = modules()
    for table, keys in {
        "config_bridge.json": ("legacy_cases", "torch_cases"),
        "diffraction_layout.json": ("cases",),
    }.items():
        sizes = {
            len(mark.args[1])
            for test in vars(found[JSON_FILES[table]]).values()
            for mark in getattr(test, "pytestmark", [])
        }
        assert {len(golden_json(table)[key]) for key in keys} <= sizes


def test_an_output_that_nothing_compares_is_noticed() -> None:
    outputs = Outputs({"a": np.zeros(1), "b": None, "c_d": None})
    assert outputs["a"] is not None
    with pytest.raises(AssertionError):
        outputs.assert_all_compared(deviating=["b"])
    outputs.assert_all_compared(deviating=["b", "c_d"])
    outputs.assert_all_compared(within="a")
    with pytest.raises(AssertionError):
        outputs.assert_all_compared(deviating=["a", "b", "c_d", "gone"])
