"""How every picture looks: figures without global state, scale bars, colour maps that colour-blind people can read."""

from dataclasses import dataclass
from math import floor, log10
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Real, Shaped
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.offsetbox import AnchoredOffsetbox, AuxTransformBox, TextArea, VPacker
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import EngFormatter

from ptychofold.atomic import replacing
from ptychofold.errors import UnsupportedFormatError
from ptychofold.metadata import Metadata

__all__ = [
    "ACCENTS",
    "AMPLITUDE",
    "COUNTS",
    "INK",
    "MUTED",
    "PHASE",
    "UNLIT",
    "Scale",
    "add_colorbar",
    "add_scale_bar",
    "figure_format",
    "new_figure",
    "object_scale",
    "pattern_scale",
    "save_figure",
    "show_image",
    "title",
]

ACCENTS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's colours, distinct with every kind of colour vision."""
INK, MUTED = "#222222", "#8A8F98"
UNLIT = "#101114"
"""Where a picture has nothing to say, as no light fell there."""
AMPLITUDE = "gray"
COUNTS: Colormap = ListedColormap(colormaps["magma"](np.linspace(0.02, 1, 256)), name="counts")
PHASE = "twilight"
"""Cyclic: −π and π have one colour."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Size of a picture's pixel, for its scale bar."""

    pixel: float
    """Width of a pixel in ``unit``."""
    unit: Literal["px", "m", "1/m"]


def object_scale(pixel_size_m: tuple[float, float] | None) -> Scale:
    """Return the scale of pictures in the object's plane: metres if the pixel's size is known, else pixels."""
    return Scale(pixel=1.0, unit="px") if pixel_size_m is None else Scale(pixel=pixel_size_m[1], unit="m")


def pattern_scale(metadata: Metadata, N: int) -> Scale:
    """Return the scale of patterns: a detector pixel of the far field spans 1 / (N · object pixel) cycles a metre.

    In the near field a pattern is a magnified image, and its pixel is as large as the object's.
    """
    size, geometry = metadata.pixel_size_m, metadata.geometry
    if size is None or (geometry is not None and geometry.field == "near_field"):
        return object_scale(size)
    return Scale(pixel=1 / (N * size[1]), unit="1/m")


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches that no window shows and no global state knows."""
    figure = Figure(figsize=(width, height), dpi=160, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06, wspace=0.04, hspace=0.04)  # type: ignore[union-attr, call-arg]
    return figure


def figure_format(path: str | Path) -> str:
    """Return the format that a figure's suffix names: png, pdf or svg.

    Raises
    ------
    UnsupportedFormatError
        If it is another.
    """
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in ("png", "pdf", "svg"):
        raise UnsupportedFormatError(f"expected a picture's name in .png, .pdf or .svg; found {suffix!r}.", path=path)
    return suffix


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure in the format that its suffix names, whole or not at all; see `figure_format`."""
    suffix = figure_format(path)
    with replacing(path) as partial:
        figure.savefig(partial, format=suffix)
    return Path(path)


def title(axes: Axes, text: str, note: str = "") -> None:
    """Write what a picture shows, and in grey how to read it."""
    axes.set_title(text, loc="left", fontsize=10, fontweight="bold", color=INK)
    if note:
        axes.set_title(note, loc="right", fontsize=8, color=MUTED)


def show_image(
    axes: Axes,
    image: Real[np.ndarray, "H W"] | Shaped[np.ndarray, "H W 3"],
    *,
    cmap: str | Colormap,
    scale: Scale,
    norm: Normalize | None = None,
    origin: tuple[float, float] = (0.0, 0.0),
) -> AxesImage:
    """Draw an image without ticks, with a scale bar.

    Parameters
    ----------
    axes
        Where to.
    image
        Values, or colours as (H, W, 3) bytes; row 0 is at the top.
    cmap, norm
        Colour map and how values reach it.
    scale
        Size of a pixel.
    origin
        Coordinates (y, x) of the image's first pixel, so that positions can be drawn on top.
    """
    height, width = image.shape[:2]
    top, left = origin
    extent = (left - 0.5, left + width - 0.5, top + height - 0.5, top - 0.5)
    drawn = axes.imshow(image, cmap=cmap, norm=norm, extent=extent, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    add_scale_bar(axes, scale)
    return drawn


def add_colorbar(axes: Axes, drawn: ScalarMappable, label: str, *, thousands: bool = False) -> None:
    """Add a thin colour bar as high as the picture; a whole turn of phase is marked in multiples of π.

    With ``thousands`` large numbers are written as 460k or 9.67M.
    """
    bar = axes.figure.colorbar(drawn, cax=axes.inset_axes((1.025, 0.0, 0.035, 1.0)))
    bar.set_label(label, fontsize=8, color=INK)
    if thousands:
        bar.ax.yaxis.set_major_formatter(EngFormatter(sep=""))
    bar.ax.tick_params(labelsize=7, color=MUTED, labelcolor=INK, length=2.5)
    bar.ax.tick_params(which="minor", length=1.5, color=MUTED)
    for spine in bar.ax.spines.values():
        spine.set_visible(False)
    if (drawn.norm.vmin, drawn.norm.vmax) == (-np.pi, np.pi):
        bar.set_ticks([-np.pi, -np.pi / 2, 0, np.pi / 2, np.pi], labels=["−π", "−π/2", "0", "π/2", "π"])


def add_scale_bar(axes: Axes, scale: Scale, *, color: str = "white") -> None:
    """Draw a bar of a round length about a fifth as wide as the picture, with its length and unit."""
    width = abs(axes.get_xlim()[1] - axes.get_xlim()[0])
    length = _round_length(0.22 * width * scale.pixel)
    outline = [withStroke(linewidth=1.6, foreground="black" if color == "white" else "white", alpha=0.6)]
    bar = AuxTransformBox(axes.transData)
    bar.add_artist(
        Rectangle((0, 0), length / scale.pixel, width / 90, facecolor=color, edgecolor="none", path_effects=outline)
    )
    label = TextArea(_format_length(length, scale.unit), textprops={"color": color, "size": 8, "path_effects": outline})
    packed = VPacker(children=[bar, label], align="center", pad=0, sep=2)
    axes.add_artist(AnchoredOffsetbox("lower left", child=packed, frameon=False, pad=0.2, borderpad=0.5))


def _round_length(limit: float) -> float:
    """Return the largest of 1, 2, 5 × 10^k that is not above the limit."""
    power = 10.0 ** floor(log10(limit))
    return max(step for step in (1, 2, 5) if step * power <= limit * (1 + 1e-9)) * power


def _format_length(length: float, unit: Literal["px", "m", "1/m"]) -> str:
    if unit == "px":
        return f"{length:g} px"
    if unit == "m":
        for size, name in ((1e-3, "mm"), (1e-6, "µm"), (1e-9, "nm")):
            if length >= 0.999 * size:
                return f"{float(f'{length / size:.6g}'):g} {name}"
        return f"{float(f'{length / 1e-12:.6g}'):g} pm"
    for size, name in ((1e9, "nm⁻¹"), (1e6, "µm⁻¹")):
        if length >= 0.999 * size:
            return f"{float(f'{length / size:.6g}'):g} {name}"
    return f"{float(f'{length / 1e3:.6g}'):g} mm⁻¹"
