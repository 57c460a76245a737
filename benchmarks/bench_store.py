"""Stores at real sizes: ingest against reading alone, opening, kills, appends with a reader alongside.

    python benchmarks/bench_store.py ingest --gigabytes 4     # time ratio and anonymous memory, per kind of source
    python benchmarks/bench_store.py open --gigabytes 10      # time and memory of opening (a sparse file)
    python benchmarks/bench_store.py kill --times 20          # kill -9 at random moments, then verify
    python benchmarks/bench_store.py live --seconds 30        # 2,000 patterns/s of 128² uint16 and a reader

Each prints its figures and ends with code 1 if a promise is broken. Files go to a temporary directory (``TMPDIR``).
"""

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

from ptychofold.data.decode import block_reader
from ptychofold.data.files import npy_header
from ptychofold.data.ingest import BLOCK_BYTES
from ptychofold.data.live import StoreWriter
from ptychofold.data.manifest import read_manifest
from ptychofold.data.store import PatternStore
from ptychofold.errors import StoreError
from ptychofold.formats.hdf5 import open_array
from ptychofold.raw_data import RawData

LEAST_RATIO, MOST_ANONYMOUS = 0.7, 400e6
MOST_OPEN_S, MOST_OPEN_BYTES = 0.05, 30e6
KINDS = {
    "gzip": {"compression": "gzip", "compression_opts": 4, "shuffle": True},
    "bitshuffle": hdf5plugin.Bitshuffle(),
    "npz": None,
}


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def memory(name: str) -> int:
    return int(Path("/proc/self/status").read_text().partition(f"{name}:")[2].split()[0]) * 1024


@contextmanager
def watched(name: str) -> Iterator[Callable[[], int]]:
    """Give a function that returns the greatest size of a kind of memory so far."""
    peak, done = [memory(name)], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], memory(name))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield lambda: peak[0]
    finally:
        done.set()
        watcher.join()


def detector_blocks(n_scan: int, N: int) -> Iterator[np.ndarray]:
    """Counts of a far-field spot on a nearly dark detector, 256 patterns at a time, from 1,024 different ones."""
    rng = np.random.default_rng(0)
    y, x = np.indices((N, N)) - N // 2
    mean = 200 * np.exp(-(y**2 + x**2) / (2 * (N / 6) ** 2)) + 0.02
    pool = rng.poisson(mean, (1024, N, N)).astype(np.uint16)
    for start in range(0, n_scan, 256):
        yield pool[rng.permutation(1024)[: min(256, n_scan - start)]]


def write_source(path: Path, kind: str, n_scan: int, N: int) -> None:
    if kind == "npz":
        import zipfile

        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            fields = {"xcoords": positions(n_scan)[:, 1], "ycoords": positions(n_scan)[:, 0], "probeGuess": probe(N)[0]}
            for name, array in fields.items():
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, array)
            with archive.open("diff3d.npy", "w", force_zip64=True) as member:
                member.write(npy_header((n_scan, N, N), np.dtype(np.uint16)))
                for block in detector_blocks(n_scan, N):
                    member.write(block.tobytes())
        return
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("dp", (n_scan, N, N), np.uint16, chunks=(16, N, N), **KINDS[kind])
        for number, block in enumerate(detector_blocks(n_scan, N)):
            dataset[number * 256 : number * 256 + len(block)] = block


