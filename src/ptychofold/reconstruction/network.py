"""Predict a scan's object: the whole road from a trained model to a stitched result, in one call."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from ptychofold.config import LoaderConfig
from ptychofold.models import PtychographyModel
from ptychofold.physics import Geometry, illumination
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.inference import PredictedPatches, covering_groups, predict, prediction_loader
from ptychofold.reconstruction.phases import synchronize_phases
from ptychofold.reconstruction.result import Reconstruction
from ptychofold.reconstruction.stitching import stitch

__all__ = ["predict_object"]

Progress = Callable[[int], None]
"""Called with the number of patches that were predicted since the last call."""


def predict_object(
    model: PtychographyModel,
    scan: RawData,
    *,
    geometry: Geometry | None = None,
    every_seed: bool = False,
    synchronize: bool = True,
    loader: LoaderConfig | None = None,
    progress: Progress | None = None,
) -> Reconstruction:
    """Predict every patch of a scan, make the phases of groups agree, and stitch.

    Parameters
    ----------
    model
        On any device; batches follow it.
    scan
        That of training, whose learned positions are then used, or any other that fits the model.
    geometry
        How the scan was measured, where it does not state that itself or wrongly.
    every_seed
        Average about C views of each scan point, for C times the work; see `covering_groups`.
    synchronize
        Whether the phases of groups are made to agree. All patches are then held in memory, 8 N² bytes each;
        otherwise no more than a batch.
    loader
        Batch size and workers; 32 patterns at once if None.
    progress
        Told how many patches were predicted; there are `len(scan)` of them or a few more, C times that if
        ``every_seed``.

    Raises
    ------
    CheckpointError
        If the scan does not fit the model.
    DivergenceError
        If a patch is not finite.

    Examples
    --------
    >>> from ptychofold.config import ModelConfig
    >>> from ptychofold.testing import make_scan
    >>> scan = make_scan(n_scan=25, N=32, step=3.0)
    >>> untrained = PtychographyModel.for_scan(scan, ModelConfig(lift_steps=4))
    >>> predict_object(untrained, scan).r_factor < 1
    True
    """
    start, cpu_start = time.perf_counter(), time.process_time()
    scan = model.refined(scan)
    C = model.contract.C or 1
    groups = covering_groups(scan.positions, C=C, every_seed=every_seed and C > 1)
    batches = prediction_loader(model, scan, geometry=geometry, groups=groups, loader=loader)
    first = batches.batch_order.source.__getitems__([0]).to(model.forward_model.probe.device)
    probe = model.illumination(first).probe.detach().cpu()
    patches: Iterable[PredictedPatches] = _told(predict(model, batches), progress)
    if synchronize:
        patches = synchronize_phases(patches, weight=illumination(probe))
    result = stitch(
        patches,
        scan,
        probe=np.asarray(probe.numpy(), np.complex64),
        geometry=Geometry.of(model.forward_model.propagator),
    )
    return replace(
        result,
        provenance={
            **result.provenance,
            "settings": {
                "model": model.config.model_dump(mode="json"),
                "every_seed": every_seed,
                "synchronize": synchronize,
            },
            "source": scan.metadata.source,
        },
        seconds=time.perf_counter() - start,
        cpu_seconds=time.process_time() - cpu_start,
    )


def _told(batches: Iterator[PredictedPatches], progress: Progress | None) -> Iterator[PredictedPatches]:
    for batch in batches:
        yield batch
        if progress is not None:
            progress(len(batch.members))
