"""What the writers of HDF5 formats share: streamed patterns, intensity for amplitude, what was not representable."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import h5py
import numpy as np
from jaxtyping import Float64

from ptychofold.atomic import replacing
from ptychofold.errors import MissingFieldError
from ptychofold.formats.base import foreign_errors_refused
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.frame_changes import Squared
from ptychofold.formats.transformed import TransformedSource
from ptychofold.typing import ArraySource

__all__ = ["Essentials", "creating", "needed", "not_held", "write_patterns"]

Found = TypeVar("Found")

CHUNK_BYTES = 1 << 25
HOLDABLE = (
    "patches", "bad_pixels", "positions_nominal", "scan_index", "probe", "object", "history", "n_photons",
    "measurement", "geometry", "wavelength_m",
)  # fmt: skip
"""What a scan may have and a format may not hold."""


@contextmanager
def creating(path: Path, *, name: str) -> Iterator[h5py.File]:
    """Give a new HDF5 file that appears under ``path`` when the block ends well."""
    cure = "Check the folder and the space left on the disk."
    with (
        foreign_errors_refused(path, doing=f"writing the {name}", cure=cure),
        replacing(path) as partial,
        h5py.File(partial, "x") as file,
    ):
        yield file


def needed(value: Found | None, need: str, path: Path, *, name: str) -> Found:
    """Return what a format cannot do without.

    Raises
    ------
    MissingFieldError
        If the scan lacks it.
    """
    if value is None:
        option = " Supply --pixel-size-m." if need == "pixel_size_m" else ""
        raise MissingFieldError(
            f"expected {need} in the scan to write; found None. {name} needs it.{option}", path=path, field=need
        )
    return value


@dataclass(frozen=True, kw_only=True, eq=False)
class Essentials:
    """What a format of intensities at positions in metres cannot do without."""

    intensity: ArraySource
    """The patterns; amplitudes are squared as they are read."""
    positions: Float64[np.ndarray, "scan 2"]
    """(y, x) in object pixels."""
    pixel_size_m: tuple[float, float]
    """Height and width of an object pixel."""

    @classmethod
    def of(cls, fields: ScanFields, path: Path, *, name: str) -> Self:
        """Take them from a scan; one that is missing is a `MissingFieldError`."""
        patterns = needed(fields.patterns, "patterns", path, name=name)
        return cls(
            intensity=TransformedSource(patterns, Squared()) if fields.measurement == "amplitude" else patterns,
            positions=needed(fields.positions, "positions", path, name=name),
            pixel_size_m=needed(fields.metadata.pixel_size_m, "pixel_size_m", path, name=name),
        )


def write_patterns(group: h5py.Group, name: str, patterns: ArraySource) -> h5py.Dataset:
    """Write patterns contiguous and uncompressed, so that they can be mapped, a few megabytes at a time."""
    dataset = group.create_dataset(name, shape=patterns.shape, dtype=patterns.dtype)
    row = max(1, int(np.prod(patterns.shape[1:], dtype=np.int64)) * patterns.dtype.itemsize)
    step = max(1, CHUNK_BYTES // row)
    for start in range(0, patterns.shape[0], step):
        block = patterns.read(slice(start, min(start + step, patterns.shape[0])))
        dataset[start : start + len(block)] = block
    return dataset


def not_held(fields: ScanFields, *, holds: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of what the scan has and a format that holds ``holds`` has no place for.

    Nominal positions that equal the positions, a scan index that is 0 throughout, and amplitude where intensity can be
    told from the format say nothing that is lost.
    """
    known = fields.metadata
    nominal, index = fields.positions_nominal, fields.scan_index
    present = {
        "patches": fields.patches is not None,
        "bad_pixels": fields.bad_pixels is not None and bool(np.any(fields.bad_pixels)),
        "positions_nominal": nominal is not None and not np.array_equal(nominal, np.asarray(fields.positions)),
        "scan_index": index is not None and bool(np.any(index)),
        "probe": fields.probe is not None,
        "object": fields.object is not None,
        "history": bool(known.history),
        "n_photons": known.n_photons is not None,
        "measurement": fields.measurement == "amplitude",
        "geometry": known.geometry is not None,
        "wavelength_m": known.wavelength_m is not None,
    }
    return tuple(name for name in HOLDABLE if present[name] and name not in holds)
