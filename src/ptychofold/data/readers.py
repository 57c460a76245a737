"""Readers: rows of a scan as one float32 tensor, gathered on the host, sent to a device, or resident on it."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Generic, Literal, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, Int64, Shaped
from torch import Tensor

from ptychofold.data.buffers import BatchBuffers
from ptychofold.data.joined import JoinedArray, first_rows, split_rows
from ptychofold.errors import DomainError
from ptychofold.formats.lazy import ArrayInMemory
from ptychofold.formats.origins import check_rows
from ptychofold.raw_data import RawData
from ptychofold.reading import read_amplitude, read_intensity
from ptychofold.typing import ArraySource, Measurement

__all__ = [
    "Conversion",
    "DeviceReader",
    "HostReader",
    "JoinedReader",
    "Reader",
    "ResidentReader",
    "Values",
    "as_tensor",
    "in_memory",
    "make_reader",
]

Values = Literal["amplitude", "counts"]
"""What a batch's patterns are: float32 amplitude, or float32 counts for losses on photons."""


@runtime_checkable
class Stored(Protocol):
    """Patterns of a scan: an `ArraySource` on the host, or a tensor on a device."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape, scan points first."""
        ...

    @property
    def dtype(self) -> Hashable:
        """Data type as stored."""
        ...


Source = TypeVar("Source", bound=Stored)

RESIDENT_BYTES = 8 << 30
"""Largest scan that is read into memory because its file cannot be read row by row."""
GATHERABLE = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}
"""Dtypes that torch does not gather, and those of the same width that it does."""


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What stored numbers are, what they shall be, and where."""

    measurement: Measurement
    values: Values = "amplitude"
    device: torch.device | None = None
    """None means host memory, converted by the processor."""


class Reader(ABC, Generic[Source]):
    """Something that reads patterns of one scan, or of several that lie one after another.

    Parameters
    ----------
    sources
        Where the patterns of each scan are; all of one dtype.
    conversion
        What is made of them.
    path
        The file of a single scan, for messages.
    """

    def __init__(self, sources: Sequence[Source], conversion: Conversion, *, path: Path | None = None) -> None:
        self.sources: tuple[Source, ...] = tuple(sources)
        self.conversion = conversion
        self.path = path

    @property
    def kind(self) -> Hashable:
        """What readers must have in common to be joined."""
        return type(self), self.conversion, self.sources[0].dtype

    def joined(self, others: Sequence[Self]) -> Self:
        """Return a reader of these patterns and those of others of its kind, one after another, at the cost of one."""
        return type(self)([source for reader in (self, *others) for source in reader.sources], self.conversion)

    @abstractmethod
    def __call__(
        self, rows: Int64[np.ndarray, " n"], out: Float32[Tensor, "n N N"] | None = None
    ) -> Float32[Tensor, "n N N"]:
        """Return patterns in the order of ``rows``, in ``out`` or in memory of their own.

        Raises
        ------
        DomainError
            If a pattern holds a negative or a non-finite number.
        """


def make_reader(
    scan: RawData, *, values: Values = "amplitude", device: torch.device | None = None, resident: bool = False
) -> Reader[ArraySource] | Reader[Tensor]:
    """Choose the reader of a scan.

    Parameters
    ----------
    scan
        Where the patterns are.
    values
        What the patterns shall be.
    device
        Where they shall be; None means host memory, converted by the processor.
    resident
        Keep all patterns on the device, or in host memory, in their stored dtype and gather there: the fastest on a
        GPU, where they fit.
    """
    conversion = Conversion(measurement=scan.measurement, values=values, device=device)
    if resident:
        stored = in_memory(scan)
        if device is None:
            return HostReader([ArrayInMemory(stored)], conversion, path=scan.path)
        return ResidentReader([as_tensor(stored).to(device)], conversion)
    return (HostReader if device is None else DeviceReader)([scan.patterns], conversion, path=scan.path)


def in_memory(scan: RawData) -> Shaped[np.ndarray, "scan N N"]:
    """Read all patterns of a scan once, in their stored dtype.

    Raises
    ------
    DomainError
        If they exceed `RESIDENT_BYTES`.
    """
    size = int(np.prod(scan.patterns.shape)) * scan.patterns.dtype.itemsize
    if size > RESIDENT_BYTES:
        raise DomainError(
            f"expected patterns that can be read row by row or fit into {RESIDENT_BYTES >> 30} GiB of memory; found "
            f"{size / 2**30:.1f} GiB, {scan.patterns.access}. Make a store of it first: ptychofold ingest.",
            path=scan.metadata.source,
            field="patterns",
        )
    stored = scan.patterns.read(slice(None))
    check_rows(stored, source=scan.patterns, rows=np.arange(len(stored)), path=scan.path)
    return stored


def as_tensor(stored: Shaped[np.ndarray, "..."]) -> Shaped[Tensor, "..."]:
    """View an array as a tensor that nobody writes to: it may lie in memory that is read-only."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable")
        return torch.from_numpy(stored)


class HostReader(Reader[ArraySource]):
    """Gather and convert on the processor, one cache-sized block at a time."""

    def __init__(self, sources: Sequence[ArraySource], conversion: Conversion, *, path: Path | None = None) -> None:
        super().__init__(sources, conversion, path=path)
        self.source = JoinedArray.of(self.sources)
        self._read = read_amplitude if conversion.values == "amplitude" else read_intensity
        self._buffers = BatchBuffers()

    def __call__(
        self, rows: Int64[np.ndarray, " n"], out: Float32[Tensor, "n N N"] | None = None
    ) -> Float32[Tensor, "n N N"]:
        """Read rows into host memory."""
        target = self._buffers.empty((len(rows), *self.source.shape[1:])) if out is None else out
        self._read(self.source, rows, measurement=self.conversion.measurement, out=target.numpy(), path=self.path)
        return target


