"""The log of a live store: one line an append, so that a commit costs one write and no file has to be renamed.

The manifest of a live store is written anew every `MOST_LINES` appends; the log ``appends-<n>.log`` holds the appends
after the n-th, which is the one that the manifest was written at. A line counts when it is whole: the writer adds it
after the rows that it speaks of, and a reader that finds the last line unfinished leaves it out.
"""

import json
import os
from pathlib import Path
from typing import Self

from ptychofold.data.files import checksum, write_all
from ptychofold.data.manifest import ArrayRecord, Manifest, read_manifest
from ptychofold.errors import StoreError

__all__ = ["AppendLog", "read_store"]

MOST_LINES = 128
"""Appends after which the manifest is written anew and another log begun: a reader never reads more lines."""

Change = tuple[int, tuple[int, ...]]
"""Number of the first block whose checksum changed, and the checksums from there on."""


class AppendLog:
    """The open log of the one writer."""

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        path = log_path(directory, manifest)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        self._length = 0
        self.n_lines = 0

    @classmethod
    def begun(cls, directory: Path, manifest: Manifest, *, durable: bool) -> Self:
        """Write the manifest anew, begin its log, and remove older logs."""
        log = cls(directory, manifest)
        try:
            manifest.write(directory, durable=durable)
            remove_logs(directory, besides=log_path(directory, manifest))
        except BaseException:
            log.close()
            raise
        return log

    def add(self, before: Manifest, after: Manifest) -> None:
        """Add the line that makes the one manifest into the other; readers go by the new one from now on."""
        grown = {
            name: _change(before.arrays[name], record)
            for name, record in after.arrays.items()
            if record.shape != before.arrays[name].shape
        }
        text = json.dumps([after.n_appends, after.arrays["patterns"].shape[0], after.n_dropped, grown]).encode()
        line = b"%08x %s\n" % (checksum(text), text)
        write_all(self._descriptor, line, offset=self._length)
        self._length += len(line)
        self.n_lines += 1

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def log_path(directory: Path, manifest: Manifest) -> Path:
    """Return the log that goes on from a manifest."""
    return directory / f"appends-{manifest.n_appends}.log"


def remove_logs(directory: Path, *, besides: Path | None = None) -> None:
    """Remove the logs of earlier manifests."""
    for path in directory.glob("appends-*.log"):
        if path != besides:
            path.unlink()


def read_store(directory: Path) -> Manifest:
    """Return the manifest of a store with every append that has been finished.

    Raises
    ------
    StoreError
        As `read_manifest`, or if the log of a live store is damaged.
    """
    manifest = read_manifest(directory)
    while manifest.state == "live":
        try:
            lines = log_path(directory, manifest).read_bytes().splitlines(keepends=True)
        except FileNotFoundError:  # nothing was appended yet, or the writer has just begun another log
            newer = read_manifest(directory)
            if newer.n_appends == manifest.n_appends and newer.state == manifest.state:
                return manifest
            manifest = newer
            continue
        for number, line in enumerate(lines):
            grown = _applied(manifest, line)
            if grown is None and number < len(lines) - 1:
                raise StoreError(
                    f"{directory}: line {number + 1} of its log of appends is damaged; it holds "
                    f"{manifest.arrays['patterns'].shape[0]} patterns up to there. Restore the store from a copy."
                )
            manifest = grown or manifest
        return manifest
    return manifest


def _change(before: ArrayRecord, after: ArrayRecord) -> Change:
    first = max(0, len(before.checksums) - 1)
    if first < len(after.checksums) and before.checksums[first : first + 1] == after.checksums[first : first + 1]:
        first += 1
    return first, after.checksums[first:]


def _applied(manifest: Manifest, line: bytes) -> Manifest | None:
    """Return the manifest after an append, or None if the line is not whole."""
    stated, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or stated != b"%08x" % checksum(text):
        return None
    n_appends, n_scan, n_dropped, grown = json.loads(text)
    arrays = dict(manifest.arrays)
    for name, (first, checksums) in grown.items():
        old = arrays[name]
        arrays[name] = old.model_copy(
            update={"shape": (n_scan, *old.shape[1:]), "checksums": (*old.checksums[:first], *checksums)}
        )
    return manifest.model_copy(update={"arrays": arrays, "n_appends": n_appends, "n_dropped": n_dropped})
