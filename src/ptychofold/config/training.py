"""Settings of training: what is minimised, by which steps, until when, and what is kept."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator, model_validator

from ptychofold.config.base import Config, Seed

__all__ = ["SPLIT_PHOTONS", "PatternLossName", "TrainingConfig"]

PatternLossName = Literal["poisson", "mae"]

SPLIT_PHOTONS = 0.75
"""Share of the photons that the network sees, if patterns are whole counts and the settings leave it open."""


class TrainingConfig(Config):
    """How a model is trained.

    Examples
    --------
    >>> TrainingConfig(epochs=2).mode
    'unsupervised'
    """

    mode: Literal["unsupervised", "supervised", "mixed"] = "unsupervised"
    """Compare modelled with measured patterns, predicted with true patches, or both."""

    loss: PatternLossName = "poisson"
    """Distance of patterns: Poisson negative log-likelihood of counts, or mean absolute error of the amplitude."""

    supervised_weight: PositiveFloat = 1.0
    """Weight of the patch loss beside the pattern loss in mode ``mixed``."""

    total_variation: NonNegativeFloat = 0.0
    """Weight of the total variation of the predicted patches under the probe."""

    split_photons: float | None = Field(default=None, ge=0.0, lt=1.0)
    """Share of each pattern's photons that the network sees in training; the loss counts the others.

    The two shares of a Poisson process are independent, so the network cannot learn to repeat the noise. 0 shows all
    photons to both. Needs patterns that are whole counts; None is `SPLIT_PHOTONS` for those and 0 for others, and in
    mode ``supervised``.
    """

    epochs: PositiveInt = 50
    """Passes over the training groups."""

    max_minutes: PositiveFloat | None = None
    """Stop after this time at the latest; None for no bound."""

    learning_rate: PositiveFloat = 3e-3
    """Largest step size of AdamW for the network."""

    probe_learning_rate: PositiveFloat = 1e-3
    """Step size for the probe, as a share of its largest amplitude."""

    position_learning_rate: PositiveFloat = 1e-2
    """Step size for positions, in pixels."""

    weight_decay: NonNegativeFloat = 0.0
    """Decoupled weight decay of the network."""

    schedule: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    """Step size over the run: up and down, down, or the same."""

    gradient_clip: PositiveFloat | None = 1.0
    """Largest norm of the gradient; None does not clip."""

    accumulate: PositiveInt = 1
    """Batches whose gradients are averaged for one step."""

    precision: Literal["auto", "32", "bf16", "16"] = "auto"
    """Numbers that the network computes in; "auto" is bfloat16 on a GPU that has it, else float32. Physics is float32
    always."""

    early_stopping: PositiveInt | None = None
    """Stop after this many epochs without a lower validation (else training) loss; None never stops early."""

    loggers: tuple[Literal["csv", "tensorboard", "mlflow"], ...] = ()
    """Lightning loggers that write below ``output_dir``."""

    output_dir: Path | None = None
    """Where checkpoints and logs go; None keeps all in memory."""

    checkpoint_every: PositiveInt = 1
    """Epochs between checkpoints that a run can be resumed from."""

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Kind of device: a CUDA GPU if there is one, the processor, or a CUDA GPU and nothing else."""

    devices: PositiveInt = 1
    """Devices, or processes on a CPU, that share each step."""

    strategy: Literal["auto", "ddp", "ddp_spawn"] = "auto"
    """How several devices work together, as Lightning names it."""

    seed: Seed = 0
    """Seed of what is drawn in training, such as photons."""

    @field_validator("precision", mode="before")
    @classmethod
    def _bits(cls, precision: object) -> object:
        """Take a number of bits as its name."""
        return str(precision) if isinstance(precision, int) else precision

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.loggers and self.output_dir is None:
            raise ValueError("loggers write below output_dir, which is None; give a directory")
        if self.split_photons and self.mode == "supervised":
            raise ValueError("split_photons divides photons between network and pattern loss; mode is 'supervised'")
        return self
