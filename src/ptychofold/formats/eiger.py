"""The master file of a Dectris detector (Eiger, Pilatus 4): frames in linked or virtual data sets, and the detector.

Frames are counts; dead pixels hold the largest number and stand in ``pixel_mask`` (Dectris, "SIMPLON API" and
"FileWriter", NeXus NXmx). There are neither positions nor a probe.
"""

from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Bool

from ptychofold.config import ScanGeometry
from ptychofold.errors import FormatError
from ptychofold.formats.base import Format
from ptychofold.formats.concatenated import concatenated
from ptychofold.formats.cxi import frames
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.hdf5 import is_hdf5, open_file
from ptychofold.formats.hdf5_items import find, numbers, tree
from ptychofold.formats.units import ENERGY_EV, LENGTH_M, quantity
from ptychofold.metadata import Metadata
from ptychofold.typing import ArraySource

__all__ = ["FORMAT"]

NAME = "Eiger master"
GROUP = "entry/data"
DETECTOR = "entry/instrument/detector"


def sniff(path: Path) -> str | None:
    """Recognise HDF5 with numbered links, or one data set, of frames, and an Eiger's detector group."""
    if not is_hdf5(path):
        return None
    with open_file(path) as file:
        detector, names = file.get(DETECTOR), _names(file)
        known = isinstance(detector, h5py.Group) and ("detectorSpecific" in detector or "pixel_mask" in detector)
        return f"an HDF5 file with {GROUP}/{names[0]} and {DETECTOR}" if names and known else None


def read(path: Path, *, lazy: bool) -> ScanFields:
    """Read frames, detector and mask of a master file; the frames stay in the files that it links to.

    Raises
    ------
    FormatError
        If a linked file is missing.
    """
    with open_file(path) as file:
        names = _names(file)
        if not names:
            raise FormatError(f"expected {GROUP}/data_000001 or {GROUP}/data; found none.", path=path)
        patterns = concatenated([_part(file, name, lazy=lazy, path=path) for name in names])
        geometry = _geometry(file, path=path)
        return ScanFields(
            path=path,
            format=NAME,
            patterns=patterns,
            bad_pixels=_mask(file),
            measurement="intensity",
            measurement_reason="an Eiger counts photons",
            metadata=Metadata(wavelength_m=geometry.wavelength, geometry=geometry, extra=_beam_centre(file)),
            names=tree(file),
        )


def _names(file: h5py.File) -> list[str]:
    """Return the parts in the order of their numbers; the parts themselves may be missing."""
    group = file.get(GROUP)
    if not isinstance(group, h5py.Group):
        return []
    numbered = sorted(name for name in group if str(name).startswith("data_") and str(name)[5:].isdigit())
    return numbered or [name for name in group if name == "data"]


def _part(file: h5py.File, name: str, *, lazy: bool, path: Path) -> ArraySource:
    item = file[GROUP].get(name)
    if not isinstance(item, h5py.Dataset):
        link = file[GROUP].get(name, getlink=True)
        where = link.filename if isinstance(link, h5py.ExternalLink) else "nowhere"
        raise FormatError(
            f"{GROUP}/{name} lies in {where}, which is missing or cannot be read. Put it back beside this file.",
            path=path,
        )
    return frames(item, lazy=lazy)


def _geometry(file: h5py.File, *, path: Path) -> ScanGeometry:
    energy_ev = quantity(
        file, f"{DETECTOR}/detectorSpecific/photon_energy", f"{DETECTOR}/photon_energy", units=ENERGY_EV
    )
    facts: dict[str, object] = {"energy_ev": energy_ev or None}
    if not energy_ev:
        wavelength = quantity(file, "entry/instrument/beam/incident_wavelength", units=LENGTH_M)
        facts["wavelength_m"] = wavelength or None
    distances = (f"{DETECTOR}/detector_distance", f"{DETECTOR}/distance")
    facts["distance_m"] = quantity(file, *distances, units=LENGTH_M) or None
    height, width = (quantity(file, f"{DETECTOR}/{axis}_pixel_size", units=LENGTH_M) for axis in "yx")
    facts["detector_pixel_m"] = (height, width) if height and width else None
    return ScanGeometry.of(facts, path=path)


def _mask(file: h5py.File) -> Bool[np.ndarray, "H W"] | None:
    item = find(file, f"{DETECTOR}/detectorSpecific/pixel_mask", f"{DETECTOR}/pixel_mask")
    return None if item is None else np.asarray(numbers(item) != 0)


def _beam_centre(file: h5py.File) -> dict[str, object]:
    found = [find(file, f"{DETECTOR}/beam_center_{axis}") for axis in "yx"]
    centre = [float(np.asarray(item[()]).ravel()[0]) for item in found if item is not None]
    return {"beam_center_px": centre} if len(centre) == 2 else {}


FORMAT = Format(
    name=NAME,
    description="the master file of a Dectris detector with its linked frames; positions and probe come from elsewhere",
    suffixes=(".h5",),
    sniff=sniff,
    read=read,
)
