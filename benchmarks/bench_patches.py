"""Patches cut from and laid onto a canvas, bilinear, 64² complex64; the reference pipeline cuts 60 to 85 a second.

The work is done in one thread, so rates are for a second of processor time, whatever else the machine does. Shapes are
checked at run time in tests only; ``JAXTYPING_DISABLE=1`` switches that off here too.
"""

import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from ptychofold.patches import extract_patches, place_patches

N_PATCHES = 2000
SIZE = 64
SHAPE = (500, 500)
MINIMUM_PER_S = 25_000
"""Patches cut a second that the library promises on one core."""

pytestmark = pytest.mark.benchmark(timer=time.process_time)

Convert = Callable[[np.ndarray], np.ndarray | torch.Tensor]
KINDS = [pytest.param(np.asarray, id="numpy"), pytest.param(torch.from_numpy, id="torch")]


@pytest.fixture(params=["fractional", "whole"])
def positions(request: pytest.FixtureRequest) -> np.ndarray:
    scattered = np.random.default_rng(0).uniform(SIZE, SHAPE[0] - SIZE, (N_PATCHES, 2))
    return scattered if request.param == "fractional" else scattered.round()


def pixels(shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def note_rate(benchmark: BenchmarkFixture) -> float:
    if benchmark.stats is None:
        return float("inf")
    rate = N_PATCHES / benchmark.stats.stats.min
    benchmark.extra_info["patches_per_cpu_s"] = round(rate)
    benchmark.extra_info["patches_per_cpu_s_median"] = round(N_PATCHES / benchmark.stats.stats.median)
    return float(rate)


@pytest.mark.parametrize("convert", KINDS)
def test_extract(benchmark: BenchmarkFixture, positions: np.ndarray, convert: Convert) -> None:
    canvas, at = convert(pixels(SHAPE)), convert(positions)
    cut = benchmark.pedantic(extract_patches, (canvas, at, SIZE), rounds=15, warmup_rounds=2)  # type: ignore[no-untyped-call]
    assert cut.shape == (N_PATCHES, SIZE, SIZE)
    assert note_rate(benchmark) >= MINIMUM_PER_S


@pytest.mark.parametrize("convert", KINDS)
def test_place(benchmark: BenchmarkFixture, positions: np.ndarray, convert: Convert) -> None:
    patches, at = convert(pixels((N_PATCHES, SIZE, SIZE))), convert(positions)
    canvas = benchmark.pedantic(place_patches, (patches, at, SHAPE), rounds=15, warmup_rounds=2)  # type: ignore[no-untyped-call]
    assert canvas.shape == SHAPE
    note_rate(benchmark)
