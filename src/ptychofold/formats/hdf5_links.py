"""What an HDF5 file keeps in other files: where they are looked for, and which of them are missing.

HDF5 reads what is missing as fill values, zeros as a rule, and says nothing.
"""

import math
from pathlib import Path
from typing import Protocol

import h5py

from ptychofold.errors import FormatError

__all__ = ["check_sources", "grows", "missing_links"]

UNLIMITED = (1 << 64) - 1
"""HDF5's count of blocks that grows with the source, as h5py gives it."""


class _Mapping(Protocol):
    """What is used of one of h5py's mappings of a virtual data set."""

    vspace: h5py.h5s.SpaceID
    """The part of the virtual data set that shows the source."""
    src_space: h5py.h5s.SpaceID
    """The part of the source that is shown."""


def missing_links(group: h5py.Group, *, limit: int = 60) -> dict[str, str]:
    """Return the external links below a group whose files are missing, each with the file's name; at most ``limit``."""
    found: dict[str, str] = {}
    own = Path(group.file.filename)

    def note(name: bytes, info: h5py.h5l.LinkInfo) -> bool | None:
        if info.type == h5py.h5l.TYPE_EXTERNAL:
            target = group.id.links.get_val(name)[0].decode("utf-8", "replace")
            if _found(own, target) is None:
                found[name.decode("utf-8", "replace")] = target
        return True if len(found) >= limit else None

    group.id.links.visit(note, info=True)
    return found


def check_sources(dataset: h5py.Dataset) -> None:
    """Refuse a data set some of whose numbers lie in files that are missing or hold fewer of them.

    Raises
    ------
    FormatError
        If a source of a virtual data set, or a raw file, is missing or too short.
    """
    own = Path(dataset.file.filename)
    for name, _, _ in dataset.external or ():
        if not Path(name).is_file():
            raise FormatError(
                f"{dataset.name} keeps its numbers in {name}, which is missing. Put that file back in its place.",
                path=own,
            )
    if not dataset.is_virtual:
        return
    needed: dict[tuple[str, str], tuple[int, ...]] = {}
    for source in dataset.virtual_sources():
        if "%" not in source.file_name:  # stands for a number: HDF5 shows as many of these files as there are
            key, reach = (source.file_name, source.dset_name), _reach(source)
            needed[key] = tuple(map(max, needed.get(key, reach), reach))
    for (file_name, name), reach in needed.items():
        _check_source(dataset, file_name, name, reach=reach)


def _reach(source: _Mapping) -> tuple[int, ...]:
    """Return the shape that a source must have; of a source shown whole the number of elements; () if it may grow."""
    space = source.src_space
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return (int(source.vspace.get_select_npoints()),)
    if grows(space):
        return ()
    return tuple(int(last) + 1 for last in space.get_select_bounds()[1])


def grows(space: h5py.h5s.SpaceID) -> bool:
    """Whether a part of a data set grows with it."""
    if space.get_select_type() != h5py.h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        return False
    _, _, count, block = space.get_regular_hyperslab()
    return UNLIMITED in (*count, *block)


def _check_source(dataset: h5py.Dataset, file_name: str, name: str, *, reach: tuple[int, ...]) -> None:
    """Refuse a source that is missing, or holds less than the virtual data set shows of it."""
    own = Path(dataset.file.filename)
    path = own if file_name == "." else _found(own, file_name)
    if path is None:
        raise FormatError(
            f"{dataset.name} is a virtual data set whose source {own.parent / file_name} is missing. Put the source "
            "file back beside it.",
            path=own,
        )
    with h5py.File(path, "r") as file:
        source = file.get(name)
        shape = source.shape if isinstance(source, h5py.Dataset) else None
    held = (math.prod(shape or ()),) if shape is not None and len(reach) == 1 else shape
    if held is None or any(n < last for n, last in zip(held, reach, strict=bool(reach))):
        raise FormatError(
            f"{dataset.name} is a virtual data set that shows more of {name} than {path} holds, which is "
            f"{shape or 'nothing'}. Wait until it is written, or copy it again.",
            path=own,
        )


def _found(own: Path, name: str) -> Path | None:
    """Return the file where HDF5 finds it: by its name beside the file that names it, or in the working directory."""
    places = (own.parent / name, own.resolve().parent / name, own.parent / Path(name).name, Path(name))
    return next((place for place in places if place.is_file()), None)
