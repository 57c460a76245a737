"""Opening and grouping a 2 GB uncompressed NPZ: time, and what it costs in resident memory."""

import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from tests.test_memory import OPEN_AND_GROUP, write

N_SCAN = 61_036
"""Patterns of 128 × 128 uint16 that make 2 GB."""


@pytest.fixture(scope="module")
def scan_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("scan") / "large.npz", N_SCAN)


def test_opening_and_grouping_two_gigabytes(benchmark: BenchmarkFixture, scan_file: Path) -> None:
    small = write(scan_file.with_name("small.npz"), 16)
    command = [sys.executable, "-c", OPEN_AND_GROUP, str(scan_file), str(small)]

    def open_and_group() -> int:
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    resident = benchmark.pedantic(open_and_group, rounds=3)
    benchmark.extra_info["resident MB"] = round(resident / 1e6, 1)
    benchmark.extra_info["file MB"] = round(scan_file.stat().st_size / 1e6)
