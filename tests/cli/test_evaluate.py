"""``ptychofold evaluate``."""

import json
from pathlib import Path

import pytest
from tests.cli.files import good_scan
from typer.testing import CliRunner

from ptychofold.cli.main import app


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
    assert found["ambiguities"]["scale"] == pytest.approx(1)
    assert len(found["ring_frequency"]) == len(found["ring_correlation"])


def test_two_objects_are_compared_in_a_table_and_a_picture(files: tuple[str, str], tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    result = CliRunner().invoke(app, ["evaluate", *files, "--whole", "--no-shift", "--plot", str(picture)])
    assert result.exit_code == 0, result.stderr
    for word in ("SSIM", "PSNR / dB", "data range", "taken out of A", "ring correlation over", "shift (0, 0) px"):
        assert word in result.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_file_without_an_object_is_refused(files: tuple[str, str], tmp_path: Path) -> None:
    from ptychofold.testing import make_scan

    make_scan(n_scan=9, N=16, object=False).to_file(tmp_path / "c.npz")
    result = CliRunner().invoke(app, ["evaluate", files[0], str(tmp_path / "c.npz")])
    assert result.exit_code == 3
    assert "expected an object to compare" in result.stderr
