"""``ptychofold evaluate``: how far two reconstructions of one object are apart."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypedDict

import typer

from ptychofold.cli.common import JsonOption, is_store, keep_inputs, new_table, open_scan, plain, quantity, show
from ptychofold.errors import DomainError, MissingFieldError, ShapeError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Complex
    from rich.table import Table

    from ptychofold.reconstruction.alignment import AlignedObjects
    from ptychofold.reconstruction.metrics import RingCorrelation

__all__ = ["Comparable", "Measured", "evaluate", "measured", "on_one_pixel", "read_object"]


class Facts(TypedDict):
    """Every figure of a comparison; NaN where it is not defined."""

    ssim: dict[str, float]
    psnr_db: dict[str, float]
    data_range: dict[str, float]
    """Of the reference, which SSIM and PSNR are relative to."""
    mean_absolute_error: dict[str, float]
    """Phase in radians."""
    relative_error: dict[str, float | None]
    resolution_px: dict[str, float | None]
    """Period at which the ring correlation falls below each threshold."""
    resolution_m: dict[str, float | None]
    exceeds: dict[str, bool]
    """Whether most rings are above each threshold."""
    ambiguities: dict[str, float]
    """What was taken out of the first object."""
    shape: list[int]
    ring_frequency: list[float]
    """Cycles a pixel."""
    ring_correlation: list[float]


class Threshold(NamedTuple):
    """A threshold of the ring correlation."""

    name: str
    """For machines."""
    label: str
    """For people."""
    given: dict[str, float]
    """What the ring correlation is asked with."""


THRESHOLDS = (
    Threshold("half_bit", "1/2 bit", {"bits": 0.5}),
    Threshold("one_bit", "1 bit", {"bits": 1.0}),
    Threshold("snr_1", "SNR 1", {"snr": 1.0}),
)
SMALLEST = 16
"""Side in pixels of the smallest field that is compared by itself."""
SAME = 0.25
"""Pixels by which the borders of two objects may lie apart for different sizes of their pixels."""


class Measured(NamedTuple):
    """An object of a file and the size of its pixels."""

    object: "Complex[np.ndarray, 'H W']"
    pixel_size_m: tuple[float, float] | None
    said: str | None = None
    """What was not done as usual, for people."""


def evaluate(
    test: Annotated[Path, typer.Argument(metavar="A", help="What has an object: a scan, a store or a product.")],
    reference: Annotated[Path, typer.Argument(metavar="B", help="The one whose object A is held against.")],
    *,
    whole: Annotated[
        bool, typer.Option("--whole", help="Compare whole objects, not only the field between the outermost positions.")
    ] = False,
    shift: Annotated[bool, typer.Option("--shift/--no-shift", help="Look for a shift of A against B.")] = True,
    resample: Annotated[
        bool, typer.Option("--resample", help="Bring objects of different pixels to the larger of the two.")
    ] = False,
    picture: Annotated[
        Path | None,
        typer.Option("--plot", metavar="PICTURE", help="Draw both objects, their difference and the correlation."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the objects of A and B after scale, phase, ramp and shift were taken out."""
    from ptychofold.reconstruction import metrics
    from ptychofold.reconstruction.alignment import align

    if picture is not None:
        from ptychofold.plotting.style import figure_format

        keep_inputs(picture, test, reference)
        figure_format(picture)
    objects = [read_object(path, whole=whole) for path in (test, reference)]
    pair = on_one_pixel(*objects, resample=resample)
    pixel_size_m = pair.pixel_size_m
    said = [plain(found.said) for found in objects if found.said is not None] + list(pair.said)
    pixel_m = None if pixel_size_m is None else pixel_size_m[0]
    aligned = align(pair.test, pair.reference, shift=shift)
    rings = metrics.fourier_ring_correlation(aligned.test, aligned.reference)
    facts = measured(aligned, rings, pixel_m=pixel_m)
    if as_json:
        typer.echo(json.dumps(_finite(facts)))
    else:
        show(figures_table(facts), "", *said, ambiguities_line(aligned), correlation_line(aligned, rings, pixel_m))
    if picture is not None:
        from ptychofold.plotting.results import plot_comparison
        from ptychofold.plotting.style import save_figure

        save_figure(plot_comparison(aligned, pixel_size_m=pixel_size_m), picture)
        if not as_json:
            show(f"wrote {plain(picture)}")


