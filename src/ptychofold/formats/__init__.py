"""Scan files: recognised by content, read into `ScanFields`, written atomically.

A format is one module with a module-level ``FORMAT``; it becomes known by its line in `FORMATS`.
"""

from pathlib import Path

from ptychofold.errors import UnsupportedFormatError
from ptychofold.formats import npz, ptychodus_diffraction, ptychodus_product, ptychodus_training
from ptychofold.formats.base import Format, check_file
from ptychofold.formats.describe import describe_content
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.pairing import with_patterns

__all__ = ["FORMATS", "Format", "ScanFields", "identify", "read_fields", "write_fields"]

FORMATS: tuple[Format, ...] = (
    npz.FORMAT,
    ptychodus_training.FORMAT,
    ptychodus_product.FORMAT,
    ptychodus_diffraction.FORMAT,
)


def identify(path: str | Path) -> tuple[Format, str]:
    """Recognise a file by its content.

    Returns
    -------
    format, reason
        The first format that knows the file, and why it does.

    Raises
    ------
    FormatError
        If there is no such file, or it is damaged.
    UnsupportedFormatError
        If no format knows it; the message lists what is supported and what the file looks like.
    """
    path = Path(path)
    check_file(path)
    for known in FORMATS:
        reason = known.sniff(path)
        if reason is not None:
            return known, reason
    supported = "; ".join(f"{known.name} ({known.description})" for known in FORMATS)
    raise UnsupportedFormatError(
        f"no reader knows this file, which looks like {describe_content(path)}. Supported: {supported}.", path=path
    )


def read_fields(path: str | Path, *, lazy: bool = True, patterns: str | Path | None = None) -> ScanFields:
    """Read what a scan file says.

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

    Raises
    ------
    FormatError
        If a file cannot be read as what it claims to be.
    DataError
        If a required field is missing, or the two files do not belong together.
    """
    path = Path(path)
    found = identify(path)[0].read(path, lazy=lazy)
    if patterns is None:
        return found
    patterns = Path(patterns)
    return with_patterns(found, identify(patterns)[0].read(patterns, lazy=lazy))


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
    path = Path(path)
    writable = [known for known in FORMATS if known.write is not None]
    for known in writable:
        if known.write is None:
            continue
        if known.name == format or (format is None and path.suffix.lower() in known.suffixes):
            return known.write(fields, path)
    wanted = f"format {format!r}" if format is not None else f"suffix {path.suffix!r}"
    choices = "; ".join(f"{known.name!r} ({' '.join(known.suffixes)})" for known in writable)
    raise UnsupportedFormatError(f"no writer for {wanted}. Writable: {choices}.", path=path)
