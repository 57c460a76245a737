"""CXI 1.6, the file format of the Coherent X-ray Imaging Data Bank.

Its laboratory frame has z along the beam and y up (CXI file format 1.6, section "Coordinate system"). ``translation``
is where the **sample** is, in metres; the probe on the sample is at minus that. ``basis_vectors`` say which way the
detector's rows and columns run; where they are absent rows run along −y and columns along −x, as CXI's tools take it.
So with the usual vectors y = +translation[:, 1] and x = +translation[:, 0] in the probe's frame.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float64, Shaped

from ptychofold.config import ScanGeometry
from ptychofold.config.geometry import HC_EV_M
from ptychofold.errors import DomainError, MissingFieldError, ShapeError
from ptychofold.formats.base import Format
from ptychofold.formats.cxi_write import EXTENSION, write
from ptychofold.formats.detector_mask import NEXUS_MASKS, bad_pixels_of
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.hdf5 import is_hdf5, open_array, open_file, read_all
from ptychofold.formats.hdf5_items import find, number, numbers, text, tree
from ptychofold.formats.lazy import ArrayInMemory
from ptychofold.formats.npz_metadata import Declaration, parse_metadata
from ptychofold.formats.ptychodus_product import origin_shift
from ptychofold.formats.raster import RasterRows
from ptychofold.formats.units import ENERGY_J, EV_JOULE, LENGTH_M, quantity, unit_factor
from ptychofold.typing import ArraySource

__all__ = ["DATA", "DEFAULT_BASIS", "FORMAT", "TRANSLATION", "basis_vectors", "cxi_fields", "frames", "probe_positions"]

NAME = "CXI"
LARGEST_ENERGY_J = 1.6e-12
"""10 MeV; a larger number in ``energy`` is no photon energy in joules."""
DATA = ("entry_1/data_1/data", "entry_1/instrument_1/detector_1/data", "entry_1/detector_1/data")
TRANSLATION = (
    "entry_1/data_1/translation",
    "entry_1/sample_1/geometry_1/translation",
    "entry_1/instrument_1/detector_1/translation",
)
DETECTOR = "entry_1/instrument_1/detector_1/"
SOURCE = "entry_1/instrument_1/source_1/"
MASKS = (DETECTOR + "mask", "entry_1/data_1/mask")
DEFAULT_BASIS = np.array([[0.0, -1.0], [-1.0, 0.0], [0.0, 0.0]])
"""Unit vectors (x, y, z) of the row and the column direction where the file has none."""


def sniff(path: Path) -> str | None:
    """Recognise HDF5 by ``cxi_version``, or by CXI's names of patterns and translations."""
    if not is_hdf5(path):
        return None
    with open_file(path) as file:
        version = number(file, "cxi_version")
        data, translation = find(file, *DATA), find(file, *TRANSLATION)
        named = [item.name for item in (data, translation) if item is not None]
        if version is not None and named:
            return f"an HDF5 file with cxi_version {version:.0f} and {named[0]}"
        if len(named) == 2:
            return f"an HDF5 file with {' and '.join(named)}"
    return None


def read(path: Path, *, lazy: bool) -> ScanFields:
    """Read a CXI file; units, signs and the mask as the specification has them.

    Raises
    ------
    MissingFieldError
        If there are neither patterns nor translations.
    DomainError
        If the energy cannot be in joules, or energy and wavelength disagree.
    """
    with open_file(path) as file:
        return cxi_fields(file, path=path, lazy=lazy, name=NAME)


