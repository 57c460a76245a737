"""GroupedDataset: batches hold what the scan holds, and nothing is copied per group."""

import numpy as np
import pytest
import torch

from ptychofold.config import GroupingConfig
from ptychofold.data import GroupBatch, GroupedDataset
from ptychofold.data.readers import ResidentReader
from ptychofold.errors import ConfigError, DomainError, MissingFieldError
from ptychofold.grouping import group_scan
from ptychofold.patches import extract_patches
from ptychofold.raw_data import RawData
from ptychofold.testing import make_scan
from ptychofold.typing import Measurement

GRID = GroupingConfig(grid=(2, 2), n_neighbors=7, seed=3)


def test_a_batch_holds_the_amplitude_of_its_members() -> None:
    scan = make_scan(n_scan=30, N=16)
    dataset = GroupedDataset(scan, GRID)
    batch = dataset.__getitems__([4, 0, 4])
    assert batch.diffraction.shape == (3, 4, 16, 16)
    assert batch.diffraction.dtype == torch.float32
    counts = scan.patterns.read(slice(None))
    np.testing.assert_array_equal(batch.diffraction, np.sqrt(counts[batch.members.numpy()].astype(np.float32)))
    np.testing.assert_array_equal(batch.members, dataset.groups.members[[4, 0, 4]])


def test_counts_can_be_asked_for_instead_of_amplitude() -> None:
    scan = make_scan(n_scan=20, N=16)
    counts = GroupedDataset(scan, GRID, values="counts").load()
    amplitude = GroupedDataset(scan, GRID).load()
    assert torch.equal(counts.diffraction, counts.diffraction.round())
    torch.testing.assert_close(amplitude.diffraction.square(), counts.diffraction)


def test_centers_and_offsets_give_back_the_positions() -> None:
    scan = make_scan(n_scan=30, N=16, nominal_error=0.5)
    batch = GroupedDataset(scan, GRID).load()
    members = batch.members.numpy()
    np.testing.assert_allclose(batch.centers[:, None] + batch.offsets, scan.positions[members], atol=1e-4)
    nominal = scan.positions_nominal[members]
    np.testing.assert_allclose(batch.offsets_nominal, nominal - nominal.mean(axis=1, keepdims=True), atol=1e-4)
    assert batch.offsets.dtype == batch.centers.dtype == torch.float32


def test_one_group_is_a_batch_of_one() -> None:
    dataset = GroupedDataset(make_scan(n_scan=20, N=16), GRID)
    assert isinstance(dataset[0], GroupBatch)
    assert torch.equal(dataset[-1].members, dataset.load().members[-1:])
    with pytest.raises(IndexError, match="expected a group from -20 to 19; found 20"):
        dataset[20]


def test_ground_truth_is_cut_at_each_member_s_own_position() -> None:
    scan = make_scan(n_scan=20, N=16, phantom="coordinate_ramp", noise=False, measurement="amplitude")
    batch = GroupedDataset(scan, GRID, ground_truth=True).load()
    assert batch.patches is not None
    assert scan.object is not None
    own = extract_patches(scan.object, scan.positions[batch.members.numpy().ravel()], 16)
    np.testing.assert_array_equal(batch.patches.reshape(-1, 16, 16), own)
    at_position = batch.patches[..., 8, 8].numpy()
    positions = scan.positions[batch.members.numpy()]
    np.testing.assert_allclose(at_position, positions[..., 0] + 1j * positions[..., 1], rtol=1e-5)


def test_ground_truth_of_a_scan_without_object_is_refused() -> None:
    with pytest.raises(MissingFieldError, match="object or patches"):
        GroupedDataset(make_scan(n_scan=20, N=16, object=False), GRID, ground_truth=True)


def test_the_scale_brings_amplitude_to_the_rms_of_the_contract() -> None:
    scan = make_scan(n_scan=20, N=16)
    batch = GroupedDataset(scan, GroupingConfig(seed=0)).load()
    scaled = batch.diffraction * batch.scale[:, None, None, None]
    assert float(scaled.square().sum(dim=(-2, -1)).mean()) == pytest.approx((16 / 2) ** 2, rel=1e-5)
    assert set(GroupedDataset(scan, GRID, scale=2.5).load().scale.tolist()) == {2.5}


