"""Stitch: patches of a whole scan become one object.

Every patch is laid at its position with the probe's intensity as its weight, so that each object pixel is the mean of
what patches say of it, trusted as far as they were lit. Complex numbers are averaged, never phases.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Complex64, Float, Float32, Float64
from torch import Tensor

from ptychofold.coverage import coverage_map, object_shape
from ptychofold.errors import ConfigError, DivergenceError, DomainError, ShapeError
from ptychofold.patches import place_patches
from ptychofold.physics import ForwardModel, Geometry, illumination
from ptychofold.raw_data import RawData
from ptychofold.reading import spread_rows
from ptychofold.reconstruction.inference import PredictedPatches
from ptychofold.reconstruction.metrics import scan_r_factor
from ptychofold.reconstruction.result import Reconstruction, object_frame, object_that_holds

__all__ = ["StitchedObject", "Stitcher", "fit_scale", "stitch"]

N_SCALED = 64
"""Patterns, evenly spread over the scan, that fix the scale."""
BRIGHT = 0.95
"""Share of the modelled energy whose pixels fix the scale."""
UNLIT = 1e-6
"""Share of the largest coverage below which an object pixel counts as unlit."""


class StitchedObject(NamedTuple):
    """An object and how well each of its pixels was covered."""

    object: Complex64[np.ndarray, "H W"]
    """Weighted mean of the patches; zero where none is lit."""
    coverage: Float32[np.ndarray, "H W"]
    """Summed weight."""


class Stitcher:
    """Sums patches into one object, in any order and in portions of any size; holds two canvases and the positions.

    Parameters
    ----------
    shape
        (H, W) of the object; what lies outside is dropped.
    weight
        (N, N), trust in each pixel of a patch, not negative, such as the probe's intensity.

    Raises
    ------
    ShapeError
        If the weight is not (N, N).
    DomainError
        If it is negative or not finite somewhere, or zero everywhere.

    Examples
    --------
    >>> stitcher = Stitcher((4, 4), weight=torch.ones(2, 2))
    >>> stitcher.add(torch.full((1, 2, 2), 1j), torch.tensor([[1.0, 1.0]]))
    >>> stitcher.result().object[0, :3].tolist()
    [1j, 1j, 0j]
    """

    def __init__(self, shape: tuple[int, int], *, weight: Float32[Tensor, "N M"]) -> None:
        if weight.shape[0] != weight.shape[1]:
            raise ShapeError(f"expected a weight of shape (N, N); found {tuple(weight.shape)}.", field="weight")
        if not (bool(torch.isfinite(weight).all()) and bool((weight >= 0).all()) and bool(weight.any())):
            raise DomainError(
                "expected a weight that is finite, nowhere negative and not zero everywhere; found values from "
                f"{float(weight.min()):.3g} to {float(weight.max()):.3g}. Use the probe's intensity.",
                field="weight",
            )
        self.weight = weight.detach().cpu()
        self._sum = np.zeros(shape, np.complex128)
        self._positions: list[Float64[np.ndarray, "n 2"]] = []

    def add(self, patches: Complex64[Tensor, "n N N"], positions: Float[Tensor, "n 2"]) -> None:
        """Add patches at (y, x) positions in object pixels.

        Raises
        ------
        ShapeError
            If the patches do not have the size of the weight.
        """
        if patches.shape[1:] != self.weight.shape:
            raise ShapeError(
                f"expected patches of {tuple(self.weight.shape)}, the size of the weight; found "
                f"{tuple(patches.shape[1:])}.",
                field="patches",
            )
        at = positions.detach().cpu().double().numpy()
        weighted = (patches.detach().cpu() * self.weight).to(torch.complex128).numpy()
        place_patches(weighted, at, object_shape(self._sum), out=self._sum)
        self._positions.append(at)

    def result(self) -> StitchedObject:
        """Return the object made of all patches so far.

        Raises
        ------
        ShapeError
            If there are none.
        DivergenceError
            If one was not finite.
        """
        if not self._positions:
            raise ShapeError("expected patches to stitch; found none.", field="patches")
        if not np.isfinite(self._sum).all():
            raise DivergenceError(
                "expected finite patches; found NaN or infinity in the sum of "
                f"{sum(map(len, self._positions))}. Check the patterns, or train the model again."
            )
        # laid in the order of their positions, so that the sum is the same whatever the order of the patches
        at = np.concatenate(self._positions)
        at = at[np.lexsort(at.T)]
        coverage = coverage_map(at, self.weight.numpy(), object_shape(self._sum))
        lit = coverage > UNLIT * coverage.max()
        mean = np.where(lit, self._sum / np.where(lit, coverage, 1), 0)
        return StitchedObject(mean.astype(np.complex64), np.where(lit, coverage, 0).astype(np.float32))


def stitch(
    batches: Iterable[PredictedPatches],
    scan: RawData,
    *,
    probe: Complex64[np.ndarray, "mode N N"] | None = None,
    weight: Float32[np.ndarray, "N N"] | None = None,
    geometry: Geometry | None = None,
) -> Reconstruction:
    """Stitch predicted patches of a scan; scale and global phase are set in the end.

    Batches are taken one at a time and not kept: memory is that of one batch and of the object.

    The scale is the one that gives some patterns their energy. No pattern tells the global phase; the mean of the
    object over its coverage is made real and positive.

    Parameters
    ----------
    batches
        What `predict` gives, for one scan. Groups whose phases were not made to agree are to go through
        `synchronize_phases` first.
    scan
        The scan that was predicted.
    probe
        Illumination, such as a model's refined one; the scan's if None.
    weight
        (N, N), trust in each pixel of a patch; the probe's intensity if None.
    geometry
        Propagation; what the scan states if None.

    Returns
    -------
    reconstruction
        In the scan's frame of positions, or one that begins before it if patches do.

    Raises
    ------
    ShapeError
        If there are no patches, or a scan point has none.
    ConfigError
        If the batches are of several scans.
    DivergenceError
        If a patch was not finite.
    """
    geometry = Geometry.of_scan(scan.metadata) if geometry is None else geometry
    probe = scan.probe if probe is None else probe
    known = object_that_holds(scan)
    shape, shift = object_frame(scan.positions, scan.N, None if known is None else object_shape(known))
    stitcher = Stitcher(shape, weight=illumination(torch.tensor(probe)) if weight is None else torch.tensor(weight))
    experiments: set[int] = set()
    seen = np.zeros(len(scan), bool)
    for batch in batches:
        experiments.update(batch.experiment.tolist())
        if len(experiments) > 1:
            raise ConfigError("expected patches of one scan; found several. Predict and stitch the scans one by one.")
        stitcher.add(batch.patches, batch.positions + torch.from_numpy(shift))
        seen[batch.members.numpy()] = True
    found = stitcher.result()
    if not seen.all():
        raise ShapeError(
            f"expected a patch of each of {len(scan)} scan points; found none of {int((~seen).sum())}, such as "
            f"{int(np.argmin(seen))}. Predict with covering_groups, or stitch the subset of the scan.",
            field="patches",
        )
    positions = scan.positions + shift
    scale = fit_scale(scan, found.object, probe, positions, geometry=geometry)
    phase = np.exp(-1j * np.angle((found.object * found.coverage).sum()))
    canvas = (found.object * (scale * phase)).astype(np.complex64)
    return Reconstruction(
        scan=scan,
        object=canvas,
        coverage=found.coverage,
        probe=probe,
        positions=positions,
        shift=shift,
        r_factor=scan_r_factor(scan, canvas, probe, positions, geometry=geometry),
        geometry=geometry,
        provenance={"engine": "network"},
    )


def fit_scale(
    scan: RawData,
    canvas: Complex64[np.ndarray, "H W"],
    probe: Complex64[np.ndarray, "mode N N"],
    positions: Float64[np.ndarray, "scan 2"],
    *,
    geometry: Geometry,
) -> float:
    """Return the factor of the object that gives the patterns their energy, on some patterns.

    Only pixels count that hold 95 % of the modelled energy: stray counts where the model is dark do not move the
    factor. Energies are unbiased at any dose, where a fit of amplitudes sinks with the dose, as √n does of few counts.
    1 if the model or the patterns are dark.
    """
    rows = spread_rows(len(scan), N_SCALED)
    model = ForwardModel(torch.tensor(probe), propagator=geometry.propagator())
    with torch.no_grad():
        modelled = model.from_object(torch.tensor(canvas), torch.from_numpy(positions[rows])).numpy()
    good = np.isfinite(modelled)
    if scan.bad_pixels is not None:
        good &= ~scan.bad_pixels
    expected, measured = np.square(modelled[good], dtype=np.float64), scan.amplitude(rows)[good]
    order = np.argsort(-expected)
    sums = np.cumsum(expected[order])
    if not len(sums) or sums[-1] == 0:
        return 1.0
    bright = order[: np.searchsorted(sums, BRIGHT * sums[-1]) + 1]
    energy = float(np.square(measured[bright], dtype=np.float64).sum())
    return float(np.sqrt(energy / expected[bright].sum())) if energy > 0 else 1.0
