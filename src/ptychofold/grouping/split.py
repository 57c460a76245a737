"""Partitions of scan points, made before grouping so that no pattern is shared between the parts."""

from collections.abc import Mapping
from math import ceil, isclose
from typing import Literal

import numpy as np
from jaxtyping import Int64

from ptychofold.errors import ConfigError, GroupingError
from ptychofold.typing import Indices, Positions
from ptychofold.validation import check_positions

__all__ = ["split_scan"]

_BLOCKS_PER_PART = 4
"""Blocks that the smallest part is made of, on average: few enough to be compact, enough to be spread out."""


def split_scan(
    positions: Positions,
    *,
    fractions: Mapping[str, float],
    method: Literal["random", "blocks", "stripes"] = "blocks",
    seed: int,
) -> dict[str, Indices]:
    """Split scan points into disjoint parts of the given fractions.

    Patterns of neighboring scan points share most of their object. A random split therefore tests memory; blocks and
    stripes keep the parts apart but for their borders.

    Parameters
    ----------
    positions
        (y, x) of each scan point, in object pixels.
    fractions
        Share of each part by name; they sum to 1.
    method
        ``"random"``: every scan point by itself. ``"blocks"``: compact blocks of nearly equal numbers of scan points,
        made by halving along the longer side, each given to a part by chance; a block on the border between two
        parts is cut. ``"stripes"``: one band a part, side by side along the longer axis of the scan, in random order.
    seed
        Seed of the choice.

    Returns
    -------
    parts
        Ascending indices of each part. Every scan point is in exactly one; sizes are the fractions of the scan,
        rounded by largest remainder.

    Raises
    ------
    ConfigError
        If there is no part, a fraction is negative, they do not sum to 1, or the method is unknown.
    GroupingError
        If a part with a positive fraction would be empty.
    DataError
        If the positions are not finite numbers of shape (scan, 2).

    Examples
    --------
    >>> positions = np.stack(np.mgrid[:2.0, :5.0], axis=-1).reshape(-1, 2)
    >>> parts = split_scan(positions, fractions={"train": 0.8, "test": 0.2}, method="stripes", seed=1)
    >>> parts["test"].tolist()
    [4, 9]
    """
    positions = check_positions(positions, n_scan=len(positions))
    sizes = _sizes(len(positions), fractions)
    rng = np.random.default_rng(seed)
    names = list(fractions)
    if method == "random":
        order = rng.permutation(len(positions))
    elif method == "blocks":
        smallest = min(share for share in fractions.values() if share > 0)
        n_blocks = min(len(positions), ceil(_BLOCKS_PER_PART / smallest))
        blocks = _blocks(positions, np.arange(len(positions)), n_blocks)
        order = np.concatenate([blocks[number] for number in rng.permutation(len(blocks))])
    elif method == "stripes":
        order = _along_longer_axis(positions, np.arange(len(positions)))
        names = [names[number] for number in rng.permutation(len(names))]
    else:
        raise ConfigError(f"expected method 'random', 'blocks' or 'stripes'; found {method!r}.")
    ends = np.cumsum([sizes[name] for name in names])
    parts = dict(zip(names, np.split(order, ends[:-1]), strict=True))
    return {name: np.sort(parts[name]) for name in fractions}


def _sizes(n_scan: int, fractions: Mapping[str, float]) -> dict[str, int]:
    """Round the shares of ``n_scan`` by largest remainder."""
    if not fractions or any(not share >= 0 for share in fractions.values()):
        raise ConfigError(f"expected at least one fraction, none negative; found {dict(fractions)}.")
    total = sum(fractions.values())
    if not isclose(total, 1.0, abs_tol=1e-9):
        raise ConfigError(f"expected fractions that sum to 1; found {dict(fractions)}, which sum to {total}.")
    exact = {name: share * n_scan for name, share in fractions.items()}
    sizes = {name: int(value + 1e-9) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: sizes[name] - exact[name])
    for name in by_remainder[: n_scan - sum(sizes.values())]:
        sizes[name] += 1
    empty = [name for name, share in fractions.items() if share > 0 and not sizes[name]]
    if empty:
        raise GroupingError(
            f"expected scan points for every part; {n_scan} scan points leave {', '.join(empty)} empty. "
            "Raise its fraction or set it to 0."
        )
    return sizes


def _blocks(positions: Positions, members: Int64[np.ndarray, " n"], n_blocks: int) -> list[Int64[np.ndarray, " block"]]:
    """Halve along the longer side until there are ``n_blocks`` blocks, whose numbers differ as little as can be."""
    if n_blocks == 1:
        return [members]
    order = _along_longer_axis(positions, members)
    n_left = n_blocks // 2
    cut = len(members) * n_left // n_blocks
    return _blocks(positions, order[:cut], n_left) + _blocks(positions, order[cut:], n_blocks - n_left)


def _along_longer_axis(positions: Positions, members: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Order scan points along the longer axis of their bounding box; ties along the other axis, then by index."""
    places = positions[members]
    longer = int(np.argmax(np.ptp(places, axis=0)))
    return members[np.lexsort([places[:, 1 - longer], places[:, longer]])]
