"""What a trained network makes of a scan, shared by the commands that show it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ptychofold.models import PtychographyModel
    from ptychofold.raw_data import RawData
    from ptychofold.reconstruction import Reconstruction

__all__ = ["stitched_scan"]

PATTERNS_TOGETHER = 32
"""Patterns that are predicted at once: more of them leave a processor's caches."""


def stitched_scan(model: "PtychographyModel", scan: "RawData") -> "Reconstruction":
    """Predict every patch of a scan, make the phases of groups agree, and stitch."""
    import numpy as np

    from ptychofold.config import LoaderConfig
    from ptychofold.physics import Geometry, illumination
    from ptychofold.reconstruction import predict, prediction_loader, stitch, synchronize_phases

    probe = model.forward_model.probe.detach().cpu()
    loader = LoaderConfig(batch_size=max(1, PATTERNS_TOGETHER // (model.contract.C or 1)))
    patches = predict(model, prediction_loader(model, scan, loader=loader))
    patches = synchronize_phases(patches, weight=illumination(probe))
    geometry = Geometry.of(model.forward_model.propagator)
    return stitch(patches, scan, probe=np.asarray(probe.numpy(), np.complex64), geometry=geometry)
