"""Lifting a pattern into real space: what a network is given to look at.

A convolution relates neighboring pixels, and neighbors on the detector are not neighbors on the object. So the pattern
is first carried to the object by what is known of the experiment. From a flat object, a few steps of gradient descent
on the amplitude error ``½ Σ (|𝒟(P O)| - A)²``, with momentum and divided by the probe's intensity::

    G(O) = Σ_m conj(P_m) 𝒟⁺[ Ψ_m (A / |Ψ| - 1) ] / (Σ_m |P_m|² + ε)        Ψ_m = 𝒟(P_m O)
    V ← μ V + η G(O)        O ← O + V

which is the object update of ePIE (Maiden and Rodenburg, Ultramicroscopy 109, 1256, 2009) for one pattern alone. If a
group has several members, they share one object: G is averaged over the members that lit a pixel, so that each member's
patch holds what its neighbors measured. The patches lie on whole pixels, see `Placement`. The steps have no parameters
and need no gradient. What remains wrong
in the lifted patch (noise, twin image, dim pixels) is for the network, which sees it in place.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Self

import torch
from jaxtyping import Bool, Complex, Float, Float32
from torch import Tensor

from ptychofold.models.placement import Placement
from ptychofold.physics import Propagator, diffraction_amplitude, exit_waves, exit_waves_to_patches

__all__ = [
    "N_FEATURES",
    "N_PASSED_FEATURES",
    "Illumination",
    "Lifted",
    "data_gradient",
    "lift",
    "lifted_features",
    "passed_features",
]

MOMENTUM, STEP = 0.7, 1.2
DIM = 0.05
"""ε as a share of the probe's largest intensity."""
FLOOR = 4e-4
"""Intensity, as a share of the patterns' mean pixel, that keeps the ratio of amplitudes finite where they vanish."""
OVERLAP_FLOOR = 1e-3
"""Trust in pixels without light, as a share of the brightest, where members of a group are averaged."""
N_FEATURES, N_PASSED_FEATURES = 6, 8


class Lifted(NamedTuple):
    """Patches on whole pixels, as far as the patterns were carried back to them."""

    patches: Complex[Tensor, "B C N N"]
    """O."""
    step: Complex[Tensor, "B C N N"]
    """G(O), the step that it would take next."""


@dataclass(frozen=True, kw_only=True)
class Illumination:
    """A probe with what follows from it.

    Parameters
    ----------
    probe
        (mode, N, N), or (B, mode, N, N) with one for each group, in √counts.
    propagator
        From exit wave to detector.
    bad_pixels
        (N, N) or (B, 1, N, N), True where the detector is bad.
    """

    probe: Complex[Tensor, "*modes N N"]
    propagator: Propagator
    bad_pixels: Bool[Tensor, "*groups N N"] | None = None

    @cached_property
    def light(self) -> Complex[Tensor, "*modes N N"]:
        """The probe, prepared for the propagator's `transform`."""
        return self.propagator.modulate(self.probe)

    @cached_property
    def intensity(self) -> Float[Tensor, "*groups N N"]:
        """Σ |P|² over modes, (N, N) or (B, 1, N, N)."""
        total = (self.probe.real.square() + self.probe.imag.square()).sum(dim=-3)
        return total if self.probe.ndim == 3 else total[:, None]

    @cached_property
    def weight(self) -> Float[Tensor, "*groups N N"]:
        """Intensity as a share of its largest value."""
        intensity = self.intensity
        return intensity / intensity.amax(dim=(-2, -1), keepdim=True).clamp_min(torch.finfo(intensity.dtype).tiny)

    def apart(self, C: int) -> Self:
        """Return the illumination of groups of one, for those of C that `Placement.apart` takes apart."""
        if self.probe.ndim == 3 and (self.bad_pixels is None or self.bad_pixels.ndim == 2):
            return self
        probe, bad = self.probe, self.bad_pixels
        return replace(
            self,
            probe=probe if probe.ndim == 3 else probe.repeat_interleave(C, dim=0),
            bad_pixels=bad if bad is None or bad.ndim == 2 else bad.repeat_interleave(C, dim=0),
        )

    @cached_property
    def trust(self) -> Float[Tensor, "*groups N N"]:
        """Weight for averaging members of groups."""
        return self.weight + OVERLAP_FLOOR


