"""The measurement as one differentiable map: object, probe and positions in, diffraction amplitude out.

For scan point j at position p_j, probe modes P_m and propagator 𝒟::

    O_j = extract(O, p_j)        ψ_jm = P_m · O_j        Ψ_jm = 𝒟 ψ_jm        A_j = √(Σ_m |Ψ_jm|²)

Extraction, illumination and propagation are linear; each has its adjoint beside it. Modes are incoherent: their
intensities add (Thibault and Menzel, Nature 494, 68, 2013).
"""

from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.autograd import Function

from ptychofold.errors import ShapeError
from ptychofold.physics.extraction import extract_patches
from ptychofold.physics.overlap import apply_overlap
from ptychofold.physics.propagation import FarField, Propagator

__all__ = ["ForwardModel", "diffraction_amplitude", "exit_waves", "exit_waves_to_patches", "exit_waves_to_probe"]


def exit_waves(
    probe: Complex[Tensor, "*modes N N"], patches: Complex[Tensor, "*batch N N"]
) -> Complex[Tensor, "*batch mode N N"]:
    """Illuminate every patch with every probe mode: ``ψ_jm = P_m O_j``.

    Parameters
    ----------
    probe
        (mode, N, N), or (B, mode, N, N) with a probe of its own for each item of the first axis of ``patches``.
    patches
        (…, N, N), such as (patch, N, N) or (B, C, N, N).
    """
    if probe.ndim > 3:
        return _beside(probe, patches) * patches.unsqueeze(-3)
    waves: Tensor = _Illuminate.apply(probe, patches)  # type: ignore[no-untyped-call]
    return waves


def exit_waves_to_patches(
    probe: Complex[Tensor, "*modes N N"], waves: Complex[Tensor, "*batch mode N N"]
) -> Complex[Tensor, "*batch N N"]:
    """Apply the adjoint of `exit_waves` in the patches: ``Σ_m conj(P_m) ψ_jm``."""
    conjugate = _beside(probe.conj().resolve_conj(), waves[..., 0, :, :])
    total = waves[..., 0, :, :] * conjugate[..., 0, :, :]
    for mode in range(1, waves.shape[-3]):
        total = torch.addcmul(total, waves[..., mode, :, :], conjugate[..., mode, :, :])
    return total


def exit_waves_to_probe(
    patches: Complex[Tensor, "*batch N N"], waves: Complex[Tensor, "*batch mode N N"]
) -> Complex[Tensor, "mode N N"]:
    """Apply the adjoint of `exit_waves` in one common probe: ``Σ_j conj(O_j) ψ_jm``."""
    N = patches.shape[-1]
    conjugate = patches.conj().resolve_conj()
    modes = [(waves[..., mode, :, :] * conjugate).reshape(-1, N, N).sum(dim=0) for mode in range(waves.shape[-3])]
    return torch.stack(modes)


class _Illuminate(Function):
    """`exit_waves` of one common probe; its derivatives are the two adjoints, mode by mode without copies."""

    @staticmethod
    def forward(ctx: Any, probe: Tensor, patches: Tensor) -> Tensor:  # noqa: ANN401 (torch's context)
        ctx.save_for_backward(probe, patches)
        return torch.mul(probe, patches.unsqueeze(-3))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:  # noqa: ANN401
        probe, patches = ctx.saved_tensors
        needs_probe, needs_patches = ctx.needs_input_grad
        return (
            exit_waves_to_probe(patches, grad) if needs_probe else None,
            exit_waves_to_patches(probe, grad) if needs_patches else None,
        )


def diffraction_amplitude(waves: Complex[Tensor, "*batch mode N N"]) -> Float[Tensor, "*batch N N"]:
    """Return the amplitude of the incoherent sum of modes, ``√(Σ_m |Ψ_m|²)``.

    Parameters
    ----------
    waves
        (…, mode, N, N), waves on the detector.

    Notes
    -----
    The gradient ``Ψ_m / A`` has no limit where the amplitude is zero; zero, the smallest subgradient, is used there.
    """
    amplitude: Tensor = _IncoherentAmplitude.apply(waves)  # type: ignore[no-untyped-call]
    return amplitude


class _IncoherentAmplitude(Function):
    @staticmethod
    def forward(ctx: Any, waves: Tensor) -> Tensor:  # noqa: ANN401 (torch's context)
        real, imaginary = waves.real, waves.imag
        intensity = real[..., 0, :, :].square()
        intensity.addcmul_(imaginary[..., 0, :, :], imaginary[..., 0, :, :])
        for mode in range(1, waves.shape[-3]):
            for part in (real[..., mode, :, :], imaginary[..., mode, :, :]):
                intensity.addcmul_(part, part)
        amplitude = intensity.sqrt_()
        ctx.save_for_backward(waves, amplitude)
        return amplitude

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # noqa: ANN401
        waves, amplitude = ctx.saved_tensors
        lit = amplitude > 0
        ratio = torch.where(lit, grad / torch.where(lit, amplitude, 1), 0).unsqueeze(-3)
        return torch.mul(waves, ratio)


