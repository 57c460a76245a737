"""The architectures by name; a new one is one file and one line here."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import torch
from torch import nn

from ptychofold.config.model import ModelSize
from ptychofold.errors import ConfigError
from ptychofold.models.autoencoder import Autoencoder

__all__ = ["ARCHITECTURES", "Architecture", "make_network"]


class Architecture(Protocol):
    """Something that builds a network from (n, n_in, N, N) images to (n, 2, N, N) numbers."""

    def __call__(self, n_in: int, *, N: int, size: ModelSize, skips: bool, rng: torch.Generator) -> nn.Module:
        """Return the network; ``skips`` says that the input lies in real space, pixel by pixel on the patch."""
        ...


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType({"autoencoder": Autoencoder})
"""Networks by name."""


def make_network(name: str, n_in: int, *, N: int, size: ModelSize, skips: bool, rng: torch.Generator) -> nn.Module:
    """Build a network by name.

    Raises
    ------
    ConfigError
        If no architecture has this name, or it cannot be built for N.
    """
    if name not in ARCHITECTURES:
        raise ConfigError(f"expected an architecture named {', '.join(ARCHITECTURES)}; found {name!r}.")
    return ARCHITECTURES[name](n_in, N=N, size=size, skips=skips, rng=rng)
