"""A small file of each format, with the patterns, positions and probe asked for: one writer a format."""

import bz2
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import tifffile
from tests.formats.making import save

import ptychofold as pf
from ptychofold.formats import FORMATS

__all__ = ["MAKERS", "Wanted", "all_made"]

PIXEL = 1e-8
N_OBJECT = 40


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a file shall hold."""

    folder: Path
    patterns: np.ndarray
    positions: np.ndarray
    """(y, x) in object pixels."""
    probe: np.ndarray
    storage: dict[str, object] = field(default_factory=dict)
    """h5py's options of the patterns; any of them compresses other formats too."""


Made = tuple[Path, dict[str, object]]
"""The file, and the options that complete it."""
ESTIMATED: dict[str, object] = {"probe": "estimate", "pixel_size_m": (PIXEL, PIXEL)}


def _dp(wanted: Wanted) -> Path:
    with h5py.File(wanted.folder / "s_dp.hdf5", "w") as file:
        file.create_dataset("dp", data=wanted.patterns, **wanted.storage)
    return wanted.folder / "s_dp.hdf5"


def _table(wanted: Wanted) -> dict[str, object]:
    lines = ["y,x", *(f"{y!r},{x!r}" for y, x in wanted.positions.tolist())]
    (wanted.folder / "p.csv").write_text("\n".join(lines), encoding="utf-8")
    return {**ESTIMATED, "positions": wanted.folder / "p.csv", "frame": pf.PositionFrame(unit="px")}


def _npz(wanted: Wanted) -> Made:
    y, x = wanted.positions.T
    arrays = {"diff3d": wanted.patterns, "xcoords": x, "ycoords": y, "probeGuess": wanted.probe}
    path = save(wanted.folder / "a.npz", arrays, compressed=bool(wanted.storage))
    return path, {"measurement": "intensity"}


def _training(wanted: Wanted) -> Made:
    with h5py.File(wanted.folder / "a.h5", "w") as file:
        file.create_dataset("patterns", data=wanted.patterns, **wanted.storage)
        file["probe"], file["object"] = wanted.probe, np.ones((N_OBJECT, N_OBJECT), np.complex64)
        file["probe_position_y_px"], file["probe_position_x_px"] = wanted.positions.T
        file["object_pixel_width_m"], file["object_pixel_height_m"] = [PIXEL], [PIXEL]
        file["photon_energy_eV"], file["detector_object_distance_m"] = [8000.0], [1.0]
    return wanted.folder / "a.h5", {}


def _write_product(path: Path, wanted: Wanted) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["photon_energy_eV"], file.attrs["detector_object_distance_m"] = np.array([8000.0]), 1.5
        file["probe"], file["object"] = wanted.probe, np.ones((1, N_OBJECT, N_OBJECT), np.complex64)
        file["object"].attrs.update(center_x_m=0.0, center_y_m=0.0, pixel_width_m=PIXEL, pixel_height_m=[PIXEL])
        file["probe_position_y_m"], file["probe_position_x_m"] = wanted.positions.T * PIXEL
    return path


def _product(wanted: Wanted) -> Made:
    return _write_product(wanted.folder / "a.h5", wanted), {"patterns": _dp(wanted)}


def _npz_product(wanted: Wanted) -> Made:
    y, x = wanted.positions.T * PIXEL
    arrays = {"probe_position_y_m": y, "probe_position_x_m": x, "probe": wanted.probe}
    numbers = {"object_pixel_height_m": PIXEL, "object_pixel_width_m": PIXEL, "photon_energy_eV": 8000.0}
    content = arrays | {name: np.array([number]) for name, number in numbers.items()}
    content["object"] = np.ones((1, N_OBJECT, N_OBJECT), np.complex64)
    return save(wanted.folder / "a.npz", content), {"patterns": _dp(wanted)}


def _diffraction(wanted: Wanted) -> Made:
    with h5py.File(wanted.folder / "a.h5", "w") as file:
        file.create_dataset("patterns", data=wanted.patterns, **wanted.storage)
        file["patterns"].attrs["detector_pixel_width_m"] = np.array([75e-6])
        file["indexes"] = np.arange(len(wanted.patterns))
    return wanted.folder / "a.h5", _table(wanted)


