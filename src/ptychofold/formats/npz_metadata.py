"""The text under ``_metadata`` in a contract NPZ: a JSON object of the legacy schema, with our declaration in it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import numpy as np

from ptychofold.config import ScanGeometry
from ptychofold.errors import DataError
from ptychofold.formats.fields import ScanFields
from ptychofold.metadata import Metadata
from ptychofold.typing import Measurement

__all__ = ["Declaration", "format_metadata", "parse_description", "parse_metadata", "physics_mismatches"]

OWN_KEY = "ptychofold"
LEGACY_KEYS = (
    "schema_version",
    "creation_info",
    "training_parameters",
    "data_transformations",
    "additional_parameters",
)


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What the text declares."""

    measurement: Measurement | None = None
    reason: str | None = None
    metadata: Metadata = field(default_factory=Metadata)


def parse_metadata(text: str | None, *, path: Path) -> Declaration:
    """Read the JSON text; None declares nothing.

    Raises
    ------
    DataError
        If the text is not a JSON object.
    """
    if text is None:
        return Declaration()
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"expected a JSON object as _metadata; found text that is not JSON ({error}). Remove or repair it.",
            path=path,
            field="metadata",
        ) from error
    if not isinstance(content, dict):
        raise DataError(
            f"expected a JSON object as _metadata; found {type(content).__name__}. Remove or repair it.",
            path=path,
            field="metadata",
        )
    own = content.get(OWN_KEY)
    if not isinstance(own, dict):
        physics = content.get("physics_parameters")
        n_photons = _number(physics.get("nphotons")) if isinstance(physics, dict) else None
        return Declaration(metadata=Metadata(n_photons=n_photons, extra=content))
    return _own_declaration(own, path=path)


def parse_description(text: str | None) -> Metadata:
    """Read the JSON text under ``meta_json``, which some exports describe their beam and object pixel in.

    Its near field is that of a parallel beam, over ``effective_distance_m``. Text that is no such description is
    left aside.
    """
    try:
        content = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return Metadata()
    if not isinstance(content, dict):
        return Metadata()
    pixel_m, wavelength_m = _number(content.get("pixel_m")), _number(content.get("wavelength_m"))
    pixel_size_m = (pixel_m, pixel_m) if pixel_m else None
    facts: dict[str, object] = {"wavelength_m": wavelength_m}
    if isinstance(content.get("far_field"), bool):
        facts["propagation"] = "far_field" if content["far_field"] else "near_field"
    if facts.get("propagation") == "near_field":
        facts |= {"distance_m": _number(content.get("effective_distance_m")), "detector_pixel_m": pixel_size_m}
    geometry = ScanGeometry.of(facts)
    return Metadata(
        wavelength_m=wavelength_m,
        pixel_size_m=pixel_size_m,
        geometry=geometry if geometry.model_fields_set else None,
        extra=content,
    )


def _own_declaration(own: Mapping[str, object], *, path: Path) -> Declaration:
    measurement, reason = own.get("measurement"), own.get("measurement_reason")
    pixel_size, history, extra = own.get("pixel_size_m"), own.get("history"), own.get("extra")
    known = measurement in ("amplitude", "intensity")
    return Declaration(
        measurement=cast(Literal["amplitude", "intensity"], measurement) if known else None,
        reason=str(reason or "declared by the file") if known else None,
        metadata=Metadata(
            wavelength_m=_number(own.get("wavelength_m")),
            pixel_size_m=_pair(pixel_size),
            n_photons=_number(own.get("n_photons")),
            geometry=_geometry(own.get("geometry"), path=path),
            history=tuple(step for step in history if isinstance(step, dict)) if isinstance(history, list) else (),
            extra=extra if isinstance(extra, dict) else {},
        ),
    )


def physics_mismatches(
    content: Mapping[str, object], settings: Mapping[str, object]
) -> dict[str, tuple[object, object]]:
    """Return the physics parameters that a file's metadata and some settings both name and disagree on.

    Examples
    --------
    >>> physics_mismatches({"physics_parameters": {"N": 64, "nphotons": 1e9}}, {"N": 128, "nphotons": 1e9})
    {'N': (64, 128)}
    """
    known = content.get("physics_parameters")
    if not isinstance(known, Mapping):
        return {}
    both = (name for name in ("nphotons", "N", "gridsize") if name in known and name in settings)
    return {name: (known[name], settings[name]) for name in both if known[name] != settings[name]}


def format_metadata(fields: ScanFields) -> str:
    """Write the declaration of a scan as JSON text, with the dose where the legacy schema has it."""
    known = fields.metadata
    legacy = {key: known.extra[key] for key in LEGACY_KEYS if key in known.extra}
    physics = known.extra.get("physics_parameters")
    parameters = dict(physics) if isinstance(physics, Mapping) else {}
    if known.n_photons is not None:
        parameters["nphotons"] = known.n_photons
    content = {
        "schema_version": "1.0.0",
        **legacy,
        "physics_parameters": parameters,
        OWN_KEY: {
            "measurement": fields.measurement,
            "measurement_reason": fields.measurement_reason,
            "wavelength_m": known.wavelength_m,
            "pixel_size_m": known.pixel_size_m,
            "n_photons": known.n_photons,
            "geometry": None if known.geometry is None else known.geometry.model_dump(mode="json", exclude_none=True),
            "history": list(known.history),
            "extra": dict(known.extra),
        },
    }
    return json.dumps(content, default=_plain)


def _geometry(value: object, *, path: Path) -> ScanGeometry | None:
    return ScanGeometry.of(value, path=path) if isinstance(value, dict) else None


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return dict(value) if isinstance(value, Mapping) else str(value)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _pair(value: object) -> tuple[float, float] | None:
    numbers = [_number(item) for item in value] if isinstance(value, list) else []
    match numbers:
        case [float(height), float(width)]:
            return (height, width)
    return None
