"""The HDF5 product of Ptychodus: probe, object and positions in metres; the patterns lie in another file.

A position p in metres lies at pixel ``(p - centre) / pixel + (n - 1) / 2`` of an object of n pixels, and the centre of
the probe array, pixel ``(N - 1) / 2``, lies on it. With the pixel ``N // 2`` of a patch on its position this is::

    position = (p - centre) / pixel + (n - N) / 2 + N // 2

which also holds for versions that put both centres at ``n / 2`` and ``N / 2``.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Complex, Float64, Shaped

from ptychofold.atomic import replacing
from ptychofold.config import ScanGeometry
from ptychofold.config.geometry import HC_EV_M
from ptychofold.conventions import metres_from_pixels, pixels_from_metres
from ptychofold.errors import MissingFieldError, ShapeError
from ptychofold.formats.base import Format, foreign_errors_refused
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.hdf5 import open_file, read_all
from ptychofold.formats.hdf5_items import attribute_number, dataset, has_datasets, names_in
from ptychofold.formats.hdf5_write import not_held
from ptychofold.formats.ptychodus import wavelength_from_energy
from ptychofold.metadata import Metadata
from ptychofold.validation import check_columns

__all__ = ["FORMAT", "origin_shift", "path_stem", "product_geometry"]

NAME = "Ptychodus product"

ENERGY_NAMES = ("photon_energy_eV", "probe_energy_eV")
"""The attribute's name now and before it was renamed."""
NUMBERS = (
    "detector_object_distance_m",
    "focus_object_distance_m",
    "exposure_time_s",
    "mass_attenuation_m2_per_kg",
    "tomography_angle_deg",
    "tilt_angle_deg",
)
"""Attributes that are kept as they are; 0 where nothing is known."""
HOLDS = ("probe", "object", "n_photons", "wavelength_m")
RECONSTRUCTION = "ptychofold_reconstruction"
"""Data set of ours, which Ptychodus passes over: how the object came about, as JSON text."""


def sniff(path: Path) -> str | None:
    """Recognise a product by its positions in metres."""
    names = ("probe_position_x_m", "probe_position_y_m", "probe")
    return f"an HDF5 file with {', '.join(names)}" if has_datasets(path, *names) else None


def read(path: Path, *, lazy: bool) -> ScanFields:
    """Read a product; it has no patterns.

    Only the first of several position-dependent probes is read, and several object layers are multiplied into one
    transmission; ``metadata.extra`` says how many there were.
    """
    with open_file(path) as file:
        probe = read_all(dataset(file, "probe", field="probe"))
        x = read_all(dataset(file, "probe_position_x_m", field="positions"))
        y = read_all(dataset(file, "probe_position_y_m", field="positions"))
        numbers = file.get("probe_position_indexes")
        layers = dataset(file, "object", field="object")
        n_probes, n_layers = (len(probe) if probe.ndim == 4 else 1), (len(layers) if layers.ndim == 3 else 1)
        probe = probe[0] if probe.ndim == 4 else probe
        if probe.ndim not in (2, 3) or layers.ndim not in (2, 3):
            raise ShapeError(
                f"expected a probe of 2 to 4 axes and an object of 2 or 3; found {probe.shape} and {layers.shape}.",
                path=path,
                field="probe",
            )
        pixel_size_m = _pixel_size(layers)
        centre = np.array(
            [attribute_number(layers, "center_y_m") or 0.0, attribute_number(layers, "center_x_m") or 0.0]
        )
        shift = origin_shift(layers.shape[-2:], probe.shape[-2:])
        transmission = read_all(layers)
        return ScanFields(
            path=path,
            format=NAME,
            positions=pixels_from_metres(check_columns(x, y, path=path) - centre, pixel_size_m=pixel_size_m) + shift,
            probe=probe,
            object=None if not layers.size else transmission.prod(axis=0) if layers.ndim == 3 else transmission,
            point_numbers=read_all(numbers) if isinstance(numbers, h5py.Dataset) else None,
            metadata=_metadata(file, pixel_size_m=pixel_size_m, n_probes=n_probes, n_layers=n_layers),
            names=names_in(file),
        )


def origin_shift(object_shape: tuple[int, int], probe_shape: tuple[int, int]) -> Float64[np.ndarray, " 2"]:
    """Return the pixel (y, x) of a probe centre that lies on the object's centre."""
    n, N = np.asarray(object_shape, np.float64), np.asarray(probe_shape, np.float64)
    return (n - N) / 2 + N // 2


