"""PtychoDataContainer: the contract's container of training tensors, and the functions that make one."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import ArrayLike

from ptychofold.compat.patches import center_channels
from ptychofold.compat.raw_data import RawData
from ptychofold.contract import GroupedData, check_grouped, mean_energy, one_side
from ptychofold.data.frameworks import Framework, FrameworkArray, as_framework, tf_dataset
from ptychofold.errors import ConfigError
from ptychofold.formats.npz_write import write_arrays
from ptychofold.grouping.reference_torch import random_stream
from ptychofold.scaling import photon_scale
from ptychofold.typing import RequestedMeasurement
from ptychofold.validation import as_array, check_probe

__all__ = ["PtychoDataContainer", "PtychoDataContainerTorch", "load"]

DEFAULT_N_PHOTONS = 1e9  # of the TensorFlow dialect


class PtychoDataContainer:
    """Tensors of B groups under the contract's names, those of `ATTRIBUTES`: channels last, coordinates [x, y].

    Tensors are views of the grouped arrays; amplitude and phase of the ground truth are made when first asked for.

    Parameters
    ----------
    grouped
        What ``generate_grouped_data`` returned; its ``X_full`` must be float32 and its ``Y`` complex64.
    probe
        Illumination (N, N), or (mode, N, N), of which the contract keeps the first mode.
    n_photons
        Photon count that ``norm_Y_I`` refers to.
    framework, device
        Whose tensors the attributes are: "torch", "numpy" or "tensorflow"; and where torch's shall be.
    """

    def __init__(
        self,
        grouped: GroupedData,
        probe: ArrayLike,
        *,
        n_photons: float = DEFAULT_N_PHOTONS,
        framework: Framework = "torch",
        device: torch.device | str = "cpu",
    ) -> None:
        self.grouped = check_grouped(grouped)
        self.first_mode = check_probe(as_array(probe, field="probe"), N=grouped["X_full"].shape[1])[0]
        self.n_photons, self.framework, self.device = n_photons, framework, device

    @classmethod
    def from_raw_data_without_pc(  # noqa: PLR0917 (the contract's signature)
        cls,
        xcoords: ArrayLike,
        ycoords: ArrayLike,
        diff3d: ArrayLike,
        probeGuess: ArrayLike,
        scan_index: ArrayLike | None,
        objectGuess: ArrayLike | None = None,
        N: int | None = None,
        K: int = 7,
        nsamples: int = 1,
        *,
        gridsize: int | None = None,
        seed: int | None = None,
        measurement: RequestedMeasurement = "auto",
    ) -> "PtychoDataContainer":
        """Group a scan whose nominal positions are its positions; ``N`` None takes the side of the patterns."""
        raw = RawData.from_coords_without_pc(
            xcoords, ycoords, diff3d, probeGuess, scan_index, objectGuess, measurement=measurement
        )
        return cls(raw.generate_grouped_data(N or raw.scan.N, K, nsamples, gridsize=gridsize, seed=seed), probeGuess)

    def __len__(self) -> int:
        return len(self.grouped["X_full"])

    def __repr__(self) -> str:
        shown = ("X", "Y", "coords_nominal", "coords_true", "probe")
        facts = " ".join(f"{name}={np.asarray(self.array(name)).shape}" for name in shown)
        return f"<PtychoDataContainer {facts} ground_truth={self.has_ground_truth} {self.framework} on {self.device}>"

    def __getattr__(self, name: str) -> FrameworkArray:
        if name not in ATTRIBUTES:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        values = self.array(name)
        self.__dict__[name] = (
            None if values is None else as_framework(values, framework=self.framework, device=self.device)
        )
        return self.__dict__[name]

    @property
    def coords(self) -> FrameworkArray:
        """The nominal coordinates under their older name."""
        return self.coords_nominal

    @property
    def has_ground_truth(self) -> bool:
        """Whether Y is known; where not, Y_I is ones and Y_phi zeros, expanded, as the contract fills them."""
        return self.grouped["Y"] is not None

    def array(self, name: str) -> np.ndarray | None:
        """Return an attribute as NumPy has it."""
        return ATTRIBUTES[name](self)

    def to_npz(self, file_path: str | Path) -> None:
        """Write every attribute that is known."""
        arrays = {name: found for name in ATTRIBUTES if (found := self.array(name)) is not None}
        write_arrays(f"{str(file_path).removesuffix('.npz')}.npz", arrays)

    def as_tf_dataset(
        self, batch_size: int, shuffle: bool = True, *, intensity_scale: float | None = None, seed: int | None = None
    ) -> FrameworkArray:
        """Return a ``tf.data.Dataset`` of ((X·s, coords), (centred Y_I of channel 0, X·s, (X·s)²)).

        The scale s is ``norm_Y_I`` if None. Each epoch is shuffled anew, from ``seed``.
        """
        scale = np.float32(self.array("norm_Y_I") if intensity_scale is None else intensity_scale)
        X, coords, amplitude = (np.asarray(self.array(name)) for name in ("X", "coords_nominal", "Y_I"))

        def read(rows: Int64[np.ndarray, " row"]) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
            scaled, centred = X[rows] * scale, center_channels(amplitude[rows], coords[rows])[..., :1]
            return (scaled, coords[rows]), (centred, scaled, scaled * scaled)

        x, xy, y = (list(array.shape[1:]) for array in (X, coords, X[..., :1]))
        rng, shapes = random_stream(seed) if shuffle else None, ((x, xy), (y, x, x))
        return tf_dataset(read, n_rows=len(self), batch_size=batch_size, rng=rng, shapes=shapes)

    @cached_property
    def _unknown(self) -> np.ndarray:
        return np.broadcast_to(np.complex64(1), self.grouped["X_full"].shape)


PtychoDataContainerTorch = PtychoDataContainer

ATTRIBUTES: Final[Mapping[str, Callable[[PtychoDataContainer], np.ndarray | None]]] = MappingProxyType({
    "X": lambda c: c.grouped["X_full"],  # (B, N, N, C) float32, scaled amplitude
    "Y": lambda c: c._unknown if c.grouped["Y"] is None else c.grouped["Y"],  # (B, N, N, C) complex64
    "Y_I": lambda c: c._unknown.real if c.grouped["Y"] is None else np.abs(c.grouped["Y"]),  # an amplitude
    "Y_phi": lambda c: c._unknown.imag if c.grouped["Y"] is None else np.angle(c.grouped["Y"]),  # radians
    "YY_full": lambda c: c.grouped["objectGuess"],  # (H, W) complex64
    "norm_Y_I": lambda c: np.array(photon_scale(c.n_photons, mean_energy(c.grouped["X_full"])), np.float32),  # 0-d
    "coords_nominal": lambda c: c.grouped["coords_start_relative"].astype(np.float32),  # (B, 1, 2, C)
    "coords_true": lambda c: c.grouped["coords_relative"].astype(np.float32),  # (B, 1, 2, C), of corrected positions
    "nn_indices": lambda c: c.grouped["nn_indices"],  # (B, C) int32
    "global_offsets": lambda c: c.grouped["coords_offsets"],  # (B, 1, 2, 1) float64, group means
    "local_offsets": lambda c: c.grouped["coords_relative"],  # (B, 1, 2, C) float64, −(position − mean)
    "probe": lambda c: c.first_mode,  # (N, N) complex64
})  # fmt: skip
"""The names of the contract and their arrays."""


def load(
    cb: Callable[[], GroupedData | tuple[GroupedData, float]],
    probeGuess: ArrayLike,
    which: Literal["train", "test"] | None = None,
    create_split: bool = False,
    *,
    n_photons: float = DEFAULT_N_PHOTONS,
    framework: Framework = "torch",
    device: torch.device | str = "cpu",
) -> PtychoDataContainer:
    """Call ``cb`` for grouped data and contain it, whole or, with ``create_split``, one side of a split.

    For a split ``cb`` returns the pair of the grouped dictionary and the fraction of the groups, the first ones, that
    are for training; every array is split alike.

    Raises
    ------
    ConfigError
        If ``cb`` and ``create_split`` disagree, the side is unknown, or the fraction leaves a side empty.
    """
    given = cb()
    if isinstance(given, tuple) != create_split:
        raise ConfigError(
            f"expected cb() to return {'the pair (grouped, fraction)' if create_split else 'the dictionary alone'}, as "
            f"create_split={create_split}; found {'a pair' if isinstance(given, tuple) else 'a dictionary'}."
        )
    grouped = one_side(*given, which=which) if isinstance(given, tuple) else given
    return PtychoDataContainer(grouped, probeGuess, n_photons=n_photons, framework=framework, device=device)
