"""From a trained model to an object: train, predict, stitch, save, compare.

`ptychofold.reconstruction.training.fit` is imported from its own module, as it brings Lightning.
"""

from ptychofold.reconstruction.alignment import align
from ptychofold.reconstruction.checkpoint import load_checkpoint, read_description, save_checkpoint
from ptychofold.reconstruction.inference import PredictedPatches, covering_groups, predict, prediction_loader
from ptychofold.reconstruction.network import predict_object
from ptychofold.reconstruction.phases import synchronize_phases
from ptychofold.reconstruction.result import Reconstruction
from ptychofold.reconstruction.stitching import Stitcher, stitch

__all__ = [
    "PredictedPatches",
    "Reconstruction",
    "Stitcher",
    "align",
    "covering_groups",
    "load_checkpoint",
    "predict",
    "predict_object",
    "prediction_loader",
    "read_description",
    "save_checkpoint",
    "stitch",
    "synchronize_phases",
]