def _cxi(wanted: Wanted, *, ending: str = ".cxi", definition: str | None = None) -> Made:
    path = wanted.folder / f"a{ending}"
    with h5py.File(path, "w") as file:
        file["cxi_version"], entry = 160, file.create_group("entry_1")
        entry.create_dataset("instrument_1/detector_1/data", data=wanted.patterns, **wanted.storage)
        entry["data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
        sample = np.pad(wanted.positions[:, ::-1] * PIXEL, ((0, 0), (0, 1)))
        entry["data_1/translation"], entry["instrument_1/source_1/illumination"] = sample, wanted.probe
        entry["data_1/translation"].attrs["units"] = "m"
        if definition is not None:
            entry["definition"] = definition
    return path, {"pixel_size_m": (PIXEL, PIXEL)}


def _nexus(wanted: Wanted) -> Made:
    return _cxi(wanted, ending=".nxs", definition="NXptycho")


def _tike(wanted: Wanted) -> Made:
    data = np.fft.ifftshift(wanted.patterns, axes=(-2, -1))[None]
    path = save(wanted.folder / "a.npz", {"data": data, "scan": wanted.positions[None], "probe": wanted.probe})
    if wanted.storage:
        path.write_bytes(bz2.compress(path.read_bytes()))
    return path, {}


def _ptychovit(wanted: Wanted) -> Made:
    _write_product(wanted.folder / "s_para.hdf5", wanted)
    return _dp(wanted), {}


def _fold_slice(wanted: Wanted) -> Made:
    with h5py.File(wanted.folder / "s_para.hdf5", "w") as file:
        file["ppY"], file["ppX"] = wanted.positions[:, :1] * PIXEL, wanted.positions[:, 1:] * PIXEL
        file["lambda"], file["dx"] = [[1.5e-10]], [[PIXEL]]
    return _dp(wanted), ESTIMATED


def _ptyd(wanted: Wanted) -> Made:
    with h5py.File(wanted.folder / "a.ptyd", "w") as file:
        file["meta/energy"], file["meta/distance"], file["meta/psize"] = [8.0], 2.0, 75e-6
        half = len(wanted.patterns) // 2
        for number, rows in enumerate((slice(half), slice(half, None))):
            file.create_dataset(f"chunks/{number}/data", data=wanted.patterns[rows], **wanted.storage)
            file[f"chunks/{number}/positions"] = wanted.positions[rows] * PIXEL
    return wanted.folder / "a.ptyd", ESTIMATED


def _ptylab(wanted: Wanted) -> Made:
    with h5py.File(wanted.folder / "a.hdf5", "w") as file:
        file.create_dataset("ptychogram", data=wanted.patterns, **wanted.storage)
        file["encoder"], file["wavelength"], file["zo"] = wanted.positions * PIXEL, [[6e-7]], [[0.05]]
    return wanted.folder / "a.hdf5", ESTIMATED


def _eiger(wanted: Wanted) -> Made:
    with h5py.File(wanted.folder / "d.h5", "w") as file:
        file.create_dataset("entry/data/data", data=wanted.patterns, **wanted.storage)
    with h5py.File(wanted.folder / "a_master.h5", "w") as file:
        file["entry/data/data_000001"] = h5py.ExternalLink("d.h5", "/entry/data/data")
        file["entry/instrument/detector/pixel_mask"] = np.zeros(wanted.patterns.shape[1:], np.uint32)
    return wanted.folder / "a_master.h5", _table(wanted)


def _imwrite(path: Path, array: np.ndarray, wanted: Wanted) -> None:
    tifffile.imwrite(path, array, photometric="minisblack", compression="zlib" if wanted.storage else None)


def _tiff(wanted: Wanted) -> Made:
    _imwrite(wanted.folder / "a.tif", wanted.patterns, wanted)
    return wanted.folder / "a.tif", _table(wanted)


def _tiff_frames(wanted: Wanted) -> Made:
    (wanted.folder / "frames").mkdir()
    for number, frame in enumerate(wanted.patterns):
        _imwrite(wanted.folder / "frames" / f"f_{number}.tif", frame, wanted)
    return wanted.folder / "frames", _table(wanted)


def _ptychoshelves(wanted: Wanted) -> Made:
    from scipy.io import savemat

    content = {
        "object": np.full((N_OBJECT, N_OBJECT), 1 + 1j),
        "probe": np.moveaxis(wanted.probe, 0, -1),
        "outputs": {"probe_positions": wanted.positions[:, ::-1].astype(np.float64)},
        "p": {"dx_spec": np.full((1, 2), PIXEL)},
    }
    savemat(wanted.folder / "a.mat", content)
    return wanted.folder / "a.mat", {"patterns": _dp(wanted)}


def _recipe(wanted: Wanted) -> Made:
    lines = ['patterns = "d"', 'measurement = "intensity"', 'probe = "probe"', "[positions]", 'both = "positions"']
    (wanted.folder / "r.toml").write_text("\n".join([*lines, 'frame = {unit = "px", axes = "yx"}']))
    with h5py.File(wanted.folder / "a.h5", "w") as file:
        file.create_dataset("d", data=wanted.patterns, **wanted.storage)
        file["positions"], file["probe"] = wanted.positions, wanted.probe
    return wanted.folder / "a.h5", {"recipe": wanted.folder / "r.toml"}


MAKERS: dict[str, Callable[[Wanted], Made]] = {
    "PtychoPINN NPZ": _npz, "Ptychodus training data": _training, "Ptychodus product": _product,
    "Ptychodus NPZ product": _npz_product, "Ptychodus diffraction data": _diffraction, "NeXus NXcxi_ptycho": _nexus,
    "CXI": _cxi, "tike NPZ": _tike, "PtychoViT pair": _ptychovit, "fold_slice pair": _fold_slice, "PtyPy ptyd": _ptyd,
    "PtyLab": _ptylab, "Eiger master": _eiger, "TIFF stack": _tiff, "TIFF folder": _tiff_frames,
    "PtychoShelves reconstruction": _ptychoshelves, "HDF5 by recipe": _recipe,
}  # fmt: skip


def all_made() -> bool:
    """Whether every registered format has a maker; a new format gets one, and all these tests with it."""
    return {known.name for known in FORMATS} <= set(MAKERS)
