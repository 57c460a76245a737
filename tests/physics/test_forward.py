import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.physics.fields import random_field, random_positions

from ptychofold.errors import ShapeError
from ptychofold.physics import FarField, ForwardModel, NearField, diffraction_amplitude, exit_waves, extract_patches

NEAR = NearField(wavelength_m=1e-10, distance_m=2e-3, pixel_size_m=(1e-7, 1e-7))
PROPAGATORS = pytest.mark.parametrize("propagator", [FarField(), NEAR], ids=["far field", "near field"])


def _model(propagator: FarField | NearField, *, size: int = 6, n_modes: int = 2) -> ForwardModel:
    return ForwardModel(random_field(n_modes, size, size, seed=1), propagator=propagator, trainable_probe=True)


@PROPAGATORS
def test_the_model_has_the_gradients_of_finite_differences_in_object_probe_and_positions(
    propagator: FarField | NearField,
) -> None:
    model = _model(propagator)
    canvas = random_field(12, 13, seed=2).requires_grad_()
    positions = random_positions(2, low=3.2, high=8.8, seed=3).requires_grad_()
    probe = model.probe.detach().clone().requires_grad_()

    def amplitude(canvas: torch.Tensor, positions: torch.Tensor, probe: torch.Tensor) -> torch.Tensor:
        return model(extract_patches(canvas, positions, 6), probe=probe)  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(amplitude, (canvas, positions, probe), fast_mode=True)


def test_group_patches_with_offsets_have_the_gradients_of_finite_differences() -> None:
    model = _model(FarField(), size=5)
    patches = random_field(2, 2, 5, 5, seed=4).requires_grad_()
    offsets = random_positions(4, low=-1.9, high=1.9, seed=5).reshape(2, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda p, o: model(p, offsets=o), (patches, offsets), fast_mode=True)


def test_an_object_and_its_patches_give_the_same_amplitude() -> None:
    model, canvas = _model(FarField()), random_field(14, 14, seed=2)
    positions = random_positions(4, low=3, high=10, seed=3)
    patches = extract_patches(canvas, positions, 6)
    grouped = model(patches.reshape(2, 2, 6, 6)).reshape(4, 6, 6)
    torch.testing.assert_close(model.from_object(canvas, positions), grouped)


def test_a_probe_for_each_group_illuminates_that_group() -> None:
    model, patches = _model(FarField()), random_field(2, 3, 6, 6, seed=6)
    other = random_field(2, 6, 6, seed=7)
    mixed = model(patches, probe=torch.stack([model.probe, other]))
    torch.testing.assert_close(mixed[0], model(patches[0]))
    torch.testing.assert_close(mixed[1], model(patches[1], probe=other))


@PROPAGATORS
def test_energy_is_kept(propagator: FarField | NearField) -> None:
    model, patches = _model(propagator), random_field(3, 6, 6, seed=2)
    energy = exit_waves(model.probe, patches).abs().square().sum()
    torch.testing.assert_close(model(patches).square().sum(), energy, rtol=1e-12, atol=0)


@PROPAGATORS
@settings(deadline=None, max_examples=25)
@given(phase=st.floats(-3.2, 3.2))
def test_a_global_phase_changes_nothing(propagator: FarField | NearField, phase: float) -> None:
    model, patches = _model(propagator), random_field(1, 6, 6, seed=2)
    turned = patches * torch.exp(torch.tensor(1j * phase, dtype=torch.complex128))
    torch.testing.assert_close(model(turned), model(patches), rtol=1e-12, atol=1e-12)


@PROPAGATORS
def test_mixing_modes_by_a_unitary_matrix_changes_nothing(propagator: FarField | NearField) -> None:
    model, patches = _model(propagator), random_field(2, 6, 6, seed=2)
    unitary, _ = torch.linalg.qr(random_field(2, 2, seed=9))
    mixed = torch.einsum("ab,bij->aij", unitary, model.probe)
    torch.testing.assert_close(model(patches, probe=mixed), model(patches), rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=25)
@given(dy=st.integers(-4, 4), dx=st.integers(-4, 4))
def test_moving_object_and_positions_together_changes_nothing(dy: int, dx: int) -> None:
    model, inner = _model(FarField()), random_field(10, 10, seed=2)
    canvas = torch.nn.functional.pad(inner, (8, 8, 8, 8))
    positions = random_positions(3, low=9, high=17, seed=3)
    moved = model.from_object(canvas.roll((dy, dx), dims=(0, 1)), positions + torch.tensor([dy, dx]))
    torch.testing.assert_close(moved, model.from_object(canvas, positions), rtol=1e-9, atol=1e-9)


def test_modes_add_in_intensity() -> None:
    waves = random_field(3, 2, 4, 4)
    expected = (waves[:, 0].abs() ** 2 + waves[:, 1].abs() ** 2).sqrt()
    torch.testing.assert_close(diffraction_amplitude(waves), expected)


def test_a_dark_pixel_has_amplitude_and_gradient_zero() -> None:
    waves = torch.zeros(1, 2, 2, 2, dtype=torch.complex64, requires_grad=True)
    amplitude = diffraction_amplitude(waves)
    torch.autograd.backward(amplitude.sum())
    assert waves.grad is not None
    assert not amplitude.any()
    assert not waves.grad.any()


def test_second_derivatives_of_the_amplitude_exist() -> None:
    waves = random_field(1, 2, 3, 3).requires_grad_()
    assert torch.autograd.gradgradcheck(diffraction_amplitude, (waves,))


def test_the_probe_is_trained_only_on_request() -> None:
    probe = random_field(1, 6, 6)
    assert not ForwardModel(probe).probe.requires_grad
    assert ForwardModel(probe, trainable_probe=True).probe.requires_grad


def test_the_model_does_not_share_memory_with_the_probe_it_was_given() -> None:
    probe = random_field(1, 6, 6)
    model = ForwardModel(probe, trainable_probe=True)
    with torch.no_grad():
        model.probe.zero_()
    assert probe.any()


def test_patches_of_another_size_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"patches of \(6, 6\) pixels, the size of the probe; found \(8, 8\)"):
        _model(FarField())(random_field(1, 8, 8))


def test_offsets_that_do_not_fit_the_patches_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"one offset for each patch of \(2, 3\); found \(2, 2\)"):
        _model(FarField())(random_field(2, 3, 6, 6), offsets=torch.zeros(2, 2, 2))
