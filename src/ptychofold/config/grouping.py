"""Settings of grouping: which scan points are reconstructed together."""

from math import prod
from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from ptychofold.config.base import Config, Seed

__all__ = ["GroupingConfig"]


class GroupingConfig(Config):
    """How groups of C scan points are drawn around seeds.

    Examples
    --------
    >>> GroupingConfig(grid=(2, 2)).C
    4
    """

    grid: tuple[PositiveInt, PositiveInt] = (1, 1)
    """Rows and columns of the grid of members; a group has C = rows · columns members. If C = 1, it is the seed."""

    n_neighbors: PositiveInt = 4
    """K, the number of nearest neighbors that members are drawn from; if C > 1, at least C, an included seed apart."""

    n_groups: NonNegativeInt | None = None
    """Groups to draw, around as few seeds as give so many; None draws ``groups_per_seed`` around every scan point."""

    groups_per_seed: PositiveInt = 1
    """Groups drawn around each seed, all different where K choose C allows it."""

    n_scan_points: PositiveInt | None = None
    """Scan points kept, by seeded choice, before any grouping; None keeps all, as does a number beyond them."""

    sampling: Literal["random", "sequential"] = "random"
    """Whether seeds are drawn at random or are the first scan points in order."""

    seed: Seed | None = None
    """Seed of the random stream; None draws a fresh one, which is logged and kept with the groups."""

    oversample: bool = False
    """Allow more groups than ``groups_per_seed`` around every scan point.

    They are drawn uniformly from all pairs of seed and combination, and differ while different ones exist.
    """

    pool_size: PositiveInt | None = None
    """Neighbors that oversampling draws from; None means ``n_neighbors``."""

    candidates: Literal["nearest", "quadrants"] = "nearest"
    """Draw members from the K nearest, or one from each of the four quadrants around the seed (C = 4)."""

    seed_role: Literal["excluded", "candidate", "member"] = "excluded"
    """Whether the seed itself stays out of its group, may be drawn into it, or is always its first member."""

    min_distance: float = Field(default=0.0, ge=0.0)
    """Smallest distance from the seed to another member, in object pixels; nearer ones of the K are passed over."""

    max_distance: float | None = Field(default=None, gt=0.0)
    """Largest distance from the seed to another member, in object pixels; None means no bound."""

    @property
    def C(self) -> int:
        """Members of a group."""
        return prod(self.grid)

    def seeded(self) -> Self:
        """Return the settings with the seed 0 where they leave it open: ranks and resumed runs must draw alike."""
        return self if self.seed is not None else self.replace(seed=0)

    @model_validator(mode="after")
    def _consistent(self) -> "GroupingConfig":
        n_chosen = self.C - (self.seed_role != "excluded")
        for name, found in (("n_neighbors", self.n_neighbors), ("pool_size", self.pool_size)):
            if self.C > 1 and found is not None and found < n_chosen:
                raise ValueError(
                    f"a grid of {self.grid} with seed_role={self.seed_role!r} needs {name} of at least {n_chosen}; "
                    f"found {found}"
                )
        if self.candidates == "quadrants" and self.C != 4:
            raise ValueError(f"candidates='quadrants' needs grid (2, 2), one member a quadrant; found {self.grid}")
        if self.candidates == "quadrants" and self.seed_role != "excluded":
            raise ValueError("candidates='quadrants' draws one member a quadrant, so seed_role must be 'excluded'")
        if self.max_distance is not None and self.max_distance <= self.min_distance:
            raise ValueError(
                f"max_distance must exceed min_distance; found {self.max_distance} and {self.min_distance} pixels"
            )
        return self
