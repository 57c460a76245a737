"""The reference's own answers on configurations: every case of ``config_bridge.json``."""

import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.golden_files import golden_json

from ptychofold.compat import config, params
from ptychofold.compat import config_tf as tf
from ptychofold.compat import config_torch as pt
from ptychofold.errors import PtychoError

BRIDGE = golden_json("config_bridge.json")
ERRORS = {"ValueError": ValueError, "TypeError": TypeError}
WORDS = {"DeprecationWarning": "'n_images' is deprecated", "UserWarning": "test_data_file"}


def decode(value: Any) -> Any:  # noqa: ANN401 (JSON)
    if isinstance(value, str) and value.startswith("path:"):
        return Path(value.removeprefix("path:"))
    if isinstance(value, dict):
        return Path(value["__path__"]) if "__path__" in value else {key: decode(item) for key, item in value.items()}
    return tuple(value) if isinstance(value, list) else value


def assert_warned(caught: list[warnings.WarningMessage], expected: list[dict[str, str]]) -> None:
    assert [w.category.__name__ for w in caught] == [w["category"] for w in expected]
    for found, want in zip(caught, expected, strict=True):
        assert WORDS[want["category"]] in str(found.message)
        assert WORDS[want["category"]].split()[0] in want["message"]


@pytest.mark.parametrize(
    "case", BRIDGE["legacy_cases"], ids=lambda case: f"{case['cls']}-{case['top']}-{case['model']}"
)
def test_a_configuration_fills_the_legacy_dictionary_as_the_reference_does(case: dict[str, Any]) -> None:
    cfg: dict[str, object] = {**(BRIDGE["default_cfg"] if case["base"] == "default" else {}), **case["base_extra"]}
    kind = {"TrainingConfig": tf.TrainingConfig, "InferenceConfig": tf.InferenceConfig}[case["cls"]]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        built = kind(model=tf.ModelConfig(**decode(case["model"])), **decode(case["top"]))
        tf.update_legacy_dict(cfg, built)
    assert cfg == case["legacy"]
    assert_warned(caught, case["warnings"])
    flat = {name: value for name, value in case["dataclass_to_legacy_dict"].items() if value is not None}
    assert {name: cfg[name] for name in flat} == {
        name: value["__path__"] if isinstance(value, dict) else value for name, value in flat.items()
    }
    if case.get("validate") == "ok":
        tf.validate_training_config(built)
    elif "validate" in case:
        with pytest.raises(ERRORS[case["validate"]["error"]], match=case["validate"]["message"].split()[-1]) as raised:
            tf.validate_training_config(built)
        assert isinstance(raised.value, PtychoError)


@pytest.mark.parametrize("number", range(len(BRIDGE["torch_cases"])))
def test_pytorch_configurations_become_tensorflow_ones_as_in_the_reference(number: int) -> None:
    case = BRIDGE["torch_cases"][number]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if "error" in case:
            with pytest.raises(ERRORS[case["error"]["type"]]) as raised:
                bridge(case)
            assert isinstance(raised.value, PtychoError)
        else:
            built = bridge(case)
            assert type(built).__name__ == case["result_class"]
            assert asdict(built) == decode(case["result"])
    assert_warned(caught, case["warnings"])


def bridge(case: dict[str, Any]) -> tf.ModelConfig | tf.TrainingConfig | tf.InferenceConfig:
    data, overrides = pt.DataConfig(**decode(case["data"])), decode(case["overrides"])
    model = pt.ModelConfig(**case["model"])
    if case["probe_mask_tensor"]:
        model.probe_mask = torch.ones(4, 4)
    translated = config.to_model_config(data, model, case["model_overrides"])
    match case["stage"]:
        case "model":
            return translated
        case "training":
            return config.to_training_config(translated, data, model, pt.TrainingConfig(**case["train"]), overrides)
        case _:
            return config.to_inference_config(translated, data, pt.InferenceConfig(**case["infer"]), overrides)


def test_the_legacy_dictionary_starts_as_the_reference_s() -> None:
    assert dict(params.LEGACY_DEFAULTS) == BRIDGE["default_cfg"]