class Comparable(NamedTuple):
    """Two objects on pixels of one size."""

    test: "Complex[np.ndarray, 'H W']"
    reference: "Complex[np.ndarray, 'height width']"
    pixel_size_m: tuple[float, float] | None
    said: tuple[str, ...]
    """What was done or taken for granted, for people."""


def on_one_pixel(test: Measured, reference: Measured, *, resample: bool) -> Comparable:
    """Return two objects on pixels of one size, the larger of both along each axis if they differ.

    Raises
    ------
    DomainError
        If they differ and may not be resampled.
    """
    ours, theirs = test.pixel_size_m, reference.pixel_size_m
    if ours is None or theirs is None:
        known = ours or theirs
        said = () if known is None else ("one file does not tell its pixel size: taken to be that of the other",)
        return Comparable(test.object, reference.object, known, said)
    extent = max(*test.object.shape, *reference.object.shape)
    if max(abs(a / b - 1) for a, b in zip(ours, theirs, strict=True)) * extent / 2 < SAME:
        return Comparable(test.object, reference.object, ours, ())
    sizes = " and ".join(" × ".join(f"{1e9 * side:.5g}" for side in size) + " nm" for size in (ours, theirs))
    if not resample:
        raise DomainError(
            f"expected objects with pixels of one size; found {sizes}. Give --resample to compare them on the larger.",
            field="pixel_size_m",
        )
    from ptychofold.reconstruction.alignment import resampled

    common = (max(ours[0], theirs[0]), max(ours[1], theirs[1]))
    first, second = (
        _large_enough(resampled(found.object, (size[0] / common[0], size[1] / common[1])), path=None)
        for found, size in ((test, ours), (reference, theirs))
    )
    target = " × ".join(f"{1e9 * side:.5g}" for side in common)
    return Comparable(first, second, common, (f"pixels of {sizes}: both resampled to {target} nm",))


def measured(pair: "AlignedObjects", rings: "RingCorrelation", *, pixel_m: float | None) -> Facts:
    """Return every figure of a comparison, by name."""
    import numpy as np

    from ptychofold.reconstruction import metrics

    found = pair.ambiguities
    images = {
        "phase": (np.angle(pair.test), np.angle(pair.reference)),
        "amplitude": (abs(pair.test), abs(pair.reference)),
    }
    periods = {name: rings.resolution(**given) for name, _, given in THRESHOLDS}
    return {
        "ssim": {name: metrics.ssim(*both) for name, both in images.items()},
        "psnr_db": {name: metrics.psnr(*both) for name, both in images.items()},
        "data_range": {name: float(np.ptp(both[1])) for name, both in images.items()},
        "mean_absolute_error": {
            "phase": metrics.phase_error(pair.test, pair.reference),
            "amplitude": metrics.mean_absolute_error(*images["amplitude"]),
            "complex": metrics.mean_absolute_error(pair.test, pair.reference),
        },
        "relative_error": {"complex": metrics.relative_error(pair.test, pair.reference)},
        "resolution_px": dict(periods),
        "resolution_m": {
            name: None if period is None or pixel_m is None else period * pixel_m for name, period in periods.items()
        },
        "exceeds": {name: rings.exceeds(**given) for name, _, given in THRESHOLDS},
        "ambiguities": {
            "scale": found.scale,
            "phase_rad": found.phase_rad,
            "ramp_y_rad": found.ramp_rad[0],
            "ramp_x_rad": found.ramp_rad[1],
            "shift_y_px": found.shift[0],
            "shift_x_px": found.shift[1],
        },
        "shape": list(pair.test.shape),
        "ring_frequency": rings.frequency.tolist(),
        "ring_correlation": rings.correlation.tolist(),
    }


