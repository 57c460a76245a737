"""One name is one thing, on every command."""

from collections import defaultdict
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import pytest
from tests.cli.files import good_scan
from typer.models import OptionInfo
from typer.testing import CliRunner

from ptychofold.cli.main import app
from ptychofold.config import ScanGeometry
from ptychofold.data.store import PatternStore
from ptychofold.physics import Geometry
from ptychofold.raw_data import RawData
from ptychofold.reconstruction import Reconstruction

QUICK = ("-s", "model.lift_steps=1", "-s", "loader.batch_size=25", "--device", "cpu")
SI = {"-m": "metres", "-ev": "eV"}
"""Endings of options, and the unit that their help names."""


class _Option(NamedTuple):
    """One option of one command."""

    command: str
    names: tuple[str, ...]
    takes: object
    """The type of its value; whether it may be left out does not matter."""
    help: str


def _options() -> Iterator[_Option]:
    for command in app.registered_commands:
        assert command.callback is not None
        for parameter in signature(command.callback).parameters.values():
            takes, told = get_args(parameter.annotation)
            if isinstance(told, OptionInfo):
                kinds = {kind for kind in get_args(takes) if kind is not type(None)} or {takes}
                names = (str(told.default), *(told.param_decls or ()))  # as Annotated has them
                yield _Option(str(command.name), names, kinds, told.help or "")


def _by_name() -> dict[str, list[_Option]]:
    found: dict[str, list[_Option]] = defaultdict(list)
    for option in _options():
        for name in option.names:
            found[name].append(option)
    return found


def test_an_option_of_one_name_takes_the_same_kind_of_value_everywhere() -> None:
    options = _by_name()
    assert len(options["--positions"]) > 5
    for name, of_name in options.items():
        assert [option for option in of_name if option.takes != of_name[0].takes] == [], name


def test_a_letter_stands_for_one_option() -> None:
    for name, of_name in _by_name().items():
        if name[1] != "-":
            assert len({option.names[0] for option in of_name}) == 1, name


def test_every_option_is_explained_and_names_its_unit() -> None:
    for option in _options():
        assert len(option.help) > 5, option
        for ending, unit in SI.items():
            if option.names[0].startswith("--") and option.names[0].endswith(ending):
                assert unit in option.help, option


def _run(*arguments: object) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    return result.output


def _refused(*arguments: object, code: int) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == code, result.output
    assert len(result.stderr.splitlines()) == 1, result.stderr
    return result.stderr


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    good_scan(tmp_path / "scan.npz")
    PatternStore.create(RawData.from_file("scan.npz"), "store")
    return tmp_path


def test_reconstruct_takes_positions_and_near_field_as_the_other_commands_do(folder: Path) -> None:
    scan = RawData.from_file("scan.npz")
    np.savetxt("moved.csv", scan.positions + np.array([0, 1]))
    near = ["--near-field", "--wavelength-m", 1e-10, "--distance-m", 2e-3, "--pixel-size-m", 1e-7]
    near += ["--detector-pixel-m", 1e-7]
    placed = ["--positions", "moved.csv", "--frame", "unit=px"]
    _run("reconstruct", "scan.npz", "-o", "out.npz", "-e", 1, "--refine-positions", *near, *placed)
    result = Reconstruction.from_file("out.npz")
    assert result.geometry == Geometry(
        propagation="near_field", wavelength_m=1e-10, distance_m=2e-3, pixel_size_m=(1e-7, 1e-7)
    )
    assert 0 < np.abs(result.positions - scan.positions - np.array([0, 1])).max() < 2


def test_a_near_field_that_is_stated_goes_before_that_of_a_start(folder: Path) -> None:
    _run("reconstruct", "scan.npz", "-o", "far.npz", "-e", 1)
    near = ["--near-field", "--wavelength-m", 1e-10, "--distance-m", 2e-3, "--detector-pixel-m", 1e-7]
    _run("reconstruct", "scan.npz", "-o", "out.npz", "-e", 1, "--start", "far.npz", *near)
    assert Reconstruction.from_file("out.npz").geometry.propagation == "near_field"


