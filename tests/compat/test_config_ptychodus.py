"""Ptychodus 1.7.0 builds its PtychoPINN configurations from our classes, with every keyword that it passes."""

import sys
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest

from ptychofold.compat import config_tf as tf
from ptychofold.compat import config_torch as pt
from ptychofold.compat import from_legacy, from_torch

TORCH_KEYWORDS: dict[type, str] = {
    pt.DataConfig: """
        N C normalize neighbor_function scan_pattern probe_normalize x_bounds y_bounds min_neighbor_distance
        max_neighbor_distance K_quadrant n_subsample probe_scale K grid_size probe_ramp_removal data_scaling
        phase_subtraction""",
    pt.ModelConfig: """
        mode object_big probe_big loss_function amp_activation cbam_encoder decoder_last_amp_channels
        use_shared_decoder intensity_scale_trainable intensity_scale max_position_jitter num_datasets C_model C_forward
        amp_loss phase_loss amp_loss_coeff phase_loss_coeff n_filters_scale probe_mask eca_decoder batch_norm edge_pad
        decoder_last_c_outer_fraction cbam_bottleneck cbam_decoder spatial_decoder decoder_spatial_kernel eca_encoder
        offset probe_reference_coeff amplitude_variance_loss amplitude_variance_coeff""",
    pt.TrainingConfig: """
        epochs batch_size learning_rate n_devices num_workers accum_steps epochs_fine_tune fine_tune_gamma
        gradient_clip_val nll device strategy framework orchestrator scheduler warmup_epochs min_lr_ratio notes
        model_name enable_staged_finetuning finetune_stage1_epochs finetune_stage2_epochs finetune_stage3_epochs
        finetune_stage1_lr_decoder finetune_stage2_lr_encoder_top finetune_stage2_lr_decoder
        finetune_stage2_lr_phase_head finetune_stage3_lr_encoder_bottom finetune_stage3_lr_encoder_top
        finetune_stage3_lr_decoder finetune_stage3_lr_phase_head finetune_skip_stage3 finetune_early_stop_patience
        finetune_val_split""",
    pt.InferenceConfig: "batch_size middle_trim experiment_number patch_weighting pad_eval window",
    pt.DatagenConfig: "",
}
TENSORFLOW_KEYWORDS: dict[type, str] = {
    tf.ModelConfig: """
        N gridsize n_filters_scale model_type amp_activation object_big probe_big probe_mask pad_object probe_scale
        gaussian_smoothing_sigma""",
    tf.TrainingConfig: """
        model train_data_file test_data_file batch_size nepochs mae_weight nll_weight realspace_mae_weight
        realspace_weight nphotons positions_provided probe_trainable intensity_scale_trainable output_dir""",
    tf.InferenceConfig: "model model_path test_data_file debug output_dir",
}


@pytest.mark.parametrize(("kind", "keywords"), [*TORCH_KEYWORDS.items(), *TENSORFLOW_KEYWORDS.items()])
def test_every_keyword_that_ptychodus_passes_is_a_field(kind: type, keywords: str) -> None:
    assert set(keywords.split()) <= {field.name for field in fields(kind)}


@pytest.mark.interop
def test_ptychodus_itself_builds_the_pytorch_configurations(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ptychodus", reason="needs the interop extra")
    from ptychodus.api.settings import SettingsRegistry
    from ptychodus.model.ptychopinn_torch import reconstructor, settings

    monkeypatch.setitem(sys.modules, "ptycho_torch", SimpleNamespace(config_params=pt))
    monkeypatch.setitem(sys.modules, "ptycho_torch.config_params", pt)
    registry = SettingsRegistry()
    built = reconstructor._build_configs(
        "Unsupervised",
        settings.PtychoPINNTorchDataSettings(registry),
        settings.PtychoPINNTorchModelSettings(registry),
        settings.PtychoPINNTorchTrainingSettings(registry),
        settings.PtychoPINNTorchInferenceSettings(registry),
    )
    assert [type(config) for config in built] == list(TORCH_KEYWORDS)
    native = from_torch(*built[:3])
    assert (native.size, native.grouping.grid, native.grouping.groups_per_seed) == (128, (2, 2), 7)


@pytest.mark.interop
def test_ptychodus_itself_builds_the_tensorflow_configurations(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ptychodus", reason="needs the interop extra")
    from ptychodus.api.settings import SettingsRegistry
    from ptychodus.model.ptychopinn import reconstructor, settings

    for name in ("ptycho", "ptycho.config"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(config=tf))
    monkeypatch.setitem(sys.modules, "ptycho.config.config", tf)
    registry = SettingsRegistry()
    model = settings.PtychoPINNModelSettings(registry)
    training = reconstructor._build_training_config(model, settings.PtychoPINNTrainingSettings(registry), "PINN")
    training.model.N = 64
    cfg: dict[str, object] = {}
    tf.update_legacy_dict(cfg, training)
    assert (cfg["N"], cfg["model_type"], cfg["nphotons"]) == (64, "pinn", 1e6)
    assert from_legacy(cfg).size == 64
    inference = reconstructor._build_inference_config(model, "Supervised", 32, is_developer_mode_enabled=False)
    assert (inference.model.N, inference.model_path) == (32, Path())
