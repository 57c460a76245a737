"""Frozen, documented settings; one class a subject."""

from ptychofold.config.base import Config
from ptychofold.config.frame import PositionFrame
from ptychofold.config.geometry import ScanGeometry
from ptychofold.config.grouping import GroupingConfig
from ptychofold.config.loader import LoaderConfig
from ptychofold.config.mixture import MixtureConfig
from ptychofold.config.model import ModelConfig
from ptychofold.config.preprocess import (
    BackgroundStep,
    BadPixelStep,
    BinStep,
    ConvertStep,
    CropStep,
    FlatStep,
    FrameStep,
    InpaintStep,
    MaskStep,
    MonitorStep,
    OrientStep,
    PadStep,
    PositionStep,
    PreprocessConfig,
    Step,
    Turn,
)
from ptychofold.config.reading import ReadingConfig
from ptychofold.config.recipe import RecipeConfig
from ptychofold.config.reconstruction import GradientConfig, PtychiConfig, ReconstructionConfig
from ptychofold.config.simulation import SimulationConfig
from ptychofold.config.split import SplitConfig
from ptychofold.config.training import TrainingConfig

__all__ = [
    "BackgroundStep",
    "BadPixelStep",
    "BinStep",
    "Config",
    "ConvertStep",
    "CropStep",
    "FlatStep",
    "FrameStep",
    "GradientConfig",
    "GroupingConfig",
    "InpaintStep",
    "LoaderConfig",
    "MaskStep",
    "MixtureConfig",
    "ModelConfig",
    "MonitorStep",
    "OrientStep",
    "PadStep",
    "PositionFrame",
    "PositionStep",
    "PreprocessConfig",
    "PtychiConfig",
    "ReadingConfig",
    "RecipeConfig",
    "ReconstructionConfig",
    "ScanGeometry",
    "SimulationConfig",
    "SplitConfig",
    "Step",
    "TrainingConfig",
    "Turn",
]
