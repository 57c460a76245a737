"""The contract's grouped dictionary: channels last, coordinates [x, y], relative offsets with the sign turned.

This module and ``compat`` are the only homes of that form.
"""

from typing import NotRequired, TypedDict, cast

import numpy as np
from jaxtyping import Complex64, Float32, Float64, Int32, Int64

from ptychofold.conventions import channels_last, xy_from_yx
from ptychofold.scaling import rms_input_scale

__all__ = ["GroupedData", "to_contract"]


class GroupedData(TypedDict):
    """What ``generate_grouped_data`` returns, in this order of keys.

    B groups of C members; coordinates are [x, y] along axis 2, in object pixels.
    """

    diffraction: Float32[np.ndarray, "B N N C"]
    """Amplitude of the members' patterns; a channels-last view of (B, C, N, N) memory."""
    Y: Complex64[np.ndarray, "B N N C"] | None
    """Ground-truth patches: the file's own, else cut from the object at each member's position."""
    coords_offsets: Float64[np.ndarray, "B 1 2 1"]
    """Mean position of the group."""
    coords_relative: Float64[np.ndarray, "B 1 2 C"]
    """−(position − mean)."""
    coords_start_offsets: Float64[np.ndarray, "B 1 2 1"]
    """Mean nominal position."""
    coords_start_relative: Float64[np.ndarray, "B 1 2 C"]
    """−(nominal position − mean)."""
    coords_nn: Float64[np.ndarray, "B 1 2 C"]
    """Positions."""
    coords_start_nn: Float64[np.ndarray, "B 1 2 C"]
    """Nominal positions."""
    nn_indices: Int32[np.ndarray, "B C"]
    """Scan points, as indices into this scan."""
    objectGuess: Complex64[np.ndarray, "H W"] | None
    """The object, where the file has one."""
    sample_indices: NotRequired[Int64[np.ndarray, " scan"]]
    """Row in the file of each scan point; only where the scan is a subset of a file."""
    X_full: Float32[np.ndarray, "B N N C"]
    """k · diffraction with k = √((N/2)² / mean Σ diffraction²)."""


def to_contract(
    *,
    members: Int32[np.ndarray, "B C"],
    amplitude: Float32[np.ndarray, "B C N N"],
    ground_truth: Complex64[np.ndarray, "B C N N"] | None,
    positions: Float64[np.ndarray, "scan 2"],
    positions_nominal: Float64[np.ndarray, "scan 2"],
    object_: Complex64[np.ndarray, "H W"] | None,
    file_rows: Int64[np.ndarray, " scan"] | None,
) -> GroupedData:
    """Turn native groups into the contract's dictionary.

    Parameters
    ----------
    members
        Scan points of each group.
    amplitude
        Their patterns.
    ground_truth
        Their patches, if known.
    positions, positions_nominal
        (y, x) of every scan point.
    object_
        The object, if known.
    file_rows
        Row in the file of every scan point, if the scan is a subset.

    Raises
    ------
    DomainError
        If the grouped patterns hold no light or non-finite values.
    """
    offsets, relative, coords = _coordinates(positions, members)
    start_offsets, start_relative, start_coords = _coordinates(positions_nominal, members)
    subset = {} if file_rows is None else {"sample_indices": file_rows}
    grouped = {
        "diffraction": channels_last(amplitude),
        "Y": None if ground_truth is None else channels_last(ground_truth),
        "coords_offsets": offsets,
        "coords_relative": relative,
        "coords_start_offsets": start_offsets,
        "coords_start_relative": start_relative,
        "coords_nn": coords,
        "coords_start_nn": start_coords,
        "nn_indices": members,
        "objectGuess": object_,
        **subset,
        "X_full": channels_last(_scaled(amplitude)),
    }
    return cast(GroupedData, grouped)


def _coordinates(
    positions: Float64[np.ndarray, "scan 2"], members: Int32[np.ndarray, "B C"]
) -> tuple[Float64[np.ndarray, "B 1 2 1"], Float64[np.ndarray, "B 1 2 C"], Float64[np.ndarray, "B 1 2 C"]]:
    """Return group mean, −(position − mean) and positions, all [x, y]."""
    coords = np.ascontiguousarray(np.swapaxes(xy_from_yx(positions)[members], 1, 2)[:, None])
    mean = coords.mean(axis=3, keepdims=True)
    return mean, -(coords - mean), coords


def _scaled(amplitude: Float32[np.ndarray, "B C N N"]) -> Float32[np.ndarray, "B C N N"]:
    if not len(amplitude):
        return amplitude
    energy = np.einsum("bcij,bcij->bc", amplitude, amplitude, dtype=np.float64)
    return amplitude * np.float32(rms_input_scale(float(energy.mean()), amplitude.shape[-1]))
