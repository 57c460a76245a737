"""Settings of the batch loader."""

from typing import Literal

from pydantic import NonNegativeInt, PositiveInt

from ptychofold.config.base import Config, Seed

__all__ = ["LoaderConfig"]


class LoaderConfig(Config):
    """How a dataset is cut into batches.

    Examples
    --------
    >>> LoaderConfig(batch_size=32, seed=1).shuffle
    True
    """

    batch_size: PositiveInt = 64
    """Groups in a batch."""

    shuffle: bool = True
    """Visit the groups in a new random order each epoch."""

    seed: Seed = 0
    """Seed of the order; the stream of batches depends on (seed, epoch) alone."""

    drop_last: bool = False
    """Leave out the last batch when it is smaller than the others."""

    even_ranks: bool = False
    """Leave out the last batches of an epoch that not every rank gets one of, as gradient averaging needs."""

    regroup: bool = False
    """Draw new groups each epoch from (seed of the grouping, epoch)."""

    num_workers: NonNegativeInt = 0
    """Processes that gather batches; 0 gathers in the calling process."""

    start_method: Literal["fork", "spawn", "forkserver"] | None = None
    """How workers are started; None leaves it to the platform."""

    pin_memory: bool = False
    """Put batches into page-locked memory for a fast copy to a GPU."""

    prefetch: PositiveInt = 2
    """Batches that each worker prepares ahead; without effect when ``num_workers`` is 0."""
