"""Steps on single pixels: background, flat field, mask, hot and dead pixels, amplitude or intensity, inpainting."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float64, Num, Shaped

from ptychofold.config.preprocess import BackgroundStep, BadPixelStep, ConvertStep, FlatStep, InpaintStep, MaskStep
from ptychofold.errors import ConfigError, ShapeError
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.frame_changes import changed_frame
from ptychofold.formats.transformed import TransformedSource
from ptychofold.preprocess.center import beam_center, sample_intensity
from ptychofold.preprocess.frames import Converted, Inpainted, Rescaled
from ptychofold.preprocess.sources import checked_side_array, known_measurement, patterns_of

__all__ = [
    "apply_background",
    "apply_bad_pixels",
    "apply_convert",
    "apply_flat",
    "apply_inpaint",
    "apply_mask",
    "dead_pixels",
    "hot_pixels",
    "resolve_bad_pixels",
]

MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
RING = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]], bool)
"""Neighbors that a pixel is compared with."""
BRIGHTER = 3.0
"""Times that a hot pixel's median exceeds those of almost all neighbors."""
DIRECT_BEAM = 1 / 32
"""Distance from the middle of the beam, as a share of the frame, within which a bright pixel may be the direct beam."""
EXPECTED_COUNTS = 20.0
"""Counts over all patterns looked at that a dead pixel's dim neighbors must have: P(0) < 1e-8."""


def apply_background(step: BackgroundStep, found: ScanFields) -> ScanFields:
    """Subtract dark counts."""
    dark: Float64[np.ndarray, "H W"] | float = step.level
    if step.file is not None:
        dark = step.level + _frame(step.file, step, found)
    return _rescaled(found, subtract=dark)


def apply_flat(step: FlatStep, found: ScanFields) -> ScanFields:
    """Divide by the response."""
    flat = _frame(step.file, step, found)
    lit = np.isfinite(flat) & (flat > 0)
    if not lit.any():
        raise ConfigError(f"flat: expected a field with a response; {step.file} has no positive number.")
    inverse = np.zeros_like(flat)
    inverse[lit] = np.median(flat[lit]) / flat[lit]
    return _with_bad(_rescaled(found, multiply=inverse), ~lit)


def apply_convert(step: ConvertStep, found: ScanFields) -> ScanFields:
    """Take roots or squares."""
    known = known_measurement(found)
    if known == step.to:
        return found
    return replace(
        found,
        patterns=TransformedSource(patterns_of(found), Converted(step.to)),
        measurement=step.to,
        measurement_reason=f"{'roots' if step.to == 'amplitude' else 'squares'} of what is known as {known}",
    )


def apply_mask(step: MaskStep, found: ScanFields) -> ScanFields:
    """Mark pixels bad."""
    marked = _frame(step.file, step, found) != 0
    return _with_bad(found, ~marked if step.good else marked)


def resolve_bad_pixels(step: BadPixelStep, found: ScanFields) -> BadPixelStep:
    """Look for hot and dead pixels."""
    if step.pixels is not None:
        return step
    sample = sample_intensity(patterns_of(found), known_measurement(found), n_frames=step.n_frames)
    bad = hot_pixels(sample, threshold=step.threshold) | dead_pixels(sample)
    if found.bad_pixels is not None:
        bad &= ~found.bad_pixels.astype(bool)
    return step.replace(pixels=tuple(np.flatnonzero(bad).tolist()))


def apply_bad_pixels(step: BadPixelStep, found: ScanFields) -> ScanFields:
    """Mark the pixels found."""
    shape = patterns_of(found).shape[1:]
    bad = np.zeros(shape[0] * shape[1], bool)
    pixels = np.array(step.pixels or (), np.int64)
    if len(pixels) and pixels.max() >= bad.size:
        raise ShapeError(
            f"bad_pixels: expected pixel numbers below {bad.size}; found {pixels.max()}. The frames have another size.",
            path=found.path,
            field="bad_pixels",
        )
    bad[pixels] = True
    return _with_bad(found, bad.reshape(shape[0], shape[1]))