class DeviceReader(Reader[ArraySource]):
    """Gather on the host in the stored dtype, a fraction of float32's bytes; convert on the device."""

    def __init__(self, sources: Sequence[ArraySource], conversion: Conversion, *, path: Path | None = None) -> None:
        super().__init__(sources, conversion, path=path)
        self.source = JoinedArray.of(self.sources)
        self._buffer = np.empty((0, *self.source.shape[1:]), self.source.dtype)

    def __call__(
        self, rows: Int64[np.ndarray, " n"], out: Float32[Tensor, "n N N"] | None = None
    ) -> Float32[Tensor, "n N N"]:
        """Read rows onto the device."""
        device = self.conversion.device
        if len(self._buffer) < len(rows):
            self._buffer = _page_locked((len(rows), *self.source.shape[1:]), self.source.dtype, device)
        stored = self.source.read(rows, out=self._buffer[: len(rows)])
        check_rows(stored, source=self.source, rows=rows, path=self.path)
        moved = torch.from_numpy(stored).to(device)
        if out is None and moved.device.type == "cpu" and moved.dtype == torch.float32:
            moved = moved.clone()  # neither the move nor the conversion copies: the batch would be the buffer itself
        return _converted(moved, self.conversion, out)


class ResidentReader(Reader[Tensor]):
    """Keep the patterns on the device in their stored dtype; a batch is a gather there."""

    def __init__(self, sources: Sequence[Tensor], conversion: Conversion, *, path: Path | None = None) -> None:
        super().__init__(sources, conversion, path=path)
        self._gatherable = [source.view(GATHERABLE.get(source.dtype, source.dtype)) for source in self.sources]
        self._starts = first_rows([len(source) for source in self.sources])

    def __call__(
        self, rows: Int64[np.ndarray, " n"], out: Float32[Tensor, "n N N"] | None = None
    ) -> Float32[Tensor, "n N N"]:
        """Gather rows on the device."""
        numbers, runs = split_rows(rows, self._starts)
        first = self._gatherable[0]
        local = torch.from_numpy(numbers).to(first.device)
        gathered = first.new_empty((len(rows), *first.shape[1:]))
        for source, run in runs:
            torch.index_select(self._gatherable[source], 0, local[run], out=gathered[run])
        return _converted(gathered.view(self.sources[0].dtype), self.conversion, out)


class JoinedReader:
    """Read patterns of several scans by their number through all of them.

    Neighboring scans of one kind are read as one: one conversion, one transfer.

    Parameters
    ----------
    readers
        The reader of each scan.
    lengths
        How many patterns each scan has.
    """

    def __init__(self, readers: Sequence[Reader[ArraySource] | Reader[Tensor]], lengths: Sequence[int]) -> None:
        self.readers = tuple(readers)
        self.starts = first_rows(list(lengths))
        parts: list[Reader[ArraySource] | Reader[Tensor]] = []
        sizes: list[int] = []
        for _, alike in groupby(zip(readers, lengths, strict=True), key=lambda pair: pair[0].kind):
            (first, *others), counts = zip(*alike, strict=True)
            parts.append(first.joined(others) if others else first)
            sizes.append(sum(counts))
        self.parts, self._part_starts = tuple(parts), first_rows(sizes)
        self._buffers = BatchBuffers()

    def __call__(self, rows: Int64[np.ndarray, " n"]) -> Float32[Tensor, "n N N"]:
        """Read rows, best in the order of their scans.

        Raises
        ------
        DomainError
            If a pattern holds a negative or a non-finite number; the message names its file.
        """
        try:
            return self._read(rows)
        except DomainError:
            local, runs = split_rows(rows, self.starts)
            for scan, run in runs:
                self.readers[scan](local[run])
            raise

    def _read(self, rows: Int64[np.ndarray, " n"]) -> Float32[Tensor, "n N N"]:
        first = self.parts[0]
        if len(self.parts) == 1:
            return first(rows)
        shape, device = (len(rows), *first.sources[0].shape[1:]), first.conversion.device
        out = self._buffers.empty(shape) if device is None else torch.empty(shape, device=device)
        local, runs = split_rows(rows, self._part_starts)
        for part, run in runs:
            self.parts[part](local[run], out[run])
        return out


def _page_locked(shape: tuple[int, ...], dtype: np.dtype, device: torch.device | None) -> np.ndarray:
    """Return a buffer that a GPU copies from without a detour."""
    as_bytes = int(np.prod(shape)) * dtype.itemsize
    buffer = torch.empty(as_bytes, dtype=torch.uint8, pin_memory=device is not None and device.type == "cuda")
    return buffer.numpy().view(dtype).reshape(shape)


def _converted(
    stored: Shaped[Tensor, "n N N"], conversion: Conversion, out: Float32[Tensor, "n N N"] | None
) -> Float32[Tensor, "n N N"]:
    numbers = stored.to(torch.float32) if out is None else out.copy_(stored)
    if conversion.measurement == "intensity" and conversion.values == "amplitude":
        return numbers.sqrt_()
    if conversion.measurement == "amplitude" and conversion.values == "counts":
        return numbers.square_()
    return numbers
