"""The set-up that a scan was measured with, in SI units, and what follows from it.

An X-ray's wavelength is h c / E. An electron of kinetic energy E has the relativistic de Broglie wavelength
h c / √(E (E + 2 m c²)) (Reimer and Kohl, Transmission Electron Microscopy, 5th ed., eq. 2.12). In the far field N
detector pixels of size p at distance d sample an object pixel λ d / (N p). In the near field behind a focus the beam
magnifies by M = (focus to detector) / (focus to sample), an object pixel is p / M, and the scan is that of a parallel
beam propagated over (sample to detector) / M (Fresnel scaling theorem; Paganin, Coherent X-Ray Optics, 2006, eq. 4.4).
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import PositiveFloat, model_validator

from ptychofold.config.base import Config
from ptychofold.errors import ConfigError, DomainError, MissingFieldError

__all__ = ["HC_EV_M", "ScanGeometry"]

HC_EV_M = 6.62607015e-34 * 299792458.0 / 1.602176634e-19
"""Planck's constant times the speed of light, in eV m (exact SI values)."""
ELECTRON_REST_ENERGY_EV = 510998.95069
"""m c² of an electron (CODATA 2022)."""

OPTIONS = {
    "wavelength_m": "--energy-ev (or --wavelength-m)",
    "distance_m": "--distance-m",
    "detector_pixel_m": "--detector-pixel-m",
}
"""What supplies a fact that the file does not hold."""


