"""Small scan files, good and wrong, for the tests of the command line."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from ptychofold.testing import make_scan

__all__ = ["WRONG_FILES", "good_scan"]

N_SCAN, N = 9, 16


def good_scan(path: Path, *, n_scan: int = 25, seed: int = 0) -> Path:
    """Write a simulated scan."""
    make_scan(n_scan=n_scan, N=16, step=2.0, seed=seed).to_file(path)
    return path


def _arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "xcoords": rng.uniform(8, 20, N_SCAN),
        "ycoords": rng.uniform(8, 20, N_SCAN),
        "diff3d": rng.poisson(5.0, (N_SCAN, N, N)).astype(np.uint16),
        "probeGuess": np.ones((N, N), np.complex64),
    }


def _save(path: Path, **changes: np.ndarray) -> Path:
    np.savez(path, **{**_arrays(), **changes})  # type: ignore[arg-type]  # savez's keywords are arrays
    return path


def _truncated(folder: Path) -> Path:
    path = _save(folder / "truncated.npz")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def _without_probe(folder: Path) -> Path:
    arrays = _arrays()
    del arrays["probeGuess"]
    path = folder / "no_probe.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def _positions_2d(folder: Path) -> Path:
    return _save(folder / "positions_2d.npz", xcoords=np.zeros((3, 3)))


def _positions_nan(folder: Path) -> Path:
    return _save(folder / "nan.npz", xcoords=np.where(np.arange(N_SCAN) == 4, np.nan, 9.0))


class _Program:
    """A pickle that runs a program when it is loaded."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
        return os.mkdir, ("pickle_was_executed",)


def _pickled(folder: Path) -> Path:
    payload = np.empty((), object)
    payload[()] = _Program()
    assert pickle.dumps(payload)
    return _save(folder / "pickled.npz", objectGuess=payload)


def _unknown_filter(folder: Path) -> Path:
    path = folder / "filter.h5"
    with h5py.File(path, "w") as file:
        file["indexes"] = np.arange(N_SCAN)
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((1, N, N))
        properties.set_filter(32099, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((N_SCAN, N, N))
        h5py.h5d.create(file.id, b"patterns", h5py.h5t.NATIVE_UINT16, space, properties)
        file["bad_pixels"] = np.zeros((N, N), bool)
    return path


def _text(folder: Path) -> Path:
    path = folder / "notes.npz"
    path.write_text("These are notes, not a scan.\n")
    return path


def _nothing(folder: Path) -> Path:
    return folder / "nothing.npz"


WRONG_FILES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "truncated zip": (_truncated, r"zip"),
    "missing key": (_without_probe, r"expected a probe; .*--probe FILE .*--probe estimate "),
    "2-D positions": (_positions_2d, r"found \(3, 3\)"),
    "NaN positions": (_positions_nan, r"1 non-finite of 18"),
    "pickled payload": (_pickled, r"pickle"),
    "HDF5 with an unknown filter": (_unknown_filter, r"filter 32099"),
    "not a scan at all": (_text, r"text file"),
    "nonexistent": (_nothing, r"found nothing"),
}
"""How to make each wrong file, and what the one line about it says."""
