"""Batches from a mapped file, against the two gathers that this machine's own libraries offer.

    python -m pytest benchmarks/bench_batches.py --benchmark-enable

The limit is the faster of ``numpy.take`` and ``torch.index_select`` into a preallocated buffer, with the conversion to
float32 amplitude that batches use. All sides of a ratio take turns, an epoch each, so that other work on the machine
meets all; the ratio is of the medians of the processor's time.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from time import process_time

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ptychofold.config import GroupingConfig, LoaderConfig
from ptychofold.data import GroupBatch, GroupedDataset, MixtureDataset, make_loader
from ptychofold.data.rates import gather_limits
from ptychofold.raw_data import RawData
from ptychofold.testing import make_probe

N_SCAN = {64: 100_000, 128: 10_000}
BATCH, C = 64, 4


def write_scan(path: Path, n_scan: int, N: int, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(n_scan)))
    rows, columns = np.divmod(np.arange(n_scan), side)
    np.savez(
        path,
        allow_pickle=False,
        diff3d=rng.poisson(3.0, (n_scan, N, N)).astype(np.uint16),
        xcoords=columns * 4.0 + rng.uniform(-1, 1, n_scan) + N,
        ycoords=rows * 4.0 + rng.uniform(-1, 1, n_scan) + N,
        probeGuess=make_probe(N)[0],
    )
    return path


@pytest.fixture(scope="module", params=sorted(N_SCAN))
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> GroupedDataset:
    N = request.param
    path = write_scan(tmp_path_factory.mktemp("scan") / f"n{N}.npz", N_SCAN[N], N)
    return GroupedDataset(RawData.from_file(path), GroupingConfig(grid=(2, 2), n_neighbors=7, seed=0))


def medians(sides: dict[str, Callable[[], object]], rounds: int = 5) -> dict[str, float]:
    """Let the sides take turns and return the median processor time of each; the first turn warms the caches."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds + 1):
        for name, side in sides.items():
            start = process_time()
            side()
            times[name].append(process_time() - start)
    return {name: float(np.median(taken[1:])) for name, taken in times.items()}


def drain(loader: Iterable[GroupBatch]) -> None:
    for _ in loader:
        pass


def test_an_epoch_of_batches(benchmark: BenchmarkFixture, dataset: GroupedDataset) -> None:
    loader = make_loader(dataset, LoaderConfig(batch_size=BATCH, seed=0))
    rows = [dataset.groups.members[chosen].reshape(-1).astype(np.int64) for chosen in loader.batch_order.batches()]
    time = medians({"loader": lambda: drain(loader), **gather_limits(dataset, rows)})
    benchmark.pedantic(drain, args=(loader,), rounds=3)  # type: ignore[no-untyped-call]
    n_patterns, best = len(dataset) * C, min(taken for name, taken in time.items() if name != "loader")
    benchmark.extra_info["patterns/s"] = {name: round(n_patterns / taken) for name, taken in time.items()}
    benchmark.extra_info["fraction of limit"] = round(best / time["loader"], 2)


def test_an_epoch_from_two_workers(benchmark: BenchmarkFixture, dataset: GroupedDataset) -> None:
    loader = make_loader(dataset, LoaderConfig(batch_size=BATCH, seed=0, num_workers=2))
    benchmark.pedantic(drain, args=(loader,), rounds=3)  # type: ignore[no-untyped-call]
    benchmark.extra_info["patterns/s"] = round(len(dataset) * C / benchmark.stats.stats.min)


def test_a_mixture_of_20_scans(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    grid = GroupingConfig(grid=(2, 2), n_neighbors=7, seed=0)
    n_scans, n_each = 20, 1000
    scans = [RawData.from_file(write_scan(tmp_path / f"{i}.npz", n_each, 64, seed=i)) for i in range(n_scans)]
    whole = RawData.from_file(write_scan(tmp_path / "whole.npz", n_scans * n_each, 64))
    config = LoaderConfig(batch_size=BATCH, seed=0)
    single = make_loader(GroupedDataset(whole, grid), config)
    mixed = make_loader(MixtureDataset({f"{i:02}": GroupedDataset(scan, grid) for i, scan in enumerate(scans)}), config)
    time = medians({"one": lambda: drain(single), "many": lambda: drain(mixed)})
    benchmark.pedantic(drain, args=(mixed,), rounds=3)  # type: ignore[no-untyped-call]
    benchmark.extra_info["fraction of one scan's rate"] = round(time["one"] / time["many"], 2)
