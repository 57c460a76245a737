"""The gradient engine: object, probe modes and positions fitted to the patterns of a scan by minibatch Adam."""

from dataclasses import dataclass, replace
from math import ceil, cos, pi
from typing import Self

import numpy as np
import torch
from jaxtyping import Complex64, Float64
from torch import Tensor

from ptychofold.config import GradientConfig
from ptychofold.physics import illumination
from ptychofold.reconstruction.engines import Beginning, Engine, Guess
from ptychofold.reconstruction.gradients import DARK, Adam, Objective, move_positions
from ptychofold.scaling import counting_unit

__all__ = ["GradientEngine"]

BATCH = 16
"""Patterns of a step, and least steps of an epoch, if the settings leave it open."""
LAST_RATE = 0.01
"""Step size at the end of the cosine schedule, as a share of the first."""


@dataclass(kw_only=True)
class GradientEngine(Engine):
    """The state of a fit by gradients; the probe is modulated for the propagator."""

    beginning: Beginning
    config: GradientConfig
    rng: np.random.Generator
    """Of the order of patterns."""
    objective: Objective
    canvas: Complex64[Tensor, "H W"]
    probe: Complex64[Tensor, "mode N N"]
    positions: Float64[Tensor, "scan 2"]
    object_adam: Adam
    probe_adam: Adam
    object_rate: float
    """Largest step of an object pixel."""
    probe_rate: Tensor
    """(mode, 1, 1), largest step of each mode."""

    @classmethod
    def begin(cls, beginning: Beginning, config: GradientConfig, *, device: torch.device) -> Self:
        """Begin with a guess."""
        scan = beginning.scan
        energy = float(scan.energies(beginning.fitted).mean())
        propagator = beginning.geometry.propagator()
        light = propagator.modulate(torch.tensor(beginning.guess.probe)).to(device)
        intensity = illumination(light)
        share = config.continued if beginning.continued else 1.0
        rate = torch.full((len(light), 1, 1), config.probe_learning_rate * share, device=device)
        rate[1:] *= config.mode_rate
        adam = Adam(momentum=config.momentum, memory=config.memory, damping=config.damping)
        return cls(
            beginning=beginning,
            config=config,
            rng=np.random.default_rng([config.seed, 1]),
            objective=Objective(
                config=config,
                propagator=propagator,
                bad_pixels=None if scan.bad_pixels is None else torch.tensor(scan.bad_pixels, device=device),
                dark=DARK * (energy / scan.N**2) ** 0.5,
                count=counting_unit(energy, scan.N),
            ),
            canvas=torch.tensor(beginning.guess.object, device=device),
            probe=light,
            positions=torch.tensor(beginning.guess.positions, device=device),
            object_adam=adam,
            probe_adam=replace(adam),
            object_rate=config.learning_rate * share,
            probe_rate=rate * (intensity.square().sum() / intensity.sum()).sqrt(),
        )

    def epoch(self, epoch: int) -> float:
        """Take one step for each batch; return R of the patterns as they were met."""
        config, order = self.config, self.rng.permutation(self.beginning.fitted)
        size = config.batch_size or min(BATCH, ceil(len(order) / BATCH))
        n_batches = ceil(len(order) / size)
        moves = config.position_learning_rate > 0 and epoch >= config.position_start * config.epochs
        error = torch.zeros((), dtype=torch.float64, device=self.canvas.device)
        total = torch.zeros_like(error)
        for batch, rows in enumerate(np.array_split(order, n_batches)):
            rate = self._rate((epoch + batch / n_batches) / config.epochs)
            measured = torch.from_numpy(self.beginning.scan.amplitude(rows)).to(self.canvas.device)
            chosen = torch.from_numpy(rows).to(self.canvas.device)
            found = self.objective.gradient(self.canvas, self.probe, self.positions[chosen], measured, move=moves)
            self.object_adam.step(self.canvas, found.object, self.object_rate * rate)
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

    def found(self) -> Guess:
        """Return copies of what the fit has found so far."""
        probe = self.objective.propagator.modulate(self.probe).cpu()
        return Guess(
            object=self.canvas.cpu().numpy().copy(),
            probe=probe.numpy().copy(),
            positions=self.positions.cpu().numpy().copy(),
        )
