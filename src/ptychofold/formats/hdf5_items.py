"""Find and read single items of an HDF5 file under the names that its writers vary."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Shaped

from ptychofold.errors import DtypeError, MissingFieldError, ShapeError
from ptychofold.formats.hdf5 import is_hdf5, open_array, open_file, read_all
from ptychofold.formats.hdf5_links import missing_links
from ptychofold.formats.lazy import ArrayInMemory
from ptychofold.typing import ArraySource

__all__ = [
    "attribute_number",
    "dataset",
    "find",
    "group",
    "has_datasets",
    "names_in",
    "number",
    "numbers",
    "patterns_of",
    "text",
    "tree",
]


def has_datasets(path: Path, *names: str) -> bool:
    """Whether the file is HDF5 and holds data sets under all these names."""
    if not is_hdf5(path):
        return False
    with open_file(path) as file:
        return all(isinstance(file.get(name), h5py.Dataset) for name in names)


def dataset(file: h5py.File, *names: str, field: str) -> h5py.Dataset:
    """Return the first data set under one of these names."""
    for name in names:
        found = file.get(name)
        if isinstance(found, h5py.Dataset):
            return found
    raise MissingFieldError(
        f"expected {' or '.join(names)}; the file holds {', '.join(file) or 'nothing'}. It is not complete.",
        path=file.filename,
        field=field,
    )


def patterns_of(found: h5py.Dataset, *, lazy: bool) -> ArraySource:
    """Open or load a stack of patterns."""
    if found.ndim != 3:
        raise ShapeError(
            f"expected {found.name} of shape (scan, N, N); found {found.shape}.",
            path=found.file.filename,
            field="patterns",
        )
    return open_array(found) if lazy else ArrayInMemory(read_all(found))


def find(file: h5py.Group, *paths: str) -> h5py.Dataset | None:
    """Return the first data set under one of these paths, soft links followed; None if there is none.

    A part such as ``entry_1`` also matches ``entry``, as older writers have it. Dangling links are passed over.
    """
    for path in paths:
        for item in _resolved(file, path.strip("/").split("/")):
            if isinstance(item, h5py.Dataset):
                return item
    return None


def group(file: h5py.Group, path: str) -> h5py.Group | None:
    """Return the group under a path, varied as in `find`; None if there is none."""
    return next((item for item in _resolved(file, path.strip("/").split("/")) if isinstance(item, h5py.Group)), None)


def _resolved(node: h5py.Group, parts: list[str]) -> Iterator[h5py.Dataset | h5py.Group]:
    name, *rest = parts
    for variant in dict.fromkeys((name, name.removesuffix("_1"))):
        item = node.get(variant)
        if item is None:
            continue
        if not rest:
            yield item
        elif isinstance(item, h5py.Group):
            yield from _resolved(item, rest)


def number(file: h5py.Group, *paths: str) -> float | None:
    """Return the first number under one of these paths; None if there is none.

    Raises
    ------
    ShapeError
        If there are several numbers that differ.
    """
    item = find(file, *paths)
    if item is None or item.dtype.kind not in "uif" or not item.size:
        return None
    values = np.unique(numbers(item))
    if len(values) > 1:
        raise ShapeError(
            f"expected one number as {item.name}; found {len(values)} different ones.", path=file.file.filename
        )
    return float(values[0])


def attribute_number(item: h5py.Dataset | h5py.File, *names: str) -> float | None:
    """Return the first number among the attributes under these names, also one in an array of its own."""
    for name in names:
        value = np.asarray(item.attrs.get(name, ()))
        if value.size == 1 and value.dtype.kind in "buif":
            return float(value.item())
    return None


def numbers(item: h5py.Dataset) -> Shaped[np.ndarray, "..."]:
    """Load real numbers.

    Raises
    ------
    DtypeError
        If the data set holds something else.
    """
    if item.dtype.kind not in "uif" or item.shape is None:
        found = "nothing" if item.shape is None else item.dtype
        raise DtypeError(f"expected real numbers as {item.name}; found {found}.", path=item.file.filename)
    return read_all(item)


def text(file: h5py.Group, *paths: str) -> str | None:
    """Return the first text under one of these paths; None if there is none."""
    item = find(file, *paths)
    if item is None or item.size != 1 or item.dtype.kind not in "SOU":
        return None
    value = np.asarray(item[()]).reshape(-1)[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def names_in(file: h5py.Group) -> tuple[str, ...]:
    """Return the names of what lies directly in a group."""
    return tuple(_decoded(name) for name in file)


def _decoded(name: str | bytes) -> str:
    """Return a name; h5py gives one that is not UTF-8 as bytes."""
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name


def tree(file: h5py.Group, *, limit: int = 60) -> tuple[str, ...]:
    """Return the paths of the data sets, at most ``limit``, for messages; nothing is read.

    A link to a file that is missing is among them, and says so.
    """
    names: list[str] = []

    def note(name: str, item: h5py.Dataset | h5py.Group) -> bool | None:
        if isinstance(item, h5py.Dataset):
            names.append(_decoded(name))
        return True if len(names) >= limit else None

    file.visititems(note)
    missing = missing_links(file, limit=limit)
    return (*names, *(f"{name} (a link to {target}, which is missing)" for name, target in missing.items()))
