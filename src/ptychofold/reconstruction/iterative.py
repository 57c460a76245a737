"""The gradient engine: object, probe modes and positions fitted to the patterns of a scan by minibatch Adam."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, cos, pi
from typing import Self

import numpy as np
import torch
from jaxtyping import Complex64, Float64, Int64
from torch import Tensor

from ptychofold.config import GradientConfig
from ptychofold.coverage import coverage_map
from ptychofold.data.readers import in_memory
from ptychofold.errors import DivergenceError, MissingFieldError, ShapeError
from ptychofold.physics import Geometry, add_modes, illumination, orthogonal_modes
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.gradients import DARK, Adam, Objective, move_positions
from ptychofold.reconstruction.metrics import scan_r_factor
from ptychofold.reconstruction.result import Reconstruction, object_frame
from ptychofold.reconstruction.stitching import fit_scale

__all__ = ["EpochReport", "ReconstructionDivergedError", "reconstruct"]

logger = logging.getLogger(__name__)

BATCH = 16
"""Patterns of a step, and least steps of an epoch, if the settings leave it open."""
LAST_RATE = 0.01
"""Step size at the end of the cosine schedule, as a share of the first."""


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
    config: GradientConfig | None = None,
    *,
    geometry: Geometry | None = None,
    start: Complex64[np.ndarray, "H W"] | Reconstruction | None = None,
    probe: Complex64[np.ndarray, "mode N N"] | None = None,
    on_epoch: OnEpoch | None = None,
    device: torch.device | str = "cpu",
) -> Reconstruction:
    """Reconstruct a scan by gradient descent.

    Parameters
    ----------
    scan
        With a first guess of the probe; its scale does not matter.
    config
        Settings; the defaults if None.
    geometry
        Propagation; that of ``start`` if it is a reconstruction, else far field.
    start
        Object to begin with, in the scan's frame of positions, or a reconstruction (such as a network's, stitched)
        whose probe and positions are taken too. If None, what ``config.start`` says.
    probe
        Probe to begin with; that of ``start`` or of the scan if None.
    on_epoch
        Told the state after each epoch.
    device
        Where to compute.

    Returns
    -------
    reconstruction
        Modes orthogonal, strongest first; the same for the same seed on one machine with one number of threads.

    Raises
    ------
    MissingFieldError
        If the scan's object is asked for and there is none.
    ShapeError
        If the object to begin with is too small for the positions, or no pattern is left to fit.
    DomainError
        If a pattern is negative or not finite.
    ReconstructionDivergedError
        If the fit becomes non-finite.
    """
    config = config or GradientConfig()
    clock = _Clock()
    if geometry is None:
        geometry = start.geometry if isinstance(start, Reconstruction) else Geometry()
    held_out, fitted = _split(len(scan), config)
    scan = scan if scan.patterns.random_access else scan.with_patterns(in_memory(scan))
    first = _first_guess(scan, config, start=start, probe=probe)
    fit = _Fit.begin(scan, config, first, fitted=fitted, geometry=geometry, device=torch.device(device))
    losses: list[float] = []
    rng = np.random.default_rng([config.seed, 1])
    for epoch in range(config.epochs):
        last = fit.state()
        r_factor = fit.epoch(epoch, rng.permutation(fitted))
        if not (np.isfinite(r_factor) and fit.is_finite()):
            fit.restore(last)
            raise ReconstructionDivergedError(
                f"expected a finite fit; found NaN or infinity in epoch {epoch + 1} of {config.epochs}. Lower "
                "learning_rate or probe_learning_rate, or begin from a better probe.",
                last=_result(fit, clock=clock, losses=losses, held_out=held_out),
            )
        losses.append(r_factor)
        if on_epoch is not None:
            on_epoch(EpochReport(epoch=epoch + 1, n_epochs=config.epochs, r_factor=r_factor, seconds=clock.seconds()))
    result = _result(fit, clock=clock, losses=losses, held_out=held_out)
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


@dataclass(kw_only=True)
class _Fit:
    """The state of a fit; the probe is modulated for the propagator."""

    scan: RawData
    config: GradientConfig
    geometry: Geometry
    objective: Objective
    canvas: Complex64[Tensor, "H W"]
    probe: Complex64[Tensor, "mode N N"]
    positions: Float64[Tensor, "scan 2"]
    shift: Float64[np.ndarray, " 2"]
    object_adam: Adam
    probe_adam: Adam
    probe_rate: Tensor
    """(mode, 1, 1), largest step of each mode."""

    @classmethod
    def begin(
        cls,
        scan: RawData,
        config: GradientConfig,
        first: "_FirstGuess",
        *,
        fitted: Int64[np.ndarray, " n"],
        geometry: Geometry,
        device: torch.device,
    ) -> Self:
        """Begin with a guess, its probe scaled so that R of patterns of the fit is least."""
        energy = float(scan.energies(fitted).mean())
        modes = _with_modes(torch.tensor(first.probe), config)
        scale = fit_scale(scan.subset(fitted), first.object, modes.numpy(), first.positions[fitted], geometry=geometry)
        propagator = geometry.propagator()
        light = propagator.modulate(modes * scale).to(device)
        intensity = illumination(light)
        rate = torch.full((len(light), 1, 1), config.probe_learning_rate, device=device)
        rate[1:] *= config.mode_rate
        adam = Adam(momentum=config.momentum, memory=config.memory, damping=config.damping)
        return cls(
            scan=scan,
            config=config,
            geometry=geometry,
            objective=Objective(
                config=config,
                propagator=propagator,
                bad_pixels=None if scan.bad_pixels is None else torch.tensor(scan.bad_pixels, device=device),
                dark=DARK * (energy / scan.N**2) ** 0.5,
            ),
            canvas=torch.tensor(first.object, device=device),
            probe=light,
            positions=torch.tensor(first.positions, device=device),
            shift=first.shift,
            object_adam=adam,
            probe_adam=replace(adam),
            probe_rate=rate * (intensity.square().sum() / intensity.sum()).sqrt(),
        )

    def epoch(self, epoch: int, order: Int64[np.ndarray, " n"]) -> float:
        """Take one step for each batch; return R of the patterns as they were met."""
        config = self.config
        size = config.batch_size or min(BATCH, ceil(len(order) / BATCH))
        n_batches = ceil(len(order) / size)
        moves = config.position_learning_rate > 0 and epoch >= config.position_start * config.epochs
        error = torch.zeros((), dtype=torch.float64, device=self.canvas.device)
        total = torch.zeros_like(error)
        for batch, rows in enumerate(np.array_split(order, n_batches)):
            rate = self._rate((epoch + batch / n_batches) / config.epochs)
            measured = torch.from_numpy(self.scan.amplitude(rows)).to(self.canvas.device)
            chosen = torch.from_numpy(rows).to(self.canvas.device)
            found = self.objective.gradient(self.canvas, self.probe, self.positions[chosen], measured, move=moves)
            self.object_adam.step(self.canvas, found.object, config.learning_rate * rate)
            if config.probe_learning_rate > 0:
                self.probe_adam.step(self.probe, found.probe, self.probe_rate * rate)
            if found.step is not None:
                move_positions(self.positions, chosen, found.step * (config.position_learning_rate * rate))
            bad = self.objective.bad_pixels
            error += found.error
            total += (measured if bad is None else measured.masked_fill(bad, 0)).sum()
        return float(error / total)

    def _rate(self, progress: float) -> float:
        if self.config.schedule == "constant":
            return 1.0
        return LAST_RATE + (1 - LAST_RATE) * (1 + cos(pi * progress)) / 2

    def is_finite(self) -> bool:
        return all(bool(torch.isfinite(value).all()) for value in (self.canvas, self.probe, self.positions))

    def state(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.canvas.clone(), self.probe.clone(), self.positions.clone()

    def restore(self, state: tuple[Tensor, Tensor, Tensor]) -> None:
        self.canvas, self.probe, self.positions = state


def _split(n_scan: int, config: GradientConfig) -> tuple[Int64[np.ndarray, " h"], Int64[np.ndarray, " n"]]:
    """Return the scan points held out, and those of the fit."""
    n_held = max(1, round(n_scan * config.held_out)) if config.held_out else 0
    if n_held >= n_scan:
        raise ShapeError(
            f"expected patterns to fit; found {n_scan}, of which {n_held} are held out. Lower held_out.",
            field="patterns",
        )
    drawn = np.random.default_rng([config.seed, 0]).permutation(n_scan)
    return np.sort(drawn[:n_held]), np.sort(drawn[n_held:])


@dataclass(frozen=True, kw_only=True)
class _FirstGuess:
    object: Complex64[np.ndarray, "H W"]
    probe: Complex64[np.ndarray, "mode N N"]
    positions: Float64[np.ndarray, "scan 2"]
    """In the frame of the object."""
    shift: Float64[np.ndarray, " 2"]
    """How far positions were moved into it."""


def _first_guess(
    scan: RawData,
    config: GradientConfig,
    *,
    start: Complex64[np.ndarray, "H W"] | Reconstruction | None,
    probe: Complex64[np.ndarray, "mode N N"] | None,
) -> _FirstGuess:
    if isinstance(start, Reconstruction):
        if len(start.positions) != len(scan):
            raise ShapeError(
                f"expected a reconstruction of {len(scan)} positions to begin with; found {len(start.positions)}.",
                field="positions",
            )
        return _FirstGuess(
            object=_filled(start.object),
            probe=start.probe if probe is None else probe,
            positions=start.positions,
            shift=start.shift,
        )
    if start is None and config.start == "scan":
        if scan.object is None:
            raise MissingFieldError(
                "expected a scan with an object, as start='scan'; found none. Begin with start='flat'.",
                path=scan.metadata.source,
                field="object",
            )
        start = scan.object
    known = start if start is not None else scan.object
    shape, shift = object_frame(scan.positions, scan.N, None if known is None else (known.shape[0], known.shape[1]))
    return _FirstGuess(
        object=np.ones(shape, np.complex64) if start is None else _filled(start),
        probe=scan.probe if probe is None else probe,
        positions=scan.positions + shift,
        shift=shift,
    )


def _filled(canvas: Complex64[np.ndarray, "H W"]) -> Complex64[np.ndarray, "H W"]:
    """Return the object with the mean of the rest where it is zero: where no patch was laid."""
    laid = canvas != 0
    mean = canvas[laid].mean() if laid.any() else 1.0
    return np.where(laid, canvas, mean).astype(np.complex64)


def _with_modes(probe: Complex64[Tensor, "mode N N"], config: GradientConfig) -> Complex64[Tensor, "new N N"]:
    if config.n_modes is None or config.n_modes == len(probe):
        return probe
    if config.n_modes < len(probe):
        return orthogonal_modes(probe)[: config.n_modes]
    return add_modes(probe, n_modes=config.n_modes, share=config.mode_share)


def _result(fit: _Fit, *, clock: _Clock, losses: list[float], held_out: Int64[np.ndarray, " h"]) -> Reconstruction:
    probe = orthogonal_modes(fit.objective.propagator.modulate(fit.probe).cpu())
    positions = fit.positions.cpu().numpy()
    canvas = fit.canvas.cpu().numpy()
    weight = illumination(probe).numpy()
    coverage = coverage_map(positions, weight, (canvas.shape[0], canvas.shape[1]))
    canvas = (canvas * np.exp(-1j * np.angle((canvas * coverage).sum()))).astype(np.complex64)
    cpu_seconds, seconds = clock.cpu_seconds(), clock.seconds()

    def r_factor(rows: Int64[np.ndarray, " n"] | None) -> float:
        return scan_r_factor(fit.scan, canvas, probe.numpy(), positions, geometry=fit.geometry, rows=rows)

    return Reconstruction(
        scan=fit.scan,
        object=canvas,
        coverage=coverage,
        probe=probe.numpy(),
        positions=positions,
        shift=fit.shift,
        r_factor=r_factor(None),
        r_factor_held_out=r_factor(held_out) if len(held_out) else None,
        held_out=held_out,
        losses=tuple(losses),
        geometry=fit.geometry,
        provenance={
            "engine": "gradient",
            "settings": fit.config.model_dump(mode="json"),
            "source": fit.scan.metadata.source,
        },
        seconds=seconds,
        cpu_seconds=cpu_seconds,
    )
