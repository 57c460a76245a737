"""Batches from a mapped file, against the two gathers that this machine's own libraries offer.

    make bench           # or: python -m pytest benchmarks/bench_batches.py --benchmark-enable

The limit is the faster of ``numpy.take`` and ``torch.index_select`` into a preallocated buffer, with the same cast to
float32 amplitude; both are timed in the same run, and the ratio is printed with every benchmark.
"""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ptychofold.config import GroupingConfig, LoaderConfig
from ptychofold.data import GroupedDataset, MixtureDataset, make_loader
from ptychofold.data.rates import gather_limits
from ptychofold.raw_data import RawData
from ptychofold.testing import make_probe

N_SCAN = {64: 20_000, 128: 6_000}
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


def best_of(function: Callable[[], object], rounds: int = 3) -> float:
    times = []
    for _ in range(rounds):
        start = perf_counter()
        function()
        times.append(perf_counter() - start)
    return min(times)


@pytest.mark.parametrize("n_workers", [0, 2])
def test_an_epoch_of_batches(benchmark: BenchmarkFixture, dataset: GroupedDataset, n_workers: int) -> None:
    loader = make_loader(dataset, LoaderConfig(batch_size=BATCH, seed=0, num_workers=n_workers))
    rows = [dataset.groups.members[chosen].reshape(-1).astype(np.int64) for chosen in loader.batch_order.batches()]
    limits = {name: best_of(gather) for name, gather in gather_limits(dataset, rows).items()}

    def epoch() -> None:
        for _ in loader:
            pass

    benchmark.pedantic(epoch, rounds=5, warmup_rounds=1)
    n_patterns = len(dataset) * C
    benchmark.extra_info["patterns/s"] = round(n_patterns / benchmark.stats.stats.min)
    benchmark.extra_info["limit patterns/s"] = {name: round(n_patterns / time) for name, time in limits.items()}
    benchmark.extra_info["fraction of limit"] = round(min(limits.values()) / benchmark.stats.stats.min, 2)


def test_a_mixture_of_20_scans(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    grid = GroupingConfig(grid=(2, 2), n_neighbors=7, seed=0)
    n_scans, n_each = 20, 500
    scans = [RawData.from_file(write_scan(tmp_path / f"{i}.npz", n_each, 64, seed=i)) for i in range(n_scans)]
    whole = RawData.from_file(write_scan(tmp_path / "whole.npz", n_scans * n_each, 64))
    config = LoaderConfig(batch_size=BATCH, seed=0)
    single = make_loader(GroupedDataset(whole, grid), config)
    mixed = make_loader(MixtureDataset({f"{i:02}": GroupedDataset(scan, grid) for i, scan in enumerate(scans)}), config)

    def epoch_of_one() -> None:
        for _ in single:
            pass

    def epoch_of_many() -> None:
        for _ in mixed:
            pass

    limit = best_of(epoch_of_one)
    benchmark.pedantic(epoch_of_many, rounds=5, warmup_rounds=1)
    benchmark.extra_info["fraction of one scan's rate"] = round(limit / benchmark.stats.stats.min, 2)
