import json
from pathlib import Path

import numpy as np
import pytest
from tests.cli.files import good_scan
from typer.testing import CliRunner

from ptychofold.cli.main import app
from ptychofold.data.store import PatternStore
from ptychofold.raw_data import RawData
from ptychofold.testing import make_scan


def _json(*arguments: str) -> dict[str, object]:
    result = CliRunner().invoke(app, ["inspect", "--json", *arguments])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def test_json_is_one_object_with_fields_units_dose_and_geometry(tmp_path: Path) -> None:
    file = good_scan(tmp_path / "a.npz")
    found = _json(str(file))
    assert found["path"] == str(file)
    assert (found["n_scan"], found["N"], found["measurement"]) == (25, 16, "intensity")
    assert found["fields"][0] == {"name": "patterns", "shape": [25, 16, 16], "dtype": "uint16"}  # type: ignore[index]
    assert found["dose_median"] == pytest.approx(1e5, rel=0.1)
    assert found["pixel_size_m"] == [1e-8, 1e-8]
    assert found["warnings"] == []


def test_the_tables_name_every_field_and_how_patterns_are_reached(tmp_path: Path) -> None:
    scan = make_scan(n_scan=16, N=16, n_modes=2, n_bad_pixels=3, patches=True, nominal_error=0.5)
    scan.to_file(tmp_path / "all.npz")
    result = CliRunner().invoke(app, ["inspect", str(tmp_path / "all.npz")])
    assert result.exit_code == 0
    for word in ("memory-mapped", "positions_nominal", "2 modes", "patches", "3 bad", "mode powers", "nm", "overlap"):
        assert word in result.stdout


def test_the_users_word_on_the_measurement_is_taken(tmp_path: Path) -> None:
    file = good_scan(tmp_path / "a.npz")
    assert _json(str(file), "-m", "amplitude")["measurement"] == "amplitude"


def test_warnings_come_last(tmp_path: Path) -> None:
    scan = make_scan(n_scan=16, N=16, step=12.0)
    scan.to_file(tmp_path / "sparse.npz")
    result = CliRunner().invoke(app, ["inspect", str(tmp_path / "sparse.npz")])
    assert result.stdout.splitlines()[-1].startswith("warning: Neighboring probes overlap by")


def test_square_brackets_in_a_name_are_shown(tmp_path: Path) -> None:
    file = good_scan(tmp_path / "scan[bold].npz")
    assert "scan[bold].npz" in CliRunner().invoke(app, ["inspect", str(file)]).stdout


def test_a_directory_gives_a_line_a_scan_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b", "a"):
        good_scan(tmp_path / f"{name}.npz")
    (tmp_path / ".hidden").write_text("no scan")
    result = CliRunner().invoke(app, ["inspect", str(tmp_path)])
    assert result.exit_code == 0
    lines = [line for line in result.stdout.splitlines() if line.startswith(("a.npz", "b.npz"))]
    assert [line.split()[:4] for line in lines] == [[f"{n}.npz", "intensity", "25", "16"] for n in "ab"]
    assert [Path(str(s["path"])).name for s in _json(str(tmp_path))["scans"]] == ["a.npz", "b.npz"]  # type: ignore[attr-defined]


def test_a_directory_names_files_that_are_no_scans_and_ends_with_3(tmp_path: Path) -> None:
    good_scan(tmp_path / "a.npz")
    (tmp_path / "notes.txt").write_text("hello")
    np.save(tmp_path / "b.npy", np.zeros(3))
    result = CliRunner().invoke(app, ["inspect", str(tmp_path)])
    assert result.exit_code == 3
    assert "notes.txt: no reader knows this file" in result.stdout
    assert result.stderr == f"ptychofold: error: {tmp_path}: 2 files of 3 cannot be read as a scan.\n"


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["inspect", str(tmp_path)])
    assert result.exit_code == 3
    assert "found none" in result.stderr


