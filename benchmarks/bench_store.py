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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import torch

from ptychofold.config import GroupingConfig
from ptychofold.data import GroupedDataset
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
LEAST_KEPT = 0.99
MOST_OPEN_S, MOST_OPEN_BYTES = 0.05, 30e6
KINDS: dict[str, Mapping[str, object] | None] = {
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
        dataset = file.create_dataset("dp", (n_scan, N, N), np.uint16, chunks=(16, N, N), **(KINDS[kind] or {}))
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


def write_alone(path: Path, n_bytes: int) -> float:
    """Write as many bytes from memory to a file of the same disk, as plainly as can be, and wait for the disk."""
    block = np.random.default_rng(0).integers(0, 255, BLOCK_BYTES, dtype=np.uint8)
    start = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for left in range(n_bytes, 0, -BLOCK_BYTES):
            file.write(block[: min(left, BLOCK_BYTES)].data)
        os.fsync(file.fileno())
    taken = time.perf_counter() - start
    path.unlink()
    return taken


def bench_ingest(folder: Path, *, gigabytes: float, kinds: list[str], rounds: int, N: int = 256) -> bool:
    """Compare with reading alone, and with the slower of reading alone and writing alone, which bounds any copy."""
    good = True
    n_scan = int(gigabytes * 1e9 / (N * N * 2))
    raw = n_scan * N * N * 2
    for kind in kinds:
        path = folder / f"scan.{'npz' if kind == 'npz' else 'h5'}"
        write_source(path, kind, n_scan, N)
        ratios = []
        for _ in range(rounds):
            reading, writing = read_alone(read_source(path, kind)), write_alone(folder / "plain", raw)
            scan = read_source(path, kind)
            with watched("RssAnon") as peak:
                start = time.perf_counter()
                store = PatternStore.create(scan, folder / "store")
                taken = time.perf_counter() - start
                anonymous = peak()
            start = time.perf_counter()
            store.verify()
            verifying = time.perf_counter() - start
            ratios.append(max(reading, writing) / taken)
            size = sum(entry.stat().st_size for entry in store.directory.iterdir())
            speeds = {"reading alone": reading, "writing alone": writing, "ingest": taken, "verify": verifying}
            say(
                f"{kind}, {raw / 1e9:.2f} GB:",
                *(f"{name} {raw / seconds / 1e6:.0f} MB/s," for name, seconds in speeds.items()),
                f"ingest / reading alone {reading / taken:.2f}, / slower of both {ratios[-1]:.2f};",
                f"peak anonymous {anonymous / 1e6:.0f} MB; store / raw {size / raw:.4f}",
            )
            good &= anonymous < MOST_ANONYMOUS and size < 1.02 * raw
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
    directory: Path, *, seconds: float, rate: int, batch: int, N: int, times: "multiprocessing.Queue[float]"
) -> None:
    with StoreWriter(directory) as writer:
        begin, number, slowest, busy = time.time(), batch, 0.0, 0.0
        times.put(begin)
        while number < rate * seconds:
            stop = number + batch
            pause = begin + stop / rate - time.time()
            if pause > 0:
                time.sleep(pause)
            rows, patterns, start = np.arange(number, stop), numbered(number, stop, N), time.time()
            worked = time.process_time()
            writer.append(patterns, np.stack([rows, np.full(batch, start)], axis=1))
            busy += time.process_time() - worked
            number, slowest = stop, max(slowest, time.time() - start)
        for figure in (time.time(), slowest, busy):
            times.put(figure)
        writer.finish()


class Trainer:
    """A reader that trains: small steps on what has been measured, grouped anew each second."""

    def __init__(self) -> None:
        self.network = torch.nn.Conv2d(4, 4, 3, padding=1)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=1e-6)
        self.n_steps = 0
        self.slowest_s = 0.0
        self._grouped_at = 0.0

    def step(self, scan: RawData) -> None:
        start = time.time()
        if start > self._grouped_at + 1:
            self.dataset = GroupedDataset(scan, GroupingConfig(grid=(2, 2), n_neighbors=5, n_groups=16, seed=0))
            self._grouped_at = start
        batch = self.dataset.__getitems__([self.n_steps % 16])
        self.optimizer.zero_grad()
        loss = (self.network(batch.diffraction) - batch.diffraction).square().mean()
        loss.backward()
        self.optimizer.step()
        self.n_steps += 1
        self.slowest_s = max(self.slowest_s, time.time() - start)


def bench_live(folder: Path, *, seconds: float, rate: int = 2000, batch: int = 20, N: int = 128) -> bool:
    """Append at a rate; a reader checks every pattern once and notes how old it was when it was first seen."""
    first = RawData.from_arrays(
        patterns=numbered(0, batch, N),
        positions=np.stack([np.arange(batch), np.full(batch, time.time())], axis=1),
        probe=probe(N),
        measurement="intensity",
    )
    store = PatternStore.create(first, folder / "live", live=True)
    spawn = multiprocessing.get_context("spawn")
    times: multiprocessing.Queue[float] = spawn.Queue()
    settings = {"seconds": seconds, "rate": rate, "batch": batch, "N": N, "times": times}
    trainer = Trainer()
    trainer.step(store.scan)  # torch loads its optimizers at the first use
    process = spawn.Process(target=write_live, args=(store.directory,), kwargs=settings)
    process.start()
    begin, n_seen, torn, ages = times.get(), batch, 0, []
    while store.is_live:
        store = store.refresh()
        now = time.time()
        if len(store) == n_seen:
            trainer.step(store.scan)
            continue
        ages.extend((now - store.scan.positions[n_seen::batch, 1]).tolist())
        for start in range(n_seen, len(store), 256):
            stop = min(start + 256, len(store))
            read = store.scan.patterns.read(np.arange(start, stop))
            torn += int((read != numbered(start, stop, N)).any(axis=(1, 2)).sum())
        n_seen = len(store)
    end, slowest, busy = times.get(), times.get(), times.get()
    process.join()
    store.verify()
    wanted = int(-(-(rate * seconds) // batch)) * batch
    order = np.array_equal(store.scan.positions[:, 0], np.arange(len(store)))
    kept = (len(store) - batch) / (end - begin)
    latency = np.percentile(np.array(ages) * 1e3, [50, 99, 100])
    say(
        f"{len(store)} patterns of {N}² in {end - begin:.1f} s = "
        f"{kept:.0f} patterns/s, {(len(store) - batch) / busy:.0f} a second of the processor's time, "
        f"slowest append {slowest * 1e3:.1f} ms; "
        f"{trainer.n_steps} training steps alongside, slowest {trainer.slowest_s * 1e3:.1f} ms; torn {torn}, "
        f"lost {wanted - len(store)}, dropped {store.n_dropped}, in order {order}; age when first seen: "
        f"median {latency[0]:.1f} ms, 99 % {latency[1]:.1f} ms, most {latency[2]:.1f} ms"
    )
    return torn == 0 and len(store) == wanted and order and store.n_dropped == 0 and kept > LEAST_KEPT * rate


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["ingest", "open", "kill", "live"])
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = {
            "ingest": lambda: bench_ingest(folder, gigabytes=given.gigabytes, kinds=given.kinds, rounds=given.rounds),
            "open": lambda: bench_open(folder, gigabytes=given.gigabytes),
            "kill": lambda: bench_kill(folder, times=given.times),
            "live": lambda: bench_live(folder, seconds=given.seconds),
        }
        good = run[given.what]()
    say("kept" if good else "BROKEN")
    return 0 if good else 1


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
