"""pty-chi's engines, from the wheel, on our scans: conventions, results and no traces in the process."""

import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ptychofold.config import PtychiConfig
from ptychofold.physics import Geometry, NearField, simulate
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.iterative import ReconstructionDivergedError, reconstruct
from ptychofold.testing import make_scan

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(find_spec("ptychi") is None, reason="needs pty-chi: make test-engines"),
    pytest.mark.filterwarnings("ignore"),
]
STILL = {"epochs": 1, "object_step": 1e-6, "probe_step": 0.0}
NEAR = Geometry.of(NearField(wavelength_m=1e-10, distance_m=2e-3, pixel_size_m=(1e-7, 1e-7)))


@pytest.fixture(scope="module", autouse=True)
def _torchvision() -> None:
    if find_spec("torchvision") is None:
        sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "quality" / "stubs"))


@pytest.fixture(scope="module")
def scan() -> RawData:
    return make_scan(n_scan=64, N=32, step=3.0, n_photons=1e6, seed=1)


@pytest.mark.parametrize("N", [32, 33])
@pytest.mark.parametrize("geometry", [Geometry(), NEAR], ids=["far", "near"])
def test_the_true_object_explains_the_patterns_from_the_first_epoch(N: int, geometry: Geometry) -> None:
    true = make_scan(n_scan=25, N=N, step=3.0, seed=1)
    assert true.object is not None
    # positions on whole pixels, where moving the probe and moving the object are one
    clean = simulate(true.object, true.probe, np.rint(true.positions), seed=0, geometry=geometry)
    result = reconstruct(clean, PtychiConfig(start="scan", **STILL), geometry=geometry)
    assert result.losses[0] < 0.01
    assert result.r_factor < 0.01
    np.testing.assert_array_equal(result.positions, clean.positions)


@pytest.mark.parametrize("method", ["lsqml", "rpie", "epie"])
def test_engines_find_an_object_from_nothing(scan: RawData, method: str) -> None:
    config = PtychiConfig(method=method, epochs=15, batch_size=8, held_out=0.1, alpha=1.0)
    result = reconstruct(replace(scan, object=None), config)
    assert result.losses[-1] < 0.5 * result.losses[0]
    assert result.r_factor_held_out is not None
    assert result.r_factor_held_out < 0.6 * result.losses[0]
    assert result.provenance["engine"] == f"ptychi:{method}"


def test_modes_and_positions_are_taken_along(scan: RawData) -> None:
    blank = replace(scan, object=None)
    result = reconstruct(blank, PtychiConfig(epochs=6, batch_size=16, n_modes=3, position_step=0.3, held_out=0.1))
    assert result.probe.shape == (3, 32, 32)
    assert result.mode_shares[0] > 0.5
    moved = np.abs(result.positions - result.shift - scan.positions).max(axis=1)
    assert (moved[result.held_out] == 0).all()
    assert moved.max() > 0.01


OUTSIDE = """
import random, sys
sys.path[:0] = {path!r}
import numpy as np, torch
from ptychofold.config import PtychiConfig
from ptychofold.reconstruction.iterative import reconstruct
from ptychofold.testing import make_scan

def outside():
    states = random.getstate(), np.random.get_state(), torch.get_rng_state().tolist()
    return *states, torch.get_default_dtype(), torch.get_default_device()

scan = make_scan(n_scan=36, N=16)
reconstruct(scan, PtychiConfig(epochs=1))
before = outside()
first, second = (reconstruct(scan, PtychiConfig(epochs=2, batch_size=16, batching="uniform", seed=3)) for _ in "ab")
np.testing.assert_equal(outside(), before)
np.testing.assert_array_equal(first.object, second.object)
"""


def test_the_process_is_left_as_it_was_and_a_seed_repeats_the_run() -> None:
    # in a process of its own, as the checker of types in this one draws from Python's generator itself
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OUTSIDE.format(path=sys.path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_fit_that_diverges_gives_no_result(scan: RawData) -> None:
    with pytest.raises(ReconstructionDivergedError, match="expected a finite fit"):
        reconstruct(scan, PtychiConfig(method="epie", epochs=4, object_step=1e30, probe_step=1e30))
