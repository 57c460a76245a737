"""Preprocessing: counts kept, nothing read too early, everything noted and replayed, misfits refused."""

import json
import tracemalloc
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.preprocess.running import numbers_of, run

from ptychofold.config import (
    BackgroundStep,
    BadPixelStep,
    BinStep,
    ConvertStep,
    CropStep,
    FlatStep,
    FrameStep,
    InpaintStep,
    MaskStep,
    MonitorStep,
    OrientStep,
    PadStep,
    PositionStep,
    PreprocessConfig,
)
from ptychofold.errors import ConfigError, DomainError, FormatError, MissingFieldError, ShapeError
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.lazy import ArrayInMemory
from ptychofold.preprocess import preprocess, replay
from ptychofold.preprocess.detector import apply_bin, apply_crop
from ptychofold.raw_data import RawData
from ptychofold.samples import path as sample_path
from ptychofold.testing import make_scan


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    factor=st.sampled_from([2, 3, 4]),
    dtype=st.sampled_from(["u1", "u2", "i4", "f4"]),
    n_bad=st.integers(0, 5),
)
def test_binning_keeps_every_count_of_the_good_blocks(seed: int, factor: int, dtype: str, n_bad: int) -> None:
    rng = np.random.default_rng(seed)
    patterns = rng.integers(0, 250, (5, 12, 12)).astype(dtype)
    bad = np.zeros(144, bool)
    bad[rng.choice(144, n_bad, replace=False)] = True
    good = ~bad.reshape(12, 12)
    found = ScanFields(
        path=None, format="arrays", patterns=ArrayInMemory(patterns), bad_pixels=~good if n_bad else None
    )
    binned = preprocess(found, PreprocessConfig(steps=(BinStep(factor=factor),)), measurement="intensity")
    assert binned.patterns is not None
    numbers = binned.patterns.read(slice(None))
    assert numbers.dtype.kind == np.dtype(dtype).kind
    if binned.bad_pixels is not None:
        numbers = numbers * ~binned.bad_pixels
        good = good & ~np.kron(binned.bad_pixels, np.ones((factor, factor), bool)).astype(bool)
    np.testing.assert_array_equal(numbers.sum(axis=(1, 2)), (patterns.astype("i8") * good).sum(axis=(1, 2)))


def test_binning_amplitude_adds_intensity() -> None:
    scan = make_scan(n_scan=4, N=16, measurement="amplitude")
    energy = np.square(numbers_of(scan).astype("f8")).sum(axis=(1, 2))
    binned = np.square(numbers_of(run(scan, BinStep(factor=2))).astype("f8")).sum(axis=(1, 2))
    np.testing.assert_allclose(binned, energy, rtol=1e-5)


def test_a_block_with_few_bad_pixels_is_scaled_up_on_request() -> None:
    bad = np.zeros((16, 16), bool)
    bad[0, 0] = True
    scan = replace(make_scan(n_scan=2, N=16), patterns=ArrayInMemory(np.full((2, 16, 16), 3, "u2")), bad_pixels=bad)
    strict, lenient = run(scan, BinStep(factor=2)), run(scan, BinStep(factor=2, bad_share=0.25))
    assert strict.bad_pixels is not None
    assert lenient.bad_pixels is not None
    assert strict.bad_pixels[0, 0]
    assert not lenient.bad_pixels.any()
    assert (numbers_of(lenient) == 12).all()


# -------------------------------------------------------------------------------------------------------- single pixels


def test_hot_and_dead_pixels_are_found_and_no_others() -> None:
    scan = make_scan(n_scan=49, N=32, n_photons=1e5)
    numbers = numbers_of(scan).copy()
    numbers[:, 3, 4], numbers[:, 16, 18], numbers[:, 17, 14] = 900, 30_000, 0
    changed = run(replace(scan, patterns=ArrayInMemory(numbers)), BadPixelStep())
    assert changed.bad_pixels is not None
    assert np.argwhere(changed.bad_pixels).tolist() == [[3, 4], [16, 18], [17, 14]]


def test_a_detector_with_several_units_a_photon_has_no_more_dead_pixels() -> None:
    scan = make_scan(n_scan=49, N=32, n_photons=1e4)
    numbers = 40 * numbers_of(scan).astype(np.uint32)
    numbers[:, 17, 14] = 0
    changed = run(replace(scan, patterns=ArrayInMemory(numbers)), BadPixelStep())
    assert changed.bad_pixels is not None
    assert np.argwhere(changed.bad_pixels).tolist() == [[17, 14]]


