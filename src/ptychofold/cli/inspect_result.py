"""What ``ptychofold inspect`` shows of a file that has an object and no patterns, such as a Ptychodus product."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from ptychofold.cli.common import new_table, optics_facts, pixels, plain, show

if TYPE_CHECKING:
    import numpy as np

    from ptychofold.formats import ScanFields

__all__ = ["show_result"]


def show_result(found: "ScanFields", *, as_json: bool) -> None:
    """Print what a result holds, as tables or as one JSON object."""
    if as_json:
        typer.echo(json.dumps(_facts(found), ensure_ascii=False))
        return
    name = "result" if found.path is None else found.path.name
    table = new_table("field", "shape", "dtype", "content", title=plain(name))
    for field, (array, content) in _arrays(found).items():
        table.add_row(f"[bold]{field}[/]", " × ".join(map(str, array.shape)), str(array.dtype), content)
    facts = new_table("quantity", "value")
    for quantity_, value in _said(found).items():
        facts.add_row(quantity_, plain(value))
    show(table, "", facts)


def _arrays(found: "ScanFields") -> "dict[str, tuple[np.ndarray, str]]":
    arrays = {
        "positions": (found.positions, "(y, x) of the probe, object pixels"),
        "probe": (found.probe, "mode, row, column"),
        "object": (found.object, "complex transmission"),
    }
    return {name: (array, content) for name, (array, content) in arrays.items() if array is not None}


def _said(found: "ScanFields") -> dict[str, str]:
    """Return what the result is, for people, by name."""
    import numpy as np

    from ptychofold.coverage import probe_diameter

    size = found.metadata.pixel_size_m
    width = None if size is None else size[1]
    said = {
        "format": " · ".join(filter(None, (found.format, found.format_reason))),
        "patterns": "none: a result; --patterns FILE joins it with those of its scan",
        **optics_facts(found.metadata),
    }
    if found.probe is not None:
        probe = np.asarray(found.probe, np.complex64)
        said["probe d90"] = pixels(probe_diameter(probe.reshape(-1, *probe.shape[-2:])), width)
    how = _reconstruction(found)
    if isinstance(how.get("r_factor"), float):
        said["R of all patterns"] = f"{how['r_factor']:.4f}"
    if isinstance(losses := how.get("losses"), list) and losses:
        said["epochs"] = f"{len(losses)}, loss {losses[0]:.4g} to {losses[-1]:.4g}"
    return said


def _facts(found: "ScanFields") -> dict[str, object]:
    return {
        "path": str(found.path),
        "format": found.format,
        "format_reason": found.format_reason,
        "patterns_access": None,
        "wavelength_m": found.metadata.wavelength_m,
        "pixel_size_m": found.metadata.pixel_size_m,
        "fields": [
            {"name": name, "shape": array.shape, "dtype": str(array.dtype)}
            for name, (array, _) in _arrays(found).items()
        ],
        "reconstruction": dict(_reconstruction(found)) or None,
    }


def _reconstruction(found: "ScanFields") -> Mapping[str, object]:
    said = found.metadata.extra.get("reconstruction")
    return said if isinstance(said, Mapping) else {}
