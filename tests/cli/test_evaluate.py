"""``ptychofold evaluate``."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.cli.files import good_scan
from typer.testing import CliRunner

from ptychofold.cli.main import app
from ptychofold.config import SimulationConfig
from ptychofold.physics import simulate_scan
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.alignment import resampled
from ptychofold.testing import make_scan


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("evaluate")
    return str(good_scan(folder / "a.npz", seed=0)), str(good_scan(folder / "b.npz", seed=1))


def test_an_object_is_as_good_as_itself(files: tuple[str, str]) -> None:
    result = CliRunner().invoke(app, ["evaluate", files[0], files[0], "--json"])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["ssim"]["phase"] == pytest.approx(1)
    assert found["mean_absolute_error"]["complex"] == pytest.approx(0, abs=1e-6)
    assert found["resolution_px"]["half_bit"] is None
    assert found["exceeds"]["half_bit"] is True
    assert found["ambiguities"]["scale"] == pytest.approx(1)
    assert len(found["ring_frequency"]) == len(found["ring_correlation"])


def test_two_objects_are_compared_in_a_table_and_a_picture(files: tuple[str, str], tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    result = CliRunner().invoke(app, ["evaluate", *files, "--whole", "--no-shift", "--plot", str(picture)])
    assert result.exit_code == 0, result.stderr
    for word in ("SSIM", "PSNR / dB", "data range", "taken out of A", "ring correlation over", "shift (0, 0) px"):
        assert word in result.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_objects_that_nowhere_correlate_do_not_read_like_perfect_ones(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("a.npz", "b.npz")]
    for seed, file in enumerate(files):
        rng = np.random.default_rng(seed)
        noise = (rng.standard_normal((64, 64)) + 1j * rng.standard_normal((64, 64))).astype(np.complex64)
        replace(make_scan(n_scan=9, N=16), object=noise).to_file(file)
    said = {
        other: CliRunner().invoke(app, ["evaluate", files[0], other, "--whole", "--no-shift"]).stdout for other in files
    }
    assert "1 bit at no frequency" in said[files[0]]
    assert "1 bit at every frequency" in said[files[1]]


@pytest.mark.parametrize(("name", "begins"), [("a.pdf", b"%PDF"), ("a.svg", b"<?xml")])
def test_a_picture_is_of_the_format_that_its_name_says(
    files: tuple[str, str], tmp_path: Path, name: str, begins: bytes
) -> None:
    assert CliRunner().invoke(app, ["evaluate", *files, "--plot", str(tmp_path / name)]).exit_code == 0
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_a_picture_of_no_known_format_is_refused(files: tuple[str, str], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", *files, "--plot", str(tmp_path / "a.xyz")])
    assert result.exit_code == 3
    assert "a picture's name in .png, .pdf or .svg; found 'xyz'" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_file_without_an_object_is_refused(files: tuple[str, str], tmp_path: Path) -> None:
    from ptychofold.testing import make_scan

    make_scan(n_scan=9, N=16, object=False).to_file(tmp_path / "c.npz")
    result = CliRunner().invoke(app, ["evaluate", files[0], str(tmp_path / "c.npz")])
    assert result.exit_code == 3
    assert "expected an object to compare" in result.stderr


def objects_of_two_pixels(folder: Path) -> list[str]:
    """Write a scan, and the same object on pixels of 1.5 times the size."""
    scan = simulate_scan(SimulationConfig(N=32, n_scan=64, object="dead_leaves", n_photons=None))
    assert scan.object is not None
    sized = replace(scan.metadata, pixel_size_m=(10e-9, 10e-9))
    replace(scan, metadata=sized).to_file(folder / "fine.npz")
    coarse = resampled(scan.object, (2 / 3, 2 / 3)).astype(np.complex64)
    sized = replace(scan.metadata, pixel_size_m=(15e-9, 15e-9))
    replace(scan, object=coarse, metadata=sized).to_file(folder / "coarse.npz")
    replace(scan, object=coarse, metadata=replace(sized, pixel_size_m=None)).to_file(folder / "untold.npz")
    return [str(folder / name) for name in ("fine.npz", "coarse.npz")]


def test_objects_of_different_pixels_are_compared_only_on_request(tmp_path: Path) -> None:
    both = objects_of_two_pixels(tmp_path)
    refused = CliRunner().invoke(app, ["evaluate", *both, "--whole"])
    assert refused.exit_code == 3
    assert "pixels of one size; found 10 × 10 nm and 15 × 15 nm. Give --resample" in refused.stderr
    for ordered in (both, both[::-1]):
        told = CliRunner().invoke(app, ["evaluate", *ordered, "--whole", "--resample", "--json"])
        found = json.loads(told.stdout)
        assert found["ssim"]["phase"] > 0.99
        half_bit = found["resolution_px"]["half_bit"]
        assert half_bit is None or found["resolution_m"]["half_bit"] == pytest.approx(half_bit * 15e-9)
    assert "both resampled to 15 × 15 nm" in CliRunner().invoke(app, ["evaluate", *both, "--resample"]).stdout
    told = CliRunner().invoke(app, ["evaluate", both[1], str(tmp_path / "untold.npz"), "--whole"])
    assert "does not tell its pixel size" in told.stdout


def test_an_object_without_features_is_compared_without_a_shift_and_without_a_word(
    files: tuple[str, str], tmp_path: Path
) -> None:
    scan = RawData.from_file(files[0])
    assert scan.object is not None
    flat = str(tmp_path / "flat.npz")
    replace(scan, object=np.full_like(scan.object, np.exp(0.3j))).to_file(flat)
    for pair in ((flat, files[0]), (files[0], flat), (flat, flat)):
        result = CliRunner().invoke(app, ["evaluate", *pair])
        assert result.exit_code == 0, result.output
        assert result.stderr == ""
        assert "shift (0, 0) px" in result.stdout
    assert result.stdout.count("undefined") == 4
    dark = str(tmp_path / "dark.npz")
    replace(scan, object=np.zeros_like(scan.object)).to_file(dark)
    result = CliRunner().invoke(app, ["evaluate", dark, files[0]])
    assert result.exit_code == 3
    assert len(result.stderr.splitlines()) == 1
    assert "light in the same place" in result.stderr


def test_a_tiny_object_is_refused(files: tuple[str, str], tmp_path: Path) -> None:
    scan = RawData.from_file(files[0])
    assert scan.object is not None
    replace(scan, object=scan.object[:9, :9]).to_file(tmp_path / "tiny.npz")
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path / "tiny.npz"), files[0]])
    assert result.exit_code == 3
    assert "at least 16 × 16 pixels to compare; found (9, 9)" in result.stderr


def test_it_is_said_when_a_field_is_too_small_to_be_compared_by_itself(tmp_path: Path) -> None:
    make_scan(n_scan=9, N=32, step=2.0).to_file(tmp_path / "few.npz")
    arguments = ["evaluate", *[str(tmp_path / "few.npz")] * 2]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    assert "few.npz spans" in told.stdout
    assert "compared whole" in told.stdout
    assert (
        "compared whole"
        not in CliRunner().invoke(app, ["evaluate", *[str(tmp_path / "few.npz")] * 2, "--whole"]).stdout
    )
