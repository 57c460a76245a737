"""MixtureDataset: several scans as one, each with its own probe, scale and mask."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Self

import numpy as np
import torch
from jaxtyping import Bool, Complex64, Int32, Int64
from torch import Tensor
from torch.utils.data import Dataset

from ptychofold.config import MixtureConfig
from ptychofold.data.batch import GroupBatch, GroupNumbers
from ptychofold.data.dataset import GroupedDataset
from ptychofold.data.readers import JoinedReader
from ptychofold.data.table import GroupTable
from ptychofold.errors import ConfigError, ShapeError

__all__ = ["MixtureDataset", "one_or_mixed"]


class MixtureDataset(Dataset[GroupBatch]):
    """Groups of several scans in one epoch of exact length.

    Within a batch groups are ordered by scan, so that each scan is read once; ``batch.experiment`` names the scan.

    Parameters
    ----------
    datasets
        A dataset for each scan, by name; experiment numbers follow the sorted names.
    config
        How scans share an epoch.

    Raises
    ------
    ShapeError
        If patterns differ in size.
    ConfigError
        If there is no scan, or group sizes, ground truth or devices differ.
    """

    def __init__(self, datasets: Mapping[str, GroupedDataset], config: MixtureConfig | None = None) -> None:
        self.names = tuple(sorted(datasets))
        self.datasets = tuple(datasets[name] for name in self.names)
        self.config = config or MixtureConfig()
        _check_alike(dict(zip(self.names, self.datasets, strict=True)))
        first = self.datasets[0]
        self.N, self.ground_truth, self.device = first.scan.N, first.ground_truth, first.device
        self.probe = _stack_probes([dataset.probe for dataset in self.datasets])
        self.bad_pixels = _stack_masks(self.datasets)
        self.scales = np.array([dataset.scale for dataset in self.datasets], np.float32)
        self.reader = JoinedReader([d.reader for d in self.datasets], [len(d.scan) for d in self.datasets])
        self._tabulate()

    def __len__(self) -> int:
        return int(self.quotas.sum())

    def __getitem__(self, index: int) -> GroupBatch:
        """Return one group, counted through all scans, as a batch of one."""
        n_groups = len(self.table.experiment)
        if not -n_groups <= index < n_groups:
            raise IndexError(f"expected a group from {-n_groups} to {n_groups - 1}; found {index}")
        return self.__getitems__([index % n_groups])

    def __getitems__(self, indices: GroupNumbers) -> GroupBatch:
        """Return groups, counted through all scans, as one batch ordered by scan."""
        chosen = np.sort(np.asarray(indices, dtype=np.int64)) if len(indices) else np.empty(0, np.int64)
        fields = self.table.take(chosen)
        members, experiment = fields["members"].numpy(), fields["experiment"].numpy()
        rows = members + self.reader.starts.take(experiment)[:, None]
        patterns = self.reader(rows.reshape(-1))
        batch = GroupBatch(
            diffraction=patterns.view(*members.shape, *patterns.shape[1:]),
            **fields,
            scale=torch.from_numpy(self.scales.take(experiment)),
            probe=self.probe,
            bad_pixels=self.bad_pixels,
            patches=self._ground_truth(members, experiment) if self.ground_truth else None,
        )
        return batch if self.device is None else batch.to(self.device)

    def _ground_truth(
        self, members: Int32[np.ndarray, "B C"], experiment: Int32[np.ndarray, " B"]
    ) -> Complex64[Tensor, "B C N N"]:
        truth = torch.empty((*members.shape, self.N, self.N), dtype=torch.complex64)
        for number in np.unique(experiment):
            chosen = experiment == number
            truth[chosen] = torch.from_numpy(self.datasets[number].scan.ground_truth(members[chosen]))
        return truth

    def order(self, rng: np.random.Generator | None) -> Int64[np.ndarray, " group"]:
        """Return the groups of one epoch: each scan's quota of its groups, none repeated until all were seen."""
        parts = [
            offset + _cycle(len(dataset), int(quota), rng)
            for dataset, quota, offset in zip(self.datasets, self.quotas, self.offsets, strict=True)
        ]
        joined = np.concatenate(parts)
        return joined if rng is None else rng.permutation(joined)

    def regroup(self, epoch: int) -> Self:
        """Draw the groups of every scan anew from (its seed, epoch)."""
        for dataset in self.datasets:
            dataset.regroup(epoch)
        self._tabulate()
        return self

    def fingerprint(self) -> str:
        """Return the same text for the same scans, groups and mixing policy, and another one for others."""
        digest = blake2b(self.config.model_dump_json().encode(), digest_size=16)
        for name, dataset in zip(self.names, self.datasets, strict=True):
            digest.update(f"{name}:{dataset.fingerprint()};".encode())
        return digest.hexdigest()

    def _tabulate(self) -> None:
        tables = [GroupTable.of(d.scan, d.groups, experiment=i) for i, d in enumerate(self.datasets)]
        self.table = GroupTable.concatenate(tables)
        lengths = np.array([len(dataset) for dataset in self.datasets])
        self.offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        self.quotas = _quotas(lengths, self.config)


