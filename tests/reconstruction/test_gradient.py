"""The gradient engine: exact gradients, true objects found, honest figures."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ptychofold.config import GradientConfig
from ptychofold.errors import ConfigError, DivergenceError, DomainError, MissingFieldError, ShapeError
from ptychofold.physics import (
    FarField,
    ForwardModel,
    Geometry,
    NearField,
    Propagator,
    amplitude_mse,
    make_object,
    mode_shares,
    poisson_nll,
    simulate,
)
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.alignment import align
from ptychofold.reconstruction.gradients import Adam, Objective, move_positions
from ptychofold.reconstruction.iterative import EpochReport, ReconstructionDivergedError, reconstruct
from ptychofold.testing import make_probe, make_scan

NEAR = NearField(wavelength_m=1e-10, distance_m=2e-3, pixel_size_m=(1e-7, 1e-7))
N_PATTERNS, N = 4, 16


def _fields(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return canvas, probe, positions, measured amplitude and bad pixels."""
    rng = torch.Generator().manual_seed(seed)
    canvas = torch.randn(30, 28, dtype=torch.complex64, generator=rng)
    probe = torch.randn(2, N, N, dtype=torch.complex64, generator=rng)
    positions = 8 + 10 * torch.rand(N_PATTERNS, 2, dtype=torch.float64, generator=rng)
    measured = 2 * torch.rand(N_PATTERNS, N, N, generator=rng)
    return canvas, probe, positions, measured, torch.rand(N, N, generator=rng) < 0.1


def _loss(name: str, amplitude: Tensor, measured: Tensor, bad: Tensor) -> Tensor:
    if name == "poisson":
        return poisson_nll(amplitude.square(), measured.square(), bad_pixels=bad, reduction="sum")
    if name == "amplitude":
        return amplitude_mse(amplitude, measured, bad_pixels=bad, reduction="sum")
    distance = (amplitude - measured).masked_fill(bad, 0).abs()
    width = GradientConfig().mae_width
    return (distance - width * torch.log1p(distance / width)).sum()


@pytest.mark.parametrize("propagator", [FarField(), NEAR])
@pytest.mark.parametrize("loss", ["mae", "amplitude", "poisson"])
def test_the_closed_form_is_the_gradient_that_autograd_finds(loss: str, propagator: Propagator) -> None:
    canvas, probe, positions, measured, bad = _fields()
    model = ForwardModel(probe, propagator=propagator, trainable_probe=True)
    canvas.requires_grad_()
    _loss(loss, model.from_object(canvas, positions), measured, bad).backward()  # type: ignore[no-untyped-call]
    objective = Objective(
        config=GradientConfig(loss=loss),
        propagator=propagator,
        bad_pixels=bad,
        dark=1e-9,
    )
    with torch.no_grad():
        found = objective.gradient(canvas, propagator.modulate(probe), positions, measured, move=False)
        error = (model.from_object(canvas, positions) - measured).abs().masked_fill(bad, 0).sum()
    assert canvas.grad is not None
    assert model.probe.grad is not None
    assert found.step is None
    torch.testing.assert_close(found.object, canvas.grad, rtol=2e-4, atol=2e-4)
    torch.testing.assert_close(propagator.modulate(found.probe), model.probe.grad, rtol=2e-4, atol=2e-4)
    torch.testing.assert_close(found.error, error, rtol=1e-4, atol=1e-4)


