"""The one door: every field of a scan is checked here, once, and trusted afterwards."""

from dataclasses import replace
from pathlib import Path
from typing import Literal, TypedDict, TypeVar

import numpy as np
from jaxtyping import Bool, Complex64, Float64, Int64
from numpy.typing import ArrayLike

from ptychofold import validation as check
from ptychofold.errors import MissingFieldError
from ptychofold.formats import ScanFields
from ptychofold.formats.cleared import cleared
from ptychofold.formats.decided import inspected_rows
from ptychofold.formats.lazy import ArrayInMemory
from ptychofold.formats.origins import check_rows
from ptychofold.measurement import ExitEnergy, decide_measurement
from ptychofold.metadata import Metadata
from ptychofold.patches import extract_patches
from ptychofold.reading import read_apart
from ptychofold.scaling import energy_sums
from ptychofold.typing import ArraySource, Measurement, RequestedMeasurement
from ptychofold.validation import as_array

__all__ = ["CheckedFields", "checked", "fields_of_arrays"]

Found = TypeVar("Found")
_CURES = {
    "positions": " Name the file that holds them: read(…, positions=FILE), on the command line --positions FILE.",
    "patterns": " Name the file that holds them: from_file(…, patterns=FILE), on the command line --patterns FILE.",
}


class CheckedFields(TypedDict):
    """The fields of `RawData`, each in its own dtype and in agreement with the others."""

    patterns: ArraySource
    measurement: Measurement
    positions: Float64[np.ndarray, "scan 2"]
    positions_nominal: Float64[np.ndarray, "scan 2"]
    probe: Complex64[np.ndarray, "mode N N"]
    object: Complex64[np.ndarray, "H W"] | None
    patches: Complex64[np.ndarray, "scan N N"] | None
    scan_index: Int64[np.ndarray, " scan"]
    bad_pixels: Bool[np.ndarray, "N N"] | None
    metadata: Metadata


def fields_of_arrays(
    *,
    patterns: ArrayLike | ArraySource,
    metadata: Metadata | None = None,
    measurement_expected: Literal["amplitude"] | None = None,
    **arrays: ArrayLike | None,
) -> ScanFields:
    """Take arrays, or what NumPy makes arrays of, as a reader takes a file; nothing is copied that is an array.

    Parameters
    ----------
    patterns
        (scan, N, N), in memory or read on demand.
    metadata
        Its source and format are kept, so that messages name the file that the arrays came from.
    measurement_expected
        What the caller's convention says of patterns whose numbers do not tell.
    **arrays
        The other fields, by the names of `ScanFields`.

    Raises
    ------
    DtypeError
        If one of them is no array of numbers.
    """
    known = metadata or Metadata()
    given = {name: None if value is None else as_array(value, field=name) for name, value in arrays.items()}
    return ScanFields(
        path=None if known.source is None else Path(known.source),
        format=known.format or "arrays",
        patterns=patterns if isinstance(patterns, ArraySource) else ArrayInMemory(as_array(patterns, field="patterns")),
        measurement_expected=measurement_expected,
        metadata=known,
        **given,  # type: ignore[arg-type]  # the names above are those of the fields that are arrays
    )


