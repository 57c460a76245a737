"""Many scans into many stores: in this process, in several, on a Dask cluster; and the commands that do it."""

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ptychofold.cli.main import app
from ptychofold.data import bulk
from ptychofold.data.bulk import Ingested, ingest_many
from ptychofold.data.store import PatternStore
from ptychofold.errors import ConfigError, DependencyError, StoreError, UnsupportedFormatError
from ptychofold.testing import make_scan


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two good scans around a file that is none."""
    folder = tmp_path_factory.mktemp("files")
    for number in (0, 2):
        make_scan(n_scan=9, N=8, seed=number).to_file(folder / f"scan{number}.npz")
    (folder / "scan1.npz").write_text("no scan")
    return sorted(folder.iterdir())


def assert_two_of_three(results: tuple[Ingested, ...], directory: Path) -> None:
    assert [type(result.error) for result in results] == [type(None), UnsupportedFormatError, type(None)]
    assert [result.n_scan for result in results] == [9, 0, 9]
    for number in (0, 2):
        stored = PatternStore.open(directory / f"scan{number}").scan.patterns.read(np.arange(9))
        assert np.array_equal(stored, make_scan(n_scan=9, N=8, seed=number).patterns.read(np.arange(9)))
    assert sorted(path.name for path in directory.iterdir()) == ["scan0", "scan2"]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_file_that_fails_stops_no_other(files: list[Path], tmp_path: Path, processes: int) -> None:
    done: list[Ingested] = []
    results = ingest_many(files, tmp_path, measurement="intensity", processes=processes, on_done=done.append)
    assert_two_of_three(results, tmp_path)
    assert {result.file for result in done} == set(files)


def test_a_dask_cluster_does_the_same(files: list[Path], tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, protocol="inproc"
    ) as cluster:
        results = ingest_many(files, tmp_path, measurement="intensity", dask=cluster.scheduler_address)
    assert_two_of_three(results, tmp_path)


def test_a_dask_scheduler_that_is_not_there_is_named(files: list[Path], tmp_path: Path) -> None:
    dask = pytest.importorskip("dask")
    pytest.importorskip("distributed")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.2s"}),
        pytest.raises(StoreError, match=r"expected a Dask scheduler at tcp://127\.0\.0\.1:9"),
    ):
        ingest_many(files, tmp_path, dask="tcp://127.0.0.1:9")


def test_dask_is_optional(files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(DependencyError, match=r"ptychofold\[dask\]"):
        ingest_many(files, tmp_path, dask="tcp://127.0.0.1:9")


def test_files_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected files of different names"):
        ingest_many([tmp_path / "a" / "scan.npz", tmp_path / "b" / "scan.h5"], tmp_path)


def test_a_number_of_processes_below_one_is_refused(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected at least 1 process; found 0"):
        ingest_many(files, tmp_path, processes=0)


def test_a_process_that_was_killed_is_reported_for_its_file(tmp_path: Path) -> None:
    future: Future[Ingested] = Future()
    future.set_exception(BrokenProcessPool("killed"))
    result = bulk._result(future, tmp_path / "scan.npz", tmp_path / "scan", killed=BrokenProcessPool)
    assert "fewer processes" in str(result.error)


def test_the_command_ingests_reports_failures_and_ends_with_the_code_for_bad_data(
    files: list[Path], tmp_path: Path
) -> None:
    arguments = ["ingest", *map(str, files), "-o", str(tmp_path / "stores"), "-m", "intensity", "-p", "1"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 3
    assert "1 of 3 files were not ingested" in result.stderr
    assert "failed" in result.stdout
    again = CliRunner().invoke(app, [*arguments[:2], *arguments[4:]])
    assert (again.exit_code, again.stderr) == (0, "")


def test_the_command_shows_the_error_of_a_single_file(files: list[Path], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["ingest", str(files[1]), "-o", str(tmp_path)])
    assert result.exit_code == 3
    assert "no reader knows this file" in result.stderr


def test_the_command_verifies_a_store_and_names_damage(files: list[Path], tmp_path: Path) -> None:
    ingest_many(files[:1], tmp_path, measurement="intensity")
    good = CliRunner().invoke(app, ["verify", str(tmp_path / "scan0")])
    assert good.exit_code == 0
    assert "9 patterns, every checksum agrees" in good.stdout
    path = tmp_path / "scan0" / "patterns.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    damaged = CliRunner().invoke(app, ["verify", str(tmp_path / "scan0")])
    assert damaged.exit_code == 3
    assert "damaged: patterns (rows 0 to 8)" in damaged.stderr