def test_a_single_scan_point_overlaps_with_nothing(tmp_path: Path) -> None:
    file = good_scan(tmp_path / "one.npz", n_scan=1)
    assert _json(str(file))["overlap"] is None
    result = CliRunner().invoke(app, ["inspect", str(file)])
    assert "none: there is one scan point" in result.stdout
    assert "100% of d90" not in result.stdout
    good_scan(tmp_path / "two.npz")
    listed = CliRunner().invoke(app, ["inspect", str(tmp_path)])
    assert listed.exit_code == 0
    assert "–" in listed.stdout


@pytest.mark.parametrize("command", ["inspect", "group", "plot"])
def test_a_product_takes_its_patterns_from_a_second_file(command: str, tmp_path: Path) -> None:
    scan = make_scan(n_scan=25, N=16, step=2.0)
    scan.to_file(tmp_path / "product.h5")
    scan.to_file(tmp_path / "patterns.npz")
    output = {"inspect": [], "group": ["-o", str(tmp_path / "out.npz")], "plot": ["-o", str(tmp_path / "out")]}[command]
    arguments = [command, str(tmp_path / "product.h5"), *output]
    if command == "group":  # the others show a result that has no patterns
        alone = CliRunner().invoke(app, arguments)
        assert alone.exit_code == 3
        assert (
            "Name the file that holds them: from_file(…, patterns=FILE), on the command line --patterns" in alone.stderr
        )
    joined = CliRunner().invoke(app, [*arguments, "--patterns", str(tmp_path / "patterns.npz")])
    assert joined.exit_code == 0, joined.stderr


def test_a_directory_takes_no_second_file(tmp_path: Path) -> None:
    file = good_scan(tmp_path / "a.npz")
    result = CliRunner().invoke(app, ["inspect", str(tmp_path), "--patterns", str(file)])
    assert result.exit_code == 2
    assert "expected one scan file with --patterns" in result.stderr


@pytest.fixture
def store(tmp_path: Path) -> Path:
    PatternStore.create(RawData.from_file(good_scan(tmp_path / "a.npz")), tmp_path / "stores" / "a")
    return tmp_path / "stores" / "a"


def test_a_store_is_inspected_like_the_scan_in_it(store: Path) -> None:
    found, of_file = _json(str(store)), _json(str(store.parents[1] / "a.npz"))
    for key in ("n_scan", "N", "measurement", "fields", "dose_median", "pixel_size_m"):
        assert found[key] == of_file[key]
    assert len(_json(str(store.parent))["scans"]) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("command", [("group", "groups.npz"), ("plot", "pictures")])
def test_a_store_is_grouped_and_drawn(command: tuple[str, str], store: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [command[0], str(store), "-o", str(tmp_path / command[1])])
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / command[1]).exists()


def test_a_store_takes_no_options_that_say_what_it_holds(store: Path) -> None:
    for options in (["-m", "amplitude"], ["--energy-ev", "9000"], ["--patterns", str(store.parents[1] / "a.npz")]):
        result = CliRunner().invoke(app, ["inspect", str(store), *options])
        assert result.exit_code == 2
        assert "is whole" in result.stderr


def test_a_result_without_patterns_is_shown(tmp_path: Path) -> None:
    scan = make_scan(n_scan=9, N=16, n_modes=2)
    scan.to_file(tmp_path / "a.h5")
    result = CliRunner().invoke(app, ["inspect", str(tmp_path / "a.h5")])
    assert result.exit_code == 0, result.output
    for word in ("Ptychodus product", "object", "probe d90", "10 nm × 10 nm", "--patterns FILE"):
        assert word in result.stdout
    found = _json(str(tmp_path / "a.h5"))
    assert [field["name"] for field in found["fields"]] == ["positions", "probe", "object"]  # type: ignore[attr-defined]
    assert found["pixel_size_m"] == [1e-8, 1e-8]


def test_how_well_a_result_explains_its_scan_is_shown(tmp_path: Path) -> None:
    file = good_scan(tmp_path / "a.npz")
    assert CliRunner().invoke(app, ["reconstruct", str(file), "-o", str(tmp_path / "r.h5"), "-e", "2"]).exit_code == 0
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "r.h5")])
    assert "R of all patterns" in shown.stdout
    assert "epochs             2, loss" in shown.stdout
    said = _json(str(tmp_path / "r.h5"))["reconstruction"]
    assert isinstance(said, dict)
    assert 0 < said["r_factor"] < 1
