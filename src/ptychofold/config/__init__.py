"""Frozen, documented settings; one class a subject."""

from ptychofold.config.base import Config
from ptychofold.config.grouping import GroupingConfig
from ptychofold.config.loader import LoaderConfig
from ptychofold.config.mixture import MixtureConfig
from ptychofold.config.model import ModelConfig
from ptychofold.config.reconstruction import GradientConfig
from ptychofold.config.split import SplitConfig
from ptychofold.config.training import TrainingConfig

__all__ = [
    "Config",
    "GradientConfig",
    "GroupingConfig",
    "LoaderConfig",
    "MixtureConfig",
    "ModelConfig",
    "SplitConfig",
    "TrainingConfig",
]