@pytest.mark.parametrize("dose", [1e3, 1e5, 1e8])
def test_a_clean_scan_has_no_bad_pixels(dose: float) -> None:
    changed = run(make_scan(n_scan=49, N=32, n_photons=dose), BadPixelStep())
    assert changed.bad_pixels is not None
    assert not changed.bad_pixels.any()


def test_inpainted_pixels_look_like_their_neighbors_and_stay_bad() -> None:
    bad = np.zeros((8, 8), bool)
    bad[4, 4] = True
    patterns = np.full((2, 8, 8), 7, np.uint16)
    patterns[:, 4, 4] = 9999
    changed = run(replace(make_scan(n_scan=2, N=8), patterns=ArrayInMemory(patterns), bad_pixels=bad), InpaintStep())
    assert (numbers_of(changed) == 7).all()
    assert changed.bad_pixels is not None
    assert changed.bad_pixels[4, 4]


@pytest.mark.parametrize("measurement", ["intensity", "amplitude"])
def test_background_flat_mask_and_monitor_come_from_files(tmp_path: Path, measurement: str) -> None:
    response = np.linspace(0.5, 1.5, 64).reshape(8, 8)
    response[0, 0] = 0
    flux = np.array([1.0, 2.0, 1.0, 0.5])
    measured = 80.0 * response / np.median(response[response > 0]) * flux[:, None, None] + 5
    measured = (np.sqrt(measured) if measurement == "amplitude" else measured).astype(np.float32)
    np.save(tmp_path / "flat.npy", response)
    np.savez(tmp_path / "more.npz", flux=flux, dark=np.full((8, 8), 4.0), mask=np.eye(8))
    scan = make_scan(n_scan=4, N=8, measurement=measurement)  # type: ignore[arg-type]
    changed = run(
        replace(scan, patterns=ArrayInMemory(measured)),
        BackgroundStep(level=1.0, file=f"{tmp_path}/more.npz:dark"),
        FlatStep(file=f"{tmp_path}/flat.npy"),
        MonitorStep(file=f"{tmp_path}/more.npz:flux"),
        MaskStep(file=f"{tmp_path}/more.npz:mask"),
    )
    assert changed.bad_pixels is not None
    np.testing.assert_array_equal(changed.bad_pixels, np.eye(8, dtype=bool))
    expected = np.sqrt(80.0) if measurement == "amplitude" else 80.0
    np.testing.assert_allclose(numbers_of(changed)[:, ~changed.bad_pixels], expected, rtol=1e-5)


def test_side_files_may_be_hdf5(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "side.h5", "w") as file:
        file["entry/mask"] = np.eye(16)
    changed = run(make_scan(n_scan=2, N=16), MaskStep(file=f"{tmp_path}/side.h5:entry/mask", good=True))
    assert changed.bad_pixels is not None
    np.testing.assert_array_equal(changed.bad_pixels, ~np.eye(16, dtype=bool))


# ---------------------------------------------------------------------------------------------------------- scan points


def test_scan_points_without_a_place_of_their_own_are_dropped() -> None:
    scan = make_scan(n_scan=25, N=16)
    positions = scan.positions.copy()
    positions[3], positions[7], positions[9] = np.nan, 5000.0, positions[8]
    found = replace(scan.to_fields(), positions=positions)
    changed = preprocess(found, PreprocessConfig(steps=(PositionStep(),)))
    assert changed.metadata.history[0]["dropped"] == [3, 7, 9]
    assert changed.patterns is not None
    keep = np.delete(np.arange(25), [3, 7, 9])
    np.testing.assert_array_equal(changed.patterns.read(slice(None)), numbers_of(scan)[keep])
    kept = preprocess(found, PreprocessConfig(steps=(PositionStep(duplicates="keep"),)))
    assert kept.metadata.history[0]["dropped"] == [3, 7]


def test_frames_are_dropped_by_dose_and_by_number() -> None:
    scan = make_scan(n_scan=9, N=16)
    numbers = numbers_of(scan).copy()
    numbers[2], numbers[5] = 0, numbers[5] * 40
    changed = run(replace(scan, patterns=ArrayInMemory(numbers)), FrameStep(least_dose=0.1, most_dose=10, drop=(0,)))
    assert changed.metadata.history[0]["dropped"] == [0, 2, 5]
    assert len(changed) == len(changed.positions) == 6


