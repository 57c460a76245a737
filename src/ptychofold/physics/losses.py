"""Distances between modelled and measured patterns, and a prior for objects: pure functions of tensors.

Every data term takes ``bad_pixels`` (N, N), True where the detector is bad; such pixels count neither in sums nor in
means, whatever they hold. With G good pixels a pattern and n patterns, the reductions are:

- ``"mean"``: Σ over all good pixels / (G n), a scalar;
- ``"sum"``: Σ over all good pixels, a scalar;
- ``"pattern"``: Σ over the good pixels of each pattern / G, one number a pattern.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Protocol

import torch
from jaxtyping import Bool, Float, Inexact
from torch import Tensor

from ptychofold.config.training import PatternLossName

__all__ = [
    "PATTERN_LOSSES",
    "PatternLoss",
    "Reduction",
    "amplitude_mae",
    "amplitude_mse",
    "poisson_nll",
    "r_factor",
    "total_variation",
]

Reduction = Literal["mean", "sum", "pattern"]
"""How a data term sums up; see the module."""


def poisson_nll(
    rate: Float[Tensor, "*batch N N"],
    counts: Float[Tensor, "*batch N N"],
    *,
    bad_pixels: Bool[Tensor, "N N"] | None = None,
    rate_floor: float = 1e-3,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Return the Poisson negative log-likelihood of counts, less that of a model which predicts each count exactly.

    With ``λ = rate + rate_floor``, every pixel adds ``λ - n + n log(n / λ)``, half its deviance: not negative, zero
    for λ = n, and with the gradient ``1 - n/λ`` of the likelihood itself, from which it differs by a constant.

    Parameters
    ----------
    rate
        (…, N, N), modelled intensity in counts: the amplitude squared. Not negative.
    counts
        (…, N, N), measured counts, not negative; need not be whole.
    bad_pixels
        (N, N), True where the detector is bad.
    rate_floor
        Background in counts that keeps value and gradient finite where the model is dark.
    reduction
        See the module.

    Examples
    --------
    >>> poisson_nll(torch.full((1, 2, 2), 4.0), torch.full((1, 2, 2), 4.0), rate_floor=0.0).item()
    0.0
    """
    if bad_pixels is not None:
        rate, counts = rate.masked_fill(bad_pixels, 0), counts.masked_fill(bad_pixels, 0)
    expected = rate + rate_floor
    dark = counts == 0
    ratio = torch.where(dark, 1, counts) / torch.where(dark, 1, expected)
    return _reduced(expected - counts + torch.xlogy(counts, ratio), bad_pixels, reduction)


def amplitude_mae(
    amplitude: Float[Tensor, "*batch N N"],
    measured: Float[Tensor, "*batch N N"],
    *,
    bad_pixels: Bool[Tensor, "N N"] | None = None,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Return the absolute error of the amplitude, ``|A - √n|``.

    Parameters
    ----------
    amplitude, measured
        (…, N, N), modelled and measured amplitude in the same unit.
    bad_pixels
        (N, N), True where the detector is bad.
    reduction
        See the module.
    """
    return _reduced(_difference(amplitude, measured, bad_pixels).abs(), bad_pixels, reduction)


def amplitude_mse(
    amplitude: Float[Tensor, "*batch N N"],
    measured: Float[Tensor, "*batch N N"],
    *,
    bad_pixels: Bool[Tensor, "N N"] | None = None,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """Return the squared error of the amplitude, ``(A - √n)²``.

    For Poisson counts that are not few, √n has variance 1/4 whatever its mean, so all pixels weigh alike and the
    expected value of a perfect model is 1/4. See `amplitude_mae` for the parameters.
    """
    return _reduced(_difference(amplitude, measured, bad_pixels).square(), bad_pixels, reduction)


def r_factor(
    amplitude: Float[Tensor, "*batch N N"],
    measured: Float[Tensor, "*batch N N"],
    *,
    bad_pixels: Bool[Tensor, "N N"] | None = None,
) -> Float[Tensor, ""]:
    """Return ``R = Σ |A - √n| / Σ √n`` over all good pixels; see `amplitude_mae` for the parameters.

    Examples
    --------
    >>> round(r_factor(torch.full((1, 2, 2), 1.1), torch.ones(1, 2, 2)).item(), 3)
    0.1
    """
    return amplitude_mae(amplitude, measured, bad_pixels=bad_pixels, reduction="sum") / _reduced(
        measured, bad_pixels, "sum"
    )


def poisson_of_amplitudes(
    amplitude: Float[Tensor, "*batch N N"],
    measured: Float[Tensor, "*batch N N"],
    *,
    bad_pixels: Bool[Tensor, "N N"] | None = None,
) -> Float[Tensor, ""]:
    """Return `poisson_nll` of the squares of two amplitudes in √counts."""
    return poisson_nll(amplitude.square(), measured.square(), bad_pixels=bad_pixels)


class PatternLoss(Protocol):
    """A distance of modelled from measured amplitude in √counts, mean over good pixels, that training minimises."""

    def __call__(self, amplitude: Tensor, measured: Tensor, *, bad_pixels: Tensor | None = None) -> Tensor:
        """Return a scalar of two amplitudes (…, N, N)."""
        ...


PATTERN_LOSSES: Mapping[PatternLossName, PatternLoss] = MappingProxyType(
    {"poisson": poisson_of_amplitudes, "mae": amplitude_mae}
)
"""Losses by the names of `TrainingConfig.loss`; a new one is a function, a line here and its name there."""


def total_variation(field: Inexact[Tensor, "*batch H W"], *, epsilon: float = 1e-6) -> Float[Tensor, ""]:
    """Return the isotropic total variation of a real or complex field, mean over its pixels.

    Every pixel adds ``√(|∂_y f|² + |∂_x f|² + ε²) - ε`` with differences to the next row and column and none across
    the border (Rudin, Osher and Fatemi, Physica D 60, 259, 1992).

    Parameters
    ----------
    field
        (…, H, W).
    epsilon
        ε, the length over which the corner at zero is rounded; gives the gradient there a value.

    Examples
    --------
    >>> total_variation(torch.ones(3, 3)).item()
    0.0
    """
    down = torch.nn.functional.pad(field.diff(dim=-2), (0, 0, 0, 1))
    right = torch.nn.functional.pad(field.diff(dim=-1), (0, 1, 0, 0))
    squared = _squared(down) + _squared(right)
    return (torch.sqrt(squared + epsilon**2) - epsilon).mean()


def _difference(amplitude: Tensor, measured: Tensor, bad_pixels: Tensor | None) -> Tensor:
    """Subtract; masked before any derivative that would multiply what a bad pixel holds by zero."""
    difference = amplitude - measured
    return difference if bad_pixels is None else difference.masked_fill(bad_pixels, 0)


def _squared(field: Tensor) -> Tensor:
    return field.real.square() + field.imag.square() if field.is_complex() else field.square()


def _reduced(terms: Tensor, bad_pixels: Tensor | None, reduction: Reduction) -> Tensor:
    good = terms.shape[-1] * terms.shape[-2]
    if bad_pixels is None:
        total = terms.sum(dim=(-2, -1)) if reduction == "pattern" else terms.sum()
        return total if reduction == "sum" else total / (good if reduction == "pattern" else terms.numel())
    terms = terms.masked_fill(bad_pixels, 0)
    good_pixels = (~bad_pixels).sum()
    if reduction == "pattern":
        return terms.sum(dim=(-2, -1)) / good_pixels
    total = terms.sum()
    return total if reduction == "sum" else total / (good_pixels * (terms.numel() // good))
