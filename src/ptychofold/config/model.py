"""Settings of a model: which network, what it sees, how its output becomes an object patch."""

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from ptychofold.config.base import Config, Seed

__all__ = ["ModelConfig", "ModelSize"]

ModelSize = Literal["small", "base", "large"]


class ModelConfig(Config):
    """How a network turns diffraction into object patches.

    Examples
    --------
    >>> ModelConfig().size
    'small'
    """

    architecture: str = "autoencoder"
    """Name of the network in ``ptychofold.models.ARCHITECTURES``."""

    size: ModelSize = "small"
    """Width of the network: ``small`` trains on a processor, ``base`` and ``large`` want a GPU."""

    head: Literal["amplitude_phase", "real_imaginary"] = "real_imaginary"
    """Whether the network's two numbers a pixel are amplitude and phase, or real and imaginary part.

    The latter is linear: it learns amplitude and phase alike and cannot be caught at a bound.
    """

    amplitude_max: float = Field(default=1.2, gt=0.0)
    """Bound of a patch's amplitude under the head ``amplitude_phase``; a passive object stays below 1."""

    input: Literal["lifted", "amplitude"] = "lifted"
    """What the network sees: steps of phase retrieval in real space (`ptychofold.models.lifting`), or the pattern."""

    lift_steps: NonNegativeInt = 16
    """Steps of phase retrieval from a flat object that the network's input has gone through."""

    lift_together: bool = True
    """Lift the members of a group as one object, so that each patch holds what its neighbors measured.

    If False, networks see single patterns and need no groups to predict. Groups are then for training alone: with
    ``overlap``, the mean of their patches, whose phases are first made to agree, must explain all their patterns.
    """

    passes: PositiveInt = 1
    """Networks that patches go through, one after the other.

    Each after the first sees what the data say of the patches so far, and corrects them; each is judged by the loss.
    Two cost about twice the time of one, and what they gained is told in ``docs/how_good_is_it.md``.
    """

    residual: bool | None = None
    """Let the network correct the lifted patch instead of drawing the patch anew; None does so if there is one."""

    overlap: bool = True
    """Make one object of a group's patches before diffraction, so that members constrain one another (C > 1)."""

    probe_scaling: Literal["auto", "given", "match"] = "auto"
    """Take the probe to be in √photons as given, or give it the patterns' mean energy.

    "auto" takes the given scale if the patterns hold between a quarter of the probe's energy and a little more than
    all of it, as behind a passive object.
    """

    trainable_probe: bool = False
    """Refine the probe in training; for a single scan."""

    refine_positions: bool = False
    """Refine the offsets of the members of a group in training; for a single scan and C > 1."""

    seed: Seed = 0
    """Seed of the initial weights."""

    @model_validator(mode="after")
    def _has_what_it_corrects(self) -> Self:
        if self.residual and self.input != "lifted":
            raise ValueError("residual corrects the lifted patch, but input is 'amplitude'; set input='lifted'")
        if not self.lift_together and self.input != "lifted":
            raise ValueError("lift_together=False lifts patterns one by one, but input is 'amplitude'; leave it True")
        if self.passes > 1 and self.input != "lifted":
            raise ValueError("passes after the first correct lifted patches, but input is 'amplitude'; set passes=1")
        return self
