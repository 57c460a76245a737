"""What iterative engines have in common: where a fit begins, the steps of it, and what it has found."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from jaxtyping import Complex64, Float64, Int64

from ptychofold.config import ReconstructionConfig
from ptychofold.coverage import object_shape
from ptychofold.errors import MissingFieldError, ShapeError
from ptychofold.physics import Geometry, add_modes, orthogonal_modes
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.result import Reconstruction, object_frame, object_that_holds, overhang
from ptychofold.reconstruction.stitching import fit_scale

__all__ = ["Beginning", "Engine", "Guess"]

OVERHANG = 8
"""Part of a patch that may lie beyond the object: refined positions move, and hardly any light falls there."""


@dataclass(frozen=True, kw_only=True)
class Guess:
    """An object, a probe and positions that go together."""

    object: Complex64[np.ndarray, "H W"]
    probe: Complex64[np.ndarray, "mode N N"]
    positions: Float64[np.ndarray, "scan 2"]
    """(y, x) in pixels of the object."""

    def is_finite(self) -> bool:
        """Whether there is neither NaN nor infinity in it."""
        return all(bool(np.isfinite(values).all()) for values in (self.object, self.probe, self.positions))


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """A scan and the guess that a fit of it begins with."""

    scan: RawData
    fitted: Int64[np.ndarray, " n"]
    """Scan points of the fit."""
    geometry: Geometry
    guess: Guess
    shift: Float64[np.ndarray, " 2"]
    """Whole pixels that were added to the scan's positions so that the object holds every patch."""
    continued: bool
    """Whether the object was given, not flat."""

    @classmethod
    def of(
        cls,
        scan: RawData,
        config: ReconstructionConfig,
        *,
        fitted: Int64[np.ndarray, " n"],
        geometry: Geometry,
        start: Complex64[np.ndarray, "H W"] | Reconstruction | None,
        probe: Complex64[np.ndarray, "mode N N"] | None,
    ) -> Self:
        """Begin at a flat object or a given one, the probe scaled so that R of the fit's patterns is least."""
        if start is None and config.start == "scan":
            start = _object_of(scan)
        if isinstance(start, Reconstruction):
            if len(start.positions) != len(scan):
                raise ShapeError(
                    f"expected a reconstruction of {len(scan)} positions to begin with; found {len(start.positions)}.",
                    field="positions",
                )
            canvas, positions = _filled(start.object), start.positions
            moved = start.scan.positions_nominal - scan.positions_nominal
            shift = start.shift + np.rint(moved.mean(axis=0))
        else:
            known = start if start is not None else object_that_holds(scan)
            shape, shift = object_frame(scan.positions, scan.N, None if known is None else object_shape(known))
            canvas = np.ones(shape, np.complex64) if start is None else _filled(start)
            positions = scan.positions + shift
        if probe is None:
            probe = start.probe if isinstance(start, Reconstruction) else scan.probe
        _check_fit(canvas, probe, positions, N=scan.N)
        probe = _with_modes(probe, config)
        scale = fit_scale(scan.subset(fitted), canvas, probe, positions[fitted], geometry=geometry)
        guess = Guess(object=canvas, probe=(probe * scale).astype(np.complex64), positions=positions)
        return cls(scan=scan, fitted=fitted, geometry=geometry, guess=guess, shift=shift, continued=start is not None)


class Engine(ABC):
    """A fit that goes on epoch by epoch."""

    @abstractmethod
    def epoch(self, epoch: int) -> float:
        """Pass over the patterns once; return their R as they were met."""

    @abstractmethod
    def found(self) -> Guess:
        """Return copies of what the fit has found so far, in the frame that it began in."""


def _object_of(scan: RawData) -> Complex64[np.ndarray, "H W"]:
    if scan.object is None:
        raise MissingFieldError(
            "expected a scan with an object, as start='scan'; found none. Begin with start='flat'.",
            path=scan.metadata.source,
            field="object",
        )
    return scan.object


def _check_fit(
    canvas: Complex64[np.ndarray, "H W"],
    probe: Complex64[np.ndarray, "mode N M"],
    positions: Float64[np.ndarray, "scan 2"],
    *,
    N: int,
) -> None:
    if probe.shape[1:] != (N, N):
        raise ShapeError(
            f"expected a probe of {N} × {N} pixels to begin with, the size of the patterns; found "
            f"{' × '.join(map(str, probe.shape[1:]))}. Crop or pad it, or take that of a scan like this one.",
            field="probe",
        )
    beyond = overhang(object_shape(canvas), positions, N=N)
    if beyond > N // OVERHANG:
        raise ShapeError(
            "expected an object that holds the patches of all positions; found one of "
            f"{' × '.join(map(str, canvas.shape))} pixels, beyond which they reach by {beyond:.0f}. Begin with an "
            "object in the scan's frame, or with a flat one.",
            field="object",
        )


def _filled(canvas: Complex64[np.ndarray, "H W"]) -> Complex64[np.ndarray, "H W"]:
    """Return the object with the mean of the rest where it is zero: where no patch was laid."""
    laid = canvas != 0
    mean = canvas[laid].mean() if laid.any() else 1.0
    return np.where(laid, canvas, mean).astype(np.complex64)


def _with_modes(
    probe: Complex64[np.ndarray, "mode N N"], config: ReconstructionConfig
) -> Complex64[np.ndarray, "new N N"]:
    if config.n_modes is None or config.n_modes == len(probe):
        return probe
    modes = torch.tensor(probe)
    if config.n_modes < len(probe):
        modes = orthogonal_modes(modes)[: config.n_modes]
    else:
        modes = add_modes(modes, n_modes=config.n_modes, share=config.mode_share)
    return modes.numpy()
