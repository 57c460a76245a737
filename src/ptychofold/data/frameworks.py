"""One conversion from NumPy to the framework that a caller works in."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int64, Shaped

from ptychofold.errors import ConfigError
from ptychofold.optional import require

__all__ = ["Framework", "FrameworkArray", "as_framework", "tf_dataset"]

Framework = Literal["torch", "numpy", "tensorflow"]
FrameworkArray = Any  # torch.Tensor, numpy.ndarray or tensorflow.Tensor; the last is known only where it is installed


def as_framework(
    values: Shaped[np.ndarray, "..."], *, framework: str, device: torch.device | str = "cpu"
) -> FrameworkArray:
    """Return an array as a tensor of a framework, as a view where the device and the memory allow it.

    Parameters
    ----------
    values
        Any array. Read-only memory, and memory that runs backwards, is copied for torch, whose tensors can always be
        written to and run forwards; what is expanded stays so. TensorFlow shares, through DLPack, memory that is
        contiguous, writeable and aligned to 64 bytes.
    framework
        "torch", "numpy" or "tensorflow".
    device
        Where a torch tensor shall be; TensorFlow places its tensors itself.

    Raises
    ------
    ConfigError
        If the framework is another.
    DependencyError
        If TensorFlow is asked for and not installed.
    """
    if framework == "numpy":
        return values
    if framework == "torch":
        stored = np.asarray(values[tuple(slice(None) if stride else slice(1) for stride in values.strides)])
        fits = stored.flags.writeable and min(stored.strides, default=0) >= 0
        return torch.from_numpy(stored if fits else stored.copy()).expand(values.shape).to(device)
    if framework == "tensorflow":
        tensorflow = require("tensorflow", extra="tensorflow")
        flags = values.flags
        if flags.c_contiguous and flags.writeable and values.size and values.ctypes.data % 64 == 0:
            return tensorflow.experimental.dlpack.from_dlpack(values.__dlpack__())
        return tensorflow.convert_to_tensor(values)
    raise ConfigError(f"expected framework 'torch', 'numpy' or 'tensorflow'; found {framework!r}.")


def tf_dataset(
    read: Callable[[Int64[np.ndarray, " row"]], Any],
    *,
    n_rows: int,
    batch_size: int,
    rng: np.random.RandomState | np.random.Generator | None,
    shapes: Any,  # noqa: ANN401 (nested as what is read)
) -> FrameworkArray:
    """Return a ``tf.data.Dataset`` of float32 batches, each read when it is wanted.

    Parameters
    ----------
    read
        Rows to a nest of tuples of float32 arrays, rows first.
    n_rows, batch_size
        Rows of an epoch and of a batch.
    rng
        Shuffles each epoch anew; None keeps the order.
    shapes
        The shape of a row of each array, nested as what is read in tuples, each shape a list.

    Raises
    ------
    DependencyError
        If TensorFlow is not installed.
    """
    tensorflow = require("tensorflow", extra="tensorflow")

    def batches() -> Any:  # noqa: ANN401 (an iterator of what is read)
        order = np.arange(n_rows) if rng is None else rng.permutation(n_rows)
        for start in range(0, n_rows, batch_size):
            yield read(order[start : start + batch_size])

    def specified(nest: Any) -> Any:  # noqa: ANN401
        if isinstance(nest, tuple):
            return tuple(specified(item) for item in nest)
        return tensorflow.TensorSpec((None, *nest), "float32")

    return tensorflow.data.Dataset.from_generator(batches, output_signature=specified(shapes))
