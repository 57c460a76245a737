"""What the commands share: streams, options, opening a scan, progress bars, tables and numbers for people."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ptychofold.atomic import check_place
from ptychofold.errors import ConfigError

if TYPE_CHECKING:
    from ptychofold.config import ReadingConfig
    from ptychofold.metadata import Metadata
    from ptychofold.raw_data import RawData
    from ptychofold.survey import PatternSummary

__all__ = [
    "DeviceOption",
    "GridOption",
    "JsonOption",
    "MeasurementChoice",
    "MeasurementOption",
    "NeighborsOption",
    "PatternsOption",
    "ScanArgument",
    "check_folder",
    "check_scan_output",
    "counted",
    "is_store",
    "keep_inputs",
    "neighbors_for",
    "new_table",
    "open_scan",
    "optics_facts",
    "pixels",
    "plain",
    "progress",
    "progress_of",
    "quantity",
    "show",
    "stopwatch",
    "summarise",
]

Advance = Callable[[int], None]

STEPS = 1000
"""Steps of a bar whose work reports its own progress."""

WIDTH = 120
"""Columns of tables that go to a file or a pipe."""


class MeasurementChoice(StrEnum):
    """What the user says that the patterns are."""

    auto = "auto"
    amplitude = "amplitude"
    intensity = "intensity"


ScanArgument = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="A scan file, a store or a folder of TIFF frames; told by its content."),
]
MeasurementOption = Annotated[
    MeasurementChoice,
    typer.Option("--measurement", "-m", help="What the patterns' numbers are; auto decides from the file."),
]
PatternsOption = Annotated[
    Path | None,
    typer.Option("--patterns", metavar="FILE", help="File that holds the patterns, where FILE (a product) has none."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
GridOption = Annotated[
    int, typer.Option("--gridsize", "-g", min=1, help="Side of the grid of a group: C = gridsize² members.")
]
NeighborsOption = Annotated[
    int | None,
    typer.Option("--neighbors", "-k", min=1, help="K, nearest neighbors to draw from; 7, or C if that is more."),
]

DeviceOption = Annotated[
    str, typer.Option("--device", help="Where to compute: cpu, cuda, cuda:1 …; auto takes a GPU if there is one.")
]


def show(*renderables: object) -> None:
    """Write tables, or text with markup, to the output stream; a pipe or file gets wide tables."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    for renderable in renderables:
        console.print(renderable, soft_wrap=isinstance(renderable, str))


def open_scan(
    path: Path,
    measurement: MeasurementChoice = MeasurementChoice.auto,
    *,
    lazy: bool = True,
    patterns: Path | None = None,
    reading: "ReadingConfig | None" = None,
) -> "RawData":
    """Open a store; or read and check a scan file, with the patterns of a second one if it has none, completed."""
    from ptychofold.raw_data import RawData

    if is_store(path):
        completed = patterns is not None or (reading is not None and reading != type(reading)())
        return _open_store(path, measurement, completed=completed)
    return RawData.from_file(path, measurement=measurement.value, lazy=lazy, patterns=patterns, reading=reading)


