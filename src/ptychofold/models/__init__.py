"""Networks that turn diffraction into object patches, and the physics that judges them."""

from ptychofold.models.autoencoder import Autoencoder
from ptychofold.models.data_contract import DataContract
from ptychofold.models.heads import AmplitudePhaseHead, Head, RealImaginaryHead, make_head
from ptychofold.models.lifting import Illumination, Lifted, data_gradient, lift, lifted_features
from ptychofold.models.placement import Placement
from ptychofold.models.position_shifts import PositionShifts
from ptychofold.models.ptychography import ModelOutput, PatchesOnPixels, PtychographyModel
from ptychofold.models.registry import ARCHITECTURES, Architecture, make_network

__all__ = [
    "ARCHITECTURES",
    "AmplitudePhaseHead",
    "Architecture",
    "Autoencoder",
    "DataContract",
    "Head",
    "Illumination",
    "Lifted",
    "ModelOutput",
    "PatchesOnPixels",
    "Placement",
    "PositionShifts",
    "PtychographyModel",
    "RealImaginaryHead",
    "data_gradient",
    "lift",
    "lifted_features",
    "make_head",
    "make_network",
]
