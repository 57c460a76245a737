from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ptychofold.config import GroupingConfig, LoaderConfig, ModelConfig
from ptychofold.data import GroupedDataset, MixtureDataset, make_loader
from ptychofold.data.store import PatternStore
from ptychofold.errors import CheckpointError, DivergenceError, GroupingError
from ptychofold.models import PtychographyModel
from ptychofold.patches import extract_patches
from ptychofold.reconstruction import (
    PredictedPatches,
    covering_groups,
    predict,
    prediction_loader,
    synchronize_phases,
)
from ptychofold.testing import make_scan
from ptychofold.testing.strategies import positions

SCAN = make_scan(n_scan=25, N=16, step=2.0)


def model_for(C: int) -> PtychographyModel:
    model = PtychographyModel.for_scan(SCAN, ModelConfig(lift_steps=2))
    model.contract = model.contract.with_groups_of(C)
    return model


@settings(max_examples=40)
@given(points=positions(), C=st.integers(1, 6))
def test_covering_groups_hold_every_scan_point_and_none_twice_in_a_group(points: np.ndarray, C: int) -> None:
    if len(points) < C:
        with pytest.raises(GroupingError, match=f"at least {C} scan points for groups of {C}"):
            covering_groups(points, C=C)
        return
    members = covering_groups(points, C=C).members
    assert set(members.ravel().tolist()) == set(range(len(points)))
    assert all(len(set(group)) == C for group in members.tolist())


def test_covering_groups_are_few_and_near() -> None:
    scan = make_scan(n_scan=400, N=16, step=2.0)
    groups = covering_groups(scan.positions, C=4)
    assert len(groups) < 160
    assert np.abs(groups.offsets).max() < 8


def test_every_scan_point_may_begin_a_group_of_its_nearest() -> None:
    scan = make_scan(n_scan=25, N=16, grid="raster", step=2.0)
    groups = covering_groups(scan.positions, C=4, every_seed=True)
    assert groups.members[:, 0].tolist() == list(range(25))
    apart = np.linalg.norm(scan.positions[groups.members] - scan.positions[groups.members[:, :1]], axis=-1)
    assert apart[12].tolist() == [0.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize("C", [1, 4])
def test_every_scan_point_is_predicted_at_the_nearest_pixel_whatever_the_batches(C: int) -> None:
    model = model_for(C)
    streams = [
        list(predict(model, prediction_loader(model, SCAN, loader=LoaderConfig(batch_size=size)))) for size in (3, 64)
    ]
    small, large = (PredictedPatches(*(torch.cat(column) for column in zip(*s, strict=True))) for s in streams)
    assert set(small.members.tolist()) == set(range(25))
    np.testing.assert_array_equal(small.positions.numpy(), SCAN.positions[small.members.numpy()].round())
    torch.testing.assert_close(small.patches, large.patches, rtol=1e-4, atol=1e-5)
    assert small.groups.tolist() == large.groups.tolist()


def test_a_store_is_predicted_like_the_scan(tmp_path: Path) -> None:
    store = PatternStore.create(SCAN, tmp_path / "store")
    model = model_for(1)
    first = next(predict(model, prediction_loader(model, store.scan)))
    second = next(predict(model, prediction_loader(model, SCAN)))
    assert torch.equal(first.patches, second.patches)


def test_predicting_leaves_the_model_in_training() -> None:
    model = model_for(1).train()
    list(predict(model, prediction_loader(model, SCAN)))
    assert model.training


def test_groups_of_another_size_are_not_predicted() -> None:
    loader = make_loader(GroupedDataset(SCAN, GroupingConfig(seed=0)), LoaderConfig())
    with pytest.raises(CheckpointError, match="groups of 4"):
        next(predict(model_for(4), loader))


def test_patches_that_are_not_finite_are_never_handed_out() -> None:
    model = model_for(1)
    with torch.no_grad():
        next(model.network.parameters()).fill_(torch.nan)
    with pytest.raises(DivergenceError, match="finite patches; found NaN"):
        next(predict(model, prediction_loader(model, SCAN)))


def test_scans_of_a_mixture_are_told_apart() -> None:
    mixture = MixtureDataset({name: GroupedDataset(SCAN, GroupingConfig(seed=0)) for name in "ab"})
    (batch,) = predict(model_for(1), make_loader(mixture, LoaderConfig(shuffle=False)))
    assert batch.experiment.tolist() == [0] * 25 + [1] * 25


def turned(C: int, *, n_scan: int = 100, seed: int = 0) -> tuple[list[PredictedPatches], torch.Tensor]:
    """Return true patches in batches, each group turned by a phase of its own, and those phases."""
    scan = make_scan(n_scan=n_scan, N=16, step=2.0)
    assert scan.object is not None
    groups = covering_groups(scan.positions, C=C)
    members = groups.members.ravel().astype(np.int64)
    number = np.repeat(np.arange(len(groups)), C)
    phases = np.random.default_rng(seed).uniform(-np.pi, np.pi, len(groups))[number]
    patches = extract_patches(scan.object, scan.positions[members], 16) * np.exp(1j * phases)[:, None, None]
    whole = PredictedPatches(
        patches=torch.from_numpy(patches.astype(np.complex64)),
        positions=torch.from_numpy(scan.positions[members]),
        members=torch.from_numpy(members),
        groups=torch.from_numpy(number),
        experiment=torch.zeros(len(members), dtype=torch.int64),
    )
    starts = range(0, len(members), 20)
    return [PredictedPatches(*(column[i : i + 20] for column in whole)) for i in starts], torch.from_numpy(phases)


@pytest.mark.parametrize("C", [1, 4])
def test_neighbors_agree_after_synchronisation(C: int) -> None:
    batches, phases = turned(C)
    weight = torch.from_numpy(np.abs(SCAN.probe[0]) ** 2)
    found = list(synchronize_phases(batches, weight=weight))
    assert [len(batch.groups) for batch in found] == [len(batch.groups) for batch in batches]
    ratio = torch.cat([b.patches[:, 8, 8] / a.patches[:, 8, 8] for a, b in zip(batches, found, strict=True)])
    left = ratio * torch.polar(torch.ones_like(phases), phases)
    assert float((left / left.mean()).angle().abs().max()) < 0.2


def test_a_single_patch_and_no_patch_at_all_stay_as_they_are() -> None:
    batches, _ = turned(1, n_scan=1)
    weight = torch.ones(16, 16)
    (found,) = synchronize_phases(batches, weight=weight)
    assert torch.equal(found.patches, batches[0].patches)
    assert not list(synchronize_phases([], weight=weight))
