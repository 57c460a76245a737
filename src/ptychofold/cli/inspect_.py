"""``ptychofold inspect``: what a scan file holds and what looks wrong."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from ptychofold.cli.common import (
    JsonOption,
    MeasurementChoice,
    MeasurementOption,
    PatternsOption,
    ScanArgument,
    counted,
    is_store,
    new_table,
    open_scan,
    optics_facts,
    pixels,
    plain,
    progress,
    quantity,
    show,
    summarise,
)
from ptychofold.cli.inspect_result import show_result
from ptychofold.cli.reading_options import with_reading_options
from ptychofold.errors import ConfigError, FormatError, PtychoError

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from ptychofold.config import ReadingConfig
    from ptychofold.raw_data import RawData
    from ptychofold.survey import Survey
    from ptychofold.typing import ArraySource

__all__ = ["inspect", "scan_facts", "show_scan"]

NO_NEIGHBOR = "none: there is one scan point"


@with_reading_options
def inspect(
    file: ScanArgument,
    *,
    measurement: MeasurementOption = MeasurementChoice.auto,
    patterns: PatternsOption = None,
    as_json: JsonOption = False,
    reading: "ReadingConfig",
) -> None:
    """Show what a FILE holds: units, dose, overlap, coverage, what looks wrong; or a line a scan of a folder."""
    from ptychofold.formats import is_frame_folder, read_fields

    if file.is_dir() and not is_store(file) and not is_frame_folder(file):
        if patterns is not None:
            raise ConfigError(
                "expected one scan file with --patterns; found a directory. Inspect its files one by one."
            )
        _inspect_directory(file, measurement, reading, as_json=as_json)
        return
    from ptychofold.raw_data import RawData
    from ptychofold.survey import survey

    if is_store(file):
        scan = open_scan(file, measurement, patterns=patterns, reading=reading)
    else:
        said = read_fields(file, patterns=patterns, reading=reading, measurement=measurement.value)
        if said.patterns is None and said.object is not None:
            show_result(said, as_json=as_json)
            return
        scan = RawData.from_fields(said, measurement=measurement.value)
    found = survey(scan, summarise(scan))
    if as_json:
        typer.echo(json.dumps(_facts(scan, found), ensure_ascii=False))
    else:
        show_scan(scan, found)


def show_scan(scan: "RawData", found: "Survey") -> None:
    """Print the tables of one scan, then its warnings."""
    show(_field_table(scan), "", _fact_table(scan, found))
    if found.warnings:
        show("", *(f"[yellow bold]warning:[/] {plain(warning)}" for warning in found.warnings))


class _Field(NamedTuple):
    name: str
    shape: tuple[int, ...]
    dtype: str
    content: str


def _fields(scan: "RawData") -> list[_Field]:
    """List the fields that the scan holds, with what each one is."""
    bad = scan.bad_pixels
    nominal = None if (scan.positions_nominal == scan.positions).all() else scan.positions_nominal
    found: list[tuple[str, ArraySource | np.ndarray | None, str]] = [
        ("patterns", scan.patterns, f"{scan.measurement}; {scan.patterns.access}"),
        ("positions", scan.positions, "(y, x) of the probe, object pixels"),
        ("positions_nominal", nominal, "commanded, before correction"),
        ("probe", scan.probe, counted(len(scan.probe), "mode")),
        ("object", scan.object, "complex transmission"),
        ("patches", scan.patches, "ground truth of each pattern"),
        ("scan_index", scan.scan_index, counted(len(set(scan.scan_index.tolist())), "measurement")),
        ("bad_pixels", bad, "" if bad is None else f"{int(bad.sum())} bad"),
    ]
    return [
        _Field(name, tuple(array.shape), str(array.dtype), content)
        for name, array, content in found
        if array is not None
    ]


def _field_table(scan: "RawData") -> "Table":
    name = scan.metadata.extra.get("name")
    heading = Path(scan.metadata.source or "scan").name + (f" · {name}" if isinstance(name, str) else "")
    table = new_table("field", "shape", "dtype", "content", title=plain(heading))
    for field in _fields(scan):
        shape = " × ".join(str(n) for n in field.shape)
        table.add_row(f"[bold]{field.name}[/]", shape, field.dtype, plain(field.content))
    return table


def scan_facts(scan: "RawData", found: "Survey") -> dict[str, str]:
    """Return what a scan is, for people, by name."""
    known, size = scan.metadata, scan.metadata.pixel_size_m
    width = None if size is None else size[1]
    low, high = found.dose_range
    facts = {
        "format": " · ".join(filter(None, (known.format or "unknown", known.format_reason))),
        "measurement": f"{scan.measurement} ({known.measurement_reason})",
        **optics_facts(known),
        "dose": f"{quantity(found.dose_median)} a pattern (median; {quantity(low)} to {quantity(high)})",
        "largest value": quantity(found.largest),
        "photons recorded": "none" if known.n_photons is None else f"{quantity(known.n_photons)} a pattern",
        "probe d90": pixels(found.probe_diameter, width),
        "step": NO_NEIGHBOR if found.step is None else f"{pixels(found.step, width)} to the nearest neighbor (median)",
        "overlap": NO_NEIGHBOR if found.overlap is None else f"{found.overlap:.0%} of d90",
        "field": f"{pixels(found.extent[0], width)} high, {pixels(found.extent[1], width)} wide",
        "coverage": "too large to map"
        if found.covered is None
        else f"{found.covered:.0%} of the field, {quantity(found.probes_per_pixel or 0)} probes over a pixel (median)",
    }
    if len(scan.probe) > 1:
        facts["mode powers"] = ", ".join(f"{share:.1%}" for share in found.mode_powers)
    return facts


def _fact_table(scan: "RawData", found: "Survey") -> "Table":
    table = new_table("quantity", "value")
    for name, value in scan_facts(scan, found).items():
        table.add_row(name, plain(value))
    return table


def _facts(scan: "RawData", found: "Survey") -> dict[str, object]:
    """Return everything that the tables show, as JSON values; lengths in object pixels unless named otherwise."""
    from dataclasses import asdict

    known = scan.metadata
    return {
        "path": known.source,
        "format": known.format,
        "format_reason": known.format_reason,
        "n_scan": len(scan),
        "N": scan.N,
        "measurement": scan.measurement,
        "measurement_reason": known.measurement_reason,
        "patterns_access": scan.patterns.access,
        "wavelength_m": known.wavelength_m,
        "pixel_size_m": known.pixel_size_m,
        "n_photons": known.n_photons,
        "history": [dict(step) for step in known.history],
        "fields": [{"name": f.name, "shape": f.shape, "dtype": f.dtype} for f in _fields(scan)],
        **asdict(found),
    }


def _inspect_directory(
    folder: Path, measurement: MeasurementChoice, reading: "ReadingConfig", *, as_json: bool
) -> None:
    """Show one line a file, in the order of names; files that are no scans are named, and end in exit code 3."""
    from ptychofold.survey import survey

    files = sorted(
        p for p in folder.iterdir() if (p.is_file() or is_store(p)) and p.name[0] != "." and p.suffix != ".partial"
    )
    if not files:
        raise FormatError("expected at least one scan file in the directory; found none.", path=folder)
    scans: list[tuple[dict[str, object], Survey]] = []
    failures: dict[str, str] = {}
    with progress("inspecting scans", total=len(files)) as advance:
        for file in files:
            try:
                scan = open_scan(file, measurement, reading=None if is_store(file) else reading)
                found = survey(scan)
                scans.append((_facts(scan, found), found))
            except PtychoError as error:
                failures[file.name] = str(error).removeprefix(f"{file}: ").split(". ")[0]
            advance(1)
    if as_json:
        facts = [of_scan for of_scan, _ in scans]
        typer.echo(json.dumps({"directory": str(folder), "scans": facts, "failures": failures}, ensure_ascii=False))
    else:
        _show_directory(folder, scans, failures)
    if failures:
        raise FormatError(f"{counted(len(failures), 'file')} of {len(files)} cannot be read as a scan.", path=folder)


def _show_directory(
    folder: Path, scans: "Sequence[tuple[Mapping[str, object], Survey]]", failures: Mapping[str, str]
) -> None:
    numbers = ("patterns", "N", "dose", "d90", "step", "overlap", "warnings")
    table = new_table("scan", "measurement", *numbers, title=plain(str(folder)), numbers=numbers)
    for facts, found in scans:
        values = (found.dose_median, found.probe_diameter, found.step)
        table.add_row(
            f"[bold]{plain(Path(str(facts['path'])).name)}[/]",
            *(str(facts[name]) for name in ("measurement", "n_scan", "N")),
            *("–" if value is None else quantity(value) for value in values),
            "–" if found.overlap is None else f"{found.overlap:.0%}",
            str(len(found.warnings)),
        )
    show(table, *(f"[red bold]{plain(name)}[/]: {plain(why)}" for name, why in failures.items()))