def _pixel_size(layers: h5py.Dataset) -> tuple[float, float]:
    height, width = attribute_number(layers, "pixel_height_m"), attribute_number(layers, "pixel_width_m")
    if not height or not width:
        raise MissingFieldError(
            "expected the attributes pixel_height_m and pixel_width_m of object, not zero; without them positions in "
            f"metres cannot be placed. Found {', '.join(layers.attrs) or 'no attributes'}.",
            path=layers.file.filename,
            field="pixel_size_m",
        )
    return height, width


def _metadata(file: h5py.File, *, pixel_size_m: tuple[float, float], n_probes: int, n_layers: int) -> Metadata:
    """Collect the attributes, old names included; numbers that are zero are unknown."""
    extra: dict[str, object] = {name: value for name in NUMBERS if (value := attribute_number(file, name))}
    for name in ("name", "comments"):
        text = file.attrs.get(name, "")
        if text := text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text):
            extra[name] = text
    if "far_field" in file.attrs:
        extra["far_field"] = bool(file.attrs["far_field"])
    if found := _reconstruction(file):
        extra["reconstruction"] = found
    if n_probes > 1:
        extra["n_position_dependent_probes"] = n_probes
    if n_layers > 1:
        extra["n_object_layers"] = n_layers
    rate, time = attribute_number(file, "probe_photons_per_s"), attribute_number(file, "exposure_time_s")
    wavelength_m = wavelength_from_energy(attribute_number(file, *ENERGY_NAMES))
    return Metadata(
        wavelength_m=wavelength_m,
        pixel_size_m=pixel_size_m,
        geometry=product_geometry(extra, wavelength_m=wavelength_m, pixel_size_m=pixel_size_m),
        n_photons=attribute_number(file, "probe_photon_count") or ((rate or 0.0) * (time or 0.0)) or None,
        extra=extra,
    )


def product_geometry(
    known: Mapping[str, object], *, wavelength_m: float | None, pixel_size_m: tuple[float, float]
) -> ScanGeometry | None:
    """Return what a product says of beam and detector; None where its near field cannot be expressed.

    Ptychodus counts the focus along the beam from the object: upstream of it, where the beam diverges onto the object,
    ``focus_object_distance_m`` is negative (Ptychodus 1.7, ``api/propagate.py``).
    """
    distance, focus = (known.get(f"{name}_object_distance_m") for name in ("detector", "focus"))
    focus_m = -focus if isinstance(focus, float) else 0.0
    near = known.get("far_field") is False
    if near and (not isinstance(distance, float) or focus_m < 0):
        return None
    facts = {
        "wavelength_m": wavelength_m,
        "distance_m": distance if isinstance(distance, float) and distance > 0 else None,
        "propagation": None if "far_field" not in known else "near_field" if near else "far_field",
        "focus_m": focus_m if near and focus_m else None,
        "defocus_m": focus_m if not near and focus_m else None,
        "pixel_size_m": pixel_size_m,
    }
    return ScanGeometry.of(facts)


def write(fields: ScanFields, path: Path) -> tuple[str, ...]:
    """Write a product that Ptychodus 1.7 loads; unknown numbers become 0, as Ptychodus writes them.

    Returns
    -------
    names
        Fields of the scan that a product cannot hold.

    Raises
    ------
    MissingFieldError
        If the scan has no positions, probe or pixel size.
    """
    positions, probe, pixel_size_m = fields.positions, fields.probe, fields.metadata.pixel_size_m
    if positions is None or probe is None or pixel_size_m is None:
        missing = "positions" if positions is None else "probe" if probe is None else "pixel_size_m"
        option = " Supply --pixel-size-m." if missing == "pixel_size_m" else ""
        raise MissingFieldError(
            f"expected {missing} in the scan to write; found None. A product holds positions in metres and needs it."
            + option,
            path=path,
            field=missing,
        )
    layers = np.zeros((1, 0, 0), np.complex64) if fields.object is None else fields.object[None]
    metres = metres_from_pixels(
        positions - origin_shift(layers.shape[-2:], probe.shape[-2:]), pixel_size_m=pixel_size_m
    )
    cure = "Check the folder and the space left on the disk."
    with (
        foreign_errors_refused(path, doing="writing the product", cure=cure),
        replacing(path) as partial,
        h5py.File(partial, "x") as file,
    ):
        _write_attributes(file, fields)
        _write_arrays(file, metres_yx=metres, probe=probe, layers=layers, numbers=fields.point_numbers)
        if isinstance(how := fields.metadata.extra.get("reconstruction"), Mapping):
            file[RECONSTRUCTION] = json.dumps(dict(how), default=str)
        losses = _losses(fields)
        file["loss_epochs"], file["loss_values"] = np.arange(len(losses)), losses
        for name, value in zip(("pixel_height_m", "pixel_width_m"), pixel_size_m, strict=True):
            file["object"].attrs[name] = value
            file["probe"].attrs[name] = value
    return _not_held(fields)


