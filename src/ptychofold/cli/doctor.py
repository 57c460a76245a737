"""``ptychofold doctor``: is the scan good enough, and what to do where it is not."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ptychofold.cli.common import (
    GridOption,
    JsonOption,
    MeasurementChoice,
    MeasurementOption,
    NeighborsOption,
    ScanArgument,
    is_store,
    neighbors_for,
    new_table,
    open_scan,
    plain,
    progress,
    show,
)
from ptychofold.cli.reading_options import with_reading_options

if TYPE_CHECKING:
    from ptychofold.config import ReadingConfig
    from ptychofold.diagnosis import Diagnosis

__all__ = ["doctor", "show_diagnosis"]

EXIT_CODES = {"go": 0, "untried": 1, "fix": 1, "no-go": 3}
"""How the command ends; 3 is that of bad data everywhere."""
COLOURS = {"go": "green", "unknown": "dim", "untried": "yellow", "fix": "yellow", "no-go": "red bold"}
VERDICTS = {
    "go": "go: nothing speaks against a reconstruction",
    "untried": "untried: nothing speaks against a reconstruction so far, but no trial reconstructions were made",
    "fix": "fix: mend the lines above first; a reconstruction would suffer",
    "no-go": "no-go: a reconstruction would be wrong",
}


@with_reading_options
def doctor(
    file: ScanArgument,
    *,
    as_json: JsonOption = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="No trial reconstructions: orientation and distance stay unknown; no go.")
    ] = False,
    gridsize: GridOption = 2,
    neighbors: NeighborsOption = None,
    measurement: MeasurementOption = MeasurementChoice.auto,
    reading: "ReadingConfig",
) -> None:
    """Examine the scan FILE and say go, fix or no-go, with the fix for each line.

    Exit codes: 0 go, 1 something to fix or to try, 3 no-go.
    """
    from ptychofold.config import GroupingConfig
    from ptychofold.reconstruction.doctor import examine, examine_file

    stages = 2 if quick else 4
    grouping = GroupingConfig(grid=(gridsize, gridsize), n_neighbors=neighbors_for(gridsize, neighbors), seed=0)
    with progress("examining", total=stages) as advance:

        def on_stage(_stage: str) -> None:
            advance(1)

        if is_store(file):
            scan = open_scan(file, measurement, reading=reading)
            diagnosis = examine(scan, grouping=grouping, trials=not quick, on_stage=on_stage)
        else:
            diagnosis = examine_file(
                file,
                measurement=measurement.value,
                reading=reading,
                grouping=grouping,
                trials=not quick,
                on_stage=on_stage,
            )
    if as_json:
        content = {"path": str(file), "verdict": diagnosis.verdict, **asdict(diagnosis)}
        typer.echo(json.dumps(content, ensure_ascii=False))
    else:
        show_diagnosis(diagnosis, title=file.name)
    raise typer.Exit(EXIT_CODES[diagnosis.verdict])


def show_diagnosis(diagnosis: "Diagnosis", *, title: str) -> None:
    """Print the findings as a table, then the verdict."""
    table = new_table("looked at", "level", "found", "what to do", title=plain(title))
    for finding in diagnosis.findings:
        level = f"[{COLOURS[finding.level]}]{finding.level}[/]"
        table.add_row(f"[bold]{finding.subject}[/]", level, plain(finding.says), plain(finding.fix or ""))
    verdict = diagnosis.verdict
    show(table, "", f"[{COLOURS[verdict]}]{VERDICTS[verdict]}[/]")
