"""Experiments: the scans of a directory, each kept once in a store beside the others."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shutil import rmtree

from ptychofold.data.manifest import read_manifest
from ptychofold.data.store import PatternStore
from ptychofold.errors import ConfigError, FormatError
from ptychofold.formats.npz import read_probe
from ptychofold.raw_data import RawData
from ptychofold.validation import check_probe

__all__ = ["npz_files", "stored_scans"]


def npz_files(path: str | Path) -> list[Path]:
    """Return the NPZ files of a directory in the order of their names; a file is its own list.

    Raises
    ------
    FormatError
        If there is none.
    """
    files = [Path(path)] if Path(path).is_file() else sorted(Path(path).glob("*.npz"))
    if not files:
        raise FormatError("expected NPZ files in the directory; found none.", path=Path(path))
    return files


def stored_scans(
    files: Sequence[Path], directory: str | Path, *, probes: Sequence[Path] | None = None, remake: bool = False
) -> list[RawData]:
    """Open scans from stores named after their files, which are made where there are none.

    Parameters
    ----------
    files
        Scan files.
    directory
        Where the stores are, or will be.
    probes
        NPZ files, one a scan, whose probe replaces the scan's own.
    remake
        Make the stores anew.

    Raises
    ------
    ConfigError
        If there is not one probe a scan.
    StoreError
        If what is to be made anew is no store.
    """
    if probes is not None and len(probes) != len(files):
        raise ConfigError(f"expected a probe file for each of {len(files)} experiments; found {len(probes)}.")
    scans = [_stored(file, Path(directory) / file.stem, remake=remake) for file in files]
    return scans if probes is None else [_with_probe(*pair) for pair in zip(scans, probes, strict=True)]


def _stored(file: Path, folder: Path, *, remake: bool) -> RawData:
    scan = RawData.from_file(file)
    if not remake or not folder.exists():
        return PatternStore.create(scan, folder).scan
    read_manifest(folder)  # only a store is replaced, and only by a whole one
    remade = folder.with_name(f"{folder.name}.remade")
    PatternStore.create(scan, remade)
    rmtree(folder)
    remade.rename(folder)
    return PatternStore.open(folder).scan


def _with_probe(scan: RawData, file: Path) -> RawData:
    return replace(scan, probe=check_probe(read_probe(file), N=scan.N, path=file))
