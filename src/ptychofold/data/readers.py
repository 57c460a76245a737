"""Readers: rows of a scan as one float32 tensor, gathered on the host, sent to a device, or resident on it."""

from typing import Literal, Protocol

import numpy as np
import torch
from jaxtyping import Float32, Int64, Shaped
from torch import Tensor

from ptychofold.errors import DomainError
from ptychofold.formats.view import rows_in_file
from ptychofold.raw_data import RawData
from ptychofold.reading import read_amplitude, read_intensity
from ptychofold.typing import Measurement
from ptychofold.validation import check_patterns

__all__ = ["DeviceReader", "HostReader", "Reader", "ResidentReader", "Values", "in_memory", "make_reader"]

Values = Literal["amplitude", "counts"]
"""What a batch's patterns are: float32 amplitude, or float32 counts for losses on photons."""

RESIDENT_BYTES = 8 << 30
"""Largest scan that is read into memory because its file cannot be read row by row."""
GATHERABLE = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}
"""Dtypes that torch does not gather, and those of the same width that it does."""


class Reader(Protocol):
    """Something that reads patterns of one scan."""

    def __call__(
        self, rows: Int64[np.ndarray, " n"], out: Float32[Tensor, "n N N"] | None = None
    ) -> Float32[Tensor, "n N N"]:
        """Return patterns in the order of ``rows``, in ``out`` or in memory of their own."""
        ...


def make_reader(
    scan: RawData, *, values: Values = "amplitude", device: torch.device | None = None, resident: bool = False
) -> Reader:
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
        Keep all patterns on the device in their stored dtype and gather there: the fastest, where they fit.
    """
    if resident:
        return ResidentReader(scan, values=values, device=device or torch.device("cpu"))
    if device is None:
        return HostReader(scan, values=values)
    return DeviceReader(scan, values=values, device=device)


def in_memory(scan: RawData) -> Shaped[np.ndarray, "scan N N"]:
    """Read all patterns of a scan once, in their stored dtype.

    Raises
    ------
    DomainError
        If they exceed `RESIDENT_BYTES`, or one is negative or non-finite.
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
    check_patterns(stored, rows=rows_in_file(scan.patterns, np.arange(len(stored))), path=scan.path)
    return stored


class HostReader:
    """Gather and convert on the processor, one cache-sized block at a time."""

    def __init__(self, scan: RawData, *, values: Values) -> None:
        self.source, self.measurement, self.path = scan.patterns, scan.measurement, scan.path
        self.read = read_amplitude if values == "amplitude" else read_intensity

    def __call__(
        self, rows: Int64[np.ndarray, " n"], out: Float32[Tensor, "n N N"] | None = None
    ) -> Float32[Tensor, "n N N"]:
        """Read rows into host memory."""
        target = torch.empty((len(rows), *self.source.shape[1:])) if out is None else out
        self.read(self.source, rows, measurement=self.measurement, out=target.numpy(), path=self.path)
        return target


class DeviceReader:
    """Gather on the host in the stored dtype, a fraction of float32's bytes; convert on the device."""

    def __init__(self, scan: RawData, *, values: Values, device: torch.device) -> None:
        self.source, self.measurement, self.path = scan.patterns, scan.measurement, scan.path
        self.values: Values = values
        self.device = device
        self._buffer = np.empty((0, *scan.patterns.shape[1:]), scan.patterns.dtype)

    def __call__(
        self, rows: Int64[np.ndarray, " n"], out: Float32[Tensor, "n N N"] | None = None
    ) -> Float32[Tensor, "n N N"]:
        """Read rows onto the device."""
        if len(self._buffer) < len(rows):
            self._buffer = _page_locked((len(rows), *self.source.shape[1:]), self.source.dtype, self.device)
        stored = self.source.read(rows, out=self._buffer[: len(rows)])
        check_patterns(stored, rows=rows_in_file(self.source, rows), path=self.path)
        return _converted(torch.from_numpy(stored).to(self.device), self.measurement, self.values, out)


class ResidentReader:
    """Keep the patterns on the device in their stored dtype; a batch is one gather there."""

    def __init__(self, scan: RawData, *, values: Values, device: torch.device) -> None:
        self.measurement = scan.measurement
        self.values: Values = values
        stored = in_memory(scan)
        self.patterns = torch.from_numpy(stored if stored.flags.writeable else stored.copy()).to(device)

    def __call__(
        self, rows: Int64[np.ndarray, " n"], out: Float32[Tensor, "n N N"] | None = None
    ) -> Float32[Tensor, "n N N"]:
        """Gather rows on the device."""
        native = self.patterns.dtype
        gathered = torch.index_select(
            self.patterns.view(GATHERABLE.get(native, native)), 0, torch.from_numpy(rows).to(self.patterns.device)
        )
        return _converted(gathered.view(native), self.measurement, self.values, out)


def _page_locked(shape: tuple[int, ...], dtype: np.dtype, device: torch.device) -> np.ndarray:
    """Return a buffer that a GPU copies from without a detour."""
    as_bytes = int(np.prod(shape)) * dtype.itemsize
    buffer = torch.empty(as_bytes, dtype=torch.uint8, pin_memory=device.type == "cuda")
    return buffer.numpy().view(dtype).reshape(shape)


def _converted(
    stored: Shaped[Tensor, "n N N"], measurement: Measurement, values: Values, out: Float32[Tensor, "n N N"] | None
) -> Float32[Tensor, "n N N"]:
    numbers = stored.to(torch.float32) if out is None else out.copy_(stored)
    if measurement == "intensity" and values == "amplitude":
        return numbers.sqrt_()
    if measurement == "amplitude" and values == "counts":
        return numbers.square_()
    return numbers
