"""The PyTorch dialect's configuration classes: the reference's fields and all that Ptychodus 1.7 passes."""

# ruff: noqa: E702 (settings that are only kept stand several a line, by subject)

from dataclasses import dataclass, field

from torch import Tensor

from ptychofold.compat.config_tf import KeptModel, KeptTraining
from ptychofold.config.dialects import Settings
from ptychofold.physics.scaling_profiles import AmplitudeScaling, CountIntensityScaling, scaling_type

__all__ = ["DataConfig", "DatagenConfig", "InferenceConfig", "ModelConfig", "TrainingConfig", "scaling_profile"]

Number = float | int


@dataclass
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
    scan_pattern: str = "Isotropic"
    normalize: str = "Batch"
    probe_scale: Number = 4.0
    probe_normalize: bool = True
    probe_ramp_removal: bool = False
    data_scaling: str = "Parseval"
    phase_subtraction: bool = True
    x_bounds: tuple[Number, Number] = (0.1, 0.9)
    y_bounds: tuple[Number, Number] = (0.1, 0.9)

    def __post_init__(self) -> None:
        """Refuse half a scaling profile."""
        scaling_profile(self)


@dataclass
class ModelConfig(KeptModel):
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
    # Accepted and kept; at most handed to the TensorFlow dialect
    # fmt: off
    spectral_bottleneck_blocks: int = 6; spectral_bottleneck_modes: int = 12
    spectral_bottleneck_share_weights: bool = True; spectral_bottleneck_gate_init: Number = 0.1
    spectral_bottleneck_gate_mode: str = "shared"
    eca_encoder: bool = False; cbam_encoder: bool = True; cbam_bottleneck: bool = False; cbam_decoder: bool = False
    eca_decoder: bool = False; spatial_decoder: bool = False; decoder_spatial_kernel: int = 7
    cnn_output_mode: str = "amp_phase"; use_shared_decoder: bool = False; C_model: int = 4; batch_norm: bool = False
    edge_pad: int = 10; decoder_last_c_outer_fraction: Number = 0.125; decoder_last_amp_channels: int = 1
    use_legacy_decoder_channel_override: bool = False; C_forward: int = 4
    loss_function: str = "Poisson"; amp_loss: str | None = None; phase_loss: str | None = None
    amp_loss_coeff: Number = 1.0; phase_loss_coeff: Number = 1.0; probe_reference_coeff: Number = 0.0
    amplitude_variance_loss: bool = False; amplitude_variance_coeff: Number = 0.01
    intensity_scale: Number = 10000.0; max_position_jitter: int = 10; num_datasets: int = 1; offset: int = 6
    training_patch_weighting: str = "central_mask"; rect_s1s2_trainable: bool = True; rect_s1s2_init: str = "ones"
    amplitude_physics_gain: Number = 1.0
    # fmt: on


@dataclass
class TrainingConfig(KeptTraining):
    """One training run."""

    epochs: int = 50
    batch_size: int = 16
    nll: bool = True
    n_groups: int | None = None
    train_data_file: str | None = None
    test_data_file: str | None = None
    output_dir: str = "training_outputs"
    # Accepted and kept; at most handed to the TensorFlow dialect
    # fmt: off
    learning_rate: Number = 1e-3; accum_steps: int = 1; log_grad_norm: bool = False; grad_norm_log_freq: int = 1
    warmup_epochs: int = 0; min_lr_ratio: Number = 0.1; physics_weight_schedule: str = "cosine"
    epochs_fine_tune: int = 0; fine_tune_gamma: Number = 0.1; stage_1_epochs: int = 0; stage_2_epochs: int = 0
    stage_3_epochs: int = 0; stage_3_lr_factor: Number = 0.1
    enable_staged_finetuning: bool = False; finetune_stage1_epochs: int = 7; finetune_stage2_epochs: int = 7
    finetune_stage3_epochs: int = 5; finetune_stage1_lr_decoder: Number = 0.1
    finetune_stage2_lr_encoder_top: Number = 0.01; finetune_stage2_lr_decoder: Number = 0.05
    finetune_stage2_lr_phase_head: Number = 0.1; finetune_stage3_lr_encoder_bottom: Number = 0.005
    finetune_stage3_lr_encoder_top: Number = 0.01; finetune_stage3_lr_decoder: Number = 0.02
    finetune_stage3_lr_phase_head: Number = 0.05; finetune_skip_stage3: bool = True
    finetune_early_stop_patience: int = 3; finetune_val_split: Number = 0.05
    training_directories: list[str] = field(default_factory=list); device: str = "cuda"; strategy: str | None = "ddp"
    n_devices: int | str = 1; framework: str = "Lightning"; orchestrator: str = "Mlflow"; num_workers: int = 4
    experiment_name: str = "Synthetic_Runs"; notes: str = ""; model_name: str = "PtychoPINNv2"
    # fmt: on


@dataclass
class InferenceConfig(Settings):
    """One inference run."""

    middle_trim: int = 32
    batch_size: int = 1000
    experiment_number: int = 0
    pad_eval: bool = True
    window: int = 20
    patch_weighting: str = "probe"
    varpro_scaling: bool = True
    log_patch_stats: bool = False
    patch_stats_limit: int | None = None


@dataclass
class DatagenConfig(Settings):
    """Simulated training scans."""

    objects_per_probe: int = 4
    diff_per_object: int = 7000
    object_class: str = "dead_leaves"
    image_size: tuple[int, int] = (250, 250)
    probe_paths: list[str] = field(default_factory=list)
    beamstop_diameter: int = 4


def scaling_profile(data: DataConfig) -> type[AmplitudeScaling] | type[CountIntensityScaling]:
    """Return what scales the patterns; the version and the domain say it together, or it is a `ConfigError`."""
    return scaling_type(scale_contract_version=data.scale_contract_version, measurement_domain=data.measurement_domain)
