import numpy as np
import pytest
import torch
from tests.physics.fields import random_field

from ptychofold.errors import ConfigError
from ptychofold.physics import FarField, Geometry, NearField, centered_fft2, centered_ifft2


@pytest.mark.parametrize("shape", [(8, 8), (6, 8), (10, 8), (7, 7), (5, 8)])
def test_transforms_equal_shifted_numpy_transforms(shape: tuple[int, int]) -> None:
    wave = random_field(2, *shape)
    axes = (-2, -1)
    shifted = np.fft.ifftshift(wave.numpy(), axes)
    expected = np.fft.fftshift(np.fft.fft2(shifted, norm="ortho"), axes)
    np.testing.assert_allclose(centered_fft2(wave).numpy(), expected, atol=1e-12)
    expected = np.fft.fftshift(np.fft.ifft2(shifted, norm="ortho"), axes)
    np.testing.assert_allclose(centered_ifft2(wave).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("size", [8, 9])
def test_an_even_wave_has_its_peak_at_the_middle_of_the_detector(size: int) -> None:
    spectrum = centered_fft2(torch.ones(size, size, dtype=torch.complex64)).abs()
    assert divmod(int(spectrum.argmax()), size) == (size // 2, size // 2)
    assert spectrum.max() == pytest.approx(size, rel=1e-6)


def test_transforms_keep_single_precision() -> None:
    assert centered_fft2(torch.ones(4, 4, dtype=torch.complex64)).dtype == torch.complex64


def test_the_near_field_of_no_distance_is_the_exit_wave() -> None:
    wave = random_field(16, 16)
    near = NearField(wavelength_m=1e-10, distance_m=1e-15, pixel_size_m=(1e-7, 1e-7))
    torch.testing.assert_close(near.forward(wave), wave, rtol=1e-8, atol=1e-8)


def test_the_near_field_follows_the_fresnel_phase_at_small_angles() -> None:
    near = NearField(wavelength_m=1e-10, distance_m=3e-3, pixel_size_m=(1e-7, 1e-7))
    N, order = 32, 3
    column = torch.arange(N, dtype=torch.float64)
    wave = torch.exp(2j * torch.pi * order * column / N).expand(N, N)
    k = order / (N * 1e-7)
    expected = wave * np.exp(-1j * np.pi * 1e-10 * 3e-3 * k**2)
    torch.testing.assert_close(near.forward(wave), expected, rtol=1e-6, atol=1e-6)


def test_two_short_ways_make_a_long_one() -> None:
    wave = random_field(16, 16)
    half, whole = (NearField(wavelength_m=1e-10, distance_m=z, pixel_size_m=(1e-7, 2e-7)) for z in (1e-3, 2e-3))
    torch.testing.assert_close(half.forward(half.forward(wave)), whole.forward(wave), rtol=1e-9, atol=1e-9)


def test_a_wave_propagated_in_inference_mode_does_not_spoil_later_gradients() -> None:
    near = NearField(wavelength_m=1e-10, distance_m=1.5e-3, pixel_size_m=(1e-7, 1e-7))
    with torch.inference_mode():
        near.forward(random_field(12, 12))
    wave = random_field(12, 12).requires_grad_()
    torch.autograd.backward(near.forward(wave).abs().sum())
    assert wave.grad is not None


@pytest.mark.parametrize(
    ("wavelength_m", "distance_m", "pixel", "match"),
    [
        (0.0, 1.0, 1e-7, "positive wavelength_m; found 0.0"),
        (1e-10, float("nan"), 1e-7, "positive distance_m; found nan"),
        (1e-10, 1.0, -1e-7, "positive pixel_size_m"),
        (500e-9, 1.0, 100e-9, "larger than 0.71 wavelengths"),
    ],
)
def test_an_impossible_near_field_is_refused(wavelength_m: float, distance_m: float, pixel: float, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        NearField(wavelength_m=wavelength_m, distance_m=distance_m, pixel_size_m=(pixel, pixel))


def test_a_sample_behind_the_detector_is_refused() -> None:
    with pytest.raises(ConfigError, match="sample between focus and detector"):
        NearField.from_cone_beam(
            wavelength_m=1e-10, focus_to_sample_m=2.0, focus_to_detector_m=1.0, detector_pixel_size_m=(5e-5, 5e-5)
        )


@pytest.mark.parametrize(
    "propagator", [FarField(), NearField(wavelength_m=1e-10, distance_m=1e-3, pixel_size_m=(1e-7, 2e-7))]
)
def test_a_geometry_describes_and_restores_a_propagator(propagator: FarField | NearField) -> None:
    described = Geometry.of(propagator)
    assert described.propagator() == propagator
    assert Geometry.from_mapping(described.model_dump()) == described


def test_a_far_field_geometry_may_know_its_units() -> None:
    known = Geometry(wavelength_m=1e-10, distance_m=2.0, pixel_size_m=(1e-8, 1e-8))
    assert known.propagator() == FarField()


def test_an_incomplete_near_field_geometry_names_what_is_missing() -> None:
    with pytest.raises(ConfigError, match="needs distance_m, pixel_size_m"):
        Geometry(propagation="near_field", wavelength_m=1e-10)
