"""Complete what a file said by what the caller adds: units, pixels, probe, positions, bad pixels."""

import codecs
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Shaped

from ptychofold.config import PositionFrame, ReadingConfig, ScanGeometry
from ptychofold.conventions import pixels_from_metres
from ptychofold.errors import ConfigError, FormatError, MissingFieldError, ShapeError
from ptychofold.formats.base import foreign_errors_refused, read_start
from ptychofold.formats.cleared import cleared
from ptychofold.formats.estimate import estimated_probe
from ptychofold.formats.fields import ScanFields
from ptychofold.typing import RequestedMeasurement

__all__ = ["completed", "read_array_file", "read_table"]

logger = logging.getLogger(__name__)

NPY_MAGIC = b"\x93NUMPY"
MOST_NAMES = 12
"""Names of a file's content that a message lists."""
SAME_PIXEL = 1e-3
"""Share by which two sizes of the object pixel may differ and be taken as one."""


def completed(found: ScanFields, reading: ReadingConfig, *, measurement: RequestedMeasurement = "auto") -> ScanFields:
    """Return the scan with pixels, positions in pixels, probe and mask, as far as file and caller state them.

    Positions in metres become object pixels. Where the file does not say which pixel metre 0 is, the scan is placed so
    that its first patch begins at pixel 0. What is no measurement under the mask is read as 0; see `cleared`. Where the
    caller's facts make the object pixel another than the file's, a warning says what follows: positions in metres move,
    and the file's object is left out; positions in pixels stay.

    Parameters
    ----------
    found
        What the reader found.
    reading
        What the caller adds; a stated fact overrides the file's. Companion scan files are not its business here.
    measurement
        What the patterns are, where a probe is estimated from them.

    Raises
    ------
    MissingFieldError
        If positions are in metres and the object pixel cannot be derived, or there is no probe; the message names what
        supplies it.
    """
    stated = found.metadata.geometry or ScanGeometry.of({"wavelength_m": found.metadata.wavelength_m}, path=found.path)
    geometry = stated.updated(reading)
    known = found.metadata.geometry is not None or geometry != stated
    if reading.bad_pixels is not None:
        found = replace(found, bad_pixels=read_array_file(reading.bad_pixels) != 0)
    if found.patterns is not None and found.bad_pixels is not None:
        found = replace(found, patterns=cleared(found.patterns, found.bad_pixels.astype(bool)))
    pixel_size_m = _pixel_size(found, geometry, changed=geometry != stated)
    metadata = replace(
        found.metadata,
        geometry=geometry if known else None,
        pixel_size_m=pixel_size_m,
        wavelength_m=geometry.wavelength,
    )
    placed = _placed(replace(_fitting(found, pixel_size_m), metadata=metadata), pixel_size_m)
    if reading.probe == "estimate":
        probe = estimated_probe(placed, geometry, pixel_size_m=pixel_size_m, measurement=measurement)
        return replace(placed, probe=probe)
    if placed.probe is None and placed.patterns is not None and placed.positions is not None:
        raise MissingFieldError(_no_probe(placed, geometry), path=placed.path, field="probe")
    return placed


def _pixel_size(found: ScanFields, geometry: ScanGeometry, *, changed: bool) -> tuple[float, float] | None:
    """Return the object pixel: as the file gives it unless the caller changed what it follows from."""
    own = found.metadata.pixel_size_m
    if own is not None and not changed:
        return own
    shape = _frame_shape(found)
    needed = found.positions is None and found.positions_m is not None
    try:
        return own if shape is None else geometry.object_pixel_m(shape)
    except MissingFieldError as error:
        if needed and own is None:
            raise MissingFieldError(str(error), path=found.path, field=error.field) from None
        return own


def _fitting(found: ScanFields, pixel_size_m: tuple[float, float] | None) -> ScanFields:
    """Return the scan without what an object pixel other than the file's own makes wrong; say so."""
    own = found.metadata.pixel_size_m
    if own is None or pixel_size_m is None or np.allclose(own, pixel_size_m, rtol=SAME_PIXEL, atol=0):
        return found
    sizes = f"{found.path}: the file's object pixel is {_in_nm(own)}, now it is {_in_nm(pixel_size_m)}"
    if found.positions is not None:
        logger.warning(
            "%s. Positions are in pixels and stay as they are; if metres were turned into them with the wrong pixel, "
            "read the source again.",
            sizes,
        )
        return found
    if found.object is None and found.patches is None:
        return found
    logger.warning("%s. Its object does not fit the positions any more and is left out.", sizes)
    return replace(found, object=None, patches=None)


def _in_nm(pixel_size_m: tuple[float, float]) -> str:
    return " × ".join(f"{1e9 * side:.4g}" for side in pixel_size_m) + " nm"


