from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ptychofold.config import GroupingConfig, ModelConfig
from ptychofold.data import GroupBatch, GroupedDataset, MixtureDataset
from ptychofold.data.store import PatternStore
from ptychofold.errors import CheckpointError, ConfigError, ShapeError
from ptychofold.models import DataContract, PtychographyModel
from ptychofold.physics import AmplitudeScaling, CountIntensityScaling, Geometry
from ptychofold.raw_data import RawData
from ptychofold.testing import make_scan

QUICK = ModelConfig(lift_steps=2)


def batch_of(scan: RawData, *, grid: tuple[int, int] = (1, 1)) -> GroupBatch:
    return GroupedDataset(scan, GroupingConfig(grid=grid, n_neighbors=6, seed=0)).load()


@pytest.mark.parametrize("grid", [(1, 1), (2, 2)])
@pytest.mark.parametrize("settings", [{}, {"input": "amplitude"}, {"head": "amplitude_phase"}, {"residual": False}])
def test_batches_become_patches_and_amplitudes(settings: dict[str, object], grid: tuple[int, int]) -> None:
    scan = make_scan(n_scan=9, N=16, n_modes=2, n_bad_pixels=3)
    model = PtychographyModel.for_scan(scan, ModelConfig.from_mapping({"lift_steps": 2, **settings}))
    batch = batch_of(scan, grid=grid)
    output = model(batch)
    assert output.patches.shape == output.amplitude.shape == batch.diffraction.shape
    output.amplitude.sum().backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in model.network.parameters())


def test_the_first_guess_is_near_vacuum() -> None:
    scan = make_scan(n_scan=9, N=16)
    patches = PtychographyModel.for_scan(scan, QUICK.replace(residual=False))(batch_of(scan)).patches.detach()
    assert float((patches - 1).abs().mean()) < 0.5


def test_a_residual_model_starts_at_the_lifted_patch() -> None:
    scan = make_scan(n_scan=9, N=16)
    model = PtychographyModel.for_scan(scan, QUICK.replace(residual=True))
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.zero_()
    patches = model.predict_patches(batch_of(scan)).patches.detach()
    assert float((patches - 1).abs().mean()) > 0.01


def test_a_residual_model_needs_the_lifted_input() -> None:
    with pytest.raises(ConfigError, match="residual corrects the lifted patch"):
        ModelConfig(input="amplitude", residual=True)


@pytest.mark.parametrize("grid", [(1, 1), (2, 2)])
def test_networks_after_the_first_begin_by_changing_nothing(grid: tuple[int, int]) -> None:
    scan = make_scan(n_scan=9, N=16)
    batch = batch_of(scan, grid=grid)
    one, three = (PtychographyModel.for_scan(scan, QUICK.replace(passes=passes)).eval() for passes in (1, 3))
    outputs = three.passes(batch)
    assert len(outputs) == 3
    assert torch.equal(outputs[0].patches, one(batch).patches)
    torch.testing.assert_close(outputs[2].patches, outputs[0].patches, rtol=1e-5, atol=1e-5)
    assert torch.equal(three(batch).amplitude, outputs[2].amplitude)
    drawn = [next(network.parameters()).detach() for network in three.further]
    assert not torch.equal(*drawn)


def test_each_network_learns_from_its_own_patches_alone() -> None:
    scan = make_scan(n_scan=9, N=16)
    model = PtychographyModel.for_scan(scan, QUICK.replace(passes=2))
    model.passes(batch_of(scan))[1].amplitude.sum().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is None for parameter in model.network.parameters())
    assert all(parameter.grad is not None for parameter in model.further.parameters())
    assert len(model.network_parameters()) == 2 * len(list(model.network.parameters()))


def test_a_network_of_single_patterns_does_not_see_the_group() -> None:
    scan = make_scan(n_scan=9, N=16, n_bad_pixels=3)
    model = PtychographyModel.for_scan(scan, QUICK.replace(lift_together=False, passes=2))
    alone, grouped = batch_of(scan), batch_of(scan, grid=(2, 2))
    order = alone.members[:, 0].argsort()
    expected = model.predict_patches(alone).patches[order, 0][grouped.members.long()]
    found = model.predict_patches(grouped)
    torch.testing.assert_close(found.patches, expected, rtol=1e-4, atol=1e-5)
    together = PtychographyModel.for_scan(scan, QUICK.replace(passes=2)).predict_patches(grouped)
    assert float((together.patches - expected).detach().abs().mean()) > 0.01
    assert torch.equal(found.positions, together.positions)


