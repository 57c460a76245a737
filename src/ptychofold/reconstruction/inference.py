"""Predict: object patches of any scan or store, batch by batch."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Complex64, Float64, Int64
from scipy.spatial import cKDTree
from torch import Tensor

from ptychofold.config import LoaderConfig
from ptychofold.data import GroupedDataset, GroupLoader, make_loader
from ptychofold.errors import DivergenceError, GroupingError
from ptychofold.grouping import ScanGroups
from ptychofold.grouping.groups import groups_from_members
from ptychofold.models import PtychographyModel
from ptychofold.models.ptychography import is_passive
from ptychofold.physics import Geometry
from ptychofold.raw_data import RawData
from ptychofold.reading import spread_rows
from ptychofold.scaling import rms_input_scale
from ptychofold.typing import Positions

__all__ = ["PredictedPatches", "covering_groups", "predict", "prediction_loader"]

logger = logging.getLogger(__name__)

N_MEASURED = 512
"""Patterns, evenly spread, that tell the energy of a scan."""
PATTERNS_TOGETHER = 32
"""Patterns that are predicted at once unless the caller says more: a batch of them stays in a processor's caches."""


class PredictedPatches(NamedTuple):
    """Object patches of one batch, one row a pattern; in host memory."""

    patches: Complex64[Tensor, "n N N"]
    """Complex transmission under the probe; each group's global phase is the network's choice."""
    positions: Float64[Tensor, "n 2"]
    """(y, x) of each patch in object pixels; whole if the model makes patches on the object's pixels."""
    members: Int64[Tensor, " n"]
    """Scan point of each patch, as index into its scan."""
    groups: Int64[Tensor, " n"]
    """Group of each patch, counted through the stream."""
    experiment: Int64[Tensor, " n"]
    """Number of the scan in a mixture; 0 for a single scan."""


def predict(model: PtychographyModel, loader: GroupLoader) -> Iterator[PredictedPatches]:
    """Predict patches, one batch at a time, in the order of the loader.

    Parameters
    ----------
    model
        In memory of any device; batches are moved there. Its state is not changed.
    loader
        Groups, see `prediction_loader`; of one pass, unshuffled if the order matters.

    Raises
    ------
    CheckpointError
        If the groups have another size than those of training.
    DivergenceError
        If a patch is not finite.
    """
    device = model.forward_model.probe.device
    was_training = model.training
    n_groups = 0
    model.eval()
    try:
        for batch in loader:
            B, C = batch.members.shape
            model.contract.check_groups(C)
            with torch.inference_mode():
                predicted = model.predict_patches(batch.to(device, non_blocking=True))
            patches = predicted.patches.flatten(0, 1).cpu()
            if not bool(torch.isfinite(patches).all()):
                raise DivergenceError(
                    "expected finite patches; found NaN or infinity. Check the patterns, or train the model again."
                )
            yield PredictedPatches(
                patches=patches,
                positions=predicted.positions.flatten(0, 1).cpu(),
                members=batch.members.flatten().long().cpu(),
                groups=(torch.arange(B) + n_groups).repeat_interleave(C),
                experiment=batch.experiment.repeat_interleave(C).long().cpu(),
            )
            n_groups += B
    finally:
        model.train(was_training)


def prediction_loader(
    model: PtychographyModel,
    scan: RawData,
    *,
    geometry: Geometry | None = None,
    groups: ScanGroups | None = None,
    loader: LoaderConfig | None = None,
) -> GroupLoader:
    """Return a loader over groups that cover a scan, scaled as in training.

    What training told of the patterns' scale is used unchanged where the probe says how many photons there were. Where
    it does not, in training or here, the probe gets the energy of this scan's own patterns.

    Parameters
    ----------
    model
        What will predict.
    scan
        A scan that the model was made for, or another like it; `PatternStore.scan` is one. If the model has refined
        positions, ``model.refined(scan)``.
    geometry
        How the scan was measured; what it states if None, and as in training if it states nothing.
    groups
        Groups to predict; `covering_groups` of the model's group size if None.
    loader
        Batch size and workers, 32 patterns at once if None; the order is kept and nothing left out.

    Raises
    ------
    CheckpointError
        If the scan does not fit the model.
    """
    model.contract.check(scan, geometry=geometry)
    if groups is None:
        groups = covering_groups(scan.positions, C=model.contract.C or 1)
    n_members = groups.members.shape[1]
    model.contract.check_groups(n_members)
    scan, scale = _scaled(model, scan)
    dataset = GroupedDataset(scan, groups, scale=scale)
    settings = loader or LoaderConfig(batch_size=max(1, PATTERNS_TOGETHER // n_members))
    return make_loader(
        dataset, settings.replace(shuffle=False, drop_last=False, even_ranks=False, regroup=False), rank=0, n_ranks=1
    )


def _scaled(model: PtychographyModel, scan: RawData) -> tuple[RawData, float]:
    """Return the scan with a probe that its patterns may come from, and the scale of the network's input."""
    rows = spread_rows(len(scan), N_MEASURED)
    energy = float(scan.energies(rows).mean())
    if model.config.probe_scaling == "match":
        return scan, rms_input_scale(energy, scan.N)
    share = energy / float(np.square(np.abs(scan.probe)).sum())
    if model.passive and not is_passive(share):
        logger.info("patterns hold %.3g of the probe's energy: its scale is taken from them", share)
        scan = replace(scan, probe=scan.probe * np.float32(share**0.5))
    return scan, model.scaling.rms_input_scale


def covering_groups(
    positions: Positions, *, C: int, n_neighbors: int | None = None, every_seed: bool = False
) -> ScanGroups:
    """Return groups of C neighbors such that every scan point is a member of at least one.

    Scan points are visited in order; one that is in no group yet begins one, and takes with it those of its neighbors
    that are in none, nearest first, and then the nearest others. The groups are few, near n/C.

    Parameters
    ----------
    positions
        (y, x) of each scan point, in object pixels.
    C
        Members of a group.
    n_neighbors
        Neighbors that members are taken from; 2 C if None.
    every_seed
        Let every scan point begin a group, with its nearest neighbors: C times the work, and a mean over about C views
        of each point, which is less noisy.

    Raises
    ------
    GroupingError
        If the scan has fewer than C points.

    Examples
    --------
    >>> line = np.stack([np.zeros(5), np.arange(5.0)], axis=1)
    >>> covering_groups(line, C=2).members.tolist()
    [[0, 1], [2, 3], [4, 3]]
    """
    n_scan = len(positions)
    if n_scan < C:
        raise GroupingError(
            f"expected at least {C} scan points for groups of {C}; found {n_scan}. Use a model trained "
            "on smaller groups."
        )
    if C == 1:
        alone = np.arange(n_scan, dtype=np.int32)
        return groups_from_members(positions, members=alone[:, None], seeds=alone)
    K = min(n_scan, max(C, (2 * C if n_neighbors is None else n_neighbors) + 1))
    near = np.asarray(cKDTree(positions).query(positions, k=K)[1])
    covered = np.zeros(n_scan, bool)
    members: list[np.ndarray] = []
    for seed in range(n_scan):
        if covered[seed] and not every_seed:
            continue
        others = near[seed][near[seed] != seed][: K - 1]
        order = slice(None) if every_seed else np.argsort(covered[others], kind="stable")
        chosen = np.concatenate([[seed], others[order][: C - 1]])
        covered[chosen] = True
        members.append(chosen)
    table = np.array(members, np.int32)
    return groups_from_members(positions, members=table, seeds=table[:, 0].copy())
