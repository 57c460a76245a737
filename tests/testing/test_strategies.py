import numpy as np
from hypothesis import find, given, settings

from ptychofold.config import GroupingConfig
from ptychofold.raw_data import RawData
from ptychofold.testing import strategies


@given(strategies.positions(min_size=3, max_size=20))
def test_positions_are_finite_pairs_in_number(positions: np.ndarray) -> None:
    assert 3 <= len(positions) <= 20
    assert positions.shape[1] == 2
    assert positions.dtype == np.float64
    assert np.isfinite(positions).all()


@settings(max_examples=20)
@given(strategies.scans(max_scan=9))
def test_scans_are_whole(scan: RawData) -> None:
    assert 1 <= len(scan) <= 9
    assert scan.patterns.shape == (len(scan), scan.N, scan.N)
    assert len(scan.positions) == len(scan)


@given(strategies.grouping_configs(n_scan=12))
def test_grouping_configs_can_be_satisfied(config: GroupingConfig) -> None:
    assert config.C <= config.n_neighbors < 12
    assert config.oversample or config.n_groups is None or config.n_groups <= 12


def test_strategies_reach_duplicates_ties_and_oversampling() -> None:
    find(strategies.positions(min_size=4), lambda found: len(np.unique(found, axis=0)) < len(found))
    find(strategies.positions(min_size=4), lambda found: len(np.unique(found[:, 0])) == 1)
    find(strategies.grouping_configs(), lambda config: config.oversample and (config.n_groups or 0) > 60)