def test_patterns_of_a_mixture_are_seen_one_by_one_with_their_own_probe() -> None:
    scans = [make_scan(n_scan=9, N=16, seed=seed, n_bad_pixels=3) for seed in (0, 1)]
    scans[1] = replace(scans[1], probe=np.roll(scans[1].probe, 2, axis=-1))
    grouping = GroupingConfig(grid=(2, 2), n_neighbors=6, seed=0)
    model = PtychographyModel.for_scans(scans, QUICK.replace(lift_together=False))
    datasets = [GroupedDataset(scan, grouping) for scan in scans]
    mixture = MixtureDataset({"a": datasets[0], "b": datasets[1]})
    found = model.predict_patches(mixture.__getitems__(range(len(mixture)))).patches
    expected = torch.cat([model.predict_patches(dataset.load()).patches for dataset in datasets])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_single_patterns_need_the_lifted_input_to_be_lifted_alone() -> None:
    with pytest.raises(ConfigError, match="lift_together=False lifts patterns one by one"):
        ModelConfig(input="amplitude", lift_together=False)


def test_further_passes_need_the_lifted_input() -> None:
    with pytest.raises(ConfigError, match=r"passes after the first correct lifted patches.*set passes=1"):
        ModelConfig(input="amplitude", passes=2)


def test_members_of_a_group_agree_where_they_overlap() -> None:
    scan = make_scan(n_scan=16, N=16, grid="raster", step=2.0)
    batch = batch_of(scan, grid=(2, 2))
    patches = PtychographyModel.for_scan(scan, QUICK)(batch).patches
    first, second = patches[0, 0], patches[0, 1]
    dy, dx = (int(v) for v in (batch.offsets[0, 1] - batch.offsets[0, 0]).round())
    ys, xs = slice(max(0, dy), 16 + min(0, dy)), slice(max(0, dx), 16 + min(0, dx))
    yt, xt = slice(max(0, -dy), 16 + min(0, -dy)), slice(max(0, -dx), 16 + min(0, -dx))
    torch.testing.assert_close(first[ys, xs], second[yt, xt], rtol=1e-4, atol=1e-4)


def test_a_probe_without_a_scale_gets_the_patterns_energy() -> None:
    scan = make_scan(n_scan=9, N=16)
    unit = RawData.from_arrays(
        patterns=scan.patterns.read(slice(None)),
        positions=scan.positions,
        probe=scan.probe / np.linalg.norm(scan.probe),
        measurement="intensity",
    )
    given, matched = (PtychographyModel.for_scan(s, QUICK) for s in (scan, unit))
    assert (given.config.probe_scaling, matched.config.probe_scaling) == ("given", "match")
    energy = float(scan.energies().mean())
    batch = batch_of(unit)
    assert float(matched.illumination(batch).intensity.sum()) == pytest.approx(energy, rel=1e-4)
    assert float(matched.forward_model.probe.abs().square().sum()) == pytest.approx(energy, rel=1e-4)


