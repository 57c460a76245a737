"""From the exit wave behind the object to the wave on the detector: far field and near field, both unitary."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import torch
from jaxtyping import Complex
from torch import Tensor

from ptychofold.errors import ConfigError
from ptychofold.physics.fourier import centered_fft2, centered_ifft2, checkerboard

__all__ = ["FarField", "NearField", "Propagator"]


class Propagator(ABC):
    """A unitary linear map between (…, N, N) waves; an immutable value without arrays of its own.

    Detectors see only magnitudes, so besides the exact pair `forward` and `adjoint` there is a cheaper pair with the
    same magnitudes: ``|transform(modulate(P) · O)| == |forward(P · O)|``. What can be done once for a probe is in
    `modulate`, which multiplies by signs and so is its own adjoint and inverse.
    """

    @abstractmethod
    def forward(self, wave: Complex[Tensor, "*batch N N"]) -> Complex[Tensor, "*batch N N"]:
        """Propagate an exit wave to the detector."""

    @abstractmethod
    def adjoint(self, wave: Complex[Tensor, "*batch N N"]) -> Complex[Tensor, "*batch N N"]:
        """Propagate a detector wave back: adjoint and inverse of `forward`."""

    def modulate(self, probe: Complex[Tensor, "*batch N N"]) -> Complex[Tensor, "*batch N N"]:
        """Prepare a probe for `transform`."""
        return probe

    def transform(self, wave: Complex[Tensor, "*batch N N"]) -> Complex[Tensor, "*batch N N"]:
        """Propagate the exit wave of a modulated probe; right in magnitude, not in phase."""
        return self.forward(wave)

    def transform_adjoint(self, wave: Complex[Tensor, "*batch N N"]) -> Complex[Tensor, "*batch N N"]:
        """Apply the adjoint, and inverse, of `transform`."""
        return self.adjoint(wave)


@dataclass(frozen=True)
class FarField(Propagator):
    """Fraunhofer diffraction: one unitary, centered Fourier transform.

    Examples
    --------
    >>> FarField().forward(torch.ones(4, 4, dtype=torch.complex64))[2, 2].item()
    (4+0j)
    """

    def forward(self, wave: Complex[Tensor, "*batch N N"]) -> Complex[Tensor, "*batch N N"]:
        """Propagate an exit wave to the detector."""
        return centered_fft2(wave)

    def adjoint(self, wave: Complex[Tensor, "*batch N N"]) -> Complex[Tensor, "*batch N N"]:
        """Propagate a detector wave back: adjoint and inverse of `forward`."""
        return centered_ifft2(wave)

    def modulate(self, probe: Complex[Tensor, "*batch N N"]) -> Complex[Tensor, "*batch N N"]:
        """Give the probe the checkerboard that moves the zero frequency to the middle."""
        return probe if probe.shape[-1] % 2 else probe * checkerboard(probe)

    def transform(self, wave: Complex[Tensor, "*batch N N"]) -> Complex[Tensor, "*batch N N"]:
        """Propagate the exit wave of a modulated probe; right in magnitude, not in phase."""
        return self.forward(wave) if wave.shape[-1] % 2 else torch.fft.fft2(wave, norm="ortho")

    def transform_adjoint(self, wave: Complex[Tensor, "*batch N N"]) -> Complex[Tensor, "*batch N N"]:
        """Apply the adjoint, and inverse, of `transform`."""
        return self.adjoint(wave) if wave.shape[-1] % 2 else torch.fft.ifft2(wave, norm="ortho")


@dataclass(frozen=True)
class NearField(Propagator):
    """Free-space propagation over a short distance by the angular spectrum.

    Every plane wave of frequency k is turned by ``2π z (√(1/λ² - k²) - 1/λ)``, which is ``-π λ z k²`` for small
    angles. Sample and detector share one pixel size. For a diverging beam use the parallel geometry that the Fresnel
    scaling theorem makes of it, see `from_cone_beam` (Paganin, *Coherent X-Ray Optics*, 2006, ch. 4).

    Examples
    --------
    >>> geometry = NearField(wavelength_m=1e-10, distance_m=1e-3, pixel_size_m=(1e-7, 1e-7))
    >>> round(geometry.fresnel_number(128))
    410
    """

    wavelength_m: float
    """Wavelength λ."""
    distance_m: float
    """Effective distance z from sample to detector."""
    pixel_size_m: tuple[float, float]
    """Height and width of an object pixel, and of a detector pixel projected onto the object."""

    def __post_init__(self) -> None:
        values = {
            "wavelength_m": self.wavelength_m,
            "distance_m": self.distance_m,
            "pixel_size_m": min(self.pixel_size_m),
        }
        for name, value in values.items():
            if not (value > 0 and math.isfinite(value)):
                raise ConfigError(f"NearField: expected a positive {name}; found {value}. Give it in metres.")
        if self.wavelength_m * math.hypot(*(0.5 / pixel for pixel in self.pixel_size_m)) >= 1:
            raise ConfigError(
                f"NearField: expected pixels larger than 0.71 wavelengths, as smaller details do not propagate; found "
                f"pixel_size_m {self.pixel_size_m} at wavelength_m {self.wavelength_m}. Check the units."
            )

    @classmethod
    def from_cone_beam(
        cls,
        *,
        wavelength_m: float,
        focus_to_sample_m: float,
        focus_to_detector_m: float,
        detector_pixel_size_m: tuple[float, float],
    ) -> Self:
        """Make the parallel geometry equivalent to a beam that diverges from a focus.

        With the magnification ``M = focus_to_detector / focus_to_sample``, pixels shrink by M and so does the distance
        from sample to detector.

        Examples
        --------
        >>> geometry = NearField.from_cone_beam(
        ...     wavelength_m=9.79e-11, focus_to_sample_m=3.65e-3, focus_to_detector_m=1.12,
        ...     detector_pixel_size_m=(55e-6, 55e-6),
        ... )
        >>> round(geometry.distance_m * 1e3, 3), round(geometry.pixel_size_m[0] * 1e9, 1)
        (3.638, 179.2)
        """
        if not 0 < focus_to_sample_m < focus_to_detector_m:
            raise ConfigError(
                "NearField: expected the sample between focus and detector; found focus_to_sample_m "
                f"{focus_to_sample_m} and focus_to_detector_m {focus_to_detector_m}."
            )
        magnification = focus_to_detector_m / focus_to_sample_m
        height, width = detector_pixel_size_m
        return cls(
            wavelength_m=wavelength_m,
            distance_m=(focus_to_detector_m - focus_to_sample_m) / magnification,
            pixel_size_m=(height / magnification, width / magnification),
        )

    def fresnel_number(self, size: int) -> float:
        """Return ``(half field)² / (λ z)`` of a field of ``size`` pixels; far larger than 1 in the near field."""
        return float((size * min(self.pixel_size_m) / 2) ** 2 / (self.wavelength_m * self.distance_m))

    def forward(self, wave: Complex[Tensor, "*batch N N"]) -> Complex[Tensor, "*batch N N"]:
        """Propagate an exit wave to the detector."""
        propagated: Tensor = torch.fft.ifft2(torch.fft.fft2(wave) * self._turns(wave))
        return propagated

    def adjoint(self, wave: Complex[Tensor, "*batch N N"]) -> Complex[Tensor, "*batch N N"]:
        """Propagate a detector wave back: adjoint and inverse of `forward`."""
        propagated: Tensor = torch.fft.ifft2(torch.fft.fft2(wave) * self._turns(wave).conj())
        return propagated

    def _turns(self, wave: Tensor) -> Tensor:
        return _transfer(self, wave.shape[-2], wave.shape[-1], wave.dtype, wave.device)


@lru_cache(maxsize=16)
def _transfer(geometry: NearField, height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the transfer function (H, W) on the plain FFT's grid, computed in double precision."""
    with torch.inference_mode(mode=False):
        y = torch.fft.fftfreq(height, geometry.pixel_size_m[0], dtype=torch.float64)
        x = torch.fft.fftfreq(width, geometry.pixel_size_m[1], dtype=torch.float64)
        squared = (y[:, None] ** 2 + x**2) * geometry.wavelength_m**2
        # √(1 - s) - 1 written without the cancellation that would lose every digit at X-ray wavelengths
        delay = -squared / (1 + torch.sqrt(1 - squared))
        phase = 2 * math.pi * geometry.distance_m / geometry.wavelength_m * delay
        return torch.polar(torch.ones_like(phase), phase).to(device=device, dtype=dtype)
