"""The one table of names, and translation by it."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptychofold.compat import config_tf as tf
from ptychofold.compat import config_torch as pt
from ptychofold.compat.config import NativeSettings
from ptychofold.compat.names import NAMES
from ptychofold.config import GroupingConfig
from ptychofold.config.dialects import UnknownSettingError
from ptychofold.errors import ConfigError, ContractError

TENSORFLOW_FIELDS = {f.name for kind in (tf.ModelConfig, tf.TrainingConfig, tf.InferenceConfig) for f in fields(kind)}
TORCH_FIELDS = {f.name for kind in (pt.DataConfig, pt.ModelConfig, pt.TrainingConfig) for f in fields(kind)}

SPELLINGS: list[tuple[dict[str, object], dict[str, object], dict[str, object]]] = [
    ({"size": 64}, {"N": 64}, {"N": 64}),
    ({"grouping.grid": (3, 3)}, {"gridsize": 3}, {"grid_size": (3, 3)}),
    ({"grouping.n_neighbors": 7}, {"neighbor_count": 7}, {"K": 7}),
    ({"n_photons": 1e6}, {"nphotons": 1e6}, {"nphotons": 1e6}),
    ({"mode": "unsupervised"}, {"model_type": "pinn"}, {"mode": "Unsupervised"}),
    ({"mode": "supervised"}, {"model_type": "supervised"}, {"mode": "Supervised"}),
    ({"amp_activation": "swish"}, {"amp_activation": "swish"}, {"amp_activation": "silu"}),
    ({"amp_activation": "relu"}, {"amp_activation": "relu"}, {"amp_activation": "relu"}),
    ({"loss": "poisson"}, {"nll_weight": 1.0}, {"nll": True}),
    ({"loss": "mae"}, {"nll_weight": 0.0}, {"nll": False}),
    ({"epochs": 3}, {"nepochs": 3}, {"epochs": 3}),
    ({"grouping.seed": 5}, {"subsample_seed": 5}, {"subsample_seed": 5}),
]


def test_every_name_of_the_table_is_a_field_of_its_dialect() -> None:
    native = set(NativeSettings.model_fields) | {f"grouping.{name}" for name in GroupingConfig.model_fields}
    assert {name.of("native") for name in NAMES} <= native
    assert {name.of("tensorflow") for name in NAMES} - {None} <= TENSORFLOW_FIELDS
    assert {name.of("torch") for name in NAMES} - {None} <= TORCH_FIELDS


@pytest.mark.parametrize("column", ["native", "tensorflow", "legacy", "torch"])
def test_no_name_occurs_twice_in_a_column(column: str) -> None:
    names = [name.of(column) for name in NAMES if name.of(column) is not None]
    assert len(names) == len(set(names))


def test_legacy_names_are_those_of_tensorflow_but_for_nine() -> None:
    assert {
        name.of("tensorflow"): name.of("legacy") for name in NAMES if name.of("tensorflow") != name.of("legacy")
    } == {
        "object_big": "object.big",
        "probe_big": "probe.big",
        "probe_mask": "probe.mask",
        "probe_trainable": "probe.trainable",
        "intensity_scale_trainable": "intensity_scale.trainable",
        "positions_provided": "positions.provided",
        "output_dir": "output_prefix",
        "train_data_file": "train_data_file_path",
        "test_data_file": "test_data_file_path",
    }


@pytest.mark.parametrize(("native", "tensorflow", "torch"), SPELLINGS)
def test_a_setting_translates_both_ways(
    native: dict[str, object], tensorflow: dict[str, object], torch: dict[str, object]
) -> None:
    spelt: dict[str, dict[str, object]] = {"native": native, "tensorflow": tensorflow, "torch": torch}
    for source, settings in spelt.items():
        for target, expected in spelt.items():
            assert NAMES.translate(settings, source=source, target=target) == expected


@given(n=st.integers(1, 1000))
def test_the_two_n_subsample_never_map_to_each_other(n: int) -> None:
    assert NAMES.translate({"n_subsample": n}, source="torch", target="tensorflow") == {}
    assert NAMES.translate({"n_subsample": n}, source="tensorflow", target="torch") == {}
    assert NAMES.translate({"n_subsample": n}, source="torch", target="native") == {"grouping.groups_per_seed": n}
    assert NAMES.translate({"n_subsample": n}, source="legacy", target="native") == {"grouping.n_scan_points": n}


def test_sequential_sampling_is_a_way_of_sampling() -> None:
    assert NAMES.translate({"sequential_sampling": True}, source="legacy", target="native") == {
        "grouping.sampling": "sequential"
    }
    assert NAMES.translate({"grouping.sampling": "random"}, source="native", target="legacy") == {
        "sequential_sampling": False
    }


def test_both_pytorch_spellings_of_silu_are_swish() -> None:
    for spelling in ("silu", "SiLU", "swish"):
        assert NAMES.translate({"amp_activation": spelling}, source="torch", target="tensorflow") == {
            "amp_activation": "swish"
        }


def test_missing_values_are_left_out() -> None:
    assert NAMES.translate({"n_groups": None, "nphotons": 1.0}, source="legacy", target="native") == {"n_photons": 1.0}


def test_a_grid_that_is_not_square_has_no_tensorflow_form() -> None:
    with pytest.raises(ContractError, match=r"grid_size=\(1, 4\).*square grids only.*\(1, 4\)"):
        NAMES.translate({"grid_size": (1, 4)}, source="torch", target="tensorflow")


def test_an_unknown_value_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"model_type='pin': expected one of \['pinn', 'supervised'\]"):
        NAMES.translate({"model_type": "pin"}, source="legacy", target="native")


def test_a_mixture_of_losses_has_no_native_form() -> None:
    with pytest.raises(ConfigError, match=r"nll_weight=0\.5: expected one of \[1\.0, 0\.0\]"):
        NAMES.translate({"nll_weight": 0.5}, source="legacy", target="native")


@pytest.mark.parametrize("kind", [tf.ModelConfig, pt.DataConfig, pt.ModelConfig, pt.TrainingConfig, pt.InferenceConfig])
def test_an_unknown_keyword_is_refused_by_every_dialect(kind: type) -> None:
    for base in (ConfigError, TypeError):
        with pytest.raises(base, match=rf"{kind.__name__}: unknown setting 'zzzz' \(known: "):
            kind(zzzz=1)


def test_an_unknown_keyword_names_the_nearest_field() -> None:
    with pytest.raises(
        UnknownSettingError, match=r"ModelConfig: unknown setting 'gridsze' \(did you mean 'gridsize'\?\)"
    ):
        tf.ModelConfig(gridsze=2)  # type: ignore[call-arg]
