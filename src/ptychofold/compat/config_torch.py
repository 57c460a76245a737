"""The PyTorch dialect's configuration classes: the reference's fields and all that Ptychodus 1.7 passes."""

from dataclasses import dataclass

from torch import Tensor

from ptychofold.config.dialects import Settings, keeps
from ptychofold.physics.scaling_profiles import AmplitudeScaling, CountIntensityScaling, scaling_type

__all__ = ["DataConfig", "DatagenConfig", "InferenceConfig", "ModelConfig", "TrainingConfig", "scaling_profile"]

Number = float | int


@dataclass
@keeps("torch.data")
class DataConfig(Settings):
    """Reading, grouping and scaling of scans; ``C``, not ``grid_size``, counts a group's members."""

    nphotons: Number = 1e5
    scale_contract_version: str = "ci_intensity_v2"
    measurement_domain: str = "count_intensity"
    N: int = 64
    C: int = 4
    K: int = 6
    K_quadrant: int = 30
    n_subsample: int = 7
    subsample_seed: int | None = None
    grid_size: tuple[int, int] = (2, 2)
    neighbor_function: str = "Nearest"
    min_neighbor_distance: Number = 0.0
    max_neighbor_distance: Number = 3.0
    normalize: str = "Batch"
    probe_scale: Number = 4.0
    probe_normalize: bool = True
    data_scaling: str = "Parseval"
    x_bounds: tuple[Number, Number] = (0.1, 0.9)
    y_bounds: tuple[Number, Number] = (0.1, 0.9)

    def __post_init__(self) -> None:
        """Refuse half a scaling profile."""
        scaling_profile(self)


@dataclass
@keeps("both.model", "torch.model")
class ModelConfig(Settings):
    """The network, its physics and its loss."""

    mode: str = "Unsupervised"
    object_big: bool = True
    probe_big: bool = True
    amp_activation: str = "silu"
    n_filters_scale: int = 2
    pad_object: bool = True
    probe_mask: bool | Tensor | None = False
    probe_mask_tensor: Tensor | None = None
    probe_mask_sigma: Number = 1.0
    probe_mask_diameter: Number | None = None
    gaussian_smoothing_sigma: Number = 0.0
    intensity_scale_trainable: bool = False
    physics_forward_mode: str = "amplitude"
    architecture: str = "cnn"


@dataclass
@keeps("both.training", "torch.training")
class TrainingConfig(Settings):
    """One training run."""

    epochs: int = 50
    batch_size: int = 16
    nll: bool = True
    n_groups: int | None = None
    train_data_file: str | None = None
    test_data_file: str | None = None
    output_dir: str = "training_outputs"


@dataclass
@keeps("torch.inference")
class InferenceConfig(Settings):
    """One inference run."""


@dataclass
@keeps("torch.datagen")
class DatagenConfig(Settings):
    """Simulated training scans."""


def scaling_profile(data: DataConfig) -> type[AmplitudeScaling] | type[CountIntensityScaling]:
    """Return what scales the patterns; the version and the domain say it together, or it is a `ConfigError`."""
    return scaling_type(scale_contract_version=data.scale_contract_version, measurement_domain=data.measurement_domain)
