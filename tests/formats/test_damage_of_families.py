"""Damaged files of the newer formats raise our errors and no other library's."""

import bz2
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.formats.making import save

from ptychofold.errors import PtychoError
from ptychofold.formats import read_fields, write_fields
from ptychofold.testing.scans import make_scan


def _writable(ending: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_fields(make_scan(n_scan=4, N=8).to_fields(), folder / f"a{ending}")
        return folder / f"a{ending}"

    return make


def _tike(folder: Path) -> Path:
    arrays: dict[str, np.ndarray] = {
        "data": np.ones((1, 4, 8, 8), np.float32),
        "scan": np.ones((1, 4, 2)),
        "probe": np.ones((8, 8), np.complex64),
    }
    path = save(folder / "a.npz", arrays)
    path.write_bytes(bz2.compress(path.read_bytes()))
    return path


def _ptyd(folder: Path) -> Path:
    with h5py.File(folder / "a.ptyd", "w") as file:
        file["meta/energy"], file["meta/distance"], file["meta/psize"] = 8.0, 2.0, 75e-6
        file["chunks/0/data"], file["chunks/0/positions"] = np.ones((4, 8, 8)), np.zeros((4, 2))
    return folder / "a.ptyd"


def _matlab(folder: Path) -> Path:
    from scipy.io import savemat

    outputs = {"probe_positions": np.zeros((4, 2))}
    savemat(folder / "a.mat", {"object": np.ones((20, 20)) + 1j, "probe": np.ones((8, 8)) + 1j, "outputs": outputs})
    return folder / "a.mat"


def _tiff(folder: Path) -> Path:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(folder / "a.tif", np.ones((4, 8, 8), np.uint16), photometric="minisblack")
    return folder / "a.tif"


MAKERS = {
    "cxi": _writable(".cxi"), "nexus": _writable(".nxs"), "ptychovit": _writable("_dp.hdf5"), "tike": _tike,
    "ptyd": _ptyd, "matlab": _matlab, "tiff": _tiff,
}  # fmt: skip


@pytest.mark.parametrize("kind", MAKERS)
def test_damage_raises_only_our_errors(tmp_path: Path, kind: str) -> None:
    path = MAKERS[kind](tmp_path)
    whole, rng = path.read_bytes(), np.random.default_rng(2)
    for trial in range(50):
        damaged = bytearray(whole[: rng.integers(1, len(whole))] if trial % 4 == 0 else whole)
        for place in rng.integers(0, len(damaged), rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            found = read_fields(path)
            if found.patterns is not None:
                found.patterns.read(slice(None))
        except PtychoError:
            pass
