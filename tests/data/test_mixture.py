"""MixtureDataset: several scans as one."""

import numpy as np
import pytest
import torch

from ptychofold.config import GroupingConfig, LoaderConfig, MixtureConfig
from ptychofold.data import GroupedDataset, MixtureDataset, make_loader
from ptychofold.errors import ConfigError, ShapeError
from ptychofold.testing import make_scan

GRID = GroupingConfig(grid=(2, 2), n_neighbors=7, seed=3)


def three() -> dict[str, GroupedDataset]:
    return {
        "c": GroupedDataset(make_scan(n_scan=10, N=8, seed=3, n_modes=2), GRID),
        "a": GroupedDataset(make_scan(n_scan=40, N=8, seed=1, n_bad_pixels=2), GRID),
        "b": GroupedDataset(make_scan(n_scan=20, N=8, seed=2, measurement="amplitude"), GRID),
    }


def test_experiments_are_numbered_in_the_order_of_their_names() -> None:
    mixture = MixtureDataset(three())
    assert mixture.names == ("a", "b", "c")
    batch = mixture.__getitems__(range(70))
    assert torch.bincount(batch.experiment).tolist() == [40, 20, 10]


def test_each_group_has_the_patterns_probe_scale_and_mask_of_its_scan() -> None:
    datasets = three()
    mixture = MixtureDataset(datasets)
    batch = next(iter(make_loader(mixture, LoaderConfig(batch_size=64, seed=1))))
    for row in range(0, 64, 7):
        dataset = datasets[mixture.names[int(batch.experiment[row])]]
        expected = dataset.scan.amplitude(batch.members[row].numpy())
        np.testing.assert_array_equal(batch.diffraction[row], expected)
        n_modes = dataset.probe.shape[1]
        probe = batch.probe[batch.experiment[row]]
        assert torch.equal(probe[:n_modes], dataset.probe[0])
        assert not probe[n_modes:].any()
        assert float(batch.scale[row]) == pytest.approx(dataset.scale)
    assert batch.bad_pixels is not None
    assert batch.bad_pixels.sum(dim=(1, 2)).tolist() == [2, 0, 0]


def test_a_batch_is_ordered_by_scan_and_holds_the_groups_asked_for() -> None:
    mixture = MixtureDataset(three())
    batch = mixture.__getitems__([65, 3, 45])
    assert batch.experiment.tolist() == [0, 1, 2]
    assert torch.equal(batch.members[0], mixture[3].members[0])
    assert torch.equal(batch.diffraction[2], mixture[65].diffraction[0])


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (MixtureConfig(), [40, 20, 10]),
        (MixtureConfig(policy="uniform"), [24, 23, 23]),
        (MixtureConfig(policy="uniform", n_groups=100), [34, 33, 33]),
        (MixtureConfig(policy="temperature", temperature=2.0), []),
        (MixtureConfig(n_groups=7), [4, 2, 1]),
    ],
)
def test_scans_share_an_epoch_of_exact_length_as_the_policy_says(config: MixtureConfig, expected: list[int]) -> None:
    mixture = MixtureDataset(three(), config)
    loader = make_loader(mixture, LoaderConfig(batch_size=16, seed=0))
    seen = torch.cat([batch.experiment for batch in loader])
    counts = torch.bincount(seen, minlength=3).tolist()
    if config.policy == "temperature":
        share = np.sqrt([40, 20, 10])
        np.testing.assert_allclose(counts, 70 * share / share.sum(), atol=1)
        expected = counts
    assert counts == expected
    assert len(seen) == len(mixture) == sum(expected)


def test_no_group_is_seen_twice_before_all_of_its_scan_were() -> None:
    mixture = MixtureDataset(three(), MixtureConfig(policy="uniform", n_groups=90))
    order = mixture.order(np.random.default_rng(0))
    counts = np.bincount(order, minlength=70)
    assert set(counts[60:]) == {3}
    assert set(counts[40:60]) == {1, 2}
    assert set(counts[:40]) == {0, 1}


def test_patterns_of_another_size_are_refused_with_the_fix() -> None:
    datasets = {
        "a": GroupedDataset(make_scan(n_scan=9, N=8), GRID),
        "b": GroupedDataset(make_scan(n_scan=9, N=16), GRID),
    }
    with pytest.raises(ShapeError, match=r"b has N = 16\. Crop, bin or pad"):
        MixtureDataset(datasets)


def test_scans_that_do_not_go_together_are_refused() -> None:
    pairs, single = (
        GroupedDataset(make_scan(n_scan=9, N=8), GRID),
        GroupedDataset(make_scan(n_scan=9, N=8), GroupingConfig()),
    )
    with pytest.raises(ConfigError, match="expected one group size in a mixture; a has 4, b has 1"):
        MixtureDataset({"a": pairs, "b": single})
    with pytest.raises(ConfigError, match="at least one scan"):
        MixtureDataset({})


def test_ground_truth_comes_from_each_scan() -> None:
    datasets = {
        name: GroupedDataset(make_scan(n_scan=9, N=8, seed=seed), GRID, ground_truth=True)
        for seed, name in enumerate("ab")
    }
    mixture = MixtureDataset(datasets)
    batch = mixture.__getitems__([0, 9])
    assert batch.patches is not None
    expected = datasets["b"].load().patches
    assert expected is not None
    assert torch.equal(batch.patches[1], expected[0])


def test_regrouping_a_mixture_regroups_every_scan() -> None:
    mixture = MixtureDataset(three())
    before = mixture.table.members
    after = mixture.regroup(1).table.members
    assert before.shape == after.shape
    assert not np.array_equal(before, after)


def test_a_group_outside_the_mixture_is_an_index_error() -> None:
    with pytest.raises(IndexError, match="from -70 to 69; found 70"):
        MixtureDataset(three())[70]
