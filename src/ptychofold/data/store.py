"""PatternStore: a scan on disk, its patterns in one mapped array, every byte under a checksum."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from jaxtyping import Shaped

from ptychofold.data.appends import read_store
from ptychofold.data.arrays import check_sizes, open_scan
from ptychofold.data.ingest import OnProgress, ingest
from ptychofold.data.live import StoreWriter
from ptychofold.data.manifest import Manifest
from ptychofold.data.verify import find_damage
from ptychofold.errors import StoreError
from ptychofold.raw_data import RawData

__all__ = ["PatternStore"]

N_NAMED = 8
"""Damaged parts that a message names one by one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PatternStore:
    """A directory that holds one scan, ready to be gathered from.

    ``patterns.npy`` is contiguous, in the detector's own dtype and readable by ``numpy.load(..., mmap_mode="r")``;
    every other field of the scan and the energy of each pattern is a small ``.npy`` beside it; ``manifest.json``
    describes them.

    Examples
    --------
    >>> import tempfile
    >>> from ptychofold.testing import make_scan
    >>> store = PatternStore.create(make_scan(n_scan=9, N=16), Path(tempfile.mkdtemp()) / "scan")
    >>> store.scan.patterns.shape, store.scan.energy.shape
    ((9, 16, 16), (9,))
    >>> store.verify()
    """

    directory: Path
    manifest: Manifest
    scan: RawData
    """The scan; its patterns stay on disk, mapped, and their energy is known, so that scales need no pass over them."""

    @classmethod
    def create(
        cls, scan: RawData, directory: str | Path, *, live: bool = False, on_progress: OnProgress | None = None
    ) -> Self:
        """Make a store of a scan in one pass and bounded memory, and open it.

        The store appears whole or not at all. What a kill, a full disk, a read error or an interrupt leaves under
        ``<directory>.partial`` never opens; running the same call again goes on where it stopped, after checking what
        is there. It starts over if the source has changed since. If the store of this very scan exists, it is opened.
        Scans in memory leave nothing behind and always start over.

        Parameters
        ----------
        scan
            Any readable scan; patterns keep their dtype (in this machine's byte order).
        directory
            The store to be; its parents are created. It must not exist, or be empty.
        live
            Leave the store open for `append`; the scan is what has been measured so far.
        on_progress
            Called with (patterns stored, patterns in all) as the ingest goes on.

        Raises
        ------
        StoreError
            If the directory holds something else, another process is ingesting into it, or the disk is full.
        FormatError
            If the source cannot be read.
        DataError
            If a pattern holds a negative or non-finite number.
        """
        ingest(scan, Path(directory), live=live, on_progress=on_progress)
        return cls.open(directory)

    @classmethod
    def open(cls, directory: str | Path, *, check_source: bool = True) -> Self:
        """Open a store for reading, without reading a pattern or a checksum.

        Parameters
        ----------
        directory
            The store.
        check_source
            Refuse the store if a file that it was made from has changed since; files that are gone do not matter.

        Raises
        ------
        StoreError
            If the store is missing, incomplete, stale, damaged, foreign or of a newer schema.
        """
        folder = Path(directory)
        manifest = read_store(folder)
        changed = manifest.changed_source() if check_source else None
        if changed is not None:
            raise StoreError(
                f"{folder}: the store is stale: {changed} has changed since it was ingested. "
                "Delete the store and ingest the file again, or open it with check_source=False to use it as it is."
            )
        check_sizes(folder, manifest)
        return cls(directory=folder, manifest=manifest, scan=open_scan(folder, manifest))

    def __len__(self) -> int:
        return len(self.scan)

    @property
    def is_live(self) -> bool:
        """Whether the scan is still being measured."""
        return self.manifest.state == "live"

    @property
    def n_dropped(self) -> int:
        """Patterns that were measured but could not be stored."""
        return self.manifest.n_dropped

    def refresh(self) -> Self:
        """Return the store as it is now; what this one shows stays as it is."""
        return type(self).open(self.directory, check_source=False)

    def writer(self) -> StoreWriter:
        """Become the one writer of a live store, for many appends; use it in a ``with`` block.

        Raises
        ------
        StoreError
            If the store is whole or another process is writing to it.
        """
        return StoreWriter(self.directory)

    def append(self, patterns: Shaped[np.ndarray, "..."], positions: Shaped[np.ndarray, "..."]) -> Self:
        """Append once to a live store and return it as it is now; see `StoreWriter.append` for shapes and errors."""
        with self.writer() as writer:
            writer.append(patterns, positions)
        return self.refresh()

    def verify(self, *, on_progress: OnProgress | None = None) -> None:
        """Read every byte and compare every checksum.

        Parameters
        ----------
        on_progress
            Called with (bytes read, bytes in all).

        Raises
        ------
        StoreError
            If anything is damaged; the message names the arrays and rows.
        """
        manifest = read_store(self.directory)
        check_sizes(self.directory, manifest)
        damages = find_damage(self.directory, manifest, on_progress=on_progress)
        if damages:
            more = f" and {len(damages) - N_NAMED} more" if len(damages) > N_NAMED else ""
            raise StoreError(
                f"{self.directory}: damaged: {', '.join(map(str, damages[:N_NAMED]))}{more}. "
                "Restore it from a copy, or delete it and ingest the scan again."
            )
