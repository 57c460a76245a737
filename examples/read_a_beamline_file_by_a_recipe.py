"""Teach ptychofold an HDF5 file that no reader knows, with a TOML recipe."""

# %% A file as a beamline may write it: motor positions of the sample in micrometres, y upwards, energy in keV.
from pathlib import Path

import h5py
import numpy as np

import ptychofold as pf
from ptychofold.testing import make_scan

N = 32
known = make_scan(n_scan=64, N=N)
pixel_m = pf.ScanGeometry(energy_ev=8000.0, distance_m=2.0, detector_pixel_m=(75e-6, 75e-6)).object_pixel_m((N, N))[0]
with h5py.File("beamline.h5", "w") as file:
    file["detector/frames"] = known.patterns.read(slice(None))
    file["detector/dark"] = np.zeros((N, N))
    file["motors/samx"] = -1e6 * pixel_m * known.positions[:, 1]
    file["motors/samy"] = 1e6 * pixel_m * known.positions[:, 0]
    file["mono/energy"] = 8.0

# %% The recipe. Units and directions must be there: a wrong guess would be silent.
RECIPE = """
patterns = "detector/frames"
measurement = "intensity"
dark = "detector/dark"

[positions]
y = "motors/samy"
x = "motors/samx"
[positions.frame]
unit = "um"
y = "up"
moves = "sample"

[energy]
key = "mono/energy"
multiplier = 1000.0

[geometry]
distance_m = 2.0
detector_pixel_m = [75e-6, 75e-6]
"""
Path("beamline.toml").write_text(RECIPE)
scan = pf.read("beamline.h5", recipe="beamline.toml", probe="estimate")
print(f"{scan.metadata.format}, {scan.metadata.format_reason}")
print("history:", [step["step"] for step in scan.metadata.history])

# %% The scan is where it was, up to the origin: the sample moved, so that the probe went the other way.
shift = scan.positions - known.positions
assert np.allclose(shift, shift[0], atol=1e-6)
print(f"object pixel {1e9 * pixel_m:.2f} nm; the probe was estimated: {scan.probe.shape}")
for name in ("beamline.h5", "beamline.toml"):
    Path(name).unlink()
