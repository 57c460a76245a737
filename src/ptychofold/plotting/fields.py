"""Pictures of complex fields: probe modes and objects, as amplitude and phase."""

import numpy as np
from jaxtyping import Bool, Complex64, Float32
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from ptychofold.plotting.style import (
    AMPLITUDE,
    PHASE,
    UNLIT,
    Scale,
    add_colorbar,
    new_figure,
    object_scale,
    show_image,
    title,
)

__all__ = ["mode_light", "phase_window", "plot_amplitude", "plot_object", "plot_phase", "plot_probe"]


def plot_amplitude(
    axes: Axes,
    field: Complex64[np.ndarray, "H W"],
    *,
    scale: Scale,
    light: Float32[np.ndarray, "H W"] | None = None,
    limits: tuple[float, float] | None = None,
    colorbar: bool = True,
) -> Axes:
    """Draw the modulus of a field in greys.

    Parameters
    ----------
    axes
        Where to.
    field
        A probe mode or an object.
    scale
        Size of a pixel.
    light
        0 to 1, how well each pixel is known: unlit pixels are dark, and lit ones (above 0.5) set the range of greys by
        their 0.5 and 99.5 percentiles. None starts the range at zero and ends it at the maximum.
    limits
        Range of greys, where pictures are to be held against each other.
    colorbar
        Add the bar of values.
    """
    modulus = np.abs(field)
    low, high = 0.0, float(modulus.max())
    if limits is not None:
        low, high = limits
    elif light is not None:
        low, high = np.percentile(modulus[_lit(light)], [0.5, 99.5]).tolist()
    drawn = show_image(axes, modulus, cmap=AMPLITUDE, scale=scale, norm=Normalize(low, high))
    _fade(axes, drawn, light)
    if colorbar:
        add_colorbar(axes, drawn, "amplitude")
    return axes


def plot_phase(
    axes: Axes,
    field: Complex64[np.ndarray, "H W"],
    *,
    scale: Scale,
    light: Float32[np.ndarray, "H W"] | None = None,
    window: tuple[float, float] | None = None,
    colorbar: bool = True,
) -> Axes:
    """Draw the phase of a field in a cyclic colour map.

    The colours go round once in a whole turn; if the lit phases lie closer together, once in a half, a quarter or an
    eighth of a turn, which shows weak objects, and the colour bar says so.

    Parameters
    ----------
    axes
        Where to.
    field
        A probe mode or an object.
    scale
        Size of a pixel.
    light
        0 to 1, how well each pixel is known: pixels fade to black, as the phase means nothing without light.
    window
        Where the colours start and after how many radians they repeat, such as the `phase_window` of another field.
    colorbar
        Add the bar of values.
    """
    if window is None:
        window = phase_window(field[_lit(light)] if light is not None else field.ravel())
    low, period = window
    phase = np.mod(np.angle(field) - low, period) + low
    drawn = show_image(axes, phase, cmap=PHASE, scale=scale, norm=Normalize(low, low + period))
    _fade(axes, drawn, light)
    if colorbar:
        turns = round(2 * np.pi / period)
        add_colorbar(
            axes, drawn, "phase (rad)" if turns == 1 else f"phase (rad), colours repeat after {_PERIODS[turns]}"
        )
    return axes


_PERIODS = {2: "π", 4: "π/2", 8: "π/4"}


def phase_window(field: Complex64[np.ndarray, " n"]) -> tuple[float, float]:
    """Return where one round of colours starts and how long it is: 2π, π, π/2 or π/4 radians.

    Examples
    --------
    >>> low, period = phase_window(np.exp(1j * np.linspace(-3, 3, 99)).astype(np.complex64))
    >>> round(low, 3), round(period, 3)
    (-3.142, 6.283)
    """
    middle = complex(field.sum(dtype=np.complex128)) or 1.0 + 0j
    first, last = np.percentile(np.angle(field * np.complex64(np.conj(middle) / abs(middle))), [0.5, 99.5]).tolist()
    for turns in sorted(_PERIODS, reverse=True):
        period = 2 * np.pi / turns
        if 1.15 * (last - first) <= period:
            return float(np.angle(middle)) + first - 0.05 * period, period
    return -np.pi, 2 * np.pi


def _lit(light: Float32[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    lit = light > 0.5
    return lit if lit.any() else np.ones_like(lit)


def _fade(axes: Axes, drawn: AxesImage, light: Float32[np.ndarray, "H W"] | None) -> None:
    if light is not None:
        axes.set_facecolor(UNLIT)
        drawn.set_alpha(np.clip(light, 0, 1))


def plot_probe(probe: Complex64[np.ndarray, "mode N N"], *, pixel_size_m: tuple[float, float] | None = None) -> Figure:
    """Draw amplitude and phase of every probe mode, with the mode's share of the power.

    Parameters
    ----------
    probe
        Illumination.
    pixel_size_m
        Height and width of an object pixel, for the scale bar.
    """
    scale = object_scale(pixel_size_m)
    powers = (np.abs(probe.astype(np.complex128)) ** 2).sum(axis=(1, 2))
    shares = powers / powers.sum()
    figure = new_figure(7.6, 3.4 * len(probe))
    rows = figure.subplots(len(probe), 2, squeeze=False)
    for number, (mode, share) in enumerate(zip(probe, shares, strict=True)):
        name = "Probe" if len(probe) == 1 else f"Probe mode {number}"
        plot_amplitude(rows[number, 0], mode, scale=scale)
        title(rows[number, 0], name, "" if len(probe) == 1 else f"{share:.1%} of the power")
        plot_phase(rows[number, 1], mode, scale=scale, light=mode_light(mode))
        title(rows[number, 1], "Phase", "dark where there is little light")
    return figure


def mode_light(mode: Complex64[np.ndarray, "N N"]) -> Float32[np.ndarray, "N N"]:
    """Return how well the phase of a probe mode is known: 1 from 40 % of its largest modulus on."""
    modulus = np.abs(mode)
    light: Float32[np.ndarray, "N N"] = np.clip(2.5 * modulus / max(float(modulus.max()), 1e-30), 0, 1)
    return light


def plot_object(
    values: Complex64[np.ndarray, "H W"],
    *,
    pixel_size_m: tuple[float, float] | None = None,
    light: Float32[np.ndarray, "H W"] | None = None,
) -> Figure:
    """Draw amplitude and phase of an object side by side.

    Parameters
    ----------
    values
        Complex transmission.
    pixel_size_m
        Height and width of an object pixel, for the scale bar.
    light
        0 to 1, how well each pixel is known; None shows all alike.
    """
    scale = object_scale(pixel_size_m)
    figure = new_figure(10.0, 4.4)
    left, right = figure.subplots(1, 2)
    title(plot_amplitude(left, values, scale=scale, light=light), "Object amplitude")
    title(plot_phase(right, values, scale=scale, light=light), "Object phase")
    return figure
