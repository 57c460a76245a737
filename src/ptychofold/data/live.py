"""Append to a store while the scan is being measured: one writer, any number of readers.

Each append writes the rows behind those that count, then the headers, then one line of a log. A reader goes by the
manifest and the log, so that it sees whole patterns with their positions or does not see them; a writer that dies
leaves rows that do not count and that the next writer overwrites. A store survives the end of any process at any
moment; a power cut may cost what was appended since the last `StoreWriter.sync`.
"""

import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from jaxtyping import Bool, Shaped

from ptychofold.data.appends import MOST_LINES, AppendLog, read_store, remove_logs
from ptychofold.data.arrays import array_path, load_array
from ptychofold.data.files import locked, npy_header, write_all, writing_explained
from ptychofold.data.manifest import Manifest
from ptychofold.errors import DtypeError, ShapeError, StoreError
from ptychofold.formats.cleared import Cleared
from ptychofold.formats.lazy import ArrayInMemory
from ptychofold.scaling import energy_sums

__all__ = ["StoreWriter"]

GROWING = ("patterns", "energy", "positions", "positions_nominal", "scan_index")


class StoreWriter:
    """The one writer of a live store, as a context manager; made by `PatternStore.writer`.

    Parameters
    ----------
    directory
        A store that was created with ``live=True`` and has not been finished.

    Raises
    ------
    StoreError
        If there is no such store, it is whole, or another process is writing to it.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self._resources = ExitStack()
        self._check_live(read_store(self.directory))
        with ExitStack() as stack:
            stack.enter_context(locked(self.directory, doing="appending to it"))
            self._manifest = read_store(self.directory)
            self._check_live(self._manifest)
            self._files = {name: self._open(name, stack) for name in GROWING}
            mask = self._manifest.arrays.get("bad_pixels")
            self._bad_pixels = None if mask is None else load_array(self.directory, "bad_pixels", mask)
            self._log = AppendLog.begun(self.directory, self._manifest, durable=False)
            stack.callback(self._close_log)
            self._resources = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def n_scan(self) -> int:
        """Patterns in the store."""
        return self._manifest.arrays["patterns"].shape[0]

    @property
    def n_dropped(self) -> int:
        """Patterns that were measured but not stored, since the store was created."""
        return self._manifest.n_dropped

    def append(
        self,
        patterns: Shaped[np.ndarray, "..."],
        positions: Shaped[np.ndarray, "..."],
        *,
        positions_nominal: Shaped[np.ndarray, "..."] | None = None,
        n_dropped: int = 0,
    ) -> int:
        """Store patterns with their positions; when this returns, every reader that looks again sees them.

        A pattern with a negative or non-finite number, or without a finite position, is dropped and counted; in bad
        pixels such numbers are no measurement, and are stored as 0.

        Parameters
        ----------
        patterns
            (n, N, N) of the store's dtype.
        positions
            (n, 2), (y, x) in object pixels; NaN where a pattern's position was lost.
        positions_nominal
            (n, 2), commanded positions; the positions if None.
        n_dropped
            Patterns that the caller had to leave out before, to be added to the count.

        Returns
        -------
        n_dropped
            Patterns dropped by this call, ``n_dropped`` included.

        Raises
        ------
        DataError
            If the arrays do not fit the store or one another; nothing is stored then.
        StoreError
            If writing fails; nothing of this call counts then.
        """
        nominal = positions if positions_nominal is None else positions_nominal
        self._check(patterns, positions, nominal)
        if self._bad_pixels is not None and patterns.dtype.kind != "u":
            patterns = Cleared(self._bad_pixels).apply(patterns, np.arange(len(patterns)))
        good = _good(patterns, positions, nominal)
        n_lost = n_dropped + int(len(good) - good.sum())
        kept = patterns if good.all() else patterns[good]
        last_index = self._last_scan_index()
        rows = {
            "patterns": np.ascontiguousarray(kept),
            "energy": energy_sums(
                ArrayInMemory(kept), measurement=self._manifest.measurement, bad_pixels=self._bad_pixels
            ),
            "positions": positions[good].astype(np.float64),
            "positions_nominal": nominal[good].astype(np.float64),
            "scan_index": np.full(len(kept), last_index, np.int64),
        }
        with writing_explained(
            self.directory, remedy="What was appended before is whole. Make room, then append again."
        ):
            self._commit(rows, n_dropped=self.n_dropped + n_lost)
        return n_lost

    def finish(self) -> None:
        """Seal the store: it is whole from now on, and on the disk."""
        with writing_explained(self.directory, remedy="Make room, then finish again."):
            for name, descriptor in self._files.items():
                self._trim(name, descriptor)
            self.sync()
            self._manifest = self._manifest.model_copy(update={"state": "whole"})
            self._manifest.write(self.directory, durable=True)
            remove_logs(self.directory)
        self.close()

    def sync(self) -> None:
        """Wait until the disk has everything that was appended."""
        for descriptor in self._files.values():
            os.fsync(descriptor)
        self._begin_log(durable=True)

    def _begin_log(self, *, durable: bool) -> None:
        log = AppendLog.begun(self.directory, self._manifest, durable=durable)
        self._log.close()
        self._log = log

    def close(self) -> None:
        """Release the store to another writer; it stays live."""
        self._resources.close()

    def _close_log(self) -> None:
        self._log.close()

    def _open(self, name: str, stack: ExitStack) -> int:
        descriptor = os.open(array_path(self.directory, name), os.O_RDWR)
        stack.callback(os.close, descriptor)
        self._trim(name, descriptor)
        return descriptor

    def _trim(self, name: str, descriptor: int) -> None:
        """Cut off what an append that failed may have left behind the rows that count."""
        record = self._manifest.arrays[name]
        write_all(descriptor, npy_header(record.shape, np.dtype(record.dtype)), offset=0)
        os.ftruncate(descriptor, record.file_bytes)

    def _last_scan_index(self) -> int:
        record = self._manifest.arrays["scan_index"]
        return int.from_bytes(os.pread(self._files["scan_index"], 8, record.file_bytes - 8), "little", signed=True)

    def _commit(self, rows: dict[str, np.ndarray], *, n_dropped: int) -> None:
        if self._log.n_lines >= MOST_LINES:
            self._begin_log(durable=False)
        arrays = dict(self._manifest.arrays)
        for name, descriptor in self._files.items():
            write_all(descriptor, rows[name], offset=arrays[name].file_bytes)
            arrays[name] = arrays[name].grown(rows[name])
        for name, descriptor in self._files.items():
            write_all(descriptor, npy_header(arrays[name].shape, np.dtype(arrays[name].dtype)), offset=0)
        changes = {"arrays": arrays, "n_dropped": n_dropped, "n_appends": self._manifest.n_appends + 1}
        grown = self._manifest.model_copy(update=changes)
        self._log.add(self._manifest, grown)
        self._manifest = grown

    def _check_live(self, manifest: Manifest) -> None:
        if manifest.state != "live":
            raise StoreError(
                f"{self.directory}: expected a live store to append to; this one is whole. "
                "Create one with PatternStore.create(scan, directory, live=True)."
            )

    def _check(self, patterns: np.ndarray, positions: np.ndarray, nominal: np.ndarray) -> None:
        record = self._manifest.arrays["patterns"]
        if patterns.ndim != 3 or patterns.shape[1:] != record.shape[1:]:
            raise ShapeError(
                f"expected patterns of shape (n, {record.shape[1]}, {record.shape[2]}); found {patterns.shape}.",
                path=self.directory,
                field="patterns",
            )
        if patterns.dtype != np.dtype(record.dtype):
            raise DtypeError(
                f"expected patterns of {np.dtype(record.dtype)}, as the store has; found {patterns.dtype}. "
                "Cast them first.",
                path=self.directory,
                field="patterns",
            )
        for name, array in (("positions", positions), ("positions_nominal", nominal)):
            if array.shape != (len(patterns), 2):
                raise ShapeError(
                    f"expected {name} of shape ({len(patterns)}, 2), one row a pattern; found {array.shape}. "
                    "Give NaN where a position was lost.",
                    path=self.directory,
                    field=name,
                )


def _good(patterns: np.ndarray, positions: np.ndarray, nominal: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Tell which patterns can be stored."""
    good: Bool[np.ndarray, " n"] = np.isfinite(positions).all(axis=1) & np.isfinite(nominal).all(axis=1)
    if patterns.dtype.kind == "f":
        good &= np.isfinite(patterns).all(axis=(1, 2))
    if patterns.dtype.kind != "u":
        good &= (patterns >= 0).all(axis=(1, 2))
    return good
