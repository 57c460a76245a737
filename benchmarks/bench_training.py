"""Training and prediction, in patterns a second, for the network sizes that fit a processor.

    make bench           # or: python -m pytest benchmarks/bench_training.py --benchmark-enable

The size ``small`` is the default on a processor: 100 patterns/s of training at N = 64, C = 1 on two cores is its
promise.

On processors that other programs use too, threads that wait for one another by spinning make all of torch many times
slower, so that nothing is measured; set ``OMP_WAIT_POLICY=passive`` there.
"""

from collections.abc import Iterator

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from ptychofold.config import GroupingConfig, LoaderConfig, ModelConfig, TrainingConfig
from ptychofold.data import GroupedDataset, make_loader
from ptychofold.models import PtychographyModel
from ptychofold.reconstruction import predict, prediction_loader
from ptychofold.reconstruction.training import fit
from ptychofold.testing import make_scan

THREADS = 2


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("N", "grid", "size"), [(64, 1, "small"), (64, 2, "small"), (128, 1, "small"), (64, 1, "base")]
)
def test_training(benchmark: BenchmarkFixture, N: int, grid: int, size: str) -> None:
    scan = make_scan(n_scan=256, N=N, step=N / 8)
    dataset = GroupedDataset(scan, GroupingConfig(grid=(grid, grid), n_neighbors=6, n_groups=256 // grid**2, seed=0))
    loader = make_loader(dataset, LoaderConfig(batch_size=32 // grid**2))
    model = PtychographyModel.for_scan(scan, ModelConfig.from_mapping({"size": size}))
    config = TrainingConfig(epochs=1, accelerator="cpu")
    record = benchmark.pedantic(fit, (model, loader, None, config), rounds=3, warmup_rounds=1)
    benchmark.extra_info["patterns/s"] = round(record.n_patterns / benchmark.stats.stats.min)


@pytest.mark.parametrize("grid", [1, 2])
def test_prediction(benchmark: BenchmarkFixture, grid: int) -> None:
    scan = make_scan(n_scan=256, N=64, step=8)
    model = PtychographyModel.for_scan(scan, ModelConfig())
    model.contract = model.contract.with_groups_of(grid**2)
    loader = prediction_loader(model, scan, loader=LoaderConfig(batch_size=32 // grid**2))
    n_patterns = sum(len(batch.members) for batch in predict(model, loader))
    benchmark.pedantic(lambda: list(predict(model, loader)), rounds=3, warmup_rounds=1)
    benchmark.extra_info["patterns/s"] = round(n_patterns / benchmark.stats.stats.min)
