"""The contract's grouped dictionary: channels last, coordinates [x, y], relative offsets with the sign turned.

This module and ``compat`` are the only homes of that form.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NotRequired, TypedDict, cast

import numpy as np
from jaxtyping import Complex64, Float32, Float64, Int32, Int64

from ptychofold.conventions import channels_first, channels_last, xy_from_yx
from ptychofold.errors import ConfigError, DtypeError, MissingFieldError, ShapeError
from ptychofold.scaling import rms_input_scale

__all__ = ["GroupedData", "check_grouped", "mean_energy", "one_side", "seed_of", "to_contract"]


_DTYPES: Final[Mapping[str, type[np.generic]]] = MappingProxyType({"X_full": np.float32, "Y": np.complex64})
_OF_THE_SCAN = ("objectGuess", "sample_indices")
"""Keys that belong to the scan; all others belong to its groups."""
_NONE_WHERE_UNKNOWN = ("Y", "objectGuess")
"""Keys whose value is None, and which a file leaves out, where the scan does not know them."""


class _Drawn(dict[str, object]):
    """The dictionary, and beside its keys the seed that its groups were drawn from."""

    seed: int | None = None


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
    seed: int | None = None,
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
    seed
        Seed that drew the groups, kept for `seed_of`.

    Raises
    ------
    DomainError
        If the grouped patterns hold no light or non-finite values.
    """
    offsets, relative, coords = _coordinates(positions, members)
    start_offsets, start_relative, start_coords = _coordinates(positions_nominal, members)
    subset = {} if file_rows is None else {"sample_indices": file_rows}
    grouped = _Drawn({
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
    })  # fmt: skip
    grouped.seed = seed
    return cast(GroupedData, grouped)


def seed_of(grouped: GroupedData) -> int | None:
    """Return the seed that the groups were drawn from, also where none was given; None for a dictionary of others.

    Examples
    --------
    >>> from ptychofold.testing import make_scan
    >>> scan = make_scan(n_scan=9, N=16)
    >>> first = scan.generate_grouped_data(16, nsamples=5)
    >>> again = scan.generate_grouped_data(16, nsamples=5, seed=seed_of(first))
    >>> bool((first["nn_indices"] == again["nn_indices"]).all())
    True
    """
    return grouped.seed if isinstance(grouped, _Drawn) else None


def check_grouped(grouped: GroupedData) -> GroupedData:
    """Return the dictionary if it is of the contract; ``Y`` and ``objectGuess`` may be left out, as None is in a file.

    Raises
    ------
    MissingFieldError
        If a key is missing; the message names all that are.
    DtypeError
        If a value is no NumPy array, X_full is not float32 or Y not complex64.
    ShapeError
        If arrays disagree on the number of groups, or Y and X_full on their shape.
    """
    missing = sorted(GroupedData.__required_keys__ - {*grouped, *_NONE_WHERE_UNKNOWN})
    if missing:
        raise MissingFieldError(
            f"expected the keys of generate_grouped_data; {', '.join(missing)} missing, found {', '.join(grouped)}.",
            field=missing[0],
        )
    arrays = {key: values for key, values in grouped.items() if values is not None or key not in _NONE_WHERE_UNKNOWN}
    for key, values in arrays.items():
        if not isinstance(values, np.ndarray):
            raise DtypeError(
                f"expected {key} as a NumPy array; found {type(values).__module__}.{type(values).__name__}. "
                "Give what generate_grouped_data returned, or convert it with numpy.asarray.",
                field=key,
            )
    shape = grouped["X_full"].shape
    if len(shape) != 4:
        raise ShapeError(f"expected X_full of shape (B, N, N, C); found {shape}.", field="X_full")
    for key, values in cast(Mapping[str, np.ndarray], arrays).items():
        if key in _DTYPES and values.dtype != _DTYPES[key]:
            raise DtypeError(
                f"expected {key} of {np.dtype(_DTYPES[key])}; found {values.dtype}. Cast it before.", field=key
            )
        if key not in _OF_THE_SCAN and values.shape[:1] != shape[:1]:
            raise ShapeError(f"expected {key} for each of the {shape[0]} groups; found {values.shape}.", field=key)
        if key in ("Y", "diffraction") and values.shape != shape:
            raise ShapeError(
                f"expected {key} of shape {shape}, (B, N, N, C) as X_full; found {values.shape}.", field=key
            )
    if all(key in grouped for key in _NONE_WHERE_UNKNOWN):
        return grouped
    return cast(GroupedData, {**dict.fromkeys(_NONE_WHERE_UNKNOWN), **grouped})


def one_side(grouped: GroupedData, fraction: float, *, which: str | None) -> GroupedData:
    """Return the first ``fraction`` of the groups ("train") or the others ("test"); every array is split alike.

    Raises
    ------
    ConfigError
        If the side is unknown, or the fraction leaves one empty.
    """
    if not 0 <= fraction <= 1:
        raise ConfigError(f"expected a fraction from 0 to 1; found {fraction}.")
    n_groups = len(grouped["X_full"])
    n_train = int(n_groups * fraction)
    sides = {"train": slice(n_train), "test": slice(n_train, None)}
    if which not in sides:
        raise ConfigError(f"expected which='train' or 'test' with create_split; found {which!r}.")
    if not 0 < n_train < n_groups:
        raise ConfigError(
            f"expected a fraction that leaves groups on both sides; {fraction} of {n_groups} groups gives {n_train}."
        )
    part = {
        key: value[sides[which]] if key not in _OF_THE_SCAN and isinstance(value, np.ndarray) else value
        for key, value in grouped.items()
    }
    return cast(GroupedData, part)


def mean_energy(patterns: Float32[np.ndarray, "B N N C"]) -> float:
    """Return ⟨Σ A²⟩ over patterns of the dictionary, squares summed in float64."""
    first = channels_first(patterns)
    return float(np.einsum("bcij,bcij->bc", first, first, dtype=np.float64).mean())


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
    return amplitude * np.float32(rms_input_scale(mean_energy(channels_last(amplitude)), amplitude.shape[-1]))
