"""Frozen, documented settings; one class a subject."""

from ptychofold.config.base import Config
from ptychofold.config.grouping import GroupingConfig
from ptychofold.config.loader import LoaderConfig
from ptychofold.config.mixture import MixtureConfig
from ptychofold.config.split import SplitConfig

__all__ = ["Config", "GroupingConfig", "LoaderConfig", "MixtureConfig", "SplitConfig"]
