"""``ptychofold evaluate``: how far two reconstructions of one object are apart."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptychofold.cli.common import new_table, quantity, show
from ptychofold.errors import MissingFieldError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Complex64

__all__ = ["evaluate"]


def evaluate(
    test: Annotated[Path, typer.Argument(metavar="A", help="A file with an object: a scan or a product.")],
    reference: Annotated[Path, typer.Argument(metavar="B", help="The file whose object A is held against.")],
    *,
    whole: Annotated[
        bool, typer.Option("--whole", help="Compare whole objects, not only the field between the outermost positions.")
    ] = False,
    shift: Annotated[bool, typer.Option("--shift/--no-shift", help="Look for a shift of A against B.")] = True,
) -> None:
    """Compare the objects of A and B after scale, phase, ramp and shift were taken out."""
    import numpy as np

    from ptychofold.reconstruction import metrics
    from ptychofold.reconstruction.alignment import align

    (first, pixel_m), (second, _) = read_object(test, whole=whole), read_object(reference, whole=whole)
    pair = align(first, second, shift=shift)
    rings = metrics.fourier_ring_correlation(pair.test, pair.reference)
    phases, amplitudes = ((f(pair.test), f(pair.reference)) for f in (np.angle, np.abs))
    table = new_table("quantity", "phase", "amplitude", numbers=("phase", "amplitude"))
    table.add_row("SSIM", f"{metrics.ssim(*phases):.4f}", f"{metrics.ssim(*amplitudes):.4f}")
    table.add_row("PSNR / dB", f"{metrics.psnr(*phases):.2f}", f"{metrics.psnr(*amplitudes):.2f}")
    table.add_row("data range", *(f"{np.ptp(values[1]):.3f}" for values in (phases, amplitudes)))
    table.add_row(
        "mean absolute error",
        f"{metrics.phase_error(pair.test, pair.reference):.4f}",
        f"{metrics.mean_absolute_error(*amplitudes):.4f}",
    )
    show(table, "")
    found = pair.ambiguities
    ramp, moved = (", ".join(f"{value:.2g}" for value in axes) for axes in (found.ramp_rad, found.shift))
    show(
        f"taken out of A: scale {found.scale:.4f}, phase {found.phase_rad:.4f} rad, ramp ({ramp}) rad/px, "
        f"shift ({moved}) px"
    )
    periods = {
        "1/2 bit": rings.resolution(bits=0.5),
        "1 bit": rings.resolution(bits=1.0),
        "SNR 1": rings.resolution(snr=1),
    }
    show(
        f"ring correlation over {' × '.join(map(str, pair.test.shape))} px falls below "
        + ", ".join(f"{name} at {_period(period, pixel_m)}" for name, period in periods.items())
    )


def _period(period: float | None, pixel_m: float | None) -> str:
    if period is None:
        return "no frequency"
    return f"{period:.2f} px" + ("" if pixel_m is None else f" = {quantity(period * pixel_m * 1e9, 'nm')}")


def read_object(path: Path, *, whole: bool) -> "tuple[Complex64[np.ndarray, 'H W'], float | None]":
    """Read the object of a file, cut to the field between its outermost positions, and the pixel size.

    Raises
    ------
    MissingFieldError
        If the file has no object.
    """
    import numpy as np

    from ptychofold.formats import read_fields
    from ptychofold.validation import check_object

    found = read_fields(path)
    if found.object is None:
        raise MissingFieldError("expected an object to compare; the file has none.", path=path, field="object")
    canvas = check_object(np.asarray(found.object), path=path)
    size = found.metadata.pixel_size_m
    if whole or found.positions is None or not len(found.positions):
        return canvas, None if size is None else size[0]
    low = np.clip(np.floor(found.positions.min(axis=0)).astype(int), 0, None)
    high = np.ceil(found.positions.max(axis=0)).astype(int) + 1
    field = canvas[low[0] : high[0], low[1] : high[1]]
    return (field if min(field.shape) >= 16 else canvas), None if size is None else size[0]
