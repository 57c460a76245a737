"""Read every byte of a store and name what is damaged."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ptychofold.data.arrays import array_path
from ptychofold.data.files import HEADER_BYTES, file_checksum, npy_header
from ptychofold.data.manifest import ArrayRecord, Manifest

__all__ = ["Damage", "find_damage"]

N_THREADS = 4


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A part of a store that is not as its manifest says."""

    array: str
    """Name of the array."""
    part: str
    """What of it, such as ``"rows 0 to 511"`` or ``"header"``."""

    def __str__(self) -> str:
        return f"{self.array} ({self.part})"


def find_damage(
    directory: Path, manifest: Manifest, *, on_progress: Callable[[int, int], None] | None = None
) -> tuple[Damage, ...]:
    """Read every block of every array and compare its checksum; memory stays small.

    Parameters
    ----------
    directory
        The store.
    manifest
        Its manifest, which `read_manifest` has checked.
    on_progress
        Called with (bytes read, bytes in all).

    Returns
    -------
    damages
        Every damaged header and block; empty if the store is whole.
    """
    blocks = [block for name, record in manifest.arrays.items() for block in _blocks(directory, name, record)]
    total, done = sum(block.count for block in blocks), 0
    damages = [
        Damage(array=name, part="header")
        for name, record in manifest.arrays.items()
        if not _header_good(array_path(directory, name), record, growing=manifest.state == "live")
    ]
    with ThreadPoolExecutor(N_THREADS) as threads:
        for block, good in zip(blocks, threads.map(_Block.good, blocks), strict=True):
            done += block.count
            if on_progress is not None:
                on_progress(done, total)
            if not good:
                damages.append(Damage(array=block.name, part=f"rows {block.start} to {block.stop - 1}"))
    return tuple(damages)


@dataclass(frozen=True, kw_only=True)
class _Block:
    path: Path
    name: str
    start: int
    stop: int
    offset: int
    count: int
    checksum: int | None

    def good(self) -> bool:
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            return file_checksum(descriptor, offset=self.offset, count=self.count) == self.checksum
        finally:
            os.close(descriptor)


def _blocks(directory: Path, name: str, record: ArrayRecord) -> Iterator[_Block]:
    starts = range(0, record.shape[0], record.block_rows)
    for number, start in enumerate(starts):
        stop = min(start + record.block_rows, record.shape[0])
        yield _Block(
            path=array_path(directory, name),
            name=name,
            start=start,
            stop=stop,
            offset=HEADER_BYTES + start * record.row_bytes,
            count=(stop - start) * record.row_bytes,
            checksum=record.checksums[number] if number < len(record.checksums) else None,
        )


def _header_good(path: Path, record: ArrayRecord, *, growing: bool) -> bool:
    """Tell whether the header is as it must be; a growing array's may be ahead of the manifest by whole rows."""
    with path.open("rb") as file:
        found, size = file.read(HEADER_BYTES), os.fstat(file.fileno()).st_size
    n_most = (size - HEADER_BYTES) // record.row_bytes if growing else record.shape[0]
    digits = found.partition(b"(")[2].partition(b",")[0].strip()
    n_found = int(digits) if digits.isdigit() else -1
    shape, dtype = (n_found, *record.shape[1:]), np.dtype(record.dtype)
    return record.shape[0] <= n_found <= n_most and found == npy_header(shape, dtype)
