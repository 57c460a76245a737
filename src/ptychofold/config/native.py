"""NativeSettings: everything that a configuration of another project may say, in native terms."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt

from ptychofold.config.base import Config
from ptychofold.config.grouping import GroupingConfig
from ptychofold.errors import ConfigError

__all__ = ["NativeSettings"]


class NativeSettings(Config):
    """What a foreign configuration says, in native terms; None where it says nothing."""

    @classmethod
    def from_dotted(cls, settings: Mapping[str, object], *, said: Mapping[str, str] | None = None) -> Self:
        """Build from flat names, those of the grouping as ``grouping.grid`` and so on.

        Parameters
        ----------
        settings
            Values by name.
        said
            What the caller calls each of them, for messages.

        Raises
        ------
        ConfigError
            If a setting is unknown or wrong.

        Examples
        --------
        >>> NativeSettings.from_dotted({"size": 64, "grouping.grid": (2, 2)}).grouping.C
        4
        """
        own = {name: value for name, value in settings.items() if "." not in name}
        grouping = {name.removeprefix("grouping."): value for name, value in settings.items() if "." in name}
        try:
            return cls(grouping=GroupingConfig.from_mapping(grouping), **own)
        except ConfigError as error:
            raise ConfigError(_as_said(str(error), said or {})) from None

    size: PositiveInt | None = None
    """Rows, and columns, of a pattern and of a patch, in pixels."""

    grouping: GroupingConfig = Field(default_factory=GroupingConfig)
    """How groups are drawn."""

    n_photons: PositiveFloat | None = None
    """Mean photons of a pattern."""

    mode: Literal["unsupervised", "supervised"] | None = None
    """Whether a network learns from the physics alone or from known patches."""

    amp_activation: Literal["sigmoid", "swish", "softplus", "relu"] | None = None
    """Activation of the network's amplitude."""

    epochs: PositiveInt | None = None
    """Passes over the training groups."""

    batch_size: PositiveInt | None = None
    """Groups in a batch."""

    loss: Literal["poisson", "mae"] | None = None
    """Poisson likelihood of the counts, or mean absolute error of the amplitude."""

    object_big: bool | None = None
    """Whether a group's patches are cut from one object."""

    probe_big: bool | None = None
    """Whether the network predicts the patch's border, too."""

    probe_mask: bool | None = None
    """Whether the probe is masked by a disk."""

    probe_trainable: bool | None = None
    """Whether training refines the probe."""

    intensity_scale_trainable: bool | None = None
    """Whether training refines the intensity scale."""

    positions_provided: bool | None = None
    """Whether the scan's positions are known."""

    output_dir: Path | None = None
    """Where results go."""

    train_file: Path | None = None
    """The training scan."""

    test_file: Path | None = None
    """The test scan."""

    model_path: Path | None = None
    """The trained model."""


def _as_said(message: str, said: Mapping[str, str]) -> str:
    """Put the caller's names behind those of ours that a message has."""
    for ours, theirs in said.items():
        name = ours.rpartition(".")[2]
        if name != theirs:
            message = re.sub(rf"\b{name}\b", f"{name} (your {theirs})", message)
    return message
