"""The noise of counting: Poisson statistics and lower doses made from measured ones.

Generators are given, never global. Draws are made in host memory and in order, so the same seed gives the same
counts on every device and however the patterns are divided into calls.
"""

import torch
from jaxtyping import Float, Num
from torch import Tensor

from ptychofold.errors import DomainError

__all__ = ["poisson_counts", "thin_counts"]


def poisson_counts(rate: Float[Tensor, "*shape"], *, rng: torch.Generator) -> Float[Tensor, "*shape"]:
    """Draw photon counts of a given mean.

    Parameters
    ----------
    rate
        (…), expected counts, finite and not negative.
    rng
        Generator in host memory.

    Returns
    -------
    counts
        (…), whole numbers in the dtype and on the device of ``rate``.

    Raises
    ------
    DomainError
        If a rate is negative or not finite.

    Examples
    --------
    >>> poisson_counts(torch.zeros(2), rng=torch.Generator().manual_seed(0)).tolist()
    [0.0, 0.0]
    """
    if not bool(((rate >= 0) & torch.isfinite(rate)).all()):
        raise DomainError(
            "expected finite rates that are not negative; found "
            f"{float(rate.min())} to {float(rate.max())}. Square the amplitude before drawing counts.",
            field="rate",
        )
    return torch.poisson(rate.detach().cpu(), generator=rng).to(rate.device)


def thin_counts(counts: Num[Tensor, "*shape"], *, fraction: float, rng: torch.Generator) -> Num[Tensor, "*shape"]:
    """Keep every counted photon with one probability: the measurement that a lower dose would have given.

    Counts of a Poisson process stay Poisson, with the mean times ``fraction``.

    Parameters
    ----------
    counts
        (…), whole numbers that are not negative, of any dtype.
    fraction
        Share of the dose to keep, from 0 to 1.
    rng
        Generator in host memory.

    Returns
    -------
    counts
        (…), whole numbers in the dtype and on the device of the input.

    Raises
    ------
    DomainError
        If the fraction lies outside 0 to 1 or counts are not whole numbers from 0 up.

    Examples
    --------
    >>> thin_counts(torch.tensor([0, 7]), fraction=1.0, rng=torch.Generator().manual_seed(0)).tolist()
    [0, 7]
    """
    if not 0 <= fraction <= 1:
        raise DomainError(f"expected a fraction of the dose from 0 to 1; found {fraction}.", field="fraction")
    trials = counts.detach().cpu().to(torch.float64)
    if not bool(((trials >= 0) & (trials == trials.floor()) & torch.isfinite(trials)).all()):
        raise DomainError(
            "expected counts that are whole numbers from 0 up; found others. Amplitudes must be squared before "
            "thinning, and a gain divided out.",
            field="counts",
        )
    kept = torch.binomial(trials, torch.full_like(trials, fraction), generator=rng)
    return kept.to(dtype=counts.dtype, device=counts.device)
