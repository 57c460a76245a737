"""The command ``ptychofold``: its options, its subcommands, and how errors end it.

Exit codes: 0 well done, 2 wrong usage or settings, 3 bad data, 4 failed run, 130 interrupted.
"""

import logging
import traceback
from typing import Annotated, Protocol

import typer
from typer.core import TyperGroup

from ptychofold.cli import (
    bench,
    convert,
    demo,
    doctor,
    evaluate,
    group,
    ingest,
    inspect_,
    plot,
    predict,
    preprocess,
    reconstruct,
    report,
    simulate,
    train,
    verify,
)
from ptychofold.errors import ConfigError, DependencyError, DivergenceError, PtychoError

__all__ = ["app", "run"]

BAD_USAGE, BAD_DATA, FAILED_RUN, INTERRUPTED = 2, 3, 4, 130


class _Invocation(Protocol):
    """What is used of the context of a call, whose class differs among versions of typer."""

    params: dict[str, object]


class _Commands(TyperGroup):
    """The subcommands; an error of ours becomes one line and an exit code."""

    def invoke(self, ctx: _Invocation) -> object:
        try:
            return super().invoke(ctx)  # type: ignore[arg-type]
        except KeyboardInterrupt:
            typer.echo("ptychofold: interrupted.", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            raise
        except (PtychoError, OSError, MemoryError) as error:
            if ctx.params.get("debug"):
                typer.echo("".join(traceback.format_exception(error)), err=True)
            message = " ".join(str(error).split()) or type(error).__name__
            typer.echo(f"{typer.style('ptychofold: error:', fg='red', bold=True)} {message}", err=True)
            raise typer.Exit(exit_code(error)) from None


def exit_code(error: BaseException) -> int:
    """Return the exit code that an error ends the command with.

    Examples
    --------
    >>> exit_code(ConfigError("unknown setting"))
    2
    """
    match error:
        case ConfigError():
            return BAD_USAGE
        case DivergenceError() | DependencyError():
            return FAILED_RUN
        case PtychoError():
            return BAD_DATA
        case _:
            return FAILED_RUN


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("inspect")(inspect_.inspect)
app.command("doctor")(doctor.doctor)
app.command("group")(group.group)
app.command("plot")(plot.plot)
app.command("demo")(demo.demo)
app.command("preprocess")(preprocess.preprocess)
app.command("ingest")(ingest.ingest)
app.command("convert")(convert.convert)
app.command("verify")(verify.verify)
app.command("bench")(bench.bench)
app.command("train")(train.train)
app.command("predict")(predict.predict)
app.command("reconstruct")(reconstruct.reconstruct)
app.command("evaluate")(evaluate.evaluate)
app.command("report")(report.report)
app.command("simulate")(simulate.simulate)


def _show_version(wanted: bool) -> bool:
    if wanted:
        from ptychofold import __version__

        typer.echo(f"ptychofold {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def main(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log each stage to the error stream.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """From a measured ptychography scan to training-ready PyTorch batches."""
    if not (tifffile := logging.getLogger("tifffile")).handlers:
        tifffile.addHandler(logging.NullHandler())  # what it says of a damaged file is in the error, once
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", force=True)


def run() -> None:
    """Run the command with the arguments of the process; the entry point of the package."""
    app()
