"""Memory for batches that is used again, so that no batch waits for the system to clear fresh pages."""

import math
import weakref

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

__all__ = ["BatchBuffers"]

KEPT_BYTES = 512 << 20
"""Largest buffer that is kept for another batch; a whole scan that was loaded at once is given back."""
N_KEPT = 3
"""Most buffers that are kept while nobody uses them."""


class BatchBuffers:
    """Float32 tensors in host memory, each of which owns its memory for as long as anything refers to it.

    The memory of a tensor goes back to the pool when the tensor, its views and its NumPy views are gone, never before.

    Examples
    --------
    >>> buffers = BatchBuffers()
    >>> place = buffers.empty((2, 8, 8)).data_ptr()  # not referred to any more when the line ends
    >>> buffers.empty((2, 8, 8)).data_ptr() == place
    True
    """

    def __init__(self) -> None:
        self._idle: list[UInt8[np.ndarray, " _"]] = []

    def __getstate__(self) -> dict[str, object]:
        return {"_idle": []}

    def empty(self, shape: tuple[int, ...]) -> Float32[Tensor, "..."]:
        """Return a tensor of this shape with any content."""
        n_bytes = 4 * math.prod(shape)
        memory = self._take(n_bytes)
        lent = (
            memory[:n_bytes].view(np.float32).reshape(shape)
        )  # this very object lives as long as the tensor's storage
        tensor = torch.from_numpy(lent)
        if memory.nbytes <= KEPT_BYTES:
            weakref.finalize(lent, _give_back, self._idle, memory).atexit = False
        return tensor

    def _take(self, n_bytes: int) -> UInt8[np.ndarray, " _"]:
        try:
            memory = self._idle.pop()
        except IndexError:
            memory = np.empty(0, np.uint8)
        return memory if len(memory) >= n_bytes else torch.empty(n_bytes, dtype=torch.uint8).numpy()


def _give_back(idle: list[UInt8[np.ndarray, " _"]], memory: UInt8[np.ndarray, " byte"]) -> None:
    idle.append(memory)
    del idle[:-N_KEPT]
