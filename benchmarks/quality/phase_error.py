"""Where the phase of a network's object is lost, for a network that `pinn.py` trained on a simulated scan.

    python benchmarks/quality/phase_error.py quality/dead_leaves-0.5-C1-unsupervised.safetensors --object dead_leaves

Predicts the scan of the training again and stitches it five times: as it is, with each patch in the phase of the true
patch, without the tilt (the phase ramp over the probe) that each patch has against the true one, without the slow part
of the object's phase error, and from the true patches. Then says how large tilts are, what photons alone leave of them
(the inverse of Fisher's information, the rest of the patch being known), and what tilts the patterns ask for where
patches have the true phase and the network's amplitude. Each line is JSON.
"""

import argparse
import json
import sys
from dataclasses import replace

import numpy as np
import torch
from pinn import add_simulation_arguments, compared, scored, simulated
from scipy.ndimage import gaussian_filter

from ptychofold.models import PtychographyModel
from ptychofold.patches import extract_patches
from ptychofold.physics import Geometry, illumination
from ptychofold.raw_data import RawData
from ptychofold.reconstruction import load_checkpoint
from ptychofold.reconstruction.inference import PredictedPatches, covering_groups, predict, prediction_loader
from ptychofold.reconstruction.phases import synchronize_phases
from ptychofold.reconstruction.stitching import stitch

SLOW = 8.0
"""Pixels, standard deviation of the Gaussian that keeps the slow part of a phase error."""
N_ITERATIONS = 3
DIM = 0.1
"""Counts that every modelled pixel is given more."""


def say(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")


def predicted(model: PtychographyModel, scan: RawData) -> PredictedPatches:
    groups = covering_groups(scan.positions, C=model.contract.C or 1)
    batches = list(predict(model, prediction_loader(model, scan, groups=groups)))
    return PredictedPatches(*(torch.cat(column) for column in zip(*batches, strict=True)))


def ramps(N: int) -> torch.Tensor:
    """Return 1, y and x from the middle of a patch, (3, N, N)."""
    axis = torch.arange(N) - N / 2
    return torch.stack([torch.ones(N, N), axis[:, None].expand(N, N), axis[None].expand(N, N)])


def tilted(patches: torch.Tensor, tilts: torch.Tensor) -> torch.Tensor:
    angle = torch.einsum("nk,kyx->nyx", tilts, ramps(patches.shape[-1])[1:])
    return patches * torch.polar(torch.ones_like(angle), angle)


def tilts_against(patches: torch.Tensor, true: torch.Tensor, *, weight: torch.Tensor) -> torch.Tensor:
    """Return the (y, x) phase ramps, in rad a pixel, that patches in phase with the truth have against it."""
    basis = ramps(patches.shape[-1]).flatten(1)
    seen = basis * weight.flatten()
    angles = (patches * true.conj()).angle().flatten(1)
    return torch.linalg.solve(seen @ basis.T, seen @ angles.T).T[:, 1:]


def tilts_asked_for(scan: RawData, found: PredictedPatches, patches: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Return the tilts under which patches explain their patterns best, and the error that photons leave in them.

    By Fisher's scoring of the Poisson likelihood, with the fraction of a pixel that patches lie off their light as a
    phase ramp of their spectrum.
    """
    propagator = Geometry.of_scan(scan.metadata).propagator()
    probe = torch.from_numpy(scan.probe.copy())[None, 0]
    counts = torch.from_numpy(scan.amplitude(found.members.numpy())).square()
    off = torch.from_numpy(scan.positions[found.members.numpy()]) - found.positions
    N = patches.shape[-1]
    frequency = torch.fft.fftfreq(N)
    turns = off[:, 0, None, None] * frequency[:, None] + off[:, 1, None, None] * frequency
    lit = torch.fft.ifft2(torch.fft.fft2(patches) * torch.exp(2j * torch.pi * turns)).to(torch.complex64)
    tilts = torch.zeros(len(patches), 2)
    information = torch.eye(2).expand(len(patches), 2, 2)
    for _ in range(N_ITERATIONS):
        exits = probe * tilted(lit, tilts)
        waves = propagator.forward(exits)
        modelled = waves.abs().square() + DIM
        moved = torch.stack([propagator.forward(1j * ramp * exits) for ramp in ramps(N)[1:]], dim=1)
        slopes = (2 * (waves.conj()[:, None] * moved).real).flatten(2)
        information = torch.einsum("nki,nli,ni->nkl", slopes, slopes, 1 / modelled.flatten(1))
        score = torch.einsum("nki,ni->nk", slopes, ((counts - modelled) / modelled).clamp(max=50).flatten(1))
        tilts = tilts + torch.linalg.solve(information, score)
    return tilts, float(torch.linalg.inv(information).diagonal(dim1=1, dim2=2).mean().sqrt())


def rms(tilts: torch.Tensor) -> float:
    return round(float((tilts - tilts.mean(dim=0)).square().mean().sqrt()), 5)


def run(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    scan, model = simulated(arguments, seed=0), load_checkpoint(arguments.model)
    weight = illumination(torch.from_numpy(scan.probe.copy()))
    joined = predicted(model, scan)
    found = next(synchronize_phases([joined], weight=weight))
    true = torch.from_numpy(extract_patches(scan.object, found.positions.numpy(), scan.N)).to(torch.complex64)
    overlap = (weight * true.conj() * found.patches).sum(dim=(-2, -1), keepdim=True)
    in_phase = found.patches * overlap.conj().sgn()
    tilts = tilts_against(in_phase, true, weight=weight)
    for what, patches in (
        ("as it is", found.patches),
        ("true phase of each patch", in_phase),
        ("true phase and tilt of each patch", tilted(in_phase, -tilts)),
        ("true patches", true),
    ):
        scores, pair = compared(stitch([found._replace(patches=patches)], scan).object, scan)
        say(what=what, **scores._asdict())
        if what == "as it is":
            slow = gaussian_filter(np.angle(pair.test * pair.reference.conj()), SLOW)
            say(what="without slow error", **scored(replace(pair, test=pair.test * np.exp(-1j * slow)))._asdict())
    mixed = true / true.abs().clamp_min(1e-6) * in_phase.abs()
    asked, floor = tilts_asked_for(scan, found, mixed)
    centred = [values - values.mean(dim=0) for values in (asked, tilts)]
    say(
        tilt=rms(tilts),
        tilt_left_by_photons=round(floor, 5),
        tilt_asked_for_by_amplitude=rms(asked),
        correlation=round(float((centred[0] * centred[1]).sum() / (centred[0].norm() * centred[1].norm())), 3),
    )


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    add_simulation_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    run(parsed())
