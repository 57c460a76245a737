"""PtychoDataContainer: the contract's container of training tensors, and the functions that make one."""

from collections.abc import Callable
from functools import cached_property
from typing import Literal, Self, cast

import numpy as np
import torch
from jaxtyping import Complex64, Shaped

from ptychofold.compat.tensors import Framework, FrameworkArray, as_framework
from ptychofold.contract import GroupedData
from ptychofold.conventions import channels_first
from ptychofold.errors import ConfigError, DtypeError, MissingFieldError
from ptychofold.raw_data import RawData
from ptychofold.scaling import photon_scale
from ptychofold.validation import check_probe

__all__ = ["PtychoDataContainer", "load"]

DEFAULT_N_PHOTONS = 1e9
"""Photon count of the TensorFlow dialect."""
PER_GROUP = ("diffraction", "Y", "X_full", "nn_indices", *(
    f"coords_{kind}" for kind in ("offsets", "relative", "start_offsets", "start_relative", "nn", "start_nn")
))  # fmt: skip


class PtychoDataContainer:
    """Tensors of B groups under the contract's names: channels last, coordinates [x, y].

    Tensors are views of the grouped arrays; amplitude and phase of the ground truth are made when first asked for.

    Parameters
    ----------
    grouped
        What ``generate_grouped_data`` returned.
    probe
        Illumination (N, N), or (mode, N, N), of which the contract keeps the first mode.
    n_photons
        Photon count that ``norm_Y_I`` refers to.
    framework
        Whose tensors the attributes are: "torch" or "numpy".
    device
        Where torch tensors shall be.

    Raises
    ------
    MissingFieldError
        If a key of the grouped dictionary is missing.
    DtypeError
        If ``X_full`` is not float32, ``Y`` not complex64 or the probe not complex.
    """

    def __init__(
        self,
        grouped: GroupedData,
        probe: Shaped[np.ndarray, "..."],
        *,
        n_photons: float = DEFAULT_N_PHOTONS,
        framework: Framework = "torch",
        device: torch.device | str = "cpu",
    ) -> None:
        _check_grouped(grouped)
        self._grouped = grouped
        self._probe = check_probe(np.asarray(probe), N=grouped["X_full"].shape[1])[0]
        self._n_photons = n_photons
        self._framework: Framework = framework
        self._device = device

    @classmethod
    def from_raw_data_without_pc(  # noqa: PLR0917 (the contract's signature)
        cls,
        xcoords: Shaped[np.ndarray, " scan"],
        ycoords: Shaped[np.ndarray, " scan"],
        diff3d: Shaped[np.ndarray, "scan N N"],
        probeGuess: Shaped[np.ndarray, "..."],
        scan_index: Shaped[np.ndarray, " scan"],
        objectGuess: Shaped[np.ndarray, "H W"] | None = None,
        N: int | None = None,
        K: int = 7,
        nsamples: int = 1,
        *,
        gridsize: int | None = None,
        seed: int | None = None,
        measurement: Literal["auto", "amplitude", "intensity"] = "auto",
    ) -> Self:
        """Group a scan whose nominal positions are its positions, and contain the groups.

        ``N`` None takes the side of the patterns; the other parameters are those of ``generate_grouped_data``.
        """
        scan = RawData.from_arrays(
            patterns=diff3d,
            positions=np.stack([ycoords, xcoords], axis=1),
            probe=probeGuess,
            scan_index=scan_index,
            object=objectGuess,
            measurement=measurement,
        )
        side = scan.N if N is None else N
        grouped = scan.generate_grouped_data(side, K=K, nsamples=nsamples, gridsize=gridsize, seed=seed)
        return cls(grouped, probeGuess)

    def __len__(self) -> int:
        return len(self._grouped["X_full"])

    def __repr__(self) -> str:
        shown = {
            name: tuple(getattr(self, name).shape) for name in ("X", "Y", "coords_nominal", "coords_true", "probe")
        }
        facts = " ".join(f"{name}={shape}" for name, shape in shown.items())
        return f"<PtychoDataContainer {facts} ground_truth={self.has_ground_truth} {self._framework} on {self._device}>"

    @property
    def has_ground_truth(self) -> bool:
        """Whether Y is known; where not, Y_I is ones and Y_phi zeros, as the contract fills them."""
        return self._grouped["Y"] is not None

    @cached_property
    def X(self) -> FrameworkArray:
        """Scaled amplitude, (B, N, N, C) float32."""
        return self._convert(self._grouped["X_full"])

    @cached_property
    def Y(self) -> FrameworkArray:
        """True patches, (B, N, N, C) complex64; ones without memory where unknown."""
        return self._convert(self._truth())

    @cached_property
    def Y_I(self) -> FrameworkArray:
        """Amplitude of Y, (B, N, N, C) float32, despite its name."""
        truth = self._truth()
        return self._convert(np.abs(truth) if self.has_ground_truth else truth.real)

    @cached_property
    def Y_phi(self) -> FrameworkArray:
        """Phase of Y in radians, (B, N, N, C) float32."""
        truth = self._truth()
        return self._convert(np.angle(truth) if self.has_ground_truth else truth.imag)

    @property
    def YY_full(self) -> FrameworkArray | None:
        """The whole object, (H, W) complex64, where known."""
        whole = self._grouped["objectGuess"]
        return None if whole is None else self._convert(whole)

    @cached_property
    def norm_Y_I(self) -> FrameworkArray:
        """√(photons / mean Σ X²), 0-d float32."""
        scaled = channels_first(self._grouped["X_full"])
        energy = np.einsum("bcij,bcij->bc", scaled, scaled, dtype=np.float64)
        return self._convert(np.array(photon_scale(self._n_photons, float(energy.mean())), np.float32))

    @cached_property
    def coords_nominal(self) -> FrameworkArray:
        """Relative coordinates of the nominal positions, (B, 1, 2, C) float32."""
        return self._convert(self._grouped["coords_start_relative"].astype(np.float32))

    @cached_property
    def coords_true(self) -> FrameworkArray:
        """Relative coordinates of the corrected positions, (B, 1, 2, C) float32."""
        return self._convert(self._grouped["coords_relative"].astype(np.float32))

    @property
    def coords(self) -> FrameworkArray:
        """The nominal coordinates under their older name."""
        return self.coords_nominal

    @cached_property
    def nn_indices(self) -> FrameworkArray:
        """Scan points of each group, (B, C) int32."""
        return self._convert(self._grouped["nn_indices"])

    @cached_property
    def global_offsets(self) -> FrameworkArray:
        """Mean position of each group, (B, 1, 2, 1) float64."""
        return self._convert(self._grouped["coords_offsets"])

    @cached_property
    def local_offsets(self) -> FrameworkArray:
        """−(position − mean), (B, 1, 2, C) float64."""
        return self._convert(self._grouped["coords_relative"])

    @cached_property
    def probe(self) -> FrameworkArray:
        """Illumination, (N, N) complex64."""
        return self._convert(self._probe)

    def _truth(self) -> Complex64[np.ndarray, "B N N C"]:
        truth = self._grouped["Y"]
        return np.broadcast_to(np.complex64(1), self._grouped["X_full"].shape) if truth is None else truth

    def _convert(self, values: np.ndarray) -> FrameworkArray:
        return as_framework(values, framework=self._framework, device=self._device)


