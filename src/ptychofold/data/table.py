"""GroupTable: the geometry of groups as a batch wants it, ready to be indexed."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from jaxtyping import Float32, Int32, Int64
from torch import Tensor

from ptychofold.grouping import ScanGroups
from ptychofold.raw_data import RawData

__all__ = ["GroupTable"]


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupTable:
    """Members and coordinates of groups, float32, one row a group."""

    members: Int32[np.ndarray, "group C"]
    centers: Float32[np.ndarray, "group 2"]
    offsets: Float32[np.ndarray, "group C 2"]
    offsets_nominal: Float32[np.ndarray, "group C 2"]
    experiment: Int32[np.ndarray, " group"]

    @classmethod
    def of(cls, scan: RawData, groups: ScanGroups, *, experiment: int = 0) -> Self:
        """Tabulate the groups of one scan."""
        offsets = groups.offsets.astype(np.float32)
        nominal = offsets
        if scan.positions_nominal is not scan.positions:
            commanded = scan.positions_nominal[groups.members]
            nominal = (commanded - commanded.mean(axis=1, keepdims=True)).astype(np.float32)
        return cls(
            members=groups.members,
            centers=groups.centers.astype(np.float32),
            offsets=offsets,
            offsets_nominal=nominal,
            experiment=np.full(len(groups), experiment, np.int32),
        )

    @classmethod
    def concatenate(cls, tables: list[Self]) -> Self:
        """Lay tables one after another."""
        return cls(**{name: np.concatenate([getattr(table, name) for table in tables]) for name in cls.__annotations__})

    def take(self, chosen: Int64[np.ndarray, " B"]) -> dict[str, Tensor]:
        """Return rows as the fields of a batch that have these names."""
        return {name: torch.from_numpy(getattr(self, name).take(chosen, axis=0)) for name in self.__annotations__}
