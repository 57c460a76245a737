"""The beamline readers of Ptychodus, through its plugin registry (extra ``facilities``).

Ptychodus gives counts with their scan point numbers, and positions of the probe in metres, x with the column and y with
the row (Ptychodus 1.7, ``api/diffraction.py`` and ``api/probe_positions.py``).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from ptychofold.config import ScanGeometry
from ptychofold.errors import ConfigError, FormatError
from ptychofold.formats.base import check_file, foreign_errors_refused
from ptychofold.formats.concatenated import concatenated
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.hdf5 import open_array, open_file
from ptychofold.formats.lazy import ArrayInMemory
from ptychofold.formats.pairing import with_patterns
from ptychofold.formats.rows import Rows, row_numbers, target_array
from ptychofold.metadata import Metadata
from ptychofold.optional import require
from ptychofold.typing import ArraySource
from ptychofold.validation import check_columns

__all__ = ["FacilityArray", "read_facility"]


class _Block(Protocol):
    """What is used of Ptychodus' ``DiffractionArray``."""

    def get_indexes(self) -> Shaped[np.ndarray, " n"]: ...
    def get_patterns(self) -> Shaped[np.ndarray, "n H W"]: ...


class _Pixel(Protocol):
    width_m: float
    height_m: float


class _Facts(Protocol):
    """What is used of Ptychodus' ``DiffractionMetadata``."""

    detector_distance_m: float | None
    detector_pixel_geometry: _Pixel | None
    photon_energy_eV: float | None
    probe_photon_count: int | None
    beam_center: object
    tomography_angle_deg: float | None


class _Dataset(Protocol):
    """What is used of Ptychodus' ``DiffractionDataset``."""

    def __iter__(self) -> Iterator[_Block]: ...
    def get_metadata(self) -> _Facts: ...
    def get_bad_pixels(self) -> Bool[np.ndarray, "H W"]: ...


class _Points(Protocol):
    """What is used of Ptychodus' ``ProbePositionSequence``."""

    def get_indexes(self) -> Shaped[np.ndarray, " n"]: ...
    def get_coordinates_x_m(self) -> Shaped[np.ndarray, " n"]: ...
    def get_coordinates_y_m(self) -> Shaped[np.ndarray, " n"]: ...


@dataclass(frozen=True, eq=False)
class FacilityArray:
    """Patterns that only their Ptychodus reader can read; every call reads the whole block."""

    block: _Block
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def access(self) -> str:
        """How rows are reached."""
        return "read by Ptychodus, a block at a time"

    @property
    def random_access(self) -> bool:
        """Never: the block around a row is read too."""
        return False

    def read(self, rows: Rows, out: Shaped[np.ndarray, "n ..."] | None = None) -> Shaped[np.ndarray, "n ..."]:
        """Return rows of the block."""
        wanted: Int64[np.ndarray, " n"] = row_numbers(rows, self.shape[0])
        result = target_array(out, (len(wanted), *self.shape[1:]), self.dtype)
        np.take(np.asarray(self.block.get_patterns()), wanted, axis=0, out=result, mode="clip")
        return result


def read_facility(
    path: Path, *, reader: str, positions: Path | None, positions_reader: str | None, lazy: bool
) -> ScanFields:
    """Read patterns, and positions if there is a file of them, by Ptychodus' readers of these names.

    Raises
    ------
    ConfigError
        If Ptychodus has no reader of a name; the message lists those it has.
    FormatError
        If a reader fails.
    DependencyError
        If Ptychodus is not installed.
    """
    registry = require("ptychodus.api.plugins", extra="facilities").PluginRegistry.load_plugins()
    check_file(path)
    read_patterns = _reader(registry.diffraction_file_readers, reader, kind="diffraction")
    with _failures_named(path, reader):
        patterns = _patterns(path, cast(_Dataset, read_patterns(path)), reader=reader, lazy=lazy)
    if positions is None:
        return patterns
    check_file(positions)
    name = positions_reader or reader
    read_positions = _reader(registry.probe_position_file_readers, name, kind="position")
    with _failures_named(positions, name):
        points = cast(_Points, read_positions(positions))
        placed = ScanFields(
            path=path,
            format=patterns.format,
            positions_m=check_columns(points.get_coordinates_x_m(), points.get_coordinates_y_m(), path=positions),
            point_numbers=points.get_indexes(),
            metadata=patterns.metadata,
        )
    return with_patterns(placed, patterns)