def _frame_shape(found: ScanFields) -> tuple[int, int] | None:
    holder = found.patterns if found.patterns is not None else found.probe
    return None if holder is None or len(holder.shape) < 2 else (holder.shape[-2], holder.shape[-1])


def _placed(found: ScanFields, pixel_size_m: tuple[float, float] | None) -> ScanFields:
    """Turn positions in metres into pixels; those that are no numbers stay what they are, and move no other."""
    if found.positions is not None or found.positions_m is None or pixel_size_m is None:
        return found
    positions = _in_pixels(found.positions_m, pixel_size_m)
    if found.origin is not None:
        shift = np.asarray(found.origin, np.float64)
    else:
        side = _frame_shape(found) or (0, 0)
        finite = positions[np.isfinite(positions).all(axis=1)]
        shift = np.array([side[0] // 2, side[1] // 2]) - (finite.min(axis=0) if len(finite) else 0.0)
    nominal = found.positions_nominal_m
    return replace(
        found,
        positions=positions + shift,
        positions_nominal=None if nominal is None else _in_pixels(nominal, pixel_size_m) + shift,
    )


def _in_pixels(
    positions_m: Shaped[np.ndarray, "..."], pixel_size_m: tuple[float, float]
) -> Float64[np.ndarray, "scan 2"]:
    if positions_m.ndim != 2 or positions_m.shape[1] != 2:
        raise ShapeError(f"expected positions of shape (scan, 2); found {positions_m.shape}.", field="positions")
    return pixels_from_metres(positions_m, pixel_size_m=pixel_size_m)


def _no_probe(found: ScanFields, geometry: ScanGeometry) -> str:
    held = ", ".join(found.names[:MOST_NAMES]) + (" …" if len(found.names) > MOST_NAMES else "")
    message = (
        f"expected a probe; this {found.format} file has none{f', but {held}' if held else ''}. Supply --probe FILE (a "
        "scan file or NPY that holds one) or --probe estimate (the wave that belongs to the mean pattern), as "
        "read(…, probe=…) does."
    )
    if geometry.propagation is None and geometry.focus_m is None:
        message += (
            " Nothing says whether this is far or near field, so that far field is taken; a near-field scan needs "
            "--focus-m (distance from the focus down to the sample) or, for a parallel beam, --near-field."
        )
    return message


def read_array_file(path: Path) -> Shaped[np.ndarray, "..."]:
    """Load an NPY file that holds numbers.

    Raises
    ------
    FormatError
        If it is none.
    """
    if not read_start(path).startswith(NPY_MAGIC):
        raise FormatError("expected an NPY file; found something else. Save it with numpy.save.", path=path)
    with foreign_errors_refused(path, doing="reading the NPY file"):
        array: np.ndarray = np.load(path, allow_pickle=False)
    return array


def read_table(path: Path, frame: PositionFrame | None) -> tuple[Float64[np.ndarray, "scan 2"], bool]:
    """Read a table of positions: two columns, separated by commas, semicolons, tabs or spaces; ``#`` begins a comment.

    A first line of names is passed over.

    Parameters
    ----------
    path
        The CSV or TXT file.
    frame
        What its numbers mean.

    Returns
    -------
    positions, in_pixels
        The probe's (y, x) in metres, or in object pixels.

    Raises
    ------
    ConfigError
        If nothing says what the numbers mean.
    ShapeError
        If there are not two columns of numbers.
    """
    if frame is None:
        raise ConfigError(
            f"{path}: a table of positions says nothing of its unit and axes. Supply --frame, such as "
            "--frame unit=um,axes=xy,y=up,moves=sample."
        )
    with foreign_errors_refused(path, doing="reading the table of positions"):
        lines = _decoded(path.read_bytes()).splitlines()
    rows = [cells for line in lines if (cells := line.split("#")[0].replace(",", " ").replace(";", " ").split())]
    if rows and not _is_number(rows[0][0]):
        rows = rows[1:]
    if not rows:
        raise ShapeError("expected two numbers a line as positions; found no line.", path=path, field="positions")
    if any(len(cells) != 2 or not all(map(_is_number, cells)) for cells in rows):
        wrong = next((cells for cells in rows if len(cells) != 2 or not all(map(_is_number, cells))), [])
        raise ShapeError(
            f"expected two numbers a line as positions; found {' '.join(wrong)[:60]!r}. Keep the two coordinates only.",
            path=path,
            field="positions",
        )
    numbers = np.array([[float(cell) for cell in cells] for cells in rows])
    return frame.probe_yx(numbers), frame.unit == "px"


def _decoded(content: bytes) -> str:
    """Return a table's text as spreadsheets and instruments save it; numbers are ASCII in all their encodings."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    return content.decode("utf-8-sig", errors="replace")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
