"""A right distance is found right, also from a poor probe, and a wrong one never."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ptychofold.config import CropStep, PreprocessConfig
from ptychofold.raw_data import RawData
from ptychofold.reconstruction import scales
from ptychofold.reconstruction.scales import ScaleRanking, rank_scales
from ptychofold.testing import make_scan

pytestmark = pytest.mark.usefixtures("unchecked_signatures")

NPZ = Path(__file__).parents[3] / "shared" / "data" / "siemens_n128.npz"


def test_a_right_distance_that_a_narrow_first_guess_of_the_probe_makes_look_wrong_is_not_called_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The measured star's source gives a probe of 56 px where 73 px come out; × 1.19 then fits faster, at first."""
    if not NPZ.exists():
        pytest.skip(f"needs {NPZ}, a real scan beside the checkout")
    with np.load(NPZ) as file:
        guess = np.asarray(file["probeInit"], np.complex64).reshape(1, 128, 128)
    crop = CropStep(size=48, center=(64.0, 64.0), probe="with_patterns", propagation="far_field")
    scan = replace(RawData.from_file(NPZ), probe=guess).preprocessed(PreprocessConfig(steps=(crop,)))
    scan = scan.with_patterns(scan.patterns.read(np.arange(len(scan))))
    monkeypatch.setattr(scales, "SCALES", (0.84, 1.0, 1.19))
    late = rank_scales(scan, n_patterns=50, epochs=2)
    assert (late.best, late.verdict, late.epochs) == (1.19, "untold", 6)
    monkeypatch.setattr(scales, "LONGER", 1)
    early = rank_scales(scan, n_patterns=50, epochs=2)
    assert (early.best, early.verdict) == (1.19, "other")
    assert early.lead > 1.02 * late.lead


def test_a_clear_first_round_decides_and_its_contenders_are_not_tried_again() -> None:
    ranking = rank_scales(make_scan(n_scan=49, N=24, step=2.0), n_patterns=49, epochs=4)
    assert (ranking.verdict, ranking.epochs, len(ranking.r_factors)) == ("stated", 4, 7)


@pytest.mark.parametrize(
    ("near", "stated", "far", "verdict"),
    [
        ((0.12,), (0.1,), (0.12,), "stated"),
        ((0.109,), (0.1,), (0.12,), "untold"),
        ((0.08,), (0.1,), (0.12,), "untold"),
        ((0.103, 0.103), (0.1, 0.1), (0.11, 0.11), "stated"),
        ((0.103, 0.101), (0.1, 0.1), (0.11, 0.11), "untold"),
        ((0.09, 0.09), (0.1, 0.1), (0.11, 0.11), "other"),
        ((0.08, 0.11), (0.1, 0.1), (0.11, 0.11), "untold"),
    ],
)
def test_two_parts_must_agree_and_one_alone_must_be_clear(
    near: tuple[float, ...], stated: tuple[float, ...], far: tuple[float, ...], verdict: str
) -> None:
    assert ScaleRanking(r_factors={0.84: near, 1.0: stated, 1.19: far}, epochs=8).verdict == verdict
