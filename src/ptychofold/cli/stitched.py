"""What a trained network makes of a scan, shared by the commands that show it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ptychofold.models import PtychographyModel
    from ptychofold.raw_data import RawData
    from ptychofold.reconstruction import Reconstruction

__all__ = ["stitched_scan"]


def stitched_scan(model: "PtychographyModel", scan: "RawData") -> "Reconstruction":
    """Predict every patch of a scan, make the phases of groups agree, and stitch."""
    import numpy as np

    from ptychofold.physics import Geometry, illumination
    from ptychofold.reconstruction import predict, prediction_loader, stitch, synchronize_phases

    probe = model.forward_model.probe.detach().cpu()
    patches = predict(model, prediction_loader(model, scan))
    patches = synchronize_phases(patches, weight=illumination(probe))
    geometry = Geometry.of(model.forward_model.propagator)
    return stitch(patches, scan, probe=np.asarray(probe.numpy(), np.complex64), geometry=geometry)