def test_each_scan_of_a_mixture_is_lit_by_its_own_probe() -> None:
    scans = [make_scan(n_scan=9, N=16, n_modes=modes, seed=modes) for modes in (1, 2)]
    datasets = [GroupedDataset(scan, GroupingConfig(seed=0)) for scan in scans]
    mixture = MixtureDataset({"a": datasets[0], "b": datasets[1]})
    model = PtychographyModel.for_scan(scans[0], QUICK)
    batch = mixture.__getitems__(range(18))
    mixed = model(batch)
    alone = model(datasets[1].load())
    torch.testing.assert_close(mixed.amplitude[9:], alone.amplitude, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("setting", ["trainable_probe", "refine_positions"])
def test_what_belongs_to_one_scan_is_not_refined_on_a_mixture(setting: str) -> None:
    scan = make_scan(n_scan=9, N=16)
    dataset = GroupedDataset(scan, GroupingConfig(grid=(2, 2), seed=0))
    mixture = MixtureDataset({"a": dataset, "b": dataset})
    model = PtychographyModel.for_scan(scan, QUICK.replace(**{setting: True}))
    with pytest.raises(ConfigError, match=f"batches of one scan, as {setting} is set; found a mixture of 2"):
        model(mixture.__getitems__(range(18)))


def test_probe_and_positions_get_gradients_where_they_are_refined() -> None:
    scan = make_scan(n_scan=16, N=16)
    model = PtychographyModel.for_scan(scan, QUICK.replace(trainable_probe=True, refine_positions=True))
    model(batch_of(scan, grid=(2, 2))).amplitude.square().sum().backward()
    assert model.forward_model.probe.grad is not None
    assert model.shifts is not None
    assert model.shifts.grad is not None
    assert float(model.shifts.grad.abs().max()) > 0
    with torch.no_grad():
        model.shifts.add_(0.5)
    np.testing.assert_allclose(model.refined(scan).positions, scan.positions + 0.5)
    others = [scan.subset(range(9)), replace(scan, positions=scan.positions + 1), make_scan(n_scan=16, N=16, seed=5)]
    others.append(replace(others[-1], positions=scan.positions))
    assert all(model.refined(other) is other for other in others)


def test_positions_cannot_be_refined_from_single_patterns() -> None:
    scan = make_scan(n_scan=9, N=16)
    model = PtychographyModel.for_scan(scan, QUICK.replace(refine_positions=True))
    with pytest.raises(ConfigError, match="groups of several members"):
        model(batch_of(scan))


def test_positions_stay_unless_they_are_refined() -> None:
    scan = make_scan(n_scan=9, N=16)
    assert PtychographyModel.for_scan(scan, QUICK).refined(scan) is scan


def test_patterns_of_another_size_are_refused() -> None:
    model = PtychographyModel.for_scan(make_scan(n_scan=4, N=16), QUICK)
    with pytest.raises(ShapeError, match=r"patterns of 16 pixels.*found 32"):
        model(batch_of(make_scan(n_scan=4, N=32)))


def test_statistics_come_from_the_training_part_alone() -> None:
    scan = make_scan(n_scan=9, N=16)
    rows = np.arange(4)
    model = PtychographyModel.for_scan(scan, QUICK, training=rows)
    assert model.scaling == AmplitudeScaling.from_scan(scan, training=rows)
    assert model.scaling.n_patterns == 4


def test_the_near_field_has_its_own_propagation() -> None:
    geometry = Geometry(propagation="near_field", wavelength_m=1e-10, distance_m=1e-4, pixel_size_m=(1e-7, 1e-7))
    scan = make_scan(n_scan=4, N=16)
    model = PtychographyModel.for_scan(scan, QUICK, geometry=geometry)
    assert bool(torch.isfinite(model(batch_of(scan)).amplitude).all())
    with pytest.raises(CheckpointError, match=r"geometry = near_field.*found far_field. Propagate as in training"):
        model.contract.check(scan, geometry=Geometry())


@pytest.mark.parametrize(
    ("scan", "says"),
    [
        (make_scan(n_scan=4, N=32), "N = 16, as the model was made for; found 32. Crop, bin or pad"),
        (make_scan(n_scan=4, N=16, n_modes=2), "n_modes = 1.*found 2"),
        (make_scan(n_scan=4, N=16, measurement="amplitude"), "measurement = intensity.*found amplitude"),
    ],
)
def test_a_scan_that_does_not_fit_is_refused_in_one_line(scan: RawData, says: str) -> None:
    contract = DataContract.of(make_scan(n_scan=4, N=16))
    with pytest.raises(CheckpointError, match=says) as caught:
        contract.check(scan)
    assert "\n" not in str(caught.value)


def test_groups_of_another_size_are_refused() -> None:
    contract = DataContract(N=16, n_modes=1, measurement="intensity").with_groups_of(4)
    contract.check_groups(4)
    with pytest.raises(CheckpointError, match="groups of 4, as the model was trained on; found groups of 1"):
        contract.check_groups(1)


def test_unknown_units_agree_with_all_and_known_ones_must_match() -> None:
    known = DataContract.of(make_scan(n_scan=4, N=16))
    unknown = DataContract(N=16, n_modes=1, measurement="intensity")
    scan = make_scan(n_scan=4, N=16)
    unknown.check(scan)
    other = DataContract.from_dict({**known.to_dict(), "pixel_size_m": [2e-8, 2e-8]})
    with pytest.raises(CheckpointError, match="pixel_size_m"):
        other.check(scan)


def test_a_contract_of_other_facts_is_refused() -> None:
    with pytest.raises(CheckpointError, match="facts of a data contract; found"):
        DataContract.from_dict({"N": 16, "colour": "red"})


def test_the_marker_of_a_bad_pixel_changes_no_statistic_of_a_model(tmp_path: Path) -> None:
    clean = make_scan(n_scan=9, N=16, n_bad_pixels=3)
    assert clean.bad_pixels is not None
    patterns = clean.patterns.read(slice(0, 9)).astype(np.uint32)
    patterns[:, clean.bad_pixels] = np.iinfo(np.uint32).max
    marked = clean.with_patterns(patterns)
    stored = PatternStore.create(marked, tmp_path / "store").scan
    expected = PtychographyModel.for_scan(clean, ModelConfig())
    for scan in (marked, stored):
        model = PtychographyModel.for_scan(scan, ModelConfig())
        assert (model.scaling, model.config.probe_scaling) == (expected.scaling, "given")
        assert np.array_equal(scan.energies(), clean.energies())
        every = np.arange(9)
        assert CountIntensityScaling.from_scan(scan, training=every) == CountIntensityScaling.from_scan(
            clean, training=every
        )
