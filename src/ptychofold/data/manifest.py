"""The manifest of a store: what its arrays are, where they came from, and a checksum of every block of them."""

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Final, Literal, Self

import numpy as np
from jaxtyping import Shaped
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from ptychofold.config import ScanGeometry
from ptychofold.data.files import HEADER_BYTES, checksum, replace_text
from ptychofold.errors import StoreError
from ptychofold.formats.base import MANIFEST_NAME
from ptychofold.metadata import Metadata
from ptychofold.typing import Measurement

__all__ = ["SCHEMA_VERSION", "ArrayRecord", "Fingerprint", "Manifest", "read_manifest"]

FORMAT: Final = "ptychofold store"
SCHEMA_VERSION = 1
"""Version of the layout; a store of a newer one is refused."""
PARTIAL_SUFFIX = ".partial"


class Record(BaseModel):
    """A part of a manifest: frozen, and no name that this version does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ArrayRecord(Record):
    """One array of a store, in the file ``<name>.npy``."""

    shape: tuple[NonNegativeInt, ...]
    dtype: str
    """Type and byte order as NumPy writes them, such as ``"<u2"``."""
    block_rows: PositiveInt
    """Rows that each checksum covers; the last may cover fewer."""
    checksums: tuple[NonNegativeInt, ...] = ()
    """CRC-32 of each block of rows, header excluded."""

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.shape[1:]) * np.dtype(self.dtype).itemsize

    @property
    def file_bytes(self) -> int:
        """Bytes of the file, header included."""
        return HEADER_BYTES + self.shape[0] * self.row_bytes

    def grown(self, rows: Shaped[np.ndarray, "n ..."]) -> Self:
        """Return the record after C-contiguous rows have been appended; the open block's checksum goes on."""
        checksums, length = list(self.checksums), self.shape[0]
        for begin in self._cuts(length, len(rows)):
            end = min(len(rows), begin + self.block_rows - (length + begin) % self.block_rows)
            opens = (length + begin) % self.block_rows == 0
            checksums.append(checksum(rows[begin:end], 0 if opens else checksums.pop()))
        shape = (length + len(rows), *self.shape[1:])
        return self.model_copy(update={"shape": shape, "checksums": tuple(checksums)})

    def _cuts(self, length: int, count: int) -> list[int]:
        first_boundary = -length % self.block_rows
        return sorted({*([0] if count else []), *range(first_boundary, count, self.block_rows)})


class Fingerprint(Record):
    """A file that a store was made from, as it was then."""

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """Return the fingerprint of a file, or None if there is none."""
        try:
            status = path.stat()
        except OSError:
            return None
        return cls(path=str(path.absolute()), size=status.st_size, mtime_ns=status.st_mtime_ns)


class Origin(Record):
    """`Metadata` of the scan, as JSON."""

    wavelength_m: float | None
    pixel_size_m: tuple[float, float] | None
    n_photons: float | None
    source: str | None
    format: str | None
    format_reason: str | None = None
    measurement_reason: str
    geometry: ScanGeometry | None = None
    history: tuple[dict[str, object], ...]
    extra: dict[str, object]

    @classmethod
    def of(cls, metadata: Metadata) -> Self:
        """Return the metadata with every value as JSON knows it."""
        return cls.model_validate({item.name: _plain(getattr(metadata, item.name)) for item in fields_of(Metadata)})

    def metadata(self) -> Metadata:
        """Return the metadata."""
        return Metadata(**{item.name: getattr(self, item.name) for item in fields_of(Metadata)})