def test_dark_frames_are_dropped_even_where_most_are_dark() -> None:
    scan = make_scan(n_scan=9, N=16)
    numbers = numbers_of(scan).copy()
    numbers[:6] = 0
    changed = run(replace(scan, patterns=ArrayInMemory(numbers)), FrameStep(least_dose=0.5))
    assert changed.metadata.history[0]["dropped"] == [0, 1, 2, 3, 4, 5]


# -------------------------------------------------------------------------------------------- laziness, history, replay


EVERYTHING = (
    PositionStep(),
    BadPixelStep(),
    FrameStep(least_dose=0.2),
    BackgroundStep(level=0.5),
    CropStep(size=96),
    OrientStep(turn="rotate_90"),
    InpaintStep(),
    BinStep(factor=2),
    PadStep(size=64),
)


def test_a_history_replays_to_the_same_bits_through_a_file_and_json(tmp_path: Path) -> None:
    scan = RawData.from_file(sample_path("siemens")).subset(np.arange(0, 516, 6))
    first = run(scan, *EVERYTHING)
    first.to_file(tmp_path / "out.npz")
    stored = RawData.from_file(tmp_path / "out.npz")
    assert [step["step"] for step in stored.metadata.history] == [step.step for step in EVERYTHING]
    recipe = replay(json.loads(json.dumps(list(stored.metadata.history))))
    again = RawData.from_fields(preprocess(scan.to_fields(), recipe))
    for one, other in ((first, again), (first, stored)):
        np.testing.assert_array_equal(numbers_of(one), numbers_of(other))
        np.testing.assert_array_equal(one.positions, other.positions)
        np.testing.assert_array_equal(one.probe, other.probe)
        assert one.bad_pixels is not None
        assert other.bad_pixels is not None
        np.testing.assert_array_equal(one.bad_pixels, other.bad_pixels)
    assert again.metadata.history == stored.metadata.history


def test_patterns_are_the_same_in_any_order_and_portion() -> None:
    scan = run(make_scan(n_scan=30, N=32), BinStep(factor=2), OrientStep(turn="rotate_270"))
    whole = scan.patterns.read(slice(None))
    rows = np.random.default_rng(0).permutation(30)
    np.testing.assert_array_equal(scan.patterns.read(rows), whole[rows])
    np.testing.assert_array_equal(scan.patterns.read(slice(3, 20, 2)), whole[3:20:2])


@dataclass(frozen=True, eq=False)
class _Endless:
    """Patterns that are made when read: 4 GB of them."""

    shape: tuple[int, ...] = (4096, 1024, 512)
    dtype: np.dtype = field(default_factory=lambda: np.dtype(np.uint16))
    access: str = "made"
    random_access: bool = True

    def read(self, rows: np.ndarray | slice, out: np.ndarray | None = None) -> np.ndarray:
        n = len(range(*rows.indices(self.shape[0]))) if isinstance(rows, slice) else len(rows)
        made = np.empty((n, *self.shape[1:]), self.dtype) if out is None else out
        made.fill(1)
        return made


def test_a_long_scan_of_large_frames_needs_little_memory() -> None:
    found = ScanFields(path=None, format="arrays", patterns=_Endless(), measurement="intensity")
    steps = (CropStep(size=256, center=(500, 250)), BinStep(factor=4))
    tracemalloc.start()
    changed = preprocess(found, PreprocessConfig(steps=steps))
    assert changed.patterns is not None
    numbers = changed.patterns.read(slice(0, 100))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (numbers == 16).all()
    assert peak < 40e6


# --------------------------------------------------------------------------------------------------------------- errors


def _save(tmp_path: Path, array: np.ndarray) -> str:
    np.save(tmp_path / "side.npy", array)
    return str(tmp_path / "side.npy")


def test_steps_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    scan = make_scan(n_scan=4, N=16)
    eye = _save(tmp_path, np.eye(8))
    for step, error, says in (
        (CropStep(size=20), ConfigError, "at most 16 pixels"),
        (PadStep(size=8), ConfigError, "at least 16 pixels"),
        (BinStep(factor=3), ShapeError, "multiples of 3; found 16 × 16"),
        (BadPixelStep(pixels=(300,)), ShapeError, "below 256; found 300"),
        (FrameStep(drop=(4,)), ShapeError, "below 4 to drop; found 4"),
        (FrameStep(drop=(0, 1, 2, 3)), ShapeError, "all 4 would be dropped"),
        (MaskStep(file=eye), ShapeError, r"shape \(16, 16\) like the patterns; found \(8, 8\)"),
        (MonitorStep(file=eye), ShapeError, "one value for each of 4 patterns"),
        (MaskStep(file="nowhere.npy"), ConfigError, "found nowhere.npy"),
    ):
        with pytest.raises(error, match=says):
            run(scan, step)


