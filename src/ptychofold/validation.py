"""One small check for each fact that a scan must satisfy.

Every check raises one error that says what was expected, what was found and what to do; it returns the array in
the dtype that ptychofold works with. Checks know nothing of files beyond the name that they put in the message.
"""

import logging
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Complex64, Float64, Int64, Real
from numpy.typing import ArrayLike

from ptychofold.conventions import yx_from_columns
from ptychofold.errors import DomainError, DtypeError, ShapeError
from ptychofold.metadata import Metadata
from ptychofold.typing import Measurement

__all__ = [
    "as_array",
    "check_columns",
    "check_complex",
    "check_finite",
    "check_integers",
    "check_mask",
    "check_not_dark",
    "check_object",
    "check_patches",
    "check_patterns",
    "check_patterns_shape",
    "check_positions",
    "check_probe",
    "check_rows",
    "check_units",
    "row_numbers",
    "wrong_numbers",
]

logger = logging.getLogger(__name__)


def as_array(values: ArrayLike, *, field: str, path: Path | None = None) -> np.ndarray:
    """Return what was given as a NumPy array: an array as it is, lists of numbers and CPU tensors converted.

    Examples
    --------
    >>> as_array([[1, 2], [3, 4]], field="positions").shape
    (2, 2)
    """
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise DtypeError(
            f"expected {field} without masked numbers; found {int(np.sum(values.mask))}. Fill them; bad pixels "
            "of a detector belong in bad_pixels.",
            path=path,
            field=field,
        )
    if isinstance(values, np.ndarray):
        return np.asarray(values)
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        array, why = np.empty(0, object), f": {' '.join(str(error).split())[:100]}"
    else:
        why = ""
    if array.dtype.kind not in "buifc":
        raise DtypeError(
            f"expected {field} as an array of numbers; found {type(values).__name__}{why or f' of {array.dtype}'}. "
            "Convert it with numpy.asarray first.",
            path=path,
            field=field,
        )
    return array


def row_numbers(indices: ArrayLike, *, n_scan: int) -> Int64[np.ndarray, "*n"]:
    """Return which scan points are meant, int64, by their numbers or by a mask of all.

    Examples
    --------
    >>> row_numbers([True, False, True], n_scan=3)
    array([0, 2])
    """
    rows = np.asarray(indices)
    if rows.dtype == bool and rows.shape == (n_scan,):
        return np.flatnonzero(rows)
    if rows.size and rows.dtype.kind not in "iu":
        raise DtypeError(
            f"expected scan points as whole numbers, or a mask of all {n_scan}; found {rows.dtype} of shape "
            f"{rows.shape}.",
            field="indices",
        )
    return rows.astype(np.int64)


def check_patterns_shape(shape: tuple[int, ...], dtype: np.dtype, *, path: Path | None = None) -> None:
    """Refuse patterns that are not real numbers of shape (scan, N, N)."""
    if len(shape) != 3 or shape[1] != shape[2]:
        raise ShapeError(
            f"expected patterns of shape (scan, N, N) with square frames; found {shape}. "
            "Crop or pad the frames to a square before loading.",
            path=path,
            field="patterns",
        )
    if 0 in shape:
        raise ShapeError(f"expected at least one pattern; found shape {shape}.", path=path, field="patterns")
    if dtype.kind not in "uif" or dtype.itemsize > 8:
        raise DtypeError(
            f"expected patterns of real numbers (integers or floats) of at most 64 bits; found {dtype}. "
            "Store the measured counts or their square root.",
            path=path,
            field="patterns",
        )


def check_finite(values: np.ndarray, *, field: str, path: Path | None = None) -> None:
    """Refuse NaN and infinity; the message counts them and names the first."""
    if values.dtype.kind not in "fc":
        return
    bad = ~np.isfinite(values)
    if not bad.any():
        return
    first = tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape))
    raise DomainError(
        f"expected finite {field}; found {int(bad.sum())} non-finite of {bad.size} values, the first at index {first}. "
        "Remove these scan points or repair the file.",
        path=path,
        field=field,
    )


def check_positions(
    positions: np.ndarray, *, n_scan: int, path: Path | None = None, field: str = "positions"
) -> Float64[np.ndarray, "scan 2"]:
    """Return positions as float64 (scan, 2); one for each pattern, all finite."""
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise ShapeError(
            f"expected {field} of shape (scan, 2), one (y, x) a pattern; found {positions.shape}.",
            path=path,
            field=field,
        )
    _check_real(positions, field=field, path=path)
    check_rows(len(positions), n_scan=n_scan, field=field, path=path)
    check_finite(positions, field=field, path=path)
    return positions.astype(np.float64, copy=False)


