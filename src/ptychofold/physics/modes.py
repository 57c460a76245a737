"""Incoherent probe modes: orthogonal form, shares of power, and first guesses for more of them."""

from collections.abc import Iterator

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ptychofold.errors import DomainError

__all__ = ["add_modes", "illumination", "mode_shares", "orthogonal_modes"]

INDEPENDENT = 1e-6
"""Share of a new mode's amplitude that the others do not hold, for it to count as one of its own."""


def illumination(probe: Complex[Tensor, "mode N N"]) -> Float[Tensor, "N N"]:
    """Return the intensity of the illumination, ``Σ_m |P_m|²``."""
    return (probe.real.square() + probe.imag.square()).sum(dim=0)


def mode_shares(probe: Complex[Tensor, "mode N N"]) -> Float[Tensor, " mode"]:
    """Return each mode's share of the power; the shares sum to 1.

    Physical only for orthogonal modes: others can be mixed without any change of the patterns.

    Examples
    --------
    >>> mode_shares(torch.tensor([[[1.0 + 0j]], [[0 + 1.0j]]])).tolist()
    [0.5, 0.5]
    """
    power = (probe.real.square() + probe.imag.square()).sum(dim=(-2, -1))
    return power / power.sum()


def orthogonal_modes(probe: Complex[Tensor, "mode N N"]) -> Complex[Tensor, "mode N N"]:
    """Return the orthogonal modes of the same illumination, strongest first.

    Mixing modes by a unitary matrix changes no pattern; of all mixtures this is the one with orthogonal modes, from
    the singular value decomposition ``P = U S Vᴴ`` as ``Uᴴ P``, in double precision: one mode stays as it is. Each mode
    keeps the phase of the mode that gave it most of its power.
    """
    flat = probe.flatten(1).to(torch.complex128)
    u = torch.linalg.svd(flat, full_matrices=False)[0]
    strongest = u.abs().argmax(dim=0)
    phase = torch.sgn(u.gather(0, strongest[None])[0])
    modes = phase[:, None] * (u.mH @ flat)
    padding = probe.shape[0] - modes.shape[0]
    return torch.nn.functional.pad(modes, (0, 0, 0, padding)).reshape(probe.shape).to(probe.dtype)


def add_modes(
    probe: Complex[Tensor, "mode N N"], *, n_modes: int, share: float = 0.02
) -> Complex[Tensor, "n_modes N N"]:
    """Extend a probe to ``n_modes`` modes; a first guess for partial coherence.

    New modes are the first mode times ``(y/σ)^a (x/σ)^b``, (a, b) = (0, 1), (1, 0), (1, 1), (0, 2), …, made orthogonal
    to all before (σ is the illumination's RMS radius): the Gauss-Hermite family for a Gaussian beam, which is what a
    partially coherent source excites. The total power stays.

    Parameters
    ----------
    probe
        (mode, N, N), not dark.
    n_modes
        Number of modes to return, at least those given.
    share
        Power of each new mode, as a share of the total.

    Raises
    ------
    DomainError
        If the new modes would leave no power for the old ones, fewer modes are asked for than given, or more than the
        probe's lit pixels can tell apart.
    """
    given = probe.shape[0]
    if n_modes < given or (n_modes - given) * share >= 1:
        raise DomainError(
            f"expected at least the {given} modes given, and new ones that share less than all power; found n_modes "
            f"{n_modes} with {share} each. Use orthogonal_modes(probe)[:n] for fewer, or lower the share.",
            field="probe",
        )
    # in double precision: polynomials of a high degree span many decades
    given_modes = probe.to(torch.complex128)
    power = illumination(given_modes).sum()
    first = given_modes[0].flatten()
    basis = [mode / mode.norm() for mode in orthogonal_modes(given_modes).flatten(1) if mode.norm() > 0]
    added: list[Tensor] = []
    for polynomial in _polynomials(given_modes):
        if len(added) == n_modes - given:
            break
        mode = polynomial * first
        mode = mode / mode.norm()
        for _ in range(2):
            for previous in basis:
                mode = mode - torch.vdot(previous, mode) * previous
        if float(mode.norm()) > INDEPENDENT:
            basis.append(mode / mode.norm())
            added.append(basis[-1] * (share * power).sqrt())
    if len(added) < n_modes - given:
        raise DomainError(
            f"expected no more modes than the light of a probe of {' × '.join(map(str, probe.shape[1:]))} pixels can "
            f"tell apart, {given + len(added)} here; found n_modes {n_modes}. Ask for fewer.",
            field="probe",
        )
    kept = (1 - (n_modes - given) * share) ** 0.5
    return torch.stack([*given_modes.flatten(1) * kept, *added]).reshape(n_modes, *probe.shape[1:]).to(probe.dtype)


def _polynomials(probe: Tensor) -> Iterator[Tensor]:
    """Yield y^a x^b about the illumination's centroid, by rising degree, each (N·N,)."""
    weight = illumination(probe) / illumination(probe).sum()
    height, width = weight.shape
    y = torch.arange(height, device=probe.device, dtype=weight.dtype)[:, None].expand(height, width)
    x = torch.arange(width, device=probe.device, dtype=weight.dtype).expand(height, width)
    y, x = y - (weight * y).sum(), x - (weight * x).sum()
    radius = (weight * (y.square() + x.square())).sum().sqrt()
    y, x = (y / radius).flatten(), (x / radius).flatten()
    for degree in range(1, height + width - 1):
        powers = [(a, degree - a) for a in range(degree + 1)]
        powers.sort(key=lambda ab: abs(ab[0] - ab[1]) if sum(ab) > 1 else 0)
        yield from (y**a * x**b for a, b in powers if a < height and b < width)
