"""Opening and grouping a scan leaves its patterns in the file."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from ptychofold.testing import make_probe

N_SCAN, N = 4000, 128
OPEN_AND_GROUP = """
import sys
import ptychofold as pf

def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

pf.RawData, pf.group_scan
pf.RawData.from_file(sys.argv[2])
before = resident_bytes()
scan = pf.RawData.from_file(sys.argv[1])
pf.group_scan(scan.positions, pf.GroupingConfig(grid=(2, 2), n_neighbors=7, seed=0))
print(resident_bytes() - before)
"""


def write(path: Path, n_scan: int) -> Path:
    rng = np.random.default_rng(0)
    patterns = np.broadcast_to(rng.poisson(3.0, (1, N, N)).astype(np.uint16), (n_scan, N, N))
    np.savez(
        path,
        allow_pickle=False,
        diff3d=patterns,
        xcoords=rng.uniform(0, 500, n_scan),
        ycoords=rng.uniform(0, 500, n_scan),
        probeGuess=make_probe(N)[0],
    )
    return path


def test_opening_and_grouping_an_npz_costs_a_small_part_of_its_size(tmp_path: Path) -> None:
    large, small = write(tmp_path / "large.npz", N_SCAN), write(tmp_path / "small.npz", 16)
    done = subprocess.run(
        [sys.executable, "-c", OPEN_AND_GROUP, str(large), str(small)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 0.15 * large.stat().st_size