class _Reader(Protocol):
    def __call__(self, file_path: Path) -> object: ...


class _Plugin(Protocol):
    @property
    def simple_name(self) -> str: ...
    @property
    def strategy(self) -> "_Strategy": ...


class _Strategy(Protocol):
    def read(self, file_path: Path) -> object: ...


def _reader(plugins: Sequence[_Plugin], name: str, *, kind: str) -> _Reader:
    found = {plugin.simple_name.casefold(): plugin for plugin in plugins}
    if name.casefold() not in found:
        names = ", ".join(sorted(plugin.simple_name for plugin in found.values()))
        option = "--reader" if kind == "diffraction" else "--positions-reader"
        raise ConfigError(f"Ptychodus has no {kind} reader named {name!r}; {option} is one of {names}.")
    return found[name.casefold()].strategy.read


@contextmanager
def _failures_named(path: Path, reader: str) -> Iterator[None]:
    doing = f"reading it by Ptychodus' {reader}"
    with foreign_errors_refused(path, doing=doing, cure="Check that the file is of this instrument."):
        try:
            yield
        except AssertionError as error:
            raise FormatError(f"{doing} failed: an assumption about its units or shape does not hold.") from error


def _patterns(path: Path, dataset: _Dataset, *, reader: str, lazy: bool) -> ScanFields:
    blocks = list(dataset)
    patterns = concatenated([_source(block) for block in blocks])
    bad, facts = np.asarray(dataset.get_bad_pixels()), dataset.get_metadata()
    whole = patterns.dtype.kind in "ui"
    geometry = _geometry(facts)
    extra: dict[str, object] = {} if facts.beam_center is None else {"beam_center": str(facts.beam_center)}
    if facts.tomography_angle_deg is not None:
        extra["tomography_angle_deg"] = float(facts.tomography_angle_deg)
    return ScanFields(
        path=path,
        format=f"Ptychodus reader {reader}",
        patterns=patterns if lazy else ArrayInMemory(patterns.read(slice(None))),
        point_numbers=np.concatenate([np.asarray(block.get_indexes(), np.int64) for block in blocks]),
        bad_pixels=bad if bad.any() and bad.shape == patterns.shape[1:] else None,
        measurement="intensity" if whole else None,
        measurement_reason="whole numbers from a detector" if whole else None,
        metadata=Metadata(
            wavelength_m=geometry.wavelength,
            n_photons=float(facts.probe_photon_count) if facts.probe_photon_count else None,
            geometry=geometry,
            extra=extra,
        ),
        names=("patterns",),
    )


def _source(block: _Block) -> ArraySource:
    """Open a block: by ourselves where it is a data set in HDF5, else by its reader."""
    where = vars(block)
    file_path, data_path = where.get("_file_path"), where.get("_data_path")
    if isinstance(file_path, Path) and isinstance(data_path, str):
        with open_file(file_path) as file:
            data = file[data_path]
            if data.ndim == 3:
                return open_array(data)
    patterns = np.asarray(block.get_patterns())
    return FacilityArray(block, patterns.shape, patterns.dtype)


def _geometry(facts: _Facts) -> ScanGeometry:
    """Collect beam and detector; 0 is unknown."""
    pixel = facts.detector_pixel_geometry
    stated = {
        "energy_ev": facts.photon_energy_eV or None,
        "distance_m": facts.detector_distance_m or None,
        "detector_pixel_m": (pixel.height_m, pixel.width_m) if pixel and pixel.height_m and pixel.width_m else None,
    }
    return ScanGeometry.of(stated)
