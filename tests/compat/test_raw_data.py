"""RawData and its relatives: views, files, simulation."""

from pathlib import Path

import numpy as np
import pytest

from ptychofold.compat import RawData, load_data
from ptychofold.compat.config_tf import ModelConfig, TrainingConfig
from ptychofold.compat.raw_data import MemmapDatasetBridge
from ptychofold.errors import DataError
from ptychofold.formats.lazy import MappedArray
from ptychofold.testing import make_scan


def arrays(n_scan: int = 20, N: int = 16) -> dict[str, np.ndarray]:
    scan = make_scan(n_scan=n_scan, N=N, seed=0)
    return {
        "xcoords": scan.positions[:, 1].copy(), "ycoords": scan.positions[:, 0].copy(),
        "diff3d": scan.amplitude(range(n_scan)), "probeGuess": scan.probe[0],
        "scan_index": np.zeros(n_scan, np.int64),
    }  # fmt: skip


def test_attributes_are_views_of_what_was_given() -> None:
    given = arrays()
    raw = RawData.from_coords_without_pc(**given)
    assert raw.diff3d.ctypes.data == given["diff3d"].ctypes.data
    assert raw.probeGuess.ctypes.data == given["probeGuess"].ctypes.data
    assert np.shares_memory(raw.xcoords, raw.scan.positions)
    np.testing.assert_array_equal(raw.ycoords_start, given["ycoords"])
    with pytest.raises(AttributeError, match="no attribute 'zcoords'"):
        _ = raw.zcoords


def test_a_scan_goes_to_a_file_and_back(tmp_path: Path) -> None:
    given = arrays()
    start = given["xcoords"] + 1
    raw = RawData(
        given["xcoords"], given["ycoords"], start, given["ycoords"], given["diff3d"], given["probeGuess"],
        given["scan_index"], Y=np.ones((20, 16, 16, 1), np.complex64), metadata={"additional_parameters": {"a": 1}},
    )  # fmt: skip
    raw.to_file(tmp_path / "train")
    train, test = RawData.from_files(tmp_path / "train.npz", tmp_path / "train.npz")
    for name in ("xcoords", "ycoords", "xcoords_start", "diff3d", "probeGuess", "Y"):
        np.testing.assert_array_equal(getattr(train, name), getattr(raw, name))
    assert dict(test.metadata or {})["additional_parameters"] == {"a": 1}


def test_a_simulation_is_in_the_scale_of_the_probe() -> None:
    scan = make_scan(n_scan=12, N=16, seed=0)
    assert scan.object is not None
    x, y = scan.positions[:, 1].copy(), scan.positions[:, 0].copy()
    probe = np.asarray(3 * scan.probe[0] / np.linalg.norm(scan.probe[0]), np.complex64)
    raw = RawData.from_simulation(x, y, probe, scan.object, n_photons=1e6, seed=1)
    assert raw.Y is not None
    exit_energy = np.square(np.abs(raw.Y * probe)).sum(axis=(1, 2))
    np.testing.assert_allclose(np.square(raw.diff3d).sum(axis=(1, 2)), exit_energy, rtol=0.01)
    assert raw.norm_Y_I == pytest.approx(np.sqrt(1e6 / np.square(raw.diff3d).sum(axis=(1, 2)).mean()), rel=1e-5)
    again = RawData.from_simulation(x, y, probe, scan.object, n_photons=1e6, seed=1)
    np.testing.assert_array_equal(raw.diff3d, again.diff3d)


def test_a_bridge_maps_the_file_in_place(tmp_path: Path) -> None:
    RawData.from_coords_without_pc(**arrays()).to_file(tmp_path / "a.npz")
    bridge = MemmapDatasetBridge(tmp_path / "a.npz", TrainingConfig(model=ModelConfig(N=16, gridsize=2)))
    assert isinstance(bridge.scan.patterns, MappedArray)
    grouped = bridge.get_grouped_data(N=16, K=6, nsamples=5, gridsize=2, seed=42)
    np.testing.assert_array_equal(grouped["nn_indices"], bridge.generate_grouped_data(16, 6, 5, 42)["nn_indices"])


def test_flips_swap_and_scale_act_in_this_order(tmp_path: Path) -> None:
    given = arrays()
    RawData.from_coords_without_pc(**given).to_file(tmp_path / "a.npz")
    raw = load_data(tmp_path / "a.npz", flip_y=True, swap_xy=True, coord_scale=2.0)
    np.testing.assert_array_equal(raw.xcoords, -2 * given["ycoords"])
    np.testing.assert_array_equal(raw.ycoords_start, 2 * given["xcoords"])


def test_integers_are_counts_and_wrong_arrays_are_refused_at_once() -> None:
    given = arrays()
    counts = np.square(given["diff3d"]).round().astype(np.uint16)
    raw = RawData.from_coords_without_pc(**{**given, "diff3d": counts})
    assert raw.scan.measurement == "intensity"
    assert raw.diff3d.dtype == np.uint16
    with pytest.raises(DataError, match="expected finite"):
        RawData.from_coords_without_pc(**{**given, "xcoords": given["xcoords"] * np.nan})
