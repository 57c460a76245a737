"""Settings of propagation, as a configuration file holds them."""

from typing import Literal, Self

from pydantic import PositiveFloat, model_validator

from ptychofold.config import Config
from ptychofold.metadata import Metadata
from ptychofold.physics.propagation import FarField, NearField, Propagator

__all__ = ["Geometry"]


class Geometry(Config):
    """Which propagation a scan was measured with.

    Examples
    --------
    >>> Geometry().propagator()
    FarField()
    >>> Geometry(propagation="near_field", wavelength_m=1e-10, distance_m=1e-3, pixel_size_m=(1e-7, 1e-7)).distance_m
    0.001
    """

    propagation: Literal["far_field", "near_field"] = "far_field"
    """Far field: one Fourier transform. Near field: angular spectrum over the effective distance."""

    wavelength_m: PositiveFloat | None = None
    """Wavelength; needed in the near field."""

    distance_m: PositiveFloat | None = None
    """Effective distance from sample to detector (that of the equivalent parallel beam); needed in the near field."""

    pixel_size_m: tuple[PositiveFloat, PositiveFloat] | None = None
    """Height and width of an object pixel; needed in the near field."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        missing = [name for name in ("wavelength_m", "distance_m", "pixel_size_m") if getattr(self, name) is None]
        if self.propagation == "near_field" and missing:
            raise ValueError(f"propagation='near_field' needs {', '.join(missing)}")
        return self

    @classmethod
    def of(cls, propagator: Propagator) -> Self:
        """Describe a propagator."""
        if isinstance(propagator, NearField):
            return cls(
                propagation="near_field",
                wavelength_m=propagator.wavelength_m,
                distance_m=propagator.distance_m,
                pixel_size_m=propagator.pixel_size_m,
            )
        return cls()

    @classmethod
    def of_scan(cls, metadata: Metadata) -> Self:
        """Describe the propagation that a scan's metadata state; the far field where they state none."""
        return cls.stated_by(metadata) or cls()

    @classmethod
    def stated_by(cls, metadata: Metadata) -> Self | None:
        """Describe the propagation that a scan's metadata state; None where they state none."""
        stated = metadata.geometry
        if stated is None or (stated.propagation is None and stated.field == "far_field"):
            return None
        if stated.field == "far_field":
            return cls()
        return cls(
            propagation="near_field",
            wavelength_m=stated.wavelength or metadata.wavelength_m,
            distance_m=stated.effective_distance_m,
            pixel_size_m=metadata.pixel_size_m,
        )

    def propagator(self) -> Propagator:
        """Return the propagator that these settings describe.

        Raises
        ------
        ConfigError
            If the near field's pixels are smaller than details that propagate.
        """
        if self.wavelength_m is None or self.distance_m is None or self.pixel_size_m is None:
            return FarField()
        if self.propagation == "far_field":
            return FarField()
        return NearField(wavelength_m=self.wavelength_m, distance_m=self.distance_m, pixel_size_m=self.pixel_size_m)
