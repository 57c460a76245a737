"""Train-data preparation, as a script for PtychoPINN writes it: file -> RawData -> groups -> container.

Run it where PtychoPINN is installed, or anywhere with: python -m ptychofold.compat prepare_training_data.py
"""

import numpy as np
import ptycho.params
from ptycho.config.config import ModelConfig, TrainingConfig, update_legacy_dict
from ptycho.loader import PtychoDataContainer, load
from ptycho.raw_data import RawData
from ptycho.workflows.components import load_data

# %% A scan in the contract's NPZ: 15 x 15 points, amplitudes
rng = np.random.default_rng(0)
N, side = 64, 15
y, x = (axis.ravel() for axis in np.mgrid[:side, :side] * 5.0 + 40)
x, y = x + rng.uniform(-1, 1, x.shape), y + rng.uniform(-1, 1, y.shape)
row, column = np.mgrid[:N, :N] - N // 2
probe = np.exp(-(row**2 + column**2) / 200).astype(np.complex64)
canvas = (1 + 0.3 * rng.normal(size=(160, 160))) * np.exp(0.5j * rng.normal(size=(160, 160)))
cut = np.stack([canvas[int(v) - 32 : int(v) + 32, int(u) - 32 : int(u) + 32] for u, v in zip(x, y, strict=True)])
counts = rng.poisson(20 * np.abs(np.fft.fftshift(np.fft.fft2(cut * probe, norm="ortho"), axes=(1, 2))) ** 2)
np.savez(
    "scan.npz",
    xcoords=x,
    ycoords=y,
    diff3d=np.sqrt(counts).astype(np.float32),
    probeGuess=probe,
    objectGuess=canvas.astype(np.complex64),
    scan_index=np.zeros(len(x), int),
    xcoords_start=x,
    ycoords_start=y,
)

# %% Settings: dataclasses fill the dictionary that older scripts read
config = TrainingConfig(model=ModelConfig(N=N, gridsize=2), train_data_file="scan.npz", n_groups=100, neighbor_count=7)
update_legacy_dict(ptycho.params.cfg, config)
assert ptycho.params.get("gridsize") == 2

# %% A seeded choice of scan points, then groups of four neighbors
raw = load_data("scan.npz", n_subsample=200, subsample_seed=7)
grouped = raw.generate_grouped_data(N, K=config.neighbor_count, nsamples=config.n_groups, seed=7, gridsize=2)
for name in ("diffraction", "X_full", "coords_offsets", "coords_relative", "nn_indices"):
    print(f"{name:16} {grouped[name].shape} {grouped[name].dtype}")

# %% Containers of training and test tensors
train = load(lambda: (grouped, 0.9), raw.probeGuess, which="train", create_split=True)
test = load(lambda: (grouped, 0.9), raw.probeGuess, which="test", create_split=True)
print(train)
assert (len(train), len(test)) == (90, 10)
whole = RawData.from_file("scan.npz")
single = PtychoDataContainer.from_raw_data_without_pc(
    x, y, whole.diff3d, probe, np.zeros(len(x), int), N=N, nsamples=50
)
train.to_npz("train.npz")
print("done:", len(single), "single patterns and", len(train), "groups")
