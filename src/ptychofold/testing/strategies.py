"""Hypothesis strategies: positions, scans and grouping configurations that are valid but awkward.

Needs hypothesis (``pip install 'ptychofold[dev]'``).
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from math import comb
from typing import get_args

import numpy as np
from hypothesis import strategies as st
from jaxtyping import Float64

from ptychofold.config import GroupingConfig
from ptychofold.raw_data import RawData
from ptychofold.testing.scans import Grid, make_positions, make_scan
from ptychofold.typing import Measurement

__all__ = ["grouping_configs", "positions", "scans"]

GRIDS: st.SearchStrategy[Grid] = st.sampled_from(get_args(Grid))
MEASUREMENTS: st.SearchStrategy[Measurement] = st.sampled_from(get_args(Measurement))


@st.composite
def positions(
    draw: st.DrawFn, *, min_size: int = 1, max_size: int = 60, extent: float = 200.0
) -> Float64[np.ndarray, "scan 2"]:
    """Draw positions (y, x): scattered, on a raster (distances tie), on a spiral, on one line, or partly duplicate.

    Parameters
    ----------
    min_size, max_size
        Bounds of the number of positions.
    extent
        Largest coordinate of scattered positions, in pixels; some are negative.
    """
    n_scan = draw(st.integers(min_size, max_size))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    grid = draw(st.none() | GRIDS)
    if grid is not None:
        return make_positions(n_scan, grid=grid, step=draw(st.sampled_from([1.0, 2.5, 4.0])), seed=rng)
    kind = draw(st.sampled_from(["scattered", "line", "duplicates"]))
    found: Float64[np.ndarray, "scan 2"] = rng.uniform(-extent / 10, extent, (n_scan, 2))
    if kind == "line":
        found[:, draw(st.integers(0, 1))] = 7.0
    if kind == "duplicates":
        found = found[rng.integers(0, max(1, n_scan // 2), n_scan)]
    return found


@st.composite
def scans(draw: st.DrawFn, *, max_scan: int = 30) -> RawData:
    """Draw a small simulated scan of either measurement, any grid, one to three modes, with or without extras."""
    build = partial(
        make_scan,
        n_scan=draw(st.integers(1, max_scan)),
        N=draw(st.sampled_from([8, 9, 16])),
        measurement=draw(MEASUREMENTS),
        grid=draw(GRIDS),
        n_modes=draw(st.integers(1, 3)),
        object=draw(st.booleans()),
        patches=draw(st.booleans()),
        n_bad_pixels=draw(st.integers(0, 3)),
        nominal_error=draw(st.sampled_from([0.0, 0.5])),
        seed=draw(st.integers(0, 2**16)),
    )
    with _random_state_kept():
        return build()


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Leave the `random` module as it was: run-time type checkers draw from it, and hypothesis would object."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


@st.composite
def grouping_configs(draw: st.DrawFn, *, n_scan: int = 60) -> GroupingConfig:
    """Draw a configuration that any ``n_scan`` different positions can satisfy: no distance bounds, no quadrants.

    Parameters
    ----------
    n_scan
        Scan points that there will be; at least 2.
    """
    side = draw(st.sampled_from([side for side in (1, 2, 3) if side * side < n_scan]))
    C = side * side
    n_neighbors = draw(st.integers(C, min(n_scan - 1, C + 6)))
    oversample = C > 1 and draw(st.booleans())
    most = n_scan * (min(3, comb(n_neighbors, C)) if oversample else 1)
    return GroupingConfig(
        grid=(side, side),
        n_neighbors=n_neighbors,
        n_groups=draw(st.none() | st.integers(1, most)),
        sampling=draw(st.sampled_from(["random", "sequential"])),
        seed=draw(st.integers(0, 2**32 - 1)),
        oversample=oversample,
    )
