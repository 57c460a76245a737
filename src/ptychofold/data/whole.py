"""A loader of data sets that return a whole batch at once, and what moves such a batch to a device."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

__all__ = ["ToDevice", "WholeBatchLoader"]


class ToDevice:
    """Puts a tuple of tensors, or of what moves like them, on a device; None leaves it where it is."""

    def __init__(self, device: torch.device | str | None = None) -> None:
        self.device = device

    def __call__(self, batch: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the batch on the device."""
        return batch if self.device is None else tuple(item.to(self.device) for item in batch)


class WholeBatchLoader(DataLoader[Any]):
    """Loads batches with one ``__getitems__`` each, also in workers; ``collate_fn`` is given the whole batch."""

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int = 1,
        *,
        collate_fn: Callable[[Any], Any] | None = None,
        **options: Any,  # noqa: ANN401 (those of torch's loader)
    ) -> None:
        whole: Callable[[Any], Any] = ToDevice() if collate_fn is None else collate_fn
        super().__init__(dataset, batch_size, collate_fn=whole, **options)
