"""The contract's loading options: positions turned, and a seeded, sorted choice of scan points."""

from dataclasses import replace

import numpy as np

from ptychofold.errors import ConfigError
from ptychofold.grouping.reference_torch import random_stream
from ptychofold.raw_data import RawData

__all__ = ["chosen", "turned"]


def turned(
    scan: RawData, *, flip_x: bool = False, flip_y: bool = False, swap_xy: bool = False, scale: float = 1.0
) -> RawData:
    """Return the scan with its positions, nominal ones too, flipped, swapped and scaled, in this order.

    Patterns, probe and object stay as they are.

    Raises
    ------
    ConfigError
        If the scale is 0 or not finite.

    Examples
    --------
    >>> from ptychofold.testing import make_scan
    >>> scan = make_scan(n_scan=4, N=16)
    >>> bool((turned(scan, flip_x=True, swap_xy=True).positions == scan.positions[:, ::-1] * [-1, 1]).all())
    True
    """
    if not (np.isfinite(scale) and scale):
        raise ConfigError(f"expected a finite scale of the positions that is not 0; found {scale}.")
    factor = np.array([-scale if flip_y else scale, -scale if flip_x else scale])
    turn = slice(None, None, -1 if swap_xy else 1)
    positions, nominal = ((found * factor)[:, turn] for found in (scan.positions, scan.positions_nominal))
    return replace(scan, positions=positions, positions_nominal=nominal)


def chosen(scan: RawData, n_kept: int | None, *, seed: int | None) -> RawData:
    """Return ``n_kept`` scan points as the contract chooses them, in the order of the file; all if there are no more.

    ``file_rows`` of the result says which they are.

    Raises
    ------
    ConfigError
        If there are to be none, or the seed is out of range.
    """
    if n_kept is not None and n_kept < 1:
        raise ConfigError(f"expected at least one scan point to keep; found {n_kept}.")
    if n_kept is None or n_kept >= len(scan):
        return replace(scan, file_rows=np.arange(len(scan)))
    return scan.subset(np.sort(random_stream(seed).choice(len(scan), n_kept, replace=False)))
