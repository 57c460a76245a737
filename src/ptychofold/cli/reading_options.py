"""The options that complete a scan file, the same for every command that takes them: one table."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from ptychofold.cli.common import is_store
from ptychofold.errors import ConfigError

__all__ = ["with_reading_options"]

BEAM = "What the file lacks: beam and distances"
FILES = "What the file lacks: other files"


class _Option(NamedTuple):
    """One option and the setting of `ReadingConfig` that it becomes."""

    flag: str
    setting: str
    type: type
    help: str
    panel: str = BEAM


OPTIONS = (
    _Option("--energy-ev", "energy_ev", float, "Energy of a photon or electron, in eV."),
    _Option("--wavelength-m", "wavelength_m", float, "Wavelength, in metres."),
    _Option("--electrons", "particle", bool, "The beam is of electrons."),
    _Option("--distance-m", "distance_m", float, "Distance from sample to detector, in metres."),
    _Option("--distance-from", "distance_from", str, "Where --distance-m counts from: sample (if not given) or focus."),
    _Option("--focus-m", "focus_m", float, "Near field: distance from the focus down to the sample, in metres."),
    _Option(
        "--defocus-m",
        "defocus_m",
        float,
        "Far field: the same distance, in metres, for an estimated probe.",
    ),
    _Option("--near-field", "propagation", bool, "The scan is near field; without --focus-m, in a parallel beam."),
    _Option("--detector-pixel-m", "detector_pixel_m", float, "Side of a detector pixel, in metres."),
    _Option("--pixel-size-m", "pixel_size_m", float, "Side of an object pixel, in metres."),
    _Option("--probe", "probe", str, "Scan file, store or NPY that holds the probe, or the word estimate.", FILES),
    _Option("--positions", "positions", Path, "Table of two columns (CSV, TXT), or a scan file.", FILES),
    _Option(
        "--frame",
        "frame",
        str,
        "What the table means: unit=um,axes=xy,y=up,x=right,moves=sample.",
        FILES,
    ),
    _Option("--patterns", "patterns", Path, "File that holds the patterns, where FILE (a product) has none.", FILES),
    _Option("--bad-pixels", "bad_pixels", Path, "NPY mask, not 0 where the detector is bad.", FILES),
    _Option("--recipe", "recipe", Path, "TOML recipe that says where an HDF5 file keeps what.", FILES),
    _Option("--read-as", "format", str, "Name of the format to read as.", FILES),
    _Option("--reader", "reader", str, "Name of a Ptychodus diffraction reader.", FILES),
    _Option("--positions-reader", "positions_reader", str, "Name of a Ptychodus position reader.", FILES),
)
WORDS = {"particle": "electron", "propagation": "near_field"}
"""What a flag without a value stands for."""


def with_reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of the table that it has not itself; they reach it as its keyword ``reading``."""
    own = [found for name, found in inspect.signature(command).parameters.items() if name != "reading"]
    options = [option for option in OPTIONS if _name(option) not in {found.name for found in own}]

    @functools.wraps(command)
    def run(**arguments: object) -> None:
        from ptychofold.config import ReadingConfig

        given = {option.setting: arguments.pop(_name(option)) for option in options}
        stated = {name: _value(name, value) for name, value in given.items() if value not in (None, False)}
        command(**arguments, reading=ReadingConfig.from_mapping(stated))

    added = [
        inspect.Parameter(_name(option), inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(option))
        for option in options
    ]
    parameters = [found.replace(kind=inspect.Parameter.KEYWORD_ONLY) for found in own] + added
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {found.name: found.annotation for found in parameters}
    return run


def _name(option: _Option) -> str:
    return option.flag.removeprefix("--").replace("-", "_")


def _annotation(option: _Option) -> object:
    flags = typer.Option(option.flag, help=option.help, rich_help_panel=option.panel)
    return Annotated[option.type | None, flags]


def _value(setting: str, value: object) -> object:
    if setting in WORDS:
        return WORDS[setting]
    if setting in {"detector_pixel_m", "pixel_size_m"}:
        return (value, value)
    if setting == "probe" and is_store(Path(str(value))):
        return Path(str(value)) / "probe.npy"
    return _frame(str(value)) if setting == "frame" else value


def _frame(text: str) -> dict[str, str]:
    """Return ``unit=um,axes=xy`` as settings of a `PositionFrame`.

    Examples
    --------
    >>> _frame("unit=um, axes=xy")
    {'unit': 'um', 'axes': 'xy'}
    """
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(equals for _, equals, _ in pairs):
        raise ConfigError(f"expected --frame as unit=um,axes=xy,y=up,x=right,moves=sample; found {text!r}.")
    return {name.strip(): value.strip() for name, _, value in pairs}
