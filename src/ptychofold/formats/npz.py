"""The contract's NPZ: ``xcoords ycoords diff3d|diffraction probeGuess`` and optional companions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Shaped

from ptychofold.errors import DtypeError, FormatError, MissingFieldError
from ptychofold.formats.archive import Member, NpyHeader, list_members, read_array, read_header
from ptychofold.formats.base import ZIP_MAGICS, Format, read_start
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.layout import frames_are_last
from ptychofold.formats.lazy import ArrayInMemory, MappedArray, mapped_member
from ptychofold.formats.npz_metadata import Declaration, parse_description, parse_metadata
from ptychofold.formats.npz_objects import read_none_or_text
from ptychofold.formats.npz_write import write
from ptychofold.formats.ptychodus import centre_shift
from ptychofold.typing import ArraySource
from ptychofold.validation import check_columns

__all__ = ["FORMAT", "read_probe"]

NAME = "PtychoPINN NPZ"
PATTERNS = ("diff3d", "diffraction", "counts")
PATCHES = ("Y", "label")
TELLTALE = {"xcoords", "ycoords", "probeGuess", *PATTERNS}
PTYCHODUS_NAMES = {
    "xcoords", "ycoords", "xcoords_start", "ycoords_start", "scan_index",
    "diff3d", "bad_pixels", "probeGuess", "objectGuess",
}  # fmt: skip
"""Exactly what Ptychodus 1.7 writes with ``save_ptychopinn_training_data``; its positions follow its own convention."""


def sniff(path: Path) -> str | None:
    """Recognise a zip archive that holds at least one array under a name of the contract."""
    if not read_start(path).startswith(ZIP_MAGICS):
        return None
    found = TELLTALE & set(list_members(path))
    return f"a zip archive with {', '.join(sorted(found))}" if found else None


def read(path: Path, *, lazy: bool) -> ScanFields:
    """Read a contract NPZ; uncompressed patterns stay mapped in the file, compressed ones are inflated when read.

    Parameters
    ----------
    path
        The archive.
    lazy
        Leave the patterns in the file; False loads them.

    Raises
    ------
    FormatError
        If the archive is damaged or a member holds a pickle other than None or a text.
    MissingFieldError
        If coordinates or patterns are missing.
    """
    archive = _Archive(path=path, members=list_members(path))
    positions = archive.positions("xcoords", "ycoords")
    nominal = archive.positions("xcoords_start", "ycoords_start")
    declaration = parse_metadata(archive.text("_metadata"), path=path)
    if "_metadata" not in archive.members and "meta_json" in archive.members:
        declaration = replace(declaration, metadata=parse_description(archive.text("meta_json")))
    if positions is None:
        raise archive.missing(("xcoords", "ycoords"))
    patterns = archive.patterns(n_scan=len(positions))
    declaration = _known_exporter(declaration, patterns.dtype, names=set(archive.members))
    if set(archive.members) == PTYCHODUS_NAMES:
        positions, nominal = (
            None if pair is None else pair + centre_shift((patterns.shape[1], patterns.shape[2]))
            for pair in (positions, nominal)
        )
    return ScanFields(
        path=path,
        format=NAME,
        patterns=patterns if lazy else _loaded(patterns),
        positions=positions,
        positions_nominal=nominal,
        probe=archive.probe(),
        object=archive.array("objectGuess"),
        patches=archive.patches(),
        scan_index=archive.array("scan_index"),
        bad_pixels=archive.bad_pixels(),
        measurement=declaration.measurement,
        measurement_reason=declaration.reason,
        measurement_expected=_expected(patterns.dtype, names=set(archive.members)),
        metadata=declaration.metadata,
        names=tuple(archive.members),
    )


def read_probe(path: Path) -> Shaped[np.ndarray, "..."]:
    """Return ``probeGuess`` of an archive, which need not hold a scan.

    Raises
    ------
    FormatError
        If the file is no NPZ archive, or is damaged.
    MissingFieldError
        If it has no probe.
    """
    archive = _Archive(path=path, members=list_members(path))
    probe = archive.probe()
    if probe is None:
        raise archive.missing(("probeGuess",))
    return probe


def _expected(dtype: np.dtype, *, names: set[str]) -> Literal["amplitude"] | None:
    return "amplitude" if dtype.kind == "f" and names != PTYCHODUS_NAMES else None


def _known_exporter(declaration: Declaration, dtype: np.dtype, *, names: set[str]) -> Declaration:
    if declaration.measurement is None and "counts" in names and not names & {"diff3d", "diffraction"}:
        return replace(declaration, measurement="intensity", reason="the archive names the patterns counts")
    if declaration.measurement is None and names == PTYCHODUS_NAMES and dtype.kind in "ui":
        reason = f"{dtype} exported by Ptychodus for PtychoPINN, which writes detector counts"
        return replace(declaration, measurement="intensity", reason=reason)
    return declaration


def _loaded(source: ArraySource) -> ArrayInMemory:
    array = np.empty(source.shape, source.dtype)
    return ArrayInMemory(source.read(slice(None), out=array))


@dataclass(frozen=True, kw_only=True)
class _Archive:
    """The members of one NPZ and the ways to read them."""

    path: Path
    members: Mapping[str, Member]

    def missing(self, tried: tuple[str, ...]) -> MissingFieldError:
        names = " and ".join(tried) if tried[0] not in PATTERNS else " or ".join(tried)
        return MissingFieldError(
            f"expected {names}; the archive holds {', '.join(self.members) or 'nothing'}. "
            "Add the array under the contract's name.",
            path=self.path,
            field={"xcoords": "positions", "diff3d": "patterns", "probeGuess": "probe"}[tried[0]],
        )

    def array(self, name: str) -> Shaped[np.ndarray, "..."] | None:
        """Load numbers; None if the member is absent or a pickled None."""
        opened = self._open(name)
        if opened is None:
            return None
        array = read_array(*opened)
        if array.dtype.kind in "US":
            raise DtypeError(f"expected numbers as {name}; found text.", path=self.path, field=name)
        return array

    def probe(self) -> Shaped[np.ndarray, "..."] | None:
        """Load the probe; one of shape (N, N, 1) becomes (N, N); None if there is none."""
        probe = self.array("probeGuess")
        if probe is None:
            return None
        single = probe.ndim == 3 and probe.shape[2] == 1 and probe.shape[0] == probe.shape[1]
        return probe[:, :, 0] if single else probe

    def bad_pixels(self) -> Shaped[np.ndarray, "N N"] | None:
        """Load the mask of bad pixels, or the complement of good ones."""
        good = self.array("good_pixels")
        return self.array("bad_pixels") if good is None or "bad_pixels" in self.members else good == 0

    def text(self, name: str) -> str | None:
        """Load a text, plain or pickled; None if it is absent."""
        if name not in self.members:
            return None
        header = read_header(self.members[name])
        if header.dtype.hasobject:
            return read_none_or_text(self.members[name], header)
        array = read_array(self.members[name], header)
        if array.dtype.kind != "U" or array.size != 1:
            raise FormatError(
                f"expected one text as {name}; found {array.dtype} of shape {array.shape}. Remove the member.",
                path=self.path,
            )
        return str(array.item())

    def positions(self, x_name: str, y_name: str) -> Shaped[np.ndarray, "scan 2"] | None:
        """Load a pair of coordinate arrays as ``(y, x)``; None if both are absent."""
        x, y = self.array(x_name), self.array(y_name)
        if x is None and y is None:
            return None
        if x is None or y is None:
            raise self.missing(("xcoords", "ycoords"))
        return check_columns(x, y, names=(x_name, y_name), path=self.path)

    def patterns(self, *, n_scan: int) -> ArraySource:
        """Open the patterns with their frames first."""
        name = next((name for name in PATTERNS if name in self.members), None)
        opened = None if name is None else self._open(name)
        if name is None or opened is None:
            raise self.missing(PATTERNS)
        member, header = opened
        frames_last = frames_are_last(header.shape, n_scan=n_scan, path=self.path)
        return mapped_member(member, header, frames_last=frames_last)

    def patches(self) -> Shaped[np.ndarray, "scan N N"] | None:
        """Open ground truth: a view of the file if it is uncompressed, loaded otherwise."""
        opened = next((found for found in map(self._open, PATCHES) if found is not None), None)
        if opened is None:
            return None
        source = mapped_member(*opened) if opened[1].shape else None
        array = source.asarray() if isinstance(source, MappedArray) else read_array(*opened)
        return array[..., 0] if array.ndim == 4 and array.shape[3] == 1 else array

    def _open(self, name: str) -> tuple[Member, NpyHeader] | None:
        if name not in self.members:
            return None
        member = self.members[name]
        header = read_header(member)
        if not header.dtype.hasobject:
            return member, header
        if read_none_or_text(member, header) is not None:
            raise DtypeError(f"expected numbers as {name}; found a pickled text.", path=self.path, field=name)
        return None


FORMAT = Format(
    name=NAME,
    description="the contract's arrays in a NumPy zip archive, as PtychoPINN and Ptychodus write them",
    suffixes=(".npz",),
    sniff=sniff,
    read=read,
    write=write,
)
