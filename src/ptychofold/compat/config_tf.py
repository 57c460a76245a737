"""The TensorFlow dialect's configuration classes and the legacy dictionary that they fill."""

import warnings
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

from ptychofold.compat.names import NAMES
from ptychofold.config.dialects import Settings, expect, keeps

__all__ = [
    "InferenceConfig",
    "ModelConfig",
    "TrainingConfig",
    "resolve_n_groups",
    "update_legacy_dict",
    "validate_inference_config",
    "validate_model_config",
    "validate_training_config",
]

ARCHITECTURES = ("cnn", "ffno", "fno", "fno_vanilla", "neuralop_uno")

Number = float | int
AnyPath = Path | str


@dataclass(kw_only=True)
class _Sampling(Settings):
    """How groups are drawn; ``n_images`` is the deprecated name of ``n_groups``."""

    n_groups: int | None = None
    n_images: int | None = None
    n_subsample: int | None = None
    subsample_seed: int | None = None
    neighbor_count: int = 4
    enable_oversampling: bool = False
    neighbor_pool_size: int | None = None

    def __post_init__(self) -> None:
        """Settle the number of groups."""
        self.n_groups = resolve_n_groups(self.n_groups, n_images=self.n_images, stacklevel=4)


@dataclass
@keeps("both.model")
class ModelConfig(Settings):
    """The network and its physics, as the TensorFlow dialect names them; may be changed after construction."""

    N: int = 64
    gridsize: int = 1
    n_filters_scale: int = 2
    model_type: str = "pinn"
    amp_activation: str = "sigmoid"
    object_big: bool = True
    probe_big: bool = True
    probe_mask: bool = False
    probe_mask_sigma: Number = 1.0
    probe_mask_diameter: Number | None = None
    pad_object: bool = True
    probe_scale: Number = 4.0
    gaussian_smoothing_sigma: Number = 0.0
    architecture: str = "cnn"


@dataclass
@keeps("both.training")
class TrainingConfig(_Sampling):
    """One training run, as the TensorFlow dialect names its settings; ``n_groups`` is 512 unless it is given."""

    model: ModelConfig
    train_data_file: AnyPath | None = None
    test_data_file: AnyPath | None = None
    batch_size: int = 16
    nepochs: int = 50
    mae_weight: Number = 0.0
    nll_weight: Number = 1.0
    realspace_mae_weight: Number = 0.0
    realspace_weight: Number = 0.0
    nphotons: Number = 1e9
    positions_provided: bool = True
    probe_trainable: bool = False
    intensity_scale_trainable: bool = True
    output_dir: AnyPath = Path("training_outputs")
    sequential_sampling: bool = False
    backend: str = "tensorflow"

    def __post_init__(self) -> None:
        """Settle the number of groups."""
        super().__post_init__()
        self.n_groups = 512 if self.n_groups is None else self.n_groups


@dataclass
class InferenceConfig(_Sampling):
    """One inference run, as the TensorFlow dialect names its settings; ``n_groups`` None means all."""

    model: ModelConfig
    model_path: AnyPath
    test_data_file: AnyPath
    debug: bool = False
    output_dir: AnyPath = Path("inference_outputs")
    backend: str = "tensorflow"


def resolve_n_groups(n_groups: int | None, *, n_images: int | None, stacklevel: int) -> int | None:
    """Return ``n_groups``; where only the deprecated ``n_images`` is given return that, with a warning."""
    if n_groups is not None or n_images is None:
        return n_groups
    warnings.warn(
        "'n_images' is deprecated; use 'n_groups', which always counts groups, whatever the grid.",
        DeprecationWarning,
        stacklevel=stacklevel,
    )
    return n_images


def update_legacy_dict(
    cfg: MutableMapping[str, object], config: ModelConfig | TrainingConfig | InferenceConfig
) -> None:
    """Write a configuration into a legacy dictionary, in place.

    Nested settings are flattened, names become the legacy ones, paths become text; None leaves an entry as it is.

    Examples
    --------
    >>> cfg = {"N": 128, "label": "run 7"}
    >>> update_legacy_dict(cfg, ModelConfig(N=64, gridsize=2))
    >>> cfg["N"], cfg["object.big"], cfg["label"]
    (64, True, 'run 7')
    """
    legacy = {name.of("tensorflow"): name.of("legacy") for name in NAMES}
    for name, value in config.flat().items():
        if value is not None:
            cfg[legacy.get(name) or name] = str(value) if isinstance(value, Path) else value


def validate_model_config(config: ModelConfig) -> None:
    """Check the ranges of a model's settings; the first that is wrong is a `ConfigError`."""
    expect(config.architecture in ARCHITECTURES, "architecture", f"one of {list(ARCHITECTURES)}", config.architecture)
    for name in ("gridsize", "n_filters_scale", "probe_scale"):
        expect(getattr(config, name) > 0, name, "a positive number", getattr(config, name))
    sigma = config.gaussian_smoothing_sigma
    expect(sigma >= 0, "gaussian_smoothing_sigma", "a number that is not negative", sigma)


def validate_training_config(config: TrainingConfig) -> None:
    """Check the ranges of a training run's settings; the first that is wrong is a `ConfigError`."""
    validate_model_config(config.model)
    size = config.batch_size
    expect(size > 0 and size.bit_count() == 1, "batch_size", "a positive power of 2", size)
    for name in ("nepochs", "nphotons"):
        expect(getattr(config, name) > 0, name, "a positive number", getattr(config, name))
    for name in ("mae_weight", "nll_weight"):
        expect(0 <= getattr(config, name) <= 1, name, "a weight in [0, 1]", getattr(config, name))


def validate_inference_config(config: InferenceConfig) -> None:
    """Check an inference run's settings; a model that is not there is a `ConfigError`."""
    validate_model_config(config.model)
    expect(Path(config.model_path).exists(), "model_path", "an existing model", str(config.model_path))
