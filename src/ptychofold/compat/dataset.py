"""The PyTorch side's data set and loader: TensorDict batches over stores, each pattern kept once."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from jaxtyping import Complex64, Float32, Int64, Real
from torch import Tensor
from torch.utils.data import Dataset

from ptychofold.compat.config_torch import DataConfig, ModelConfig, TrainingConfig, scaling_profile
from ptychofold.compat.coords import grouping_of
from ptychofold.compat.names import NAMES
from ptychofold.config import GroupingConfig
from ptychofold.config.dialects import expect
from ptychofold.conventions import xy_from_yx
from ptychofold.data import GroupBatch
from ptychofold.data.experiments import npz_files, stored_scans
from ptychofold.data.inner import InnerGroups, amplitude_constants, group_constants
from ptychofold.data.whole import ToDevice, WholeBatchLoader
from ptychofold.errors import ConfigError
from ptychofold.optional import require
from ptychofold.physics import CountIntensityScaling
from ptychofold.physics.probes import inverse_mean_amplitude, soft_disk
from ptychofold.raw_data import RawData
from ptychofold.typing import Measurement

if TYPE_CHECKING:
    from tensordict import TensorDict

__all__ = ["Collate", "PtychoDataset", "TensorDictDataLoader"]

AnyPath = str | Path
Batch = tuple["TensorDict", Complex64[Tensor, "*B C P N N"], Float32[Tensor, "*B 1 1 1"]]
Groups = Sequence[int] | Int64[np.ndarray, " B"] | Int64[Tensor, " B"]


class PtychoDataset(Dataset[Batch]):
    """Groups of the experiments in a directory; an item is (TensorDict, probes, probe scaling), one group or many.

    Each file becomes a `PatternStore` in ``data_dir``; groups are indices, and patterns are gathered when asked for.

    Parameters
    ----------
    ptycho_dir
        Directory of NPZ files, one experiment each in the order of their names; or one file.
    model_config, data_config
        The PyTorch dialect's; defaults if None. ``data_config.subsample_seed`` seeds the groups.
    training_config
        Accepted for the sake of the reference's call. In the older call, ``PtychoDataset(ptycho_dir, probe_dir,
        data_dir, remake_map)``, the first four mean what they meant there.
    data_dir
        Where the stores are, or will be.
    remake_map
        Make the stores anew; without it one is made where there is none.
    defer_ci_statistics
        Wait for `set_ci_statistics_from_indices`; else all groups count as training data.
    probe_dir
        Directory of NPZ files whose ``probeGuess`` replace the experiments' own, in the order of their names.
    """

    def __init__(  # noqa: PLR0917 (the reference's signature)
        self,
        ptycho_dir: AnyPath,
        model_config: ModelConfig | AnyPath | None = None,
        data_config: DataConfig | AnyPath | None = None,
        training_config: TrainingConfig | bool | None = None,
        data_dir: AnyPath = "data/memmap",
        remake_map: bool = False,
        defer_ci_statistics: bool = False,
        *,
        probe_dir: AnyPath | None = None,
    ) -> None:
        if isinstance(model_config, AnyPath):
            probe_dir, model_config = model_config, None
        if isinstance(data_config, AnyPath):
            data_dir, data_config = data_config, None
        self._configure(model_config, data_config)
        self.file_list = npz_files(ptycho_dir)
        remake = training_config if isinstance(training_config, bool) else remake_map
        probes = None if probe_dir is None else npz_files(probe_dir)
        scans = stored_scans(self.file_list, data_dir, probes=probes, remake=remake)
        self._group(scans, deferred=defer_ci_statistics)

    @classmethod
    def from_np(  # noqa: PLR0917 (the reference's signature)
        cls,
        diff_patterns: Real[np.ndarray, "scan N N"],
        probe: Complex64[np.ndarray, "*P N N"],
        positions: Real[np.ndarray, "scan 2"],
        model_config: ModelConfig,
        data_config: DataConfig,
        scaling_constant: float | None = None,
    ) -> Self:
        """Show patterns in memory, at positions (y, x); integers are taken as counts.

        ``scaling_constant``, such as a trained model's, replaces the RMS constant.
        """
        dataset = cls.__new__(cls)
        dataset._configure(model_config, data_config)
        counts = dataset.ci_contract_active or diff_patterns.dtype.kind in "ui"
        known: Measurement = "intensity" if counts else "amplitude"
        scan = RawData.from_arrays(patterns=diff_patterns, positions=positions, probe=probe, measurement=known)
        dataset.file_list = []
        dataset._group([scan], rms=scaling_constant)
        return dataset

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, idx: int | slice | Groups) -> Batch:
        """Return one group, or as many as the index names, in its order."""
        wanted = self.kept[idx if isinstance(idx, int | slice) else np.asarray(idx)]
        chosen = np.atleast_1d(wanted)
        batch = self.groups.__getitems__(chosen.tolist())
        fields = {**self._fields(batch), "center_scan_id": torch.from_numpy(self.groups.seeds[chosen]).long()}
        fields["center_scan_id_available"] = torch.ones(len(chosen), dtype=torch.bool)
        probes = self._probes("probes", batch)
        scaling = self.data_dict["probe_scaling"][batch.experiment].view(-1, 1, 1, 1)
        if self.ci_contract_active:
            for name, values in self.get_ci_statistics().items():
                fields[name] = values[batch.experiment].view(-1, 1, 1, 1)
            fields |= {"measured_intensity": batch.diffraction, "probe_normalization": scaling[..., None]}
            fields |= {"probe_training": probes, "probe_physical": self._probes("probes_physical", batch)}
        tensors = require("tensordict", extra="tensordict").TensorDict(fields, batch_size=[len(chosen)])
        return (tensors[0], probes[0], scaling[0]) if wanted.ndim == 0 else (tensors, probes, scaling)

    __getitems__ = __getitem__  # torch's batched hook

    @property
    def mmap_ptycho(self) -> "TensorDict":
        """All groups at once, gathered now: what the reference kept on disk."""
        return self[:][0]

    def get_experiment_dataset(self, experiment_idx: int) -> Self:
        """Return the groups of one experiment, whose number stays."""
        part = copy(self)
        part.kept = self.kept[self.groups.table.experiment[self.kept] == experiment_idx]
        if not len(part):
            raise ConfigError(f"expected one of {len(self.groups.scans)} experiments, from 0; found {experiment_idx}.")
        return part

    def set_ci_statistics_from_indices(self, indices: Groups) -> dict[str, Float32[Tensor, " experiment"]]:
        """Measure the training split's counts, experiment by experiment; one without a group is a `ConfigError`."""
        measured = self.groups.count_scaling(self.kept[np.asarray(indices)])
        self.data_dict["ci_statistics"] = {
            name: torch.tensor([getattr(profile, name) for profile in measured])
            for name in ("rms_input_scale", "mean_measured_intensity")
        }
        return self.get_ci_statistics()

    def get_ci_statistics(self) -> dict[str, Float32[Tensor, " experiment"]]:
        """Return what was measured over the training split; a `ConfigError` if nothing was."""
        if "ci_statistics" not in self.data_dict:
            raise ConfigError("no counts were measured; call set_ci_statistics_from_indices(training_indices) first.")
        return dict(self.data_dict["ci_statistics"])

    def _configure(self, model_config: ModelConfig | None, data_config: DataConfig | None) -> None:
        self.model_config, self.data_config = model_config or ModelConfig(), data_config or DataConfig()
        self._said_N = None if data_config is None else data_config.N
        for name, choices in {"data_scaling": ("Parseval",), "normalize": ("Batch", "Group", "None")}.items():
            found = getattr(self.data_config, name)
            expect(found in choices, name, f"one of {choices}", found)
        counts = scaling_profile(self.data_config) is CountIntensityScaling
        self.ci_contract_active = counts and self.model_config.physics_forward_mode == "rectangular_scaled"

    def _group(self, scans: Sequence[RawData], *, rms: float | None = None, deferred: bool = False) -> None:
        expect(self._said_N in (None, scans[0].N), "N", f"{scans[0].N}, the side of the patterns", self._said_N)
        said = NAMES.translate(vars(self.model_config), source="torch", target="native", only={"mode"})
        config, supervised = self.data_config, said["mode"] == "supervised"
        if self.ci_contract_active:
            scans = [replace(scan, measurement="intensity", energy=None) for scan in scans]
        self.groups = InnerGroups(
            scans,
            grouping_of(config) if self.model_config.object_big and not supervised else GroupingConfig(),
            x_bounds=config.x_bounds,
            y_bounds=config.y_bounds,
            values="counts" if self.ci_contract_active else "amplitude",
            ground_truth=supervised,
        )
        self.kept = np.arange(len(self.groups))
        factors = torch.tensor([_probe_factor(scan.probe, self.model_config, config) for scan in scans])
        centers = torch.from_numpy(xy_from_yx(self.groups.centers).copy())
        self.data_dict: dict[str, Any] = {
            "probes": self.groups.probe * factors.view(-1, 1, 1, 1), "probes_physical": self.groups.probe,
            "probe_scaling": factors, "com": centers[0] if len(scans) == 1 else centers,
            "objectGuess": [scan.object for scan in scans],
        }  # fmt: skip
        if not self.ci_contract_active:
            plain = config.normalize == "None"
            constants = torch.tensor([(1.0, 1.0) if plain else amplitude_constants(scan) for scan in scans])
            self.data_dict["scaling_constant"] = constants[:, 0] if rms is None else torch.full((len(scans),), rms)
            self.physics_constant = constants[:, 1]
        elif not deferred:
            self.set_ci_statistics_from_indices(range(len(self)))

    def _fields(self, batch: GroupBatch) -> dict[str, Tensor]:
        fields = {
            "images": batch.diffraction,
            "coords_global": _xy(batch.centers[:, None] + batch.offsets),
            "coords_center": _xy(batch.centers[:, None]),
            "coords_relative": -_xy(batch.offsets),
            "coords_start_relative": -_xy(batch.offsets_nominal),
            "nn_indices": batch.members.long(),
            "experiment_id": batch.experiment,
        }
        if not self.ci_contract_active:
            rms, physics = self.data_dict["scaling_constant"][batch.experiment], self.physics_constant[batch.experiment]
            if self.data_config.normalize == "Group" and batch.members.shape[1] > 1:
                rms, physics = group_constants(batch.diffraction)
            fields["rms_scaling_constant"] = rms.view(-1, 1, 1, 1)
            fields["physics_scaling_constant"] = physics.view(-1, 1, 1, 1)
        if batch.patches is not None:
            fields |= {"label_amp": batch.patches.abs(), "label_phase": batch.patches.angle()}
        return fields

    def _probes(self, name: str, batch: GroupBatch) -> Complex64[Tensor, "B C P N N"]:
        probes: Tensor = self.data_dict[name][batch.experiment.long()]
        return probes[:, None].expand(-1, batch.members.shape[1], -1, -1, -1)


Collate, TensorDictDataLoader = ToDevice, WholeBatchLoader


def _probe_factor(probe: Complex64[np.ndarray, "mode N N"], model: ModelConfig, data: DataConfig) -> float:
    """Return what brings the mean |probe| under the mask to 1 / probe_scale; True masks by a disk."""
    if not data.probe_normalize:
        return 1.0
    given, N = model.probe_mask if model.probe_mask_tensor is None else model.probe_mask_tensor, probe.shape[-1]
    mask = None
    if isinstance(given, Tensor):
        mask = np.asarray(given, np.float64)
    elif given:
        mask = soft_disk(N, diameter=model.probe_mask_diameter or N / 2, sigma=model.probe_mask_sigma)
    return inverse_mean_amplitude(probe, mask=mask) / float(data.probe_scale)


def _xy(coordinates: Float32[Tensor, "B C 2"]) -> Float32[Tensor, "B C 1 2"]:
    return coordinates.flip(-1)[:, :, None]