def positions(n_scan: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(200, 4000, (n_scan, 2))


def probe(N: int) -> np.ndarray:
    return np.ones((1, N, N), np.complex64)


def read_source(path: Path, kind: str) -> RawData:
    if kind == "npz":
        return RawData.from_file(path, measurement="intensity")
    with h5py.File(path) as file:
        source = open_array(file["dp"])
    n_scan, N = source.shape[:2]
    return RawData.from_arrays(patterns=source, positions=positions(n_scan), probe=probe(N), measurement="intensity")


def read_alone(scan: RawData) -> float:
    """Read and decompress every block, with the quickest reader there is, and do nothing with it."""
    rows = BLOCK_BYTES // (scan.N**2 * 2)
    out = np.empty((rows, scan.N, scan.N), np.uint16)
    start = time.perf_counter()
    with block_reader(scan.patterns) as read:
        for first in range(0, len(scan), rows):
            read(first, out[: min(rows, len(scan) - first)])
    return time.perf_counter() - start


def bench_ingest(folder: Path, *, gigabytes: float, kinds: list[str], N: int = 256) -> bool:
    good = True
    n_scan = int(gigabytes * 1e9 / (N * N * 2))
    for kind in kinds:
        path = folder / f"scan.{'npz' if kind == 'npz' else 'h5'}"
        write_source(path, kind, n_scan, N)
        scan = read_source(path, kind)
        ratios = []
        for _ in range(3):
            alone = read_alone(scan)
            with watched("RssAnon") as peak:
                start = time.perf_counter()
                store = PatternStore.create(read_source(path, kind), folder / "store")
                taken = time.perf_counter() - start
                anonymous = peak()
            ratios.append(alone / taken)
            raw = len(scan) * N * N * 2
            size = sum(entry.stat().st_size for entry in store.directory.iterdir())
            say(
                f"{kind}: {raw / 1e9:.2f} GB, reading alone {raw / alone / 1e6:.0f} MB/s, "
                f"ingest {raw / taken / 1e6:.0f} MB/s, "
                f"ratio {alone / taken:.2f}, peak anonymous {anonymous / 1e6:.0f} MB, store / raw {size / raw:.4f}"
            )
            good &= anonymous < MOST_ANONYMOUS and size < 1.02 * raw
            start = time.perf_counter()
            store.verify()
            say(f"{kind}: verify {raw / (time.perf_counter() - start) / 1e6:.0f} MB/s")
            shutil.rmtree(store.directory)
        path.unlink()
        good &= max(ratios) >= LEAST_RATIO
    return good


def bench_open(folder: Path, *, gigabytes: float, N: int = 64) -> bool:
    """Open a store whose pattern file is sparse: opening must not read it."""
    n_scan = int(gigabytes * 1e9 / (N * N * 2))
    small = RawData.from_arrays(
        patterns=np.ones((4, N, N), np.uint16), positions=positions(4), probe=probe(N), measurement="intensity"
    )
    directory = PatternStore.create(small, folder / "store").directory
    manifest = read_manifest(directory)
    arrays = dict(manifest.arrays)
    for name in ("patterns", "positions", "positions_nominal", "scan_index", "energy"):
        old = arrays[name]
        n_blocks = -(-n_scan // old.block_rows)
        shape = (n_scan, *old.shape[1:])
        arrays[name] = old.model_copy(update={"shape": shape, "checksums": tuple(range(n_blocks))})
        with (directory / f"{name}.npy").open("r+b") as file:
            file.write(npy_header(shape, np.dtype(old.dtype)))
            file.truncate(arrays[name].file_bytes)
    manifest.model_copy(update={"arrays": arrays}).write(directory, durable=False)
    before = memory("VmRSS")
    start = time.perf_counter()
    store = PatternStore.open(directory)
    taken = time.perf_counter() - start
    grown = memory("VmRSS") - before
    say(f"open {gigabytes} GB, {len(store)} patterns: {taken * 1e3:.1f} ms, {grown / 1e6:.1f} MB")
    return taken < MOST_OPEN_S and grown < MOST_OPEN_BYTES


def bench_kill(folder: Path, *, times: int, megabytes: int = 400, N: int = 128) -> bool:
    path, directory = folder / "scan.h5", folder / "store"
    write_source(path, "gzip", megabytes * 1_000_000 // (N * N * 2), N)
    start = time.perf_counter()
    PatternStore.create(read_source(path, "gzip"), folder / "whole")
    duration = time.perf_counter() - start
    rng, n_killed, n_resumed = np.random.default_rng(0), 0, 0
    for number in range(times):
        begun = (folder / "store.partial" / "journal").exists() and (
            folder / "store.partial" / "journal"
        ).stat().st_size
        n_resumed += bool(begun)
        process = multiprocessing.get_context("fork").Process(
            target=lambda: PatternStore.create(read_source(path, "gzip"), directory)
        )
        process.start()
        time.sleep(rng.uniform(0, 1.1 * duration))
        process.kill()
        process.join()
        n_killed += process.exitcode == -9
        if directory.exists():
            PatternStore.open(directory).verify()
            shutil.rmtree(directory)
        elif number % 2:
            PatternStore.create(read_source(path, "gzip"), directory).verify()
            same = (directory / "manifest.json").read_bytes() == (folder / "whole" / "manifest.json").read_bytes()
            if not same:
                raise StoreError("a resumed store differs from one that was never interrupted")
            shutil.rmtree(directory)
    PatternStore.create(read_source(path, "gzip"), directory).verify()
    say(f"{n_killed} of {times} killed, {n_resumed} began from a partial store; every store that came to be verifies")
    return n_killed > times // 2


def numbered(start: int, stop: int, N: int) -> np.ndarray:
    """Patterns full of their own number, so that a torn one shows."""
    numbers = ((np.arange(start, stop) % 60_000) + 1).astype(np.uint16)
    return np.repeat(numbers, N * N).reshape(-1, N, N)


def write_live(
    directory: Path, seconds: float, rate: int, batch: int, N: int, started: "multiprocessing.Queue[float]"
) -> None:
    with StoreWriter(directory) as writer:
        begin, number = time.time(), batch
        started.put(begin)
        while number < rate * seconds:
            stop = number + batch
            pause = begin + stop / rate - time.time()
            if pause > 0:
                time.sleep(pause)
            rows = np.arange(number, stop)
            writer.append(numbered(number, stop, N), np.stack([rows, np.full(batch, time.time())], axis=1))
            number = stop
        started.put(time.time())
        writer.finish()


def bench_live(folder: Path, *, seconds: float, rate: int = 2000, batch: int = 20, N: int = 128) -> bool:
    """Append at a rate; a reader checks every pattern once and notes how old it was when it was first seen."""
    first = RawData.from_arrays(
        patterns=numbered(0, batch, N),
        positions=np.stack([np.arange(batch), np.full(batch, time.time())], axis=1),
        probe=probe(N),
        measurement="intensity",
    )
    store = PatternStore.create(first, folder / "live", live=True)
    started: multiprocessing.Queue[float] = multiprocessing.get_context("spawn").Queue()
    args = (store.directory, seconds, rate, batch, N, started)
    process = multiprocessing.get_context("spawn").Process(target=write_live, args=args)
    process.start()
    begin, n_seen, torn, ages = started.get(), batch, 0, []
    while store.is_live:
        store = store.refresh()
        now = time.time()
        if len(store) == n_seen:
            time.sleep(0.002)
            continue
        ages.extend((now - store.scan.positions[n_seen::batch, 1]).tolist())
        for start in range(n_seen, len(store), 256):
            stop = min(start + 256, len(store))
            read = store.scan.patterns.read(np.arange(start, stop))
            torn += int((read != numbered(start, stop, N)).any(axis=(1, 2)).sum())
        n_seen = len(store)
    end = started.get()
    process.join()
    store.verify()
    wanted = int(-(-(rate * seconds) // batch)) * batch
    order = np.array_equal(store.scan.positions[:, 0], np.arange(len(store)))
    latency = np.percentile(np.array(ages) * 1e3, [50, 99, 100])
    say(
        f"{len(store)} patterns of {N}² in {end - begin:.1f} s = "
        f"{(len(store) - batch) / (end - begin):.0f} patterns/s; "
        f"torn {torn}, "
        f"lost {wanted - len(store)}, dropped {store.n_dropped}, in order {order}; age when first seen: "
        f"median {latency[0]:.1f} ms, 99 % {latency[1]:.1f} ms, most {latency[2]:.1f} ms"
    )
    return torn == 0 and len(store) == wanted and order and store.n_dropped == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["ingest", "open", "kill", "live"])
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = {
            "ingest": lambda: bench_ingest(folder, gigabytes=given.gigabytes, kinds=given.kinds),
            "open": lambda: bench_open(folder, gigabytes=given.gigabytes),
            "kill": lambda: bench_kill(folder, times=given.times),
            "live": lambda: bench_live(folder, seconds=given.seconds),
        }
        good = run[given.what]()
    say("kept" if good else "BROKEN")
    return 0 if good else 1


if __name__ == "__main__":
    os.environ.setdefault("JAXTYPING_DISABLE", "1")
    sys.exit(main())