def check_columns(
    x: np.ndarray, y: np.ndarray, *, names: tuple[str, str] = ("x positions", "y positions"), path: Path | None = None
) -> Float64[np.ndarray, "scan 2"]:
    """Return the two coordinate arrays of a file as (y, x), float64 (scan, 2)."""
    if x.ndim != 1 or x.shape != y.shape:
        raise ShapeError(
            f"expected {names[0]} and {names[1]} of shape (scan,); found {x.shape} and {y.shape}. "
            "Store one x and one y a pattern.",
            path=path,
            field="positions",
        )
    for name, values in zip(names, (x, y), strict=True):
        if values.dtype.kind not in "uif":
            raise DtypeError(f"expected real numbers as {name}; found {values.dtype}.", path=path, field="positions")
    return yx_from_columns(x=x, y=y)


def check_rows(found: int, *, n_scan: int, field: str, path: Path | None = None) -> None:
    """Refuse a field that does not have one row for each pattern."""
    if found != n_scan:
        raise ShapeError(
            f"expected one row of {field} for each of the {n_scan} patterns; found {found}. "
            "Remove the rows without partner before loading.",
            path=path,
            field=field,
        )


def check_complex(values: np.ndarray, *, field: str, path: Path | None = None) -> Complex64[np.ndarray, "..."]:
    """Return finite complex64; complex128 is cast with a logged line, anything else is refused."""
    if values.dtype.kind != "c":
        raise DtypeError(
            f"expected complex {field} (complex64); found {values.dtype}. "
            "A real array has lost its phase: store the complex transmission.",
            path=path,
            field=field,
        )
    check_finite(values, field=field, path=path)
    if values.dtype != np.complex64:
        logger.info("%s: cast from %s to complex64", field, values.dtype)
        values = values.astype(np.complex64)
        check_finite(values, field=field, path=path)
    return values


def check_probe(probe: np.ndarray, *, N: int, path: Path | None = None) -> Complex64[np.ndarray, "mode N N"]:
    """Return the probe as complex64 (mode, N, N) whose size fits the patterns."""
    if probe.ndim == 2:
        probe = probe[None]
    if probe.ndim != 3 or probe.shape[1:] != (N, N) or not len(probe):
        raise ShapeError(
            f"expected a probe of shape (mode, {N}, {N}) to fit the patterns; found {probe.shape}. "
            "Resample the probe or crop the patterns to one size.",
            path=path,
            field="probe",
        )
    probe = check_complex(probe, field="probe", path=path)
    if not probe.any():
        raise DomainError(
            "expected a probe with light in it; found zeros everywhere. Supply an initial probe.",
            path=path,
            field="probe",
        )
    return probe


def check_mask(mask: np.ndarray, *, N: int, path: Path | None = None) -> Bool[np.ndarray, "N N"]:
    """Return the bad-pixel mask as bool (N, N), True where bad; not every pixel may be bad."""
    if mask.shape != (N, N):
        raise ShapeError(f"expected bad_pixels of shape ({N}, {N}); found {mask.shape}.", path=path, field="bad_pixels")
    if mask.dtype.kind not in "bui" or (mask.dtype != bool and not np.isin(mask, (0, 1)).all()):
        raise DtypeError(
            f"expected bad_pixels of bool (True = bad); found {mask.dtype} with values {np.unique(mask)[:4]}.",
            path=path,
            field="bad_pixels",
        )
    if mask.all():
        raise DomainError("expected some good pixels; bad_pixels marks all of them.", path=path, field="bad_pixels")
    return mask.astype(bool, copy=False)


def check_integers(
    values: np.ndarray, *, n_scan: int, field: str, path: Path | None = None
) -> Int64[np.ndarray, " scan"]:
    """Return one int64 for each pattern; floats pass only if they are whole."""
    if values.ndim != 1:
        raise ShapeError(f"expected {field} of shape (scan,); found {values.shape}.", path=path, field=field)
    check_rows(len(values), n_scan=n_scan, field=field, path=path)
    _check_real(values, field=field, path=path)
    check_finite(values, field=field, path=path)
    if not np.array_equal(values, values.astype(np.int64)):
        raise DtypeError(
            f"expected whole numbers as {field}; found {values.dtype} values with fractions.", path=path, field=field
        )
    return values.astype(np.int64, copy=False)


