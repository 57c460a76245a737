"""Old configurations as native settings, and the behaviour of the dialects' classes."""

import copy
import pickle
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptychofold.compat import config_tf as tf
from ptychofold.compat import config_torch as pt
from ptychofold.compat.config import from_legacy, from_torch, to_inference_config, to_model_config, to_training_config
from ptychofold.compat.names import NAMES
from ptychofold.compat.params import LEGACY_DEFAULTS
from ptychofold.config import GroupingConfig
from ptychofold.config.dialects import UnknownSettingError
from ptychofold.errors import ConfigError, ContractError
from ptychofold.physics import AmplitudeScaling, CountIntensityScaling

MODELS = {
    "N": st.sampled_from([32, 64, 128]),
    "gridsize": st.integers(1, 3),
    "model_type": st.sampled_from(["pinn", "supervised"]),
    "amp_activation": st.sampled_from(["sigmoid", "swish", "softplus", "relu"]),
}
TRAININGS = {
    "train_data_file": st.none() | st.just(Path("data/train.npz")),
    "neighbor_count": st.integers(9, 20),
    "n_groups": st.integers(1, 2000),
    "n_subsample": st.none() | st.integers(1, 500),
    "subsample_seed": st.none() | st.integers(0, 2**31),
    "sequential_sampling": st.booleans(),
    "enable_oversampling": st.booleans(),
    "nphotons": st.floats(1.0, 1e12),
    "nll_weight": st.sampled_from([0.0, 1.0]),
}


@given(model=st.fixed_dictionaries(MODELS), training=st.fixed_dictionaries(TRAININGS))
def test_a_configuration_and_its_legacy_dictionary_mean_the_same(
    model: dict[str, Any], training: dict[str, Any]
) -> None:
    config = tf.TrainingConfig(model=tf.ModelConfig(**model), **training)
    cfg: dict[str, object] = {}
    tf.update_legacy_dict(cfg, config)
    assert from_legacy(cfg) == from_legacy(config)


@given(model=st.fixed_dictionaries(MODELS), training=st.fixed_dictionaries(TRAININGS))
def test_native_settings_say_the_configuration_again(model: dict[str, Any], training: dict[str, Any]) -> None:
    config = tf.TrainingConfig(model=tf.ModelConfig(**model), **training)
    native = from_legacy(config)
    dotted = {f"grouping.{name}": value for name, value in native.grouping} | dict(native)
    again = NAMES.translate(dotted, source="native", target="tensorflow")
    assert {name: config.flat()[name] for name in again} == again
    assert again.keys() >= {name for name, value in (model | training).items() if value is not None}


def test_an_old_params_cfg_runs_here() -> None:
    cfg = {**LEGACY_DEFAULTS, "bigN": 132, "intensity_scale": 3.5, "gridsize": np.int64(2), "nphotons": np.float64(1e6)}
    settings = from_legacy(cfg)
    assert settings.grouping == GroupingConfig(grid=(2, 2))
    assert (settings.size, settings.n_photons, settings.mode, settings.loss) == (128, 1e6, "unsupervised", "poisson")
    assert (settings.epochs, settings.batch_size, settings.output_dir) == (60, 16, Path("outputs"))
    assert (settings.probe_mask, settings.object_big, settings.train_file) == (True, True, None)


def test_a_parsed_yaml_file_with_a_nested_model_runs_here() -> None:
    settings = from_legacy(
        {
            "model": {"N": 64, "gridsize": 2, "object_big": False, "model_type": "supervised"},
            "train_data_file": "train.npz",
            "n_groups": 300,
            "neighbor_count": 7,
            "enable_oversampling": True,
            "neighbor_pool_size": 9,
            "subsample_seed": 3,
            "sequential_sampling": True,
        }
    )
    assert settings.grouping == GroupingConfig(
        grid=(2, 2), n_neighbors=7, n_groups=300, oversample=True, pool_size=9, seed=3, sampling="sequential"
    )
    assert (settings.size, settings.object_big, settings.mode) == (64, False, "supervised")
    assert settings.train_file == Path("train.npz")


def test_an_empty_dictionary_says_nothing() -> None:
    settings = from_legacy({})
    assert settings.grouping == GroupingConfig()
    assert {value for name, value in settings if name != "grouping"} == {None}


