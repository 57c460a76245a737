"""Pictures of results: object, probe and coverage; before and after; one object against another."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from jaxtyping import Complex64, Float32, Float64
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ptychofold.coverage import coverage_map, object_shape, probe_footprint
from ptychofold.formats import ScanFields
from ptychofold.plotting.curves import plot_losses, plot_ring_correlation
from ptychofold.plotting.fields import phase_window, plot_amplitude, plot_object, plot_phase, plot_probe
from ptychofold.plotting.hue import plot_hue
from ptychofold.plotting.scans import light_on
from ptychofold.plotting.style import add_colorbar, new_figure, object_scale, save_figure, show_image, title
from ptychofold.reconstruction import Reconstruction
from ptychofold.reconstruction.alignment import AlignedObjects
from ptychofold.reconstruction.metrics import fourier_ring_correlation

__all__ = [
    "Picture",
    "plot_before_after",
    "plot_comparison",
    "plot_reconstruction",
    "save_result_pictures",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """What there is to see of a reconstruction, whoever made it; patterns are not needed."""

    object: Complex64[np.ndarray, "H W"]
    """Complex transmission."""
    probe: Complex64[np.ndarray, "mode N N"]
    """Illumination."""
    positions: Float64[np.ndarray, "scan 2"]
    """(y, x) in pixels of the object."""
    losses: tuple[float, ...] = ()
    """Loss of each epoch, if known."""
    pixel_size_m: tuple[float, float] | None = None
    """Height and width of an object pixel, if known."""
    r_factor: float | None = None
    """``Σ |A - √n| / Σ √n``, if known."""

    @classmethod
    def of(cls, result: Reconstruction) -> Self:
        """Take the picture of a reconstruction."""
        return cls(
            object=result.object,
            probe=result.probe,
            positions=result.positions,
            losses=result.losses,
            pixel_size_m=result.scan.metadata.pixel_size_m,
            r_factor=result.r_factor,
        )

    @classmethod
    def of_fields(cls, found: ScanFields) -> Self | None:
        """Take the picture of what a file says; None if it has no object, probe or positions."""
        if found.object is None or found.probe is None or found.positions is None:
            return None
        probe = np.asarray(found.probe, np.complex64)
        said = found.metadata.extra.get("reconstruction")
        known = said if isinstance(said, Mapping) else {}
        losses, r_factor = known.get("losses"), known.get("r_factor")
        return cls(
            object=np.asarray(found.object, np.complex64),
            probe=probe.reshape(-1, *probe.shape[-2:]),
            positions=np.asarray(found.positions, np.float64),
            losses=tuple(float(value) for value in losses) if isinstance(losses, list) else (),
            pixel_size_m=found.metadata.pixel_size_m,
            r_factor=r_factor if isinstance(r_factor, float) else None,
        )

    @property
    def light(self) -> Float32[np.ndarray, "H W"]:
        """(H, W), 0 to 1, how well each pixel of the object is known."""
        shape = object_shape(self.object)
        return light_on(coverage_map(self.positions, probe_footprint(self.probe), shape))


def plot_reconstruction(picture: Picture, *, name: str = "Reconstruction") -> Figure:
    """Draw object, main probe mode, coverage and losses at a glance.

    Parameters
    ----------
    picture
        What to draw.
    name
        Written above.
    """
    scale = object_scale(picture.pixel_size_m)
    light = picture.light
    figure = new_figure(13.2, 8.6)
    (amplitude, phase, coverage), (probe, second, losses) = figure.subplots(2, 3)
    title(plot_amplitude(amplitude, picture.object, scale=scale, light=light), "Object amplitude")
    title(plot_phase(phase, picture.object, scale=scale, light=light), "Object phase")
    shape = object_shape(picture.object)
    weight = (np.abs(picture.probe) ** 2).sum(axis=0).astype(np.float32)
    lit = coverage_map(picture.positions, weight / weight.max(), shape)
    drawn = show_image(coverage, lit, cmap="viridis", scale=scale, norm=Normalize(0, float(lit.max())))
    add_colorbar(coverage, drawn, "Σ |P|² / max |P|²")
    title(coverage, "Coverage")
    power = (np.abs(picture.probe) ** 2).sum(axis=(1, 2))
    shares = power / power.sum()
    title(plot_hue(probe, picture.probe[0], scale=scale), "Main probe mode", f"{shares[0]:.0%} of the power")
    if len(picture.probe) > 1:
        title(plot_hue(second, picture.probe[1], scale=scale), "Second mode", f"{shares[1]:.0%}")
    else:
        title(plot_amplitude(second, picture.probe[0], scale=scale), "Probe amplitude")
    if picture.losses:
        title(plot_losses(losses, {"loss": picture.losses}, label="loss of an epoch"), "Loss")
    else:
        losses.axis("off")
    note = "" if picture.r_factor is None else f"    R = {picture.r_factor:.4f}"
    figure.suptitle(f"{name}{note}", x=0.006, ha="left", fontsize=13, fontweight="bold")
    return figure


def plot_before_after(stages: Sequence[tuple[str, Picture]]) -> Figure:
    """Draw the lit part of the object of each stage, amplitude above phase.

    Global phases are turned as near to the last stage's as can be, and share its colours.

    Parameters
    ----------
    stages
        What each stage is called, and its picture.
    """
    figure = new_figure(4.6 * len(stages), 8.4)
    rows = figure.subplots(2, len(stages), squeeze=False)
    last, last_light = _lit_part(stages[-1][1])
    window = phase_window(last[last_light > 0.5] if (last_light > 0.5).any() else last.ravel())
    for column, (name, picture) in enumerate(stages):
        cut, light = _lit_part(picture)
        if cut.shape == last.shape:
            cut = (cut * np.exp(1j * np.angle(np.vdot(cut * light, last)))).astype(np.complex64)
        scale = object_scale(picture.pixel_size_m)
        note = "" if picture.r_factor is None else f"R = {picture.r_factor:.3f}"
        title(plot_amplitude(rows[0, column], cut, scale=scale, light=light), name, note)
        title(plot_phase(rows[1, column], cut, scale=scale, light=light, window=window), "phase")
    return figure


def plot_comparison(pair: AlignedObjects, *, pixel_size_m: tuple[float, float] | None = None) -> Figure:
    """Draw two aligned objects in the same colours, the size of their difference, and the correlation of rings.

    Parameters
    ----------
    pair
        See `align`.
    pixel_size_m
        Height and width of an object pixel, for scale bars and frequencies.
    """
    scale = object_scale(pixel_size_m)
    figure = new_figure(13.2, 8.6)
    (phase_a, phase_b, difference), (amplitude_a, amplitude_b, curve) = figure.subplots(2, 3)
    everywhere = np.ones(pair.test.shape, np.float32)
    test, reference = pair.test.astype(np.complex64), pair.reference.astype(np.complex64)
    both = np.concatenate([test.ravel(), reference.ravel()])
    window, (low, high) = phase_window(both), np.percentile(np.abs(both), [0.5, 99.5]).tolist()
    for name, values, phase, amplitude in (
        ("A, aligned", test, phase_a, amplitude_a),
        ("B", reference, phase_b, amplitude_b),
    ):
        title(plot_phase(phase, values, scale=scale, light=everywhere, window=window), f"{name}: phase")
        greys = plot_amplitude(amplitude, values, scale=scale, light=everywhere, limits=(low, high))
        title(greys, f"{name}: amplitude")
    error = np.abs(pair.test - pair.reference)
    drawn = show_image(
        difference, error, cmap="magma", scale=scale, norm=Normalize(0, max(float(np.percentile(error, 99.5)), 1e-12))
    )
    add_colorbar(difference, drawn, "|A − B|")
    title(difference, "Difference")
    rings = fourier_ring_correlation(pair.test, pair.reference)
    title(
        plot_ring_correlation(curve, rings, pixel_size_m=None if pixel_size_m is None else pixel_size_m[1]),
        "Ring correlation",
    )
    return figure


def save_result_pictures(
    picture: Picture,
    folder: str | Path,
    *,
    without: Collection[str] = (),
    progress: Callable[[int], None] | None = None,
) -> tuple[Path, ...]:
    """Write every picture of a result as PNG; each appears whole or not at all.

    Parameters
    ----------
    picture
        What to draw.
    folder
        Where to; made if absent.
    without
        Names of pictures that are not wanted, of ``reconstruction``, ``object``, ``probe`` and ``loss``.
    progress
        Told 1 after each picture.
    """
    paths = []
    for name, draw in _figures(picture).items():
        if name in without:
            continue
        paths.append(save_figure(draw(), Path(folder) / f"{name}.png"))
        if progress is not None:
            progress(1)
    return tuple(paths)


def _figures(picture: Picture) -> dict[str, Callable[[], Figure]]:
    def loss() -> Figure:
        figure = new_figure(5.4, 3.6)
        title(plot_losses(figure.subplots(), {"loss": picture.losses}, label="loss of an epoch"), "Loss")
        return figure

    found: dict[str, Callable[[], Figure]] = {
        "reconstruction": lambda: plot_reconstruction(picture),
        "object": lambda: plot_object(picture.object, pixel_size_m=picture.pixel_size_m, light=picture.light),
        "probe": lambda: plot_probe(picture.probe, pixel_size_m=picture.pixel_size_m),
    }
    return {**found, "loss": loss} if picture.losses else found


def _lit_part(picture: Picture) -> tuple[Complex64[np.ndarray, "h w"], np.ndarray]:
    """Return the smallest rectangle that holds every well-lit pixel."""
    light = picture.light
    rows, columns = (np.flatnonzero((light > 0.5).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return picture.object, light
    cut = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return picture.object[cut], light[cut]
