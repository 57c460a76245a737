"""The product of Ptychodus as a NumPy zip archive: the HDF5 product's names, attributes under prefixed names.

Ptychodus 1.7, ``plugins/npz_product_file.py``; positions lie as in `ptychodus_product`.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from ptychofold.conventions import pixels_from_metres
from ptychofold.errors import MissingFieldError, ShapeError
from ptychofold.formats.archive import Member, list_members, read_array, read_header
from ptychofold.formats.base import ZIP_MAGICS, Format, read_start
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.ptychodus import wavelength_from_energy
from ptychofold.formats.ptychodus_product import NUMBERS, origin_shift, product_geometry
from ptychofold.metadata import Metadata
from ptychofold.validation import check_columns

__all__ = ["FORMAT"]

NAME = "Ptychodus NPZ product"
NEEDED = (
    "probe_position_x_m",
    "probe_position_y_m",
    "probe",
    "object",
    "object_pixel_height_m",
    "object_pixel_width_m",
)


def sniff(path: Path) -> str | None:
    """Recognise a zip archive with positions in metres, a probe and an object."""
    if not read_start(path).startswith(ZIP_MAGICS):
        return None
    return f"a zip archive with {', '.join(NEEDED[:4])}" if set(NEEDED[:4]) <= set(list_members(path)) else None


def read(path: Path, *, lazy: bool) -> ScanFields:
    """Read a product; it has no patterns. See `ptychodus_product.read` for several probes and layers.

    Raises
    ------
    MissingFieldError
        If an array or the object pixel is missing.
    ShapeError
        If probe or object have other axes than a product's.
    """
    members = list_members(path)
    missing = [name for name in NEEDED if name not in members]
    if missing:
        raise MissingFieldError(
            f"expected {', '.join(missing)}; the archive holds {', '.join(members)}.", path=path, field=missing[0]
        )
    x, y, probe, layers, height, width = (_array(members, name) for name in NEEDED)
    if probe.ndim not in (2, 3, 4) or layers.ndim not in (2, 3) or height.size != 1 or width.size != 1:
        raise ShapeError(
            f"expected a probe of 2 to 4 axes, an object of 2 or 3 and one pixel size; found {probe.shape}, "
            f"{layers.shape} and {height.size}.",
            path=path,
            field="probe",
        )
    counts = {"n_position_dependent_probes": len(probe) if probe.ndim == 4 else 1}
    counts["n_object_layers"] = len(layers) if layers.ndim == 3 else 1
    probe = probe[0] if probe.ndim == 4 else probe
    pixel_size_m = float(height.item()), float(width.item())
    centre = np.array([_number(members, f"object_center_{axis}_m") for axis in "yx"])
    positions = pixels_from_metres(check_columns(x, y, path=path) - centre, pixel_size_m=pixel_size_m)
    return ScanFields(
        path=path,
        format=NAME,
        positions=positions + origin_shift(layers.shape[-2:], probe.shape[-2:]),
        probe=probe,
        object=None if not layers.size else layers.prod(axis=0) if layers.ndim == 3 else layers,
        point_numbers=_array(members, "probe_position_indexes") if "probe_position_indexes" in members else None,
        metadata=_metadata(members, pixel_size_m=pixel_size_m, counts=counts),
        names=tuple(members),
    )


def _array(members: Mapping[str, Member], name: str) -> Shaped[np.ndarray, "..."]:
    return read_array(members[name], read_header(members[name]))


def _number(members: Mapping[str, Member], name: str) -> float:
    """Return a number; 0 where there is none, as Ptychodus writes unknown ones."""
    array = _array(members, name) if name in members else np.zeros(1)
    return float(array.ravel()[0]) if array.size and array.dtype.kind in "buif" else 0.0


def _metadata(
    members: Mapping[str, Member], *, pixel_size_m: tuple[float, float], counts: Mapping[str, int]
) -> Metadata:
    extra: dict[str, object] = {name: value for name in NUMBERS if (value := _number(members, name))}
    if "far_field" in members:
        extra["far_field"] = bool(_number(members, "far_field"))
    extra |= {name: count for name, count in counts.items() if count > 1}
    wavelength_m = wavelength_from_energy(_number(members, "photon_energy_eV"))
    return Metadata(
        wavelength_m=wavelength_m,
        pixel_size_m=pixel_size_m,
        n_photons=_number(members, "probe_photon_count") or None,
        geometry=product_geometry(extra, wavelength_m=wavelength_m, pixel_size_m=pixel_size_m),
        extra=extra,
    )


FORMAT = Format(
    name=NAME,
    description="probe, object and positions in a NumPy zip archive, without the patterns",
    suffixes=(".npz",),
    sniff=sniff,
    read=read,
)