def test_the_deprecated_count_in_a_dictionary_warns_and_counts() -> None:
    with pytest.warns(DeprecationWarning, match="'n_images' is deprecated; use 'n_groups'"):
        assert from_legacy({"n_images": 40}).grouping.n_groups == 40


def test_settings_without_a_native_counterpart_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="ptychofold.compat.config"):
        from_legacy({"N": 64, "tv_weight": 0.1, "probe": None})
    assert "without effect here: probe, tv_weight" in caplog.text


def test_a_misspelt_legacy_name_is_refused() -> None:
    with pytest.raises(
        UnknownSettingError, match=r"unknown setting 'neighbour_count' \(did you mean 'neighbor_count'\?"
    ):
        from_legacy({"neighbour_count": 7})


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ({"gridsize": 3, "neighbor_count": 4}, r"needs n_neighbors \(your neighbor_count\) of at least"),
        ({"gridsize": 0}, r"grid \(your gridsize\).0: Input should be greater than 0"),
        ({"nphotons": -1.0}, r"n_photons \(your nphotons\): Input should be greater than 0"),
        ({"n_groups": "many"}, "n_groups: expected an integer; found 'many'"),
    ],
)
def test_impossible_legacy_values_are_refused(cfg: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_legacy(cfg)


def test_a_pytorch_configuration_is_read_with_its_own_meaning_of_n_subsample() -> None:
    settings = from_torch(
        pt.DataConfig(N=128, K=6, n_subsample=3, subsample_seed=8, nphotons=1e6),
        pt.ModelConfig(mode="Supervised"),
        pt.TrainingConfig(epochs=4, nll=False, n_groups=20),
    )
    assert settings.grouping == GroupingConfig(
        grid=(2, 2), n_neighbors=6, groups_per_seed=3, seed=8, seed_role="candidate", n_groups=20
    )
    assert (settings.size, settings.mode, settings.epochs, settings.loss) == (128, "supervised", 4, "mae")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"C": 1}, {"grid": (1, 1), "n_neighbors": 6, "seed_role": "candidate"}),
        ({"C": 6, "K": 7}, {"grid": (1, 6), "n_neighbors": 7, "seed_role": "candidate"}),
        ({"neighbor_function": "Min_dist"}, {"grid": (2, 2), "n_neighbors": 6, "max_distance": 3.0}),
        (
            {"neighbor_function": "4_quadrant", "min_neighbor_distance": 1.0},
            {"grid": (2, 2), "n_neighbors": 30, "candidates": "quadrants", "min_distance": 1.0, "max_distance": 3.0},
        ),
    ],
)
def test_pytorch_ways_of_grouping_become_native_ones(settings: dict[str, Any], expected: dict[str, Any]) -> None:
    found = from_torch(pt.DataConfig(n_subsample=1, **settings))
    assert found.grouping == GroupingConfig(**expected)
    assert found.mode is None


def test_a_wrong_value_is_named_as_the_caller_names_it() -> None:
    with pytest.raises(ConfigError, match=r"n_neighbors \(your neighbor_count\): .* found 'seven'"):
        from_legacy({"neighbor_count": "seven"})
    with pytest.raises(ConfigError, match=r"epochs \(your nepochs\): .* found 0"):
        from_legacy({"nepochs": 0})
    with pytest.raises(ConfigError, match=r"n_neighbors \(your K\) of at least 3; found 2"):
        from_torch(pt.DataConfig(K=2))


def test_an_unknown_neighbor_function_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"neighbor_function='nearest': expected one of \['Nearest', 'Min_dist'"):
        from_torch(pt.DataConfig(neighbor_function="nearest"))


@pytest.mark.parametrize(
    "pair", [("legacy_v1", "count_intensity"), ("ci_intensity_v2", "normalized_amplitude"), ("v3", "counts")]
)
def test_half_or_contradictory_scaling_profiles_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match=rf"found '{pair[0]}' with '{pair[1]}'"):
        pt.DataConfig(scale_contract_version=pair[0], measurement_domain=pair[1])


def test_both_scaling_profiles_are_known() -> None:
    legacy = pt.DataConfig(scale_contract_version="legacy_v1", measurement_domain="normalized_amplitude")
    assert pt.scaling_profile(legacy) is AmplitudeScaling
    assert pt.scaling_profile(pt.DataConfig()) is CountIntensityScaling
    legacy.measurement_domain = "count_intensity"
    with pytest.raises(ConfigError, match="Give both names of one profile"):
        pt.scaling_profile(legacy)


