"""A bad number anywhere in a scan is refused wherever the scan is read, by file, row and value."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ptychofold.cli.main import app
from ptychofold.config import BinStep, FrameStep, GroupingConfig, PreprocessConfig
from ptychofold.data import GroupedDataset
from ptychofold.errors import DomainError
from ptychofold.formats.lazy import ArrayInMemory
from ptychofold.raw_data import RawData
from ptychofold.reading import read_amplitude, read_intensity
from ptychofold.survey import summarise_patterns
from ptychofold.testing import make_scan
from ptychofold.validation import check_patterns

BAD_ROW = 133
GRID = GroupingConfig(grid=(2, 2), n_neighbors=5, seed=0)

READS: dict[str, Callable[[RawData], object]] = {
    "amplitude": lambda scan: scan.amplitude([0, BAD_ROW]),
    "contract": lambda scan: scan.generate_grouped_data(16, K=5, nsamples=200, seed=0, gridsize=2),
    "scaled batches": lambda scan: GroupedDataset(scan, GRID, scale=1.0).load(),
    "batches": lambda scan: GroupedDataset(scan, GRID).load(),
    "batches for a device": lambda scan: GroupedDataset(scan, GRID, scale=1.0, device="cpu").load(),
    "batches on a device": lambda scan: GroupedDataset(scan, GRID, scale=1.0, resident=True),
    "counts": lambda scan: GroupedDataset(scan, GRID, scale=1.0, values="counts").load(),
    "subset": lambda scan: scan.subset(range(100, 200)).amplitude([BAD_ROW - 100]),
    "copy": lambda scan: scan.to_file(f"{scan.metadata.source}.copy.npz"),
}


def write_scan(path: Path, bad: float, dtype: str = "f4") -> Path:
    scan = make_scan(n_scan=200, N=16)
    patterns = scan.patterns.read(slice(None)).astype(dtype)
    patterns[BAD_ROW, 2, 3] = bad
    columns = {"xcoords": scan.positions[:, 1], "ycoords": scan.positions[:, 0]}
    np.savez(path, allow_pickle=False, diff3d=patterns, probeGuess=scan.probe, **columns)
    return path


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("bad", [-2.0, np.nan, np.inf])
def test_a_bad_number_between_the_inspected_patterns_is_refused_where_it_is_read(
    read: str, bad: float, tmp_path: Path
) -> None:
    path = write_scan(tmp_path / "scan.npz", bad)
    scan = RawData.from_file(path, measurement="intensity")
    with pytest.raises(
        DomainError, match=rf"{path}: expected patterns.*found {bad} in row {BAD_ROW}, at pixel"
    ) as caught:
        READS[read](scan)
    assert caught.value.field == "patterns"
    assert [entry.name for entry in tmp_path.iterdir()] == ["scan.npz"]


def test_groups_drawn_again_meet_the_bad_pattern_too(tmp_path: Path) -> None:
    scan = RawData.from_file(write_scan(tmp_path / "scan.npz", np.nan), measurement="amplitude")
    dataset = GroupedDataset(scan, GRID, scale=1.0).regroup(1)
    with pytest.raises(DomainError, match=f"found nan in row {BAD_ROW}"):
        dataset.load()


def test_the_group_command_names_the_bad_pattern_and_leaves_nothing(tmp_path: Path) -> None:
    path = write_scan(tmp_path / "scan.npz", -2.0)
    result = CliRunner().invoke(app, ["group", str(path), "-o", str(tmp_path / "out.npz"), "-m", "amplitude"])
    assert result.exit_code == 3
    assert f"{path}: " in result.stderr
    assert f"found -2.0 in row {BAD_ROW}" in result.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["scan.npz"]


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "f2", "f4", "f8", ">i2", ">f4", ">f8"])
def test_good_numbers_of_every_dtype_pass_and_one_bad_number_does_not(dtype: str) -> None:
    patterns = np.zeros((3, 4, 4), dtype)
    limit = np.iinfo(dtype).max if patterns.dtype.kind == "i" else min(np.finfo(dtype).max, np.finfo("f4").max)
    patterns[1, 2, 3] = limit
    rows = np.array([7, 5, 9])
    check_patterns(patterns, rows=rows)
    patterns[2, 1, 0] = -1
    with pytest.raises(DomainError, match=r"found -1(\.0)? in row 9, at pixel \(1, 0\); 1 of its 16"):
        check_patterns(patterns, rows=rows)


def test_minus_zero_is_a_number_like_zero() -> None:
    check_patterns(np.full((1, 2, 2), -0.0, np.float32), rows=np.array([0]))


def test_a_number_beyond_float32_is_refused_before_it_becomes_infinite() -> None:
    source = ArrayInMemory(np.full((1, 2, 2), 1e300))
    for read in (read_amplitude, read_intensity):
        with pytest.raises(DomainError, match=r"found 1e\+300 in row 0"):
            read(source, np.array([0]), measurement="intensity")


def test_half_precision_patterns_open_without_a_warning() -> None:
    scan = make_scan(n_scan=60, N=32, n_photons=1e5)
    halves = scan.patterns.read(slice(None)).astype(np.float16)
    assert halves.sum(dtype=np.float64) > np.finfo(np.float16).max
    opened = RawData.from_arrays(patterns=halves, positions=scan.positions, probe=scan.probe, measurement="intensity")
    np.testing.assert_allclose(opened.amplitude([3])[0], np.sqrt(halves[3].astype(np.float32)))


MASK = np.zeros((16, 16), bool)
MASK[2, 3] = MASK[5, 5] = True


@pytest.mark.parametrize(("marker", "dtype"), [(-1, "i4"), (-1.0, "f4"), (np.nan, "f4"), (np.inf, "f8"), (1e300, "f8")])
def test_what_bad_pixels_hold_does_not_count(marker: float, dtype: str, tmp_path: Path) -> None:
    scan = make_scan(n_scan=60, N=16)
    zeroed = np.where(MASK, 0, scan.patterns.read(slice(None))).astype(dtype)
    marked = np.where(MASK, marker, zeroed).astype(dtype)
    files = {}
    for name, patterns in {"zeroed": zeroed, "marked": marked}.items():
        columns = {"xcoords": scan.positions[:, 1], "ycoords": scan.positions[:, 0]}
        files[name] = tmp_path / f"{name}.npz"
        np.savez(files[name], allow_pickle=False, diff3d=patterns, probeGuess=scan.probe, bad_pixels=MASK, **columns)
    want, found = (RawData.from_file(files[name], measurement="intensity") for name in ("zeroed", "marked"))
    assert np.isfinite(found.amplitude(range(60))).all()
    np.testing.assert_array_equal(found.amplitude([7, 3]), want.amplitude([7, 3]))
    np.testing.assert_array_equal(found.energies(), want.energies())
    np.testing.assert_array_equal(summarise_patterns(found).mean, summarise_patterns(want).mean)
    for options in ({}, {"resident": True, "device": "cpu"}, {"device": "cpu"}):
        batches = [GroupedDataset(scan, GRID, **options).load().diffraction for scan in (want, found)]
        np.testing.assert_array_equal(batches[1], batches[0])
    assert found.preprocessed(PreprocessConfig(steps=(FrameStep(drop=(0,)), BinStep(factor=2)))).N == 8
    np.testing.assert_array_equal(np.load(files["marked"])["diff3d"], marked)


def test_only_bad_pixels_are_forgiven_and_counts_there_stay(tmp_path: Path) -> None:
    scan = make_scan(n_scan=60, N=16)
    patterns = scan.patterns.read(slice(None)).astype("f4")
    patterns[:, 2, 3], patterns[:, 5, 5] = 9, -1
    source = ArrayInMemory(patterns)
    kept = replace(scan, patterns=source, bad_pixels=MASK).to_fields()
    read = RawData.from_fields(kept).patterns.read(np.array([4]))
    assert read[0, 2, 3] == 9
    assert read[0, 5, 5] == 0
    patterns[:, 7, 7] = -1
    with pytest.raises(DomainError, match=r"found -1.0 in row 0, at pixel \(7, 7\)"):
        RawData.from_fields(kept)


@pytest.mark.parametrize(("dtype", "mask"), [("u2", MASK), ("f4", MASK), ("f4", np.zeros((16, 16), bool))])
def test_a_source_without_such_numbers_stays_as_it_is(dtype: str, mask: np.ndarray) -> None:
    scan = make_scan(n_scan=60, N=16)
    source = ArrayInMemory(scan.patterns.read(slice(None)).astype(dtype))
    assert RawData.from_fields(replace(scan, patterns=source, bad_pixels=mask).to_fields()).patterns is source


@pytest.mark.parametrize(("measurement", "unit"), [("intensity", 1e-300), ("amplitude", 1e-25)])
def test_light_that_single_precision_cannot_hold_is_refused(measurement: str, unit: float) -> None:
    scan = make_scan(n_scan=4, N=16)
    faint = scan.patterns.read(slice(None)) * unit
    with pytest.raises(DomainError, match=r"brightest pixel has an intensity of at least 1.2e-38.*found .*Multiply"):
        RawData.from_arrays(patterns=faint, positions=scan.positions, probe=scan.probe, measurement=measurement)  # type: ignore[arg-type]
