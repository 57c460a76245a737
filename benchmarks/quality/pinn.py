"""How good a network becomes, against training time, without ever seeing the object.

    python benchmarks/quality/pinn.py --object dead_leaves --grid 1 --epochs 30 --output quality
    python benchmarks/quality/pinn.py --table quality

Simulates a scan of a known object (2,000 patterns, N = 64, 10⁵ photons each, overlap 73 % of the probe's diameter that
holds 90 % of its power), trains on it and reports, as one JSON line at each mark, R of all patterns and the structural
similarity of amplitude and phase over the area that scan positions span, after alignment. At the end the same for an
unseen object of the class, and pictures. ``--reference`` adds what the dose allows: the gradient engine's object, which
fits all patterns at once, as it is and smoothed by the total variation that brings it nearest to the truth. With
``--scan`` a measured scan is used instead; the object that it carries is what is compared with. ``--refine`` lets the
gradient engine go on from the network's object and, for comparison, from a flat one, for each number of epochs given.
``--table`` prints the last lines of all runs below a folder as the table of the documentation.
CPU seconds are those of training, of all threads together.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ptychofold.config import GradientConfig, GroupingConfig, LoaderConfig, ModelConfig, TrainingConfig
from ptychofold.coverage import linear_overlap, probe_diameter
from ptychofold.data import GroupedDataset, make_loader
from ptychofold.models import PtychographyModel
from ptychofold.physics import make_object, make_positions, make_probe, object_side, simulate
from ptychofold.raw_data import RawData
from ptychofold.reconstruction import load_checkpoint, predict_object, save_checkpoint
from ptychofold.reconstruction.alignment import AlignedObjects, align
from ptychofold.reconstruction.iterative import reconstruct
from ptychofold.reconstruction.metrics import ssim
from ptychofold.reconstruction.training import fit

STEP = 8.0
SMOOTHING = (0.005, 0.01, 0.02, 0.03, 0.05)


class Scores(NamedTuple):
    """How near an object is to the known one."""

    ssim_amplitude: float
    ssim_phase: float
    phase_correlation: float


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


def add_simulation_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `simulated` asks for."""
    parser.add_argument("--object", default="dead_leaves")
    parser.add_argument("--probe", default="disk")
    parser.add_argument("--n-scan", type=int, default=2000)
    parser.add_argument("--N", type=int, default=64)
    parser.add_argument("--dose", type=float, default=1e5)
    parser.add_argument("--absorption", type=float, default=0.5)
    parser.add_argument("--phase", type=float, default=1.0)


def compared(canvas: np.ndarray, scan: RawData, *, shift: bool = False) -> tuple[Scores, AlignedObjects]:
    """Align the area that positions span, and compare."""
    low, high = scan.positions.min(axis=0).astype(int), np.ceil(scan.positions.max(axis=0)).astype(int)
    window = (slice(low[0], high[0]), slice(low[1], high[1]))
    pair = align(canvas[window], scan.object[window], shift=shift)
    return scored(pair), pair


def scored(pair: AlignedObjects) -> Scores:
    phases = [
        np.angle(values * np.exp(-1j * np.angle(pair.reference.mean()))) for values in (pair.test, pair.reference)
    ]
    return Scores(
        ssim_amplitude=round(ssim(np.abs(pair.test), np.abs(pair.reference)), 4),
        ssim_phase=round(ssim(*phases), 4),
        phase_correlation=round(float(np.corrcoef(phases[0].ravel(), phases[1].ravel())[0, 1]), 4),
    )


