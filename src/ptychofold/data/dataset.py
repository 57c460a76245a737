"""GroupedDataset: one scan, its groups, and one gather a batch."""

from hashlib import blake2b
from typing import Self

import numpy as np
import torch
from jaxtyping import Int64
from torch.utils.data import Dataset

from ptychofold.config import GroupingConfig
from ptychofold.data.batch import GroupBatch, GroupNumbers
from ptychofold.data.readers import Values, in_memory, make_reader
from ptychofold.data.table import GroupTable
from ptychofold.errors import ConfigError, MissingFieldError
from ptychofold.grouping import ScanGroups, group_scan
from ptychofold.raw_data import RawData

__all__ = ["GroupedDataset"]


class GroupedDataset(Dataset[GroupBatch]):
    """Groups of a scan as batches; patterns are read when a batch is asked for, never copied per group.

    Parameters
    ----------
    scan
        The scan; its patterns may lie in a file. Patterns that cannot be read row by row (a compressed NPZ) are
        read into memory once.
    groups
        Which scan points belong together, by `group_scan`; or a configuration, from which they are drawn and, by
        `regroup`, drawn again each epoch.
    values
        Batches hold "amplitude", or "counts" for losses on photons.
    ground_truth
        Put true object patches into the batches; the scan must have an object or patches.
    scale
        RMS input scale, such as a trained model's; None computes it from the scan points of the groups.
    device
        Where batches shall be; None leaves them in host memory.
    resident
        Keep the patterns on the device, in their stored dtype; in host memory if ``device`` is None.

    Raises
    ------
    MissingFieldError
        If ground truth is asked for and the scan has none.
    DomainError
        If a pattern is negative or non-finite, or all are dark.
    """

    def __init__(
        self,
        scan: RawData,
        groups: ScanGroups | GroupingConfig,
        *,
        values: Values = "amplitude",
        ground_truth: bool = False,
        scale: float | None = None,
        device: torch.device | str | None = None,
        resident: bool = False,
    ) -> None:
        if ground_truth and scan.patches is None and scan.object is None:
            raise MissingFieldError(
                "expected a scan with an object or patches, as ground truth is asked for; found neither. "
                "Reconstruct the scan first, or train without ground truth.",
                path=scan.metadata.source,
                field="object",
            )
        self.scan = scan if scan.patterns.random_access or resident else scan.with_patterns(in_memory(scan))
        self.config = groups if isinstance(groups, GroupingConfig) else None
        self.ground_truth = ground_truth
        self.device = None if device is None else torch.device(device)
        self._set_groups(group_scan(scan.positions, groups) if isinstance(groups, GroupingConfig) else groups)
        self.scale = self.scan.rms_input_scale(np.unique(self.groups.members)) if scale is None else scale
        self.reader = make_reader(self.scan, values=values, device=self.device, resident=resident)
        self.probe = torch.from_numpy(scan.probe[None].copy()).to(self.device)
        self.bad_pixels = (
            None if scan.bad_pixels is None else torch.from_numpy(scan.bad_pixels[None].copy()).to(self.device)
        )

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int) -> GroupBatch:
        """Return one group as a batch of one."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"expected a group from {-len(self)} to {len(self) - 1}; found {index}")
        return self.__getitems__([index])

    def __getitems__(self, indices: GroupNumbers) -> GroupBatch:
        """Return groups as one batch, in the order asked for; torch's loader calls this once a batch."""
        chosen = np.asarray(indices, dtype=np.int64)
        fields = self.table.take(chosen)
        members = fields["members"].numpy()
        patterns = self.reader(members.astype(np.int64).reshape(-1))
        truth = self.scan.ground_truth(members) if self.ground_truth else None
        batch = GroupBatch(
            diffraction=patterns.view(*members.shape, *patterns.shape[1:]),
            **fields,
            scale=torch.full((len(chosen),), self.scale, dtype=torch.float32),
            probe=self.probe,
            bad_pixels=self.bad_pixels,
            patches=None if truth is None else torch.from_numpy(truth),
        )
        return batch if self.device is None else batch.to(self.device)

    def load(self) -> GroupBatch:
        """Return every group in one batch, all in memory."""
        return self.__getitems__(range(len(self)))

    def order(self, rng: np.random.Generator | None) -> Int64[np.ndarray, " group"]:
        """Return the groups of one epoch: shuffled by ``rng``, or in their own order."""
        return np.arange(len(self)) if rng is None else rng.permutation(len(self))

    def regroup(self, epoch: int) -> Self:
        """Draw the groups of an epoch from (seed, epoch): other groups from the same patterns, for free.

        Raises
        ------
        ConfigError
            If the dataset was made from drawn groups or without a seed, so that there is nothing to draw again.
        """
        if self.config is None or self.config.seed is None:
            raise ConfigError(
                "expected a dataset made from a GroupingConfig with a seed, as regrouping draws from (seed, epoch); "
                "found fixed groups or no seed. Pass GroupingConfig(seed=0, …) instead of groups."
            )
        rng = np.random.default_rng([self.config.seed, epoch])
        self._set_groups(group_scan(self.scan.positions, self.config, rng=rng))
        return self

    def fingerprint(self) -> str:
        """Return the same text for the same positions and groups, or configuration and seed to draw them from."""
        digest = blake2b(self.scan.positions.tobytes(), digest_size=16)
        if self.config is not None and self.config.seed is not None:
            digest.update(self.config.model_dump_json().encode())
        else:
            digest.update(self.groups.members.tobytes())
        return digest.hexdigest()

    def _set_groups(self, groups: ScanGroups) -> None:
        self.groups = groups
        self.table = GroupTable.of(self.scan, groups)
