"""The arrays of a store as they are read: patterns row by row, everything else as arrays."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int64, Shaped, UInt8

from ptychofold.data.files import HEADER_BYTES
from ptychofold.data.manifest import ArrayRecord, Manifest
from ptychofold.errors import StoreError
from ptychofold.formats.lazy import ArrayInMemory, Layout, MappedArray
from ptychofold.raw_data import RawData
from ptychofold.typing import ArraySource

__all__ = ["GrowingArray", "array_path", "check_sizes", "load_array", "open_scan"]

LOADED_BYTES = 1 << 20
"""Arrays up to this size are read when a store is opened; larger ones are mapped."""


@dataclass(frozen=True, eq=False)
class GrowingArray:
    """The rows that an array had when it was looked at; another process may be appending to it."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    _maps: list[np.ndarray] = field(init=False, repr=False, default_factory=list)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_maps": []}

    @property
    def access(self) -> str:
        """How rows are reached."""
        return f"memory-mapped, first {self.shape[0]} rows of a growing array"

    @property
    def random_access(self) -> bool:
        """Always."""
        return True

    def asarray(self) -> Shaped[np.ndarray, "scan ..."]:
        """Return the rows as a read-only view of the file."""
        if not self._maps:
            mapped = np.memmap(self.path, self.dtype, "r", offset=HEADER_BYTES, shape=self.shape)
            self._maps.append(mapped.view(np.ndarray))
        return self._maps[0]

    def frames(self) -> UInt8[np.ndarray, "scan byte"] | None:
        """Return each row's bytes as they lie in the mapped file; None if there are none."""
        return ArrayInMemory(self.asarray()).frames()

    def read(
        self, rows: Int64[np.ndarray, " n"] | slice, out: Shaped[np.ndarray, "n ..."] | None = None
    ) -> Shaped[np.ndarray, "n ..."]:
        """Return rows in the stored dtype; see `ArraySource.read`."""
        return ArrayInMemory(self.asarray()).read(rows, out)


def array_path(directory: Path, name: str) -> Path:
    """Return the file of an array of a store."""
    return directory / f"{name}.npy"


def check_sizes(directory: Path, manifest: Manifest) -> None:
    """Refuse a store in which a file is absent or has not the size that the manifest says.

    Raises
    ------
    StoreError
        If so; the message names the file.
    """
    for name, record in manifest.arrays.items():
        path = array_path(directory, name)
        try:
            size = path.stat().st_size
        except OSError as error:
            raise StoreError(
                f"{directory}: {path.name} cannot be found ({error.strerror}); the store is damaged. "
                "Restore it from a copy, or ingest the scan again."
            ) from error
        if size < record.file_bytes or (size > record.file_bytes and manifest.state == "whole"):
            raise StoreError(
                f"{directory}: expected {record.file_bytes} bytes of {path.name}; found {size}. The store is damaged: "
                "restore it from a copy, or ingest the scan again."
            )


def load_array(directory: Path, name: str, record: ArrayRecord) -> Shaped[np.ndarray, "..."]:
    """Return an array of a store, read-only: read if it is small, mapped if it is not."""
    path, dtype = array_path(directory, name), np.dtype(record.dtype)
    if record.file_bytes - HEADER_BYTES > LOADED_BYTES:
        return GrowingArray(path, record.shape, dtype).asarray()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        data = os.pread(descriptor, record.file_bytes - HEADER_BYTES, HEADER_BYTES)
    finally:
        os.close(descriptor)
    return np.frombuffer(data, dtype).reshape(record.shape)


def open_scan(directory: Path, manifest: Manifest) -> RawData:
    """Return the scan of a store; its fields were checked when it was ingested."""
    record = manifest.arrays["patterns"]
    path, dtype = array_path(directory, "patterns"), np.dtype(record.dtype)
    patterns: ArraySource = (
        GrowingArray(path, record.shape, dtype)
        if manifest.state == "live"
        else MappedArray(path, HEADER_BYTES, Layout(shape=record.shape, dtype=dtype))
    )
    arrays = {name: load_array(directory, name, other) for name, other in manifest.arrays.items() if name != "patterns"}
    return RawData(
        patterns=patterns,
        measurement=manifest.measurement,
        positions=arrays["positions"],
        positions_nominal=arrays["positions_nominal"],
        probe=arrays["probe"],
        object=arrays.get("object"),
        patches=arrays.get("patches"),
        scan_index=arrays["scan_index"],
        bad_pixels=arrays.get("bad_pixels"),
        metadata=manifest.metadata.metadata(),
        file_rows=arrays.get("file_rows"),
        energy=arrays["energy"],
    )
