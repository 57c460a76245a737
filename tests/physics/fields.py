"""Random double-precision fields for the physics tests."""

import torch
from torch import Tensor


def random_field(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


def random_positions(n: int, *, low: float, high: float, seed: int = 0) -> Tensor:
    uniform = torch.rand(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return low + (high - low) * uniform


def inner(first: Tensor, second: Tensor) -> complex:
    return complex(torch.vdot(first.flatten(), second.flatten()))