def check_patterns(
    patterns: Real[np.ndarray, "n H W"], *, rows: Int64[np.ndarray, " n"], path: Path | None = None
) -> None:
    """Refuse patterns with a number that is negative, not finite or beyond float32; the message names file and row.

    Costs one reduction of the stored numbers, and nothing for unsigned integers: read as unsigned integers, the bits
    of numbers that are neither negative nor too large lie below those of the largest.

    Parameters
    ----------
    patterns
        (n, N, N), as stored.
    rows
        (n,) their rows in the file, or in the arrays that the scan was made of.
    path
        The file, for the message.

    Raises
    ------
    DomainError
        If there is such a number.

    Examples
    --------
    >>> check_patterns(np.full((1, 2, 2), -2.0), rows=np.array([333]))
    Traceback (most recent call last):
        ...
    ptychofold.errors.DomainError: expected patterns of finite numbers that are not negative; found -2.0 in row 333, \
at pixel (0, 0); 4 of its 4 numbers are wrong. Repair the pattern or leave the scan point out; background must be \
clipped at zero, and markers of bad pixels belong in bad_pixels.
    """
    dtype = patterns.dtype
    if dtype.kind == "u" or not patterns.size:
        return
    largest = _largest(dtype)
    if dtype.isnative and patterns.flags.c_contiguous:
        unsigned = np.dtype(f"u{dtype.itemsize}")
        if patterns.view(unsigned).max() <= largest.view(unsigned):
            return
    wrong = wrong_numbers(patterns)
    if not wrong.any():
        return
    place, row, column = (int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
    raise DomainError(
        f"expected patterns of finite numbers that are not negative; found {patterns[place, row, column]} in row "
        f"{int(rows[place])}, at pixel ({row}, {column}); {int(wrong[place].sum())} of its {wrong[place].size} numbers "
        "are wrong. Repair the pattern or leave the scan point out; background must be clipped at zero, and markers of "
        "bad pixels belong in bad_pixels.",
        path=path,
        field="patterns",
    )


def wrong_numbers(patterns: Real[np.ndarray, "*shape"]) -> Bool[np.ndarray, "*shape"]:
    """Return True where a number of patterns is negative, not finite or beyond float32.

    Examples
    --------
    >>> wrong_numbers(np.array([0.0, -1.0, np.nan, 1e300, 7.0])).tolist()
    [False, True, True, True, False]
    """
    wrong: Bool[np.ndarray, "*shape"] = ~((patterns >= 0) & (patterns <= _largest(patterns.dtype)))
    return wrong


def _largest(dtype: np.dtype) -> np.ndarray:
    """Return, 0-d, the largest number of a signed type that float32 holds as well."""
    largest = np.iinfo(dtype).max if dtype.kind == "i" else min(np.finfo(dtype).max, np.finfo(np.float32).max)
    return np.array(largest, dtype)


def check_not_dark(energy: Float64[np.ndarray, " scan"], *, path: Path | None = None) -> None:
    """Refuse a scan whose every pattern sums to zero."""
    if not energy.any():
        raise DomainError(
            "expected patterns with light in them; found zeros everywhere. Check the data set that was read.",
            path=path,
            field="patterns",
        )


def check_not_faint(brightest: float, *, measurement: Measurement, path: Path | None = None) -> None:
    """Refuse patterns whose brightest value is too small for an intensity of single precision, so that light is lost.

    Parameters
    ----------
    brightest
        The largest value of some patterns.
    measurement
        What it is.
    path
        The scan's file.
    """
    intensity = brightest**2 if measurement == "amplitude" else brightest
    if brightest > 0 and intensity < np.finfo(np.float32).tiny:
        raise DomainError(
            f"expected patterns whose brightest pixel has an intensity of at least {np.finfo(np.float32).tiny:.2g}, as "
            f"single precision holds no less; found {measurement} {brightest:.3g}. Multiply them by a constant.",
            path=path,
            field="patterns",
        )


def check_object(values: np.ndarray, *, path: Path | None = None) -> Complex64[np.ndarray, "H W"]:
    """Return the object as finite complex64 (H, W)."""
    if values.ndim != 2 or 0 in values.shape:
        raise ShapeError(
            f"expected an object of shape (H, W); found {values.shape}. Give one slice.", path=path, field="object"
        )
    return check_complex(values, field="object", path=path)


def check_patches(
    values: np.ndarray, *, n_scan: int, N: int, path: Path | None = None
) -> Complex64[np.ndarray, "scan N N"]:
    """Return ground-truth patches as finite complex64 (scan, N, N), one for each pattern."""
    if values.shape[1:] != (N, N):
        raise ShapeError(
            f"expected ground-truth patches of shape ({n_scan}, {N}, {N}); found {values.shape}.",
            path=path,
            field="patches",
        )
    check_rows(len(values), n_scan=n_scan, field="patches", path=path)
    return check_complex(values, field="patches", path=path)


def check_units(metadata: Metadata, *, path: Path | None = None) -> Metadata:
    """Refuse a wavelength, pixel size or photon count that is not a positive, finite number."""
    size = metadata.pixel_size_m or (None, None)
    named = {
        "wavelength_m": metadata.wavelength_m,
        "pixel_size_m (height)": size[0],
        "pixel_size_m (width)": size[1],
        "n_photons": metadata.n_photons,
    }
    for field, value in named.items():
        if value is not None and not 0 < value < np.inf:
            raise DomainError(f"expected a positive {field}; found {value}.", path=path, field=field.split()[0])
    return metadata


def _check_real(values: np.ndarray, *, field: str, path: Path | None) -> None:
    if values.dtype.kind not in "uif":
        raise DtypeError(f"expected real numbers as {field}; found {values.dtype}.", path=path, field=field)
