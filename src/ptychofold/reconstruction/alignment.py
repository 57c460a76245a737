"""What diffraction cannot tell of an object, found by comparison with another, and taken out.

Patterns stay the same if the object is multiplied by a complex constant and a linear phase ramp (with the probe to
match) or moved together with the positions. Two reconstructions must agree in these before they are compared::

    test(r + shift) = scale · exp(i (phase + ramp · r)) · reference(r),        r from the middle of the array, in pixels
"""

import logging
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Complex, Complex128, Float
from scipy import ndimage

from ptychofold.errors import DomainError, ShapeError
from ptychofold.optional import require

__all__ = ["AlignedObjects", "Ambiguities", "align", "estimate_ambiguities", "resampled", "shifted"]

logger = logging.getLogger(__name__)

UPSAMPLING = 100
"""Parts of a pixel to which a shift is found."""
N_PASSES = 4
"""Times at most that shift and ramp are found in turn; each biases the other."""
SETTLED = 0.5 / UPSAMPLING
"""Pixels of a remaining shift that are left alone."""
FEATURELESS = 1e-6
"""Standard deviation of how fast log O changes, below which nothing in an object tells a shift."""


@dataclass(frozen=True, kw_only=True)
class Ambiguities:
    """Scale, phase, ramp and shift of an object against a reference."""

    scale: float
    """Positive factor."""
    phase_rad: float
    """Phase in the middle of the array, (H-1)/2, (W-1)/2, before its border was cut off."""
    ramp_rad: tuple[float, float]
    """(y, x) phase a pixel."""
    shift: tuple[float, float] = (0.0, 0.0)
    """(y, x) pixels that the object was moved to lie on the reference."""

    def removed_from(self, values: Complex[np.ndarray, "H W"]) -> Complex128[np.ndarray, "H W"]:
        """Return an object, already moved, without scale, phase and ramp."""
        turns = self.phase_rad + _ramp(values.shape, self.ramp_rad)
        return np.asarray(values * (np.exp(-1j * turns) / self.scale), np.complex128)


@dataclass(frozen=True, kw_only=True, eq=False)
class AlignedObjects:
    """Two objects of one size that differ only where they disagree."""

    reference: Complex128[np.ndarray, "H W"]
    """What the other was aligned to."""
    test: Complex128[np.ndarray, "H W"]
    """The other, moved and without ambiguities."""
    ambiguities: Ambiguities
    """What was taken out of it."""


def estimate_ambiguities(
    test: Complex[np.ndarray, "H W"],
    reference: Complex[np.ndarray, "h w"],
    *,
    weights: Float[np.ndarray, "height width"] | None = None,
) -> Ambiguities:
    """Return scale, phase and ramp by which ``test`` differs from ``reference``, in closed form and without unwrapping.

    The ramp is the phase of the mean product of neighbors in ``S = test · conj(reference)``; the phase that of the mean
    of S without ramp; the scale the least-squares factor that remains.

    Parameters
    ----------
    test, reference
        (H, W), complex, on one grid.
    weights
        (H, W), not negative; all alike if None.

    Raises
    ------
    ShapeError
        If the shapes differ.
    DomainError
        If the two do not overlap in light.
    """
    if test.shape != reference.shape or (weights is not None and weights.shape != test.shape):
        raise ShapeError(
            f"expected objects and weights of one shape; found {test.shape} and {reference.shape}. Use align()."
        )
    test, reference = test.astype(np.complex128), reference.astype(np.complex128)
    trust = np.ones(test.shape) if weights is None else weights.astype(np.float64)
    product = test * reference.conj()
    ramp = (
        float(np.angle((trust[1:] * trust[:-1] * product[1:] * product[:-1].conj()).sum())),
        float(np.angle((trust[:, 1:] * trust[:, :-1] * product[:, 1:] * product[:, :-1].conj()).sum())),
    )
    total = (trust * product * np.exp(-1j * _ramp(test.shape, ramp))).sum()
    power = float((trust * np.abs(reference) ** 2).sum())
    if not (abs(total) > 0 and power > 0):
        raise DomainError(
            "expected two objects with light in the same place; their product is zero. Check frames and weights.",
            field="object",
        )
    return Ambiguities(scale=float(abs(total)) / power, phase_rad=float(np.angle(total)), ramp_rad=ramp)


