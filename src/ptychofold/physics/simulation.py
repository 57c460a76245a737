"""Scans that were never measured: the forward model, then the noise of counting."""

import logging

import numpy as np
import torch
from jaxtyping import Complex64, Float64, Num, Shaped

from ptychofold.config import ScanGeometry, SimulationConfig
from ptychofold.errors import DomainError, ShapeError
from ptychofold.metadata import Metadata
from ptychofold.physics.forward import ForwardModel
from ptychofold.physics.geometry import Geometry
from ptychofold.physics.noise import poisson_counts
from ptychofold.physics.objects import make_object
from ptychofold.physics.probes import make_probe
from ptychofold.physics.scan_patterns import make_positions, object_side
from ptychofold.raw_data import RawData
from ptychofold.scaling import photon_scale
from ptychofold.typing import Measurement

__all__ = ["simulate", "simulate_in_probe_units", "simulate_scan"]

logger = logging.getLogger(__name__)

CHUNK_PIXELS = 1 << 20
"""Pixels of patterns and modes that are simulated in one step."""


def simulate(
    canvas: Complex64[np.ndarray, "H W"],
    probe: Complex64[np.ndarray, "mode N N"],
    positions: Float64[np.ndarray, "scan 2"],
    *,
    seed: int,
    n_photons: float | None = None,
    geometry: Geometry | None = None,
    measurement: Measurement = "intensity",
    dtype: np.dtype | type | None = None,
    positions_nominal: Float64[np.ndarray, "scan 2"] | None = None,
) -> RawData:
    """Simulate a scan.

    Parameters
    ----------
    canvas
        (H, W), the object's complex transmission.
    probe
        (mode, N, N), the illumination.
    positions
        (scan, 2), (y, x) of the probe's centre in object pixels; every patch must lie on the object.
    seed
        Seed of the counting noise; the same scan results on every machine and whatever the memory.
    n_photons
        Dose: photons that the probe brings to each pattern. The probe is scaled to ``Σ |P|² = n_photons`` and counts
        are drawn from Poisson distributions. None keeps the probe's scale and leaves the patterns without noise.
    geometry
        How the exit wave reaches the detector, and the units; far field if None.
    measurement
        Store counts ("intensity") or their square root ("amplitude").
    dtype
        Dtype of the stored patterns. If None: uint16 or, where counts need it, uint32 for noisy intensities, float32
        for everything else.
    positions_nominal
        (scan, 2), commanded positions that differ from where the probe really was; the positions if None.

    Returns
    -------
    scan
        With the object and the probe (scaled to the dose) as ground truth: its amplitude is that of the forward model.

    Raises
    ------
    DomainError
        If a patch reaches beyond the object, the dose is not positive, the probe is dark, or counts do not fit into
        ``dtype``.
    """
    N = probe.shape[-1]
    _check_on_canvas(positions, canvas.shape, N)
    geometry = Geometry() if geometry is None else geometry
    probe = probe if n_photons is None else _with_power(probe, n_photons)
    model = ForwardModel(torch.tensor(probe), propagator=geometry.propagator())
    rng = None if n_photons is None else torch.Generator().manual_seed(seed)
    object_, at = torch.tensor(canvas), torch.tensor(positions)
    patterns = np.empty((len(positions), N, N), np.float32)
    step = max(1, CHUNK_PIXELS // probe.size)
    with torch.no_grad():
        for start in range(0, len(positions), step):
            part = slice(start, start + step)
            amplitude = model.from_object(object_, at[part])
            intensity = amplitude.square() if rng is None else poisson_counts(amplitude.square(), rng=rng)
            patterns[part] = (intensity if measurement == "intensity" else intensity.sqrt()).numpy()
    logger.info("simulated %d patterns of %d pixels, %s photons each", len(positions), N, n_photons)
    return RawData.from_arrays(
        patterns=_stored(patterns, noisy=rng is not None and measurement == "intensity", dtype=dtype),
        positions=positions,
        positions_nominal=positions_nominal,
        probe=probe,
        object=canvas,
        measurement=measurement,
        metadata=Metadata(
            wavelength_m=geometry.wavelength_m,
            pixel_size_m=geometry.pixel_size_m,
            n_photons=n_photons,
            geometry=_stated(geometry),
            extra={"simulation": {"seed": seed, "geometry": geometry.model_dump(mode="json")}},
        ),
    )


def simulate_scan(config: SimulationConfig, *, geometry: Geometry | None = None) -> RawData:
    """Simulate a scan of a named object on a named scan pattern.

    Parameters
    ----------
    config
        What is scanned, where, by what light; the same settings give the same scan on every machine.
    geometry
        How the exit wave reaches the detector, and the units; far field if None.

    Raises
    ------
    DomainError
        If no counts of this dose fit into 32 bits.

    Examples
    --------
    >>> scan = simulate_scan(SimulationConfig(N=16, n_scan=9, object="lines"))
    >>> scan.patterns.shape, scan.object.shape
    ((9, 16, 16), (20, 20))
    """
    side = object_side(config.n_scan, size=config.N, step=config.step_px)
    positions = make_positions(config.scan, (side, side), size=config.N, step=config.step_px, seed=config.seed)
    spread = config.nominal_error * np.random.default_rng([config.seed, 1]).standard_normal(positions.shape)
    return simulate(
        make_object(
            config.object, (side, side), seed=config.seed, absorption=config.absorption, phase_rad=config.phase_rad
        ),
        make_probe(config.probe, config.N),
        positions,
        seed=config.seed,
        n_photons=config.n_photons,
        geometry=geometry,
        positions_nominal=positions + spread if config.nominal_error else None,
    )


def simulate_in_probe_units(
    canvas: Complex64[np.ndarray, "H W"],
    probe: Complex64[np.ndarray, "N N"],
    positions: Float64[np.ndarray, "scan 2"],
    *,
    seed: int,
    n_photons: float,
) -> tuple[RawData, float]:
    """Simulate far-field amplitudes in the scale of the probe as given, with the noise of ``n_photons`` that it brings.

    Returns
    -------
    scan, photon_factor
        The scan with its object and true patches, and √(n_photons / ⟨Σ A²⟩), which brings its amplitudes to counts.
    """
    canvas, probe = (np.require(field, np.complex64, "W") for field in (canvas, probe))
    dosed = simulate(canvas, probe[None], positions, seed=seed, n_photons=n_photons)
    unit = float(np.linalg.norm(dosed.probe) / np.linalg.norm(probe))
    every = np.arange(len(dosed))
    scan = RawData.from_arrays(
        patterns=dosed.amplitude(every) / np.float32(unit),
        positions=positions,
        probe=probe,
        object=canvas,
        patches=dosed.ground_truth(every),
        measurement="amplitude",
    )
    return scan, photon_scale(n_photons, float(dosed.energies().mean()) / unit**2)


def _stated(geometry: Geometry) -> ScanGeometry | None:
    """Return a near field as a scan states it; a simulated far field has no set-up to tell of."""
    if geometry.propagation == "far_field":
        return None
    return ScanGeometry.from_mapping(geometry.model_dump())


def _with_power(probe: Complex64[np.ndarray, "mode N N"], n_photons: float) -> Complex64[np.ndarray, "mode N N"]:
    if not n_photons > 0:
        raise DomainError(f"expected a positive n_photons; found {n_photons}. None simulates without noise.")
    power = float(np.linalg.norm(probe) ** 2)
    if not power > 0:
        raise DomainError("expected a probe with light in it; found zeros everywhere.", field="probe")
    return np.asarray(probe * np.sqrt(n_photons / power), np.complex64)


def _check_on_canvas(positions: Float64[np.ndarray, "scan 2"], shape: tuple[int, ...], N: int) -> None:
    if not len(positions):
        raise ShapeError("expected at least one scan position; found none.", field="positions")
    low = np.full(2, N // 2)
    high = np.asarray(shape) - N + N // 2
    outside = np.logical_or(positions < low, positions > high).any(axis=1)
    if outside.any():
        first = int(np.argmax(outside))
        raise DomainError(
            f"expected positions from {low.tolist()} to {high.tolist()}, where patches of {N} pixels lie on the "
            f"object of {tuple(shape)}; found {positions[first].tolist()} at row {first} and {int(outside.sum()) - 1} "
            "more. Enlarge the object or move the scan.",
            field="positions",
        )


def _stored(
    patterns: Num[np.ndarray, "scan N N"], *, noisy: bool, dtype: np.dtype | type | None
) -> Shaped[np.ndarray, "scan N N"]:
    largest = float(patterns.max())
    if dtype is None:
        if not noisy:
            return patterns
        dtype = np.uint16 if largest <= np.iinfo(np.uint16).max else np.uint32
    target = np.dtype(dtype)
    if target.kind in "ui" and not (noisy and largest <= np.iinfo(target).max):
        raise DomainError(
            f"expected patterns that fit into {target} without loss; found values up to {largest:.6g}"
            f"{'' if noisy else ' that are not whole'}. Choose a wider integer or float32.",
            field="patterns",
        )
    return patterns.astype(target)
