"""Cutting patches from the object and laying them back, differentiable in pixels and in positions.

Both directions are linear in the pixels and each is the other's adjoint (`ptychofold.patches`), so each is the
other's derivative. In the positions they are bilinear. With W the (N + 1)² window of whole pixels around a patch,
``W_st = W[r + s, c + t]``, and f the fraction of the position::

    ∂ patch / ∂ y = (1 - f_x) (W_10 - W_00) + f_x (W_11 - W_01)        (columns alike)

and the gradient of a loss whose derivative by the patch is g is ``Re Σ conj(g) ∂patch/∂y``. On a whole pixel the
slope towards larger coordinates is taken.
"""

from typing import Any

import torch
from jaxtyping import Float, Inexact
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from ptychofold import patches as kernels

__all__ = ["extract_patches", "place_patches", "position_gradient"]


def extract_patches(
    canvas: Inexact[Tensor, "H W"], positions: Float[Tensor, "patch 2"], size: int
) -> Inexact[Tensor, "patch N N"]:
    """Cut a patch of side ``size`` around each position; differentiable in canvas and positions.

    Parameters
    ----------
    canvas
        (H, W), real or complex, single or double precision.
    positions
        (patch, 2), (y, x) in canvas pixels; patch pixel ``[N//2, N//2]`` sits on it.
    size
        N, the side of a patch in pixels.

    Raises
    ------
    DataError
        If shapes or dtypes do not fit, or a position is not finite.
    """
    patches: Tensor = _Extract.apply(canvas, positions, size)  # type: ignore[no-untyped-call]
    return patches


def place_patches(
    patches: Inexact[Tensor, "patch N N"], positions: Float[Tensor, "patch 2"], shape: tuple[int, int]
) -> Inexact[Tensor, "H W"]:
    """Add patches onto a canvas of zeros: the adjoint of `extract_patches`; differentiable in patches and positions.

    Parameters
    ----------
    patches
        (patch, N, N), real or complex, single or double precision.
    positions
        (patch, 2), (y, x) in canvas pixels.
    shape
        (H, W) of the canvas; what lies outside is dropped.

    Raises
    ------
    DataError
        If shapes or dtypes do not fit, or a position is not finite.
    """
    canvas: Tensor = _Place.apply(patches, positions, shape)  # type: ignore[no-untyped-call]
    return canvas


class _Extract(Function):
    @staticmethod
    def forward(ctx: Any, canvas: Tensor, positions: Tensor, size: int) -> Tensor:  # noqa: ANN401 (torch's context)
        ctx.save_for_backward(canvas, positions)
        return kernels.extract_patches(canvas.detach(), positions.detach(), size)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # noqa: ANN401
        canvas, positions = ctx.saved_tensors
        needs_canvas, needs_positions, _ = ctx.needs_input_grad
        by_canvas = kernels.place_patches(grad, positions, tuple(canvas.shape)) if needs_canvas else None
        return by_canvas, position_gradient(canvas, positions, grad) if needs_positions else None, None


class _Place(Function):
    @staticmethod
    def forward(ctx: Any, patches: Tensor, positions: Tensor, shape: tuple[int, int]) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(patches, positions)
        return kernels.place_patches(patches.detach(), positions.detach(), shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # noqa: ANN401
        patches, positions = ctx.saved_tensors
        needs_patches, needs_positions, _ = ctx.needs_input_grad
        by_patches = kernels.extract_patches(grad, positions, patches.shape[-1]) if needs_patches else None
        return by_patches, position_gradient(grad, positions, patches) if needs_positions else None, None


def position_gradient(
    canvas: Inexact[Tensor, "H W"], positions: Float[Tensor, "patch 2"], patches: Inexact[Tensor, "patch N N"]
) -> Float[Tensor, "patch 2"]:
    """Return ∂/∂position of Re⟨extract(canvas, position), patch⟩, the derivative of a loss with gradient ``patches``.

    Parameters
    ----------
    canvas
        (H, W), what patches are cut from.
    positions
        (patch, 2), (y, x) in canvas pixels.
    patches
        (patch, N, N), gradient of the loss by each patch.
    """
    size = patches.shape[-1]
    whole = torch.floor(positions)
    windows = kernels.extract_patches(canvas, whole + ((size + 1) // 2 - size // 2), size + 1)
    fractions = (positions - whole).to(canvas.real.dtype)[:, :, None, None]
    by_row = torch.lerp(windows[:, :, :-1], windows[:, :, 1:], fractions[:, 1].to(canvas.dtype)).diff(dim=1)
    by_column = torch.lerp(windows[:, :-1], windows[:, 1:], fractions[:, 0].to(canvas.dtype)).diff(dim=2)
    slopes = [_inner(derivative, patches) for derivative in (by_row, by_column)]
    return torch.stack(slopes, dim=1).to(positions.dtype)


def _inner(first: Tensor, second: Tensor) -> Tensor:
    """Return Re Σ conj(first) second for every patch, (patch,)."""
    if first.is_complex():
        first, second = torch.view_as_real(first.contiguous()), torch.view_as_real(second.contiguous())
    products: Tensor = torch.linalg.vecdot(first.flatten(1), second.flatten(1))
    return products
