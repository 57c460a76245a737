"""A frame that was lost on the way is noticed where the scan's order can tell, and a clean scan is left alone."""

from dataclasses import replace

import numpy as np
import pytest

from ptychofold.raw_data import RawData
from ptychofold.reconstruction import doctor
from ptychofold.reconstruction.frame_order import rank_delays
from ptychofold.testing import make_scan

pytestmark = pytest.mark.usefixtures("unchecked_signatures")


@pytest.fixture(scope="module", params=["jitter", "fermat"])
def clean(request: pytest.FixtureRequest) -> RawData:
    return make_scan(n_scan=121, N=32, step=3.0, grid=request.param, n_photons=1e6, seed=3, phantom="dead_leaves")


def _without(scan: RawData, frame: int) -> RawData:
    """Lose a pattern, so that each later one is written beside the position of the one before it."""
    rows = np.delete(np.arange(len(scan)), frame)
    positions = scan.positions[: len(rows)]
    return replace(scan.subset(rows), positions=positions, positions_nominal=positions)


def test_patterns_that_belong_to_the_next_position_are_told(clean: RawData) -> None:
    assert rank_delays(clean, epochs=4).best == 0
    lost = rank_delays(_without(clean, 60), epochs=4)
    assert (lost.best, lost.n_patterns) == (1, 36)
    twice = replace(clean, positions=np.concatenate([clean.positions[:1], clean.positions[:-1]]))
    assert rank_delays(twice, epochs=4).best == 1
    late = replace(clean, positions=np.concatenate([clean.positions[1:], clean.positions[-1:]]))
    assert rank_delays(late, epochs=4).best == -1


def test_the_doctor_names_it_with_the_cure() -> None:
    scan = make_scan(n_scan=121, N=32, step=3.0, grid="jitter", n_photons=1e6, seed=3, phantom="dead_leaves")
    found = list(doctor._frame_order(_without(scan, 60)))
    assert [(finding.subject, finding.level) for finding in found] == [("frame order", "no-go")]
    assert "fit positions +1 frame on better" in found[0].says
    assert list(doctor._frame_order(scan)) == []
    assert list(doctor._frame_order(scan.subset(np.arange(39)))) == []
