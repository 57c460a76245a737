"""The training-data HDF5 of Ptychodus: patterns, probe, object and positions in object pixels."""

from pathlib import Path

from ptychofold.formats.base import Format
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.hdf5 import open_file, read_all
from ptychofold.formats.hdf5_items import dataset, has_datasets, names_in, number, patterns_of
from ptychofold.formats.ptychodus import COUNTS_REASON, centre_shift, wavelength_from_energy
from ptychofold.metadata import Metadata
from ptychofold.validation import check_columns

__all__ = ["FORMAT"]

NAME = "Ptychodus training data"


def sniff(path: Path) -> str | None:
    """Recognise training data by its positions in object pixels."""
    names = ("patterns", "probe_position_x_px", "probe_position_y_px")
    return f"an HDF5 file with {', '.join(names)}" if has_datasets(path, *names) else None


def read(path: Path, *, lazy: bool) -> ScanFields:
    """Read Ptychodus training data; see `Format`."""
    with open_file(path) as file:
        probe = read_all(dataset(file, "probe", field="probe"))
        x = read_all(dataset(file, "probe_position_x_px", field="positions"))
        y = read_all(dataset(file, "probe_position_y_px", field="positions"))
        height, width = number(file, "object_pixel_height_m"), number(file, "object_pixel_width_m")
        distance = number(file, "detector_object_distance_m")
        return ScanFields(
            path=path,
            format=NAME,
            patterns=patterns_of(dataset(file, "patterns", field="patterns"), lazy=lazy),
            positions=check_columns(x, y, path=path) + centre_shift(probe.shape[-2:] if probe.ndim >= 2 else (1, 1)),
            probe=probe,
            object=read_all(file["object"]) if "object" in file else None,
            bad_pixels=read_all(file["bad_pixels"]) if "bad_pixels" in file else None,
            measurement="intensity",
            measurement_reason=COUNTS_REASON,
            metadata=Metadata(
                wavelength_m=wavelength_from_energy(number(file, "photon_energy_eV")),
                pixel_size_m=(height, width) if height and width else None,
                extra={} if distance is None else {"detector_object_distance_m": distance},
            ),
            names=names_in(file),
        )


FORMAT = Format(
    name=NAME,
    description="patterns, probe, object and positions in one HDF5 file",
    suffixes=(".h5", ".hdf5"),
    sniff=sniff,
    read=read,
)
