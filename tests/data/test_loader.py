"""make_loader: the stream of batches depends on (seed, epoch) alone."""

import hashlib
import warnings
from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ptychofold.config import GroupingConfig, LoaderConfig
from ptychofold.data import GroupBatch, GroupedDataset, MixtureDataset, make_loader
from ptychofold.errors import CheckpointError, ConfigError
from ptychofold.grouping import group_scan
from ptychofold.testing import make_scan


@pytest.fixture(scope="module")
def dataset() -> GroupedDataset:
    return GroupedDataset(make_scan(n_scan=49, N=8), GroupingConfig(grid=(2, 2), n_neighbors=7, seed=1))


def digest(batches: Iterable[GroupBatch]) -> list[str]:
    digests = []
    for batch in batches:
        whole = hashlib.sha256()
        for tensor in batch:
            whole.update(b"" if tensor is None else tensor.numpy().tobytes())
        digests.append(whole.hexdigest())
    return digests


@pytest.mark.parametrize(("n_workers", "start_method"), [(1, "fork"), (4, "fork"), (2, "spawn"), (1, "forkserver")])
def test_batches_are_bit_identical_for_any_number_of_workers(
    dataset: GroupedDataset, n_workers: int, start_method: str
) -> None:
    alone = make_loader(dataset, LoaderConfig(batch_size=8, seed=5))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
        helped = make_loader(
            dataset,
            LoaderConfig(batch_size=8, seed=5, num_workers=n_workers, start_method=start_method),
        )
        first, second = digest(helped), digest(helped)
    assert first == digest(alone)
    assert second == digest(alone)
    assert first != second


def test_an_epoch_visits_every_group_once(dataset: GroupedDataset) -> None:
    loader = make_loader(dataset, LoaderConfig(batch_size=10, seed=0))
    sizes = [len(batch.members) for batch in loader]
    assert sizes == [10, 10, 10, 10, 9]
    assert len(loader) == 5
    seen = torch.cat([batch.members for batch in loader])
    assert sorted(seen.tolist()) == sorted(dataset.groups.members.tolist())


def test_without_shuffling_groups_come_in_their_own_order(dataset: GroupedDataset) -> None:
    loader = make_loader(dataset, LoaderConfig(batch_size=10, shuffle=False))
    np.testing.assert_array_equal(torch.cat([batch.members for batch in loader]), dataset.groups.members)


def test_a_small_last_batch_can_be_left_out(dataset: GroupedDataset) -> None:
    loader = make_loader(dataset, LoaderConfig(batch_size=10, drop_last=True))
    assert [len(batch.members) for batch in loader] == [10] * 4
    assert len(loader) == 4
    with pytest.raises(ConfigError, match="at least one full batch of 50 groups"):
        make_loader(dataset, LoaderConfig(batch_size=50, drop_last=True))


@pytest.mark.parametrize("n_ranks", [1, 2, 4])
def test_ranks_share_the_same_batches(dataset: GroupedDataset, n_ranks: int) -> None:
    config = LoaderConfig(batch_size=6, seed=9)
    alone = digest(make_loader(dataset, config))
    loaders = [make_loader(dataset, config, rank=rank, n_ranks=n_ranks) for rank in range(n_ranks)]
    shares = [digest(loader) for loader in loaders]
    assert sorted(chain.from_iterable(shares)) == sorted(alone)
    assert [len(share) for share in shares] == [len(loader) for loader in loaders]


def test_ranks_can_be_given_the_same_number_of_batches(dataset: GroupedDataset) -> None:
    config = LoaderConfig(batch_size=6, even_ranks=True)
    lengths = {len(digest(make_loader(dataset, config, rank=rank, n_ranks=4))) for rank in range(4)} | {
        len(make_loader(dataset, config, rank=rank, n_ranks=4)) for rank in range(4)
    }
    assert lengths == {2}


def test_a_rank_outside_the_run_is_refused(dataset: GroupedDataset) -> None:
    with pytest.raises(ConfigError, match="expected a rank from 0 to 1; found 2"):
        make_loader(dataset, LoaderConfig(), rank=2, n_ranks=2)


@settings(max_examples=25, deadline=None)
@given(stop=st.integers(0, 14), batch_size=st.sampled_from([7, 10, 49]), seed=st.integers(0, 3), rank=st.integers(0, 1))
def test_a_stream_resumes_at_any_batch_of_any_epoch(
    dataset: GroupedDataset, stop: int, batch_size: int, seed: int, rank: int
) -> None:
    config = LoaderConfig(batch_size=batch_size, seed=seed)

    def stream(loader: Iterable[GroupBatch]) -> Iterator[GroupBatch]:
        while True:
            yield from loader

    straight = stream(make_loader(dataset, config, rank=rank, n_ranks=2))
    stopped = make_loader(dataset, config, rank=rank, n_ranks=2)
    interrupted = stream(stopped)
    if len(stopped) == 0:
        return
    for _ in range(stop):
        next(straight)
        next(interrupted)
    resumed = make_loader(dataset, config, rank=rank, n_ranks=2)
    resumed.load_state_dict(stopped.state_dict())
    rest = stream(resumed)
    assert digest(take(rest, 5)) == digest(take(straight, 5))


