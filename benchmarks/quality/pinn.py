"""How good a network becomes, against training time, without ever seeing the object.

    python benchmarks/quality/pinn.py --object dead_leaves --grid 1 --epochs 30 --output /tmp/quality

Simulates a scan of a known object (2,000 patterns, N = 64, 10⁵ photons each, overlap 73 % of the probe's diameter that
holds 90 % of its power), trains on it and reports, as one JSON line at each mark, the structural similarity of
amplitude and phase over the area that scan positions span, after global phase and scale are set by least squares. At
the end the same for an unseen object of the class, and a picture. With ``--scan`` a measured scan is used instead; its
object, if it has one, is what is compared with.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ptychofold.config import GroupingConfig, LoaderConfig, ModelConfig, TrainingConfig
from ptychofold.coverage import linear_overlap, probe_diameter
from ptychofold.data import GroupedDataset, make_loader
from ptychofold.models import PtychographyModel
from ptychofold.physics import make_object, make_positions, make_probe, object_side, place_patches, r_factor, simulate
from ptychofold.raw_data import RawData
from ptychofold.reconstruction import predict, prediction_loader, save_checkpoint, synchronize_phases
from ptychofold.reconstruction.training import fit

STEP = 8.0


def simulated(arguments: argparse.Namespace, *, seed: int) -> RawData:
    N = arguments.N
    step = STEP * N / 64
    side = object_side(arguments.n_scan, size=N, step=step)
    canvas = make_object(
        arguments.object, (side, side), seed=seed, absorption=arguments.absorption, phase_rad=arguments.phase
    )
    probe = make_probe(arguments.probe, N)
    positions = make_positions("jittered", (side, side), size=N, step=step, seed=seed)
    return simulate(canvas, probe, positions, seed=seed, n_photons=arguments.dose)


def reconstructed(model: PtychographyModel, scan: RawData) -> np.ndarray:
    """Stitch by the probe's intensity, after the phases of groups are made to agree."""
    C = model.contract.C or 1
    weight = torch.from_numpy((np.abs(scan.probe) ** 2).sum(axis=0).astype(np.float32))
    loader = prediction_loader(model, scan, loader=LoaderConfig(batch_size=max(1, 64 // C)))
    shape = (
        scan.object.shape
        if scan.object is not None
        else tuple(int(p) + scan.N for p in np.ceil(scan.positions.max(axis=0)))
    )
    total, coverage = torch.zeros(shape, dtype=torch.complex64), torch.zeros(shape)
    for batch in synchronize_phases(predict(model, loader), weight=weight):
        total += place_patches(batch.patches * weight, batch.positions, shape)
        coverage += place_patches(weight.expand(batch.patches.shape).contiguous(), batch.positions, shape)
    return (total / coverage.clamp_min(1e-3 * float(coverage.max()))).numpy()


def compared(found: np.ndarray, scan: RawData) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
    """Return structural similarity of amplitude and phase, and the two cuts that were compared."""
    from skimage.metrics import structural_similarity

    low, high = scan.positions.min(axis=0).astype(int), np.ceil(scan.positions.max(axis=0)).astype(int)
    window = (slice(low[0], high[0]), slice(low[1], high[1]))
    truth, cut = scan.object[window], found[window]
    cut = cut * np.vdot(cut, truth) / np.vdot(cut, cut)
    parts = {"amplitude": (np.abs(truth), np.abs(cut)), "phase": (np.angle(truth), np.angle(cut))}
    scores = {
        f"ssim_{name}": round(float(structural_similarity(a, b, data_range=float(np.ptp(a)))), 4)
        for name, (a, b) in parts.items()
    }
    a, b = parts["phase"]
    return {**scores, "phase_correlation": round(float(np.corrcoef(a.ravel(), b.ravel())[0, 1]), 4)}, truth, cut


def measured_r(found: np.ndarray, model: PtychographyModel, scan: RawData) -> float:
    rows = np.arange(0, len(scan), max(1, len(scan) // 256))
    with torch.no_grad():
        canvas = torch.from_numpy(found.astype(np.complex64))
        amplitude = model.forward_model.from_object(canvas, torch.from_numpy(scan.positions[rows]))
    return round(float(r_factor(amplitude, torch.from_numpy(scan.amplitude(rows)))), 4)


def picture(path: Path, truth: np.ndarray, cut: np.ndarray) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(20, 5), layout="constrained")
    for axis, values in zip(axes, [np.abs(truth), np.abs(cut), np.angle(truth), np.angle(cut)], strict=True):
        axis.imshow(values)
    figure.savefig(path)


def main() -> None:
    arguments = parsed()
    torch.set_num_threads(arguments.threads)
    say: Callable[..., None] = lambda **facts: print(json.dumps(facts), flush=True)  # noqa: E731
    scan = RawData.from_file(arguments.scan, lazy=False) if arguments.scan else simulated(arguments, seed=0)
    say(
        n_patterns=len(scan),
        overlap=round(linear_overlap(STEP * scan.N / 64, probe_diameter(scan.probe)), 3),
        load_average=round(os.getloadavg()[0], 1),
        **{name: str(value) for name, value in vars(arguments).items()},
    )
    model = PtychographyModel.for_scan(
        scan,
        ModelConfig.from_mapping(
            {"size": arguments.size, "lift_steps": arguments.lift_steps, "input": arguments.input}
        ),
    )
    C = arguments.grid**2
    grouping = GroupingConfig(grid=(arguments.grid,) * 2, n_neighbors=max(C + 2, 4), seed=0, seed_role="member")
    train = make_loader(
        GroupedDataset(scan, grouping, ground_truth=arguments.mode != "unsupervised"),
        LoaderConfig(batch_size=max(1, arguments.batch // C), regroup=C > 1),
    )
    config = TrainingConfig(
        epochs=arguments.epochs,
        accelerator="cpu",
        learning_rate=arguments.lr,
        split_photons=arguments.split_photons,
        mode=arguments.mode,
    )
    clock = {"wall": time.perf_counter(), "cpu": time.process_time()}

    def scores(step: int, total: int, loss: float) -> None:
        if step % max(1, total // arguments.marks) and step != total:
            return
        spent = {
            name: round(now - clock[name], 1)
            for name, now in (("wall", time.perf_counter()), ("cpu", time.process_time()))
        }
        found = reconstructed(model, scan)
        facts = compared(found, scan)[0] if scan.object is not None else {}
        say(step=step, of=total, **spent, loss=round(loss, 4), r=measured_r(found, model, scan), **facts)
        clock["wall"] = time.perf_counter() - spent["wall"]
        clock["cpu"] = time.process_time() - spent["cpu"]

    fit(model, train, None, config, on_step=scores)
    arguments.output.mkdir(parents=True, exist_ok=True)
    name = f"{arguments.scan.stem if arguments.scan else arguments.object}-C{C}-{arguments.mode}"
    save_checkpoint(arguments.output / f"{name}.safetensors", model, training=config)
    if scan.object is not None:
        picture(arguments.output / f"{name}.png", *compared(reconstructed(model, scan), scan)[1:])
    if not arguments.scan:
        unseen = simulated(arguments, seed=1)
        facts, truth, cut = compared(reconstructed(model, unseen), unseen)
        say(unseen=True, **facts)
        picture(arguments.output / f"{name}-unseen.png", truth, cut)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--object", default="dead_leaves")
    parser.add_argument("--scan", type=Path)
    parser.add_argument("--probe", default="disk")
    parser.add_argument("--n-scan", type=int, default=2000)
    parser.add_argument("--N", type=int, default=64)
    parser.add_argument("--dose", type=float, default=1e5)
    parser.add_argument("--absorption", type=float, default=0.2)
    parser.add_argument("--phase", type=float, default=1.0)
    parser.add_argument("--grid", type=int, default=1)
    parser.add_argument("--size", default="small")
    parser.add_argument("--input", default="lifted")
    parser.add_argument("--lift-steps", type=int, default=5)
    parser.add_argument("--mode", default="unsupervised")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=32, help="patterns in a batch")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--split-photons", type=float, default=0.5)
    parser.add_argument("--marks", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("quality_output"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
