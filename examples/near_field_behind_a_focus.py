"""What energy, distances and pixels of a near-field scan mean: magnification, object pixel, effective distance."""

# %% A detector 1.12 m behind a focus, the sample 3.65 mm behind it, as at beamline P25 of PETRA III.
import ptychofold as pf

geometry = pf.ScanGeometry(
    energy_ev=12658.0,
    distance_m=1.12,
    distance_from="focus",
    focus_m=3.65e-3,
    detector_pixel_m=(55e-6, 55e-6),
)
print(f"{geometry.field}, magnification {geometry.magnification:.1f}")
print(f"object pixel {1e9 * geometry.object_pixel_m((100, 100))[0]:.1f} nm")
print(f"as a parallel beam over {1e3 * (geometry.effective_distance_m or 0):.4f} mm")

# %% The distance counted from the sample instead, as CXI defines it, changes the pixel by 0.3 %.
from_sample = geometry.updated(pf.ScanGeometry(distance_from="sample", distance_m=1.12))
print(f"object pixel {1e9 * from_sample.object_pixel_m((100, 100))[0]:.1f} nm")

# %% Electrons of 300 keV are relativistic.
electrons = pf.ScanGeometry(particle="electron", energy_ev=300e3)
print(f"{1e12 * (electrons.wavelength or 0):.3f} pm")