def cxi_fields(
    file: h5py.File, *, path: Path, lazy: bool, name: str, geometry: ScanGeometry | None = None
) -> ScanFields:
    """Read CXI's names from an open file.

    NeXus' NXcxi_ptycho shares them, but states its ``geometry`` elsewhere, and a unit of every length.

    A file may hold the patterns alone, or the positions, probe and object alone, as Ptychodus splits them.
    """
    data, translation = find(file, *DATA), find(file, *TRANSLATION)
    if data is None and translation is None:
        tried = " or ".join((*DATA, *TRANSLATION))
        raise MissingFieldError(
            f"expected {tried}; the file holds {', '.join(tree(file))}.", path=path, field="patterns"
        )
    basis = basis_vectors(file, path=path)
    own = _Extension.of(file, path=path)
    declared = own.declaration.metadata
    extra = dict(declared.extra)
    if find(file, DETECTOR + "data_dark") is not None:
        extra["data_dark"] = "in the file, not subtracted"
    n_entries = number(file, "number_of_entries") or 1
    if n_entries > 1:
        extra["number_of_entries"] = f"{n_entries:.0f}, of which entry_1 is read"
    probe, canvas = _images(file)
    if probe is not None and probe.ndim == 4:
        extra |= {"n_position_dependent_probes": len(probe)} if len(probe) > 1 else {}
        probe = probe[0]
    in_metres = "m" if geometry is None else None
    factor = 1.0 if translation is None else unit_factor(translation, LENGTH_M, default=in_metres)
    sample_m = None if translation is None else numbers(translation).astype(np.float64) * factor
    stated = geometry_of(file, basis, path=path) if geometry is None else geometry
    stated = stated if declared.geometry is None else declared.geometry
    return ScanFields(
        path=path,
        format=name,
        patterns=None if data is None else frames(data, lazy=lazy),
        positions_m=None if sample_m is None else probe_positions(sample_m, basis, path=path),
        positions_nominal_m=own.nominal_m,
        origin=_origin(file, canvas, probe),
        probe=probe,
        object=canvas,
        scan_index=own.scan_index,
        bad_pixels=bad_pixels_of(file, cxi=MASKS, nexus=tuple(DETECTOR + name for name in NEXUS_MASKS)),
        measurement="intensity",
        measurement_reason="CXI holds what the detector counted",
        metadata=replace(
            declared,
            wavelength_m=declared.wavelength_m or stated.wavelength,
            pixel_size_m=declared.pixel_size_m or _object_pixel(file),
            geometry=None if stated == ScanGeometry() else stated,
            extra=extra,
        ),
        names=tree(file),
    )


def frames(data: h5py.Dataset, *, lazy: bool) -> ArraySource:
    """Open patterns of three axes, or of four where they lie as a raster."""
    if data.ndim not in (3, 4):
        raise ShapeError(
            f"expected {data.name} of shape (scan, N, N) or (rows, columns, N, N); found {data.shape}.",
            path=data.file.filename,
            field="patterns",
        )
    source: ArraySource = open_array(data) if lazy else ArrayInMemory(read_all(data))
    return RasterRows(source) if data.ndim == 4 else source


def probe_positions(
    translation: Shaped[np.ndarray, "..."], basis: Float64[np.ndarray, "3 2"], *, path: Path
) -> Float64[np.ndarray, "scan 2"]:
    """Return the probe's (y, x) in metres from the sample's (x, y, z), seen along the detector's rows and columns."""
    if translation.ndim != 2 or translation.shape[1] not in (2, 3):
        raise ShapeError(
            f"expected translations of shape (scan, 3), the sample's (x, y, z); found {translation.shape}.",
            path=path,
            field="positions",
        )
    directions = (basis / np.linalg.norm(basis, axis=0))[: translation.shape[1]]
    used = directions.any(axis=1)  # a coordinate along the beam may be no number
    positions: np.ndarray = -translation[:, used].astype(np.float64) @ directions[used]
    return positions


def basis_vectors(file: h5py.File, *, path: Path) -> Float64[np.ndarray, "3 2"]:
    """Return the step (x, y, z) from row to row and from column to column; unit vectors if the file gives none."""
    item = find(file, DETECTOR + "basis_vectors")
    if item is None:
        return DEFAULT_BASIS
    basis = numbers(item).astype(np.float64)
    basis = basis.T if basis.shape == (2, 3) else basis
    if basis.shape != (3, 2) or not np.linalg.norm(basis, axis=0).all():
        raise ShapeError(
            f"expected basis_vectors of shape (3, 2), none of them zero; found {basis.shape}.",
            path=path,
            field="positions",
        )
    return basis


def geometry_of(file: h5py.File, basis: Float64[np.ndarray, "3 2"], *, path: Path) -> ScanGeometry:
    """Collect beam, distance and pixels, in CXI's SI units where the file states no others.

    Basis vectors of length 1 give directions, not the side of a pixel.
    """
    sizes = [quantity(file, DETECTOR + f"{axis}_pixel_size", units=LENGTH_M, default="m") for axis in "yx"]
    steps = np.linalg.norm(basis, axis=0)
    if None in sizes and not np.allclose(steps, 1.0):
        sizes = [float(step) for step in steps]
    height, width = (size or sizes[1 - axis] for axis, size in enumerate(sizes))
    facts = {
        "wavelength_m": _wavelength(file, path=path),
        "distance_m": quantity(file, DETECTOR + "distance", units=LENGTH_M, default="m") or None,
        "detector_pixel_m": (height, width) if height and width else None,
    }
    return ScanGeometry.of(facts, path=path)


