"""A reconstruction of PtychoShelves or fold_slice, as MATLAB saves it: object, probe, positions, and no patterns.

``outputs.probe_positions`` (scan, 2) holds the probe's (x, y) in object pixels from the object's centre; ``p.dx_spec``
the object pixel, ``p.lambda`` the wavelength (Ptychodus 1.7, ``plugins/fold_slice/product_file.py``). MATLAB 7.3 files
are HDF5, where arrays appear with their axes reversed; older ones are read by SciPy.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Shaped

from ptychofold.config import ScanGeometry
from ptychofold.conventions import xy_from_yx
from ptychofold.errors import FormatError, MissingFieldError, ShapeError
from ptychofold.formats.base import Format, foreign_errors_refused, read_start
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.hdf5 import is_hdf5, open_file, read_all
from ptychofold.formats.ptychodus_product import origin_shift
from ptychofold.metadata import Metadata

__all__ = ["FORMAT"]

NAME = "PtychoShelves reconstruction"
POSITIONS = "outputs/probe_positions"
MATLAB_5 = b"MATLAB 5.0 MAT-file"
Get = Callable[[str], Shaped[np.ndarray, "..."] | None]
"""Returns an array by its path, axes as MATLAB has them."""


def sniff(path: Path) -> str | None:
    """Recognise a MATLAB file with object, probe and outputs."""
    if is_hdf5(path):
        with open_file(path) as file:
            names = ("object", "probe", POSITIONS)
            found = all(isinstance(file.get(name), h5py.Dataset) for name in names)
        return "a MATLAB 7.3 file with object, probe, outputs" if found else None
    if not read_start(path).startswith(MATLAB_5):
        return None
    from scipy.io import whosmat

    try:
        with _matlab_errors_refused(path):
            present = {name for name, _, _ in whosmat(path)}
    except FormatError:
        return None
    return "a MATLAB 5 file with object, probe, outputs" if {"object", "probe", "outputs"} <= present else None


def read(path: Path, *, lazy: bool) -> ScanFields:
    """Read a reconstruction; of several position-dependent probes the first, of several layers their product.

    Raises
    ------
    MissingFieldError
        If object, probe or positions are missing.
    ShapeError
        If they have other axes than MATLAB gives them.
    """
    if is_hdf5(path):
        with open_file(path) as file:
            return _fields(lambda name: _reversed(file, name), path=path)
    from scipy.io import loadmat

    with _matlab_errors_refused(path):
        content = loadmat(path, simplify_cells=True)
    return _fields(lambda name: _nested(content, name), path=path)


@contextmanager
def _matlab_errors_refused(path: Path) -> Iterator[None]:
    """Turn SciPy's errors of MATLAB files into ours."""
    from scipy.io.matlab import MatReadError

    with foreign_errors_refused(path, doing="reading the MATLAB file"):
        try:
            yield
        except MatReadError as error:
            raise FormatError(f"reading the MATLAB file failed: {error}. Copy the file again.", path=path) from error


def _reversed(file: h5py.File, name: str) -> Shaped[np.ndarray, "..."] | None:
    item = file.get(name)
    if not isinstance(item, h5py.Dataset):
        return None
    array = read_all(item)
    if array.dtype.names == ("real", "imag"):
        array = array["real"] + 1j * array["imag"]
    return array.transpose()


def _nested(content: dict[str, object], name: str) -> Shaped[np.ndarray, "..."] | None:
    found: object = content
    for part in name.split("/"):
        found = found.get(part) if isinstance(found, dict) else None
    return None if found is None else np.asarray(found)


def _fields(get: Get, *, path: Path) -> ScanFields:
    canvas, probe, positions = get("object"), get("probe"), get(POSITIONS)
    if positions is not None and positions.shape == (2,):  # SciPy leaves out axes of length 1
        positions = positions[None]
    if canvas is None or probe is None or positions is None:
        missing = "object" if canvas is None else "probe" if probe is None else POSITIONS
        raise MissingFieldError(f"expected {missing} in the MATLAB file; found none.", path=path, field=missing)
    if canvas.ndim not in (2, 3) or probe.ndim not in (2, 3, 4) or positions.ndim != 2 or positions.shape[1] != 2:
        raise ShapeError(
            f"expected object (H, W), probe (N, N, mode) and positions (scan, 2); found {canvas.shape}, {probe.shape} "
            f"and {positions.shape}.",
            path=path,
            field="object",
        )
    probe = probe[..., 0] if probe.ndim == 4 else probe
    canvas = canvas.prod(axis=2) if canvas.ndim == 3 else canvas
    shift = origin_shift((canvas.shape[0], canvas.shape[1]), (probe.shape[0], probe.shape[1]))
    pixel, wavelength = get("p/dx_spec"), get("p/lambda")
    width, height = (float(side) for side in pixel.ravel()[:2]) if pixel is not None and pixel.size > 1 else (0.0, 0.0)
    wavelength_m = None if wavelength is None else float(wavelength.ravel()[0])
    facts = {"wavelength_m": wavelength_m or None, "pixel_size_m": (height, width) if height and width else None}
    geometry = ScanGeometry.of(facts, path=path)
    return ScanFields(
        path=path,
        format=NAME,
        positions=xy_from_yx(positions.astype(np.float64)) + shift,
        probe=np.moveaxis(probe, -1, 0) if probe.ndim == 3 else probe,
        object=canvas,
        metadata=Metadata(wavelength_m=wavelength_m, pixel_size_m=geometry.pixel_size_m, geometry=geometry),
        names=("object", "probe", POSITIONS),
    )


FORMAT = Format(
    name=NAME,
    description="object, probe and positions in a MATLAB file; patterns come from its dp file",
    suffixes=(".mat",),
    sniff=sniff,
    read=read,
)