class ScanGeometry(Config):
    """Beam, distances and pixels of a scan; None where nothing is known, never a guess.

    Examples
    --------
    >>> far = ScanGeometry(energy_ev=8000.0, distance_m=2.0, detector_pixel_m=(75e-6, 75e-6))
    >>> [f"{size:.4g}" for size in far.object_pixel_m((128, 128))]
    ['3.229e-08', '3.229e-08']
    >>> near = ScanGeometry(energy_ev=12658.0, distance_m=1.0, focus_m=0.01, detector_pixel_m=(55e-6, 55e-6))
    >>> near.field, round(near.magnification, 6)
    ('near_field', 101.0)
    """

    particle: Literal["photon", "electron"] = "photon"
    """What the beam is made of; decides how energy and wavelength belong together."""

    energy_ev: PositiveFloat | None = None
    """Photon energy, or kinetic energy of the electrons."""

    wavelength_m: PositiveFloat | None = None
    """Wavelength; follows from the energy where it is None."""

    propagation: Literal["far_field", "near_field"] | None = None
    """Far or near field; None where nothing says so, see `field`."""

    distance_m: PositiveFloat | None = None
    """Distance of the detector, counted from where ``distance_from`` says."""

    distance_from: Literal["sample", "focus"] = "sample"
    """Where ``distance_m`` is counted from."""

    focus_m: PositiveFloat | None = None
    """Near field: distance from the focus down to the sample; None for a parallel beam."""

    defocus_m: float | None = None
    """Far field: distance from the focus down to the sample, as a starting value for the probe."""

    detector_pixel_m: tuple[PositiveFloat, PositiveFloat] | None = None
    """Height and width of a detector pixel."""

    pixel_size_m: tuple[PositiveFloat, PositiveFloat] | None = None
    """Height and width of an object pixel where they are given; derived from the rest otherwise."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.energy_ev and self.wavelength_m:
            expected = self._wavelength_of(self.energy_ev)
            if abs(self.wavelength_m / expected - 1) > 1e-3:
                raise ValueError(
                    f"energy_ev={self.energy_ev:g} of a {self.particle} means wavelength_m={expected:.6g}; "
                    f"found {self.wavelength_m:.6g}; give one of the two"
                )
        if self.focus_m is not None and self.propagation == "far_field":
            raise ValueError("focus_m is the near field's distance to the focus; in the far field give defocus_m")
        if self.distance_from == "focus" and self.distance_m and self.distance_m <= (self.focus_m or 0.0):
            raise ValueError(f"the detector, {self.distance_m} m behind the focus, lies before the sample")
        return self

    @classmethod
    def of(cls, facts: Mapping[str, object], *, path: Path | None = None) -> "ScanGeometry":
        """Build from what a file states; None and 0, which files write for unknown, state nothing.

        Raises
        ------
        DomainError
            If a fact is negative or not finite, or two contradict each other.

        Examples
        --------
        >>> ScanGeometry.of({"energy_ev": 8000.0, "distance_m": None}).model_fields_set
        {'energy_ev'}
        """
        try:
            return ScanGeometry.from_mapping({name: value for name, value in facts.items() if value})
        except ConfigError as error:
            why = str(error).removeprefix("ScanGeometry: ").rstrip(".")
            raise DomainError(
                f"the file's set-up makes no sense: {why}. Repair it in the file.",
                path=path,
                field="geometry",
            ) from error

    @property
    def field(self) -> Literal["far_field", "near_field"]:
        """Far or near field: as stated, near where ``focus_m`` is given, else far."""
        if self.propagation is not None:
            return self.propagation
        return "far_field" if self.focus_m is None else "near_field"

    @property
    def wavelength(self) -> float | None:
        """Wavelength in metres, given or derived."""
        if self.wavelength_m is not None or self.energy_ev is None:
            return self.wavelength_m
        return self._wavelength_of(self.energy_ev)

    @property
    def energy(self) -> float | None:
        """Energy in electronvolts, given or derived."""
        if self.energy_ev is not None or self.wavelength_m is None:
            return self.energy_ev
        hc_k = HC_EV_M / self.wavelength_m
        if self.particle == "photon":
            return hc_k
        return math.hypot(hc_k, ELECTRON_REST_ENERGY_EV) - ELECTRON_REST_ENERGY_EV

    @property
    def magnification(self) -> float | None:
        """Size of a sample detail on the detector over its own, near field; None where the distance is missing."""
        if self.focus_m is None:
            return 1.0
        if self.distance_m is None:
            return None
        return (self.distance_m + (self.focus_m if self.distance_from == "sample" else 0.0)) / self.focus_m

    @property
    def sample_distance_m(self) -> float | None:
        """Distance from the sample to the detector; None where the distance is missing."""
        if self.distance_m is None or self.distance_from == "sample":
            return self.distance_m
        return self.distance_m - (self.focus_m or 0.0)

    @property
    def effective_distance_m(self) -> float | None:
        """Distance of the equivalent parallel beam, near field; None where the distance is missing."""
        magnification, distance_m = self.magnification, self.sample_distance_m
        return None if magnification is None or distance_m is None else distance_m / magnification

    def object_pixel_m(self, shape: tuple[int, int]) -> tuple[float, float]:
        """Return the height and width of an object pixel of patterns with this many rows and columns.

        Raises
        ------
        MissingFieldError
            If a fact is missing that it follows from; the message names the option that supplies it.
        """
        if self.pixel_size_m is not None:
            return self.pixel_size_m
        facts = {"distance_m": self.distance_m, "detector_pixel_m": self.detector_pixel_m}
        if self.field == "far_field":
            facts["wavelength_m"] = self.wavelength
        elif self.focus_m is None:
            facts.pop("distance_m")
        missing = [name for name, value in facts.items() if value is None]
        if missing or self.detector_pixel_m is None:
            options = ", ".join(f"{name} by {OPTIONS[name]}" for name in missing)
            raise MissingFieldError(
                f"expected the size of an object pixel, to place positions in metres; {self.field.replace('_', ' ')} "
                f"needs {' and '.join(missing)}, which nothing states. Supply {options}, or --pixel-size-m itself.",
                field=missing[0],
            )
        height, width = self.detector_pixel_m
        if self.field == "near_field":
            magnification = self.magnification or 1.0
            return height / magnification, width / magnification
        spread = (self.wavelength or 0.0) * (self.distance_m or 0.0)
        return spread / (shape[0] * height), spread / (shape[1] * width)

    def updated(self, other: "ScanGeometry") -> "ScanGeometry":
        """Return these facts, overridden by those that the other states.

        An energy or wavelength replaces both, and so does an object pixel or what it follows from.
        """
        stated = {name: getattr(other, name) for name in ScanGeometry.model_fields if name in other.model_fields_set}
        stated = {name: value for name, value in stated.items() if value is not None}
        own = {name: getattr(self, name) for name in self.model_fields_set}
        if stated.keys() & {"energy_ev", "wavelength_m"}:
            own = {name: value for name, value in own.items() if name not in {"energy_ev", "wavelength_m"}}
        elif "particle" in stated and "energy_ev" in own:
            own.pop("wavelength_m", None)
        if stated.keys() & {"energy_ev", "wavelength_m", "distance_m", "focus_m", "detector_pixel_m", "propagation"}:
            own.pop("pixel_size_m", None)
        return ScanGeometry(**{**own, **stated})

    def _wavelength_of(self, energy_ev: float) -> float:
        if self.particle == "photon":
            return HC_EV_M / energy_ev
        return HC_EV_M / math.sqrt(energy_ev * (energy_ev + 2 * ELECTRON_REST_ENERGY_EV))
