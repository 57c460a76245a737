"""Write CXI 1.6; what CXI has no name for goes under ``entry_1/ptychodus`` and ``entry_1/ptychofold``.

Ptychodus' names for probe, object and their pixels are kept, so that its CXI reader finds them.
"""

from pathlib import Path

import h5py
import numpy as np

from ptychofold.config.geometry import HC_EV_M
from ptychofold.conventions import metres_from_pixels
from ptychofold.coverage import object_shape
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.hdf5_write import Essentials, creating, not_held, write_patterns
from ptychofold.formats.npz_metadata import format_metadata
from ptychofold.formats.ptychodus_product import origin_shift, path_stem
from ptychofold.formats.units import EV_JOULE
from ptychofold.typing import ArraySource

__all__ = ["EXTENSION", "HOLDS", "write", "write_entry"]

EXTENSION = "ptychofold"
CXI_VERSION = 160
PIXEL_IS_BAD = 1
HOLDS = (
    "bad_pixels", "positions_nominal", "scan_index", "probe", "object", "history", "n_photons", "geometry",
    "wavelength_m",
)  # fmt: skip


def write(fields: ScanFields, path: Path) -> tuple[str, ...]:
    """Write a scan as CXI; amplitudes are squared, for CXI holds counts.

    Returns
    -------
    names
        Fields that CXI cannot hold.

    Raises
    ------
    MissingFieldError
        If the scan has no patterns, positions or object pixel size, without which there are no metres.
    """
    held = Essentials.of(fields, path, name="CXI")
    with creating(path, name="CXI file") as file:
        write_entry(file, fields, held)
    return not_held(fields, holds=HOLDS)


def write_entry(file: h5py.File, fields: ScanFields, held: Essentials) -> h5py.Group:
    """Write everything but what NeXus asks for beyond CXI; return ``entry_1``."""
    file["cxi_version"], file["number_of_entries"] = CXI_VERSION, 1
    entry = file.create_group("entry_1")
    entry["title"] = str(fields.metadata.extra.get("name", path_stem(fields)))
    _write_instrument(entry.create_group("instrument_1"), fields, held.intensity)
    _write_geometry(entry, fields, held)
    _write_images(entry, fields, held.pixel_size_m)
    data = entry.create_group("data_1")
    data["data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
    data["translation"] = h5py.SoftLink("/entry_1/sample_1/geometry_1/translation")
    return entry


def _write_instrument(instrument: h5py.Group, fields: ScanFields, intensity: ArraySource) -> None:
    """Write beam and detector; without basis vectors rows run along −y and columns along −x, as with those written."""
    known, geometry = fields.metadata, fields.metadata.geometry
    source, detector = instrument.create_group("source_1"), instrument.create_group("detector_1")
    if known.wavelength_m is not None:
        source["wavelength"] = known.wavelength_m
        source["energy"] = HC_EV_M / known.wavelength_m * EV_JOULE
    write_patterns(detector, "data", intensity)
    if fields.bad_pixels is not None:
        detector["mask"] = np.where(fields.bad_pixels, PIXEL_IS_BAD, 0).astype(np.uint32)
    if geometry is not None and geometry.detector_pixel_m is not None:
        height, width = geometry.detector_pixel_m
        detector["y_pixel_size"], detector["x_pixel_size"] = height, width
        detector["basis_vectors"] = np.array([[0.0, -width], [-height, 0.0], [0.0, 0.0]])
    if geometry is not None and geometry.sample_distance_m is not None:
        detector["distance"] = geometry.sample_distance_m
    detector["translation"] = h5py.SoftLink("/entry_1/sample_1/geometry_1/translation")


def _write_geometry(entry: h5py.Group, fields: ScanFields, held: Essentials) -> None:
    """Write the sample's translation: with rows along −y and columns along −x it is the probe's (x, y) as it stands."""
    pixel_size_m = held.pixel_size_m
    probe_shape = (0, 0) if fields.probe is None else (fields.probe.shape[-2], fields.probe.shape[-1])
    shift = origin_shift((0, 0) if fields.object is None else object_shape(fields.object), probe_shape)
    metres = metres_from_pixels(held.positions - shift, pixel_size_m=pixel_size_m)
    translation = np.zeros((len(metres), 3))
    translation[:, 0], translation[:, 1] = metres[:, 1], metres[:, 0]
    entry.create_group("sample_1").create_group("geometry_1")["translation"] = translation
    shared = entry.create_group("ptychodus")
    for side, size in zip(("height", "width"), pixel_size_m, strict=True):
        shared[f"object_pixel_{side}_m"] = shared[f"probe_pixel_{side}_m"] = size
    shared["object_center_x_m"] = shared["object_center_y_m"] = 0.0
    if fields.metadata.n_photons is not None:
        shared["probe_photon_count"] = fields.metadata.n_photons
    own = entry.create_group(EXTENSION)
    own["metadata"] = format_metadata(fields)
    if fields.positions_nominal is not None:
        own["positions_nominal_m"] = metres_from_pixels(fields.positions_nominal - shift, pixel_size_m=pixel_size_m)
    if fields.scan_index is not None:
        own["scan_index"] = fields.scan_index


def _write_images(entry: h5py.Group, fields: ScanFields, pixel_size_m: tuple[float, float]) -> None:
    found = {"image_1": fields.probe, "image_2": None if fields.object is None else fields.object[None]}
    for name, array in found.items():
        if array is None:
            continue
        image = entry.create_group(name)
        image["data"] = array[(None,) * (4 - array.ndim)] if name == "image_1" else array
        image["data_space"] = "real"
        rows, columns = array.shape[-2:]
        image["image_size"] = np.array([pixel_size_m[1] * columns, pixel_size_m[0] * rows, 0.0])
    if fields.probe is not None:
        entry["instrument_1/source_1/illumination"] = h5py.SoftLink("/entry_1/image_1/data")
