"""Curves: the loss of each epoch, and how far two objects agree at each spatial frequency."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ptychofold.plotting.style import ACCENTS, INK, MUTED
from ptychofold.reconstruction.metrics import RingCorrelation

__all__ = ["frame_curve", "plot_losses", "plot_ring_correlation"]


def plot_losses(axes: Axes, losses: Mapping[str, Sequence[float]], *, label: str = "loss") -> Axes:
    """Draw losses against epochs, on a logarithmic axis if they are positive and span more than a decade.

    Parameters
    ----------
    axes
        Where to.
    losses
        One value an epoch, by the name that the curve gets.
    label
        What the vertical axis says.
    """
    finite = [x for values in losses.values() for x in values if np.isfinite(x)]
    for (name, values), color in zip(losses.items(), ACCENTS, strict=False):
        marker = "o" if len(values) < 3 else ""
        axes.plot(np.arange(1, len(values) + 1), values, color=color, linewidth=1.4, marker=marker, label=name)
    if finite and min(finite) > 0 and max(finite) > 10 * min(finite):
        axes.set_yscale("log")
    axes.set_xlabel("epoch", fontsize=8, color=INK)
    axes.set_ylabel(label, fontsize=8, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    frame_curve(axes, legend=len(losses) > 1)
    return axes


def plot_ring_correlation(axes: Axes, rings: RingCorrelation, *, pixel_size_m: float | None = None) -> Axes:
    """Draw the correlation of rings with the thresholds of half a bit, one bit and an SNR of 1.

    Parameters
    ----------
    axes
        Where to.
    rings
        See `fourier_ring_correlation`.
    pixel_size_m
        Width of an object pixel; frequencies are in cycles a pixel if None, else in cycles a micrometre.
    """
    unit = 1.0 if pixel_size_m is None else 1e-6 / pixel_size_m
    frequency = rings.frequency * unit
    axes.plot(frequency, rings.correlation, color=INK, linewidth=1.5, label="correlation")
    for name, threshold, color in (
        ("1/2 bit", rings.bit_threshold(0.5), ACCENTS[0]),
        ("1 bit", rings.bit_threshold(1.0), ACCENTS[1]),
        ("SNR 1", np.full(len(frequency), 1 / 3), ACCENTS[2]),
    ):
        axes.plot(frequency, np.minimum(threshold, 1), color=color, linewidth=1.0, linestyle=(0, (4, 2)), label=name)
    period = rings.resolution(bits=0.5)
    if period is not None:
        axes.axvline(unit / period, color=ACCENTS[0], linewidth=0.8, alpha=0.6)
    axes.set_xlim(0, 0.5 * unit)
    axes.set_ylim(min(0.0, float(np.nanmin(rings.correlation))) - 0.02, 1.05)
    axes.set_xlabel("spatial frequency " + ("(1/px)" if pixel_size_m is None else "(1/µm)"), fontsize=8, color=INK)
    axes.set_ylabel("correlation", fontsize=8, color=INK)
    frame_curve(axes, legend=True)
    return axes


def frame_curve(axes: Axes, *, legend: bool) -> None:
    """Give curves their grid and light axes, and a legend if wanted."""
    axes.grid(visible=True, color="#E5E5E5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=7, color=MUTED, labelcolor=INK, length=2.5)
    axes.tick_params(which="minor", length=1.5, color=MUTED)
    for name, spine in axes.spines.items():
        spine.set_visible(name in {"left", "bottom"})
        spine.set_color(MUTED)
    if legend:
        axes.legend(fontsize=7, frameon=False)