def one_or_mixed(
    datasets: Mapping[str, GroupedDataset], config: MixtureConfig | None, *, part: str
) -> GroupedDataset | MixtureDataset:
    """Return the only dataset, or a mixture; parts other than "train" are judged whole, every group once."""
    if len(datasets) == 1:
        return next(iter(datasets.values()))
    return MixtureDataset(datasets, config if part == "train" else None)


def _quotas(lengths: Int64[np.ndarray, " scan"], config: MixtureConfig) -> Int64[np.ndarray, " scan"]:
    """Share an epoch among scans in whole groups: largest remainders, the total exact."""
    exponent = {"proportional": 1.0, "uniform": 0.0, "temperature": 1.0 / config.temperature}[config.policy]
    share = lengths.astype(np.float64) ** exponent
    total = int(lengths.sum()) if config.n_groups is None else config.n_groups
    exact = total * share / share.sum()
    quotas: np.ndarray = np.floor(exact).astype(np.int64)
    rest = np.argsort(quotas - exact, kind="stable")[: total - quotas.sum()]
    quotas[rest] += 1
    return quotas


def _cycle(n_groups: int, quota: int, rng: np.random.Generator | None) -> Int64[np.ndarray, " quota"]:
    """Return ``quota`` groups: whole passes, then a part of one, so that none is seen twice before all are."""
    n_passes = -(-quota // n_groups)
    passes = [np.arange(n_groups) if rng is None else rng.permutation(n_groups) for _ in range(n_passes)]
    return np.concatenate([*passes, np.empty(0, np.int64)])[:quota].astype(np.int64, copy=False)


def _check_alike(datasets: Mapping[str, GroupedDataset]) -> None:
    if not datasets:
        raise ConfigError("expected at least one scan in a mixture; found none.")
    name, first = next(iter(datasets.items()))
    for other, dataset in datasets.items():
        if dataset.scan.N != first.scan.N:
            raise ShapeError(
                f"expected patterns of one size in a mixture; {name} has N = {first.scan.N}, {other} has "
                f"N = {dataset.scan.N}. Crop, bin or pad one of them first.",
                field="patterns",
            )
        facts = {
            "group size": (first.groups.members.shape[1], dataset.groups.members.shape[1]),
            "ground_truth": (first.ground_truth, dataset.ground_truth),
            "device": (first.device, dataset.device),
        }
        for fact, (ours, theirs) in facts.items():
            if ours != theirs:
                raise ConfigError(f"expected one {fact} in a mixture; {name} has {ours}, {other} has {theirs}.")


def _stack_probes(probes: Sequence[Complex64[Tensor, "1 _ N N"]]) -> Complex64[Tensor, "experiment mode N N"]:
    n_modes = max(probe.shape[1] for probe in probes)
    padded = [
        torch.nn.functional.pad(torch.view_as_real(probe), (0, 0, 0, 0, 0, 0, 0, n_modes - probe.shape[1]))
        for probe in probes
    ]
    return torch.view_as_complex(torch.cat(padded))


def _stack_masks(datasets: Sequence[GroupedDataset]) -> Bool[Tensor, "experiment N N"] | None:
    masks = [dataset.bad_pixels for dataset in datasets]
    if all(mask is None for mask in masks):
        return None
    good = torch.zeros((1, datasets[0].scan.N, datasets[0].scan.N), dtype=torch.bool, device=datasets[0].device)
    return torch.cat([good if mask is None else mask for mask in masks])
