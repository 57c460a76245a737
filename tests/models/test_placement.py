import pytest
import torch

from ptychofold.models import Placement
from ptychofold.patches import extract_patches, place_patches
from ptychofold.testing import make_scan

TRUST = torch.rand(16, 16, generator=torch.Generator().manual_seed(0)) + 0.1
POSITIONS = torch.tensor([[20.3, 30.5], [22.0, 27.25], [19.75, 31.9]], dtype=torch.float64)


def grouped(C: int) -> tuple[Placement, torch.Tensor]:
    positions = POSITIONS[:C] if C > 1 else POSITIONS
    at = positions[None] if C > 1 else positions[:, None]
    centers = at.mean(dim=1)
    return Placement.of(centers, at - centers[:, None]), at


@pytest.mark.parametrize("C", [1, 3])
def test_patches_cut_on_pixels_are_lit_where_the_light_was(C: int) -> None:
    scan = make_scan(n_scan=81, N=16, step=4.0)
    assert scan.object is not None
    canvas = torch.from_numpy(scan.object.copy())
    placement, at = grouped(C)
    assert torch.equal(placement.positions, at.round())
    shape = (*at.shape[:2], 16, 16)
    on_pixels = extract_patches(canvas, placement.positions.flatten(0, 1), 16).reshape(shape)
    regions = placement.regions(trust=TRUST)
    merged = regions.merged(on_pixels)
    assert merged.shape == regions.shape
    torch.testing.assert_close(regions.patches(merged), on_pixels)
    exact = extract_patches(canvas, at.flatten(0, 1), 16).reshape(shape)
    torch.testing.assert_close(regions.lit(merged)[..., 1:-1, 1:-1], exact[..., 1:-1, 1:-1])


@pytest.mark.parametrize("C", [1, 3])
def test_what_members_say_is_gathered_by_the_adjoint_of_lighting(C: int) -> None:
    placement, _ = grouped(C)
    regions = placement.regions(trust=TRUST)
    rng = torch.Generator().manual_seed(1)
    changes = torch.randn(*placement.exact.shape[:2], 16, 16, dtype=torch.complex64, generator=rng)
    objects = torch.randn(regions.shape, dtype=torch.complex64, generator=rng)
    ones = regions.gathered(torch.ones_like(changes))
    reached = ones != 0
    torch.testing.assert_close(ones[reached], torch.ones_like(ones[reached]))
    coverage = torch.stack(
        [
            place_patches(TRUST.expand(len(exact), 16, 16), exact.double() + regions.side // 2, regions.shape[1:])
            for exact in placement.exact
        ]
    )
    forward = (TRUST * regions.lit(objects).conj() * changes).sum()
    torch.testing.assert_close(forward, (objects.conj() * coverage * regions.gathered(changes)).sum())


def test_groups_taken_apart_do_not_see_one_another() -> None:
    placement, _ = grouped(3)
    patches = torch.randn(1, 3, 16, 16, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    apart = placement.apart().regions(trust=TRUST)
    alone = apart.lit(apart.merged(patches.flatten(0, 1)[:, None]))
    changed = patches.clone()
    changed[0, 0] = 0
    again = apart.lit(apart.merged(changed.flatten(0, 1)[:, None]))
    assert torch.equal(alone[1:], again[1:])
    assert not torch.equal(alone[0], again[0])


def test_patches_may_lie_where_the_light_is() -> None:
    at = POSITIONS[:, None]
    placement = Placement.of(at[:, 0], torch.zeros(3, 1, 2, dtype=torch.float64), on_pixels=False)
    assert torch.equal(placement.positions, at)
    assert torch.equal(placement.whole, placement.exact)


def test_members_that_differ_by_a_phase_are_brought_to_agree() -> None:
    scan = make_scan(n_scan=81, N=16, step=4.0)
    assert scan.object is not None
    placement, _ = grouped(3)
    patches = extract_patches(torch.from_numpy(scan.object.copy()), placement.positions.flatten(0, 1), 16)[None]
    regions = placement.regions(trust=TRUST)
    turned = patches * torch.polar(torch.ones(3), torch.tensor([0.5, -1.0, 2.0]))[:, None, None]

    def distance(found: torch.Tensor) -> float:
        common = (found * patches.conj()).sum().sgn()
        return float((found - patches * common).abs().max())

    torch.testing.assert_close(regions.in_phase(turned).abs(), patches.abs())
    assert distance(regions.in_phase(turned)) < 0.2 * distance(turned)
    assert distance(regions.in_phase(turned, n_rounds=30)) < 1e-3
    assert not regions.in_phase(torch.zeros_like(patches)).any()
