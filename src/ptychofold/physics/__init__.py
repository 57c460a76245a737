"""From object to measured patterns: illumination, propagation, detection, noise, and distances to measurements.

Every linear operator has its adjoint; all run on tensors of single or double precision on any device.
"""

from ptychofold.physics.extraction import extract_patches, place_patches
from ptychofold.physics.forward import (
    ForwardModel,
    diffraction_amplitude,
    exit_waves,
    exit_waves_to_patches,
    exit_waves_to_probe,
)
from ptychofold.physics.fourier import centered_fft2, centered_ifft2
from ptychofold.physics.geometry import Geometry
from ptychofold.physics.losses import (
    PATTERN_LOSSES,
    PatternLoss,
    amplitude_mae,
    amplitude_mse,
    poisson_nll,
    r_factor,
    total_variation,
)
from ptychofold.physics.modes import add_modes, illumination, mode_shares, orthogonal_modes
from ptychofold.physics.noise import poisson_counts, thin_counts
from ptychofold.physics.objects import OBJECTS, make_object
from ptychofold.physics.overlap import apply_overlap, group_coverage, merge_group_patches, region_size, split_region
from ptychofold.physics.probes import PROBES, make_probe
from ptychofold.physics.propagation import FarField, NearField, Propagator
from ptychofold.physics.scaling_profiles import (
    AmplitudeScaling,
    CountIntensityScaling,
    ScalingProfile,
    scaling_from_dict,
    scaling_type,
)
from ptychofold.physics.scan_patterns import SCAN_PATTERNS, make_positions, object_side
from ptychofold.physics.simulation import simulate, simulate_scan

__all__ = [
    "OBJECTS",
    "PATTERN_LOSSES",
    "PROBES",
    "SCAN_PATTERNS",
    "AmplitudeScaling",
    "CountIntensityScaling",
    "FarField",
    "ForwardModel",
    "Geometry",
    "NearField",
    "PatternLoss",
    "Propagator",
    "ScalingProfile",
    "add_modes",
    "amplitude_mae",
    "amplitude_mse",
    "apply_overlap",
    "centered_fft2",
    "centered_ifft2",
    "diffraction_amplitude",
    "exit_waves",
    "exit_waves_to_patches",
    "exit_waves_to_probe",
    "extract_patches",
    "group_coverage",
    "illumination",
    "make_object",
    "make_positions",
    "make_probe",
    "merge_group_patches",
    "mode_shares",
    "object_side",
    "orthogonal_modes",
    "place_patches",
    "poisson_counts",
    "poisson_nll",
    "r_factor",
    "region_size",
    "scaling_from_dict",
    "scaling_type",
    "simulate",
    "simulate_scan",
    "split_region",
    "thin_counts",
    "total_variation",
]
