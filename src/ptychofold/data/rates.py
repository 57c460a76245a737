"""Rates of batches beside the limits of the machine they are made on, all measured in one run."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from time import perf_counter

import numpy as np
import torch
from jaxtyping import Int64

from ptychofold.config import LoaderConfig
from ptychofold.conventions import amplitude_from_intensity
from ptychofold.data.dataset import GroupedDataset
from ptychofold.data.loader import make_loader
from ptychofold.data.readers import GATHERABLE, as_tensor, in_memory

__all__ = ["Rate", "gather_limits", "measure_rates"]


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How fast patterns come, one way."""

    name: str
    """The way, for people."""
    patterns_per_s: float
    is_limit: bool = False
    """Whether this is what the machine itself can do, not what a loader delivers."""


def gather_limits(dataset: GroupedDataset, batches: list[Int64[np.ndarray, " n"]]) -> dict[str, Callable[[], None]]:
    """Return the gathers that NumPy and torch offer, each with the cast of batches to float32 amplitude.

    Parameters
    ----------
    dataset
        Whose patterns are gathered; a lazy source is read into memory first.
    batches
        Scan points of each batch.
    """
    scan = dataset.scan
    source = scan.patterns.read(slice(None)) if scan.patterns.random_access else in_memory(scan)
    largest = max(len(rows) for rows in batches)
    stored = np.empty((largest, *source.shape[1:]), source.dtype)
    out = np.empty(stored.shape, np.float32)
    buffer = torch.from_numpy(stored)
    gatherable = GATHERABLE.get(buffer.dtype, buffer.dtype)
    tensor = as_tensor(source).view(gatherable)
    is_intensity = scan.measurement == "intensity"

    def cast(n: int) -> None:
        if is_intensity:
            amplitude_from_intensity(stored[:n], out=out[:n])
        else:
            np.copyto(out[:n], stored[:n], casting="unsafe")

    def take() -> None:
        for rows in batches:
            np.take(source, rows, axis=0, out=stored[: len(rows)], mode="clip")
            cast(len(rows))

    def index_select() -> None:
        for rows in batches:
            torch.index_select(tensor, 0, torch.from_numpy(rows), out=buffer[: len(rows)].view(gatherable))
            cast(len(rows))

    return {"numpy.take + cast": take, "torch.index_select + cast": index_select}


def measure_rates(
    dataset: GroupedDataset,
    config: LoaderConfig,
    *,
    workers: tuple[int, ...] = (0, 1, 2),
    max_batches: int = 200,
    rounds: int = 3,
) -> list[Rate]:
    """Measure limits and loaders over the same batches; the best of some rounds each.

    Parameters
    ----------
    dataset
        What is delivered.
    config
        Batch size and order.
    workers
        Numbers of worker processes to try.
    max_batches
        Batches in a round; fewer if an epoch is shorter.
    rounds
        Repetitions, the first of which also warms the page cache.
    """
    C = dataset.groups.members.shape[1]
    order = make_loader(dataset, config).batch_order.batches()[:max_batches]
    batches = [dataset.groups.members[chosen].reshape(-1).astype(np.int64) for chosen in order]
    n_patterns = sum(map(len, batches))
    rates = [
        Rate(name=name, patterns_per_s=n_patterns / _best(gather, rounds), is_limit=True)
        for name, gather in gather_limits(dataset, batches).items()
    ]
    rates.append(_copy_limit(dataset, n_patterns, rounds))
    for n_workers in workers:
        loader = make_loader(dataset, config.replace(num_workers=n_workers))

        def deliver(loader: object = loader) -> None:
            for _ in islice(loader, len(order)):  # type: ignore[call-overload]
                pass

        name = "one process" if n_workers == 0 else f"{n_workers} worker{'s' * (n_workers > 1)}"
        rates.append(
            Rate(name=f"{name}, {C} × {config.batch_size} a batch", patterns_per_s=n_patterns / _best(deliver, rounds))
        )
    resident = GroupedDataset(dataset.scan, dataset.groups, scale=dataset.scale, resident=True)
    time = _best(lambda: [resident.__getitems__(chosen.tolist()) for chosen in order], rounds)
    rates.append(Rate(name="resident in memory", patterns_per_s=n_patterns / time))
    return rates


def _copy_limit(dataset: GroupedDataset, n_patterns: int, rounds: int) -> Rate:
    """Copy as many bytes of float32 patterns as the batches hold, in portions that exceed the caches."""
    N = dataset.scan.N
    portion = np.zeros((min(n_patterns, max(1, (64 << 20) // (4 * N * N))), N, N), np.float32)
    target = np.empty_like(portion)
    time = _best(lambda: np.copyto(target, portion), rounds)
    return Rate(name="memory copy of float32", patterns_per_s=len(portion) / time, is_limit=True)


def _best(function: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = perf_counter()
        function()
        times.append(perf_counter() - start)
    return min(times)
