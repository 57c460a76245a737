"""Pictures of a scan: where it was taken, which points form groups, what the detector saw, what was covered."""

import numpy as np
from jaxtyping import Float32, Real
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from scipy.ndimage import gaussian_filter

from ptychofold.coverage import coverage_map, probe_diameter, probe_footprint, scan_field
from ptychofold.grouping import ScanGroups
from ptychofold.plotting.style import (
    ACCENTS,
    COUNTS,
    INK,
    MUTED,
    Scale,
    add_colorbar,
    add_scale_bar,
    new_figure,
    object_scale,
    pattern_scale,
    show_image,
    title,
)
from ptychofold.raw_data import RawData
from ptychofold.reading import spread_rows
from ptychofold.survey import PatternSummary, median_pattern
from ptychofold.typing import Positions

__all__ = [
    "light_on",
    "plot_coverage",
    "plot_dose",
    "plot_groups",
    "plot_pattern",
    "plot_patterns",
    "plot_scan",
    "probes_over",
]

N_HIGHLIGHTED = len(ACCENTS)
MOST_LINKS = 20_000
"""Groups whose links are drawn; of more, an even selection is."""


def plot_groups(
    axes: Axes, positions: Positions, groups: ScanGroups | None, *, scale: Scale, diameter: float | None = None
) -> Axes:
    """Draw the scan points, thin links from each group's center to its members, and some groups in colour.

    Parameters
    ----------
    axes
        Where to.
    positions
        (y, x) in object pixels; y points down as in pictures of the object.
    groups
        Which points belong together; None draws the points alone.
    scale
        Size of an object pixel.
    diameter
        Diameter of the probe in pixels, drawn as a dashed circle around the scan point in the middle.
    """
    size = float(np.clip(4000 / len(positions), 0.6, 14))
    if groups is not None and groups.members.shape[1] > 1:
        chosen = spread_rows(len(groups), MOST_LINKS)
        links = _links(positions, groups, chosen)
        axes.add_collection(LineCollection(links, colors=MUTED, linewidths=0.4, alpha=0.45, zorder=1))
    axes.scatter(positions[:, 1], positions[:, 0], s=size, color=INK, linewidths=0, zorder=2)
    if groups is not None and len(groups):
        _highlight(axes, positions, groups, size=size)
    shown = positions
    if diameter is not None:
        y, x = middle = positions[_nearest(positions, positions.mean(axis=0))]
        axes.add_patch(Circle((x, y), diameter / 2, fill=False, edgecolor=INK, linewidth=0.9, linestyle=(0, (4, 3))))
        shown = np.vstack([positions, middle - diameter / 2, middle + diameter / 2])
    _frame(axes, shown, scale=scale)
    return axes


def plot_dose(axes: Axes, positions: Positions, dose: Real[np.ndarray, " scan"], *, scale: Scale) -> Axes:
    """Draw the dose of each pattern at its position: beam drops and drifts show as places and gradients.

    Parameters
    ----------
    axes
        Where to.
    positions
        (y, x) in object pixels.
    dose
        Σ intensity of each pattern.
    scale
        Size of an object pixel.
    """
    size = float(np.clip(16000 / len(positions), 1, 60))
    drawn = axes.scatter(positions[:, 1], positions[:, 0], s=size, c=dose, cmap="viridis", linewidths=0)
    _frame(axes, positions, scale=scale)
    add_colorbar(axes, drawn, "Σ intensity of a pattern", thousands=True)
    return axes


def plot_scan(scan: RawData, summary: PatternSummary, groups: ScanGroups | None = None) -> Figure:
    """Draw the positions with group links beside the dose of each pattern.

    Parameters
    ----------
    scan
        The scan.
    summary
        Its `summarise_patterns`.
    groups
        Its groups, if any.
    """
    scale = object_scale(scan.metadata.pixel_size_m)
    figure = new_figure(10.6, 4.9)
    left, right = figure.subplots(1, 2)
    plot_groups(left, scan.positions, groups, scale=scale, diameter=probe_diameter(scan.probe))
    title(left, f"{len(scan)} positions" + ("" if groups is None else f", {len(groups)} groups"), "dashed: probe d90")
    title(plot_dose(right, scan.positions, summary.dose, scale=scale), "Dose")
    return figure


def plot_pattern(axes: Axes, intensity: Real[np.ndarray, "N N"], *, scale: Scale, log: bool, label: str) -> Axes:
    """Draw one pattern of intensities, linear or logarithmic; dark pixels of a logarithm stay dark.

    Parameters
    ----------
    axes
        Where to.
    intensity
        Counts, not negative.
    scale
        Size of a detector pixel.
    log
        Logarithmic colours over at most five decades.
    label
        What the colour bar says.
    """
    high = max(float(intensity.max()), 1e-30)
    norm: Normalize = Normalize(0, high)
    if log:
        lowest = float(intensity[intensity > 0].min(initial=high))
        norm = LogNorm(max(lowest, high * 1e-5, 1e-30) if lowest < high else high / 10, high)
    axes.set_facecolor(COUNTS(0.0))
    drawn = show_image(axes, intensity, cmap=COUNTS, scale=scale, norm=norm)
    add_colorbar(axes, drawn, label)
    return axes


def intensity_label(scan: RawData) -> str:
    """Return what the intensity of a pixel is called: counts, or the square of a stored amplitude."""
    return "counts a pixel" if scan.measurement == "intensity" else "amplitude² a pixel"


