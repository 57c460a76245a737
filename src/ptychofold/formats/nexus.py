"""NeXus' application definition NXcxi_ptycho, and files of its kind that follow classes instead of CXI's names.

NeXus' coordinates are McStas': z along the beam, y up, x to the left as seen along the beam, which is CXI's frame. The
translations of ``NXsample`` say where the **sample** is (NeXus manual, "NXtransformations").
"""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float64

from ptychofold.config import ScanGeometry
from ptychofold.errors import DomainError, MissingFieldError, ShapeError
from ptychofold.formats.base import Format
from ptychofold.formats.cxi import DATA, TRANSLATION, basis_vectors, cxi_fields, frames, probe_positions
from ptychofold.formats.detector_mask import NEXUS_MASKS, bad_pixels_of
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.hdf5 import is_hdf5, open_file
from ptychofold.formats.hdf5_items import find, numbers, text, tree
from ptychofold.formats.nexus_write import write
from ptychofold.formats.units import ENERGY_EV, LENGTH_M, attribute, quantity
from ptychofold.metadata import Metadata

__all__ = ["DEFINITIONS", "FORMAT", "entry_of", "of_class"]

NAME = "NeXus NXcxi_ptycho"
DEFINITIONS = ("NXptycho", "NXcxi_ptycho")
"""The name that the definition's own schema asks for, and the definition's name."""


def sniff(path: Path) -> str | None:
    """Recognise an HDF5 file one of whose entries names the definition."""
    if not is_hdf5(path):
        return None
    with open_file(path) as file:
        entry = entry_of(file)
        return None if entry is None else f"an HDF5 file whose {entry.name} follows {text(entry, 'definition')}"


def read(path: Path, *, lazy: bool) -> ScanFields:
    """Read a NeXus scan: CXI's names where the file has them, else detector, sample and beam by their classes.

    Raises
    ------
    MissingFieldError
        If patterns or positions are missing, or a quantity has no unit.
    """
    with open_file(path) as file:
        entry = entry_of(file)
        if entry is None:
            raise MissingFieldError(
                f"expected an entry whose definition is {' or '.join(DEFINITIONS)}; found none.", path=path
            )
        geometry = _geometry(entry, path=path)
        if find(file, *DATA) is not None and find(file, *TRANSLATION) is not None:
            return cxi_fields(file, path=path, lazy=lazy, name=NAME, geometry=geometry)
        detector = _detector(entry)
        data = None if detector is None else find(detector, "data_1", "data")
        if detector is None or data is None:
            raise MissingFieldError(
                f"expected data in an NXdetector; the file holds {', '.join(tree(file))}.", path=path, field="patterns"
            )
        patterns = frames(data, lazy=lazy)
        translation = _translation(entry, n_scan=patterns.shape[0], path=path)
        return ScanFields(
            path=path,
            format=NAME,
            patterns=patterns,
            positions_m=probe_positions(translation, basis_vectors(file, path=path), path=path),
            bad_pixels=bad_pixels_of(detector, cxi=("mask",), nexus=NEXUS_MASKS),
            measurement="intensity",
            measurement_reason="NXdetector holds what the detector counted",
            metadata=Metadata(wavelength_m=geometry.wavelength, geometry=geometry, extra=_texts(entry)),
            names=tree(file),
        )


def entry_of(file: h5py.File) -> h5py.Group | None:
    """Return the first entry that follows the definition."""
    for item in file.values():
        if isinstance(item, h5py.Group) and text(item, "definition") in DEFINITIONS:
            return item
    return None


def of_class(group: h5py.Group, *classes: str) -> Iterator[h5py.Group]:
    """Yield the groups along a path of NeXus classes, such as ``"NXinstrument", "NXdetector"``."""
    first, *rest = classes
    for name in group:
        item = group.get(name)
        if not isinstance(item, h5py.Group) or attribute(item, "NX_class") != first:
            continue
        if rest:
            yield from of_class(item, *rest)
        else:
            yield item


def _detector(entry: h5py.Group) -> h5py.Group | None:
    return next(of_class(entry, "NXinstrument", "NXdetector"), None)


def _geometry(entry: h5py.Group, *, path: Path) -> ScanGeometry:
    facts: dict[str, object] = {}
    for beam in of_class(entry, "NXinstrument", "NXbeam"):
        names = ("incident_beam_energy", "incident_energy", "energy")
        facts["energy_ev"] = quantity(beam, *names, units=ENERGY_EV)
        if facts["energy_ev"] is None:
            facts["wavelength_m"] = quantity(beam, "incident_wavelength", units=LENGTH_M)
    detector = _detector(entry)
    if detector is not None:
        facts["distance_m"] = quantity(detector, "distance", units=LENGTH_M)
        height, width = (quantity(detector, f"{axis}_pixel_size", units=LENGTH_M) for axis in "yx")
        facts["detector_pixel_m"] = (height, width) if height and width else None
    if any(text(source, "probe") == "electron" for source in of_class(entry, "NXinstrument", "NXsource")):
        facts["particle"] = "electron"
    return ScanGeometry.of(facts, path=path)


def _translation(entry: h5py.Group, *, n_scan: int, path: Path) -> Float64[np.ndarray, "scan 3"]:
    """Add up the sample's translations, each along its vector."""
    total, found = np.zeros((n_scan, 3)), False
    for transformations in of_class(entry, "NXsample", "NXtransformations"):
        for item in transformations.values():
            if not isinstance(item, h5py.Dataset) or attribute(item, "transformation_type") != "translation":
                continue
            found = True
            total += _one_translation(item, n_scan=n_scan, path=path)
    if not found:
        raise MissingFieldError(
            "expected the sample's position as a translation (scan, 3) or as NXtransformations of type translation in "
            f"NXsample; {entry.name} holds {', '.join(tree(entry))}.",
            path=path,
            field="positions",
        )
    return total


def _one_translation(item: h5py.Dataset, *, n_scan: int, path: Path) -> Float64[np.ndarray, "scan 3"]:
    unit, vector = attribute(item, "units"), np.asarray(item.attrs.get("vector", ()), np.float64)
    if unit not in LENGTH_M or vector.shape != (3,):
        raise DomainError(
            f"expected {item.name} with a unit of length and a vector of 3 numbers; found units {unit!r} and vector "
            f"{vector.tolist()}. Repair its attributes.",
            path=path,
            field="positions",
        )
    values = numbers(item).astype(np.float64).ravel()
    if values.size not in (1, n_scan):
        raise ShapeError(
            f"expected {n_scan} positions in {item.name}, one a pattern; found {values.size}.",
            path=path,
            field="positions",
        )
    moved: np.ndarray = values[:, None] * vector * LENGTH_M[unit]
    return np.broadcast_to(moved, (n_scan, 3))


def _texts(entry: h5py.Group) -> dict[str, object]:
    found = {"name": text(entry, "title"), "comments": text(entry, "experiment_description")}
    return {name: value for name, value in found.items() if value}


FORMAT = Format(
    name=NAME,
    description="detector, beam and sample as NeXus' ptychography definition arranges them",
    suffixes=(".nxs",),
    sniff=sniff,
    read=read,
    write=write,
)
