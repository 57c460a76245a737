"""Reconstruct a scan by an iterative engine: ours, which goes down gradients, or one of pty-chi."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex64, Int64

from ptychofold.config import GradientConfig, PtychiConfig, ReconstructionConfig
from ptychofold.coverage import coverage_map, object_shape
from ptychofold.data.readers import in_memory
from ptychofold.errors import DivergenceError, DomainError, ShapeError
from ptychofold.physics import Geometry, illumination, orthogonal_modes
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.devices import device_named
from ptychofold.reconstruction.engines import Beginning, Engine, Guess
from ptychofold.reconstruction.gradient_engine import GradientEngine
from ptychofold.reconstruction.metrics import scan_r_factor
from ptychofold.reconstruction.ptychi_engine import PtychiEngine
from ptychofold.reconstruction.result import Reconstruction

__all__ = ["EpochReport", "ReconstructionDivergedError", "reconstruct"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """What is known after an epoch."""

    epoch: int
    """Epochs done, from 1."""
    n_epochs: int
    """Epochs that the fit will take."""
    r_factor: float
    """R of the epoch's patterns as they were met."""
    seconds: float
    """Time since the fit began."""


OnEpoch = Callable[[EpochReport], object]


class ReconstructionDivergedError(DivergenceError):
    """A fit became non-finite; `last` is what it was before."""

    def __init__(self, message: str, *, last: Reconstruction) -> None:
        super().__init__(message)
        self.last = last


def reconstruct(
    scan: RawData,
    config: GradientConfig | PtychiConfig | None = None,
    *,
    geometry: Geometry | None = None,
    start: Complex64[np.ndarray, "H W"] | Reconstruction | None = None,
    probe: Complex64[np.ndarray, "mode N N"] | None = None,
    on_epoch: OnEpoch | None = None,
    device: torch.device | str = "cpu",
) -> Reconstruction:
    """Reconstruct a scan by the engine that the settings are for.

    Parameters
    ----------
    scan
        With a first guess of the probe; its scale does not matter.
    config
        Settings of the gradient engine or of one of pty-chi; the gradient engine's defaults if None.
    geometry
        Propagation; that of ``start`` if it is a reconstruction, else what the scan states.
    start
        Object to begin with, in the scan's frame of positions, or a reconstruction (such as a network's, stitched)
        whose probe and positions are taken too. If None, what ``config.start`` says.
    probe
        Probe to begin with; that of ``start`` or of the scan if None.
    on_epoch
        Told the state after each epoch.
    device
        Where to compute; a name is one that `ptychofold.reconstruction.devices.device_named` takes.

    Returns
    -------
    reconstruction
        Modes orthogonal, strongest first; the same for the same seed on one machine with one number of threads.

    Raises
    ------
    MissingFieldError
        If the scan's object is asked for and there is none.
    ShapeError
        If the object to begin with is too small for the positions, the probe of another size than the patterns, or no
        pattern is left to fit.
    DomainError
        If a pattern is negative or not finite, or all that are held out are dark.
    ReconstructionDivergedError
        If the fit becomes non-finite.
    DependencyError
        If pty-chi's engine is asked for and does not load.
    """
    config = config or GradientConfig()
    device = device_named(device) if isinstance(device, str) else device
    clock = _Clock()
    if geometry is None:
        geometry = start.geometry if isinstance(start, Reconstruction) else Geometry.of_scan(scan.metadata)
    held_out, fitted = _split(len(scan), config)
    scan = scan if scan.patterns.random_access else scan.with_patterns(in_memory(scan))
    _check_lit(scan, held_out)
    beginning = Beginning.of(scan, config, fitted=fitted, geometry=geometry, start=start, probe=probe)
    engine = _engine(beginning, config, device=device)
    run = _Run(beginning=beginning, config=config, clock=clock, held_out=held_out)
    losses: list[float] = []
    found = beginning.guess
    for epoch in range(config.epochs):
        last, r_factor = found, engine.epoch(epoch)
        found = engine.found()
        if not (np.isfinite(r_factor) and found.is_finite()):
            raise ReconstructionDivergedError(
                f"expected a finite fit; found NaN or infinity in epoch {epoch + 1} of {config.epochs}. Lower "
                "the steps of object and probe, or begin from a better probe.",
                last=run.result(last, losses),
            )
        losses.append(r_factor)
        if on_epoch is not None:
            on_epoch(EpochReport(epoch=epoch + 1, n_epochs=config.epochs, r_factor=r_factor, seconds=clock.seconds()))
    result = run.result(found, losses)
    logger.info(
        "reconstructed %d patterns in %d epochs, %.1f s: R = %.4f, held out %s, main mode %.0f %%",
        len(scan),
        config.epochs,
        result.seconds,
        result.r_factor,
        "none" if result.r_factor_held_out is None else f"{result.r_factor_held_out:.4f}",
        100 * result.mode_shares[0],
    )
    return result