def _finite(facts: object) -> object:
    """Return facts with null for what is not a finite number, as JSON has no other."""
    if isinstance(facts, dict):
        return {name: _finite(value) for name, value in facts.items()}
    if isinstance(facts, list):
        return [_finite(value) for value in facts]
    return None if isinstance(facts, float) and not math.isfinite(facts) else facts


def figures_table(facts: Facts) -> "Table":
    """Return the figures as a table of phase and amplitude."""
    table = new_table("quantity", "phase", "amplitude", numbers=("phase", "amplitude"))
    for label, values, digits in (
        ("SSIM", facts["ssim"], 4),
        ("PSNR / dB", facts["psnr_db"], 2),
        ("data range", facts["data_range"], 3),
        ("mean absolute error", facts["mean_absolute_error"], 4),
    ):
        table.add_row(label, *(_figure(values[column], digits) for column in ("phase", "amplitude")))
    return table


def _figure(value: float, digits: int) -> str:
    return "undefined" if math.isnan(value) else f"{value:.{digits}f}"


def ambiguities_line(pair: "AlignedObjects") -> str:
    """Say what was taken out of A."""
    found = pair.ambiguities
    ramp, moved = (", ".join(f"{value:.2g}" for value in axes) for axes in (found.ramp_rad, found.shift))
    return (
        f"taken out of A: scale {found.scale:.4f}, phase {found.phase_rad:.4f} rad, ramp ({ramp}) rad/px, "
        f"shift ({moved}) px"
    )


def correlation_line(pair: "AlignedObjects", rings: "RingCorrelation", pixel_m: float | None) -> str:
    """Say where the correlation of rings falls below each threshold."""
    return f"ring correlation over {' × '.join(map(str, pair.test.shape))} px falls below " + ", ".join(
        f"{label} at {_period(rings.resolution(**given), pixel_m, exceeds=rings.exceeds(**given))}"
        for _, label, given in THRESHOLDS
    )


def _period(period: float | None, pixel_m: float | None, *, exceeds: bool) -> str:
    if period is None:
        return "no frequency" if exceeds else "every frequency"
    return f"{period:.2f} px" + ("" if pixel_m is None else f" = {quantity(period * pixel_m * 1e9, 'nm')}")


def read_object(path: Path, *, whole: bool) -> Measured:
    """Read the object of a file or store, cut to the field between its outermost positions, and the pixel size.

    Raises
    ------
    MissingFieldError
        If there is no object.
    ShapeError
        If it is too small to be compared.
    """
    import numpy as np

    from ptychofold.formats import read_fields
    from ptychofold.validation import check_object

    found = open_scan(path).to_fields() if is_store(path) else read_fields(path)
    if found.object is None:
        raise MissingFieldError("expected an object to compare; the file has none.", path=path, field="object")
    canvas = _large_enough(check_object(np.asarray(found.object), path=path), path=path)
    size = found.metadata.pixel_size_m
    if whole or found.positions is None or not len(found.positions):
        return Measured(canvas, size)
    low = np.clip(np.floor(found.positions.min(axis=0)).astype(int), 0, None)
    high = np.ceil(found.positions.max(axis=0)).astype(int) + 1
    field = canvas[low[0] : high[0], low[1] : high[1]]
    if min(field.shape) >= SMALLEST:
        return Measured(field, size)
    extent = " × ".join(map(str, field.shape))
    return Measured(canvas, size, f"{path.name} spans {extent} px between positions: compared whole, unlit parts too")


def _large_enough(canvas: "Complex[np.ndarray, 'H W']", *, path: Path | None) -> "Complex[np.ndarray, 'H W']":
    if min(canvas.shape) < SMALLEST:
        raise ShapeError(
            f"expected an object of at least {SMALLEST} × {SMALLEST} pixels to compare; found {canvas.shape}.",
            path=path,
            field="object",
        )
    return canvas
