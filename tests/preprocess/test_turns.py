"""The eight turns: a group, and one and the same for frames, waves and positions."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from ptychofold.config import OrientStep, PreprocessConfig, ScanGeometry
from ptychofold.physics.simulation import simulate
from ptychofold.preprocess import D4, TURNS, preprocess
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.metrics import scan_r_factor
from ptychofold.testing import make_scan

FRAMES = np.arange(2 * 6 * 6).reshape(2, 6, 6)
POSITIONS = np.array([[1.0, 2.0], [5.5, 0.0], [3.0, 9.0]])


def test_the_turns_are_a_group_of_eight() -> None:
    assert len(set(TURNS)) == 8
    assert {first @ second for first in TURNS for second in TURNS} == set(TURNS)
    for turn in TURNS:
        assert turn @ turn.inverse() == turn.inverse() @ turn == TURNS[0]
        assert D4.named(turn.name) == turn


@pytest.mark.parametrize("second", TURNS, ids=lambda turn: turn.name)
@pytest.mark.parametrize("first", TURNS, ids=lambda turn: turn.name)
def test_a_product_acts_as_its_factors_one_after_the_other(first: D4, second: D4) -> None:
    product, last = second @ first, (11.0, 7.0)
    np.testing.assert_array_equal(product.pixels(FRAMES), second.pixels(first.pixels(FRAMES)))
    np.testing.assert_array_equal(product.frames(FRAMES), second.frames(first.frames(FRAMES)))
    odd = FRAMES[:, :5, :5]
    np.testing.assert_array_equal(product.frames(odd), second.frames(first.frames(odd)))
    between = last[::-1] if first.transpose else last
    np.testing.assert_allclose(
        product.positions(POSITIONS, last), second.positions(first.positions(POSITIONS, last), between)
    )


def test_rotations_turn_as_numpy_does() -> None:
    for quarter, name in enumerate(("identity", "rotate_90", "rotate_180", "rotate_270")):
        np.testing.assert_array_equal(D4.named(name).pixels(FRAMES), np.rot90(FRAMES, quarter, axes=(1, 2)))  # type: ignore[arg-type]


@pytest.mark.parametrize("turn", TURNS, ids=lambda turn: turn.name)
def test_a_position_stays_on_its_pixel_of_a_turned_coordinate_ramp(turn: D4) -> None:
    ramp = np.add.outer(np.arange(12), 1j * np.arange(9))
    row, column = turn.positions(np.array([[4.0, 7.0]]), (11.0, 8.0))[0].astype(int)
    assert turn.pixels(ramp)[row, column] == 4 + 7j


@pytest.mark.parametrize("turn", TURNS, ids=lambda turn: turn.name)
def test_the_zero_frequency_stays_in_the_middle(turn: D4) -> None:
    for shape in ((6, 8), (5, 7), (6, 7)):
        frame = np.zeros(shape)
        frame[shape[0] // 2, shape[1] // 2] = 1
        turned = turn.frames(frame)
        assert turned[turned.shape[0] // 2, turned.shape[1] // 2] == 1


def _r(scan: RawData) -> float:
    assert scan.object is not None
    return scan_r_factor(scan, scan.object, scan.probe, scan.positions)


@pytest.fixture(scope="module")
def scan() -> RawData:
    made = make_scan(n_scan=25, N=32, noise=False, n_modes=2)
    y, x = np.indices((32, 32))
    lopsided = made.probe * (1 + 0.05 * y + 0.02j * x).astype(np.complex64)
    lopsided[:, 0], lopsided[:, :, 0] = 0, 0
    assert made.object is not None
    return simulate(made.object.copy(), lopsided, made.positions.copy(), seed=0)


@pytest.mark.parametrize("turn", TURNS, ids=lambda turn: turn.name)
def test_turning_all_of_a_scan_leaves_r_as_it_was_and_turning_a_part_does_not(scan: RawData, turn: D4) -> None:
    def turned(target: Literal["patterns", "positions", "scan"]) -> RawData:
        step = OrientStep(turn=turn.name, target=target)
        return RawData.from_fields(preprocess(scan.to_fields(), PreprocessConfig(steps=(step,))))

    assert _r(scan) < 1e-5
    assert _r(turned("scan")) < 1e-4
    if turn.name != "identity":
        assert _r(turned("patterns")) > 0.05
        assert _r(turned("positions")) > 0.05


def test_the_mask_and_the_pixel_size_turn_with_the_frames() -> None:
    bad = np.zeros((16, 16), bool)
    bad[2, 5] = True
    scan = make_scan(n_scan=4, N=16)
    scan = replace(scan, bad_pixels=bad, metadata=replace(scan.metadata, pixel_size_m=(1e-9, 2e-9)))
    turned = preprocess(scan.to_fields(), PreprocessConfig(steps=(OrientStep(turn="transpose", target="scan"),)))
    assert turned.bad_pixels is not None
    assert turned.bad_pixels[5, 2]
    assert turned.metadata.pixel_size_m == (2e-9, 1e-9)


STATED = ScanGeometry(wavelength_m=1e-10, distance_m=1.0, detector_pixel_m=(50e-6, 100e-6))
"""Of pixels that are twice as wide as high."""


def _oblong() -> RawData:
    scan, size = make_scan(n_scan=9, N=16), STATED.object_pixel_m((16, 16))
    geometry = STATED.replace(pixel_size_m=size)
    return replace(scan, metadata=replace(scan.metadata, geometry=geometry, pixel_size_m=size))


@pytest.mark.parametrize("target", ["scan", "patterns"])
@pytest.mark.parametrize("turn", TURNS, ids=lambda turn: turn.name)
def test_detector_pixels_turn_with_the_frames_and_give_the_object_pixel(
    turn: D4, target: Literal["scan", "patterns"]
) -> None:
    step = OrientStep(turn=turn.name, target=target)
    metadata = preprocess(_oblong().to_fields(), PreprocessConfig(steps=(step,))).metadata
    assert metadata.geometry is not None
    assert metadata.pixel_size_m is not None
    assert metadata.geometry.detector_pixel_m == ((100e-6, 50e-6) if turn.transpose else (50e-6, 100e-6))
    derived = metadata.geometry.replace(pixel_size_m=None).object_pixel_m((16, 16))
    assert metadata.pixel_size_m == metadata.geometry.pixel_size_m == pytest.approx(derived)


def test_what_turns_alone_keeps_positions_in_metres_where_pixels_are_oblong(caplog: pytest.LogCaptureFixture) -> None:
    scan = _oblong()
    before = (scan.positions - scan.positions[0]) * np.array(scan.metadata.pixel_size_m)
    targets: tuple[Literal["patterns", "positions"], ...] = ("patterns", "positions")
    for target, exchanged in zip(targets, (before, before[:, ::-1]), strict=True):
        turned = preprocess(scan.to_fields(), PreprocessConfig(steps=(OrientStep(turn="transpose", target=target),)))
        assert turned.positions is not None
        after = (turned.positions - turned.positions[0]) * np.array(turned.metadata.pixel_size_m)
        np.testing.assert_allclose(after, exchanged, atol=1e-15)
        assert turned.object is None
        assert turned.patches is None
    assert "the object, which lies on the old grid, is left out" in caplog.text
