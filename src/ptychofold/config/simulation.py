"""Settings of a simulated scan: what is scanned, where, by what light, and how many photons are counted."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from ptychofold.config.base import Config, Seed

__all__ = ["ObjectName", "ProbeName", "ScanPatternName", "SimulationConfig"]

ObjectName = Literal["siemens", "dead_leaves", "random_phase", "lines"]
ScanPatternName = Literal["raster", "fermat", "jittered"]
ProbeName = Literal["disk", "focused", "gaussian"]


class SimulationConfig(Config):
    """A scan of a known object.

    Examples
    --------
    >>> SimulationConfig(N=128).step_px
    16.0
    """

    object: ObjectName = "siemens"
    """What is scanned."""

    scan: ScanPatternName = "jittered"
    """Where the probe is put: a grid, a sunflower spiral, or a grid with points displaced by up to 0.3 steps."""

    probe: ProbeName = "disk"
    """Illumination."""

    N: PositiveInt = Field(default=64, ge=8)
    """Side of a pattern in pixels."""

    n_scan: PositiveInt = 400
    """About how many positions."""

    step: PositiveFloat | None = None
    """Distance of positions in pixels; N/8 if None."""

    n_photons: PositiveFloat | None = 1e5
    """Dose: photons that the probe brings to each pattern; None leaves the patterns without noise."""

    absorption: float = Field(default=0.2, ge=0.0, le=1.0)
    """Share of the amplitude that the full thickness of the object takes away."""

    phase_rad: float = 1.0
    """Phase that the full thickness adds."""

    nominal_error: NonNegativeFloat = 0.0
    """Standard deviation of commanded against true positions, in pixels."""

    seed: Seed = 0
    """Seed of object, positions and noise."""

    @property
    def step_px(self) -> float:
        """Distance of positions in pixels."""
        return self.N / 8 if self.step is None else self.step