class _Clock:
    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        return time.perf_counter() - self.wall

    def cpu_seconds(self) -> float:
        return time.process_time() - self.cpu


def _split(n_scan: int, config: ReconstructionConfig) -> tuple[Int64[np.ndarray, " h"], Int64[np.ndarray, " n"]]:
    """Return the scan points held out, and those of the fit."""
    n_held = max(1, round(n_scan * config.held_out)) if config.held_out else 0
    if n_held >= n_scan:
        raise ShapeError(
            f"expected patterns to fit; found {n_scan}, of which {n_held} are held out. Lower held_out.",
            field="patterns",
        )
    drawn = np.random.default_rng([config.seed, 0]).permutation(n_scan)
    return np.sort(drawn[:n_held]), np.sort(drawn[n_held:])


def _check_lit(scan: RawData, held_out: Int64[np.ndarray, " h"]) -> None:
    """Refuse to compare with patterns that have no light in them: R is relative."""
    if len(held_out) and not scan.energies(held_out).any():
        raise DomainError(
            f"expected light in the patterns held out; found {len(held_out)} dark ones. Drop the dark patterns "
            "(ptychofold preprocess with a step 'frames'), or hold out more.",
            path=scan.path,
            field="patterns",
        )


def _engine(beginning: Beginning, config: GradientConfig | PtychiConfig, *, device: torch.device) -> Engine:
    if isinstance(config, PtychiConfig):
        return PtychiEngine(beginning, config, device=device)
    return GradientEngine.begin(beginning, config, device=device)


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What a result tells of the run that it comes from."""

    beginning: Beginning
    config: ReconstructionConfig
    clock: _Clock
    held_out: Int64[np.ndarray, " h"]

    def result(self, found: Guess, losses: list[float]) -> Reconstruction:
        """Make modes orthogonal and the mean phase zero, and compare with the patterns."""
        scan, geometry = self.beginning.scan, self.beginning.geometry
        modes = orthogonal_modes(torch.tensor(found.probe))
        canvas, probe, positions = found.object, modes.numpy(), found.positions
        coverage = coverage_map(positions, illumination(modes).numpy(), object_shape(canvas))
        canvas = (canvas * np.exp(-1j * np.angle((canvas * coverage).sum()))).astype(np.complex64)
        cpu_seconds, seconds = self.clock.cpu_seconds(), self.clock.seconds()

        def r_factor(rows: Int64[np.ndarray, " n"] | None) -> float:
            return scan_r_factor(scan, canvas, probe, positions, geometry=geometry, rows=rows)

        return Reconstruction(
            scan=scan,
            object=canvas,
            coverage=coverage,
            probe=probe,
            positions=positions,
            shift=self.beginning.shift,
            r_factor=r_factor(None),
            r_factor_held_out=r_factor(self.held_out) if len(self.held_out) else None,
            held_out=self.held_out,
            losses=tuple(losses),
            geometry=geometry,
            provenance={
                "engine": f"ptychi:{self.config.method}" if isinstance(self.config, PtychiConfig) else "gradient",
                "settings": self.config.model_dump(mode="json"),
                "source": scan.metadata.source,
            },
            seconds=seconds,
            cpu_seconds=cpu_seconds,
        )
