"""Steps that change the detector's grid: crop, pad, bin, turn; probe, object, positions and pixel size follow.

With N pixels of size Δ at the distance z, an object pixel of the far field is λz/(NΔ) and the probe's window λz/Δ.
So cropping makes object pixels larger and keeps the window, binning keeps object pixels and makes the window smaller.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Complex, Complex64, Float, Float64

from ptychofold.config.preprocess import BinStep, CropStep, OrientStep, PadStep
from ptychofold.errors import ConfigError, ShapeError
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.transformed import TransformedSource
from ptychofold.metadata import Metadata
from ptychofold.preprocess.center import beam_center, sample_intensity
from ptychofold.preprocess.frames import Binned, Turned, Windowed, cut_window
from ptychofold.preprocess.sampling import resample_object, tilted, window_spectrum
from ptychofold.preprocess.sources import known_measurement, patterns_of
from ptychofold.preprocess.turns import D4

__all__ = ["apply_bin", "apply_crop", "apply_orient", "apply_pad", "propagation_of", "resolve_crop"]

logger = logging.getLogger(__name__)

N_CENTERED = 64
"""Patterns that the beam's center is estimated from."""
LOST_LIGHT = 0.01
"""Share of the probe's power outside a smaller window above which a warning is logged."""

_Positions = Float64[np.ndarray, "scan 2"]


def resolve_crop(step: CropStep, found: ScanFields) -> CropStep:
    """Fill in the beam's center and how the probe is cut."""
    patterns, center, probe = patterns_of(found), step.center, step.probe
    if center is None:
        mean = sample_intensity(patterns, known_measurement(found), n_frames=N_CENTERED).mean(axis=0, dtype=np.float64)
        center = beam_center(mean, found.bad_pixels)
    if probe is None:
        probe = "centred"
        if found.probe is not None and found.probe.shape[-2:] == patterns.shape[1:]:
            beam = np.array(beam_center(_diffraction(found.probe)))
            middle = np.array(patterns.shape[1:]) // 2
            nearer = np.linalg.norm(beam - np.array(center)) < np.linalg.norm(beam - middle)
            probe = "with_patterns" if nearer else "centred"
    return step.replace(center=center, probe=probe)