def test_a_bad_pattern_deep_in_a_scan_is_found_when_the_dataset_is_made() -> None:
    patterns = make_scan(n_scan=300, N=8, noise=False, measurement="amplitude").amplitude(np.arange(300))
    patterns[7, 3, 3] = np.nan
    good = make_scan(n_scan=300, N=8)
    scan = RawData.from_arrays(patterns=patterns, positions=good.positions, probe=good.probe, measurement="amplitude")
    with pytest.raises(DomainError, match="row 7"):
        GroupedDataset(scan, GRID)


def test_regrouping_gives_new_groups_each_epoch_and_the_same_for_the_same_epoch() -> None:
    dataset = GroupedDataset(make_scan(n_scan=40, N=8), GRID)
    first = dataset.regroup(1).groups.members
    second = dataset.regroup(2).groups.members
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(dataset.regroup(1).groups.members, first)
    np.testing.assert_array_equal(dataset.load().members, first)


def test_regrouping_needs_a_seed_and_a_configuration() -> None:
    scan = make_scan(n_scan=20, N=8)
    for groups in (group_scan(scan.positions, GRID), GroupingConfig(grid=(2, 2))):
        with pytest.raises(ConfigError, match="GroupingConfig with a seed"):
            GroupedDataset(scan, groups).regroup(1)


@pytest.mark.parametrize("values", ["amplitude", "counts"])
@pytest.mark.parametrize("measurement", ["amplitude", "intensity"])
@pytest.mark.parametrize("mode", [{"resident": True}, {"device": "cpu"}, {"device": "cpu", "resident": True}])
def test_every_way_to_read_gives_the_same_numbers(mode: dict, measurement: str, values: str) -> None:  # type: ignore[type-arg]
    scan = make_scan(n_scan=20, N=16, measurement=measurement)  # type: ignore[arg-type]
    host = GroupedDataset(scan, GRID, values=values).load()  # type: ignore[arg-type]
    other = GroupedDataset(scan, GRID, values=values, **mode).load()  # type: ignore[arg-type]
    torch.testing.assert_close(other.diffraction, host.diffraction, rtol=2e-7, atol=0)


def test_a_batch_moves_to_a_device_whole_and_keeps_what_is_none() -> None:
    batch = GroupedDataset(make_scan(n_scan=20, N=8), GRID)[0].to("meta")
    assert {tensor.device.type for tensor in batch if tensor is not None} == {"meta"}
    assert batch.patches is None


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("measurement", ["amplitude", "intensity"])
@pytest.mark.parametrize("mode", [{}, {"resident": True}, {"device": "cpu"}, {"device": "cpu", "resident": True}])
def test_batches_own_their_memory(mode: dict, measurement: Measurement, dtype: type) -> None:  # type: ignore[type-arg]
    made = make_scan(n_scan=20, N=8)
    patterns: np.ndarray = np.arange(20 * 64).reshape(20, 8, 8).astype(dtype)
    scan = RawData.from_arrays(patterns=patterns, positions=made.positions, probe=made.probe, measurement=measurement)
    dataset = GroupedDataset(scan, GRID, **mode)
    first = dataset.__getitems__([0, 1]).diffraction
    kept = first.clone()
    dataset.__getitems__([2, 3])
    assert torch.equal(first, kept)
    assert torch.equal(dataset.__getitems__([0, 1]).diffraction, kept)


def test_the_mask_and_probe_are_stored_once() -> None:
    scan = make_scan(n_scan=20, N=16, n_modes=3, n_bad_pixels=5)
    batch = GroupedDataset(scan, GRID).load()
    assert batch.probe.shape == (1, 3, 16, 16)
    assert batch.bad_pixels is not None
    assert int(batch.bad_pixels.sum()) == 5
    assert batch.probe[batch.experiment].shape == (20, 3, 16, 16)


def test_patterns_that_are_resident_in_host_memory_are_not_copied() -> None:
    scan = make_scan(n_scan=20, N=16)
    stored = scan.patterns.read(slice(None))
    assert not stored.flags.writeable
    reader = GroupedDataset(scan, GRID, device="cpu", resident=True).reader
    assert isinstance(reader, ResidentReader)
    assert reader.sources[0].data_ptr() == stored.ctypes.data