class ForwardModel(nn.Module):
    """A probe and a propagator: from object patches to the amplitude that a detector would measure.

    Parameters
    ----------
    probe
        (mode, N, N) complex; its scale sets the scale of the amplitude, so a probe in √photons gives √counts.
    propagator
        From exit wave to detector.
    trainable_probe
        Whether the probe asks for a gradient.

    Examples
    --------
    >>> model = ForwardModel(torch.ones(1, 4, 4, dtype=torch.complex64))
    >>> flat = torch.ones(8, 8, dtype=torch.complex64)
    >>> model.from_object(flat, torch.tensor([[4.0, 4.0]]))[0, 2, 2].item()
    4.0
    """

    def __init__(
        self,
        probe: Complex[Tensor, "mode N N"],
        *,
        propagator: Propagator | None = None,
        trainable_probe: bool = False,
    ) -> None:
        super().__init__()
        self.probe = nn.Parameter(probe.detach().clone(), requires_grad=trainable_probe)
        self.propagator = FarField() if propagator is None else propagator

    @property
    def N(self) -> int:
        """Side of a pattern in pixels."""
        return self.probe.shape[-1]

    def forward(
        self,
        patches: Complex[Tensor, "*batch N N"],
        *,
        offsets: Float[Tensor, "B C 2"] | None = None,
        probe: Complex[Tensor, "*modes N N"] | None = None,
    ) -> Float[Tensor, "*batch N N"]:
        """Return the diffraction amplitude of patches.

        Parameters
        ----------
        patches
            (…, N, N), such as (B, C, N, N) from a network.
        offsets
            (B, C, 2), member minus center in pixels. If given, the patches of a group are first made one object,
            see `apply_overlap`; without effect on groups of one.
        probe
            (mode, N, N) or (B, mode, N, N) to use instead of the model's own.

        Raises
        ------
        ShapeError
            If the patches do not have the size of the probe, or offsets are not one for each patch.
        """
        probe = self.probe if probe is None else probe
        if patches.shape[-2:] != probe.shape[-2:]:
            raise ShapeError(
                f"expected patches of {tuple(probe.shape[-2:])} pixels, the size of the probe; found "
                f"{tuple(patches.shape[-2:])}. Use the model that was made for this N.",
                field="patches",
            )
        if offsets is not None:
            if patches.shape[:-2] != offsets.shape[:-1]:
                raise ShapeError(
                    f"expected one offset for each patch of {tuple(patches.shape[:-2])}; found "
                    f"{tuple(offsets.shape[:-1])}. Give patches as (B, C, N, N) and offsets as (B, C, 2).",
                    field="offsets",
                )
            patches = apply_overlap(patches, offsets) if patches.shape[1] > 1 else patches
        waves = exit_waves(self.propagator.modulate(probe), patches)
        return diffraction_amplitude(self.propagator.transform(waves))

    def from_object(
        self, canvas: Complex[Tensor, "H W"], positions: Float[Tensor, "patch 2"]
    ) -> Float[Tensor, "patch N N"]:
        """Return the diffraction amplitude of an object at scan positions.

        Parameters
        ----------
        canvas
            (H, W), the object's complex transmission; zero outside.
        positions
            (patch, 2), (y, x) of the probe's centre in object pixels.
        """
        return self(extract_patches(canvas, positions, self.N))  # type: ignore[no-any-return]

    def detector_waves(self, patches: Complex[Tensor, "*batch N N"]) -> Complex[Tensor, "*batch mode N N"]:
        """Return the waves on the detector, exact in phase too."""
        return self.propagator.forward(exit_waves(self.probe, patches))

    def adjoint(self, waves: Complex[Tensor, "*batch mode N N"]) -> Complex[Tensor, "*batch N N"]:
        """Apply the adjoint of `detector_waves`."""
        return exit_waves_to_patches(self.probe, self.propagator.adjoint(waves))


def _beside(probe: Tensor, patches: Tensor) -> Tensor:
    """Give a probe the axes that broadcast against (…, 1, N, N)."""
    if probe.ndim == 3:
        return probe
    return probe.reshape(probe.shape[0], *(1,) * (patches.ndim - 3), *probe.shape[1:])
