"""Every picture of a scan, as files; and one that shows it all at a glance."""

from collections.abc import Callable, Iterator
from pathlib import Path

from matplotlib.figure import Figure

from ptychofold.coverage import probe_diameter
from ptychofold.grouping import ScanGroups
from ptychofold.plotting.fields import mode_light, plot_amplitude, plot_object, plot_phase, plot_probe
from ptychofold.plotting.scans import (
    intensity_label,
    light_on,
    plot_coverage,
    plot_dose,
    plot_groups,
    plot_pattern,
    plot_patterns,
    plot_scan,
    probes_over,
)
from ptychofold.plotting.style import INK, new_figure, object_scale, pattern_scale, save_figure, title
from ptychofold.raw_data import RawData
from ptychofold.survey import PatternSummary

__all__ = ["n_pictures", "plot_overview", "save_pictures"]


def plot_overview(scan: RawData, summary: PatternSummary, groups: ScanGroups | None = None) -> Figure:
    """Draw a scan at a glance: mean pattern, positions with groups, coverage, probe, and the object if there is one.

    Parameters
    ----------
    scan
        The scan.
    summary
        Its `summarise_patterns`.
    groups
        Its groups, if any.
    """
    known, scale, covered = scan.metadata, object_scale(scan.metadata.pixel_size_m), probes_over(scan)
    figure = new_figure(13.2, 8.6)
    (pattern, points, coverage), (probe, amplitude, phase) = figure.subplots(2, 3)
    detector = pattern_scale(known, scan.N)
    plot_pattern(pattern, summary.mean, scale=detector, log=True, label=intensity_label(scan))
    title(pattern, "Mean pattern", f"of {len(scan)}, logarithmic")
    plot_groups(points, scan.positions, groups, scale=scale, diameter=probe_diameter(scan.probe))
    title(points, "Positions" if groups is None else f"Groups of {groups.members.shape[1]}", "dashed: probe d90")
    title(plot_coverage(coverage, scan, covered), "Coverage", "line: edge of the light")
    title(
        plot_phase(probe, scan.probe[0], scale=scale, light=mode_light(scan.probe[0])), "Probe phase", "dark: no light"
    )
    if scan.object is None:
        plot_amplitude(amplitude, scan.probe[0], scale=scale)
        title(amplitude, "Probe amplitude")
        title(plot_dose(phase, scan.positions, summary.dose, scale=scale), "Dose")
    else:
        light = light_on(covered)
        title(plot_amplitude(amplitude, scan.object, scale=scale, light=light), "Object amplitude")
        title(plot_phase(phase, scan.object, scale=scale, light=light), "Object phase")
    name = str(known.extra.get("name") or Path(known.source or "scan").name)
    figure.suptitle(name, x=0.006, ha="left", fontsize=13, fontweight="bold", color=INK)
    return figure


def save_pictures(
    scan: RawData,
    summary: PatternSummary,
    folder: str | Path,
    *,
    groups: ScanGroups | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[Path, ...]:
    """Write every picture of a scan as PNG; each appears whole or not at all.

    Parameters
    ----------
    scan, summary, groups
        As in `plot_overview`.
    folder
        Where to; made if absent.
    progress
        Told 1 after each picture.

    Returns
    -------
    paths
        The pictures, in the order in which they are best looked at.
    """
    paths = []
    for name, figure in _figures(scan, summary, groups):
        paths.append(save_figure(figure, Path(folder) / f"{name}.png"))
        if progress is not None:
            progress(1)
    return tuple(paths)


def n_pictures(scan: RawData) -> int:
    """Return how many pictures `save_pictures` makes."""
    return 5 + (scan.object is not None)


def _figures(scan: RawData, summary: PatternSummary, groups: ScanGroups | None) -> Iterator[tuple[str, Figure]]:
    yield "overview", plot_overview(scan, summary, groups)
    yield "scan", plot_scan(scan, summary, groups)
    yield "patterns", plot_patterns(scan, summary)
    yield "probe", plot_probe(scan.probe, pixel_size_m=scan.metadata.pixel_size_m)
    covered = probes_over(scan)
    coverage = new_figure(5.4, 4.5)
    title(plot_coverage(coverage.subplots(), scan, covered), "Coverage", "line: edge of the light")
    yield "coverage", coverage
    if scan.object is not None:
        yield "object", plot_object(scan.object, pixel_size_m=scan.metadata.pixel_size_m, light=light_on(covered))
