"""A detector's master file: linked, virtual and missing frames, mask and units, and the memory that a store takes."""

import subprocess
import sys
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

import ptychofold as pf
from ptychofold.errors import FormatError, UnsupportedFormatError
from ptychofold.formats import identify, read_fields

N_SCAN, N = 10, 16
COUNTS = np.random.default_rng(0).poisson(20.0, (N_SCAN, N, N)).astype(np.uint32)
DETECTOR = "entry/instrument/detector"


def _master(folder: Path, *, virtual: bool = False, counts: np.ndarray = COUNTS) -> Path:
    path, size = folder / "scan_master.h5", counts.shape[1]
    layout = h5py.VirtualLayout(counts.shape, np.uint32)
    parts = np.array_split(np.arange(len(counts)), 3)
    with h5py.File(path, "w") as file:
        for number, rows in enumerate(parts, start=1):
            name = f"scan_data_{number:06d}.h5"
            with h5py.File(folder / name, "w") as data:
                data.create_dataset(
                    "entry/data/data", data=counts[rows], chunks=(1, size, size), **hdf5plugin.Bitshuffle()
                )
            layout[rows[0] : rows[-1] + 1] = h5py.VirtualSource(name, "entry/data/data", (len(rows), size, size))
            if not virtual:
                file[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
        if virtual:
            file.require_group("entry/data").create_virtual_dataset("data", layout)
        for name, value, unit in (
            ("detectorSpecific/photon_energy", 8000.0, "eV"), ("detector_distance", 2000.0, "mm"),
            ("x_pixel_size", 75e-6, "m"), ("y_pixel_size", 75e-6, "m"), ("beam_center_x", 9.0, "pixel"),
            ("beam_center_y", 7.0, "pixel"),
        ):  # fmt: skip
            file[f"{DETECTOR}/{name}"] = value
            file[f"{DETECTOR}/{name}"].attrs["units"] = unit
        mask = np.zeros((size, size), np.uint32)
        mask[1, 2] = 1
        file[f"{DETECTOR}/detectorSpecific/pixel_mask"] = mask
    (folder / "p.csv").write_text("\n".join(f"{i % 7},{i // 7}" for i in range(len(counts))))
    return path


@pytest.mark.parametrize("virtual", [False, True])
@pytest.mark.parametrize("lazy", [False, True])
def test_linked_frames_are_one_scan(tmp_path: Path, virtual: bool, lazy: bool) -> None:
    path = _master(tmp_path, virtual=virtual)
    frame = pf.PositionFrame(unit="px")
    scan = pf.read(path, positions=tmp_path / "p.csv", frame=frame, probe="estimate", lazy=lazy)
    assert scan.metadata.format == "Eiger master"
    np.testing.assert_array_equal(scan.patterns.read(np.array([9, 0, 4, 4])), COUNTS[[9, 0, 4, 4]])
    np.testing.assert_array_equal(scan.patterns.read(slice(2, 9, 3)), COUNTS[2:9:3])
    assert scan.bad_pixels is not None
    assert np.argwhere(scan.bad_pixels).tolist() == [[1, 2]]
    pixel = 1.549802e-10 * 2.0 / (N * 75e-6)
    assert scan.metadata.pixel_size_m == pytest.approx((pixel, pixel), rel=1e-6)
    assert scan.metadata.extra["beam_center_px"] == [7.0, 9.0]


def test_a_wavelength_in_angstrom_replaces_the_energy(tmp_path: Path) -> None:
    path = _master(tmp_path)
    with h5py.File(path, "r+") as file:
        del file[f"{DETECTOR}/detectorSpecific/photon_energy"]
        file["entry/instrument/beam/incident_wavelength"] = 1.5
        file["entry/instrument/beam/incident_wavelength"].attrs["units"] = "angstrom"
    assert read_fields(path).metadata.wavelength_m == pytest.approx(1.5e-10)


def test_a_missing_data_file_is_named(tmp_path: Path) -> None:
    path = _master(tmp_path)
    (tmp_path / "scan_data_000002.h5").unlink()
    assert identify(path)[0].name == "Eiger master"
    with pytest.raises(FormatError, match=r"data_000002 lies in scan_data_000002\.h5, which is missing"):
        read_fields(path)
    with h5py.File(path, "r+") as file:
        del file["entry/data"]
    with pytest.raises(FormatError, match="expected entry/data/data_000001 or entry/data/data; found none"):
        read_fields(path, reading=pf.ReadingConfig(format="Eiger master"))


MAKE_A_STORE = """
import sys, threading
import ptychofold as pf
from ptychofold.data import ingest
from ptychofold.data.store import PatternStore

def anonymous():
    return int(open("/proc/self/status").read().partition("RssAnon:")[2].split()[0]) * 1024

def run(master, folder):
    frame = pf.PositionFrame(unit="px")
    scan = pf.read(master, positions=f"{folder}/p.csv", frame=frame, probe="estimate")
    PatternStore.create(scan, f"{folder}/store")

ingest.BLOCK_BYTES = 2 << 20
run(sys.argv[1], sys.argv[2])
start, peak, done = anonymous(), [0], threading.Event()
def watch():
    while not done.wait(0.001):
        peak[0] = max(peak[0], anonymous() - start)
watcher = threading.Thread(target=watch)
watcher.start()
run(sys.argv[3], sys.argv[4])
done.set()
watcher.join()
print(peak[0])
"""


def test_a_store_of_it_takes_memory_for_a_few_blocks_and_not_for_the_scan(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir()
    large.mkdir()
    some = np.random.default_rng(0).poisson(0.05, (16, 128, 128)).astype(np.uint32)
    counts = np.tile(some, (96, 1, 1))
    arguments = [_master(small, counts=some), small, _master(large, counts=counts), large]
    code = [sys.executable, "-c", MAKE_A_STORE, *map(str, arguments)]
    done = subprocess.run(code, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 0.5 * counts.nbytes


def test_a_data_file_alone_names_the_master_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s_data_000001.h5", "w") as file:
        file["entry/data/data"] = np.ones((2, 4, 4), np.uint16)
        file["entry/data/data"].attrs["image_nr_low"] = 1
    with pytest.raises(UnsupportedFormatError, match=r"an HDF5 file with entry/data/data, .* open the master file"):
        pf.read(tmp_path / "s_data_000001.h5")
