"""Ingest of a compressed detector master file with linked data files: its time and anonymous memory.

    python benchmarks/bench_eiger.py --gigabytes 2

Writes bitshuffle-LZ4 frames of 512² uint32, 500 a file, to a temporary directory (``TMPDIR``), makes a store of them,
and ends with code 1 if the store took more than 400 MB of anonymous memory in all.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

from bench_store import memory, say, watched
from ptychofold.config import PositionFrame, ReadingConfig
from ptychofold.data.store import PatternStore
from ptychofold.raw_data import RawData

N, FRAMES_A_FILE, MOST_ANONYMOUS = 512, 500, 400e6


def write_master(folder: Path, n_scan: int) -> Path:
    """Write the files as an Eiger's file writer lays them out."""
    rng = np.random.default_rng(0)
    y, x = np.indices((N, N)) - N // 2
    pool = rng.poisson(200 * np.exp(-(y**2 + x**2) / (2 * (N / 12) ** 2)) + 0.02, (32, N, N)).astype(np.uint32)
    with h5py.File(folder / "scan_master.h5", "w") as file:
        for number, start in enumerate(range(0, n_scan, FRAMES_A_FILE), start=1):
            n_frames = min(FRAMES_A_FILE, n_scan - start)
            name = f"scan_data_{number:06d}.h5"
            with h5py.File(folder / name, "w") as data:
                frames = data.create_dataset(
                    "entry/data/data", (n_frames, N, N), np.uint32, chunks=(1, N, N), **hdf5plugin.Bitshuffle()
                )
                for row in range(n_frames):
                    frames[row] = pool[(start + row) % len(pool)]
            file[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
        file["entry/instrument/detector/detectorSpecific/pixel_mask"] = np.zeros((N, N), np.uint32)
    lines = (f"{i // 50},{i % 50}" for i in range(n_scan))
    (folder / "positions.csv").write_text("\n".join(lines))
    np.save(folder / "probe.npy", np.ones((N, N), np.complex64))
    return folder / "scan_master.h5"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    gigabytes = parser.parse_args().gigabytes
    n_scan = int(gigabytes * 1e9 / (N * N * 4))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        master = write_master(folder, n_scan)
        reading = ReadingConfig(
            positions=folder / "positions.csv", frame=PositionFrame(unit="px"), probe=folder / "probe.npy"
        )
        before = memory("RssAnon")
        with watched("RssAnon") as peak:
            start, processor = time.perf_counter(), time.process_time()
            scan = RawData.from_file(master, reading=reading)
            opened = time.perf_counter() - start
            PatternStore.create(scan, folder / "store")
            taken, processor = time.perf_counter() - start, time.process_time() - processor
            anonymous = peak()
    say(
        f"{n_scan} frames, {gigabytes:g} GB: opened in {opened:.2f} s, store in {taken:.1f} s ({processor:.1f} s of",
        f"processor), anonymous memory {before / 1e6:.0f} MB before, {anonymous / 1e6:.0f} MB at most",
    )
    return int(anonymous > MOST_ANONYMOUS)


if __name__ == "__main__":
    sys.exit(main())
