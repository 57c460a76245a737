"""HDF5 of any make, read by a recipe; PtyPy's ``Hdf5Loader`` was the model for what a recipe can say."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Bool, Float64, Shaped

from ptychofold.config import ScanGeometry
from ptychofold.config.preprocess import BackgroundStep, FlatStep, FrameStep, MonitorStep, PreprocessConfig, Step
from ptychofold.config.recipe import RecipeConfig, RecipePositions, RecordedNumber
from ptychofold.errors import DomainError, FormatError, MissingFieldError, ShapeError
from ptychofold.formats.base import check_file
from ptychofold.formats.concatenated import concatenated
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.frame_changes import changed_frame, frame_changes
from ptychofold.formats.hdf5 import open_array, open_file, read_all
from ptychofold.formats.hdf5_items import numbers, tree
from ptychofold.formats.lazy import ArrayInMemory, MappedArray
from ptychofold.formats.raster import RasterRows
from ptychofold.formats.rows import Layout
from ptychofold.formats.transformed import TransformedSource
from ptychofold.metadata import Metadata
from ptychofold.typing import ArraySource

__all__ = ["NAME", "read_by_recipe", "steps_of"]

NAME = "HDF5 by recipe"


def read_by_recipe(path: Path, recipe: RecipeConfig, *, lazy: bool) -> ScanFields:
    """Read what the recipe names; steps are not applied here, see `steps_of`.

    Raises
    ------
    FormatError
        If a file beside this one that the recipe names is missing.
    MissingFieldError
        If a data set is missing; the message lists those that there are.
    ShapeError
        If patterns and positions do not fit together.
    """
    _check_files(path, recipe)
    references = (recipe.patterns,) if isinstance(recipe.patterns, str) else recipe.patterns
    patterns = concatenated([_patterns(path, reference, recipe) for reference in references])
    bad_pixels = _mask(path, recipe, frame=patterns.shape[1:])
    for change in frame_changes(transposed=recipe.transposed, zero_frequency=recipe.zero_frequency):
        patterns = TransformedSource(patterns, change)
    probe_yx = recipe.positions.frame.probe_yx(_positions(path, recipe.positions, n_scan=patterns.shape[0]))
    in_pixels = recipe.positions.frame.unit == "px"
    geometry = recipe.geometry.updated(_recorded(path, recipe))
    with open_file(path) as file:
        names = tree(file)
    return ScanFields(
        path=path,
        format=NAME,
        patterns=patterns if lazy else ArrayInMemory(patterns.read(slice(None))),
        positions=probe_yx + (recipe.origin or (0.0, 0.0)) if in_pixels else None,
        positions_m=None if in_pixels else probe_yx,
        origin=recipe.origin,
        probe=_named(path, recipe.probe),
        object=_named(path, recipe.object),
        bad_pixels=bad_pixels,
        measurement=recipe.measurement,
        measurement_reason="the recipe says so",
        metadata=Metadata(wavelength_m=geometry.wavelength, pixel_size_m=geometry.pixel_size_m, geometry=geometry),
        names=names,
    )


def steps_of(path: Path, recipe: RecipeConfig, *, n_scan: int) -> PreprocessConfig:
    """Return what the recipe does to the patterns: frame filter, dark, flat, monitor, then its own steps.

    Raises
    ------
    ShapeError
        If the frame filter has not one number for each of the ``n_scan`` patterns.
    """
    steps: list[Step] = []
    keep = _named(path, recipe.keep)
    if keep is not None:
        if keep.size != n_scan:
            raise ShapeError(
                f"expected keep = {recipe.keep} with one number for each of the {n_scan} patterns; found shape "
                f"{keep.shape}.",
                path=path,
                field="patterns",
            )
        steps.append(FrameStep(drop=tuple(np.flatnonzero(keep.ravel() == 0).tolist())))
    lie: dict[str, object] = {"transposed": recipe.transposed, "zero_frequency": recipe.zero_frequency}
    if recipe.dark is not None:
        steps.append(BackgroundStep.from_mapping({"file": _side_file(path, recipe.dark), **lie}))
    if recipe.flat is not None:
        steps.append(FlatStep.from_mapping({"file": _side_file(path, recipe.flat), **lie}))
    if recipe.monitor is not None:
        steps.append(MonitorStep(file=_side_file(path, recipe.monitor)))
    return PreprocessConfig(steps=(*steps, *recipe.steps))


def _check_files(path: Path, recipe: RecipeConfig) -> None:
    """Refuse a recipe that names a file which is not there, before anything is read."""
    named = recipe.model_dump(exclude_none=True, exclude={"steps", "geometry", "measurement", "origin"})
    for entry, value in named.items():
        for name, reference in _references(entry, value):
            file, _ = _split(path, reference)
            if not file.is_file():
                raise FormatError(
                    f"the recipe's {name} = {reference!r} is looked for in {file}; there is no such file. Files are "
                    "looked for beside the scan: put it there, or correct the recipe.",
                    path=path,
                )


def _references(entry: str, value: object) -> Iterator[tuple[str, str]]:
    """Give every text of an entry, under its dotted name; those without a colon name a data set of the scan itself."""
    if isinstance(value, str) and ":" in value:
        yield entry, value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _references(entry, part)
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from _references(f"{entry}.{name}", part)


def _split(path: Path, reference: str) -> tuple[Path, str]:
    """Return file and data set of a reference; a file is looked for beside the one that is opened."""
    file, colon, key = reference.rpartition(":")
    return (path.parent / file, key) if colon else (path, reference)


def _side_file(path: Path, reference: str) -> str:
    file, key = _split(path, reference)
    return f"{file}:{key}"


@contextmanager
def _opened(path: Path, reference: str) -> Iterator[h5py.Dataset]:
    file_path, key = _split(path, reference)
    check_file(file_path)
    with open_file(file_path) as file:
        item = file.get(key)
        if not isinstance(item, h5py.Dataset):
            raise MissingFieldError(
                f"expected the data set {key} that the recipe names; the file holds {', '.join(tree(file))}.",
                path=file_path,
                field=key,
            )
        yield item


def _named(path: Path, reference: str | None) -> Shaped[np.ndarray, "..."] | None:
    return None if reference is None else _array(path, reference)


def _array(path: Path, reference: str) -> Shaped[np.ndarray, "..."]:
    with _opened(path, reference) as item:
        return read_all(item)


def _patterns(path: Path, reference: str, recipe: RecipeConfig) -> ArraySource:
    with _opened(path, reference) as item:
        if item.ndim not in (3, 4) or (recipe.frames_last and item.ndim == 4):
            raise ShapeError(
                f"expected {item.name} of 3 axes, or of 4 as a raster; found {item.shape}.", path=path, field="patterns"
            )
        source: ArraySource = open_array(item)
        if recipe.frames_last:
            source = _frames_first(source, item)
    return RasterRows(source) if len(source.shape) == 4 else source


def _frames_first(source: ArraySource, item: h5py.Dataset) -> ArraySource:
    """Show (N, N, scan) as (scan, N, N): in place where the file is mapped, else in memory."""
    if isinstance(source, MappedArray):
        return MappedArray(source.path, source.offset, Layout(shape=item.shape, dtype=item.dtype, frames_last=True))
    return ArrayInMemory(np.moveaxis(read_all(item), -1, 0))


def _positions(path: Path, where: RecipePositions, *, n_scan: int) -> Float64[np.ndarray, "scan 2"]:
    """Return the two numbers of each pattern, in the order of ``frame.axes``."""
    if where.both is not None:
        pair = _array(path, where.both)
        found = pair.T if pair.ndim == 2 and pair.shape[0] == 2 != pair.shape[1] else pair
        if found.shape != (n_scan, 2):
            raise _unfit(path, n_scan, str(pair.shape))
        factors = np.array([where.y_multiplier, where.x_multiplier])
        scaled: np.ndarray = found * (factors if where.frame.axes == "yx" else factors[::-1])
        return scaled.astype(np.float64)
    y, x = (_array(path, name) for name in (where.y, where.x) if name is not None)
    y, x = y.ravel() * where.y_multiplier, x.ravel() * where.x_multiplier
    if where.raster is not None and (y.size, x.size) != (n_scan, n_scan):
        slow, fast = (y, x) if where.raster == "y_slow" else (x, y)
        lines, columns = np.repeat(slow, fast.size), np.tile(fast, slow.size)
        y, x = (lines, columns) if where.raster == "y_slow" else (columns, lines)
    if (y.size, x.size) != (n_scan, n_scan):
        raise _unfit(path, n_scan, f"{y.size} y and {x.size} x")
    pairs = np.stack([y, x] if where.frame.axes == "yx" else [x, y], axis=1)
    return pairs.astype(np.float64)


def _unfit(path: Path, n_scan: int, found: str) -> ShapeError:
    return ShapeError(
        f"expected positions for {n_scan} patterns; found {found}. For coordinates of lines and columns give "
        "positions.raster.",
        path=path,
        field="positions",
    )


def _mask(path: Path, recipe: RecipeConfig, *, frame: tuple[int, ...]) -> Bool[np.ndarray, "N M"] | None:
    """Return the mask as the changed frames lie; ``frame`` is the shape of those in the file."""
    if recipe.mask is None:
        return None
    mask = _array(path, recipe.mask)
    if mask.shape != frame:
        raise ShapeError(
            f"expected mask = {recipe.mask} of the frames' shape {frame}; found {mask.shape}.",
            path=path,
            field="bad_pixels",
        )
    bad = np.asarray((mask != 0) != recipe.mask_good)
    return changed_frame(bad, transposed=recipe.transposed, zero_frequency=recipe.zero_frequency, name="mask")


def _recorded(path: Path, recipe: RecipeConfig) -> ScanGeometry:
    side = _number(path, recipe.detector_pixel)
    facts = {
        "energy_ev": _number(path, recipe.energy),
        "distance_m": _number(path, recipe.distance),
        "detector_pixel_m": None if side is None else (side, side),
    }
    return ScanGeometry.of(facts, path=path)


def _number(path: Path, recorded: RecordedNumber | None) -> float | None:
    if recorded is None:
        return None
    with _opened(path, recorded.key) as item:
        values = numbers(item).astype(np.float64).ravel()
    if not values.size or (recorded.reduce == "equal" and not np.allclose(values, values[0], rtol=1e-6, atol=0)):
        raise DomainError(
            f"expected one number as {recorded.key}; found {values.size} from {values.min(initial=np.inf):g} to "
            f'{values.max(initial=-np.inf):g}. Say reduce = "mean" or "first" in the recipe.',
            path=path,
            field=recorded.key,
        )
    value = float(values.mean() if recorded.reduce == "mean" else values[0])
    return value * recorded.multiplier + recorded.offset
