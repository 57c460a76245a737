"""The report: what a scan, a result or a training run holds, as sections of one page."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from jaxtyping import Complex64, Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from ptychofold.diagnosis import Diagnosis
from ptychofold.plotting.curves import frame_curve, plot_losses
from ptychofold.plotting.explorer import explorer_html, shown_points
from ptychofold.plotting.hue import plot_hue
from ptychofold.plotting.page import Section, facts_table, figure_html
from ptychofold.plotting.results import Picture, plot_before_after, plot_reconstruction
from ptychofold.plotting.scans import plot_coverage, plot_dose, plot_patterns, probes_over
from ptychofold.plotting.style import ACCENTS, INK, new_figure, object_scale, title
from ptychofold.raw_data import RawData
from ptychofold.survey import PatternSummary

__all__ = ["doctor_section", "losses_section", "result_sections", "scan_sections"]

FEW = 50
"""Scan points below which each is marked on a curve."""


def scan_sections(
    scan: RawData, summary: PatternSummary, facts: Mapping[str, str], *, diagnosis: Diagnosis | None = None
) -> list[Section]:
    """Return the sections of a scan: facts, findings, map, thumbnails, statistics, probe, coverage.

    Parameters
    ----------
    scan
        The scan.
    summary
        Its `summarise_patterns`.
    facts
        Rows of the first table.
    diagnosis
        What is good and what is wrong, if it was examined.
    """
    explorer, thumbnails = explorer_html(scan, summary)
    n_shown = len(shown_points(len(scan)))
    part = "" if n_shown == len(scan) else f" {n_shown} of {len(scan)}, evenly chosen, are in this page."
    sections = [Section(title="Facts", body=facts_table(facts))]
    if diagnosis is not None:
        sections.append(doctor_section(diagnosis))
    return [
        *sections,
        Section(
            title="Scan map",
            body=explorer,
            note="Hover, tap or use the arrow keys: the pattern of the nearest point appears, logarithmic. "
            f"Colour: dose, from dark (low) to bright.{part}",
        ),
        Section(title="Patterns", body=thumbnails + figure_html(plot_patterns(scan, summary), caption=PATTERNS)),
        Section(title="Pattern statistics", body=figure_html(plot_statistics(scan, summary), caption=STATISTICS)),
        Section(title="Probe", body=figure_html(plot_modes(scan.probe, _pixel(scan)), caption=PROBE)),
        Section(title="Coverage", body=figure_html(_coverage(scan, summary), caption=COVERAGE)),
    ]


PATTERNS = "Mean of all patterns, linear and logarithmic, and the pattern of median dose."
STATISTICS = "Dose of each pattern; how it is distributed; mean intensity against the distance from the centre."
PROBE = "Probe modes: phase is hue, amplitude is brightness; each mode is scaled to its own maximum."
COVERAGE = "How many probes (their d90 footprint) lie over each object pixel; dose at each position."


def result_sections(picture: Picture, *, stages: Sequence[tuple[str, Picture]] = (), name: str) -> list[Section]:
    """Return the sections of a reconstruction, with the stages that led to it if there are several.

    Parameters
    ----------
    picture
        The result.
    stages
        What came before and the result, each with its name.
    name
        What made it.
    """
    sections = [
        Section(
            title="Reconstruction",
            body=figure_html(plot_reconstruction(picture, name=name), caption="Dark where no light fell."),
        )
    ]
    if len(stages) > 1:
        caption = "One column a stage; the phases share their colours."
        sections.append(
            Section(title="Stage by stage", body=figure_html(plot_before_after(stages), caption=caption)),
        )
    return sections


def doctor_section(diagnosis: Diagnosis) -> Section:
    """Return a section with every finding, how bad it is and what to do, and the verdict."""
    rows = "".join(
        f'<tr class="{finding.level}"><th>{escape(finding.subject)}</th><td class="level">{finding.level}</td>'
        f"<td>{escape(finding.says)}</td><td>{escape(finding.fix or '')}</td></tr>"
        for finding in diagnosis.findings
    )
    heading = "<tr><th>looked at</th><th>level</th><th>found</th><th>what to do</th></tr>"
    return Section(
        title="Doctor",
        body=f'<table class="doctor">{heading}{rows}</table>',
        note=_verdict(diagnosis),
    )


def _verdict(diagnosis: Diagnosis) -> str:
    if diagnosis.tried:
        return f"Verdict: {diagnosis.verdict}."
    found = "nothing speaks against the scan so far" if diagnosis.verdict == "untried" else diagnosis.verdict
    return (
        f"Verdict: {found}. No trial reconstructions were made: ptychofold doctor tries orientations and distances, "
        "without which there is no go."
    )


def losses_section(losses: Mapping[str, Sequence[float]], *, heading: str = "Losses", label: str = "loss") -> Section:
    """Return a section with curves of losses; of equal ones the first is drawn."""
    seen: list[list[float]] = []
    distinct: dict[str, Sequence[float]] = {}
    for name, values in losses.items():
        if list(values) not in seen:
            seen.append(list(values))
            distinct[name] = values
    figure = new_figure(7.2, 3.6)
    plot_losses(figure.subplots(), distinct, label=label)
    return Section(title=heading, body=figure_html(figure, caption="Mean of each epoch."))


def plot_modes(probe: Complex64[np.ndarray, "mode N N"], pixel_size_m: tuple[float, float] | None) -> Figure:
    """Draw every probe mode (at most eight) with phase as hue."""
    shown = probe[:8]
    power = (np.abs(probe) ** 2).sum(axis=(1, 2))
    figure = new_figure(3.1 * len(shown), 3.3) if len(shown) < 5 else new_figure(12.4, 6.4)
    places = figure.subplots(1 if len(shown) < 5 else 2, len(shown) if len(shown) < 5 else 4, squeeze=False).ravel()
    for place in places[len(shown) :]:
        place.axis("off")
    for number, (place, mode) in enumerate(zip(places, shown, strict=False)):
        plot_hue(place, mode, scale=object_scale(pixel_size_m), wheel=number == 0)
        title(place, f"Mode {number}", f"{power[number] / power.sum():.1%} of the power")
    return figure


def plot_statistics(scan: RawData, summary: PatternSummary) -> Figure:
    """Draw dose against scan point, its histogram, and the mean intensity on rings about the centre."""
    figure = new_figure(12.6, 3.4)
    course, histogram, rings = figure.subplots(1, 3)
    course.plot(summary.dose, color=INK, linewidth=0.7, marker="." if len(scan) < FEW else None)
    course.yaxis.set_major_formatter(EngFormatter(sep=""))
    _label(course, "scan point", "Σ intensity")
    title(course, "Dose in the course of the scan")
    histogram.hist(summary.dose, bins=min(60, max(8, len(scan) // 12)), color=ACCENTS[1])
    histogram.xaxis.set_major_formatter(EngFormatter(sep=""))
    histogram.xaxis.set_major_locator(MaxNLocator(5))
    _label(histogram, "Σ intensity of a pattern", "patterns")
    title(histogram, "Doses")
    mean = radial_mean(summary.mean)
    rings.plot(np.arange(len(mean)), np.where(mean > 0, mean, np.nan), color=ACCENTS[0], linewidth=1.4)
    rings.set_yscale("log")
    _label(rings, "detector pixels from the centre", "mean intensity a pixel")
    title(rings, "Fall-off")
    return figure


def radial_mean(image: Float64[np.ndarray, "N N"]) -> Float64[np.ndarray, " ring"]:
    """Return the mean on rings one pixel wide about ``[N//2, N//2]``, out to the border.

    Examples
    --------
    >>> radial_mean(np.ones((4, 4))).tolist()
    [1.0, 1.0, 1.0]
    """
    middle = len(image) // 2
    y, x = np.indices(image.shape) - middle
    ring = np.rint(np.hypot(y, x)).astype(np.int64).ravel()
    sums, counts = np.bincount(ring, image.ravel()), np.bincount(ring)
    return np.asarray(sums[: middle + 1] / np.maximum(counts[: middle + 1], 1))


def _coverage(scan: RawData, summary: PatternSummary) -> Figure:
    figure = new_figure(10.6, 4.6)
    left, right = figure.subplots(1, 2)
    title(plot_coverage(left, scan, probes_over(scan)), "Coverage", "line: edge of the light")
    title(plot_dose(right, scan.positions, summary.dose, scale=object_scale(_pixel(scan))), "Dose")
    return figure


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=8, color=INK)
    axes.set_ylabel(y, fontsize=8, color=INK)
    frame_curve(axes, legend=False)


def _pixel(scan: RawData) -> tuple[float, float] | None:
    return scan.metadata.pixel_size_m
