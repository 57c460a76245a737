"""Stitching 16,000 patches of 64² (memory), and its cost beside prediction by the network ``small`` (time).

    make bench           # or: python -m pytest benchmarks/bench_stitching.py --benchmark-enable

Times are of the processor, so that what else the machine does counts little; the cost is a ratio within one run.
"""

import os
import time
import tracemalloc
from collections.abc import Iterator

import numpy as np
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from ptychofold.config import LoaderConfig, ModelConfig, SimulationConfig
from ptychofold.models import PtychographyModel
from ptychofold.patches import extract_patches
from ptychofold.physics import illumination, simulate_scan
from ptychofold.raw_data import RawData
from ptychofold.reconstruction import (
    PredictedPatches,
    predict,
    prediction_loader,
    stitch,
    synchronize_phases,
)

LARGEST_SHARE = 0.15
"""Of the time of prediction that stitching may take."""
BATCH = 64


def true_patches(scan: RawData) -> Iterator[PredictedPatches]:
    assert scan.object is not None
    for start in range(0, len(scan), BATCH):
        rows = np.arange(start, min(start + BATCH, len(scan)))
        yield PredictedPatches(
            patches=torch.from_numpy(extract_patches(scan.object, scan.positions[rows], scan.N)),
            positions=torch.from_numpy(scan.positions[rows]),
            members=torch.from_numpy(rows),
            groups=torch.from_numpy(rows),
            experiment=torch.zeros(len(rows), dtype=torch.int64),
        )


def test_sixteen_thousand_patches_in_bounded_memory(benchmark: BenchmarkFixture) -> None:
    scan = simulate_scan(SimulationConfig(N=64, n_scan=16_000, step=4.0, object="dead_leaves"))
    assert scan.object is not None
    tracemalloc.start()
    result = benchmark.pedantic(lambda: stitch(true_patches(scan), scan), rounds=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    patches = len(scan) * 64 * 64 * 8
    benchmark.extra_info |= {
        "patches": len(scan),
        "object": " x ".join(map(str, result.object.shape)),
        "peak_mb": round(peak / 1e6, 1),
        "patches_mb": round(patches / 1e6),
        "r_factor": round(result.r_factor, 4),
    }
    assert peak < 0.25 * patches


def test_cost_beside_prediction(benchmark: BenchmarkFixture) -> None:
    scan = simulate_scan(SimulationConfig(N=64, n_scan=1024, step=8.0, object="dead_leaves"))
    model = PtychographyModel.for_scan(scan, ModelConfig())
    loader = prediction_loader(model, scan, loader=LoaderConfig(batch_size=BATCH))
    weight = illumination(torch.tensor(scan.probe))
    clock = time.process_time
    start = clock()
    patches = list(predict(model, loader))
    predicted = clock()
    agreeing = list(synchronize_phases(patches, weight=weight))
    synchronised = clock()
    benchmark.pedantic(lambda: stitch(agreeing, scan), rounds=1)
    stitched = clock()
    share = (stitched - synchronised) / (predicted - start)
    benchmark.extra_info |= {
        "load": round(os.getloadavg()[0], 1),
        "predicted_per_cpu_s": round(len(scan) / (predicted - start)),
        "stitched_per_cpu_s": round(len(scan) / (stitched - synchronised)),
        "stitching_share": round(share, 4),
        "with_phases_share": round((stitched - predicted) / (predicted - start), 4),
    }
    assert share < LARGEST_SHARE