def reference(scan: RawData) -> dict[str, object]:
    """Return how near all patterns together come, without and with the best smoothing."""
    from skimage.restoration import denoise_tv_chambolle

    began = time.process_time()
    result = reconstruct(scan, GradientConfig(epochs=20, probe_learning_rate=0.0, loss="poisson"))
    seconds = time.process_time() - began
    scores, pair = compared(result.object, scan)
    smoothed = []
    for weight in SMOOTHING:
        parts = [denoise_tv_chambolle(part, weight) for part in (pair.test.real, pair.test.imag)]
        smoothed.append(scored(replace(pair, test=parts[0] + 1j * parts[1])))
    best = max(smoothed, key=lambda s: s.ssim_amplitude + s.ssim_phase)
    return {
        "r": round(result.r_factor, 4),
        "cpu": round(seconds, 1),
        **scores._asdict(),
        "smoothed_amplitude": best.ssim_amplitude,
        "smoothed_phase": best.ssim_phase,
    }


def picture(path: Path, pair: AlignedObjects) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(20, 5), layout="constrained")
    for axis, part, values in zip(
        axes, (np.abs, np.abs, np.angle, np.angle), [*2 * (pair.reference, pair.test)], strict=True
    ):
        low, high = np.percentile(part(pair.reference), (0.5, 99.5))
        axis.imshow(part(values), vmin=low, vmax=high)
    figure.savefig(path)


def refined(scan: RawData, model: PtychographyModel, n_epochs: int) -> dict[str, object]:
    """Return R after the gradient engine, from a network's object and from none; 5 % of the patterns are held out.

    The network's object is made without those patterns.
    """
    settings = GradientConfig(epochs=n_epochs, held_out=0.05)
    flat = reconstruct(scan, settings)
    kept = predict_object(model, scan.subset(np.setdiff1d(np.arange(len(scan)), flat.held_out)))
    start = replace(predict_object(model, scan), object=kept.object)
    found: dict[str, object] = {"epochs": n_epochs}
    for name, result in (("network", reconstruct(scan, settings, start=start)), ("flat", flat)):
        held_out = result.r_factor_held_out
        found |= {f"r_from_{name}": round(result.r_factor, 4), f"held_out_from_{name}": round(held_out or 0.0, 4)}
    return found


