"""Scan files: recognised by content, read into `ScanFields`, written atomically.

A format is one module with a module-level ``FORMAT``; it becomes known by its line in `FORMATS`.
"""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from ptychofold.config import PositionFrame, ReadingConfig, RecipeConfig
from ptychofold.errors import MissingFieldError, UnsupportedFormatError
from ptychofold.formats import (
    cxi,
    eiger,
    nexus,
    npz,
    pairs,
    ptychodus_diffraction,
    ptychodus_npz,
    ptychodus_product,
    ptychodus_training,
    ptychoshelves,
    ptyd,
    ptylab,
    tiff,
    tiff_frames,
    tike,
)
from ptychofold.formats.archive import list_members
from ptychofold.formats.base import Format, check_file
from ptychofold.formats.complete import completed, read_array_file, read_table
from ptychofold.formats.describe import describe_content
from ptychofold.formats.facilities import read_facility
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.hdf5 import is_hdf5
from ptychofold.formats.nexus_validate import validate_nexus
from ptychofold.formats.pairing import with_patterns
from ptychofold.formats.recipe import read_by_recipe, steps_of
from ptychofold.typing import RequestedMeasurement

__all__ = [
    "FORMATS",
    "Format",
    "ScanFields",
    "identify",
    "is_frame_folder",
    "read_fields",
    "validate_nexus",
    "write_fields",
    "writer_for",
]

FORMATS: tuple[Format, ...] = (
    npz.FORMAT,
    ptychodus_training.FORMAT,
    ptychodus_product.FORMAT,
    ptychodus_npz.FORMAT,
    ptychodus_diffraction.FORMAT,
    nexus.FORMAT,
    cxi.FORMAT,
    tike.FORMAT,
    pairs.PTYCHOVIT,
    pairs.FOLD_SLICE,
    ptyd.FORMAT,
    ptylab.FORMAT,
    eiger.FORMAT,
    tiff.FORMAT,
    tiff_frames.FORMAT,
    ptychoshelves.FORMAT,
)
"""Every known format; where a file fits several, the first one reads it."""

TABLES = (".csv", ".txt", ".tsv", ".dat")
"""Endings of files that are tables of positions."""

logger = logging.getLogger(__name__)


def identify(path: str | Path) -> tuple[Format, str]:
    """Recognise a file, or a folder of frames, by its content.

    Returns
    -------
    format, reason
        The first format that knows the file, and why it does.

    Raises
    ------
    FormatError
        If there is no such file, it is damaged, or it is a folder of something else.
    UnsupportedFormatError
        If no format knows it; the message lists what is supported and what the file looks like.
    """
    path = Path(path)
    folder = path.is_dir()
    if not folder:
        check_file(path)
    for known in FORMATS:
        reason = known.sniff(path) if known.folder == folder else None
        if reason is not None:
            return known, reason
    if folder:
        check_file(path)
    supported = ", ".join(known.name for known in FORMATS)
    cure = " HDF5 of any other make opens by a recipe: --recipe FILE.toml." if not folder and is_hdf5(path) else ""
    raise UnsupportedFormatError(
        f"no reader knows this file, which looks like {describe_content(path)}. Supported: {supported}.{cure}",
        path=path,
    )


def is_frame_folder(path: Path) -> bool:
    """Whether a path is a folder whose files are the frames of one scan."""
    return path.is_dir() and any(known.sniff(path) is not None for known in FORMATS if known.folder)


def read_fields(
    path: str | Path,
    *,
    lazy: bool = True,
    patterns: str | Path | None = None,
    reading: ReadingConfig | None = None,
    measurement: RequestedMeasurement = "auto",
) -> ScanFields:
    """Read what a scan file says, completed by what the caller adds.

    Parameters
    ----------
    path
        The scan file.
    lazy
        Leave the patterns in the file, to be read row by row; False loads them.
    patterns
        A second file whose patterns (with their bad pixels and measurement) belong to this scan, such as the
        diffraction file of a Ptychodus product. Rows find each other by the scan point numbers that both files
        record, else by their order.
    reading
        Units, companion files and everything else that the file lacks.
    measurement
        What the patterns are, for the probe that is estimated from them; `RawData.from_fields` is told separately.

    Raises
    ------
    FormatError
        If a file cannot be read as what it claims to be.
    DataError
        If a required field is missing, or the files do not belong together.
    """
    path, reading = Path(path), reading or ReadingConfig()
    patterns = reading.patterns if patterns is None else Path(patterns)
    found = _read_alone(path, lazy=lazy, reading=reading)
    if patterns is not None:
        found = with_patterns(found, _read_alone(patterns, lazy=lazy, reading=ReadingConfig()))
    if reading.positions is not None and not _by_reader(reading):
        found = _with_positions(found, reading.positions, reading.frame)
    if isinstance(reading.probe, Path):
        found = replace(found, probe=_probe_from(reading.probe))
    return _prepared(completed(found, reading, measurement=measurement), path, reading)


def _by_reader(reading: ReadingConfig) -> bool:
    """Whether a Ptychodus reader reads the positions too: always, unless a table's frame says what its numbers mean."""
    return reading.reader is not None and reading.frame is None