def apply_inpaint(step: InpaintStep, found: ScanFields) -> ScanFields:
    """Fill bad pixels; the mask stays."""
    if found.bad_pixels is None or not found.bad_pixels.any():
        return found
    transform = Inpainted(found.bad_pixels.astype(bool), step.radius)
    return replace(found, patterns=TransformedSource(patterns_of(found), transform))


def hot_pixels(sample: Num[np.ndarray, "n H W"], *, threshold: float = 8.0) -> Bool[np.ndarray, "H W"]:
    """Find pixels whose median over the scan stands out from nearly all of their 24 neighbors.

    A pixel is hot if its temporal median exceeds `BRIGHTER` times the 88th percentile of the neighbors' medians, and
    exceeds it by ``threshold`` robust standard deviations (1.48 times the median absolute deviation over the scan, at
    least that of a Poisson count). Up to two hot pixels may touch. Light that passes the optics straight makes such a
    pixel in the middle of the beam, so that none is called hot there.

    Parameters
    ----------
    sample
        Intensities of some patterns.
    threshold
        Robust standard deviations.
    """
    from scipy.ndimage import percentile_filter

    median = np.median(sample, axis=0).astype(np.float64)
    spread = MAD_TO_SIGMA * np.median(np.abs(sample - median), axis=0).astype(np.float64)
    around = percentile_filter(median, 88, footprint=RING, mode="nearest")
    noise = np.maximum(percentile_filter(spread, 88, footprint=RING, mode="nearest"), np.sqrt(np.maximum(around, 1)))
    found: Bool[np.ndarray, "H W"] = (median > BRIGHTER * around) & (median - around > threshold * noise)
    if found.any():
        y, x = np.indices(found.shape)
        row, column = beam_center(median)
        found &= np.hypot(y - row, x - column) > DIRECT_BEAM * max(found.shape)
    return found


def dead_pixels(sample: Num[np.ndarray, "n H W"]) -> Bool[np.ndarray, "H W"]:
    """Find pixels that are zero in every pattern although nearly all of their 24 neighbors have light.

    A detector that gives several units a photon has no smaller number than that: neighbors are counted in it.
    """
    from scipy.ndimage import percentile_filter

    total = sample.sum(axis=0, dtype=np.float64)
    lit = sample[sample > 0]
    total /= max(1.0, float(lit.min())) if lit.size else 1.0
    around = percentile_filter(total, 25, footprint=RING, mode="nearest")
    found: Bool[np.ndarray, "H W"] = (total == 0) & (around > EXPECTED_COUNTS)
    return found


def _frame(file: str, step: BackgroundStep | FlatStep | MaskStep, found: ScanFields) -> Float64[np.ndarray, "H W"]:
    """Return the step's frame as the scan's frames lie."""
    array: Shaped[np.ndarray, ...] = checked_side_array(file, step.checksum)
    shape = patterns_of(found).shape[1:]
    if step.transposed or step.zero_frequency == "corner":
        array = changed_frame(array, transposed=step.transposed, zero_frequency=step.zero_frequency, name=step.step)
    if array.shape != shape:
        raise ShapeError(f"expected a frame of shape {shape} like the patterns; found {array.shape}.", path=file)
    return array.astype(np.float64)


def _rescaled(
    found: ScanFields,
    *,
    subtract: Float64[np.ndarray, "H W"] | float = 0.0,
    multiply: Float64[np.ndarray, "H W"] | float = 1.0,
) -> ScanFields:
    transform = Rescaled(known_measurement(found), subtract=subtract, multiply=multiply)
    return replace(found, patterns=TransformedSource(patterns_of(found), transform))


def _with_bad(found: ScanFields, bad: Bool[np.ndarray, "H W"]) -> ScanFields:
    if found.bad_pixels is not None:
        bad = bad | found.bad_pixels.astype(bool)
    return replace(found, bad_pixels=bad)