def apply_crop(step: CropStep, found: ScanFields) -> ScanFields:
    """Cut the frames about the center."""
    shape = patterns_of(found).shape[1:]
    if step.size > min(shape):
        raise ConfigError(f"crop: expected a size of at most {min(shape)} pixels, the frames' side; found {step.size}.")
    if step.center is None or step.probe is None:
        raise ConfigError("crop: expected a center and a way to cut the probe; found None. Resolve the step first.")
    middle = [round(c) for c in step.center]
    start = (middle[0] - step.size // 2, middle[1] - step.size // 2)
    outside = min(start) < 0 or any(s + step.size > n for s, n in zip(start, shape, strict=True))
    if outside:
        logger.warning("crop: the window reaches over the frame; pixels outside are dark and bad")
    return _windowed(found, start, step.size, follows=step.probe == "with_patterns", near=_is_near(step, found))


def apply_pad(step: PadStep, found: ScanFields) -> ScanFields:
    """Put the frames into the middle of larger ones."""
    shape = patterns_of(found).shape[1:]
    if step.size < max(shape):
        raise ConfigError(f"pad: expected a size of at least {max(shape)} pixels, the frames' side; found {step.size}.")
    start = (shape[0] // 2 - step.size // 2, shape[1] // 2 - step.size // 2)
    return _windowed(found, start, step.size, follows=True, near=_is_near(step, found))


def apply_bin(step: BinStep, found: ScanFields) -> ScanFields:
    """Add blocks of pixels."""
    patterns, b = patterns_of(found), step.factor
    height, width = patterns.shape[1:]
    if height % b or width % b:
        raise ShapeError(
            f"bin: expected frames whose sides are multiples of {b}; found {height} × {width}. Crop or pad them first.",
            path=found.path,
            field="patterns",
        )
    bad, weight = _binned_mask(found.bad_pixels, b, step.bad_share)
    new = (height // b, width // b)
    near = _is_near(step, found)
    changed = replace(
        found,
        patterns=TransformedSource(patterns, Binned(b, known_measurement(found), weight)),
        bad_pixels=bad,
        metadata=_with_larger_pixels(found.metadata, b, near=near),
    )
    if found.probe is not None and found.probe.shape[-2:] == new:
        return changed
    # the middle of the block that holds the zero frequency lies beside it
    shift = (_block_shift(height, b), _block_shift(width, b))
    return _binned_near(changed, b, (height, width)) if near else _binned_far(changed, new, shift)


def apply_orient(step: OrientStep, found: ScanFields) -> ScanFields:
    """Turn frames, positions, or both with all that belongs to them."""
    turn = D4.named(step.turn)
    patterns, frames, field = patterns_of(found), step.target != "positions", step.target != "patterns"
    changed = found
    if frames:
        bad = None if found.bad_pixels is None else np.ascontiguousarray(turn.frames(found.bad_pixels))
        metadata = _exchanged(found.metadata) if turn.transpose else found.metadata
        turned = TransformedSource(patterns, Turned(turn))
        changed = replace(changed, patterns=turned, bad_pixels=bad, metadata=metadata)
    if field and found.positions is not None:
        last = _last(found)
        nominal = found.positions_nominal
        changed = replace(
            changed,
            positions=turn.positions(found.positions.astype(np.float64), last),
            positions_nominal=None if nominal is None else turn.positions(nominal.astype(np.float64), last),
            positions_m=None,
            positions_nominal_m=None,
        )
    if not (frames and field):
        size = found.metadata.pixel_size_m
        oblong = size is not None and turn.transpose and size[0] != size[1]
        return _in_other_pixels(changed, size, frames=frames) if size is not None and oblong else changed
    return replace(
        changed,
        probe=_maybe(found.probe, turn.frames),
        object=_maybe(found.object, turn.pixels),
        patches=_maybe(found.patches, turn.frames),
    )


def _exchanged(metadata: Metadata) -> Metadata:
    """Return the metadata of transposed frames: height and width of detector and object pixels are exchanged."""
    size, geometry = metadata.pixel_size_m, metadata.geometry
    if geometry is not None:
        detector, stated = geometry.detector_pixel_m, geometry.pixel_size_m
        geometry = geometry.replace(
            detector_pixel_m=None if detector is None else detector[::-1],
            pixel_size_m=None if stated is None else stated[::-1],
        )
    return replace(metadata, pixel_size_m=None if size is None else size[::-1], geometry=geometry)


def _in_other_pixels(found: ScanFields, size: tuple[float, float], *, frames: bool) -> ScanFields:
    """Keep positions in metres where frames or positions alone were transposed and object pixels are oblong.

    ``size`` is the object pixel before. Transposed frames have it exchanged, under positions that stay; transposed
    positions were counted in the other axis's pixels. Object and patches lie on a grid that is no more.
    """
    ratio = np.array([size[0] / size[1], size[1] / size[0]])
    ratio = ratio if frames else ratio[::-1]
    if found.object is not None:
        logger.warning("orient: object pixels are not square; the object, which lies on the old grid, is left out")

    def scaled(positions: Float[np.ndarray, "scan 2"] | None) -> _Positions | None:
        return None if positions is None else positions * ratio

    return replace(
        found,
        positions=scaled(found.positions),
        positions_nominal=scaled(found.positions_nominal),
        object=None,
        patches=None,
    )


def _maybe(
    waves: Complex[np.ndarray, "..."] | None, change: Callable[[np.ndarray], np.ndarray]
) -> Complex[np.ndarray, "..."] | None:
    return None if waves is None else np.ascontiguousarray(change(waves))


def _last(found: ScanFields) -> tuple[float, float]:
    """Return the largest coordinates of the field that positions lie in: of the object, or of the scan itself."""
    if found.object is not None:
        return float(found.object.shape[0] - 1), float(found.object.shape[1] - 1)
    positions = np.asarray(found.positions, np.float64)
    low, high = np.nanmin(positions, axis=0), np.nanmax(positions, axis=0)
    return float(low[0] + high[0]), float(low[1] + high[1])


def propagation_of(step: CropStep | PadStep | BinStep, found: ScanFields) -> Literal["far_field", "near_field"]:
    """Return the propagation that the step states, else that of the scan, else the far field."""
    geometry = found.metadata.geometry
    return step.propagation or ("far_field" if geometry is None else geometry.field)


def _is_near(step: CropStep | PadStep | BinStep, found: ScanFields) -> bool:
    return propagation_of(step, found) == "near_field"


def _with_object_pixel(metadata: Metadata, ratio: tuple[float, float]) -> Metadata:
    """Return the metadata with object pixels that are ``ratio`` times as high and wide."""
    size, geometry = metadata.pixel_size_m, metadata.geometry
    if geometry is not None and geometry.pixel_size_m is not None:
        known = geometry.pixel_size_m
        geometry = geometry.replace(pixel_size_m=(known[0] * ratio[0], known[1] * ratio[1]))
    size = None if size is None else (size[0] * ratio[0], size[1] * ratio[1])
    return replace(metadata, pixel_size_m=size, geometry=geometry)


def _with_larger_pixels(metadata: Metadata, b: int, *, near: bool) -> Metadata:
    """Return the metadata with detector pixels, and in the near field object pixels, ``b`` times as large."""
    geometry = metadata.geometry
    if geometry is not None and geometry.detector_pixel_m is not None:
        height, width = geometry.detector_pixel_m
        metadata = replace(metadata, geometry=geometry.replace(detector_pixel_m=(height * b, width * b)))
    return _with_object_pixel(metadata, (float(b), float(b))) if near else metadata


def _diffraction(probe: Complex[np.ndarray, "*mode H W"]) -> Float64[np.ndarray, "H W"]:
    """Return the far-field intensity of a probe."""
    waves = np.fft.fftshift(np.fft.fft2(np.atleast_3d(probe.T).T), axes=(-2, -1))
    intensity: Float64[np.ndarray, "H W"] = (np.abs(waves) ** 2).sum(axis=0, dtype=np.float64)
    return intensity


def _windowed(found: ScanFields, start: tuple[int, int], size: int, *, follows: bool, near: bool) -> ScanFields:
    """Cut a window of the detector, and let the object plane follow if the probe had the frames' size."""
    patterns = patterns_of(found)
    shape, new = (patterns.shape[1], patterns.shape[2]), (size, size)
    bad = np.zeros(shape, bool) if found.bad_pixels is None else found.bad_pixels
    bad = ~cut_window(~bad.astype(bool), start, new)
    changed = replace(
        found,
        patterns=TransformedSource(patterns, Windowed(start, new)),
        bad_pixels=bad if bad.any() or found.bad_pixels is not None else None,
    )
    if found.probe is not None and found.probe.shape[-2:] != shape:
        return changed
    middle = (shape[0] // 2 - size // 2, shape[1] // 2 - size // 2)
    if near:
        moved = np.array([start[a] + size // 2 - shape[a] // 2 for a in range(2)], np.float64)
        return _moved(changed, moved, lambda waves: cut_window(waves, start, new))
    return _resampled(changed, shape, new, probe_start=start if follows else middle, patch_start=middle)


def _moved(
    found: ScanFields, by: Float64[np.ndarray, " 2"], cut: Callable[[np.ndarray], Complex[np.ndarray, "..."]]
) -> ScanFields:
    return replace(
        found,
        positions=None if found.positions is None else found.positions + by,
        positions_nominal=None if found.positions_nominal is None else found.positions_nominal + by,
        probe=_maybe(found.probe, cut),
        patches=_maybe(found.patches, cut),
    )


def _resampled(
    found: ScanFields,
    old: tuple[int, int],
    new: tuple[int, int],
    *,
    probe_start: tuple[int, int],
    patch_start: tuple[int, int],
) -> ScanFields:
    """Change object pixels by ``old / new``, as the window of the detector changed."""
    ratio = np.array(new, np.float64) / np.array(old)
    return replace(
        found,
        positions=None if found.positions is None else found.positions * ratio,
        positions_nominal=None if found.positions_nominal is None else found.positions_nominal * ratio,
        probe=_maybe(found.probe, lambda waves: window_spectrum(waves, probe_start, new)),
        object=_maybe(found.object, lambda canvas: resample_object(canvas, old, new)),
        patches=_maybe(found.patches, lambda waves: window_spectrum(waves, patch_start, new) * np.sqrt(ratio.prod())),
        metadata=_with_object_pixel(found.metadata, (old[0] / new[0], old[1] / new[1])),
    )


def _block_shift(side: int, b: int) -> float:
    """Return where the zero frequency lies after binning, minus where the convention has it."""
    return (side // 2 + 0.5) / b - 0.5 - side // b // 2


def _binned_mask(
    bad: Bool[np.ndarray, "H W"] | None, b: int, bad_share: float
) -> tuple[Bool[np.ndarray, "h w"] | None, Float64[np.ndarray, "H W"] | None]:
    """Return which blocks are bad, and the factor of each pixel in the sum of its block."""
    if bad is None:
        return None, None
    height, width = bad.shape
    share = bad.astype(np.float64).reshape(height // b, b, width // b, b).mean(axis=(1, 3))
    scaled = np.where((share > 0) & (share <= bad_share), 1 / np.maximum(1 - share, 1e-9), 1.0)
    return share > bad_share, np.where(bad, 0.0, np.kron(scaled, np.ones((b, b))))


def _binned_far(found: ScanFields, new: tuple[int, int], shift: tuple[float, float]) -> ScanFields:
    """Cut probe and patches to the smaller window; object pixels stay."""

    def cut(waves: Complex[np.ndarray, "*batch H W"]) -> Complex[np.ndarray, "*batch h w"]:
        start = (waves.shape[-2] // 2 - new[0] // 2, waves.shape[-1] // 2 - new[1] // 2)
        return cut_window(waves, start, new)

    probe = found.probe
    if probe is not None:
        inner = cut(probe)
        lost = 1 - float((np.abs(inner) ** 2).sum() / (np.abs(probe) ** 2).sum())
        if lost > LOST_LIGHT:
            logger.warning("bin: %.1f %% of the probe's power lies outside its smaller window", 100 * lost)
        probe = tilted(inner, shift)
    return replace(found, probe=probe, patches=_maybe(found.patches, cut))


def _binned_near(found: ScanFields, b: int, shape: tuple[int, int]) -> ScanFields:
    """Average the object plane over blocks; object pixels grow."""
    offset = np.array([b * (n // b // 2) - n // 2 for n in shape], np.float64)

    def average(waves: Complex64[np.ndarray, "*batch H W"]) -> Complex64[np.ndarray, "*batch h w"]:
        height, width = (n // b for n in waves.shape[-2:])
        cut = waves[..., : height * b, : width * b]
        blocks = cut.reshape(*waves.shape[:-2], height, b, width, b)
        averaged: np.ndarray = blocks.mean(axis=(-3, -1)).astype(waves.dtype)
        return averaged

    def scaled(positions: Float[np.ndarray, "scan 2"] | None) -> _Positions | None:
        return None if positions is None else (positions.astype(np.float64) + offset) / b

    return replace(
        found,
        positions=scaled(found.positions),
        positions_nominal=scaled(found.positions_nominal),
        probe=None if found.probe is None else average(found.probe) * np.complex64(b),
        object=_maybe(found.object, average),
        patches=_maybe(found.patches, average),
    )
