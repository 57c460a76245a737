"""RawData under the contract's NPZ names: views of `ptychofold.RawData`, coordinates [x, y]."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
from jaxtyping import Complex64, Float64, Int, Real
from numpy.typing import ArrayLike

from ptychofold import raw_data as native
from ptychofold.compat.config_tf import InferenceConfig, TrainingConfig
from ptychofold.contract import GroupedData
from ptychofold.door import fields_of_arrays
from ptychofold.formats.npz_metadata import physics_mismatches
from ptychofold.grouping.groups import fresh_seed
from ptychofold.loading import chosen, turned
from ptychofold.metadata import Metadata
from ptychofold.physics.simulation import simulate_in_probe_units
from ptychofold.typing import RequestedMeasurement
from ptychofold.validation import as_array, check_columns

__all__ = ["MemmapDatasetBridge", "RawData", "RawDataTorch", "load_data"]

logger = logging.getLogger(__name__)


VIEWS: Final[Mapping[str, Callable[[native.RawData], object]]] = MappingProxyType({
    "xcoords": lambda scan: scan.positions[:, 1],
    "ycoords": lambda scan: scan.positions[:, 0],
    "xcoords_start": lambda scan: scan.positions_nominal[:, 1],
    "ycoords_start": lambda scan: scan.positions_nominal[:, 0],
    "probeGuess": lambda scan: scan.probe[0] if len(scan.probe) == 1 else scan.probe,  # (N, N) or (mode, N, N)
    "scan_index": lambda scan: scan.scan_index,
    "objectGuess": lambda scan: scan.object,
    "Y": lambda scan: scan.patches,
    "metadata": lambda scan: scan.metadata.extra or None,
    "sample_indices": lambda scan: scan.file_rows,  # row in the file of each pattern, where the scan is a subset
})  # fmt: skip
"""The NPZ names and what they show of a scan."""


def _positions(x: ArrayLike, y: ArrayLike) -> Float64[np.ndarray, "scan 2"]:
    columns = (as_array(values, field="positions") for values in (x, y))
    return check_columns(*columns, names=("xcoords", "ycoords"))


class RawData:
    """A scan under the NPZ names; each attribute of `VIEWS` shows `scan`, the checked native scan.

    Integers are taken as counts and floats, unless their values tell otherwise, as amplitude; ``measurement`` says it.
    ``scan_index`` and the start positions may be None.
    """

    norm_Y_I: float | None = None
    """Factor that brings simulated patterns to their photon count."""
    subsample_seed: int | None = None
    """Seed that chose the scan points, where `load_data` was given one."""

    def __init__(  # noqa: PLR0917 (the reference's signature)
        self,
        xcoords: ArrayLike,
        ycoords: ArrayLike,
        xcoords_start: ArrayLike | None,
        ycoords_start: ArrayLike | None,
        diff3d: ArrayLike,
        probeGuess: ArrayLike,
        scan_index: ArrayLike | None,
        objectGuess: ArrayLike | None = None,
        Y: ArrayLike | None = None,
        norm_Y_I: float | None = None,
        metadata: Mapping[str, object] | None = None,
        *,
        measurement: RequestedMeasurement = "auto",
    ) -> None:
        start = None if xcoords_start is None or ycoords_start is None else _positions(xcoords_start, ycoords_start)
        patterns, truth = as_array(diff3d, field="patterns"), None if Y is None else as_array(Y, field="patches")
        found = fields_of_arrays(
            patterns=patterns,
            positions=_positions(xcoords, ycoords),
            positions_nominal=start,
            probe=probeGuess,
            object=objectGuess,
            patches=truth[..., 0] if truth is not None and truth.ndim == 4 else truth,
            scan_index=scan_index,
            measurement_expected="amplitude" if patterns.dtype.kind == "f" else None,
            metadata=Metadata(extra=metadata or {}),
        )
        self.scan = native.RawData.from_fields(found, measurement=measurement)
        self.norm_Y_I = norm_Y_I

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (as the table says)
        if name not in VIEWS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return VIEWS[name](self.scan)

    @cached_property
    def diff3d(self) -> Real[np.ndarray, "scan N N"]:
        """Patterns as stored: a view of memory or of the mapped file; a compressed file is inflated once."""
        return self.scan.patterns.read(slice(None))

    @classmethod
    def of(cls, scan: native.RawData) -> Self:
        """Show a native scan."""
        face = cls.__new__(cls)
        face.scan = scan
        return face

    @classmethod
    def from_coords_without_pc(  # noqa: PLR0917 (the reference's signature)
        cls,
        xcoords: ArrayLike,
        ycoords: ArrayLike,
        diff3d: ArrayLike,
        probeGuess: ArrayLike,
        scan_index: ArrayLike | None,
        objectGuess: ArrayLike | None = None,
        *,
        measurement: RequestedMeasurement = "auto",
    ) -> "RawData":
        """Make a scan whose nominal positions are its positions."""
        positions = (xcoords, ycoords, None, None)
        return RawData(*positions, diff3d, probeGuess, scan_index, objectGuess, measurement=measurement)

    @classmethod
    def from_simulation(
        cls,
        xcoords: ArrayLike,
        ycoords: ArrayLike,
        probeGuess: Complex64[np.ndarray, "N N"],
        objectGuess: Complex64[np.ndarray, "H W"],
        scan_index: Int[np.ndarray, " scan"] | None = None,
        *,
        n_photons: float = 1e9,
        seed: int | None = None,
    ) -> "RawData":
        """Simulate far-field amplitudes in the probe's own scale, with the noise of ``n_photons`` that it brings.

        Without a seed a fresh one is drawn and logged.
        """
        positions, seed = _positions(xcoords, ycoords), fresh_seed() if seed is None else seed
        scan, factor = simulate_in_probe_units(objectGuess, probeGuess, positions, seed=seed, n_photons=n_photons)
        face = RawData.of(scan if scan_index is None else replace(scan, scan_index=scan_index.astype(np.int64)))
        face.norm_Y_I = factor
        return face

    @classmethod
    def from_file(
        cls,
        train_data_file_path: str | Path,
        validate_config: bool = False,
        current_config: TrainingConfig | InferenceConfig | None = None,
        *,
        measurement: RequestedMeasurement = "auto",
    ) -> Self:
        """Read a scan file; with ``validate_config`` log where its metadata and a configuration differ."""
        face = cls.of(native.RawData.from_file(train_data_file_path, measurement=measurement))
        if validate_config and current_config is not None:
            for name, (theirs, ours) in physics_mismatches(face.metadata or {}, current_config.flat()).items():
                logger.warning("%s mismatch: dataset=%s, config=%s", name, theirs, ours)
        return face

    @classmethod
    def from_files(cls, train_data_file_path: str | Path, test_data_file_path: str | Path) -> tuple[Self, Self]:
        """Read a training scan and a test scan."""
        return cls.from_file(train_data_file_path), cls.from_file(test_data_file_path)

    def to_file(self, file_path: str | Path) -> None:
        """Write the scan; a name without a suffix gets ``.npz``."""
        path = Path(file_path)
        self.scan.to_file(path if path.suffix else path.with_suffix(".npz"))

    def generate_grouped_data(self, *args: Any, **settings: Any) -> GroupedData:  # noqa: ANN401 (the scan's own)
        """Return the grouped dictionary; parameters are those of `ptychofold.RawData.generate_grouped_data`."""
        return self.scan.generate_grouped_data(*args, **settings)


class RawDataTorch(RawData):
    """The face of ``ptycho_torch.raw_data_bridge``; ``config`` gives the grid where a call gives none."""

    _gridsize: int | None = None

    def __init__(  # noqa: PLR0917 (the reference's signature)
        self,
        xcoords: ArrayLike,
        ycoords: ArrayLike,
        diff3d: ArrayLike,
        probeGuess: ArrayLike,
        scan_index: ArrayLike | None,
        objectGuess: ArrayLike | None = None,
        config: TrainingConfig | InferenceConfig | None = None,
        *,
        measurement: RequestedMeasurement = "auto",
    ) -> None:
        positions = (xcoords, ycoords, None, None)
        super().__init__(*positions, diff3d, probeGuess, scan_index, objectGuess, measurement=measurement)
        self._gridsize = None if config is None else config.model.gridsize

    def generate_grouped_data(  # noqa: PLR0917 (the reference orders it so)
        self,
        N: int,
        K: int = 4,
        nsamples: int = 1,
        seed: int | None = None,
        sequential_sampling: bool = False,
        gridsize: int | None = None,
        dataset_path: str | Path | None = None,
    ) -> GroupedData:
        """Return the grouped dictionary; see `ptychofold.RawData.generate_grouped_data`."""
        side = self._gridsize if gridsize is None else gridsize
        return super().generate_grouped_data(N, K, nsamples, dataset_path, seed, sequential_sampling, side)


class MemmapDatasetBridge(RawDataTorch):
    """The face of ``ptycho_torch.memmap_bridge``: one NPZ, mapped in place; ``memmap_dir`` stays empty."""

    def __init__(
        self, npz_path: str | Path, config: TrainingConfig | InferenceConfig, memmap_dir: str | Path = "data/memmap"
    ) -> None:
        self.scan = native.RawData.from_file(npz_path)
        self._gridsize = config.model.gridsize

    def get_grouped_data(self, N: int, K: int, nsamples: int, gridsize: int, seed: int | None = None) -> GroupedData:
        """Return the grouped dictionary."""
        return self.generate_grouped_data(N, K, nsamples, seed, gridsize=gridsize)


def load_data(  # noqa: PLR0917 (the reference's signature)
    file_path: str | Path,
    n_images: int | None = None,
    n_subsample: int | None = None,
    flip_x: bool = False,
    flip_y: bool = False,
    swap_xy: bool = False,
    n_samples: int = 1,
    coord_scale: float = 1.0,
    subsample_seed: int | None = None,
    *,
    measurement: RequestedMeasurement = "auto",
) -> RawData:
    """Read a scan file, turn its positions, and keep a seeded, sorted choice of its scan points.

    ``n_subsample``, else ``n_images``, scan points are kept; None keeps all, as does a number beyond them. Flips, swap
    and scale act in this order on positions, nominal ones too; patterns, probe and object stay as they are.
    ``n_samples`` has no effect, as in the reference.
    """
    scan = native.RawData.from_file(file_path, measurement=measurement)
    scan = turned(scan, flip_x=flip_x, flip_y=flip_y, swap_xy=swap_xy, scale=coord_scale)
    face = RawData.of(chosen(scan, n_images if n_subsample is None else n_subsample, seed=subsample_seed))
    face.subsample_seed = subsample_seed
    return face
