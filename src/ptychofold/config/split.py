"""Settings of a split: which scan points are for training, validation and test."""

from typing import Literal, Self

from pydantic import Field, model_validator

from ptychofold.config.base import Config, Seed

__all__ = ["SplitConfig"]


class SplitConfig(Config):
    """How scan points are separated before grouping, so that no pattern is shared.

    Examples
    --------
    >>> SplitConfig(validation=0.2, test=0.0).fractions
    {'train': 0.8, 'validation': 0.2}
    """

    validation: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Fraction of scan points for validation."""

    test: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Fraction of scan points for testing."""

    method: Literal["blocks", "stripes", "random"] = "blocks"
    """Compact blocks of neighboring points, bands along the longer axis, or single points at random."""

    seed: Seed = 0
    """Seed of the choice."""

    @property
    def fractions(self) -> dict[str, float]:
        """Fraction of each part that is not empty, training first."""
        named = {"train": 1.0 - self.validation - self.test, "validation": self.validation, "test": self.test}
        return {name: fraction for name, fraction in named.items() if fraction > 0}

    @model_validator(mode="after")
    def _leaves_training(self) -> Self:
        if self.validation + self.test >= 1.0:
            raise ValueError(
                f"validation and test must leave scan points to train on; found {self.validation} and {self.test}"
            )
        return self
