"""Open a scan, see what it was taken for and why, and hand it on in another format."""

# %% A file is recognised by its content, never by its name.
from pathlib import Path

import numpy as np

import ptychofold as pf
from ptychofold import samples

scan = pf.read(samples.path("siemens"))
print(f"{scan.metadata.format}: {scan.metadata.format_reason}")
print(f"{len(scan)} patterns of {scan.N} × {scan.N}, {scan.measurement} ({scan.metadata.measurement_reason})")

# %% The file has no units. What is missing is named, with the option that supplies it.
try:
    scan.to_file("siemens.cxi")
except pf.MissingFieldError as error:
    print(error)

# %% So say them: a stated fact overrides the file's. The object pixel follows from energy, distance and detector pixel.
# (These three are for illustration; the sample's own are not published with it.)
scan = pf.read(samples.path("siemens"), energy_ev=8800.0, distance_m=1.92, detector_pixel_m=(75e-6, 75e-6))
scan = scan.subset(range(64))
pixel_size_m = scan.metadata.pixel_size_m
assert pixel_size_m is not None
print(f"object pixel {1e9 * pixel_size_m[0]:.2f} nm at {1e9 * (scan.metadata.wavelength_m or 0):.4f} nm")

# %% CXI has a place for all of it; a format that has not says what it cannot hold.
lost = scan.to_file("siemens.cxi")
print("CXI cannot hold:", ", ".join(lost) or "nothing")
again = pf.read("siemens.cxi")
print(f"{again.metadata.format}: {again.metadata.format_reason}")
assert np.allclose(again.positions, scan.positions)
assert np.array_equal(again.patterns.read(slice(None)), scan.patterns.read(slice(None)))
Path("siemens.cxi").unlink()
