"""What a trained network makes of a scan, shared by the commands that show it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ptychofold.models import PtychographyModel
    from ptychofold.physics import Geometry
    from ptychofold.raw_data import RawData
    from ptychofold.reconstruction import Reconstruction

__all__ = ["stitched_scan"]


def stitched_scan(
    model: "PtychographyModel", scan: "RawData", *, geometry: "Geometry | None" = None
) -> "Reconstruction":
    """Predict every patch of a scan where training found it to lie, make the phases of groups agree, and stitch.

    ``geometry`` is how the scan was measured, where it was said to be other than the scan states.
    """
    import numpy as np

    from ptychofold.physics import Geometry, illumination
    from ptychofold.reconstruction import predict, prediction_loader, stitch, synchronize_phases

    probe = model.forward_model.probe.detach().cpu()
    scan = model.refined(scan)
    patches = predict(model, prediction_loader(model, scan, geometry=geometry))
    patches = synchronize_phases(patches, weight=illumination(probe))
    propagation = Geometry.of(model.forward_model.propagator)
    return stitch(patches, scan, probe=np.asarray(probe.numpy(), np.complex64), geometry=propagation)