def test_a_step_does_not_depend_on_the_global_phase_and_leaves_unlit_pixels() -> None:
    gradient = torch.randn(1, 6, 6, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    gradient[:, :2] *= 1e-6
    phase = torch.exp(torch.tensor(1.1j))
    steps = []
    for turn in (torch.ones(()), phase):
        value = torch.zeros_like(gradient)
        Adam(momentum=0.9, memory=0.999, damping=0.05).step(value, gradient * turn, 0.1)
        steps.append(value)
    torch.testing.assert_close(steps[0] * phase, steps[1])
    assert float(steps[0].abs()[:, :2].max()) < 1e-4
    assert 0.05 < float(steps[0].abs().max()) < 0.1


@pytest.mark.parametrize("propagator", [FarField(), NEAR])
@pytest.mark.parametrize(("loss", "share"), [("mae", 0.3), ("amplitude", 0.5), ("poisson", 0.5)])
def test_one_step_takes_every_position_nearer_to_where_it_was(loss: str, share: float, propagator: Propagator) -> None:
    canvas = torch.tensor(make_object("dead_leaves", (64, 64), seed=0))
    for axis in (0, 1):
        canvas = (canvas.roll(1, axis) + 2 * canvas + canvas.roll(-1, axis)) / 4
    probe = 100 * torch.tensor(make_probe(32))
    positions = 20 + 24 * torch.rand(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    away = torch.tensor([0.3, -0.2], dtype=torch.float64).expand(40, 2)
    with torch.no_grad():
        measured = ForwardModel(probe, propagator=propagator).from_object(canvas, positions)
        objective = Objective(config=GradientConfig(loss=loss), propagator=propagator, bad_pixels=None, dark=1e-6)
        step = objective.gradient(canvas, propagator.modulate(probe), positions + away, measured, move=True).step
    assert step is not None
    left = (step - away).norm(dim=1) / away[0].norm()
    assert float(left.max()) < 1
    assert float(left.median()) < 1 - share


def test_positions_of_a_batch_move_but_not_their_mean() -> None:
    positions = torch.arange(10, dtype=torch.float64).reshape(5, 2)
    before = positions.clone()
    rows = torch.tensor([0, 2, 3])
    move_positions(positions, rows, torch.tensor([[0.3, 0.0], [0.0, -0.1], [30.0, 40.0]], dtype=torch.float64))
    moved = before - positions
    assert bool((moved[[1, 4]] == 0).all())
    # the third step is shortened to (0.3, 0.4), then the mean (0.2, 0.1) is taken out
    expected = torch.tensor([[0.1, -0.1], [-0.2, -0.2], [0.1, 0.3]], dtype=torch.float64)
    torch.testing.assert_close(moved[rows], expected)


@pytest.fixture(scope="module")
def scan() -> RawData:
    return make_scan(n_scan=81, N=32, step=3.0, n_photons=1e5, seed=1)


def _middle(values: np.ndarray) -> np.ndarray:
    return values[16:-16, 16:-16]


@pytest.mark.usefixtures("unchecked_signatures")
def test_a_simulated_object_is_found_from_nothing(scan: RawData) -> None:
    assert scan.object is not None
    blank = replace(scan, object=None, probe=scan.probe * 7)
    result = reconstruct(blank, GradientConfig(epochs=30, held_out=0.05, batch_size=8))
    assert result.object.shape[0] <= scan.object.shape[0]
    height, width = result.object.shape
    pair = align(_middle(result.object), _middle(scan.object[:height, :width]))
    assert np.abs(pair.test - pair.reference).mean() < 0.1
    noise = 0.4 * np.sqrt(32**2) ** 2 * len(scan) / scan.amplitude(np.arange(len(scan))).sum()
    assert result.r_factor < 1.2 * noise
    assert result.r_factor_held_out is not None
    assert result.r_factor < result.r_factor_held_out < 1.6 * noise
    assert len(result.held_out) == 4
    assert len(result.losses) == 30
    assert result.losses[-1] < 0.3 * result.losses[0]
    assert result.coverage.shape == result.object.shape


@pytest.mark.usefixtures("unchecked_signatures")
@pytest.mark.parametrize(("loss", "most"), [("poisson", 0.2), ("mae", 0.158)])
def test_amplitudes_in_a_unit_of_their_own_are_fitted_as_counts_are(scan: RawData, loss: str, most: float) -> None:
    unit = np.float32(1e-4)
    amplitude = unit * scan.amplitude(np.arange(len(scan)))
    normalised = replace(scan.with_patterns(amplitude), measurement="amplitude", probe=unit * scan.probe, object=None)
    assert reconstruct(normalised, GradientConfig.from_mapping({"epochs": 8, "loss": loss})).r_factor < most


def test_positions_that_were_wrong_are_found() -> None:
    true = make_scan(n_scan=64, N=32, step=3.0, n_photons=1e6, seed=2)
    wrong = replace(
        true, positions=true.positions + np.random.default_rng(0).normal(0, 0.4, true.positions.shape), object=None
    )
    settings = GradientConfig(epochs=20, batch_size=8, position_learning_rate=1.0)
    result = reconstruct(wrong, settings)
    kept = reconstruct(wrong, settings.replace(position_learning_rate=0.0))
    error = result.positions - result.shift - true.positions
    before = wrong.positions - true.positions
    assert (error - error.mean(axis=0)).std() < 0.6 * (before - before.mean(axis=0)).std()
    assert result.r_factor < 0.9 * kept.r_factor
    np.testing.assert_array_equal(kept.positions - kept.shift, wrong.positions)


def test_modes_are_orthogonal_and_strongest_first() -> None:
    scan = make_scan(n_scan=49, N=32, n_modes=2, seed=3)
    main = replace(scan, probe=scan.probe[:1], object=None)
    one = reconstruct(main, GradientConfig(epochs=8))
    two = reconstruct(main, GradientConfig(epochs=8, n_modes=2, mode_rate=1.0))
    assert two.probe.shape == (2, 32, 32)
    overlap = np.vdot(two.probe[0], two.probe[1]) / np.linalg.norm(two.probe[0]) ** 2
    assert abs(overlap) < 1e-4
    assert two.mode_shares[0] > two.mode_shares[1] > 0.05
    assert two.mode_shares == pytest.approx(mode_shares(torch.tensor(two.probe)).tolist(), abs=1e-4)
    assert two.r_factor < 0.9 * one.r_factor
    assert reconstruct(scan, GradientConfig(epochs=1, n_modes=1)).probe.shape == (1, 32, 32)


@pytest.mark.usefixtures("unchecked_signatures")
def test_a_near_field_scan_is_found_with_its_geometry(scan: RawData) -> None:
    geometry = Geometry.of(NEAR)
    assert scan.object is not None
    near = simulate(scan.object, scan.probe, scan.positions, seed=0, n_photons=1e6, geometry=geometry)
    result = reconstruct(near, GradientConfig(epochs=8), geometry=geometry)
    assert result.r_factor < 0.5 * reconstruct(near, GradientConfig(epochs=8), geometry=Geometry()).r_factor
    assert result.geometry == geometry
    assert reconstruct(near, GradientConfig(epochs=8)).r_factor == result.r_factor


def test_the_same_seed_gives_the_same_bits_and_reports_every_epoch(scan: RawData) -> None:
    reports: list[EpochReport] = []
    settings = GradientConfig(epochs=2, held_out=0.1, seed=5)
    first, second = reconstruct(scan, settings, on_epoch=reports.append), reconstruct(scan, settings)
    np.testing.assert_array_equal(first.object, second.object)
    assert [report.epoch for report in reports] == [1, 2]
    assert tuple(report.r_factor for report in reports) == first.losses
    other = reconstruct(scan, settings.replace(seed=6))
    assert other.held_out.tolist() != first.held_out.tolist()


def test_nothing_is_held_out_in_the_dark(scan: RawData) -> None:
    settings = GradientConfig(epochs=1, held_out=0.1)
    numbers = np.array(scan.patterns.read(slice(None)))
    numbers[reconstruct(scan, settings).held_out] = 0
    with pytest.raises(DomainError, match=r"light in the patterns held out; found \d+ dark ones\. Drop"):
        reconstruct(scan.with_patterns(numbers), settings)


def test_held_out_patterns_do_not_enter_the_fit(scan: RawData) -> None:
    settings = GradientConfig(epochs=2, held_out=0.1)
    result = reconstruct(scan, settings)
    patterns = scan.patterns.read(slice(None)).copy()
    patterns[result.held_out] = patterns[result.held_out][:, ::-1]
    other = reconstruct(scan.with_patterns(patterns), settings)
    np.testing.assert_array_equal(other.object, result.object)
    np.testing.assert_array_equal(other.probe, result.probe)
    assert other.r_factor_held_out is not None
    assert result.r_factor_held_out is not None
    assert other.r_factor_held_out > result.r_factor_held_out


def test_a_fit_goes_on_from_an_object_or_a_result(scan: RawData) -> None:
    settings = GradientConfig(epochs=1, learning_rate=0.01, probe_learning_rate=0.0)
    flat = reconstruct(scan, settings)
    true = reconstruct(scan, settings.replace(start="scan"))
    given = reconstruct(scan, settings, start=scan.object)
    assert true.losses[0] < 0.5 * flat.losses[0]
    np.testing.assert_array_equal(given.object, true.object)
    again = reconstruct(scan, settings, start=true)
    assert again.losses[0] < 1.1 * true.losses[0]
    np.testing.assert_allclose(np.abs(true.probe / scan.probe), np.abs(true.probe / scan.probe).mean(), rtol=1e-3)


def test_steps_are_smaller_where_an_object_is_given(scan: RawData) -> None:
    settings = GradientConfig(epochs=1, schedule="constant")
    kept = reconstruct(scan, settings, start=scan.object)
    undone = reconstruct(scan, settings.replace(continued=1.0), start=scan.object)
    assert kept.losses[0] < 0.7 * undone.losses[0]


def test_a_flat_object_fills_what_a_given_one_leaves_empty(scan: RawData) -> None:
    assert scan.object is not None
    holed = scan.object.copy()
    holed[:20] = 0
    result = reconstruct(scan, GradientConfig(epochs=1, learning_rate=1e-6), start=holed)
    assert np.abs(result.object[:20]).min() > 0.1


def test_a_fit_that_diverges_keeps_its_last_finite_state(scan: RawData) -> None:
    settings = GradientConfig(epochs=4, learning_rate=1e30, loss="amplitude", schedule="constant")
    with pytest.raises(ReconstructionDivergedError, match="expected a finite fit") as caught:
        reconstruct(scan, settings)
    assert isinstance(caught.value, DivergenceError)
    assert np.isfinite(caught.value.last.object).all()


def test_settings_and_starts_that_cannot_be_are_refused(scan: RawData) -> None:
    with pytest.raises(ConfigError, match="must leave power for the first mode"):
        GradientConfig(n_modes=5, mode_share=0.3)
    with pytest.raises(MissingFieldError, match="expected a scan with an object"):
        reconstruct(replace(scan, object=None), GradientConfig(start="scan"))
    with pytest.raises(ShapeError, match="expected patterns to fit"):
        reconstruct(scan.subset([0]), GradientConfig(held_out=0.5))
    with pytest.raises(ShapeError, match="expected a reconstruction of 5 positions"):
        reconstruct(scan.subset(range(5)), GradientConfig(), start=reconstruct(scan, GradientConfig(epochs=1)))


def test_an_object_too_small_for_the_positions_is_no_start(scan: RawData) -> None:
    assert scan.object is not None
    small = np.ascontiguousarray(scan.object[:12, :12])
    with pytest.raises(ShapeError, match=r"object that holds the patches.*found one of 12 × 12 pixels, beyond which"):
        reconstruct(scan, GradientConfig(epochs=1), start=small)
    with pytest.raises(ShapeError, match="found one of 12 × 12"):
        reconstruct(replace(scan, object=small), GradientConfig(epochs=1, start="scan"))
    result = reconstruct(scan, GradientConfig(epochs=1))
    cut = replace(result, object=small, coverage=np.ascontiguousarray(result.coverage[:12, :12]))
    with pytest.raises(ShapeError, match="found one of 12 × 12"):
        reconstruct(scan, GradientConfig(epochs=1), start=cut)
    anew = reconstruct(replace(scan, object=small), GradientConfig(epochs=1))
    assert anew.r_factor == reconstruct(replace(scan, object=None, patches=None), GradientConfig(epochs=1)).r_factor


def test_a_probe_of_another_size_than_the_patterns_is_no_start(scan: RawData) -> None:
    other = make_scan(n_scan=len(scan), N=2 * scan.N)
    with pytest.raises(ShapeError, match=rf"probe of {scan.N} × {scan.N} pixels to begin with.*found {other.N} × "):
        reconstruct(scan, GradientConfig(epochs=1), probe=other.probe)
    with pytest.raises(ShapeError, match=rf"probe of {scan.N} × {scan.N} pixels to begin with"):
        reconstruct(scan, GradientConfig(epochs=1), start=reconstruct(other, GradientConfig(epochs=1)))
