"""``ptychofold report``: one HTML page of a scan, a store, a result or a training run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptychofold.cli.common import (
    MeasurementChoice,
    MeasurementOption,
    PatternsOption,
    is_store,
    keep_inputs,
    open_scan,
    plain,
    progress,
    show,
    summarise,
)
from ptychofold.cli.inspect_ import scan_facts
from ptychofold.cli.reading_options import with_reading_options
from ptychofold.errors import ConfigError, MissingFieldError

if TYPE_CHECKING:
    from ptychofold.config import ReadingConfig
    from ptychofold.formats import ScanFields
    from ptychofold.plotting import Picture
    from ptychofold.plotting.page import Section
    from ptychofold.raw_data import RawData
    from ptychofold.reconstruction.run import RunConfig
    from ptychofold.survey import PatternSummary

__all__ = ["report", "scan_page", "write_report"]


@with_reading_options
def report(
    file: Annotated[Path, typer.Argument(metavar="FILE|STORE|RUN", help="A scan, a result, a store, or a run's DIR.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="HTML", help="The page.")] = Path("report.html"),
    patterns: PatternsOption = None,
    measurement: MeasurementOption = MeasurementChoice.auto,
    reading: "ReadingConfig",
) -> None:
    """Write one self-contained page: facts, doctor, interactive scan map, patterns, probe, coverage, results.

    It loads nothing from a network. Of a training run it shows the losses, and what the network makes of its scan; of
    one that has not ended, what there is so far.
    """
    if output.suffix.lower() not in {".html", ".htm"}:
        raise ConfigError(f"expected a page that ends in .html; found {output}.")
    keep_inputs(output, file, patterns, reading=reading)
    from ptychofold.formats import is_frame_folder, read_fields

    if file.is_dir() and not is_store(file) and not is_frame_folder(file):
        if patterns is not None or reading != type(reading)() or measurement is not MeasurementChoice.auto:
            raise ConfigError(f"{file}: expected no options that complete a scan file with a run. Leave them out.")
        sections, title = run_page(file)
    elif is_store(file):
        scan = open_scan(file, measurement, patterns=patterns, reading=reading)
        sections, title = scan_page(scan, summarise(scan)), file.name
    else:
        found = read_fields(file, patterns=patterns, reading=reading, measurement=measurement.value)
        sections, title = _file_page(found, measurement, name=file.name), file.name
    write_report(sections, output, title=title)
    show(f"wrote {plain(output)}")


def write_report(sections: "Sequence[Section]", output: Path, *, title: str, subtitle: str = "") -> None:
    """Write the sections as one page."""
    from ptychofold.plotting.page import page, save_page

    save_page(page(title, sections, subtitle=subtitle), output)


def scan_page(
    scan: "RawData", summary: "PatternSummary", *, stages: "Sequence[tuple[str, Picture]]" = ()
) -> "list[Section]":
    """Return the sections of a scan, and of its object if it has one or of the stages that led to one."""
    from ptychofold.plotting import Picture
    from ptychofold.plotting.html_report import result_sections, scan_sections
    from ptychofold.reconstruction.doctor import examine
    from ptychofold.survey import survey

    with progress("drawing the report", total=None):
        facts = scan_facts(scan, survey(scan, summary))
        sections = scan_sections(scan, summary, facts, diagnosis=examine(scan, trials=False))
        picture = stages[-1][1] if stages else Picture.of_fields(scan.to_fields())
        if picture is not None:
            name = stages[-1][0] if stages else "Object of the file"
            sections += result_sections(picture, stages=stages, name=name)
    return sections


def run_page(folder: Path) -> "tuple[list[Section], str]":
    """Return the sections of a training run: losses, what the network makes of its first scan, and that scan.

    A run that has not ended has no network yet, and says so.
    """
    from ptychofold.cli.predict import how_to_end
    from ptychofold.plotting.html_report import losses_section
    from ptychofold.plotting.page import Section, facts_table
    from ptychofold.reconstruction.run import RUN_FILE, RunConfig, read_history
    from ptychofold.reconstruction.run_folder import MODEL_FILE

    if not (folder / RUN_FILE).is_file():
        raise MissingFieldError(
            f"expected a store or a training run, which has {RUN_FILE}; found neither. Name a scan file in it.",
            path=folder,
            field="run",
        )
    run = RunConfig.from_file(folder / RUN_FILE)
    history, ended = read_history(folder), (folder / MODEL_FILE).is_file()
    n_done = max(map(len, history.values()), default=0)
    scan = open_scan(run.scans[0], MeasurementChoice(run.measurement), reading=run.reading)
    more, stages = _network(folder / MODEL_FILE, run, scan) if ended else ({}, [])
    facts = {
        **(
            {} if ended else {"state": f"unfinished: {n_done} of {run.training.epochs} epochs have ended, no model yet"}
        ),
        "network": f"{run.model.architecture}, {run.model.size}",
        "grid": " × ".join(map(str, run.grouping.grid)),
        "epochs": str(run.training.epochs),
        "loss": f"{run.training.loss}, {run.training.mode}",
        **{name.replace("_", " "): f"{values[-1]:.5g}" for name, values in history.items()},
        "scan": ", ".join(path.name for path in run.scans),
        **more,
    }
    note = "" if ended else f"{how_to_end(folder)}."
    sections = [Section(title="Training run", body=facts_table(facts), note=note)]
    if history:
        sections.append(losses_section(history, heading="Training losses"))
    title = f"Run {folder.absolute().name}" + ("" if ended else ", unfinished")
    return [*sections, *scan_page(scan, summarise(scan), stages=stages)], title


def _network(model_file: Path, run: "RunConfig", scan: "RawData") -> "tuple[dict[str, str], list[tuple[str, Picture]]]":
    """Return facts of a trained network, and what it makes of the first scan of its run."""
    from ptychofold.cli.predict import positions_line
    from ptychofold.plotting import Picture
    from ptychofold.reconstruction import load_checkpoint, predict_object

    model = load_checkpoint(model_file)
    note = positions_line(model, scan)
    with progress("predicting", total=None):
        result = predict_object(model, scan, geometry=run.geometry)
    name = "Network, stitched" + (f": {run.scans[0].name}" if len(run.scans) > 1 else "")
    return {} if note is None else {"positions": note.removeprefix("positions ")}, [(name, Picture.of(result))]


def _file_page(found: "ScanFields", measurement: MeasurementChoice, *, name: str) -> "list[Section]":
    """Return the sections of a scan, or those of a file that has an object and no patterns, such as a product."""
    from ptychofold.plotting import Picture
    from ptychofold.raw_data import RawData

    picture = Picture.of_fields(found) if found.patterns is None else None
    if picture is not None:
        from ptychofold.plotting.html_report import result_sections

        return result_sections(picture, name=name)
    scan = RawData.from_fields(found, measurement=measurement.value)
    return scan_page(scan, summarise(scan))
