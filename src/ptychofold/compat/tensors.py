"""One conversion from NumPy to the framework that a caller works in."""

from typing import Any, Literal

import numpy as np
import torch

from ptychofold.errors import ConfigError
from ptychofold.optional import require

__all__ = ["Framework", "FrameworkArray", "as_framework"]

Framework = Literal["torch", "numpy", "tensorflow"]
FrameworkArray = Any  # torch.Tensor, numpy.ndarray or tensorflow.Tensor; the last is known only where it is installed


def as_framework(values: np.ndarray, *, framework: str, device: torch.device | str = "cpu") -> FrameworkArray:
    """Return an array as a tensor of a framework, as a view where the device and the memory allow it.

    Parameters
    ----------
    values
        Any array. Read-only memory is copied for torch, whose tensors can always be written to, but what is expanded
        stays so. TensorFlow shares, through DLPack, memory that is contiguous, writeable and aligned to 64 bytes.
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
        return torch.from_numpy(stored if stored.flags.writeable else stored.copy()).expand(values.shape).to(device)
    if framework == "tensorflow":
        tensorflow = require("tensorflow", extra="tensorflow")
        flags = values.flags
        if flags.c_contiguous and flags.writeable and values.size and values.ctypes.data % 64 == 0:
            return tensorflow.experimental.dlpack.from_dlpack(values.__dlpack__())
        return tensorflow.convert_to_tensor(values)
    raise ConfigError(f"expected framework 'torch', 'numpy' or 'tensorflow'; found {framework!r}.")
