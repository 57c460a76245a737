"""Plant every fault in clean scans, examine them, and write the table of docs/doctor.md.

    python benchmarks/quality/doctor.py [SCAN…] [--write]

Without SCAN: the shipped Siemens star and a simulated scan. Trial reconstructions are run where nothing else speaks
against a scan.
``--write`` puts the table between the two marks in docs/doctor.md.
"""

import sys
import tempfile
from pathlib import Path

from ptychofold import RawData, samples
from ptychofold.diagnosis import Diagnosis
from ptychofold.reconstruction.doctor import examine_file
from ptychofold.testing import FAULTS, make_scan, plant_fault

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"
MARKS = "<!-- table by benchmarks/quality/doctor.py -->", "<!-- end of table -->"


def named(diagnosis: Diagnosis) -> str:
    """Return what speaks against a scan, or the verdict."""
    against = [*diagnosis.of_level("no-go"), *diagnosis.of_level("fix")]
    return f"**{diagnosis.verdict}**" + (": " if against else "") + ", ".join(finding.subject for finding in against)


def main() -> None:
    names = [name for name in sys.argv[1:] if name != "--write"]
    with tempfile.TemporaryDirectory() as folder:
        scans = {Path(name).stem: RawData.from_file(name) for name in names}
        if not scans:
            scans = {
                "siemens": RawData.from_file(samples.path("siemens")),
                "simulated": make_scan(n_scan=100, step=2.0),
            }
        rows = [f"| planted | {' | '.join(scans)} |", "|---|" + "---|" * len(scans)]
        for fault in (None, *FAULTS):
            cells = []
            for name, scan in scans.items():
                path = Path(folder) / f"{name}.npz"
                if fault is None:
                    scan.to_file(path)
                else:
                    plant_fault(fault, scan, path)
                found = examine_file(path, trials=False)
                cells.append(named(found if found.verdict != "go" else examine_file(path)))
            rows.append(f"| {fault or 'nothing'} | {' | '.join(cells)} |")
            print(rows[-1], flush=True)
    if "--write" in sys.argv:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
        table = "\n".join(rows)
        PAGE.write_text(f"{before}{MARKS[0]}\n\n{table}\n\n{MARKS[1]}{rest.partition(MARKS[1])[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
