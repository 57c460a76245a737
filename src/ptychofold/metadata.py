"""What a scan says about itself: units, dose, origin, and what was done to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ptychofold.config import ScanGeometry

__all__ = ["Metadata"]


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """Facts that travel with a scan; None where nothing is known."""

    wavelength_m: float | None = None
    """Wavelength of the probe."""
    pixel_size_m: tuple[float, float] | None = None
    """Height and width of an object pixel."""
    n_photons: float | None = None
    """Photons in a pattern, as recorded by the file."""
    source: str | None = None
    """File that the scan was read from."""
    format: str | None = None
    """Name of the format it was read as."""
    format_reason: str | None = None
    """Why it was read as this format."""
    measurement_reason: str = "given by the caller"
    """Why the patterns are taken as amplitude or intensity."""
    geometry: ScanGeometry | None = None
    """Beam, distances and detector pixels, as the file or the caller states them."""
    history: tuple[Mapping[str, object], ...] = ()
    """Preprocessing steps in the order applied, each with its parameters."""
    extra: Mapping[str, object] = field(default_factory=dict)
    """What else the file says of itself, as JSON-like values."""
