"""Heads: two real numbers a pixel become a complex transmission within physical bounds."""

from typing import Literal, Protocol

import torch
from jaxtyping import Complex64, Float32
from torch import Tensor

from ptychofold.config import ModelConfig

__all__ = ["AmplitudePhaseHead", "Head", "RealImaginaryHead", "make_head"]

EDGE = 0.02
"""Share of the amplitude's range that a starting patch is kept away from its bounds, where slopes vanish."""


class Head(Protocol):
    """A map from (n, 2, N, N) numbers, and a starting patch, to patches; zero numbers give the starting patch."""

    def __call__(
        self, numbers: Float32[Tensor, "n 2 N N"], start: Complex64[Tensor, "n N N"] | None = None
    ) -> Complex64[Tensor, "n N N"]:
        """Return patches; the starting patch is vacuum, one everywhere, if None."""
        ...


class AmplitudePhaseHead:
    """``O = A_max σ(a + a₀) exp(i (π tanh(φ) + φ₀))``, with a₀ and φ₀ those of the starting patch.

    Parameters
    ----------
    amplitude_max
        A_max.
    """

    def __init__(self, *, amplitude_max: float) -> None:
        self.amplitude_max = amplitude_max

    def __call__(
        self, numbers: Float32[Tensor, "n 2 N N"], start: Complex64[Tensor, "n N N"] | None = None
    ) -> Complex64[Tensor, "n N N"]:
        """Return patches, see `Head`."""
        first = torch.ones((), dtype=torch.complex64, device=numbers.device) if start is None else start
        share = (first.abs() / self.amplitude_max).clamp(EDGE, 1 - EDGE)
        amplitude = self.amplitude_max * torch.sigmoid(numbers[:, 0] + torch.logit(share))
        return torch.polar(amplitude, torch.pi * torch.tanh(numbers[:, 1]) + first.angle())


class RealImaginaryHead:
    """``O = O₀ + x + i y``: without bounds, linear."""

    def __call__(
        self, numbers: Float32[Tensor, "n 2 N N"], start: Complex64[Tensor, "n N N"] | None = None
    ) -> Complex64[Tensor, "n N N"]:
        """Return patches, see `Head`."""
        return torch.complex(numbers[:, 0], numbers[:, 1]) + (1 if start is None else start)


def make_head(config: ModelConfig) -> Head:
    """Return the head that a model's settings name."""
    kinds: dict[Literal["amplitude_phase", "real_imaginary"], Head] = {
        "amplitude_phase": AmplitudePhaseHead(amplitude_max=config.amplitude_max),
        "real_imaginary": RealImaginaryHead(),
    }
    return kinds[config.head]
