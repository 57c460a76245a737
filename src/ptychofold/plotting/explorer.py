"""The scan map of a report: every scan point by its dose, and the pattern of the one that the pointer is nearest to."""

import io
import json
from math import ceil, sqrt

import numpy as np
from jaxtyping import Int64, Real, UInt8
from matplotlib import colormaps
from matplotlib.colors import to_hex
from PIL import Image  # matplotlib brings it

from ptychofold.conventions import intensity_from_amplitude
from ptychofold.plotting.page import data_uri
from ptychofold.plotting.style import COUNTS
from ptychofold.raw_data import RawData
from ptychofold.reading import spread_rows
from ptychofold.survey import PatternSummary

__all__ = ["explorer_html", "pattern_sheet", "shown_points"]

MOST_SHOWN = 1024
"""Scan points whose patterns are in the page; of more, an even selection is."""
LARGEST_SIDE = 64
"""Pixels of a shown pattern's side; larger ones are binned."""
N_THUMBNAILS = 14
DECADES = 4.0
"""Decades of intensity below the brightest pixel that the logarithm shows."""


def explorer_html(scan: RawData, summary: PatternSummary) -> tuple[str, str]:
    """Return the map with its pattern, and a row of thumbnails, as HTML.

    Parameters
    ----------
    scan
        The scan; its shown patterns are read.
    summary
        Its `summarise_patterns`.
    """
    rows = shown_points(len(scan))
    sheet = pattern_sheet(scan, rows)
    columns = sheet.shape[1] // (side := _side(scan.N))
    image = Image.fromarray(sheet, mode="P")
    image.putpalette((255 * COUNTS(np.arange(256))[:, :3]).astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    positions, dose = scan.positions[rows], summary.dose[rows]
    data = {
        "x": positions[:, 1].round(2).tolist(),
        "y": positions[:, 0].round(2).tolist(),
        "dose": dose.tolist(),
        "number": rows.tolist(),
        "side": side,
        "columns": columns,
        "first": len(rows) // 2,
        "sheet": data_uri(buffer.getvalue(), "image/png"),
    }
    holder = '<script type="application/json" id="scan-data">' + json.dumps(data) + "</script>"
    chosen = spread_rows(len(rows), N_THUMBNAILS)
    thumbnails = "".join(
        f'<div><canvas data-pattern="{k}" width="{side}" height="{side}"></canvas>{rows[k]}</div>' for k in chosen
    )
    explorer = f'<div class="explorer">{_map(positions, dose)}<div class="side">{_SIDE}</div></div>{holder}'
    return explorer, f'<div class="thumbnails">{thumbnails}</div>'


_SIDE = (
    '<canvas id="scan-pattern" role="img" width="64" height="64"></canvas>'
    '<dl><dt>pattern</dt><dd id="scan-number"></dd><dt>position (y, x)</dt><dd id="scan-position"></dd>'
    '<dt>Σ intensity</dt><dd id="scan-dose"></dd></dl>'
)


def shown_points(n_scan: int) -> Int64[np.ndarray, " n"]:
    """Return the scan points whose patterns are shown: all, or an even selection.

    Examples
    --------
    >>> len(shown_points(516)), len(shown_points(16_000))
    (516, 1024)
    """
    if n_scan <= MOST_SHOWN:
        return np.arange(n_scan)
    return np.linspace(0, n_scan - 1, MOST_SHOWN).astype(np.int64)


def pattern_sheet(scan: RawData, rows: Int64[np.ndarray, " n"]) -> UInt8[np.ndarray, "height width"]:
    """Return patterns side by side, binned, as the logarithm of their intensity from 0 to 255.

    Parameters
    ----------
    scan
        The scan.
    rows
        Which; they fill the sheet row by row.
    """
    side, columns = _side(scan.N), ceil(sqrt(len(rows)))
    binned = np.stack([_binned(intensity_from_amplitude(scan.amplitude([row])[0]), side) for row in rows.tolist()])
    brightest = max(float(np.percentile(binned.max(axis=(1, 2)), 90)), 1e-30)
    darkest = max(float(binned[binned > 0].min(initial=brightest)), brightest * 10**-DECADES)
    span = max(np.log(brightest / darkest), 1e-6)
    with np.errstate(divide="ignore"):
        level = np.clip(25 + 230 * np.log(np.maximum(binned, 1e-38) / darkest) / span, 0, 255)
    sheet = np.zeros((ceil(len(rows) / columns) * side, columns * side), np.uint8)
    for k, pattern in enumerate(np.where(binned > 0, level, 0).astype(np.uint8)):
        row, column = divmod(k, columns)
        sheet[row * side : (row + 1) * side, column * side : (column + 1) * side] = pattern
    return sheet


def _side(N: int) -> int:
    return ceil(N / ceil(N / LARGEST_SIDE))


def _binned(intensity: Real[np.ndarray, "N N"], side: int) -> Real[np.ndarray, "side side"]:
    """Return sums over square blocks; a last block beyond the border is filled with zeros."""
    factor = ceil(len(intensity) / side)
    padded = np.zeros((side * factor, side * factor), np.float64)
    padded[: len(intensity), : len(intensity)] = intensity
    return np.asarray(padded.reshape(side, factor, side, factor).sum(axis=(1, 3)))


def _map(positions: Real[np.ndarray, "n 2"], dose: Real[np.ndarray, " n"]) -> str:
    """Return the points as SVG, in object pixels with y down, coloured by dose from dark to bright."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    extent = np.maximum(high - low, 1.0)
    radius = min(0.42 * float(np.sqrt(extent.prod() / len(positions))), float(extent.max()) / 60)
    margin = 3 * radius
    box = f"{low[1] - margin:.2f} {low[0] - margin:.2f} {extent[1] + 2 * margin:.2f} {extent[0] + 2 * margin:.2f}"
    first, last = np.percentile(dose, [1, 99]).tolist()
    share = np.clip((dose - first) / max(last - first, 1e-30), 0, 1)
    colors = [to_hex(color) for color in colormaps["viridis"](share)]
    points = "".join(
        f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:.2f}" fill="{color}"/>'
        for (y, x), color in zip(positions.tolist(), colors, strict=True)
    )
    return (
        f'<svg id="scan-map" viewBox="{box}" tabindex="0" role="application" '
        f'aria-label="scan positions; arrow keys go from point to point">{points}'
        f'<circle id="scan-marker" r="{1.5 * radius:.2f}" fill="none" stroke="#d55e00" '
        f'stroke-width="{0.4 * radius:.2f}"/></svg>'
    )
