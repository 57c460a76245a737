"""Settings of an iterative reconstruction: what is fitted, from which start, by which steps."""

from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from ptychofold.config.base import Config, Seed

__all__ = ["GradientConfig", "PtychiConfig", "ReconstructionConfig"]


class ReconstructionConfig(Config):
    """What every engine is told: how long, with how many modes, from which start, on which patterns."""

    epochs: PositiveInt
    """Passes over the patterns."""

    batch_size: PositiveInt | None
    """Patterns of one step, drawn anew each epoch."""

    n_modes: PositiveInt | None = None
    """Incoherent probe modes, of which those beyond the scan's are added; None keeps the scan's."""

    mode_share: float = Field(default=0.02, gt=0.0, lt=1.0)
    """Power that each added mode starts with, as a share of all."""

    start: Literal["flat", "scan"] = "flat"
    """Begin with an object of ones, or with the object that the scan carries."""

    held_out: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the patterns that is left out of the fit and only compared with its result."""

    seed: Seed = 0
    """Seed of the order of patterns and of those held out."""

    @model_validator(mode="after")
    def _leaves_power(self) -> Self:
        if self.n_modes is not None and (self.n_modes - 1) * self.mode_share >= 1.0:
            raise ValueError(
                f"mode_share must leave power for the first mode; found {self.mode_share} for each of {self.n_modes}"
            )
        return self


class GradientConfig(ReconstructionConfig):
    """How object, probe modes and positions are fitted to patterns by minibatch Adam.

    Examples
    --------
    >>> GradientConfig(n_modes=5).loss
    'mae'
    """

    epochs: PositiveInt = 20
    """Passes over the patterns."""

    batch_size: PositiveInt | None = None
    """Patterns of one step, drawn anew each epoch; None takes 16, or fewer if an epoch then has less than 16 steps."""

    loss: Literal["mae", "amplitude", "poisson"] = "mae"
    """Distance of patterns: absolute error of the amplitude (rounded at zero), its square, or the Poisson negative
    log-likelihood of counts."""

    mae_width: PositiveFloat = 0.25
    """Error, in the unit of the amplitude, over which the loss ``mae`` is rounded; √counts have the noise 1/2."""

    learning_rate: PositiveFloat = 0.1
    """Largest step of an object pixel, for an object near 1."""

    probe_learning_rate: NonNegativeFloat = 0.1
    """Largest step of a probe pixel, as a share of the RMS amplitude where the light is; 0 keeps the probe."""

    continued: float = Field(default=0.2, gt=0.0, le=1.0)
    """Share of these two steps that is taken where a fit begins with an object, which larger steps would undo."""

    mode_rate: PositiveFloat = 0.5
    """Step of the modes after the first, as a share of the first's. Small values keep the power in the main mode."""

    position_learning_rate: NonNegativeFloat = 0.0
    """Share of its Gauss-Newton step that a position takes, such as 1; 0 keeps positions. The mean of each batch's
    steps is taken out."""

    position_start: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Share of the epochs that pass before positions move."""

    schedule: Literal["cosine", "constant"] = "cosine"
    """Step size over the run: down to a hundredth, or the same."""

    damping: NonNegativeFloat = 0.2
    """Share of the largest RMS gradient that is added to every pixel's own: hardly lit pixels take small steps."""

    momentum: float = Field(default=0.9, ge=0.0, lt=1.0)
    """Adam's β₁: weight of the past in the mean gradient."""

    memory: float = Field(default=0.999, gt=0.0, lt=1.0)
    """Adam's β₂: weight of the past in the mean squared gradient."""


class PtychiConfig(ReconstructionConfig):
    """An engine of pty-chi, and those of its settings that matter most; the others are pty-chi's defaults.

    Examples
    --------
    >>> PtychiConfig(method="rpie", n_modes=5).epochs
    100
    """

    method: Literal["lsqml", "rpie", "epie"] = "lsqml"
    """Least-squares maximum likelihood, or the regularised or extended ptychographical iterative engine."""

    epochs: PositiveInt = 100
    """Passes over the patterns."""

    batch_size: PositiveInt | None = None
    """Patterns of one step; None is pty-chi's 100."""

    batching: Literal["random", "uniform", "compact"] = "random"
    """Patterns of a step: any, spread over the scan, or near to each other."""

    object_step: PositiveFloat = 1.0
    """Factor of the object's steps."""

    probe_step: NonNegativeFloat = 1.0
    """Factor of the probe's steps; 0 keeps the probe."""

    alpha: PositiveFloat = 0.1
    """Regularisation of the iterative engines' steps where there is little light."""

    momentum: NonNegativeFloat = 0.0
    """Gain of the momentum of ``lsqml``; pty-chi advises 0.5 with compact batches."""

    position_step: NonNegativeFloat = 0.0
    """Factor of the positions' steps; 0 keeps positions."""
