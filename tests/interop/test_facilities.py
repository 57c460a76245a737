"""Beamline files read by Ptychodus' own readers end in a store; needs its wheel (``make test-interop``)."""

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

import ptychofold as pf
from ptychofold.data.store import PatternStore
from ptychofold.errors import ConfigError, FormatError

pytestmark = [pytest.mark.interop, pytest.mark.filterwarnings("ignore:.xdrlib. is deprecated")]
pytest.importorskip("ptychodus")
N = 16
RNG = np.random.default_rng(0)


def _velociprobe(folder: Path) -> tuple[Path, Path, np.ndarray, np.ndarray]:
    """Write an Eiger master file with linked, compressed data files and a table of stage positions in nanometres."""
    counts = RNG.poisson(20.0, (10, N, N)).astype(np.uint32)
    with h5py.File(folder / "scan_master.h5", "w") as file:
        for number, rows in enumerate((slice(0, 4), slice(4, 8), slice(8, 10)), start=1):
            with h5py.File(folder / f"scan_data_{number:06d}.h5", "w") as data:
                data.create_dataset("entry/data/data", data=counts[rows], chunks=(1, N, N), **hdf5plugin.Bitshuffle())
            link = h5py.ExternalLink(f"scan_data_{number:06d}.h5", "/entry/data/data")
            file[f"entry/data/data_{number:06d}"] = link
        detector = file.create_group("entry/instrument/detector")
        for name, value, unit in (
            ("detector_distance", 2.0, b"m"), ("beam_center_x", 8, b"pixel"), ("beam_center_y", 8, b"pixel"),
            ("x_pixel_size", 75e-6, b"m"), ("y_pixel_size", 75e-6, b"m"),
            ("detectorSpecific/photon_energy", 8000.0, b"eV"),
        ):  # fmt: skip
            detector[name] = value
            detector[name].attrs["units"] = np.bytes_(unit)
        specific = detector["detectorSpecific"]
        specific["nimages"], specific["ntrigger"] = 1, 10
        specific["x_pixels_in_detector"], specific["y_pixels_in_detector"] = N, N
        file["entry/sample/goniometer/chi"] = [0.0]
        file["entry/sample/goniometer/chi"].attrs["units"] = np.bytes_(b"degree")
    metres = RNG.uniform(-1e-6, 1e-6, (10, 2)).round(9)
    lines = [f"0,{1e9 * x:.0f},{1e9 * y:.0f},0,0,0,0,{i}" for i, (y, x) in enumerate(metres)]
    (folder / "positions.txt").write_text("# header\n" + "\n".join(lines) + "\n")
    return folder / "scan_master.h5", folder / "positions.txt", counts, metres


def test_an_aps_velociprobe_scan_ends_in_a_store(tmp_path: Path) -> None:
    master, table, counts, metres = _velociprobe(tmp_path)
    scan = pf.read(
        master, reader="APS_Velociprobe", positions=table, positions_reader="APS_Velociprobe_LI", probe="estimate"
    )
    assert scan.metadata.format == "Ptychodus reader APS_Velociprobe"
    pixel = 1.549802e-10 * 2.0 / (N * 75e-6)
    assert scan.metadata.pixel_size_m == pytest.approx((pixel, pixel), rel=1e-6)
    np.testing.assert_allclose(np.diff(scan.positions, axis=0), np.diff(metres, axis=0) / pixel, rtol=1e-5, atol=1e-7)
    store = PatternStore.create(scan, tmp_path / "store").scan
    np.testing.assert_array_equal(store.patterns.read(slice(None)), counts)
    np.testing.assert_array_equal(store.positions, scan.positions)
    assert store.metadata.geometry == scan.metadata.geometry


def test_an_nsls_ii_hxn_scan_ends_in_a_store(tmp_path: Path) -> None:
    counts, micrometres = RNG.poisson(20.0, (6, N, N)).astype(np.uint16), RNG.uniform(-1, 1, (6, 2))
    path = tmp_path / "hxn.h5"
    with h5py.File(path, "w") as file:
        file["diff_data/merlin1/det_images"] = counts
        file["scan/energy"], file["scan/exposure_time"] = 8000.0, 0.1
        file["scan/scan_positions"] = micrometres[:, ::-1].T
    settings = pf.ReadingConfig(
        reader="nsls_ii_1", positions=path, probe="estimate", distance_m=0.5, detector_pixel_m=(55e-6, 55e-6)
    )
    scan = pf.RawData.from_file(path, reading=settings)
    pixel = 1.549802e-10 * 0.5 / (N * 55e-6)
    np.testing.assert_allclose(np.diff(scan.positions, axis=0), np.diff(micrometres, axis=0) * 1e-6 / pixel, rtol=1e-6)
    store = PatternStore.create(scan, tmp_path / "store").scan
    np.testing.assert_array_equal(store.patterns.read(slice(None)), counts)


def test_a_reader_that_reads_by_itself_is_used_too(tmp_path: Path) -> None:
    counts = RNG.poisson(20.0, (6, N, N)).astype(np.uint16)
    np.save(tmp_path / "a.npy", counts)
    (tmp_path / "p.csv").write_text("\n".join(f"{i},{2 * i}" for i in range(6)))
    scan = pf.read(
        tmp_path / "a.npy",
        reader="NPY",
        positions=tmp_path / "p.csv",
        frame=pf.PositionFrame(unit="px"),
        probe="estimate",
    )
    np.testing.assert_array_equal(scan.patterns.read(np.array([5, 2])), counts[[5, 2]])


def test_unknown_readers_and_foreign_files_are_named(tmp_path: Path) -> None:
    master, table, *_ = _velociprobe(tmp_path)
    with pytest.raises(ConfigError, match=r"no diffraction reader named 'APS'; --reader is one of APS_2IDD.*NSLS_II_1"):
        pf.read(master, reader="APS")
    with pytest.raises(ConfigError, match="no position reader named 'APS_Velociprobe'; --positions-reader is one of"):
        pf.read(master, reader="APS_Velociprobe", positions=table)
    with pytest.raises(FormatError, match=r"reading it by Ptychodus' NSLS_II_2 failed: .*Check that"):
        pf.read(master, reader="NSLS_II_2")
    with h5py.File(master, "r+") as file:
        file["entry/instrument/detector/detector_distance"].attrs["units"] = np.bytes_(b"mm")
    with pytest.raises(FormatError, match="an assumption about its units or shape does not hold"):
        pf.read(master, reader="APS_Velociprobe")