def load(
    cb: Callable[[], GroupedData | tuple[GroupedData, float]],
    probeGuess: Shaped[np.ndarray, "..."],
    which: Literal["train", "test"] | None = None,
    create_split: bool = False,
    *,
    n_photons: float = DEFAULT_N_PHOTONS,
    framework: Framework = "torch",
    device: torch.device | str = "cpu",
) -> PtychoDataContainer:
    """Call ``cb`` for grouped data and contain it, whole or one side of a split.

    Parameters
    ----------
    cb
        Returns the grouped dictionary; with ``create_split`` a pair of it and the fraction of groups to train on.
    probeGuess
        Illumination.
    which
        Side of the split, "train" (the first groups) or "test".
    create_split
        Whether to split; every array of the container is then split alike.

    Raises
    ------
    ConfigError
        If ``cb`` and ``create_split`` disagree, the side is unknown, or the fraction leaves a side empty.
    """
    given = cb()
    if isinstance(given, tuple) != create_split:
        raise ConfigError(
            "expected cb() to return (grouped, fraction) with create_split=True and the dictionary alone without; "
            f"found create_split={create_split} and {type(given).__name__}."
        )
    grouped = _side(*given, which=which) if isinstance(given, tuple) else given
    return PtychoDataContainer(grouped, probeGuess, n_photons=n_photons, framework=framework, device=device)


def _side(grouped: GroupedData, fraction: float, *, which: str | None) -> GroupedData:
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
        key: value[sides[which]] if key in PER_GROUP and isinstance(value, np.ndarray) else value
        for key, value in grouped.items()
    }
    return cast(GroupedData, part)


def _check_grouped(grouped: GroupedData) -> None:
    needed = GroupedData.__required_keys__
    missing = sorted(needed - grouped.keys())
    if missing:
        raise MissingFieldError(
            f"expected the keys of generate_grouped_data; {', '.join(missing)} missing, found {', '.join(grouped)}.",
            field=missing[0],
        )
    for key, dtype in (("X_full", np.float32), ("Y", np.complex64)):
        values = grouped.get(key)
        if isinstance(values, np.ndarray) and values.dtype != dtype:
            raise DtypeError(
                f"expected {key} of {np.dtype(dtype)}; found {values.dtype}. Cast it before making the container.",
                field=key,
            )
