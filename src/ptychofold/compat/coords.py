"""Coordinates and neighbors under the reference's names, in its layouts: [x, y], relative = −(position − mean)."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float64, Int, Int64, Real

from ptychofold.compat.config import from_torch
from ptychofold.compat.config_torch import DataConfig
from ptychofold.config import GroupingConfig
from ptychofold.conventions import xy_from_yx, yx_from_columns
from ptychofold.errors import ShapeError
from ptychofold.grouping.reference import oversampled_groups, standard_groups
from ptychofold.grouping.reference_torch import draw_inner_groups, nearest_with_self, random_stream

__all__ = [
    "get_neighbor_indices", "get_relative_coords", "group_coords", "grouping_of", "oversampled_groups",
    "standard_groups",
]  # fmt: skip

Coordinates = Real[np.ndarray, " scan"]


def get_relative_coords(coords_nn: Real[np.ndarray, "..."]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each group and −(position − mean), of (B, 1, 2, C) or, PyTorch's layout, (B, C, 1, 2)."""
    members = 3 if coords_nn.shape[1:3] == (1, 2) else 1
    if coords_nn.ndim != 4 or (members == 1 and coords_nn.shape[2:] != (1, 2)):
        raise ShapeError(f"expected shape (B, 1, 2, C) or (B, C, 1, 2); found {coords_nn.shape}.", field="coords_nn")
    mean = coords_nn.mean(axis=members, keepdims=True)
    return mean, -(coords_nn - mean)


def get_neighbor_indices(
    xcoords: Coordinates, ycoords: Coordinates, data_config: DataConfig | int | None = None, K: int | None = None
) -> Int64[np.ndarray, "scan K1"]:
    """Return each point and its K nearest: ``(x, y, K=3)`` is TensorFlow's call, ``(x, y, config, K=6)`` PyTorch's."""
    if isinstance(data_config, int):
        K = data_config
    elif K is None:
        K = 3 if data_config is None else 6
    return nearest_with_self(xy_from_yx(yx_from_columns(x=xcoords, y=ycoords)), K)


def group_coords(  # noqa: PLR0917 (the reference's signature)
    xcoords_full: Coordinates,
    ycoords_full: Coordinates,
    xcoords_bounded: object,
    ycoords_bounded: object,
    neighbor_function: object,
    valid_mask: Int[np.ndarray, " inner"],
    data_config: DataConfig,
    C: int | None = None,
    return_center_indices: bool = False,
) -> tuple[np.ndarray, ...]:
    """Draw groups around the points ``valid_mask`` of the inner field, seeded by ``data_config.subsample_seed``.

    What the bounded coordinates and ``neighbor_function`` say is taken from ``valid_mask`` and ``data_config``.

    Returns
    -------
    nn_indices, coords_nn, center_indices
        (M, C) into the full scan; (M, C, 1, 2) [x, y]; and, if asked for, the seeds (M,). Members of a group differ;
        points without a group are left out.
    """
    positions: Float64[np.ndarray, "scan 2"] = yx_from_columns(x=xcoords_full, y=ycoords_full)
    settings, stream = grouping_of(data_config, C=C), random_stream(data_config.subsample_seed)
    members, seeds = draw_inner_groups(positions, valid_mask, settings, stream=stream)
    coords = xy_from_yx(positions)[members][:, :, None]
    return (members, coords, seeds) if return_center_indices else (members, coords)


def grouping_of(config: DataConfig, *, C: int | None = None) -> GroupingConfig:
    """Return how a PyTorch configuration groups, with C members instead of its own if C is given."""
    C = config.C if C is None else C
    return from_torch(replace(config, C=C, neighbor_function=config.neighbor_function if C > 1 else "Nearest")).grouping