def checked(found: ScanFields, *, measurement: RequestedMeasurement) -> CheckedFields:
    """Check what a reader found.

    A few patterns are read: outside the bad pixels they must be finite and not negative, and with the probe and the
    object they tell amplitude from intensity where nothing declares it. The others are looked at when they are read.

    Raises
    ------
    DataError
        If a field is missing or wrong, fields disagree, or the measurement cannot be told.
    """
    path = found.path
    patterns = _required(found.patterns, "patterns", found)
    check.check_patterns_shape(patterns.shape, patterns.dtype, path=path)
    n_scan, N = patterns.shape[:2]
    positions = check.check_positions(_required(found.positions, "positions", found), n_scan=n_scan, path=path)
    nominal, index = found.positions_nominal, found.scan_index
    if nominal is not None:
        nominal = check.check_positions(nominal, n_scan=n_scan, field="positions_nominal", path=path)
    if index is not None:
        index = check.check_integers(index, n_scan=n_scan, field="scan_index", path=path)
    probe = check.check_probe(_required(found.probe, "probe", found), N=N, path=path)
    object_ = None if found.object is None else check.check_object(found.object, path=path)
    patches = None if found.patches is None else check.check_patches(found.patches, n_scan=n_scan, N=N, path=path)
    rows = inspected_rows(patterns.shape)
    energy = None
    if measurement == "auto" and found.measurement_expected is not None:
        energy = _exit_energy(probe, _known_patches(rows, positions=positions, N=N, canvas=object_, patches=patches))
    bad_pixels = None if found.bad_pixels is None else check.check_mask(found.bad_pixels, N=N, path=path)
    patterns = cleared(patterns, bad_pixels)
    decided, reason = _inspect(patterns, rows, found, requested=measurement, exit_energy=energy)
    return CheckedFields(
        patterns=patterns,
        measurement=decided,
        positions=positions,
        positions_nominal=positions if nominal is None else nominal,
        probe=probe,
        object=object_,
        patches=patches,
        scan_index=np.zeros(n_scan, np.int64) if index is None else index,
        bad_pixels=bad_pixels,
        metadata=replace(
            check.check_units(found.metadata, path=path),
            source=None if path is None else str(path),
            format=found.format,
            format_reason=found.format_reason,
            measurement_reason=reason,
        ),
    )


def _required(value: Found | None, name: str, found: ScanFields) -> Found:
    if value is None and found.path is None:
        raise MissingFieldError(f"expected {name} for the scan; found None.", field=name)
    if value is None:
        names = ", ".join(found.names) or "nothing else"
        raise MissingFieldError(
            f"expected {name} in the scan; the {found.format} file has none. It holds: {names}.{_CURES.get(name, '')}",
            path=found.path,
            field=name,
        )
    return value


def _known_patches(
    rows: Int64[np.ndarray, " n"],
    *,
    positions: Float64[np.ndarray, "scan 2"],
    N: int,
    canvas: Complex64[np.ndarray, "H W"] | None,
    patches: Complex64[np.ndarray, "scan N N"] | None,
) -> Complex64[np.ndarray, "n N N"] | None:
    if patches is None:
        return None if canvas is None else extract_patches(canvas, positions[rows], N)
    chosen: Complex64[np.ndarray, "n N N"] = patches[rows]
    return chosen


def _exit_energy(
    probe: Complex64[np.ndarray, "mode N N"], patches: Complex64[np.ndarray, "n N N"] | None
) -> ExitEnergy:
    """Return the mean Σ |P·O|² of exit waves, or Σ |P|² where no patch is known; overflow gives infinity."""
    with np.errstate(over="ignore"):
        light = np.square(np.abs(probe), dtype=np.float64).sum(axis=0)
        transmission = 1.0 if patches is None else np.square(np.abs(patches), dtype=np.float64).mean(axis=0)
        return ExitEnergy(value=float((light * transmission).sum()), exact=patches is not None)


def _inspect(
    patterns: ArraySource,
    rows: Int64[np.ndarray, " n"],
    found: ScanFields,
    *,
    requested: RequestedMeasurement,
    exit_energy: ExitEnergy | None,
) -> tuple[Measurement, str]:
    """Read some patterns; refuse wrong numbers and say whether they are amplitude or intensity, and why."""
    path = found.path
    sample = read_apart(patterns, rows)
    check_rows(sample, source=patterns, rows=rows, path=path)
    if not sample.any():
        check.check_not_dark(energy_sums(patterns, measurement="intensity", path=path), path=path)
    decided, reason = decide_measurement(
        sample,
        requested=requested,
        declared=found.measurement,
        declared_reason=found.measurement_reason,
        expected=found.measurement_expected,
        exit_energy=exit_energy,
        path=path,
    )
    check.check_not_faint(float(sample.max()), measurement=decided, path=path)
    return decided, reason
