"""InnerGroups: several scans, their inner fields, any order."""

import numpy as np
import pytest

from ptychofold.config import GroupingConfig
from ptychofold.data.inner import InnerGroups
from ptychofold.errors import GroupingError
from ptychofold.testing import make_scan

CONFIG = GroupingConfig(grid=(2, 2), n_neighbors=6, groups_per_seed=2, seed_role="candidate", seed=0)
SCANS = [make_scan(n_scan=36, N=16, seed=seed) for seed in (1, 2)]


def groups_of(config: GroupingConfig = CONFIG, n_scans: int = 2) -> InnerGroups:
    return InnerGroups(SCANS[:n_scans], config, x_bounds=(0.1, 0.9), y_bounds=(0.1, 0.9))


@pytest.mark.parametrize("n_scans", [1, 2])
def test_a_batch_comes_in_the_order_asked_for(n_scans: int) -> None:
    groups = groups_of(n_scans=n_scans)
    wanted = np.random.default_rng(0).permutation(len(groups))[:9].tolist()
    batch = groups.__getitems__(wanted)
    np.testing.assert_array_equal(batch.members.numpy(), groups.table.members[wanted])
    np.testing.assert_array_equal(batch.experiment.numpy(), groups.table.experiment[wanted])
    for place, group in enumerate(wanted):
        np.testing.assert_array_equal(batch.diffraction[place].numpy(), groups[group].diffraction[0].numpy())


def test_members_and_seeds_lie_in_the_inner_field() -> None:
    groups = groups_of()
    for number, scan in enumerate(SCANS):
        rows = groups.rows(np.arange(len(groups)), scan=number)
        low, extent = scan.positions.min(axis=0), np.ptp(scan.positions, axis=0)
        assert (scan.positions[rows] >= low + 0.1 * extent).all()
        assert (scan.positions[rows] <= low + 0.9 * extent).all()
    assert groups.centers.shape == (2, 2)


def test_other_roles_are_drawn_by_the_native_grouping_and_repeat_for_a_seed() -> None:
    config = CONFIG.replace(seed_role="excluded", max_distance=40.0)
    members = groups_of(config).table.members
    np.testing.assert_array_equal(members, groups_of(config).table.members)
    assert not (members == groups_of(config).seeds[:, None]).any()
    single = groups_of(GroupingConfig(groups_per_seed=3, seed=0))
    np.testing.assert_array_equal(single.table.members[:, 0], single.seeds)


def test_a_field_without_inner_points_is_refused() -> None:
    with pytest.raises(GroupingError, match="Widen the bounds"):
        InnerGroups(SCANS, CONFIG, x_bounds=(0.5, 0.5001), y_bounds=(0.5, 0.5001))
