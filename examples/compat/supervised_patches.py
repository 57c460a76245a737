"""Ground truth for supervised training, as a script for PtychoPINN writes it: simulate, cut patches, check, reassemble.

Run it where PtychoPINN is installed, or anywhere with: python -m ptychofold.compat supervised_patches.py
"""

import numpy as np
from ptycho import params
from ptycho.loader import load
from ptycho.raw_data import RawData, get_image_patches
from ptycho.tf_helper import reassemble_position

# %% A simulated scan whose object is known
rng = np.random.default_rng(1)
N, extent = 32, 96
params.set("N", N)
params.set("gridsize", 1)
y, x = (axis.ravel() for axis in np.mgrid[20:76:4, 20:76:4].astype(float))
row, column = np.mgrid[:N, :N] - N // 2
probe = np.exp(-(row**2 + column**2) / 80).astype(np.complex64)
smooth = np.fft.ifft2(
    np.fft.fft2(rng.normal(size=(extent, extent))) * np.exp(-np.hypot(*np.mgrid[:extent, :extent]) / 9)
)
canvas = np.exp(0.8j * smooth.real / np.abs(smooth).max()).astype(np.complex64)
raw = RawData.from_simulation(x, y, probe, canvas, np.zeros(len(x), int))
print("simulated", raw.diff3d.shape, raw.diff3d.dtype, "true patches", np.shape(raw.Y))

# %% Patches of every scan point, cut from the object, are those that the scan carries
grouped = raw.generate_grouped_data(N, K=4, nsamples=len(x), seed=0, gridsize=1)
patches = np.asarray(get_image_patches(canvas, grouped["coords_offsets"], grouped["coords_relative"], N=N, gridsize=1))
assert np.allclose(patches, grouped["Y"], atol=1e-5)

# %% The container holds them as amplitude and phase
container = load(lambda: grouped, probe, which=None, create_split=False)
truth = np.asarray(container.Y_I) * np.exp(1j * np.asarray(container.Y_phi))
assert np.allclose(truth, patches, atol=1e-5)

# %% Laid back at their positions they are the object
canvas_back = np.squeeze(np.asarray(reassemble_position(truth.astype(np.complex64), container.global_offsets, M=20)))
middle = canvas_back.shape[0] // 2
center = int(x.mean())
region = canvas[center - 20 : center + 20, center - 20 : center + 20]
found = canvas_back[middle - 20 : middle + 20, middle - 20 : middle + 20]
assert np.allclose(found, region, atol=1e-4)
print("done:", len(container), "patches")