class Report:
    """Writes JSON lines to the screen and to a file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        path.write_text("")

    def __call__(self, **facts: object) -> None:
        line = json.dumps(facts)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        with self.path.open("a") as file:
            file.write(line + "\n")


def run(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    measured = arguments.scan is not None
    scan = RawData.from_file(arguments.scan, lazy=False) if measured else simulated(arguments, seed=0)
    C = arguments.grid**2
    kind = arguments.scan.stem if measured else arguments.object
    name = f"{kind}-{arguments.absorption}-C{C}-{arguments.mode}{arguments.tag}"
    say = Report(arguments.output / f"{name}.jsonl")
    say(
        kind=kind,
        C=C,
        n_patterns=len(scan),
        overlap=round(linear_overlap(STEP * scan.N / 64, probe_diameter(scan.probe)), 3),
        load_average=round(os.getloadavg()[0], 1),
        **{key: str(value) for key, value in vars(arguments).items()},
    )
    if arguments.reference:
        say(stage="reference", **reference(scan))
    if arguments.start is None:
        model = PtychographyModel.for_scan(scan, ModelConfig.from_mapping(dict(map(setting, arguments.model))))
    else:
        model = load_checkpoint(arguments.start)
    grouping = GroupingConfig(
        grid=(arguments.grid,) * 2, n_neighbors=max(C + 2, 4), n_groups=len(scan) // C, seed=0, seed_role="member"
    )
    train = make_loader(
        GroupedDataset(scan, grouping, ground_truth=arguments.mode != "unsupervised"),
        LoaderConfig(batch_size=max(1, arguments.batch // C), regroup=C > 1),
    )
    config = TrainingConfig.from_mapping(
        {"epochs": arguments.epochs, "accelerator": "cpu", "mode": arguments.mode}
        | dict(map(setting, arguments.training))
    )
    clock = {"wall": time.perf_counter(), "cpu": time.process_time()}

    def scores(step: int, total: int, loss: float) -> None:
        if step % max(1, total // arguments.marks) and step != total:
            return
        now = {"wall": time.perf_counter(), "cpu": time.process_time()}
        spent = {key: round(now[key] - clock[key], 1) for key in clock}
        found = predict_object(model, scan)
        facts = {} if scan.object is None else compared(found.object, scan, shift=measured)[0]._asdict()
        say(stage="training", step=step, of=total, **spent, loss=round(loss, 4), r=round(found.r_factor, 4), **facts)
        clock["wall"] += time.perf_counter() - now["wall"]
        clock["cpu"] += time.process_time() - now["cpu"]

    fit(model, train, None, config, on_step=scores)
    save_checkpoint(arguments.output / f"{name}.safetensors", model, training=config)
    if scan.object is not None:
        picture(arguments.output / f"{name}.png", compared(predict_object(model, scan).object, scan, shift=measured)[1])
    for n_epochs in arguments.refine:
        say(stage=f"refined {n_epochs}", **refined(scan, model, n_epochs))
    if not measured:
        other = simulated(arguments, seed=1)
        found = predict_object(model, other)
        facts, pair = compared(found.object, other)
        say(stage="unseen", r=round(found.r_factor, 4), **facts._asdict())
        picture(arguments.output / f"{name}-unseen.png", pair)


def setting(text: str) -> tuple[str, object]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


COLUMNS = (
    *("object", "absorption", "patterns", "C", "what", "CPU s", "R"),
    *("amplitude", "phase", "unseen amplitude", "unseen phase"),
)


def table(folder: Path) -> None:
    """Print the runs of a folder as Markdown."""
    rows = [list(COLUMNS), ["---"] * len(COLUMNS)]
    for path in sorted(folder.glob("*.jsonl")):
        head, *facts = map(json.loads, path.read_text().splitlines())
        last = {line["stage"]: line for line in facts}
        measured = head["scan"] != "None"
        begin = [head["kind"], "" if measured else head["absorption"], head["n_patterns"]]
        if "reference" in last:
            line = last["reference"]
            found = [f"{line['cpu']:.1f}", line["r"], line["ssim_amplitude"], line["ssim_phase"]]
            rows.append([*begin, "all", "gradient engine", *found, "", ""])
            smooth = ["", "", line["smoothed_amplitude"], line["smoothed_phase"]]
            rows.append([*begin, "all", "the same, smoothed", *smooth, "", ""])
        if "training" in last:
            trained, unseen = last["training"], last.get("unseen", {})
            cells = [
                *begin,
                head["C"],
                f"network, {head['mode']}, {described(head['model'])}",
                f"{trained['cpu']:.0f}",
                trained["r"],
            ]
            rows.append(
                cells + [line.get(key, "") for line in (trained, unseen) for key in ("ssim_amplitude", "ssim_phase")]
            )
    sys.stdout.writelines("| " + " | ".join(map(str, row)) + " |\n" for row in rows)


def described(settings: str) -> str:
    """Say in words what a run's settings of the model make of the network."""
    what = "draws" if "residual=false" in settings else "corrects"
    if "passes=2" in settings:
        what += ", corrects"
    return what + (", sees one pattern" if "lift_together=false" in settings else "")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_simulation_arguments(parser)
    parser.add_argument("--scan", type=Path)
    parser.add_argument("--grid", type=int, default=1)
    parser.add_argument("--model", nargs="*", default=[], metavar="NAME=VALUE", help="settings of ModelConfig")
    parser.add_argument("--training", nargs="*", default=[], metavar="NAME=VALUE", help="settings of TrainingConfig")
    parser.add_argument("--start", type=Path, metavar="MODEL", help="go on from the network of another run")
    parser.add_argument("--mode", default="unsupervised")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=32, help="patterns in a batch")
    parser.add_argument("--marks", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--reference", action="store_true")
    parser.add_argument("--refine", type=int, nargs="*", default=[], metavar="EPOCHS")
    parser.add_argument("--tag", default="")
    parser.add_argument("--output", type=Path, default=Path("quality_output"))
    parser.add_argument("--table", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parsed()
    run(arguments) if arguments.table is None else table(arguments.table)
