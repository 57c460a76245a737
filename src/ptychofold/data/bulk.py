"""Ingest many scans, each into a store of its own: in processes of this machine or on a Dask cluster."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

from ptychofold.config import ReadingConfig
from ptychofold.data.ingest import OnProgress
from ptychofold.data.store import PatternStore
from ptychofold.errors import ConfigError, PtychoError, StoreError
from ptychofold.optional import require
from ptychofold.raw_data import RawData
from ptychofold.typing import RequestedMeasurement

__all__ = ["Ingested", "ingest_file", "ingest_many"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Ingested:
    """What became of one file."""

    file: Path
    store: Path
    """Where its store is, or would be."""
    n_scan: int = 0
    """Patterns stored."""
    n_bytes: int = 0
    """Bytes of patterns stored."""
    seconds: float = 0.0
    error: PtychoError | None = None
    """Why there is no store; None if there is one."""


def ingest_file(
    file: Path,
    store: Path,
    *,
    measurement: RequestedMeasurement = "auto",
    reading: ReadingConfig | None = None,
    on_progress: OnProgress | None = None,
) -> Ingested:
    """Ingest one file; an error of ptychofold is returned, not raised."""
    start = time.perf_counter()
    try:
        scan = RawData.from_file(file, measurement=measurement, reading=reading)
        made = PatternStore.create(scan, store, on_progress=on_progress)
    except PtychoError as error:
        logger.info("%s: not ingested: %s", file, error)
        return Ingested(file=file, store=store, seconds=time.perf_counter() - start, error=error)
    record = made.manifest.arrays["patterns"]
    return Ingested(
        file=file,
        store=store,
        n_scan=len(made),
        n_bytes=record.shape[0] * record.row_bytes,
        seconds=time.perf_counter() - start,
    )


def ingest_many(
    files: Sequence[str | Path],
    directory: str | Path,
    *,
    measurement: RequestedMeasurement = "auto",
    reading: ReadingConfig | None = None,
    processes: int = 1,
    dask: str | None = None,
    on_done: Callable[[Ingested], None] | None = None,
    on_progress: OnProgress | None = None,
) -> tuple[Ingested, ...]:
    """Ingest scan files, each into ``directory/<file name without suffix>``; one that fails stops no other.

    Running the same call again passes over the stores that are there and finishes those that were begun.

    Parameters
    ----------
    files
        Scan files of any supported format.
    directory
        Where the stores go; created if absent.
    measurement
        As in `RawData.from_file`.
    reading
        As in `RawData.from_file`; the same for every file.
    processes
        Files that are ingested at the same time; 1 stays in this process.
    dask
        Address of a Dask scheduler whose workers ingest instead; they must see the files and the directory.
    on_done
        Called after each file, in the order in which they end.
    on_progress
        Called with (patterns stored, patterns in all) of the current file; only with one process.

    Returns
    -------
    results
        One for each file, in the order given; look at ``error``.

    Raises
    ------
    ConfigError
        If two files would go into the same store, or a number of processes below 1 is asked for.
    DependencyError
        If Dask is asked for and not installed.
    StoreError
        If the Dask scheduler cannot be reached.
    """
    jobs = _jobs(files, Path(directory).absolute())
    if processes < 1:
        raise ConfigError(f"expected at least 1 process; found {processes}.")
    ingest = partial(ingest_file, measurement=measurement, reading=_absolute(reading))
    if dask is not None:
        results = _on_dask(jobs, ingest, address=dask)
    elif processes == 1 or len(jobs) < 2:
        results = (ingest(file, store, on_progress=on_progress) for file, store in jobs)
    else:
        results = _in_processes(jobs, ingest, processes=min(processes, len(jobs)))
    done: dict[Path, Ingested] = {}
    for result in results:
        done[result.store] = result
        if on_done is not None:
            on_done(result)
    return tuple(done[store] for _, store in jobs)


def _jobs(files: Iterable[str | Path], directory: Path) -> list[tuple[Path, Path]]:
    """Return each file with its store; the names of the stores must differ."""
    paths = [Path(file).absolute() for file in files]
    jobs = [(path, directory / (path.name if path.is_dir() else path.stem)) for path in paths]
    file_of: dict[Path, Path] = {}
    for file, store in jobs:
        if store in file_of:
            raise ConfigError(
                f"expected files of different names; {file_of[store]} and {file} would both become {store}. "
                "Ingest them into different directories."
            )
        file_of[store] = file
    return jobs


def _absolute(reading: ReadingConfig | None) -> ReadingConfig | None:
    """Name the companion files so that a process elsewhere finds them; nothing else becomes a stated fact by it."""
    if reading is None:
        return None
    files = {name: getattr(reading, name) for name in reading.model_fields_set}
    return reading.model_copy(update={name: path.absolute() for name, path in files.items() if isinstance(path, Path)})


def _in_processes(
    jobs: list[tuple[Path, Path]], ingest: Callable[..., Ingested], *, processes: int
) -> Iterator[Ingested]:
    """Ingest in fresh processes, so that no thread or open file of this one is inherited."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures: dict[Future[Ingested], tuple[Path, Path]] = {}
        try:
            for file, store in jobs:
                futures[pool.submit(ingest, file, store)] = (file, store)
            for future in as_completed(futures):
                yield _result(future, *futures[future], killed=BrokenProcessPool)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _Pending(Protocol):
    """A future of any executor."""

    def result(self) -> Ingested: ...


def _result(future: _Pending, file: Path, store: Path, *, killed: type[Exception]) -> Ingested:
    """Return what became of a file; the end of the process that ingested it is an error of that file."""
    try:
        return future.result()
    except killed:
        error = StoreError(
            f"{store}: the process that ingested it was killed, perhaps for lack of memory. Run the ingest again with "
            "fewer processes; it goes on where it stopped."
        )
        return Ingested(file=file, store=store, error=error)


def _on_dask(jobs: list[tuple[Path, Path]], ingest: Callable[..., Ingested], *, address: str) -> Iterator[Ingested]:
    """Ingest on a Dask cluster; a worker that dies has its file ingested by another, which goes on where it stopped."""
    distributed = require("distributed", extra="dask")
    try:
        client = distributed.Client(address, set_as_default=False)
    except (OSError, ValueError) as error:
        raise StoreError(
            f"expected a Dask scheduler at {address}; it cannot be reached ({error}). Start one with: dask scheduler"
        ) from error
    with client:
        futures = {client.submit(ingest, file, store, pure=False): (file, store) for file, store in jobs}
        for future in distributed.as_completed(futures, loop=client.loop):
            yield _result(future, *futures[future], killed=distributed.KilledWorker)