def take(stream: Iterable[GroupBatch], count: int) -> list[GroupBatch]:
    iterator = iter(stream)
    return [next(iterator) for _ in range(count)]


def test_a_pass_that_is_left_early_is_followed_by_the_next_epoch(dataset: GroupedDataset) -> None:
    config = LoaderConfig(batch_size=8, seed=2)
    straight, left = make_loader(dataset, config), make_loader(dataset, config)
    epochs = [digest(straight) for _ in range(3)]
    left.load_state_dict({**left.state_dict(), "n_delivered": 2})
    assert digest(take(left, 2)) == epochs[0][2:4]
    assert digest(take(left, len(left))) == epochs[1]
    assert digest(take(left, 1)) == epochs[2][:1]
    left.set_epoch(2)
    assert digest(take(left, 2)) == epochs[2][:2]


def test_a_resumed_stream_may_have_other_workers(dataset: GroupedDataset) -> None:
    config = LoaderConfig(batch_size=8, seed=2)
    loader = make_loader(dataset, config)
    take(loader, 3)
    helped = make_loader(dataset, config.replace(num_workers=2))
    helped.load_state_dict(loader.state_dict())
    assert digest(helped) == digest(make_loader(dataset, config))[3:]


def test_prefetched_batches_that_were_not_delivered_do_not_count(dataset: GroupedDataset) -> None:
    loader = make_loader(dataset, LoaderConfig(batch_size=4, num_workers=2, prefetch=3))
    iterator = iter(loader)
    next(iterator)
    assert loader.state_dict()["n_delivered"] == 1


def test_the_state_of_another_stream_is_refused(dataset: GroupedDataset) -> None:
    state = make_loader(dataset, LoaderConfig(batch_size=8)).state_dict()
    with pytest.raises(CheckpointError, match="batch_size = 4; found 8"):
        make_loader(dataset, LoaderConfig(batch_size=4)).load_state_dict(state)


def test_the_state_of_other_groups_is_refused() -> None:
    scan = make_scan(n_scan=60, N=8)
    config = LoaderConfig(batch_size=8, seed=2)
    grid = GroupingConfig(grid=(2, 2), n_neighbors=7, seed=1)
    state = make_loader(GroupedDataset(scan, grid), config).state_dict()
    for other in (grid.replace(seed=2), group_scan(scan.positions, grid.replace(seed=2))):
        with pytest.raises(CheckpointError, match="with groups ="):
            make_loader(GroupedDataset(scan, other), config).load_state_dict(state)
    mixed = [make_loader(MixtureDataset({"a": GroupedDataset(scan, grid.replace(seed=i))}), config) for i in (1, 2)]
    with pytest.raises(CheckpointError, match="with groups ="):
        mixed[1].load_state_dict(mixed[0].state_dict())
    with pytest.raises(CheckpointError, match="with regroup = True"):
        make_loader(GroupedDataset(scan, grid), config.replace(regroup=True)).load_state_dict(state)
    make_loader(GroupedDataset(scan, grid), config).load_state_dict(state)


@pytest.mark.parametrize("damage", [{"n_delivered": 500}, {"n_delivered": -5}, {"epoch": -1}])
def test_a_damaged_state_is_refused(dataset: GroupedDataset, damage: dict[str, int]) -> None:
    loader = make_loader(dataset, LoaderConfig(batch_size=8))
    with pytest.raises(CheckpointError, match="state is damaged"):
        loader.load_state_dict({**loader.state_dict(), **damage})


def test_regrouping_loaders_draw_new_groups_each_epoch() -> None:
    def loader_of_its_own() -> list[list[str]]:
        dataset = GroupedDataset(make_scan(n_scan=30, N=8), GroupingConfig(grid=(2, 2), n_neighbors=7, seed=1))
        loader = make_loader(dataset, LoaderConfig(batch_size=30, shuffle=False, regroup=True))
        return [digest(loader) for _ in range(3)]

    epochs = loader_of_its_own()
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert epochs == loader_of_its_own()


def test_the_process_wide_stream_is_left_alone(dataset: GroupedDataset) -> None:
    before = torch.get_rng_state()
    digest(make_loader(dataset, LoaderConfig(batch_size=8, num_workers=1)))
    assert torch.equal(torch.get_rng_state(), before)


class Broken(GroupedDataset):
    """A dataset whose file breaks under it."""

    def __getitems__(self, indices: object) -> GroupBatch:
        raise OSError(f"scan.npz: cannot read group {indices}")


def test_an_error_in_a_worker_arrives_with_its_cause() -> None:
    broken = Broken(make_scan(n_scan=20, N=8), GroupingConfig(seed=0))
    with pytest.raises(OSError, match=r"scan.npz: cannot read group \[0\]"):
        digest(make_loader(broken, LoaderConfig(batch_size=1, shuffle=False, num_workers=1)))
