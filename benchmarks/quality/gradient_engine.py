"""How well and how fast iterative engines explain measured scans, ours and pty-chi's side by side.

    python benchmarks/quality/gradient_engine.py ../shared/data --output /tmp/engines.jsonl
    python benchmarks/quality/gradient_engine.py --table /tmp/engines.jsonl --docs docs/how_good_is_it.md

The first line runs every case in one process on one thread, from the source's probe (``probeInit`` where the file
has it) and a flat object, with 5 % of the patterns held out, and appends one JSON line a case. Time is the processor's,
as it depends least on what else the machine does; imports are done before. The second line puts the table into the
documentation, between its markers. Where pty-chi is not installed, its cases are left out; ``make test-engines``
installs it in ``.venv-engines``. It takes one name from torchvision, which ``stubs`` stands in for if it is missing.

R is ``Σ |A - √n| / Σ √n``. pty-chi moves the probe by the sub-pixel part of a position, with Fourier transforms, where
ours moves the object, bilinearly; its results are judged by both models, and the lower R is its.
"""

import argparse
import json
import sys
import warnings
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from ptychofold.config import GradientConfig, PtychiConfig
from ptychofold.physics import extract_patches
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.iterative import reconstruct
from ptychofold.reconstruction.result import Reconstruction

HELD_OUT = 0.05
FILES = {"Siemens": "siemens_n128.npz", "cryo": "cryo_n64_32x32.npz", "P25, near field": "p25_nearfield_n128.npz"}
LSQML: dict[str, object] = {"method": "lsqml", "batch_size": 32, "batching": "uniform", "momentum": 0.5}
RPIE: dict[str, object] = {"method": "rpie", "batch_size": 20, "alpha": 1.0}
MARKS = "<!-- engines: begin -->", "<!-- engines: end -->"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row of the table."""

    scan: str
    engine: str
    settings: dict[str, object]

    def config(self) -> GradientConfig | PtychiConfig:
        kind = GradientConfig if self.engine.startswith("gradient") else PtychiConfig
        return kind.from_mapping({"held_out": HELD_OUT, **self.settings})


CASES = [
    *(Case(scan=name, engine="gradient", settings={}) for name in FILES),
    *(Case(scan="Siemens", engine="gradient", settings={"epochs": epochs}) for epochs in (3, 6)),
    Case(scan="Siemens", engine="gradient, squared error", settings={"loss": "amplitude"}),
    *(Case(scan="Siemens", engine="gradient", settings={"n_modes": 5, "epochs": epochs}) for epochs in (5, 20, 40)),
    Case(scan="Siemens", engine="gradient, squared error", settings={"n_modes": 5, "loss": "amplitude"}),
    Case(scan="Siemens", engine="pty-chi LSQML", settings={**LSQML, "epochs": 60}),
    Case(scan="Siemens", engine="pty-chi LSQML", settings={**LSQML, "n_modes": 5, "epochs": 30}),
    Case(scan="Siemens", engine="pty-chi rPIE", settings={**RPIE, "epochs": 20}),
    Case(scan="Siemens", engine="pty-chi rPIE", settings={**RPIE, "n_modes": 5, "epochs": 20}),
]


def load(path: Path) -> RawData:
    """Read a scan without its object, with the probe of the source where the file has it."""
    scan = RawData.from_file(path)
    with np.load(path) as file:
        if "probeInit" in file:
            scan = replace(scan, probe=file["probeInit"].reshape(-1, scan.N, scan.N).astype(np.complex64))
    return replace(scan, object=None)


def shifted_probe_r(result: Reconstruction, rows: np.ndarray) -> float:
    """Return R under pty-chi's model: patches on whole pixels, the probe moved by the rest."""
    scan, propagator = result.scan, result.geometry.propagator()
    frequency = torch.fft.fftfreq(scan.N)
    spectrum, canvas = torch.fft.fft2(torch.tensor(result.probe)), torch.tensor(result.object)
    good = torch.ones(scan.N, scan.N) if scan.bad_pixels is None else torch.tensor(~scan.bad_pixels).float()
    error = total = 0.0
    for part in np.array_split(rows, max(1, len(rows) // 16)):
        positions = torch.tensor(result.positions[part])
        whole = positions.round()
        rest = (positions - whole).float()
        turns = rest[:, 0, None, None] * frequency[:, None] + rest[:, 1, None, None] * frequency
        probes = torch.fft.ifft2(spectrum * torch.exp(-2j * torch.pi * turns)[:, None])
        waves = propagator.forward(probes * extract_patches(canvas, whole, scan.N)[:, None])
        measured = torch.tensor(scan.amplitude(part))
        amplitude = waves.abs().square().sum(dim=1).sqrt()
        error += float(((amplitude - measured).abs() * good).sum())
        total += float((measured * good).sum())
    return error / total


def row(case: Case, result: Reconstruction) -> dict[str, object]:
    """Return the figures of a case."""
    figures = {"r": result.r_factor, "r_held_out": result.r_factor_held_out}
    if isinstance(case.config(), PtychiConfig):
        everything = np.arange(len(result.scan))
        own = shifted_probe_r(result, everything), shifted_probe_r(result, result.held_out)
        figures = {"r": min(result.r_factor, own[0]), "r_held_out": min(result.r_factor_held_out or 1.0, own[1])}
    return {
        "scan": case.scan,
        "engine": case.engine,
        "modes": len(result.probe),
        "epochs": len(result.losses),
        "settings": case.settings,
        **figures,
        "cpu_seconds": result.cpu_seconds,
        "seconds": result.seconds,
        "main_mode": result.mode_shares[0],
    }


def run(data: Path, output: Path, only: str) -> None:
    """Run the cases, pty-chi's if it is there."""
    torch.set_num_threads(1)
    scans = {name: load(data / file) for name, file in FILES.items()}
    if find_spec("torchvision") is None:
        sys.path.insert(0, str(Path(__file__).parent / "stubs"))
    peer = find_spec("ptychi") is not None
    warm = scans["cryo"].subset(range(9))
    reconstruct(warm, GradientConfig(epochs=1))
    if peer:
        reconstruct(warm, PtychiConfig(epochs=1))
    for case in CASES:
        config = case.config()
        name = f"{case.scan}, {case.engine}, {config.n_modes or 1}"
        if only not in name or (not peer and isinstance(config, PtychiConfig)):
            continue
        found = row(case, reconstruct(scans[case.scan], config))
        with output.open("a") as file:
            file.write(json.dumps(found) + "\n")
        sys.stdout.write(table_row(found) + "\n")
        sys.stdout.flush()


HEAD = (
    "| scan | engine | modes | epochs | R, all patterns | R, held out | main mode | processor time |\n"
    "|---|---|---|---|---|---|---|---|"
)


def table_row(found: dict[str, object]) -> str:
    """Return a line of the table."""
    return (
        "| {scan} | {engine} | {modes} | {epochs} | {r:.4f} | {r_held_out:.4f} | {main_mode:.0%} | "
        "{cpu_seconds:.1f} s |".format(**found)
    )


def main() -> None:
    """Run the cases, or put their table into the documentation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="folder of the three scans")
    parser.add_argument("--output", type=Path, help="JSON lines to append to")
    parser.add_argument("--only", default="", help="run cases whose scan, engine and modes contain this")
    parser.add_argument("--table", type=Path, help="JSON lines to make the table of")
    parser.add_argument("--docs", type=Path, help="Markdown file that holds the markers")
    arguments = parser.parse_args()
    if arguments.table is not None:
        lines = [json.loads(line) for line in arguments.table.read_text().splitlines()]
        order = list(FILES)
        lines.sort(key=lambda row: (order.index(row["scan"]), row["modes"], row["engine"], row["epochs"]))
        text = arguments.docs.read_text()
        before, rest = text.split(MARKS[0])
        after = rest.split(MARKS[1])[1]
        table = "\n".join([HEAD, *map(table_row, lines)])
        arguments.docs.write_text(f"{before}{MARKS[0]}\n\n{table}\n\n{MARKS[1]}{after}")
        return
    if arguments.data is None or arguments.output is None:
        parser.error("give the folder of the scans and --output, or --table and --docs")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(arguments.data, arguments.output, arguments.only)


if __name__ == "__main__":
    main()