def test_preprocess_goes_by_the_near_field_and_the_mask_that_its_options_state(folder: Path) -> None:
    mask = np.zeros((16, 16), bool)
    mask[2, 3] = True
    np.save("mask.npy", mask)
    near = ["--near-field", "--wavelength-m", 1e-10, "--distance-m", 2e-3, "--detector-pixel-m", 1e-7]
    _run("preprocess", "scan.npz", "-o", "out.npz", "--pad", 20, "--bad-pixels", "mask.npy", *near)
    padded = RawData.from_file("out.npz")
    assert padded.metadata.history[-1]["propagation"] == "near_field"
    assert padded.bad_pixels is not None
    assert padded.bad_pixels[4, 5]
    assert padded.metadata.geometry == ScanGeometry(
        propagation="near_field", wavelength_m=1e-10, distance_m=2e-3, detector_pixel_m=(1e-7, 1e-7)
    )


@pytest.mark.parametrize("command", [["group", "-o", "g.npz"], ["plot", "-o", "p"], ["doctor", "--quick"]])
def test_a_larger_grid_takes_neighbors_enough(folder: Path, command: list[str]) -> None:
    result = CliRunner().invoke(app, [command[0], "scan.npz", *command[1:], "-g", "3"])
    assert result.exit_code in (0, 1), result.output
    assert "expected at least" not in result.output


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-n", 999], "(--oversample) with a neighbor_pool_size (--pool-size) of at least 4, or lower"),
        (["-k", 3], "Raise K (--neighbors) or neighbor_pool_size (--pool-size) to 4"),
        (["-g", 6], "Use a smaller gridsize (--gridsize)"),
    ],
)
def test_groups_that_cannot_be_drawn_name_the_options_that_help(folder: Path, options: list[object], says: str) -> None:
    assert says in _refused("group", "scan.npz", "-o", "g.npz", *options, code=3)


def test_the_measurement_is_said_to_train_as_to_others(folder: Path) -> None:
    _run("train", "scan.npz", "-o", "model", "-e", 1, "-m", "amplitude", *QUICK)
    assert 'measurement = "amplitude"' in Path("model/run.toml").read_text()
    said = _refused("train", "store", "-o", "other", "-m", "amplitude", code=2)
    assert "expected measurement = 'intensity' of this store, or 'auto'; found 'amplitude'" in said


def test_what_is_no_model_is_named(folder: Path) -> None:
    said = _refused("predict", "scan.npz", "model", "-o", "out.npz", code=3)
    assert "expected a trained model, which is a run's directory or its model.safetensors; found scan.npz" in said


def test_a_file_without_patterns_is_no_output_of_preprocess(folder: Path) -> None:
    said = _refused("preprocess", "scan.npz", "-o", "out.h5", "--bin", 2, code=2)
    assert "expected an output that holds patterns; out.h5 would be a Ptychodus product" in said
    assert "no writer for suffix '.xyz'" in _refused("preprocess", "scan.npz", "-o", "out.xyz", "--bin", 2, code=3)
    assert sorted(path.name for path in folder.iterdir()) == ["scan.npz", "store"]


def test_a_store_gives_its_probe_and_says_what_it_is_where_a_file_is_expected(folder: Path) -> None:
    good_scan(folder / "other.npz", seed=3)
    _run("convert", "other.npz", "out.npz", "--probe", "store")
    np.testing.assert_array_equal(RawData.from_file("out.npz").probe, RawData.from_file("scan.npz").probe)
    for arguments in (["ingest", "store", "-o", "stores"], ["inspect", "scan.npz", "--positions", "store"]):
        said = _refused(*arguments, code=3)
        assert "expected a scan file; found a store, which holds a scan already" in said
        assert "ptychofold convert STORE scan.npz" in said
    said = _refused("inspect", "store", "--energy-ev", 8000, code=2)
    assert "expected no options that complete a scan file, as a store is whole" in said


def test_stores_do_not_go_into_a_file(folder: Path) -> None:
    said = _refused("ingest", "store", "-o", "scan.npz", code=2)
    assert "expected a directory for the stores; scan.npz is a file" in said


def test_a_run_is_named_by_its_directory(folder: Path) -> None:
    _run("train", "scan.npz", "-o", "model", "-e", 1, *QUICK)
    assert "nothing was left to train" in _run("train", "model", "--resume")


def test_names_in_brackets_are_shown_as_they_are(folder: Path) -> None:
    Path("scan.npz").rename("scan[1].npz")
    assert "scan[1].npz" in _run("ingest", "scan[1].npz", "-o", "stores")
    assert "scan[1]: 25 patterns" in _run("verify", "stores/scan[1]")
