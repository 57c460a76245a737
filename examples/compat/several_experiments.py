"""Several experiments as one memory-mapped data set, as a script for PtychoPINN's PyTorch side writes it.

Run it where PtychoPINN is installed, or anywhere with: python -m ptychofold.compat several_experiments.py
"""

from pathlib import Path

import numpy as np
from ptycho_torch.config_params import DataConfig, ModelConfig
from ptycho_torch.dataloader import Collate, PtychoDataset, TensorDictDataLoader
from ptycho_torch.patch_generator import get_relative_coords

# %% Two experiments in one directory
N = 32
Path("experiments").mkdir(exist_ok=True)
for number in range(2):
    rng = np.random.default_rng(number)
    y, x = (axis.ravel() for axis in np.mgrid[:12, :12] * 3.0 + 20)
    amplitude = np.sqrt(rng.poisson(5, (len(x), N, N))).astype(np.float32)
    np.savez(
        f"experiments/scan{number}.npz",
        xcoords=x + rng.uniform(-1, 1, x.shape),
        ycoords=y + rng.uniform(-1, 1, y.shape),
        diff3d=amplitude,
        probeGuess=np.full((N, N), 1 + number, np.complex64),
        objectGuess=np.ones((80, 80), np.complex64),
        scan_index=np.zeros(len(x), int),
    )

# %% Groups of 4 of the 7 nearest, three around each point of the inner field
data = DataConfig(
    N=N, C=4, grid_size=(2, 2), K=6, n_subsample=3, x_bounds=(0.1, 0.9), y_bounds=(0.1, 0.9), normalize="Batch",
    neighbor_function="Nearest", scale_contract_version="legacy_v1", measurement_domain="normalized_amplitude",
)  # fmt: skip
dataset = PtychoDataset(
    "experiments", ModelConfig(mode="Unsupervised", object_big=True), data, data_dir="data/memmap", remake_map=True
)
print(len(dataset), "groups")

# %% One group, then whole batches
group, probe, scaling = dataset[0]
print("one group", tuple(group["images"].shape), tuple(probe.shape), tuple(scaling.shape))
seen = 0
for batch, probes, probe_scaling in TensorDictDataLoader(
    dataset, batch_size=64, shuffle=True, collate_fn=Collate("cpu")
):
    centers, relative = get_relative_coords(batch["coords_global"].numpy())
    assert np.allclose(centers, batch["coords_center"].numpy(), atol=1e-3)
    assert np.allclose(relative, batch["coords_relative"].numpy(), atol=1e-3)
    assert batch["images"].shape[1:] == (4, N, N)
    assert probes.shape[1:] == (4, 1, N, N)
    assert len(probe_scaling) == len(batch["experiment_id"])
    seen += len(batch["experiment_id"])
assert seen == len(dataset)
print("done:", seen, "groups of", len(set(dataset[:][0]["experiment_id"].tolist())), "experiments")
