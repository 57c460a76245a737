"""A recipe finds everything in an HDF5 file of any make, and says what it does not find."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

import ptychofold as pf
from ptychofold.errors import (
    ConfigError,
    DomainError,
    FormatError,
    MissingFieldError,
    ShapeError,
    UnsupportedFormatError,
)
from ptychofold.formats import read_fields
from ptychofold.preprocess import replay

N_SCAN, N = 6, 8
RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(50.0, (N_SCAN, N, N)).astype(np.uint16)
MICROMETRES = RNG.uniform(-1, 1, (N_SCAN, 2))
WAVELENGTH = 1.549802e-10
BASE = """
patterns = "raw/frames"
measurement = "intensity"
{settings}
[positions]
{positions}
[energy]
key = "mono/kev"
multiplier = 1000.0
[geometry]
distance_m = 2.0
detector_pixel_m = [75e-6, 75e-6]
"""
SEPARATE = 'y = "motors/y"\nx = "motors/x"\nframe = {unit = "um", y = "up", moves = "sample"}'


def _write(folder: Path) -> Path:
    path = folder / "scan.h5"
    with h5py.File(path, "w") as file:
        file["raw/frames"] = COUNTS
        file["raw/last"] = np.moveaxis(COUNTS, 0, -1)
        file.create_dataset("raw/last_packed", data=np.moveaxis(COUNTS, 0, -1), compression="gzip")
        file["raw/raster"] = COUNTS.reshape(2, 3, N, N)
        file["raw/turned"] = COUNTS.transpose(0, 2, 1)
        file["raw/corner"] = np.fft.ifftshift(COUNTS, axes=(1, 2))
        file["raw/half"], file["raw/rest"] = COUNTS[:2], COUNTS[2:]
        file["motors/y"], file["motors/x"] = MICROMETRES[:, 0], MICROMETRES[:, 1]
        file["motors/both"] = MICROMETRES.T
        file["motors/lines"], file["motors/columns"] = [0.0, 1.0], [0.0, 2.0, 4.0]
        file["mono/kev"], file["mono/drifting"] = [8.0, 8.0], [8.0, 9.0]
        file["dark"], file["flat"] = np.full((N, N), 2.0), np.ones((N, N))
        file["i0"], file["shutter"] = np.array([1.0, 1, 1, 1, 1, 2]), np.array([1, 1, 0, 1, 1, 1])
        file["probe"] = np.ones((N, N), np.complex64)
    with h5py.File(folder / "masks.h5", "w") as file:
        file["good"] = np.pad(np.ones((N - 1, N), np.uint8), ((0, 1), (0, 0)))
    return path


def _read(folder: Path, *, settings: str = "", positions: str = SEPARATE, **more: object) -> pf.RawData:
    (folder / "recipe.toml").write_text(BASE.format(settings=settings, positions=positions))
    return pf.read(_write(folder), recipe=folder / "recipe.toml", **{"probe": "estimate", **more})  # type: ignore[arg-type]


def _patterns(scan: pf.RawData) -> np.ndarray:
    return scan.patterns.read(slice(None))


def test_units_directions_and_motion_are_as_the_recipe_says(tmp_path: Path) -> None:
    scan = _read(tmp_path)
    pixel = WAVELENGTH * 2.0 / (N * 75e-6)
    assert scan.metadata.pixel_size_m == pytest.approx((pixel, pixel), rel=1e-6)
    want = np.diff(MICROMETRES * [1, -1], axis=0) * 1e-6 / pixel
    np.testing.assert_allclose(np.diff(scan.positions, axis=0), want, rtol=1e-6)
    np.testing.assert_array_equal(_patterns(scan), COUNTS)
    assert str(scan.metadata.format_reason).startswith("by the recipe ")


@pytest.mark.parametrize(
    "settings",
    [
        'patterns = "raw/last"\nframes_last = true',
        'patterns = "raw/last_packed"\nframes_last = true',
        'patterns = "raw/raster"',
        'patterns = "raw/turned"\ntransposed = true',
        'patterns = "raw/corner"\nzero_frequency = "corner"',
        'patterns = ["raw/half", "scan.h5:raw/rest"]',
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_frames_are_found_however_they_lie(tmp_path: Path, settings: str, lazy: bool) -> None:
    text = BASE.format(settings=settings, positions=SEPARATE).replace('patterns = "raw/frames"\n', "")
    (tmp_path / "recipe.toml").write_text(text)
    scan = pf.read(_write(tmp_path), recipe=tmp_path / "recipe.toml", probe="estimate", lazy=lazy)
    np.testing.assert_array_equal(_patterns(scan), COUNTS)
    np.testing.assert_array_equal(scan.patterns.read(np.array([5, 1])), COUNTS[[5, 1]])


def test_positions_come_in_one_array_or_as_lines_and_columns(tmp_path: Path) -> None:
    frame = 'frame = {unit = "px", axes = "yx"}'
    both = _read(tmp_path, positions=f'both = "motors/both"\ny_multiplier = -1.0\n{frame}')
    np.testing.assert_allclose(both.positions, MICROMETRES * [-1, 1])
    raster = 'y = "motors/lines"\nx = "motors/columns"\nraster = "y_slow"\n' + frame
    lines = _read(tmp_path, positions=raster)
    assert lines.positions.tolist() == [[0, 0], [0, 2], [0, 4], [1, 0], [1, 2], [1, 4]]
    turned = raster.replace("y_slow", "x_slow")
    assert _read(tmp_path, positions=turned).positions.tolist() == [[0, 0], [1, 0], [0, 2], [1, 2], [0, 4], [1, 4]]


def test_dark_flat_monitor_filter_and_mask_are_applied_and_recorded(tmp_path: Path) -> None:
    settings = (
        'dark = "dark"\nflat = "flat"\nmonitor = "i0"\nkeep = "shutter"\nmask = "masks.h5:good"\nmask_good = true'
    )
    scan = _read(tmp_path, settings=settings)
    want = (COUNTS[[0, 1, 3, 4, 5]].astype(np.float64) - 2).clip(0) / np.array([1, 1, 1, 1, 2])[:, None, None]
    assert scan.bad_pixels is not None
    assert np.flatnonzero(scan.bad_pixels.any(axis=1)).tolist() == [N - 1]
    np.testing.assert_allclose(_patterns(scan)[:, :-1], want[:, :-1], rtol=1e-6)
    assert [step["step"] for step in scan.metadata.history] == ["frames", "background", "flat", "monitor"]
    assert len(scan.positions) == 5


def test_probe_and_object_pixels_can_be_given(tmp_path: Path) -> None:
    scan = _read(tmp_path, settings='probe = "probe"\norigin = [40.0, 50.0]', probe=None)
    assert (scan.probe == 1).all()
    (tmp_path / "recipe.toml").write_text(BASE.format(settings='object = "probe"', positions=SEPARATE))
    found = read_fields(_write(tmp_path), reading=pf.ReadingConfig(recipe=tmp_path / "recipe.toml", probe="estimate"))
    assert found.object is not None
    assert found.origin is None


@pytest.mark.parametrize(
    ("settings", "positions", "error", "why"),
    [
        ('dark = "gone"', SEPARATE, ConfigError, "expected a data set 'gone'"),
        (
            'mask = "gone"',
            SEPARATE,
            MissingFieldError,
            "data set gone that the recipe names; the file holds dark, flat",
        ),
        (
            'keep = "masks.h5:x"',
            SEPARATE,
            MissingFieldError,
            r"masks\.h5: expected the data set x .*holds good",
        ),
        (
            'keep = "motors/lines"',
            SEPARATE,
            ShapeError,
            r"lines with one number for each of the 6.*shape \(2,\)",
        ),
        ('mask = "i0"', SEPARATE, ShapeError, r"mask = i0 of the frames' shape \(8, 8\); found \(6,\)"),
        ('zero_frequency = "corner"\ndark = "i0"', SEPARATE, ShapeError, r"background as one frame of rows .*\(6,\)"),
        (
            'probe = "gone.h5:probe"',
            SEPARATE,
            FormatError,
            r"scan\.h5: the recipe's probe = 'gone\.h5:probe' is looked for in .*gone\.h5; there is no such file",
        ),
        ('dark = "gone.h5:d"', SEPARATE, FormatError, r"the recipe's dark = 'gone\.h5:d' is looked for in .*gone\.h5;"),
        (
            "",
            SEPARATE.replace("motors/x", "no.h5:x"),
            FormatError,
            r"the recipe's positions\.x = 'no\.h5:x' .*/no\.h5;",
        ),
        ("", 'both = "dark"\nframe = {}', ShapeError, r"positions for 6 patterns; found \(8, 8\)"),
        ("", SEPARATE.replace("motors/y", "motors/lines"), ShapeError, "found 2 y and 6 x. For coordinates of lines"),
        ("", 'y = "motors/y"\nframe = {}', ConfigError, "positions are either both=…, or y=… and x=…"),
        ("", 'both = "motors/both"\nraster = "y_slow"\nframe = {}', ConfigError, "belong to separate coordinates"),
        (
            "frames_lost = true",
            SEPARATE,
            ConfigError,
            r"\.toml: .*unknown setting 'frames_lost' .did you mean 'frames_last'",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, settings: str, positions: str, error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        _read(tmp_path, settings=settings, positions=positions)


def test_a_setting_that_is_absent_is_named_without_all_the_others() -> None:
    with pytest.raises(ConfigError, match=r"RecipeConfig: measurement: expected a value; found none\.$"):
        pf.RecipeConfig.from_mapping({"patterns": "d", "positions": {"both": "p", "frame": {}}})


def test_hdf5_that_no_reader_knows_is_led_to_a_recipe(tmp_path: Path) -> None:
    path = _write(tmp_path)
    with pytest.raises(UnsupportedFormatError, match=r"no reader knows this file.*by a recipe: --recipe FILE\.toml"):
        pf.read(path)


def test_frames_of_two_axes_and_a_drifting_energy_are_refused(tmp_path: Path) -> None:
    text = BASE.format(settings="", positions=SEPARATE)
    path, recipe = _write(tmp_path), tmp_path / "recipe.toml"
    recipe.write_text(text.replace("raw/frames", "dark"))
    with pytest.raises(ShapeError, match=r"expected /dark of 3 axes, or of 4 as a raster; found \(8, 8\)"):
        pf.read(path, recipe=recipe)
    recipe.write_text(text.replace("mono/kev", "mono/drifting"))
    with pytest.raises(DomainError, match=r"expected one number as mono/drifting; found 2 from 8 to 9\. Say reduce"):
        pf.read(path, recipe=recipe)
    recipe.write_text(text.replace('"mono/kev"', '"mono/drifting"\nreduce = "mean"'))
    geometry = pf.read(path, recipe=recipe, probe="estimate").metadata.geometry
    assert geometry is not None
    assert geometry.energy == pytest.approx(8500.0)


def test_the_schema_in_the_documentation_is_that_of_the_class() -> None:
    schema = Path(__file__).parents[2] / "docs" / "formats" / "recipe.schema.json"
    assert json.loads(schema.read_text(encoding="utf-8")) == pf.RecipeConfig.model_json_schema()


@pytest.mark.parametrize(
    "lie", [{"transposed": True}, {"zero_frequency": "corner"}, {"transposed": True, "zero_frequency": "corner"}]
)
def test_mask_dark_and_flat_lie_as_the_frames_of_the_file_do(tmp_path: Path, lie: dict[str, object]) -> None:
    """All per-pixel arrays of a detector share the layout of its frames, and are changed with them."""

    def stored(frames: np.ndarray) -> np.ndarray:
        frames = np.fft.ifftshift(frames, axes=(-2, -1)) if "zero_frequency" in lie else frames
        return frames.swapaxes(-1, -2) if "transposed" in lie else frames

    dark, flat, bad = np.zeros((N, N)), np.ones((N, N)), np.zeros((N, N), np.uint8)
    dark[1, 6], flat[2, 5], bad[0, 3] = 7, 2, 1
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file["frames"], file["dark"] = stored(COUNTS + dark), stored(dark)
        file["flat"], file["bad"] = stored(flat), stored(bad)
    settings = 'dark = "own.h5:dark"\nflat = "own.h5:flat"\nmask = "own.h5:bad"\n'
    settings += "\n".join(f"{name} = {json.dumps(value)}" for name, value in lie.items())
    text = BASE.format(settings=settings, positions=SEPARATE).replace("raw/frames", "own.h5:frames")
    (tmp_path / "recipe.toml").write_text(text)
    scan = pf.read(_write(tmp_path), recipe=tmp_path / "recipe.toml", probe="estimate")
    np.testing.assert_allclose(_patterns(scan), COUNTS / flat, rtol=1e-6)
    assert scan.bad_pixels is not None
    assert np.argwhere(scan.bad_pixels).tolist() == [[0, 3]]
    plain = BASE.format(settings=settings.split("\n", 2)[2], positions=SEPARATE).replace("raw/frames", "own.h5:frames")
    (tmp_path / "recipe.toml").write_text(plain)
    again = pf.read(tmp_path / "scan.h5", recipe=tmp_path / "recipe.toml", probe="estimate")
    replayed = again.preprocessed(replay(scan.metadata.history))
    np.testing.assert_array_equal(_patterns(replayed), _patterns(scan))


def test_patterns_are_left_out_before_the_monitor_is_looked_at(tmp_path: Path) -> None:
    path = _write(tmp_path)
    with h5py.File(path, "a") as file:
        file["dead_i0"] = np.array([1.0, 1, 0, 1, 1, 2])
    (tmp_path / "recipe.toml").write_text(
        BASE.format(settings='monitor = "dead_i0"\nkeep = "shutter"', positions=SEPARATE)
    )
    scan = pf.read(path, recipe=tmp_path / "recipe.toml", probe="estimate")
    np.testing.assert_allclose(_patterns(scan)[-1], COUNTS[5] / 2, rtol=1e-6)
    assert len(scan) == 5