def align(
    test: Complex[np.ndarray, "H W"],
    reference: Complex[np.ndarray, "h w"],
    *,
    weights: Float[np.ndarray, "height width"] | None = None,
    shift: bool = True,
    keep_border: bool = False,
) -> AlignedObjects:
    """Take out of ``test`` what diffraction cannot tell against ``reference``.

    Both are cut to their common middle. Shift and ramp are found in turn, first on a quantity that no ramp changes,
    and the shift is applied once, by the Fourier transform. Edges tell a shift to a few hundredths of a pixel; in an
    object without any, a shift is hard to tell from a ramp, and in one that is the same everywhere none is looked for.

    Parameters
    ----------
    test, reference
        Objects with pixels of one size.
    weights
        Trust in each pixel of the common middle; all alike if None.
    shift
        Whether to look for a shift, by scikit-image's ``phase_cross_correlation``.
    keep_border
        Keep, and count, the pixels that a shift brings in from the opposite border, as Ptychodus does; they are cut off
        otherwise.

    Raises
    ------
    DependencyError
        If a shift is looked for and scikit-image is missing.
    DomainError
        If the two do not overlap in light.
    """
    height, width = (min(a, b) for a, b in zip(test.shape, reference.shape, strict=True))
    test, reference = _middle(test, height, width), _middle(reference, height, width)
    trust = np.ones((height, width)) if weights is None else weights.astype(np.float64)
    varied = [_variation(values) for values in (reference, test)]
    if shift and min(float(values.std()) for values in varied) < FEATURELESS:
        logger.info("an object is the same everywhere: no shift is looked for")
        shift = False
    moved = _registration(*varied) if shift else np.zeros(2)

    def estimated() -> tuple[Ambiguities, Complex128[np.ndarray, "H W"], tuple[slice, slice]]:
        at, kept = shifted(test, moved), _kept(test.shape, np.zeros(2) if keep_border else moved)
        inner = np.zeros_like(trust)
        inner[kept] = trust[kept]
        return estimate_ambiguities(at, reference, weights=inner), at, kept

    for _ in range(N_PASSES if shift else 0):
        found, at, _kept_now = estimated()
        rest = _registration(reference, found.removed_from(at))
        moved = moved + rest
        if np.hypot(*rest) < SETTLED:
            break
    found, at, kept = estimated()
    complete = replace(found, shift=(float(moved[0]), float(moved[1])))
    return AlignedObjects(reference=reference[kept], test=complete.removed_from(at)[kept], ambiguities=complete)


def _kept(shape: tuple[int, ...], moved: Float[np.ndarray, " 2"]) -> tuple[slice, slice]:
    """Return the rows and columns that did not come in from the opposite border; all if hardly any would be left."""
    first = np.ceil(np.maximum(moved, 0)).astype(int)
    last = np.array(shape) - np.ceil(np.maximum(-moved, 0)).astype(int)
    if (last - first < np.array(shape) // 2).any():
        return slice(None), slice(None)
    return slice(int(first[0]), int(last[0])), slice(int(first[1]), int(last[1]))


def shifted(values: Complex[np.ndarray, "H W"], shift: Float[np.ndarray, " 2"]) -> Complex128[np.ndarray, "H W"]:
    """Move an object by (y, x) pixels by a phase ramp of its Fourier transform; what leaves comes in opposite."""
    if not shift.any():
        return values.astype(np.complex128)
    y, x = (np.fft.fftfreq(n) for n in values.shape)
    turns = np.exp(-2j * np.pi * (y[:, None] * shift[0] + x * shift[1]))
    return np.asarray(np.fft.ifft2(np.fft.fft2(values) * turns), np.complex128)


def resampled(
    values: Complex[np.ndarray, "H W"], factor: tuple[float, float]
) -> Complex128[np.ndarray, "height width"]:
    """Return an object on pixels of another size, with its middle where it was.

    Cubic splines, after a Gaussian that removes what pixels become too coarse for.

    Parameters
    ----------
    values
        (H, W).
    factor
        (y, x), new pixels for one old pixel; the shape becomes ``floor(factor · (H, W))``.

    Raises
    ------
    ShapeError
        If no pixel would be left.

    Examples
    --------
    >>> resampled(np.ones((8, 6), np.complex64), (0.5, 1.0)).shape
    (4, 6)
    """
    old, steps = np.array(values.shape), 1 / np.array(factor)
    # a hair more, so that a whole number of pixels stays one
    new = np.floor(old / steps + 1e-6).astype(int)
    if new.min() < 1:
        raise ShapeError(f"expected pixels smaller than the object; found {values.shape} pixels times {factor}.")
    smooth = ndimage.gaussian_filter(values.astype(np.complex128), np.maximum(0, steps - 1) / 2, mode="nearest")
    offset = (old - 1) / 2 - (new - 1) / 2 * steps
    found = ndimage.affine_transform(smooth, steps, offset=offset, output_shape=tuple(new), mode="nearest")
    return np.asarray(found, np.complex128)


def _registration(reference: np.ndarray, moving: np.ndarray) -> Float[np.ndarray, " 2"]:
    register = require("skimage.registration", extra="plot").phase_cross_correlation
    return np.asarray(register(reference, moving, upsample_factor=UPSAMPLING)[0], np.float64)


def _variation(values: Complex128[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """Return how fast log O changes, less its mean: no constant and no ramp changes it."""
    magnitude = np.abs(values)
    floor = 1e-6 * (magnitude.mean() or 1.0)
    safe = np.where(magnitude > floor, values, floor)
    total = np.zeros(values.shape)
    for axis in (0, 1):
        end = [(0, 0), (0, 0)]
        end[axis] = (0, 1)
        ratio = np.take(safe, range(1, safe.shape[axis]), axis) / np.take(safe, range(safe.shape[axis] - 1), axis)
        change = np.pad(np.log(ratio), end, mode="edge")
        total += np.abs(change - change.mean()) ** 2
    return np.sqrt(total)


def _ramp(shape: tuple[int, ...], ramp_rad: tuple[float, float]) -> Float[np.ndarray, "H W"]:
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    return np.asarray(ramp_rad[0] * y[:, None] + ramp_rad[1] * x)


def _middle(values: Complex[np.ndarray, "H W"], height: int, width: int) -> Complex128[np.ndarray, "height width"]:
    top, left = (values.shape[0] - height) // 2, (values.shape[1] - width) // 2
    return values[top : top + height, left : left + width].astype(np.complex128)