def _write_attributes(file: h5py.File, fields: ScanFields) -> None:
    known, extra = fields.metadata, fields.metadata.extra
    file.attrs["name"] = str(extra.get("name", path_stem(fields)))
    file.attrs["comments"] = str(extra.get("comments", ""))
    for name in NUMBERS:
        value = extra.get(name, 0.0)
        file.attrs[name] = float(value) if isinstance(value, int | float) else 0.0
    geometry = known.geometry
    if geometry is not None and geometry.sample_distance_m is not None:
        file.attrs["detector_object_distance_m"] = geometry.sample_distance_m
    if geometry is not None and (geometry.propagation or geometry.defocus_m or geometry.field == "near_field"):
        file.attrs["focus_object_distance_m"] = -(geometry.focus_m or geometry.defocus_m or 0.0)
        file.attrs["far_field"] = geometry.field == "far_field"
    elif "far_field" in extra:
        file.attrs["far_field"] = bool(extra["far_field"])
    file.attrs["photon_energy_eV"] = HC_EV_M / known.wavelength_m if known.wavelength_m else 0.0
    file.attrs["probe_photon_count"] = known.n_photons or 0.0


def path_stem(fields: ScanFields) -> str:
    """Return the name of the file that the scan came from."""
    return "Unnamed" if fields.path is None else fields.path.stem


def _write_arrays(
    file: h5py.File,
    *,
    metres_yx: Float64[np.ndarray, "scan 2"],
    probe: Complex[np.ndarray, "... N N"],
    layers: Complex[np.ndarray, "layer H W"],
    numbers: Shaped[np.ndarray, " scan"] | None,
) -> None:
    file["probe_position_indexes"] = np.arange(len(metres_yx)) if numbers is None else numbers
    file["probe_position_x_m"] = metres_yx[:, 1]
    file["probe_position_y_m"] = metres_yx[:, 0]
    file["probe"] = probe[(None,) * (4 - probe.ndim)]
    file["object"] = layers
    file["object"].attrs.update(center_x_m=0.0, center_y_m=0.0)
    file["object_layer_spacing_m"] = np.empty(0)


def _losses(fields: ScanFields) -> Float64[np.ndarray, " epoch"]:
    """Return the losses of the reconstruction that the scan's object came from, if it says so."""
    reconstruction = fields.metadata.extra.get("reconstruction")
    losses = reconstruction.get("losses") if isinstance(reconstruction, Mapping) else None
    return np.array([x for x in losses or () if isinstance(x, int | float)], np.float64)


def _reconstruction(file: h5py.File) -> dict[str, object]:
    """Return how the object came about: our own record, else the losses that Ptychodus keeps."""
    own, losses = file.get(RECONSTRUCTION), file.get("loss_values")
    if isinstance(own, h5py.Dataset):
        try:
            found = json.loads(own.asstr()[()])
        except (TypeError, ValueError):
            found = None
        if isinstance(found, dict):
            return found
    if isinstance(losses, h5py.Dataset) and losses.size:
        return {"losses": [float(value) for value in read_all(losses)]}
    return {}


def _not_held(fields: ScanFields) -> tuple[str, ...]:
    geometry = fields.metadata.geometry
    lost = geometry is not None and (geometry.particle == "electron" or geometry.detector_pixel_m is not None)
    names = not_held(fields, holds=HOLDS if lost else (*HOLDS, "geometry"))
    return names if fields.patterns is None else ("patterns", *names)


FORMAT = Format(
    name=NAME,
    description="probe, object and positions in HDF5, without the patterns",
    suffixes=(".h5", ".hdf5"),
    sniff=sniff,
    read=read,
    write=write,
    holds_patterns=False,
)
