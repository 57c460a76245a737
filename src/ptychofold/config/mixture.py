"""Settings of a mixture: how often each scan is seen in an epoch."""

from typing import Literal

from pydantic import Field, PositiveInt

from ptychofold.config.base import Config

__all__ = ["MixtureConfig"]


class MixtureConfig(Config):
    """How scans share an epoch.

    A scan of n groups gets a share proportional to n^(1/T): T = 1 is proportional, T → ∞ is uniform.

    Examples
    --------
    >>> MixtureConfig(policy="temperature", temperature=2.0).n_groups is None
    True
    """

    policy: Literal["proportional", "uniform", "temperature"] = "proportional"
    """Each scan as often as it has groups, all scans alike, or between the two."""

    temperature: float = Field(default=2.0, ge=1.0)
    """T of the policy "temperature"; without effect for the others."""

    n_groups: PositiveInt | None = None
    """Exact length of an epoch in groups; None means as many as all scans have."""
