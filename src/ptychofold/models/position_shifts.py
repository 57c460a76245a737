"""PositionShifts: what training learns of where the patterns of one scan were taken."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, Integer
from torch import Tensor, nn

from ptychofold.errors import ShapeError
from ptychofold.raw_data import RawData
from ptychofold.reading import spread_rows

__all__ = ["PositionShifts"]

logger = logging.getLogger(__name__)

N_KNOWN_BY = 8
"""Patterns, evenly spread, whose energies tell a scan from another on the same positions."""


class PositionShifts(nn.Module):
    """Shifts of the scan points of a training split, and what the scan that they belong to is known by.

    Parameters
    ----------
    rows
        (n,), scan points of the training split, in its order.
    positions
        (scan, 2), (y, x) of the whole scan in object pixels, before training.
    energy
        Σ A² of some of its patterns.

    Examples
    --------
    >>> from ptychofold.testing import make_scan
    >>> scan = make_scan(n_scan=9, N=16)
    >>> moved = PositionShifts.of(scan, rows=np.array([4, 7]))
    >>> _ = moved.shifts.data.fill_(0.5)
    >>> (moved.applied_to(scan).positions - scan.positions)[:, 0].round(3).tolist()
    [0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.5, 0.0]
    """

    rows: Tensor
    positions: Tensor
    energy: Tensor

    def __init__(
        self, *, rows: Int64[Tensor, " n"], positions: Float32[Tensor, "scan 2"], energy: Float32[Tensor, " m"]
    ) -> None:
        super().__init__()
        self.shifts = nn.Parameter(torch.zeros(len(rows), 2))
        self.register_buffer("rows", rows)
        self.register_buffer("positions", positions)
        self.register_buffer("energy", energy)

    @classmethod
    def of(cls, scan: RawData, *, rows: Int64[np.ndarray, " n"]) -> Self:
        """Begin without shifts of some scan points."""
        return cls(
            rows=torch.from_numpy(rows.astype(np.int64)),
            positions=torch.from_numpy(scan.positions.astype(np.float32)),
            energy=torch.from_numpy(_energy(scan)),
        )

    @classmethod
    def like(cls, state: Mapping[str, Tensor]) -> Self:
        """Make room for what `state_dict` returned.

        Raises
        ------
        KeyError
            If a part is missing.
        ShapeError
            If the parts are not those of one scan.
        """
        rows, positions, energy = (state[name] for name in ("rows", "positions", "energy"))
        n_scan = len(positions) if positions.shape[1:] == (2,) else 0
        if rows.dim() != 1 or energy.dim() != 1 or rows.dtype != torch.int64 or not _within(rows, n_scan):
            raise ShapeError(
                f"expected rows (n,) of positions (scan, 2), and energies (m,); found {tuple(rows.shape)}, "
                f"{tuple(positions.shape)} and {tuple(energy.shape)}."
            )
        return cls(rows=rows, positions=positions, energy=energy)

    def forward(self, members: Integer[Tensor, "B C"]) -> Float[Tensor, "B C 2"]:
        """Return the shifts of members, counted within the training split."""
        shifts: Tensor = self.shifts[members.long()]
        return shifts

    def belongs_to(self, scan: RawData) -> bool:
        """Whether a scan is the one whose positions were learned: as many points, at the same places, as bright."""
        known_at, energy = self.positions.cpu().numpy(), self.energy.cpu().numpy()
        if len(scan) != len(known_at) or not np.allclose(scan.positions, known_at, rtol=1e-6, atol=1e-3):
            return False
        found = _energy(scan)
        return found.shape == energy.shape and np.allclose(found, energy, rtol=1e-3)

    def applied_to(self, scan: RawData) -> RawData:
        """Return the scan with the positions that were learned; another scan as it is."""
        if not self.belongs_to(scan):
            logger.info("the positions that a model learned are of another scan and do not apply")
            return scan
        positions = scan.positions.copy()
        positions[self.rows.cpu().numpy()] += self.shifts.detach().cpu().numpy()
        return replace(scan, positions=positions)


def _within(rows: Tensor, n_scan: int) -> bool:
    return bool(((rows >= 0) & (rows < n_scan)).all())


def _energy(scan: RawData) -> Float32[np.ndarray, " m"]:
    chosen = spread_rows(len(scan), N_KNOWN_BY)
    squares = np.square(scan.amplitude(chosen), dtype=np.float64)
    good = squares if scan.bad_pixels is None else np.where(scan.bad_pixels, 0, squares)
    return np.asarray(good.sum(axis=(1, 2)), np.float32)