def _wavelength(file: h5py.File, *, path: Path) -> float | None:
    names = (SOURCE + "energy", "entry_1/instrument_1/beam_1/energy")
    energy_j = quantity(file, *names, units=ENERGY_J, default="J") or None
    wavelength_m = quantity(file, SOURCE + "wavelength", units=LENGTH_M, default="m") or None
    if energy_j is None:
        return wavelength_m
    if energy_j > LARGEST_ENERGY_J:
        raise DomainError(
            f"expected the photon energy in joules, as CXI has it; found {energy_j:g}. If that is in eV, write "
            f"{energy_j * EV_JOULE:g} J into the file, or override it with --energy-ev.",
            path=path,
            field="wavelength_m",
        )
    derived = HC_EV_M / (energy_j / EV_JOULE)
    if wavelength_m is not None and abs(wavelength_m / derived - 1) > 1e-3:
        raise DomainError(
            f"the file's energy means a wavelength of {derived:.6g} m, but it says {wavelength_m:.6g} m. Repair one of "
            "them.",
            path=path,
            field="wavelength_m",
        )
    return wavelength_m or derived


def _images(file: h5py.File) -> tuple[Shaped[np.ndarray, "..."] | None, Shaped[np.ndarray, "..."] | None]:
    """Return probe and object, as Ptychodus and ptychofold write them."""
    light, image = find(file, SOURCE + "illumination"), None
    if any(name in file.get("entry_1", ()) for name in (EXTENSION, "ptychodus")):
        light, image = light or find(file, "entry_1/image_1/data"), find(file, "entry_1/image_2/data")
    probe = None if light is None or light.dtype.kind != "c" else read_all(light)
    canvas = None if image is None or image.dtype.kind != "c" else read_all(image)
    return probe, canvas.prod(axis=0) if canvas is not None and canvas.ndim == 3 else canvas


def _object_pixel(file: h5py.File) -> tuple[float, float] | None:
    height, width = (number(file, f"entry_1/ptychodus/object_pixel_{side}_m") for side in ("height", "width"))
    return (height, width) if height and width else None


def _origin(
    file: h5py.File, canvas: Shaped[np.ndarray, "H W"] | None, probe: Shaped[np.ndarray, "..."] | None
) -> tuple[float, float] | None:
    """Return the pixel of metre 0, where the file places an object."""
    centre = [number(file, f"entry_1/ptychodus/object_center_{axis}_m") for axis in "yx"]
    pixel = _object_pixel(file)
    if probe is None or pixel is None or None in centre:
        return None
    shape = (0, 0) if canvas is None else canvas.shape
    shift = origin_shift((shape[0], shape[1]), (probe.shape[-2], probe.shape[-1]))
    y, x = (float(s) - (c or 0.0) / p for s, c, p in zip(shift, centre, pixel, strict=True))
    return y, x


@dataclass(frozen=True, kw_only=True)
class _Extension:
    """What ptychofold adds to a CXI file under its own name."""

    declaration: Declaration
    nominal_m: Float64[np.ndarray, "scan 2"] | None = None
    scan_index: Shaped[np.ndarray, " scan"] | None = None

    @classmethod
    def of(cls, file: h5py.File, *, path: Path) -> "_Extension":
        entry = f"entry_1/{EXTENSION}/"
        nominal, index = find(file, entry + "positions_nominal_m"), find(file, entry + "scan_index")
        declaration = parse_metadata(text(file, entry + "metadata"), path=path)
        return cls(
            declaration=declaration,
            nominal_m=None if nominal is None else numbers(nominal).astype(np.float64),
            scan_index=None if index is None else numbers(index),
        )


FORMAT = Format(
    name=NAME,
    description="patterns, translations of the sample, detector and source in HDF5, as the CXI data bank defines them",
    suffixes=(".cxi",),
    sniff=sniff,
    read=read,
    write=write,
)
