"""InnerGroups: groups around the inner part of the field of one or several scans, gathered in any order."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor
from torch.utils.data import Dataset

from ptychofold.config import GroupingConfig
from ptychofold.data.batch import GroupBatch, GroupNumbers
from ptychofold.data.dataset import GroupedDataset
from ptychofold.data.mixture import MixtureDataset
from ptychofold.data.readers import Values
from ptychofold.errors import ConfigError
from ptychofold.grouping.groups import groups_from_members
from ptychofold.grouping.reference_torch import Bounds, draw_inner_groups, inner_points, random_stream
from ptychofold.physics import CountIntensityScaling
from ptychofold.raw_data import RawData
from ptychofold.scaling import amplitude_sums, physics_scale, torch_rms_scale

__all__ = ["InnerGroups", "amplitude_constants", "group_constants"]


class InnerGroups(Dataset[GroupBatch]):
    """Groups of several scans, drawn from one stream around the scan points of each scan's inner field.

    Parameters
    ----------
    scans
        Scans with patterns of one size.
    config
        Members, neighbors and groups of a seed; see `draw_inner_groups`.
    x_bounds, y_bounds
        The inner field, as fractions of a scan's width and height.
    values
        Batches hold "amplitude" or "counts".
    ground_truth
        Put true patches into the batches.

    Raises
    ------
    GroupingError
        If no scan point lies in the inner field of a scan, or groups cannot be formed.
    ShapeError
        If patterns differ in size.
    MissingFieldError
        If ground truth is asked for and a scan has none.
    """

    def __init__(
        self,
        scans: Sequence[RawData],
        config: GroupingConfig,
        *,
        x_bounds: Bounds,
        y_bounds: Bounds,
        values: Values = "amplitude",
        ground_truth: bool = False,
    ) -> None:
        stream, centers = random_stream(config.seed), []
        datasets: dict[str, GroupedDataset] = {}
        for scan in scans:
            inner = inner_points(scan.positions, x_bounds=x_bounds, y_bounds=y_bounds)
            drawn = draw_inner_groups(scan.positions, inner, config, stream=stream)
            members, seeds = (indices.astype(np.int32) for indices in drawn)
            groups = groups_from_members(scan.positions, members=members, seeds=seeds)
            dataset = GroupedDataset(scan, groups, values=values, ground_truth=ground_truth, scale=1.0)
            datasets[f"{len(datasets):06} {scan.path or 'in memory'}"] = dataset
            centers.append(scan.positions[inner].mean(axis=0))
        self.scans = tuple(scans)
        self.centers: Float64[np.ndarray, "scan 2"] = np.stack(centers)
        self.seeds = np.concatenate([dataset.groups.seeds for dataset in datasets.values()])
        self._groups = MixtureDataset(datasets) if len(scans) > 1 else next(iter(datasets.values()))
        self.table, self.probe = self._groups.table, self._groups.probe

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: int) -> GroupBatch:
        """Return one group as a batch of one."""
        return self._groups[index]

    def __getitems__(self, indices: GroupNumbers) -> GroupBatch:
        """Return groups, counted through all scans, as one batch in the order asked for."""
        batch = self._groups.__getitems__(indices)
        if isinstance(self._groups, GroupedDataset) or (np.diff(indices) >= 0).all():
            return batch
        place = torch.from_numpy(np.argsort(np.argsort(indices, kind="stable")))  # a mixture orders a batch by scan
        whole = ("probe", "bad_pixels")
        fields = batch._asdict().items()
        return GroupBatch(**{key: value if key in whole or value is None else value[place] for key, value in fields})

    def rows(self, chosen: Int64[np.ndarray, " group"], *, scan: int) -> Int64[np.ndarray, " row"]:
        """Return the scan points of one scan in the chosen groups, as often as they are members."""
        of_scan = chosen[self.table.experiment[chosen] == scan]
        return np.asarray(self.table.members[of_scan].ravel(), np.int64)

    def count_scaling(self, chosen: Int64[np.ndarray, " group"]) -> list[CountIntensityScaling]:
        """Measure the counts of the chosen groups, scan by scan.

        Raises
        ------
        ConfigError
            If a scan has none of them.
        """
        measured = []
        for number, scan in enumerate(self.scans):
            training = self.rows(chosen, scan=number)
            if not len(training):
                raise ConfigError(f"expected training groups of every experiment; number {number} has none. Add some.")
            measured.append(CountIntensityScaling.from_scan(scan, training=training))
        return measured


def amplitude_constants(scan: RawData) -> tuple[float, float]:
    """Return the RMS and the physics constant of PtychoPINN's PyTorch side over all patterns of a scan."""
    amplitude = amplitude_sums(scan.patterns, measurement=scan.measurement)
    # that side knows no mask: both constants are those of all pixels
    energy = scan.energies() if scan.bad_pixels is None else replace(scan, bad_pixels=None, energy=None).energies()
    return torch_rms_scale(float(energy.mean()), scan.N), physics_scale(float(amplitude.mean()))


def group_constants(diffraction: Float32[Tensor, "B C N N"]) -> tuple[Float32[Tensor, " B"], Float32[Tensor, " B"]]:
    """Return the same two constants of each group."""
    rms = diffraction.shape[-1] * diffraction.square().sum((2, 3)).mean(1).rsqrt()
    return rms, diffraction.sum((2, 3)).mean(1).reciprocal()
