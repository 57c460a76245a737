"""Plant every fault in clean scans, examine them, and write a table of docs/doctor.md.

    python benchmarks/quality/doctor.py measured [SCAN…] [--write]
    python benchmarks/quality/doctor.py simulated [--write]
    python benchmarks/quality/doctor.py held-out [--write]

Measured scans are the shipped Siemens star if none is named. The limits of the doctor were set by the measured and
the simulated scans; none was set by those held out. Trial reconstructions are made where nothing else speaks against
a scan. ``--write`` puts the table between its two marks in docs/doctor.md. It ends with 1 if a planted fault passes.
"""

import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from ptychofold import RawData, samples
from ptychofold.diagnosis import Diagnosis
from ptychofold.reconstruction.doctor import examine_file
from ptychofold.testing import FAULTS, make_scan, plant_fault

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"


def named(diagnosis: Diagnosis) -> str:
    """Return what speaks against a scan, or the verdict."""
    against = [*diagnosis.of_level("no-go"), *diagnosis.of_level("fix")]
    return f"**{diagnosis.verdict}**" + (": " if against else "") + ", ".join(finding.subject for finding in against)


def simulated() -> dict[str, RawData]:
    """Return scans that the doctor's limits were set by: easy, symmetric, and of two modes."""
    return {
        "simulated": make_scan(n_scan=100, step=2.0),
        "lines": make_scan(n_scan=144, N=32, step=3.0, grid="raster", n_photons=1e7, seed=12, phantom="lines"),
        "two modes": make_scan(n_scan=150, N=32, step=3.0, n_modes=2, n_photons=1e6, seed=11, phantom="siemens_star"),
    }


def held_out() -> dict[str, RawData]:
    """Return scans that no limit was set by."""
    return {
        "spiral of leaves": make_scan(
            n_scan=160, N=48, step=3.5, grid="fermat", n_photons=2e5, seed=31, phantom="dead_leaves"
        ),
        "raster of noise": make_scan(
            n_scan=121, N=32, step=2.5, grid="raster", n_photons=1e6, seed=32, phantom="random_phase"
        ),
        "star, 3 modes": make_scan(
            n_scan=200, N=40, step=3.0, n_modes=3, n_photons=5e4, seed=33, phantom="siemens_star"
        ),
        "dim lines": make_scan(n_scan=180, N=32, step=3.0, n_photons=1e4, seed=34, phantom="lines"),
    }


def measured(paths: list[str]) -> dict[str, RawData]:
    """Return the scans of files, by name."""
    return {Path(path).name.partition(".")[0]: RawData.from_file(path) for path in paths or [samples.path("siemens")]}


def examine_all(scans: Mapping[str, RawData], folder: Path) -> tuple[list[str], int]:
    """Return the rows of the table, and how many planted faults pass as go."""
    rows, passed, seconds = [], 0, []
    for fault in (None, *FAULTS):
        cells = []
        for name, scan in scans.items():
            path = folder / f"{name}.npz"
            if fault is None:
                scan.to_file(path)
            else:
                plant_fault(fault, scan, path)
            started = time.process_time()
            found = examine_file(path, trials=False)
            found = examine_file(path) if found.verdict == "untried" else found
            if fault is None:
                seconds.append(f"{time.process_time() - started:.0f} s")
            passed += fault is not None and found.verdict == "go"
            cells.append(named(found))
        rows.append(f"| {fault or 'nothing'} | {' | '.join(cells)} |")
        print(rows[-1], flush=True)
    return [*rows, f"| *processor time, nothing planted* | {' | '.join(seconds)} |"], passed


def write(name: str, table: str) -> None:
    """Put a table between its marks in the page."""
    first, last = f"<!-- {name} scans, by benchmarks/quality/doctor.py -->", f"<!-- end of {name} scans -->"
    before, begins, rest = PAGE.read_text(encoding="utf-8").partition(first)
    _, ends, after = rest.partition(last)
    if not (begins and ends):
        sys.exit(f"expected {first} and {last} in {PAGE}; found not both.")
    PAGE.write_text(f"{before}{first}\n\n{table}\n\n{last}{after}", encoding="utf-8")


def main() -> None:
    names = [name for name in sys.argv[1:] if name != "--write"]
    kinds = {"measured": lambda: measured(names[1:]), "simulated": simulated, "held-out": held_out}
    if not names or names[0] not in kinds:
        sys.exit(__doc__)
    scans = kinds[names[0]]()
    with tempfile.TemporaryDirectory() as folder:
        rows, passed = examine_all(scans, Path(folder))
    if "--write" in sys.argv:
        write(names[0], "\n".join([f"| planted | {' | '.join(scans)} |", "|---|" + "---|" * len(scans), *rows]))
    print(f"{passed} of {len(FAULTS) * len(scans)} planted faults pass as go")
    sys.exit(passed > 0)


if __name__ == "__main__":
    main()
