"""make_loader: a stream of batches that depends on (seed, epoch) alone."""

from collections.abc import Iterator, Mapping
from typing import Protocol, Self

import numpy as np
import torch
from jaxtyping import Int64
from torch import distributed
from torch.utils.data import DataLoader, Sampler

from ptychofold.config import LoaderConfig
from ptychofold.data.batch import GroupBatch, GroupNumbers
from ptychofold.errors import CheckpointError, ConfigError

__all__ = ["BatchSource", "GroupLoader", "make_loader"]


class BatchSource(Protocol):
    """A dataset of groups: what `GroupedDataset` and `MixtureDataset` have in common."""

    def __len__(self) -> int:
        """Return the number of groups in an epoch."""
        ...

    def __getitems__(self, indices: GroupNumbers) -> GroupBatch:
        """Return groups as one batch."""
        ...

    def order(self, rng: np.random.Generator | None) -> Int64[np.ndarray, " group"]:
        """Return the groups of one epoch: shuffled by ``rng``, or in their own order."""
        ...

    def regroup(self, epoch: int) -> object:
        """Draw the groups of an epoch."""
        ...

    def fingerprint(self) -> str:
        """Return the same text for the same groups, or for the same way to draw them, and another one for others."""
        ...


class BatchOrder(Sampler[Int64[np.ndarray, " B"]]):
    """Which groups make up each batch of an epoch, for one rank of a distributed run.

    The epoch is cut into batches once; rank r of W takes batches r, r + W, r + 2 W, …
    """

    def __init__(self, source: BatchSource, config: LoaderConfig, *, rank: int, n_ranks: int) -> None:
        self.source = source
        self.config = config
        self.rank = rank
        self.n_ranks = n_ranks
        self.epoch = 0
        self.n_skipped = 0
        """Batches of this rank that were delivered before a resumed run began."""
        self.n_delivered = 0
        """Batches of this rank's epoch that were delivered, those skipped included."""
        if config.regroup:
            source.regroup(0)

    @property
    def sampler(self) -> Self:
        """The order itself: the sampler of a batch sampler is what Lightning names each epoch to, by `set_epoch`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next pass follows; a resumed epoch that is named again stays resumed."""
        if epoch != self.epoch:
            self.epoch, self.n_skipped = epoch, 0
            if self.config.regroup:
                self.source.regroup(epoch)
        self.n_delivered = self.n_skipped

    def begin_pass(self) -> None:
        """Turn to the next epoch if a pass over this one has begun, though it may not have come to its end."""
        if self.n_delivered > self.n_skipped:
            self.set_epoch(self.epoch + 1)

    def batches(self) -> list[Int64[np.ndarray, " group"]]:
        """Return the whole epoch of this rank."""
        size, n_groups = self.config.batch_size, len(self.source)
        rng = np.random.default_rng([self.config.seed, self.epoch])
        order = self.source.order(rng if self.config.shuffle else None)
        n_batches = n_groups // size if self.config.drop_last else -(-n_groups // size)
        if self.config.even_ranks:
            n_batches -= n_batches % self.n_ranks
        return [order[i * size : (i + 1) * size] for i in range(self.rank, n_batches, self.n_ranks)]

    def __iter__(self) -> Iterator[Int64[np.ndarray, " B"]]:
        return iter(self.batches()[self.n_skipped :])

    def __len__(self) -> int:
        size, n_groups = self.config.batch_size, len(self.source)
        n_batches = n_groups // size if self.config.drop_last else -(-n_groups // size)
        whole, rest = divmod(n_batches, self.n_ranks)
        return whole + (self.rank < rest and not self.config.even_ranks)


