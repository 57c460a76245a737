"""Time of grouping against the least that it can cost, within one run.

- Native: build the tree of 100,000 positions and query K + 1 neighbors, alone; one thread on both sides.
- Contract: one ``choice`` call a group, as the reference pipeline draws, given the neighbors; ours queries
  them, with all threads.

The two sides of a ratio run by turns, so that other work on the machine meets both; the ratio is of the best times.
``python -m pytest benchmarks/bench_grouping.py --benchmark-enable`` prints the ratios in its last lines.
"""

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from scipy.spatial import cKDTree

from ptychofold.config import GroupingConfig
from ptychofold.grouping import group_scan
from ptychofold.grouping.reference import standard_groups

K, C, N_SCAN = 7, 4, 100_000
ROUNDS = 7

ratios: dict[str, str] = {}


@pytest.fixture(scope="module", autouse=True)
def summary(pytestconfig: pytest.Config) -> Iterator[None]:
    yield
    report = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")
    if report is None or capture is None:
        return
    with capture.global_and_fixture_disabled():
        report.write_line("")
        for name, line in ratios.items():
            report.write_line(f"{name}: {line}")


def make_positions(kind: str, n_scan: int = N_SCAN) -> np.ndarray:
    rng = np.random.default_rng(0)
    side = int(np.ceil(np.sqrt(n_scan)))
    if kind == "scattered":
        return rng.uniform(0, 5.0 * side, (n_scan, 2))
    raster = 5.0 * np.argwhere(np.ones((side, side), bool))[:n_scan]
    return raster if kind == "raster" else raster + rng.normal(size=raster.shape)


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(
    benchmark: BenchmarkFixture, name: str, ours: Callable[[], object], least: Callable[[], object], limit: float | None
) -> None:
    """Run the two by turns and record the ratio of their best times."""
    ours()
    theirs = [seconds(least)]
    benchmark.pedantic(ours, setup=lambda: theirs.append(seconds(least)), rounds=ROUNDS)  # type: ignore[no-untyped-call]
    if benchmark.stats is None:
        return
    best = benchmark.stats.stats.min
    ratio = best / min(theirs)
    benchmark.extra_info.update(ratio=ratio, limit=limit, least_seconds=min(theirs))
    ratios[name] = f"{ratio:.2f} (limit {limit or 'none'}); {best:.3f} s against {min(theirs):.3f} s"


def tree_only(positions: np.ndarray) -> None:
    cKDTree(positions).query(positions, k=K + 1, workers=1)


@pytest.mark.parametrize("kind", ["jittered", "scattered", "raster"])
@pytest.mark.parametrize(("per_seed", "limit"), [(1, 1.5), (7, 3.0)])
def test_native_against_tree_only(benchmark: BenchmarkFixture, kind: str, per_seed: int, limit: float) -> None:
    positions = make_positions(kind)
    config = GroupingConfig(grid=(2, 2), n_neighbors=K, groups_per_seed=per_seed, seed=0)
    compare(
        benchmark,
        f"group_scan against tree only, {kind}, groups_per_seed={per_seed}",
        lambda: group_scan(positions, config, workers=1),
        lambda: tree_only(positions),
        limit,
    )


def test_native_oversampling_against_tree_only(benchmark: BenchmarkFixture) -> None:
    positions = make_positions("jittered")
    config = GroupingConfig(grid=(2, 2), n_neighbors=K, n_groups=7 * N_SCAN, oversample=True, seed=0)
    compare(
        benchmark,
        "group_scan oversampled to 700,000 different groups against tree only",
        lambda: group_scan(positions, config, workers=1),
        lambda: tree_only(positions),
        None,
    )


def test_a_million_positions_against_a_tenth(benchmark: BenchmarkFixture) -> None:
    many, few = make_positions("scattered", 10 * N_SCAN), make_positions("scattered")
    config = GroupingConfig(grid=(2, 2), n_neighbors=K, seed=0)
    compare(
        benchmark,
        "group_scan of 1,000,000 positions against 100,000",
        lambda: group_scan(many, config, workers=1),
        lambda: group_scan(few, config, workers=1),
        10.0,
    )


def test_contract_against_a_loop_of_choice(benchmark: BenchmarkFixture) -> None:
    positions = make_positions("jittered")
    table = np.asarray(cKDTree(positions).query(positions, k=K + 1)[1])[:, 1:]

    def loop() -> None:
        stream = np.random.RandomState(0)
        groups = np.zeros((N_SCAN, C), np.int32)
        for number, row in enumerate(table):
            groups[number] = stream.choice(row, C, replace=False)

    compare(
        benchmark,
        "standard_groups, tree included, against the loop of choice, tree not included",
        lambda: standard_groups(positions, K=K, C=C, nsamples=N_SCAN, seed=0),
        loop,
        0.6,
    )