def plot_patterns(scan: RawData, summary: PatternSummary) -> Figure:
    """Draw the mean pattern, linear and logarithmic, and the pattern of median dose.

    Parameters
    ----------
    scan
        The scan.
    summary
        Its `summarise_patterns`.
    """
    scale = pattern_scale(scan.metadata, scan.N)
    typical = median_pattern(summary)
    single = scan.amplitude([typical])[0].astype(np.float64) ** 2
    figure = new_figure(12.6, 3.9)
    first, second, third = figure.subplots(1, 3)
    label = intensity_label(scan)
    title(plot_pattern(first, summary.mean, scale=scale, log=False, label=label), "Mean pattern")
    title(plot_pattern(second, summary.mean, scale=scale, log=True, label=label), "Mean pattern", "logarithmic")
    title(plot_pattern(third, single, scale=scale, log=True, label=label), f"Pattern {typical}", "logarithmic")
    return figure


def field_of_view(scan: RawData) -> tuple[int, int]:
    """Return (H, W) of the scan's object, or of the smallest one that its patches fit in."""
    if scan.object is not None:
        height, width = scan.object.shape
        return int(height), int(width)
    return scan_field(scan.positions, scan.N)


def probes_over(scan: RawData) -> Float32[np.ndarray, "H W"]:
    """Count the probes (d90 footprint) over each pixel of the object."""
    return coverage_map(scan.positions, probe_footprint(scan.probe), field_of_view(scan))


def light_on(covered: Float32[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W"]:
    """Return how well object pixels are known, 0 to 1: 1 from half the usual number of probes on."""
    lit = covered[covered > 0.5]
    usual = float(np.median(lit)) if lit.size else 1.0
    return np.clip(2 * covered / usual, 0, 1)


def plot_coverage(axes: Axes, scan: RawData, covered: Float32[np.ndarray, "H W"] | None = None) -> Axes:
    """Draw how many probes lie over each object pixel; a white line bounds what was lit at all.

    Parameters
    ----------
    axes
        Where to.
    scan
        The scan.
    covered
        Its `probes_over`, if known.
    """
    counts = probes_over(scan) if covered is None else covered
    scale = object_scale(scan.metadata.pixel_size_m)
    drawn = show_image(axes, counts, cmap="viridis", scale=scale, norm=Normalize(0, max(float(counts.max()), 1)))
    if counts.max() > 0.5:
        axes.contour(gaussian_filter(counts, 2.0), levels=[0.5], colors="white", linewidths=0.8)
    axes.scatter(
        scan.positions[:, 1],
        scan.positions[:, 0],
        s=float(np.clip(800 / len(scan), 0.1, 3)),
        color="white",
        alpha=0.5,
        linewidths=0,
    )
    add_colorbar(axes, drawn, "probes over a pixel")
    return axes


def _links(positions: Positions, groups: ScanGroups, chosen: np.ndarray) -> list[np.ndarray]:
    """Return segments ((x, y), (x, y)) from each chosen group's center to its members."""
    members = positions[groups.members[chosen]]
    centers = np.broadcast_to(groups.centers[chosen, None], members.shape)
    segments: np.ndarray = np.stack([centers, members], axis=2).reshape(-1, 2, 2)[..., ::-1]
    return list(segments)


def _highlight(axes: Axes, positions: Positions, groups: ScanGroups, *, size: float) -> None:
    """Draw a few groups, far from one another, in colour."""
    for group, color in zip(_spread_out(groups, N_HIGHLIGHTED), ACCENTS, strict=False):
        members = positions[groups.members[group]]
        links = _links(positions, groups, np.array([group]))
        axes.add_collection(LineCollection(links, colors=color, linewidths=1.4, zorder=3))
        axes.scatter(members[:, 1], members[:, 0], s=max(3 * size, 12), color=color, linewidths=0, zorder=4)


def _spread_out(groups: ScanGroups, count: int) -> list[int]:
    """Choose groups away from the border, one after the other, each the farthest from those chosen before."""
    low, high = groups.centers.min(axis=0), groups.centers.max(axis=0)
    border = 0.16 * (high - low)
    inner = np.flatnonzero(((groups.centers >= low + border) & (groups.centers <= high - border)).all(axis=1))
    rows = inner if len(inner) >= count else np.arange(len(groups))
    centers = groups.centers[rows]
    chosen = [_nearest(centers, centers.mean(axis=0))]
    distance = np.full(len(rows), np.inf)
    while len(chosen) < min(count, len(rows)):
        distance = np.minimum(distance, np.hypot(*(centers - centers[chosen[-1]]).T))
        chosen.append(int(np.argmax(distance)))
    return [int(rows[number]) for number in chosen]


def _nearest(points: Positions, target: np.ndarray) -> int:
    return int(np.argmin(((points - target) ** 2).sum(axis=1)))


def _frame(axes: Axes, positions: Positions, *, scale: Scale) -> None:
    """Give a plot of positions the look of a square image: y down, equal axes, no ticks, room for the scale bar."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    side = 1.14 * max(float((high - low).max()), 1.0)
    middle = (low + high) / 2
    axes.set_xlim(middle[1] - side / 2, middle[1] + side / 2)
    axes.set_ylim(middle[0] + 0.53 * side, middle[0] - 0.47 * side)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#DDDDDD")
    add_scale_bar(axes, scale, color=INK)
