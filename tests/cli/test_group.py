from pathlib import Path

import numpy as np
import pytest
from tests.cli.files import good_scan
from typer.testing import CliRunner

from ptychofold.cli.main import app
from ptychofold.raw_data import RawData


def test_the_file_holds_the_contracts_dictionary_bit_for_bit(tmp_path: Path) -> None:
    file, output = good_scan(tmp_path / "a.npz"), tmp_path / "groups.npz"
    arguments = ["-n", "12", "-k", "6", "-g", "2", "--seed", "5"]
    result = CliRunner().invoke(app, ["group", str(file), "-o", str(output), *arguments])
    assert result.exit_code == 0, result.stderr
    expected = RawData.from_file(file).generate_grouped_data(16, K=6, nsamples=12, seed=5, gridsize=2)
    with np.load(output, allow_pickle=False) as found:
        assert found.files == [name for name, value in expected.items() if value is not None]
        for name in found.files:
            np.testing.assert_array_equal(found[name], expected[name])  # type: ignore[literal-required]
            assert found[name].dtype == expected[name].dtype  # type: ignore[literal-required]
    assert "12 × 16 × 16 × 4" in result.stdout
    assert "patterns/s" in result.stdout


def test_as_many_groups_as_scan_points_are_drawn_unless_told(tmp_path: Path) -> None:
    file, output = good_scan(tmp_path / "a.npz"), tmp_path / "groups.npz"
    assert CliRunner().invoke(app, ["group", str(file), "-o", str(output), "-g", "1", "--sequential"]).exit_code == 0
    with np.load(output) as found:
        assert found["nn_indices"].ravel().tolist() == list(range(25))


def test_more_groups_than_scan_points_need_oversampling(tmp_path: Path) -> None:
    file, output = good_scan(tmp_path / "a.npz"), tmp_path / "groups.npz"
    arguments = ["group", str(file), "-o", str(output), "-n", "60", "--pool-size", "6"]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 3
    assert not output.exists()
    assert CliRunner().invoke(app, [*arguments, "--oversample"]).exit_code == 0
    with np.load(output) as found:
        assert found["nn_indices"].shape == (60, 4)


def test_an_older_file_stays_if_the_groups_cannot_be_formed(tmp_path: Path) -> None:
    file, output = good_scan(tmp_path / "a.npz"), tmp_path / "groups.npz"
    output.write_bytes(b"older")
    assert CliRunner().invoke(app, ["group", str(file), "-o", str(output), "-g", "3", "-k", "7"]).exit_code == 3
    assert output.read_bytes() == b"older"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(("name", "says"), [("groups.h5", "ends in .npz"), ("a.npz", "other than what is read")])
def test_an_output_that_makes_no_sense_is_wrong_usage(tmp_path: Path, name: str, says: str) -> None:
    file = good_scan(tmp_path / "a.npz")
    before = file.read_bytes()
    result = CliRunner().invoke(app, ["group", str(file), "-o", str(tmp_path / name)])
    assert result.exit_code == 2
    assert says in result.stderr
    assert file.read_bytes() == before
