import numpy as np
import pytest
import torch

from ptychofold.config import GroupingConfig
from ptychofold.data import GroupBatch, GroupedDataset
from ptychofold.models import Illumination, Placement, data_gradient, lift, lifted_features
from ptychofold.physics import FarField, ForwardModel, amplitude_mse
from ptychofold.raw_data import RawData
from ptychofold.testing import make_scan


def batch_of(scan: RawData, *, grid: tuple[int, int] = (1, 1)) -> GroupBatch:
    return GroupedDataset(scan, GroupingConfig(grid=grid, n_neighbors=6, seed=0), ground_truth=True).load()


def placement(batch: GroupBatch) -> Placement:
    return Placement.of(batch.centers, batch.offsets)


def illumination(scan: RawData) -> Illumination:
    return Illumination(probe=torch.from_numpy(scan.probe.copy()), propagator=FarField())


def test_the_step_is_the_gradient_of_the_amplitude_error_over_the_probes_intensity() -> None:
    scan = make_scan(n_scan=4, N=16, n_modes=2, noise=False)
    batch, by = batch_of(scan), illumination(scan)
    phases = 6 * torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    patches = torch.polar(torch.ones_like(phases), phases).requires_grad_()
    error = amplitude_mse(ForwardModel(by.probe)(patches), batch.diffraction, reduction="sum") / 2
    (gradient,) = torch.autograd.grad(error, patches)
    expected = -gradient / (by.intensity + 0.05 * by.intensity.max())
    step = data_gradient(patches.detach(), batch.diffraction, by=by)
    assert float((step - expected).norm() / expected.norm()) < 0.05


def test_the_true_patch_is_left_where_it_is() -> None:
    scan = make_scan(n_scan=4, N=16, noise=False)
    batch = batch_of(scan)
    assert batch.patches is not None
    assert data_gradient(batch.patches, batch.diffraction, by=illumination(scan)).abs().max() < 1e-2


@pytest.mark.parametrize("grid", [(1, 1), (2, 2)])
def test_more_steps_explain_the_patterns_better(grid: tuple[int, int]) -> None:
    scan = make_scan(n_scan=16, N=32)
    batch, by = batch_of(scan, grid=grid), illumination(scan)
    model = ForwardModel(by.probe)
    regions = placement(batch).regions(trust=by.trust)

    def error(n_steps: int) -> float:
        lifted = lift(batch.diffraction, placement(batch), by=by, n_steps=n_steps)
        return float(amplitude_mse(model(regions.lit(regions.merged(lifted.patches))), batch.diffraction))

    errors = [error(n) for n in (0, 2, 5, 15)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 5


@pytest.mark.parametrize("grid", [(1, 1), (2, 2)])
def test_lifting_goes_on_from_patches(grid: tuple[int, int]) -> None:
    scan = make_scan(n_scan=16, N=32)
    batch, by = batch_of(scan, grid=grid), illumination(scan)

    def error(n_steps: int, start: torch.Tensor) -> float:
        lifted = lift(batch.diffraction, placement(batch), by=by, n_steps=n_steps, start=start)
        return float(amplitude_mse(ForwardModel(by.probe)(lifted.patches), batch.diffraction))

    first = lift(batch.diffraction, placement(batch), by=by, n_steps=3).patches
    before = first.clone()
    here = lift(batch.diffraction, placement(batch), by=by, n_steps=0, start=first).patches
    torch.testing.assert_close(here, first, rtol=1e-4, atol=1e-4)
    assert error(4, first) < 0.8 * error(0, first)
    assert torch.equal(first, before)


def test_neighbors_bring_the_lifted_patch_nearer_to_the_truth() -> None:
    scan = make_scan(n_scan=36, N=32, step=3.0, n_photons=1e6)
    by = illumination(scan)

    def error(grid: tuple[int, int]) -> float:
        batch = batch_of(scan, grid=grid)
        assert batch.patches is not None
        regions = placement(batch).regions(trust=by.trust)
        lifted = regions.lit(regions.merged(lift(batch.diffraction, placement(batch), by=by, n_steps=20).patches))
        weight = by.weight
        overlap = (weight * lifted.conj() * batch.patches).sum(dim=(1, 2, 3)).abs()
        energies = [(weight * p.abs().square()).sum(dim=(1, 2, 3)) for p in (lifted, batch.patches)]
        return float((1 - overlap / (energies[0] * energies[1]).sqrt()).mean())

    assert error((2, 2)) < error((1, 1))


def test_bad_pixels_have_no_say() -> None:
    scan = make_scan(n_scan=4, N=16, n_bad_pixels=6)
    batch, by = batch_of(scan), illumination(scan)
    assert scan.bad_pixels is not None
    bad = torch.from_numpy(scan.bad_pixels.copy())
    masked = Illumination(probe=by.probe, propagator=by.propagator, bad_pixels=bad)
    spoiled = batch.diffraction.masked_fill(bad, 1e3)
    flat = torch.ones(spoiled.shape, dtype=torch.complex64)
    torch.testing.assert_close(
        data_gradient(flat, spoiled, by=masked), data_gradient(flat, batch.diffraction, by=masked), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("gain", [1e-3, 1.0, 1e3])
def test_what_the_network_sees_does_not_depend_on_the_dose(gain: float) -> None:
    scan = make_scan(n_scan=4, N=16, noise=False)
    batch, by = batch_of(scan), illumination(scan)

    def features(scale: float) -> torch.Tensor:
        scaled = Illumination(probe=by.probe * scale, propagator=by.propagator)
        amplitude = batch.diffraction * scale
        return lifted_features(lift(amplitude, placement(batch), by=scaled, n_steps=3), by=scaled)

    torch.testing.assert_close(features(gain), features(1.0), rtol=1e-3, atol=1e-3)
    assert np.isfinite(features(gain).numpy()).all()


def test_a_probe_for_each_group_gives_what_one_probe_gives() -> None:
    scan = make_scan(n_scan=4, N=16, n_modes=2)
    batch, by = batch_of(scan), illumination(scan)
    each = Illumination(probe=by.probe.expand(4, -1, -1, -1).contiguous(), propagator=by.propagator)
    one = lift(batch.diffraction, placement(batch), by=by, n_steps=3)
    torch.testing.assert_close(lift(batch.diffraction, placement(batch), by=each, n_steps=3), one)
    torch.testing.assert_close(lifted_features(one, by=each), lifted_features(one, by=by))