def is_store(path: Path) -> bool:
    """Whether a directory is a store."""
    from ptychofold.formats.base import is_store

    return is_store(path)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "mode"), counted(2, "mode")
    ('1 mode', '2 modes')
    """
    return f"{number} {noun}" + ("" if number == 1 else "s")


def optics_facts(known: "Metadata") -> dict[str, str]:
    """Return wavelength and object pixel, for people, by name."""
    size = known.pixel_size_m
    return {
        "wavelength": "unknown" if known.wavelength_m is None else quantity(known.wavelength_m, "m"),
        "object pixel": "unknown" if size is None else " × ".join(quantity(side * 1e9, "nm") for side in size),
    }


def neighbors_for(gridsize: int, asked: int | None) -> int:
    """Return how many neighbors to draw groups from: as many as asked for, else enough for the grid.

    Examples
    --------
    >>> neighbors_for(2, None), neighbors_for(3, None), neighbors_for(2, 5)
    (7, 9, 5)
    """
    return max(7, gridsize**2) if asked is None else asked


def keep_inputs(output: Path, *inputs: Path | str | None, reading: "ReadingConfig | None" = None) -> None:
    """Refuse, before any work, to write over what the command reads, or where nothing can be written.

    Parameters
    ----------
    output
        The file or directory that will be written.
    inputs
        What is read; None and words that name no file are passed over.
    reading
        The options that complete a scan file, which may name others.

    Raises
    ------
    ConfigError
        If the output is one of them, by whatever name or link.
    FormatError
        If what should be its directory is a file, or may not be written to.
    """
    from ptychofold.config.reading import COMPANIONS

    check_place(output)
    companions = () if reading is None else tuple(getattr(reading, name) for name in COMPANIONS)
    if not output.exists():
        return
    for read in (*inputs, *companions):
        if read is not None and Path(read).exists() and output.samefile(read):
            raise ConfigError(f"expected an output other than what is read; found {output} for both. Name another.")


def check_scan_output(output: Path) -> None:
    """Refuse, before any work, a file that would not hold the patterns of a scan; a directory is a store's.

    Raises
    ------
    ConfigError
        If its format holds none.
    UnsupportedFormatError
        If no format of this ending can be written.
    """
    from ptychofold.formats import writer_for

    if output.suffix and not writer_for(output).holds_patterns:
        raise ConfigError(
            f"expected an output that holds patterns; {output} would be a {writer_for(output).name}, which holds none. "
            "Name an .npz, .cxi or .nxs file, or the directory of a store."
        )


def check_folder(path: Path, *, purpose: str) -> None:
    """Refuse a file where a directory is to be written."""
    if path.exists() and not path.is_dir():
        raise ConfigError(f"expected a directory for {purpose}; {path} is a file. Name another.")


def _open_store(path: Path, measurement: MeasurementChoice, *, completed: bool) -> "RawData":
    from ptychofold.data.store import PatternStore

    scan = PatternStore.open(path).scan
    if completed or measurement.value not in ("auto", scan.measurement):
        raise ConfigError(
            f"{path}: expected no options that complete a scan file, as a store is whole; its patterns are "
            f"{scan.measurement}. Leave them out, or ingest the scan again with them into another store."
        )
    return scan


def summarise(scan: "RawData") -> "PatternSummary":
    """Read every pattern once, under a progress bar."""
    from ptychofold.survey import summarise_patterns

    with progress("reading patterns", total=len(scan)) as advance:
        return summarise_patterns(scan, progress=advance)


@contextmanager
def progress_of(stage: str) -> Iterator[Callable[[int, int], None]]:
    """Draw a progress bar for work that reports how much of how much is done; see `progress`."""
    with progress(stage, total=STEPS) as advance:
        drawn = 0

        def report(done: int, total: int) -> None:
            nonlocal drawn
            steps = STEPS * done // max(1, total)
            advance(steps - drawn)
            drawn = steps

        yield report


@contextmanager
def progress(stage: str, *, total: int | None) -> Iterator[Advance]:
    """Draw a progress bar on the error stream while the block runs, if a person is looking; it vanishes at the end.

    Parameters
    ----------
    stage
        What is going on.
    total
        Steps until the end; None draws a bar that only moves.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=32), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(stage, total=total)
        yield lambda steps: bar.advance(task, steps)


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """Give a function that returns the seconds since the block began, and after its end how long it took."""
    start = time.perf_counter()
    end: list[float] = []
    yield lambda: (end[0] if end else time.perf_counter()) - start
    end.append(time.perf_counter())


def new_table(*columns: str, title: str | None = None, numbers: tuple[str, ...] = ()) -> Table:
    """Return a light table; the columns named in ``numbers`` are aligned to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return table


def plain(text: object) -> str:
    """Keep square brackets in a text from being read as markup.

    Examples
    --------
    >>> plain("scan[1].npz")
    'scan[1].npz'
    """
    return escape(str(text))


def quantity(value: float, unit: str = "") -> str:
    """Write a number with three or four digits, and its unit after a space.

    Examples
    --------
    >>> quantity(461213.0), quantity(1.25e-10, "m"), quantity(73.36, "px")
    ('461,213', '1.25e-10 m', '73.4 px')
    """
    if value == 0:
        text = "0"
    elif 1000 <= abs(value) < 1e7:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.3g}"
    return f"{text} {unit}".rstrip()


def pixels(value: float, pixel_size_m: float | None) -> str:
    """Write a length in pixels, and in nanometres or micrometres if the pixel's size is known.

    Examples
    --------
    >>> pixels(9.04, None), pixels(100.0, 1e-8)
    ('9.04 px', '100 px = 1 µm')
    """
    text = quantity(value, "px")
    if pixel_size_m is None or value == 0:
        return text
    length_nm = 1e9 * value * pixel_size_m
    return f"{text} = " + (quantity(length_nm, "nm") if length_nm < 1000 else quantity(length_nm / 1000, "µm"))