def data_gradient(
    patches: Complex[Tensor, "B C N N"], amplitude: Float32[Tensor, "B C N N"], *, by: Illumination
) -> Complex[Tensor, "B C N N"]:
    """Return G(O), the step towards patches whose diffraction is what was measured; see the module.

    Parameters
    ----------
    patches
        (B, C, N, N), O.
    amplitude
        (B, C, N, N), measured, in √counts.
    by
        Illumination of the groups.
    """
    if by.bad_pixels is not None:
        amplitude = amplitude.masked_fill(by.bad_pixels, 0)
    waves = by.propagator.transform(exit_waves(by.light, patches))
    floor = FLOOR * amplitude.square().mean(dim=(1, 2, 3), keepdim=True) + torch.finfo(amplitude.dtype).tiny
    excess = amplitude / (diffraction_amplitude(waves).square_() + floor).sqrt_() - 1
    if by.bad_pixels is not None:
        excess = excess.masked_fill(by.bad_pixels, 0)
    change = exit_waves_to_patches(by.light, by.propagator.transform_adjoint(waves * excess.unsqueeze(-3)))
    lit = by.intensity
    return change / (lit + DIM * lit.amax(dim=(-2, -1), keepdim=True))


def lift(
    amplitude: Float32[Tensor, "B C N N"],
    placement: Placement,
    *,
    by: Illumination,
    n_steps: int,
    start: Complex[Tensor, "B C N N"] | None = None,
) -> Lifted:
    """Return patches after some steps of descent; see the module.

    Parameters
    ----------
    amplitude
        (B, C, N, N), measured, in √counts.
    placement
        Where the groups' patches and light lie.
    by
        Illumination of the groups.
    n_steps
        Number of steps.
    start
        Patches that the object is averaged from at first; a flat object if None.
    """
    regions = placement.regions(trust=by.trust)
    if start is None:
        objects = torch.ones(regions.shape, dtype=torch.complex64, device=amplitude.device)
    else:
        objects = regions.merged(start).clone()
    momentum = torch.zeros_like(objects)
    for _ in range(n_steps):
        step = regions.gathered(data_gradient(regions.lit(objects), amplitude, by=by))
        momentum.mul_(MOMENTUM).add_(step, alpha=STEP)
        objects += momentum
    step = regions.gathered(data_gradient(regions.lit(objects), amplitude, by=by))
    return Lifted(patches=regions.patches(objects), step=regions.patches(step))


def passed_features(
    lifted: Lifted, before: Complex[Tensor, "B C N N"], *, by: Illumination
) -> Float32[Tensor, "n c N N"]:
    """Return the input of a network after the first: `lifted_features`, and the patches that were lifted further.

    Their channels are 2√w Re(O - 1) and 2√w Im(O - 1).
    """
    root = by.weight.expand(before.shape).sqrt()
    channels = [2 * root * (before.real - 1), 2 * root * before.imag]
    seen = torch.stack([channel.flatten(0, 1) for channel in channels], dim=1)
    return torch.cat([lifted_features(lifted, by=by), seen], dim=1)


def lifted_features(lifted: Lifted, *, by: Illumination) -> Float32[Tensor, "n c N N"]:
    """Return the network's input: the lifted patch, the step that it would take next, and where there is light.

    Channels: 2√w Re(O - 1), 2√w Im(O - 1), 2√w (|O| - 1), 4√w Re G, 4√w Im G, w, with w the probe's intensity as
    a share of its largest. All are of order one whatever the dose.
    """
    patches, step = lifted
    weight = by.weight.expand(patches.shape)
    root = weight.sqrt()
    channels = [
        2 * root * (patches.real - 1),
        2 * root * patches.imag,
        2 * root * (patches.abs() - 1),
        4 * root * step.real,
        4 * root * step.imag,
        weight,
    ]
    return torch.stack([channel.flatten(0, 1) for channel in channels], dim=1)
