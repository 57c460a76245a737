import pytest
import torch

from ptychofold.errors import DomainError
from ptychofold.physics import poisson_counts, thin_counts


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_counts_have_poisson_mean_and_variance() -> None:
    counts = poisson_counts(torch.full((200, 200), 7.0), rng=_rng())
    assert counts.mean().item() == pytest.approx(7, rel=0.02)
    assert counts.var().item() == pytest.approx(7, rel=0.05)
    assert torch.equal(counts, counts.floor())


def test_thinned_counts_have_the_mean_and_variance_of_the_lower_dose() -> None:
    counts = poisson_counts(torch.full((200, 200), 20.0), rng=_rng())
    thin = thin_counts(counts.to(torch.int32), fraction=0.25, rng=_rng(1))
    assert thin.dtype == torch.int32
    assert thin.double().mean().item() == pytest.approx(5, rel=0.02)
    assert thin.double().var().item() == pytest.approx(5, rel=0.05)
    assert (thin <= counts).all()


def test_noise_depends_on_the_generator_alone() -> None:
    rate = torch.rand(50, 8, 8, generator=_rng(3)) * 30
    state = torch.random.get_rng_state()
    first = poisson_counts(rate, rng=_rng(5))
    assert torch.equal(first, poisson_counts(rate, rng=_rng(5)))
    assert not torch.equal(first, poisson_counts(rate, rng=_rng(6)))
    assert torch.equal(thin_counts(first, fraction=0.5, rng=_rng(5)), thin_counts(first, fraction=0.5, rng=_rng(5)))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_noise_does_not_depend_on_how_patterns_are_divided() -> None:
    rate, rng = torch.rand(50, 8, 8, generator=_rng(3)) * 30, _rng(5)
    parts = [poisson_counts(part, rng=rng) for part in torch.split(rate, 7)]
    assert torch.equal(torch.cat(parts), poisson_counts(rate, rng=_rng(5)))


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_nothing_and_everything_can_be_kept(fraction: float) -> None:
    counts = torch.tensor([0, 3, 60000], dtype=torch.int64)
    assert torch.equal(thin_counts(counts, fraction=fraction, rng=_rng()), (counts * fraction).to(torch.int64))


@pytest.mark.parametrize("rate", [-1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(DomainError, match="finite rates that are not negative"):
        poisson_counts(torch.tensor([rate]), rng=_rng())


@pytest.mark.parametrize("count", [-1.0, 0.5, float("nan"), float("inf")])
def test_numbers_that_are_no_counts_are_refused(count: float) -> None:
    with pytest.raises(DomainError, match="whole numbers from 0 up"):
        thin_counts(torch.tensor([count]), fraction=0.5, rng=_rng())


def test_a_fraction_above_one_is_refused() -> None:
    with pytest.raises(DomainError, match=r"from 0 to 1; found 1\.5"):
        thin_counts(torch.tensor([1]), fraction=1.5, rng=_rng())
