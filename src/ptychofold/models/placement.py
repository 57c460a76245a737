"""Where patches of groups lie: on whole pixels of the object, though they were lit between them.

A position between pixels sees an interpolated object, and a patch that is predicted there must be interpolated a second
time to be stitched; each time, detail of one or two pixels is lost. So patches are made on the object's own pixels, at
the nearest whole position, and moved by the remaining fraction only on their way to the detector.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import torch
from jaxtyping import Complex, Float, Float32, Float64
from torch import Tensor, nn

from ptychofold.physics import group_coverage, merge_group_patches, region_size, split_region

__all__ = ["Placement", "Regions"]


class Placement(NamedTuple):
    """Positions of the members of groups; (y, x) in object pixels.

    Examples
    --------
    >>> placement = Placement.of(torch.tensor([[10.0, 20.5]]), torch.tensor([[[0.75, 0.0], [-0.75, 0.0]]]))
    >>> placement.positions.tolist()
    [[[11.0, 20.0], [9.0, 20.0]]]
    >>> placement.exact.tolist()
    [[[0.75, 0.5], [-0.75, 0.5]]]
    """

    positions: Float64[Tensor, "B C 2"]
    """Of patches on the object."""
    whole: Float32[Tensor, "B C 2"]
    """Of patches, from a whole pixel in the middle of their group."""
    exact: Float32[Tensor, "B C 2"]
    """Of the light, from the same pixel; carries the gradient of refined positions."""

    @classmethod
    def of(cls, centers: Float[Tensor, "B 2"], offsets: Float[Tensor, "B C 2"], *, on_pixels: bool = True) -> Self:
        """Place patches.

        Parameters
        ----------
        centers
            (B, 2), of the groups.
        offsets
            (B, C, 2), member minus center.
        on_pixels
            Place patches on whole pixels; if False, where the light is.
        """
        at = centers.double()[:, None] + offsets.double()
        fixed = at.detach()
        if not on_pixels:
            return cls(positions=fixed, whole=offsets.detach(), exact=offsets)
        whole = fixed.round()
        middle = whole.mean(dim=1, keepdim=True).round()
        return cls(positions=whole, whole=(whole - middle).float(), exact=(at - middle).float())

    def apart(self) -> Self:
        """Return the same patches as groups of one, (B·C, 1), which do not see one another."""
        middle = self.whole.flatten(0, 1)[:, None]
        return type(self)(
            positions=self.positions.flatten(0, 1)[:, None],
            whole=torch.zeros_like(middle),
            exact=self.exact.flatten(0, 1)[:, None] - middle,
        )

    def regions(self, *, trust: Float[Tensor, "*groups N N"]) -> "Regions":
        """Return the object of each group, for patches that are averaged by their trust."""
        size = trust.shape[-1]
        return Regions(placement=self, trust=trust, side=region_size(self.exact, size=size))


@dataclass(frozen=True, kw_only=True)
class Regions:
    """One object for each group, (B, R, R), on whole pixels: from its members' patches to what their light meets."""

    placement: Placement
    """Where the members lie."""
    trust: Float[Tensor, "*groups N N"]
    """Weight of each pixel of a patch in averages."""
    side: int
    """R."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(B, R, R)."""
        return len(self.placement.exact), self.side, self.side

    @cached_property
    def _coverage(self) -> Float[Tensor, "B R R"]:
        return group_coverage(self.placement.exact.detach(), weight=self.trust, size=self.side)

    def merged(self, patches: Complex[Tensor, "B C N N"]) -> Complex[Tensor, "B R R"]:
        """Average patches where they overlap; zero where there are none."""
        if patches.shape[1] > 1:
            return merge_group_patches(patches, self.placement.whole, weight=self.trust, size=self.side)
        size = patches.shape[-1]
        before = self.side // 2 - size // 2
        after = self.side - size - before
        return nn.functional.pad(patches[:, 0], (before, after, before, after))

    def patches(self, objects: Complex[Tensor, "B R R"]) -> Complex[Tensor, "B C N N"]:
        """Cut the members' patches out."""
        return split_region(objects, self.placement.whole, size=self.trust.shape[-1])

    def lit(self, objects: Complex[Tensor, "B R R"]) -> Complex[Tensor, "B C N N"]:
        """Return what the light of each member meets: the object at the exact positions."""
        return split_region(objects, self.placement.exact, size=self.trust.shape[-1])

    def in_phase(self, patches: Complex[Tensor, "B C N N"], *, n_rounds: int = 3) -> Complex[Tensor, "B C N N"]:
        """Return patches times phase factors under which members of a group agree; no gradient goes through these.

        Each round turns every member to the mean of its group. Pixels count by their trust.
        """
        with torch.no_grad():
            factors = torch.ones_like(patches[..., :1, :1])
            for _ in range(n_rounds):
                mean = self.patches(self.merged(patches * factors))
                overlap = (self.trust * patches.conj() * mean).sum(dim=(-2, -1), keepdim=True)
                factors = torch.where(overlap == 0, factors, overlap.sgn())
        return patches * factors

    def gathered(self, changes: Complex[Tensor, "B C N N"]) -> Complex[Tensor, "B R R"]:
        """Return the mean, in each pixel of the object, of what the members' light says."""
        return merge_group_patches(
            changes, self.placement.exact.detach(), weight=self.trust, size=self.side, coverage=self._coverage
        )
