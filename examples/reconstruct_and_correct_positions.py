"""Reconstruct a scan whose positions are wrong: flat object first, then positions, then the result as ground truth."""

# %% A simulated scan with known object, and a stage that stood up to a pixel beside where it says.
from dataclasses import replace

import numpy as np

from ptychofold.config import GradientConfig
from ptychofold.reconstruction.iterative import reconstruct
from ptychofold.testing import make_scan

truth = make_scan(n_scan=64, N=32, step=3.0, n_photons=1e6, seed=2)
stage = truth.positions + np.random.default_rng(0).normal(0, 0.4, truth.positions.shape)
scan = replace(truth, positions=stage, object=None)

# %% From a flat object, a tenth of the patterns held out: R of those tells whether noise or structure was fitted.
first = reconstruct(scan, GradientConfig(epochs=10, held_out=0.1))
print(f"R {first.r_factor:.3f}, held out {first.r_factor_held_out:.3f}")

# %% Go on from there, and let positions move.
second = reconstruct(scan, GradientConfig(epochs=20, position_learning_rate=1.0, continued=1.0), start=first)
error = second.positions - second.shift - truth.positions
before = np.std(stage - truth.positions)
print(f"R {second.r_factor:.3f}, positions wrong by {before:.2f} px, now {np.std(error):.2f} px")

# %% The result is a scan with an object: ground truth for supervised training, or a file (`second.save("object.h5")`).
known = second.as_scan()
print(f"object of {known.object.shape} px, main mode {second.mode_shares[0]:.0%}")