class GroupLoader(DataLoader[GroupBatch]):
    """A torch DataLoader of `GroupBatch` that can stop and resume at any batch.

    Each pass over the loader is one epoch; the next pass is the next epoch, in another order, also if the one before it
    was left early.
    """

    def __init__(self, source: BatchSource, config: LoaderConfig, *, rank: int, n_ranks: int) -> None:
        self.batch_order = BatchOrder(source, config, rank=rank, n_ranks=n_ranks)
        workers = config.num_workers
        super().__init__(
            source,  # type: ignore[arg-type]  # a BatchSource has __getitems__, all that torch's fetcher asks for
            batch_sampler=self.batch_order,  # type: ignore[arg-type]  # arrays pass
            num_workers=workers,
            collate_fn=_already_a_batch,
            pin_memory=config.pin_memory,
            prefetch_factor=config.prefetch if workers else None,
            multiprocessing_context=config.start_method if workers else None,
            generator=torch.Generator().manual_seed(config.seed),
        )

    def __iter__(self) -> Iterator[GroupBatch]:  # type: ignore[override]  # torch names its own iterator class
        """Deliver an epoch, or what is left of a resumed one."""
        order = self.batch_order
        order.begin_pass()
        for batch in self._batches():
            order.n_delivered += 1
            yield batch
        order.set_epoch(order.epoch + 1)

    def _batches(self) -> Iterator[GroupBatch]:
        """Ask the dataset itself where torch's machinery would do no more than that."""
        if self.num_workers or self.pin_memory:
            return super().__iter__()
        return map(self.batch_order.source.__getitems__, self.batch_order)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next pass follows."""
        self.batch_order.set_epoch(epoch)

    def state_dict(self) -> dict[str, int | bool | str]:
        """Return where the stream stands: after the last batch that was delivered, in any process.

        Prefetched batches that no one has seen yet do not count. Call it between two batches.
        """
        order = self.batch_order
        finished = order.n_delivered == len(order)
        return {
            **self._identity(),
            "epoch": order.epoch + finished,
            "n_delivered": 0 if finished else order.n_delivered,
        }

    def load_state_dict(self, state: Mapping[str, int | bool | str]) -> None:
        """Continue a stream where `state_dict` left it; the number of workers may differ.

        Raises
        ------
        CheckpointError
            If the state belongs to another stream, of other seed, batch size, order, groups or ranks, or is damaged.
        """
        for name, ours in self._identity().items():
            if state.get(name) != ours:
                raise CheckpointError(
                    f"expected the state of a loader with {name} = {ours}; found {state.get(name)}. "
                    "Make the loader as it was made when the state was saved."
                )
        epoch, n_delivered = (int(state.get(name, -1)) for name in ("epoch", "n_delivered"))
        if epoch < 0 or not 0 <= n_delivered < max(1, len(self.batch_order)):
            raise CheckpointError(
                f"expected the state of a loader with {len(self.batch_order)} batches an epoch; found epoch {epoch} "
                f"and {n_delivered} delivered batches. The state is damaged: take an earlier one."
            )
        self.batch_order.set_epoch(epoch)
        self.batch_order.n_skipped = self.batch_order.n_delivered = n_delivered

    def _identity(self) -> dict[str, int | bool | str]:
        order, config = self.batch_order, self.batch_order.config
        return {
            "seed": config.seed,
            "batch_size": config.batch_size,
            "shuffle": config.shuffle,
            "drop_last": config.drop_last,
            "regroup": config.regroup,
            "n_groups": len(order.source),
            "n_ranks": order.n_ranks,
            "even_ranks": config.even_ranks,
            "groups": order.source.fingerprint(),
        }


def make_loader(
    dataset: BatchSource, config: LoaderConfig, *, rank: int | None = None, n_ranks: int | None = None
) -> GroupLoader:
    """Return a loader whose stream of batches depends on (seed, epoch) alone.

    The batches are bit-identical for any number of workers and however they are started. In a distributed run each
    rank gets its share of the same batches; none is repeated or padded.

    Parameters
    ----------
    dataset
        A `GroupedDataset` or `MixtureDataset`.
    config
        Batch size, order, workers.
    rank, n_ranks
        This process's place in a distributed run; asked of ``torch.distributed`` if None.

    Raises
    ------
    ConfigError
        If the rank lies outside the run, or an epoch would be empty.
    """
    running = distributed.is_available() and distributed.is_initialized()
    world = n_ranks if n_ranks is not None else (distributed.get_world_size() if running else 1)
    place = rank if rank is not None else (distributed.get_rank() if running else 0)
    if not 0 <= place < world:
        raise ConfigError(f"expected a rank from 0 to {world - 1}; found {place}.")
    if config.drop_last and len(dataset) < config.batch_size:
        raise ConfigError(
            f"expected at least one full batch of {config.batch_size} groups, as drop_last is set; found "
            f"{len(dataset)} groups. Lower batch_size or set drop_last=False."
        )
    return GroupLoader(dataset, config, rank=place, n_ranks=world)


def _already_a_batch(batch: object) -> object:
    return batch
