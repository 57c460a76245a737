"""The turn of the detector is found, or the data are said not to tell it; never is a wrong turn called told."""

from dataclasses import replace

import numpy as np
import pytest

from ptychofold.config import OrientStep, PreprocessConfig, Turn
from ptychofold.preprocess import D4, TURNS
from ptychofold.raw_data import RawData
from ptychofold.reconstruction import orientation
from ptychofold.reconstruction.orientation import OrientationRanking, rank_orientations
from ptychofold.samples import path as sample_path
from ptychofold.testing import make_scan

pytestmark = pytest.mark.usefixtures("unchecked_signatures")


def _turned(scan: RawData, turn: Turn, target: str) -> RawData:
    step = OrientStep.from_mapping({"turn": turn, "target": target})
    return scan.preprocessed(PreprocessConfig(steps=(step,)))


@pytest.fixture(scope="module")
def scan() -> RawData:
    return make_scan(n_scan=49, N=24, step=2.0)


def _rank(scan: RawData, *, n_patterns: int = 36) -> OrientationRanking:
    return rank_orientations(scan, n_patterns=n_patterns, epochs=3)


@pytest.mark.parametrize("turn", ["identity", "rotate_90", "flip_columns"])
def test_what_was_done_to_the_patterns_is_undone(scan: RawData, turn: Turn) -> None:
    ranking = _rank(_turned(scan, turn, "patterns"))
    assert ranking.verdict == "told"
    assert ranking.best == D4.named(turn).inverse().name
    assert ranking.allows(ranking.best) is True
    assert ranking.allows(ranking.turns[3]) is False


@pytest.mark.parametrize("turn", ["transpose", "rotate_180"])
def test_what_was_done_to_the_positions_is_done_to_the_patterns(scan: RawData, turn: Turn) -> None:
    ranking = _rank(_turned(scan, turn, "positions"))
    assert (ranking.best, ranking.verdict) == (turn, "told")


def test_turning_the_scan_as_a_whole_leaves_the_orientation_right(scan: RawData) -> None:
    ranking = _rank(_turned(scan, "rotate_90", "scan"))
    assert (ranking.best, ranking.verdict) == ("identity", "told")


def test_a_probe_without_phase_leaves_the_twin_undecided(scan: RawData) -> None:
    ranking = _rank(replace(scan, probe=np.abs(scan.probe).astype(np.complex64)), n_patterns=16)
    r_of = dict(zip(ranking.turns, ranking.r_factors, strict=True))
    assert r_of["identity"] == pytest.approx(r_of["rotate_180"], rel=0.01)
    assert ranking.verdict in ("twin", "untold")
    assert ranking.allows("identity") is None


def test_an_empty_object_tells_nothing() -> None:
    scan = make_scan(n_scan=49, N=24, step=2.0)
    still = np.random.default_rng(0).poisson(scan.patterns.read(slice(None)).mean(axis=0), scan.patterns.shape)
    ranking = _rank(scan.with_patterns(still.astype(np.uint16)), n_patterns=16)
    assert ranking.verdict == "untold"
    assert ranking.allows("identity") is None


def test_a_twin_pair_that_stands_out_is_called_twins() -> None:
    others = (0.30, 0.31, 0.30, 0.31, 0.30, 0.31)
    turns: tuple[Turn, ...] = ("flip_rows", "flip_columns", *(t.name for t in TURNS if "flip" not in t.name))
    ranking = OrientationRanking(turns=turns, r_factors=(0.1, 0.1001, *others), n_patterns=9)
    assert ranking.verdict == "twin"
    assert ranking.allows("flip_columns") is None
    assert ranking.allows("identity") is False


def test_a_wide_margin_tells_however_far_the_wrong_turns_lie_apart() -> None:
    turns = tuple(turn.name for turn in TURNS)
    far_apart = (0.073, 0.102, 0.102, 0.109, 0.111, 0.111, 0.112)
    ranking = OrientationRanking(turns=turns, r_factors=(0.033, *far_apart), n_patterns=9)
    assert ranking.verdict == "told"
    assert replace(ranking, r_factors=(0.071, *far_apart)).verdict == "untold"


@pytest.mark.parametrize(
    ("best", "second", "others", "verdict"),
    [
        ((0.100, 0.120), (0.103, 0.124), (0.110, 0.130), "told"),
        ((0.100, 0.125), (0.103, 0.124), (0.110, 0.130), "twin"),
        ((0.100, 0.128), (0.103, 0.124), (0.110, 0.130), "untold"),
    ],
)
def test_two_parts_of_a_scan_must_agree(
    best: tuple[float, ...], second: tuple[float, ...], others: tuple[float, ...], verdict: str
) -> None:
    turns: tuple[Turn, ...] = ("flip_rows", "flip_columns", *(t.name for t in TURNS if "flip" not in t.name))
    by_turn = (best, second, *(6 * (others,)))
    parts = tuple(zip(*by_turn, strict=True))
    ranking = OrientationRanking(turns=turns, r_factors=tuple(map(sum, by_turn)), n_patterns=9, parts=parts)
    assert ranking.verdict == verdict


def test_where_the_middle_does_not_tell_two_parts_are_asked(scan: RawData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orientation, "stands_out", lambda _best, _others: False)
    ranking = rank_orientations(_turned(scan, "transpose", "patterns"), n_patterns=16, epochs=3)
    assert (ranking.best, ranking.verdict, len(ranking.parts)) == ("transpose", "told", 2)
    assert ranking.allows("identity") is False
    assert ranking.r_factors == tuple(sorted(ranking.r_factors))
    assert ranking.r_factors == pytest.approx(np.mean(ranking.parts, axis=0))


def test_the_shipped_scan_is_upright() -> None:
    ranking = rank_orientations(RawData.from_file(sample_path("siemens")), n_patterns=49, size=48, epochs=4)
    assert (ranking.best, ranking.verdict) == ("identity", "told")
    assert ranking.margin > 0.2