def test_side_files_that_cannot_serve_are_refused(tmp_path: Path) -> None:
    import h5py

    scan = make_scan(n_scan=4, N=16)
    with pytest.raises(ConfigError, match="no positive number"):
        run(scan, FlatStep(file=_save(tmp_path, np.zeros((16, 16)))))
    with pytest.raises(DomainError, match="positive values; found -1"):
        run(scan, MonitorStep(file=_save(tmp_path, np.array([1.0, -1.0, 2.0, 3.0]))))
    np.savez(tmp_path / "side.npz", mask=np.eye(16))
    with pytest.raises(ConfigError, match=r"'musk' in .*found mask"):
        run(scan, MaskStep(file=f"{tmp_path}/side.npz:musk"))
    with h5py.File(tmp_path / "side.h5", "w") as file:
        file["mask"] = np.eye(16)
    with pytest.raises(ConfigError, match=r"data set 'musk' in .*found mask"):
        run(scan, MaskStep(file=f"{tmp_path}/side.h5:musk"))


def test_a_side_file_that_has_changed_is_refused_on_replay(tmp_path: Path) -> None:
    scan = make_scan(n_scan=4, N=16)
    mask = np.eye(16)
    done = run(scan, MaskStep(file=_save(tmp_path, mask)))
    _save(tmp_path, mask[::-1])
    with pytest.raises(FormatError, match="numbers that this step first ran with"):
        preprocess(scan.to_fields(), replay(done.metadata.history))


def test_a_history_of_unknown_steps_is_refused() -> None:
    with pytest.raises(ConfigError, match="entry 0 of the history"):
        replay([{"step": "wavelet"}])


def test_what_a_step_needs_must_be_there() -> None:
    nothing = ScanFields(path=None, format="arrays", measurement="intensity")
    with pytest.raises(MissingFieldError, match="patterns to preprocess"):
        preprocess(nothing, PreprocessConfig(steps=(BinStep(factor=2),)))
    only = replace(nothing, patterns=ArrayInMemory(np.ones((2, 4, 4))))
    with pytest.raises(MissingFieldError, match="positions to preprocess"):
        preprocess(only, PreprocessConfig(steps=(PositionStep(),)))
    with pytest.raises(DomainError, match="known to be amplitude or intensity"):
        apply_bin(BinStep(factor=2), replace(only, measurement=None))
    with pytest.raises(ConfigError, match="Resolve the step first"):
        apply_crop(CropStep(size=2), only)


def test_a_wrong_recipe_names_the_setting() -> None:
    with pytest.raises(ConfigError, match="sise"):
        PreprocessConfig.from_mapping({"steps": [{"step": "crop", "sise": 4}]})
    with pytest.raises(ConfigError, match="crup"):
        PreprocessConfig.from_mapping({"steps": [{"step": "crup"}]})


@pytest.mark.parametrize("dtype", ["u2", "i4", "f4", "f8"])
def test_patterns_are_stored_as_amplitude_or_intensity(dtype: str) -> None:
    counts = np.random.default_rng(0).integers(0, 60_000, (3, 6, 6)).astype(dtype)
    if dtype != "u2":
        counts[:, 2, 3] = -1
    found = ScanFields(path=None, format="arrays", patterns=ArrayInMemory(counts))
    roots = preprocess(found, PreprocessConfig(steps=(ConvertStep(to="amplitude"),)), measurement="intensity")
    assert roots.patterns is not None
    values = roots.patterns.read(slice(None))
    assert (roots.measurement, roots.metadata.history[-1]["to"]) == ("amplitude", "amplitude")
    assert values.dtype == np.float32
    np.testing.assert_allclose(np.where(counts < 0, counts, values**2), counts, rtol=1e-6)
    assert (values[counts < 0] == -1).all()
    back = preprocess(roots, PreprocessConfig(steps=(ConvertStep(to="intensity"),)))
    assert back.patterns is not None
    np.testing.assert_allclose(back.patterns.read(slice(None)), counts, rtol=1e-6)
    kept = preprocess(roots, PreprocessConfig(steps=(ConvertStep(to="amplitude"),)))
    assert kept.patterns is roots.patterns