def test_the_bridge_says_what_is_wrong_and_what_to_do() -> None:
    data, model, training = pt.DataConfig(nphotons=1e6), pt.ModelConfig(), pt.TrainingConfig()
    translated = to_model_config(data, model)
    with pytest.raises(ContractError, match=r"grid_size=\(2, 3\).*Use a square one"):
        to_model_config(pt.DataConfig(grid_size=(2, 3)), model)
    with pytest.raises(ConfigError, match=r"mode='Other': expected one of \['Unsupervised', 'Supervised'\]"):
        to_model_config(data, pt.ModelConfig(mode="Other"))
    with pytest.raises(ConfigError, match=r"amp_activation='gelu': expected one of"):
        to_model_config(data, pt.ModelConfig(amp_activation="gelu"))
    with pytest.raises(ConfigError, match=r"nphotons: the dialects' defaults differ .* must be explicit"):
        to_training_config(translated, pt.DataConfig(), model, training)
    with pytest.raises(ConfigError, match=r"n_groups is required; pass overrides=\{'n_groups': 512\}"):
        to_training_config(translated, data, model, training)
    with (
        pytest.warns(UserWarning, match="test_data_file is not given"),
        pytest.raises(ConfigError, match="train_data_file is required"),
    ):
        to_training_config(translated, data, model, training, {"n_groups": 5})
    with pytest.raises(ConfigError, match="model_path is required"):
        to_inference_config(translated, data, pt.InferenceConfig())
    with pytest.raises(ConfigError, match="test_data_file is required"):
        to_inference_config(translated, data, pt.InferenceConfig(), {"model_path": "m"})


def test_settings_spelt_alike_in_both_dialects_go_over_unchanged() -> None:
    model = to_model_config(pt.DataConfig(probe_scale=2.0), pt.ModelConfig(architecture="fno", pad_object=False))
    assert (model.architecture, model.pad_object, model.probe_scale) == ("fno", False, 2.0)
    theirs = pt.TrainingConfig(output_dir="runs", n_groups=3, train_data_file="a.npz", test_data_file="b.npz")
    theirs.optimizer = "sgd"
    training = to_training_config(model, pt.DataConfig(nphotons=1e6), pt.ModelConfig(), theirs)
    assert (training.optimizer, training.output_dir, training.n_subsample) == ("sgd", Path("runs"), None)


def test_configurations_can_be_changed_copied_replaced_and_pickled() -> None:
    config = tf.TrainingConfig(model=tf.ModelConfig(gridsize=2), train_data_file="train.npz")
    config.model.N = 256
    assert copy.deepcopy(config) == config
    assert pickle.loads(pickle.dumps(config)) == config
    assert replace(config, nepochs=1).nepochs == 1
    assert asdict(config)["model"]["N"] == 256


def test_a_configuration_of_the_torch_side_pickles() -> None:
    config = pt.TrainingConfig(epochs=2)
    config.n_devices = 4
    assert pickle.loads(pickle.dumps(config)) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_filters_scale": 0}, "n_filters_scale: expected a positive number; found 0"),
        ({"probe_scale": 0.0}, "probe_scale: expected a positive number; found 0.0"),
        ({"gaussian_smoothing_sigma": -1.0}, "gaussian_smoothing_sigma: expected a number that is not negative"),
    ],
)
def test_model_settings_out_of_range_fail_validation(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tf.validate_model_config(tf.ModelConfig(**settings))


@pytest.mark.parametrize(("name", "value"), [("nepochs", 0), ("mae_weight", 2.0)])
def test_training_settings_out_of_range_fail_validation(name: str, value: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match=f"{name}: expected .*; found {value}"):
        tf.validate_training_config(tf.TrainingConfig(model=tf.ModelConfig(), **{name: value}))


def test_inference_needs_a_model_that_exists(tmp_path: Path) -> None:
    config = tf.InferenceConfig(model=tf.ModelConfig(), model_path=tmp_path, test_data_file="t.npz")
    tf.validate_inference_config(config)
    config.model_path = tmp_path / "absent"
    with pytest.raises(ConfigError, match=r"model_path: expected an existing model; found .*absent"):
        tf.validate_inference_config(config)