def _prepared(found: ScanFields, path: Path, reading: ReadingConfig) -> ScanFields:
    """Do what a recipe says to the patterns, when they are read."""
    if reading.recipe is None:
        return found
    n_scan = 0 if found.patterns is None else found.patterns.shape[0]
    steps = steps_of(path, RecipeConfig.from_toml(reading.recipe), n_scan=n_scan)
    if not steps.steps:
        return found
    from ptychofold.preprocess import preprocess  # stands on formats itself

    return preprocess(found, steps)


def _read_alone(path: Path, *, lazy: bool, reading: ReadingConfig) -> ScanFields:
    """Read one file as what it is, or as what the caller says it is."""
    if reading.recipe is not None:
        check_file(path)
        found = read_by_recipe(path, RecipeConfig.from_toml(reading.recipe), lazy=lazy)
        return replace(found, format_reason=f"by the recipe {reading.recipe}")
    if reading.reader is not None:
        return _by_facility(path, reading.reader, reading, lazy=lazy)
    if reading.format is None:
        known, reason = identify(path)
    else:
        known, reason = _named(reading.format, path), "the caller says so"
        if not known.folder:
            check_file(path)
    found = known.read(path, lazy=lazy)
    logger.info("%s read as %s: %s", path, known.name, reason)
    return replace(found, format_reason=reason)


def _by_facility(path: Path, reader: str, reading: ReadingConfig, *, lazy: bool) -> ScanFields:
    found = read_facility(
        path,
        reader=reader,
        positions=reading.positions if _by_reader(reading) else None,
        positions_reader=reading.positions_reader,
        lazy=lazy,
    )
    return replace(found, format_reason="the caller names the reader")


def _named(name: str, path: Path) -> Format:
    for known in FORMATS:
        if known.name.casefold() == name.casefold():
            return known
    names = ", ".join(known.name for known in FORMATS)
    raise UnsupportedFormatError(f"no format is named {name!r}. Known: {names}.", path=path)


def _with_positions(found: ScanFields, file: Path, frame: PositionFrame | None) -> ScanFields:
    """Return the scan with the positions of a second file: a table of numbers, or any scan file."""
    if file.suffix.lower() in TABLES:
        positions, in_pixels = read_table(file, frame)
        placed = replace(
            found, positions=positions if in_pixels else None, positions_m=None if in_pixels else positions, origin=None
        )
    else:
        other = _read_alone(file, lazy=True, reading=ReadingConfig())
        placed = replace(
            found, positions=other.positions, positions_m=other.positions_m, origin=other.origin,
            positions_nominal=other.positions_nominal, positions_nominal_m=other.positions_nominal_m,
        )  # fmt: skip
    return placed


def _probe_from(path: Path) -> Shaped[np.ndarray, "..."]:
    if path.suffix.lower() == ".npy":
        return read_array_file(path)
    if path.suffix.lower() == ".npz" and "probeGuess" in list_members(path):
        return npz.read_probe(path)
    probe = _read_alone(path, lazy=True, reading=ReadingConfig()).probe
    if probe is None:
        raise MissingFieldError("expected a probe in this file; found none.", path=path, field="probe")
    return probe


def write_fields(fields: ScanFields, path: str | Path, *, format: str | None = None) -> tuple[str, ...]:
    """Write a scan, whole or not at all.

    Parameters
    ----------
    fields
        What to write; lazy patterns are streamed.
    path
        The file; its suffix chooses the format unless ``format`` names one.
    format
        Name of a format that can be written.

    Returns
    -------
    names
        Fields present in the scan that the format cannot hold.

    Raises
    ------
    UnsupportedFormatError
        If no format of this name or suffix can be written.
    """
    chosen = writer_for(path, format=format)
    assert chosen.write is not None
    return chosen.write(fields, Path(path))


def writer_for(path: str | Path, *, format: str | None = None) -> Format:
    """Return the format that a name would be written in, without writing.

    Parameters
    ----------
    path, format
        As in `write_fields`.

    Raises
    ------
    UnsupportedFormatError
        If no format of this name or suffix can be written.

    Examples
    --------
    >>> writer_for("a_dp.h5").name, writer_for("a.h5").holds_patterns
    ('PtychoViT pair', False)
    """
    path = Path(path)
    writable = [known for known in FORMATS if known.write is not None]
    name = path.name.lower()
    fitting = [(len(ending), known) for known in writable for ending in known.suffixes if name.endswith(ending)]
    chosen = [known for known in writable if format is not None and known.name.casefold() == format.casefold()]
    if format is None:
        chosen = [known for length, known in fitting if length == max(length for length, _ in fitting)]
    if chosen:
        return chosen[0]
    wanted = f"format {format!r}" if format is not None else f"suffix {path.suffix!r}"
    choices = "; ".join(f"{known.name!r} ({' '.join(known.suffixes)})" for known in writable)
    raise UnsupportedFormatError(f"no writer for {wanted}. Writable: {choices}.", path=path)
