"""The bridge: PyTorch configurations to TensorFlow ones, and both, and legacy dictionaries, to native settings."""

import logging
import warnings
from collections.abc import Mapping
from dataclasses import fields
from math import prod
from typing import Any, Final

from ptychofold.compat import config_tf as tf
from ptychofold.compat import config_torch as pt
from ptychofold.compat.config_tf import update_legacy_dict
from ptychofold.compat.names import NAMES
from ptychofold.compat.params import LEGACY_DEFAULTS
from ptychofold.config.dialects import Settings, expect, flattened, reject_unknown, with_paths
from ptychofold.config.native import NativeSettings
from ptychofold.errors import ConfigError

__all__ = [
    "NativeSettings",
    "from_legacy",
    "from_torch",
    "to_inference_config",
    "to_model_config",
    "to_training_config",
    "update_legacy_dict",
]

logger = logging.getLogger(__name__)

TORCH_N_PHOTONS: Final = 1e5
"""The PyTorch dialect's default, which differs from the TensorFlow dialect's 1e9."""

COMPUTED: Final = frozenset({"bigN", "bigoffset", "intensity_scale", "padded_size", "probe", "timestamp", "w", "h"})
"""Entries of a legacy dictionary that the reference computed."""

RETIRED: Final = frozenset({"n_images", "nsegments", "sim_nphotons", "sim_object_type"})
"""Entries of earlier generations of the legacy dictionary."""

PATHS: Final = ("train_data_file", "test_data_file", "output_dir", "model_path")
"""TensorFlow settings that are paths."""


def to_model_config(
    data: pt.DataConfig, model: pt.ModelConfig, overrides: Mapping[str, Any] | None = None
) -> tf.ModelConfig:
    """Say a PyTorch model, with a square grid, in the TensorFlow dialect; ``overrides`` are settings that win."""
    return tf.ModelConfig(**{**_bridge(tf.ModelConfig, data, model), **(overrides or {})})


def to_training_config(
    model: tf.ModelConfig,
    data: pt.DataConfig,
    pt_model: pt.ModelConfig,
    training: pt.TrainingConfig,
    overrides: Mapping[str, Any] | None = None,
) -> tf.TrainingConfig:
    """Say a PyTorch training run in the TensorFlow dialect; ``overrides`` are TensorFlow settings that win.

    Raises
    ------
    ConfigError
        If the photon count is left to the dialects' differing defaults, or ``n_groups`` or the training file is
        missing.
    """
    overrides = overrides or {}
    if "nphotons" not in overrides and data.nphotons == TORCH_N_PHOTONS:
        raise ConfigError(
            "nphotons: the dialects' defaults differ (PyTorch 1e5, TensorFlow 1e9), so it must be explicit; "
            "pass overrides={'nphotons': ...}."
        )
    settings = {**_bridge(tf.TrainingConfig, data, pt_model, training), "backend": "pytorch", **overrides}
    _require(settings, "n_groups", "512")
    if settings.get("test_data_file") is None:
        warnings.warn(
            "test_data_file is not given, and evaluation will need it; pass overrides={'test_data_file': Path(...)}.",
            UserWarning,
            stacklevel=2,
        )
    _require(settings, "train_data_file", "Path('train.npz')")
    return tf.TrainingConfig(model=model, **with_paths(settings, PATHS))


def to_inference_config(
    model: tf.ModelConfig,
    data: pt.DataConfig,
    inference: pt.InferenceConfig,
    overrides: Mapping[str, Any] | None = None,
) -> tf.InferenceConfig:
    """Say a PyTorch inference run in the TensorFlow dialect; a missing path is a `ConfigError`."""
    settings = {**_bridge(tf.InferenceConfig, data, inference), "backend": "pytorch", **(overrides or {})}
    _require(settings, "model_path", "Path('model_dir')")
    _require(settings, "test_data_file", "Path('test.npz')")
    return tf.InferenceConfig(model=model, **with_paths(settings, PATHS))


def from_legacy(cfg: Mapping[str, object] | tf.TrainingConfig | tf.InferenceConfig) -> NativeSettings:
    """Read an old ``params.cfg``, a parsed YAML file or a TensorFlow configuration as native settings.

    Parameters
    ----------
    cfg
        Legacy names with dots or TensorFlow names, flat or with a nested ``model``. Settings without a native
        counterpart are logged and have no effect.

    Raises
    ------
    UnknownSettingError
        If a name is known to no generation of the reference.
    ConfigError
        If a value is unknown or impossible.

    Examples
    --------
    >>> settings = from_legacy({"N": 64, "gridsize": 2, "neighbor_count": 7, "sequential_sampling": True})
    >>> settings.size, settings.grouping.grid, settings.grouping.n_neighbors, settings.grouping.sampling
    (64, (2, 2), 7, 'sequential')
    """
    flat: dict[str, Any] = flattened(cfg) if isinstance(cfg, Mapping) else cfg.flat()
    read = {name for row in NAMES for name in (row.of("tensorflow"), row.of("legacy")) if name is not None}
    dialect = {field.name for kind in (tf.ModelConfig, tf.TrainingConfig, tf.InferenceConfig) for field in fields(kind)}
    reject_unknown(flat, known=read | dialect | LEGACY_DEFAULTS.keys() | COMPUTED | RETIRED, where="from_legacy")
    unread = sorted(flat.keys() - read - {"n_images"})
    if unread:
        logger.info("Legacy settings without effect here: %s", ", ".join(unread))
    for name in ("n_groups", "n_images"):
        expect(isinstance(flat.get(name), int | None), name, "an integer", flat.get(name))
    flat["n_groups"] = tf.resolve_n_groups(flat.get("n_groups"), n_images=flat.get("n_images"), stacklevel=3)
    first, second = (NAMES.translate(flat, source=dialect, target="native") for dialect in ("tensorflow", "legacy"))
    return NativeSettings.from_dotted({**first, **second}, said=NAMES.spelt("tensorflow", by="native"))


def from_torch(
    data: pt.DataConfig, model: pt.ModelConfig | None = None, training: pt.TrainingConfig | None = None
) -> NativeSettings:
    """Read a PyTorch configuration as native settings.

    ``C`` counts a group's members; where ``grid_size`` disagrees the grid is (1, C). The seed is one of its group's
    candidates, except with distance bounds or quadrants.

    Raises
    ------
    ConfigError
        If a value is unknown or impossible.
    """
    flat = {name: value for config in (data, model, training) if config for name, value in vars(config).items()}
    native = NAMES.translate(flat, source="torch", target="native")
    if prod(data.grid_size) != data.C:
        native["grouping.grid"] = (1, data.C)
    if data.neighbor_function == "Nearest":
        native["grouping.seed_role"] = "candidate"
    else:
        native["grouping.min_distance"] = data.min_neighbor_distance
        native["grouping.max_distance"] = data.max_neighbor_distance
    if data.neighbor_function == "4_quadrant":
        native["grouping.n_neighbors"] = data.K_quadrant
    return NativeSettings.from_dotted(native, said=NAMES.spelt("torch", by="native"))


def _bridge(kind: type[Settings], *configs: Settings) -> dict[str, Any]:
    return NAMES.carry(configs, kind, source="torch", target="tensorflow")


def _require(settings: Mapping[str, object], name: str, example: str) -> None:
    if settings.get(name) is None:
        raise ConfigError(f"{name} is required; pass overrides={{{name!r}: {example}}}.")
