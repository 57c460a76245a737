"""The overlap constraint: patches of one group are views of one object.

The patches of a group are laid into one region at their offsets, averaged where they overlap, and cut out again.
Regions of a batch lie one below the other on a tall canvas, so one extraction or placement serves all groups.
"""

import math

import torch
from jaxtyping import Complex, Float, Inexact
from torch import Tensor

from ptychofold.errors import DomainError, ShapeError
from ptychofold.physics.extraction import extract_patches, place_patches

__all__ = ["apply_overlap", "group_coverage", "merge_group_patches", "region_size", "split_region"]


def region_size(offsets: Float[Tensor, "B C 2"], *, size: int) -> int:
    """Return the side R of a region that holds every patch of side ``size`` at these offsets.

    Raises
    ------
    DomainError
        If an offset is not finite.

    Examples
    --------
    >>> region_size(torch.tensor([[[2.5, 0.0], [-2.5, 0.0]]]), size=8)
    16
    """
    largest = float(offsets.detach().abs().max())
    if not math.isfinite(largest):
        raise DomainError(
            "expected finite offsets; found NaN or infinity. Check the scan's positions.", field="offsets"
        )
    return size + 2 * (math.ceil(largest) + 1)


def merge_group_patches(
    patches: Complex[Tensor, "B C N N"],
    offsets: Float[Tensor, "B C 2"],
    *,
    weight: Float[Tensor, "*groups N N"] | None = None,
    size: int | None = None,
    coverage: Float[Tensor, "B R R"] | None = None,
) -> Complex[Tensor, "B R R"]:
    """Lay the patches of each group into one region, averaged where they overlap.

    Parameters
    ----------
    patches
        (B, C, N, N), complex patches of each group.
    offsets
        (B, C, 2), (y, x) member minus center in pixels; the center lies at ``[R//2, R//2]``. Fractional offsets are
        bilinear.
    weight
        (N, N), or (B, 1, N, N) with one for each group: trust in each pixel of a patch, not negative, such as the
        probe's intensity; all alike if None.
    size
        R, the side of a region; `region_size` of the offsets if None. Give a bound that holds for the whole scan to
        have regions of one size.
    coverage
        `group_coverage` of the same arguments, if it is known already.

    Returns
    -------
    region
        (B, R, R), ``Σ_c place(w p_c) / Σ_c place(w)``; zero where no patch reaches. Differentiable in patches and
        offsets.

    Raises
    ------
    ShapeError
        If a patch does not fit into the region at its offset.
    """
    groups, _, N, _ = patches.shape
    side = _checked_size(offsets, N, size)
    positions = _on_tall_canvas(offsets, side)
    weighted = patches if weight is None else patches * weight
    total = place_patches(weighted.flatten(0, 1), positions, (groups * side, side)).reshape(groups, side, side)
    if coverage is None:
        weights = torch.ones(N, N, dtype=patches.real.dtype, device=patches.device) if weight is None else weight
        coverage = group_coverage(offsets, weight=weights, size=side)
    region: Tensor = total / torch.where(coverage > 0, coverage, 1)
    return region


def group_coverage(
    offsets: Float[Tensor, "B C 2"], *, weight: Float[Tensor, "*groups N N"], size: int
) -> Float[Tensor, "B R R"]:
    """Return the summed weight of each region's pixels; see `merge_group_patches`."""
    groups, members, _ = offsets.shape
    N = weight.shape[-1]
    weights = weight.expand(groups, members, N, N).flatten(0, 1)
    tall = place_patches(weights, _on_tall_canvas(offsets, size), (groups * size, size))
    return tall.reshape(groups, size, size)


def split_region(
    region: Inexact[Tensor, "B R R"], offsets: Float[Tensor, "B C 2"], *, size: int
) -> Inexact[Tensor, "B C N N"]:
    """Cut the patches of each group out of its region; differentiable in region and offsets.

    Parameters
    ----------
    region
        (B, R, R), center at ``[R//2, R//2]``.
    offsets
        (B, C, 2), (y, x) member minus center in pixels.
    size
        N, the side of a patch.

    Raises
    ------
    ShapeError
        If a patch reaches beyond the region.
    """
    side = _checked_size(offsets, size, region.shape[-1])
    patches = extract_patches(region.flatten(0, 1), _on_tall_canvas(offsets, side), size)
    return patches.reshape(*offsets.shape[:2], size, size)


def apply_overlap(
    patches: Complex[Tensor, "B C N N"],
    offsets: Float[Tensor, "B C 2"],
    *,
    weight: Float[Tensor, "*groups N N"] | None = None,
) -> Complex[Tensor, "B C N N"]:
    """Replace the patches of each group by views of their common region.

    See `merge_group_patches` for the parameters. Patches that agree on whole-pixel offsets stay as they are.
    """
    size = patches.shape[-1]
    return split_region(merge_group_patches(patches, offsets, weight=weight), offsets, size=size)


def _checked_size(offsets: Tensor, size: int, side: int | None) -> int:
    needed = region_size(offsets, size=size)
    if side is None:
        return needed
    if side < needed:
        raise ShapeError(
            f"expected a region of at least {needed} pixels for patches of {size} at offsets up to "
            f"{float(offsets.detach().abs().max()):.2f} pixels; found {side}. "
            "Enlarge the region or group closer points.",
            field="region",
        )
    return side


def _on_tall_canvas(offsets: Tensor, side: int) -> Tensor:
    """Return the offsets of all groups as positions on regions that lie one below the other, (B·C, 2)."""
    groups = len(offsets)
    first_rows = torch.arange(groups, dtype=torch.float64, device=offsets.device) * side
    centers = torch.stack([first_rows, torch.zeros_like(first_rows)], dim=-1) + side // 2
    return (offsets + centers[:, None]).flatten(0, 1)