class Manifest(Record):
    """Everything that a store says of itself."""

    format: Literal["ptychofold store"] = FORMAT
    schema_version: PositiveInt = SCHEMA_VERSION
    state: Literal["whole", "live"]
    """Complete and sealed, or still being appended to."""
    measurement: Measurement
    n_dropped: NonNegativeInt = 0
    """Patterns that were measured but not stored, counted while the store was live."""
    n_appends: NonNegativeInt = 0
    """Appends to a live store that this manifest knows of; later ones are in its log."""
    sources: tuple[Fingerprint, ...]
    """Files that the scan was read from; none if it came from memory."""
    metadata: Origin
    arrays: dict[str, ArrayRecord]

    def render(self) -> bytes:
        """Return the one text that stands for this manifest, its own checksum included."""
        body = json.dumps(self.model_dump(), indent=1)
        return f'{body[:-2]},\n "checksum": {zlib.crc32(body.encode())}\n}}\n'.encode()

    def write(self, directory: Path, *, durable: bool) -> None:
        """Put the manifest into a store in one step."""
        replace_text(directory / MANIFEST_NAME, self.render(), durable=durable)

    def plan(self) -> Self:
        """Return the manifest without what is known only after the patterns have been read."""
        empty = {
            name: record.model_copy(update={"checksums": ()}) if name in ("patterns", "energy") else record
            for name, record in self.arrays.items()
        }
        return self.model_copy(update={"arrays": empty})

    def changed_source(self) -> str | None:
        """Return the source file that differs from what the store was made from, if it still exists and does."""
        for known in self.sources:
            now = Fingerprint.of(Path(known.path))
            if now is not None and now != known:
                return known.path
        return None


def read_manifest(directory: Path) -> Manifest:
    """Read and check the manifest of a store.

    Raises
    ------
    StoreError
        If there is no store, or it is incomplete, foreign, of a newer schema, or its manifest is damaged.
    """
    text = _read_text(directory)
    try:
        content = json.loads(text)
    except ValueError as error:
        raise _damaged(directory) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise StoreError(
            f"{directory}: expected a store of ptychofold; its {MANIFEST_NAME} is of something else. Check the path."
        )
    version = content.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise StoreError(
            f"{directory}: the store has schema version {version}, this ptychofold knows up to {SCHEMA_VERSION}. "
            "Update ptychofold, or ingest the scan again with this version."
        )
    content.pop("checksum", None)
    try:
        manifest = Manifest.model_validate(content)
        whole = manifest.render() == text
    except (ValidationError, TypeError, ValueError) as error:
        raise _damaged(directory) from error
    if not whole:
        raise _damaged(directory)
    return manifest


def _read_text(directory: Path) -> bytes:
    try:
        if not directory.name.endswith(PARTIAL_SUFFIX):
            return (directory / MANIFEST_NAME).read_bytes()
        problem = _why_absent(directory)
    except NotADirectoryError:
        problem = (
            "expected the directory of a store; found a file. Ingest the file first: ptychofold ingest FILE -o DIR."
        )
    except FileNotFoundError:
        problem = _why_absent(directory)
    except OSError as error:
        problem = f"the manifest cannot be read ({error.strerror}). Check the permissions and the disk."
    raise StoreError(f"{directory}: {problem}")


def _why_absent(directory: Path) -> str:
    directory = directory.resolve()  # "." has no name
    partial = directory.with_name(directory.name + PARTIAL_SUFFIX)
    if directory.name.endswith(PARTIAL_SUFFIX) and directory.is_dir():
        return "this store is incomplete: its ingest has not ended. Run the ingest again; it goes on where it stopped."
    if not directory.exists():
        if partial.exists():
            return f"the store is incomplete: see {partial.name}. Run the ingest again; it goes on where it stopped."
        return "expected a store; found nothing under this name. Check the path, or make it with ptychofold ingest."
    return (
        f"expected a store; this directory has no {MANIFEST_NAME}. Check the path, or ingest the scan into another one."
    )


def _damaged(directory: Path) -> StoreError:
    return StoreError(
        f"{directory}: {MANIFEST_NAME} is damaged: it fails its checksum. "
        "Restore it from a copy, or ingest the scan again."
    )


def _plain(value: object) -> object:
    """Return a value as JSON gives it back."""
    if isinstance(value, ScanGeometry):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return str(value)
