from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor

from ptychofold.config.training import PatternLossName
from ptychofold.physics import PATTERN_LOSSES, amplitude_mae, amplitude_mse, poisson_nll, r_factor, total_variation
from ptychofold.physics.losses import Reduction

TERMS = pytest.mark.parametrize("term", [poisson_nll, amplitude_mae, amplitude_mse])


def _pair() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    return torch.rand(3, 2, 4, 4, generator=rng) * 5, torch.rand(3, 2, 4, 4, generator=rng) * 5


def _bad() -> Tensor:
    bad = torch.zeros(4, 4, dtype=torch.bool)
    bad[0, 1:3] = True
    return bad


@TERMS
def test_reductions_agree_with_one_another(term: Callable[..., Tensor]) -> None:
    model, data = _pair()
    by_pattern = term(model, data, reduction="pattern")
    assert by_pattern.shape == (3, 2)
    torch.testing.assert_close(by_pattern.mean(), term(model, data))
    torch.testing.assert_close(by_pattern.sum() * 16, term(model, data, reduction="sum"))


@TERMS
@pytest.mark.parametrize("reduction", ["mean", "sum", "pattern"])
@pytest.mark.parametrize("value", [0.0, 1e30, float("nan"), float("inf")])
def test_bad_pixels_count_for_nothing_whatever_they_hold(
    term: Callable[..., Tensor], reduction: Reduction, value: float
) -> None:
    model, data = _pair()
    bad = _bad()
    spoilt = data.masked_fill(bad, value)
    model.requires_grad_()
    loss = term(model, spoilt, bad_pixels=bad, reduction=reduction)
    torch.testing.assert_close(loss, term(model, data, bad_pixels=bad, reduction=reduction))
    (grad,) = torch.autograd.grad(loss.sum(), model)
    assert not grad[..., bad].any()
    assert grad[..., ~bad].all()


@TERMS
def test_means_divide_by_the_good_pixels_only(term: Callable[..., Tensor]) -> None:
    model, data = _pair()
    total = term(model, data, bad_pixels=_bad(), reduction="sum")
    torch.testing.assert_close(term(model, data, bad_pixels=_bad()), total / (14 * 6))


@TERMS
def test_terms_and_gradients_are_finite_where_all_is_dark(term: Callable[..., Tensor]) -> None:
    model = torch.zeros(2, 4, 4, requires_grad=True)
    for data in (torch.zeros(2, 4, 4), torch.full((2, 4, 4), 7.0)):
        loss = term(model, data)
        (grad,) = torch.autograd.grad(loss, model)
        assert torch.isfinite(loss)
        assert torch.isfinite(grad).all()


def test_the_poisson_loss_is_the_likelihood_less_its_best_value() -> None:
    rate = torch.tensor([[4.0, 0.5], [1.0, 3.0]], dtype=torch.float64)
    counts = torch.tensor([[6.0, 0.0], [1.0, 2.0]], dtype=torch.float64)

    def log_likelihood(rate: Tensor) -> Tensor:
        return torch.xlogy(counts, rate) - rate - torch.lgamma(counts + 1)

    expected = (log_likelihood(counts) - log_likelihood(rate)).sum()
    torch.testing.assert_close(poisson_nll(rate, counts, rate_floor=0.0, reduction="sum"), expected)


def test_the_poisson_loss_has_the_gradient_of_the_likelihood() -> None:
    rate = torch.tensor([[2.0, 5.0], [1.0, 4.0]], requires_grad=True)
    counts = torch.tensor([[4.0, 5.0], [0.0, 2.0]])
    (grad,) = torch.autograd.grad(poisson_nll(rate, counts, rate_floor=0.0, reduction="sum"), rate)
    torch.testing.assert_close(grad, torch.tensor([[-1.0, 0.0], [1.0, 0.5]]))


def test_the_poisson_loss_pulls_a_dark_model_towards_counts() -> None:
    rate = torch.zeros(1, 2, 2, requires_grad=True)
    (grad,) = torch.autograd.grad(poisson_nll(rate, torch.full((1, 2, 2), 3.0)), rate)
    assert (grad < 0).all()


def test_the_r_factor_leaves_bad_pixels_out_of_both_sums() -> None:
    measured = torch.full((2, 4, 4), 2.0)
    model = (measured * 1.25).masked_fill(_bad(), 1e6)
    assert r_factor(model, measured, bad_pixels=_bad()).item() == pytest.approx(0.25)


def test_total_variation_counts_steps_of_magnitude() -> None:
    step = 3j * torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(4, 4)
    assert total_variation(step).item() == pytest.approx(4 * 3 / 16, rel=1e-5)
    assert total_variation(step.imag).item() == pytest.approx(4 * 3 / 16, rel=1e-5)


def test_total_variation_of_a_constant_has_gradient_zero() -> None:
    field = torch.ones(3, 3, dtype=torch.complex64, requires_grad=True)
    (grad,) = torch.autograd.grad(total_variation(field), field)
    assert not grad.any()


def test_every_loss_that_training_may_name_is_there() -> None:
    assert set(PATTERN_LOSSES) == set(get_args(PatternLossName))


@pytest.mark.parametrize("name", sorted(PATTERN_LOSSES))
def test_a_loss_of_training_is_least_at_what_was_measured_and_blind_to_bad_pixels(name: PatternLossName) -> None:
    _, measured = _pair()
    measured = measured.requires_grad_()
    loss = PATTERN_LOSSES[name]
    at_best = loss(measured.detach(), measured.detach())
    assert loss(1.1 * measured.detach(), measured.detach()) > at_best
    assert loss(0.9 * measured.detach(), measured.detach()) > at_best
    loss(measured, torch.zeros_like(measured), bad_pixels=_bad()).backward()  # type: ignore[no-untyped-call]
    assert measured.grad is not None
    assert not measured.grad[..., _bad()].any()
    assert measured.grad[..., ~_bad()].any()
