"""One stream of batches: the same for any workers, any start of them, any ranks, resumed or not."""

import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributed

from ptychofold.config import GroupingConfig, LoaderConfig
from ptychofold.data import GroupBatch, GroupedDataset, MixtureDataset, make_loader
from ptychofold.raw_data import RawData
from ptychofold.testing import make_scan

GRID = GroupingConfig(grid=(2, 2), n_neighbors=7, seed=1)


def mixture_of(folder: Path) -> MixtureDataset:
    """Return a mixture of a mapped file, a subset of it, and a scan in memory."""
    scan = RawData.from_file(folder / "scan.npz", measurement="intensity")
    scans = {"file": scan, "part": scan.subset(np.arange(12)), "memory": make_scan(n_scan=16, N=8, seed=5)}
    return MixtureDataset({name: GroupedDataset(scan, GRID) for name, scan in scans.items()})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stream")
    make_scan(n_scan=25, N=8).to_file(folder / "scan.npz")
    return folder


@pytest.fixture(scope="module")
def mixture(folder: Path) -> MixtureDataset:
    return mixture_of(folder)


def digest(batch: GroupBatch) -> str:
    whole = hashlib.sha256()
    for tensor in batch:
        whole.update(b"" if tensor is None else tensor.numpy().tobytes())
    return whole.hexdigest()


@contextmanager
def advice_on_workers_ignored() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
        yield


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 3),
    batch_size=st.integers(4, 53),
    n_ranks=st.sampled_from([1, 2, 4]),
    stop=st.integers(0, 14),
    workers=st.sampled_from([(0, 0), (0, 1), (1, 4), (4, 0)]),
)
def test_batches_depend_on_seed_and_epoch_alone(
    mixture: MixtureDataset,
    *,
    seed: int,
    epoch: int,
    batch_size: int,
    n_ranks: int,
    stop: int,
    workers: tuple[int, int],
) -> None:
    """Each rank stops after some batches and goes on with another number of workers."""
    config = LoaderConfig(batch_size=batch_size, seed=seed, start_method="fork")
    alone = make_loader(mixture, config)
    alone.set_epoch(epoch)
    shares = []
    for rank in range(n_ranks):
        share: list[str] = []
        states: list[dict[str, int | bool | str]] = []
        for part, n_workers in enumerate(workers):
            with advice_on_workers_ignored():
                loader = make_loader(mixture, config.replace(num_workers=n_workers), rank=rank, n_ranks=n_ranks)
                loader.set_epoch(epoch)
                if states:
                    loader.load_state_dict(states[0])
                left = len(loader) - len(share)
                share.extend(digest(batch) for batch in islice(loader, left if part else min(stop, left)))
            if len(share) == len(loader):
                break
            states.append(loader.state_dict())
        shares.append(share)
    rounds = chain.from_iterable(islice(share, number, number + 1) for number in range(53) for share in shares)
    assert list(rounds) == [digest(batch) for batch in alone]


def run_rank(folder: Path, rank: int, n_ranks: int) -> None:
    """Deliver an epoch in one process of a distributed run, stopping and resuming after two batches."""
    rendezvous = f"file://{folder}/rendezvous{n_ranks}"
    distributed.init_process_group(
        "gloo", init_method=rendezvous, rank=rank, world_size=n_ranks, timeout=timedelta(seconds=60)
    )
    try:
        mixture, config = mixture_of(folder), LoaderConfig(batch_size=5, seed=3)
        loader = make_loader(mixture, config)
        digests = [digest(batch) for batch in islice(loader, 2)]
        resumed = make_loader(mixture, config)
        resumed.load_state_dict(loader.state_dict())
        digests.extend(map(digest, islice(resumed, len(loader) - 2)))
        distributed.barrier()
        (folder / f"{n_ranks}.{rank}.json").write_text(json.dumps(digests))
    finally:
        distributed.destroy_process_group()


@pytest.mark.parametrize("n_ranks", [1, 2, 4])
def test_processes_of_a_distributed_run_share_the_batches_of_one(
    folder: Path, mixture: MixtureDataset, n_ranks: int
) -> None:
    fork = get_context("fork")  # a fresh start would import torch once a rank
    ranks = [fork.Process(target=run_rank, args=(folder, rank, n_ranks)) for rank in range(n_ranks)]
    with advice_on_workers_ignored():
        for process in ranks:
            process.start()
    for process in ranks:
        process.join(120)
    assert [process.exitcode for process in ranks] == [0] * n_ranks
    shares = [json.loads((folder / f"{n_ranks}.{rank}.json").read_text()) for rank in range(n_ranks)]
    alone = [digest(batch) for batch in make_loader(mixture, LoaderConfig(batch_size=5, seed=3))]
    assert [alone[rank::n_ranks] for rank in range(n_ranks)] == shares


def test_evaluation_over_ranks_pads_and_drops_nothing(mixture: MixtureDataset) -> None:
    config = LoaderConfig(batch_size=4, shuffle=False)

    def seen(batches: Iterable[GroupBatch]) -> list[tuple[int, int]]:
        return [
            pair
            for batch in batches
            for pair in zip(batch.experiment.tolist(), batch.members[:, 0].tolist(), strict=True)
        ]

    whole = seen(make_loader(mixture, config))
    shares = [seen(make_loader(mixture, config, rank=rank, n_ranks=4)) for rank in range(4)]
    assert len(whole) == len(mixture) == 53
    assert sorted(chain.from_iterable(shares)) == sorted(whole)
