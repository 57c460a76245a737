"""Every linear operator of the physics: its adjoint by dot products and against autograd."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from tests.physics.fields import inner, random_field, random_positions
from torch import Tensor

from ptychofold.physics import (
    FarField,
    ForwardModel,
    NearField,
    centered_fft2,
    centered_ifft2,
    exit_waves,
    exit_waves_to_patches,
    exit_waves_to_probe,
    extract_patches,
    place_patches,
    split_region,
)
from ptychofold.physics.overlap import _on_tall_canvas

NEAR = NearField(wavelength_m=1e-10, distance_m=2e-3, pixel_size_m=(1e-7, 1.5e-7))
PROBE = random_field(3, 8, 8, seed=1)
PROBES = random_field(4, 3, 8, 8, seed=2)
PATCHES = random_field(4, 2, 8, 8, seed=3)
POSITIONS = random_positions(5, low=-3, high=25, seed=4)
OFFSETS = random_positions(8, low=-2.5, high=2.5, seed=5).reshape(4, 2, 2)
MODEL = ForwardModel(PROBE, propagator=NEAR)


@dataclass(frozen=True)
class Operator:
    name: str
    forward: Callable[[Tensor], Tensor]
    adjoint: Callable[[Tensor], Tensor]
    domain: tuple[int, ...]
    range: tuple[int, ...]


OPERATORS = [
    Operator("centered FFT, even", centered_fft2, centered_ifft2, (2, 8, 8), (2, 8, 8)),
    Operator("centered FFT, oblong", centered_fft2, centered_ifft2, (2, 6, 8), (2, 6, 8)),
    Operator("centered FFT, odd", centered_fft2, centered_ifft2, (2, 7, 8), (2, 7, 8)),
    Operator("far field", FarField().forward, FarField().adjoint, (4, 8, 8), (4, 8, 8)),
    Operator("near field", NEAR.forward, NEAR.adjoint, (4, 8, 8), (4, 8, 8)),
    Operator(
        "extraction, odd size",
        lambda canvas: extract_patches(canvas, POSITIONS, 7),
        lambda patches: place_patches(patches, POSITIONS, (20, 22)),
        (20, 22),
        (5, 7, 7),
    ),
    Operator(
        "extraction, even size",
        lambda canvas: extract_patches(canvas, POSITIONS, 8),
        lambda patches: place_patches(patches, POSITIONS, (20, 22)),
        (20, 22),
        (5, 8, 8),
    ),
    Operator(
        "illumination of patches",
        lambda patches: exit_waves(PROBE, patches),
        lambda waves: exit_waves_to_patches(PROBE, waves),
        (4, 2, 8, 8),
        (4, 2, 3, 8, 8),
    ),
    Operator(
        "illumination by a probe for each group",
        lambda patches: exit_waves(PROBES, patches),
        lambda waves: exit_waves_to_patches(PROBES, waves),
        (4, 2, 8, 8),
        (4, 2, 3, 8, 8),
    ),
    Operator(
        "illumination as a function of the probe",
        lambda probe: exit_waves(probe, PATCHES),
        lambda waves: exit_waves_to_probe(PATCHES, waves),
        (3, 8, 8),
        (4, 2, 3, 8, 8),
    ),
    Operator(
        "cutting regions",
        lambda region: split_region(region, OFFSETS, size=8),
        lambda patches: place_patches(patches.flatten(0, 1), _on_tall_canvas(OFFSETS, 16), (64, 16)).reshape(4, 16, 16),
        (4, 16, 16),
        (4, 2, 8, 8),
    ),
    Operator("patches to the detector", MODEL.detector_waves, MODEL.adjoint, (4, 2, 8, 8), (4, 2, 3, 8, 8)),
]

each_operator = pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)


@each_operator
def test_the_adjoint_moves_across_the_inner_product(operator: Operator) -> None:
    x, y = random_field(*operator.domain, seed=10), random_field(*operator.range, seed=11)
    left, right = inner(operator.forward(x).detach(), y), inner(x, operator.adjoint(y).detach())
    scale = float(x.norm() * y.norm())
    assert abs(left - right) < 1e-10 * scale
    assert abs(left) > 1e-6 * scale  # a vanishing product would prove nothing


@each_operator
def test_autograd_applies_the_adjoint(operator: Operator) -> None:
    x, y = random_field(*operator.domain, seed=12).requires_grad_(), random_field(*operator.range, seed=13)
    (grad,) = torch.autograd.grad(operator.forward(x), x, y)
    torch.testing.assert_close(grad, operator.adjoint(y).detach(), rtol=1e-10, atol=1e-10)


@each_operator
def test_the_adjoint_differentiates_to_the_operator(operator: Operator) -> None:
    x, y = random_field(*operator.domain, seed=14), random_field(*operator.range, seed=15).requires_grad_()
    (grad,) = torch.autograd.grad(operator.adjoint(y), y, x)
    torch.testing.assert_close(grad, operator.forward(x).detach(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("propagator", [FarField(), NEAR], ids=["far field", "near field"])
@pytest.mark.parametrize("size", [8, 9])
def test_propagation_is_unitary(propagator: FarField | NearField, size: int) -> None:
    wave = random_field(3, size, size)
    torch.testing.assert_close(propagator.forward(wave).norm(), wave.norm(), rtol=1e-12, atol=0)
    torch.testing.assert_close(propagator.adjoint(propagator.forward(wave)), wave, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("propagator", [FarField(), NEAR], ids=["far field", "near field"])
@pytest.mark.parametrize("size", [8, 9])
def test_the_cheap_transform_has_the_magnitudes_of_the_exact_one(propagator: FarField | NearField, size: int) -> None:
    probe, patch = random_field(2, size, size), random_field(size, size, seed=1)
    cheap = propagator.transform(propagator.modulate(probe) * patch).abs()
    torch.testing.assert_close(cheap, propagator.forward(probe * patch).abs(), rtol=1e-12, atol=1e-12)
