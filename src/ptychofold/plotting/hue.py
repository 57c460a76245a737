"""Complex fields as colours: phase is hue, modulus is brightness."""

import numpy as np
from jaxtyping import Complex, Float64, Real, UInt8
from matplotlib.axes import Axes

from ptychofold.plotting.style import Scale, show_image

__all__ = ["hue_image", "plot_hue"]

LIGHTNESS, CHROMA = 0.78, 0.125
"""Of the brightest pixel, in the Oklab colour space; every hue of this chroma lies inside sRGB."""
FROM_OKLAB = np.array(
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
)
TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)
"""Oklab to cone responses and on to linear sRGB (Ottosson, A perceptual color space for image processing, 2020)."""


def hue_image(
    field: Complex[np.ndarray, "H W"], *, brightness: Real[np.ndarray, "H W"] | None = None
) -> UInt8[np.ndarray, "H W 3"]:
    """Return sRGB colours of a field: equal steps of phase look equally far apart, and no phase looks brighter.

    Parameters
    ----------
    field
        Complex values.
    brightness
        0 to 1; the modulus over its maximum if None.

    Examples
    --------
    >>> hue_image(np.array([[0j, 1.0]]))[0, 0].tolist()
    [0, 0, 0]
    """
    modulus = np.abs(field)
    share = modulus / max(float(modulus.max()), 1e-30) if brightness is None else np.clip(brightness, 0, 1)
    # the hue of phase 0 is red, as usual
    angle = np.angle(field) + 0.5
    lab = np.stack([LIGHTNESS * share, CHROMA * share * np.cos(angle), CHROMA * share * np.sin(angle)], axis=-1)
    linear: Float64[np.ndarray, "H W 3"] = np.clip((lab @ FROM_OKLAB.T) ** 3 @ TO_RGB.T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * encoded), np.uint8)


def plot_hue(axes: Axes, field: Complex[np.ndarray, "H W"], *, scale: Scale, wheel: bool = True) -> Axes:
    """Draw a field in colours, with the wheel of phases beside it.

    Parameters
    ----------
    axes
        Where to.
    field
        A probe mode or an object.
    scale
        Size of a pixel.
    wheel
        Add the wheel.
    """
    show_image(axes, hue_image(field), cmap="gray", scale=scale)
    if wheel:
        y, x = np.mgrid[-1:1:65j, -1:1:65j]
        radius = np.hypot(y, x)
        colors = np.dstack(
            [hue_image(x - 1j * y, brightness=np.clip(radius, 0, 1)), 255 * (radius <= 1).astype(np.uint8)]
        )
        inset = axes.inset_axes((0.80, 0.80, 0.18, 0.18))
        inset.imshow(colors, interpolation="bilinear")
        inset.axis("off")
        inset.text(1.02, 0.5, "0", transform=inset.transAxes, fontsize=6, color="white", ha="left", va="center")
        inset.text(-0.02, 0.5, "π", transform=inset.transAxes, fontsize=6, color="white", ha="right", va="center")
    return axes
