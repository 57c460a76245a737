import pytest
import torch
from tests.physics.fields import random_field

from ptychofold.errors import ConfigError, DomainError
from ptychofold.physics import (
    PROBES,
    FarField,
    ForwardModel,
    add_modes,
    illumination,
    make_probe,
    mode_shares,
    orthogonal_modes,
)


def test_orthogonal_modes_give_the_same_patterns_and_do_not_overlap() -> None:
    probe, patches = random_field(4, 8, 8), random_field(3, 8, 8, seed=1)
    modes = orthogonal_modes(probe)
    model = ForwardModel(probe, propagator=FarField())
    torch.testing.assert_close(model(patches, probe=modes), model(patches), rtol=1e-10, atol=1e-10)
    gram = modes.flatten(1) @ modes.flatten(1).mH
    torch.testing.assert_close(gram, torch.diag(gram.diagonal()), rtol=0, atol=1e-10)
    assert (mode_shares(modes).diff() <= 0).all()


def test_orthogonal_modes_stay_as_they_are() -> None:
    modes = orthogonal_modes(random_field(3, 8, 8))
    torch.testing.assert_close(orthogonal_modes(modes), modes, rtol=1e-9, atol=1e-9)


def test_more_modes_than_pixels_leave_dark_modes() -> None:
    modes = orthogonal_modes(random_field(6, 2, 2))
    assert modes.shape == (6, 2, 2)
    assert not modes[4:].any()


@pytest.mark.parametrize("name", sorted(PROBES))
@pytest.mark.parametrize("n_modes", [1, 2, 5, 10])
def test_added_modes_are_orthogonal_and_keep_the_power(name: str, n_modes: int) -> None:
    probe = torch.from_numpy(make_probe(name, 64)).to(torch.complex128) * 7
    modes = add_modes(probe, n_modes=n_modes, share=0.03)
    assert modes.shape == (n_modes, 64, 64)
    torch.testing.assert_close(illumination(modes).sum(), illumination(probe).sum(), rtol=1e-6, atol=0)
    gram = modes.flatten(1) @ modes.flatten(1).mH
    assert (gram - torch.diag(gram.diagonal())).abs().max() < 1e-6 * gram.abs().max()
    torch.testing.assert_close(mode_shares(modes)[1:], torch.full((n_modes - 1,), 0.03, dtype=torch.float64))


@pytest.mark.parametrize("name", ["disk", "gaussian"])
def test_many_modes_can_be_added(name: str) -> None:
    modes = add_modes(torch.from_numpy(make_probe(name, 32)), n_modes=50, share=0.01)
    gram = (modes.flatten(1) @ modes.flatten(1).mH).to(torch.complex128)
    assert (gram - torch.diag(gram.diagonal())).abs().max() < 1e-4 * gram.abs().max()
    torch.testing.assert_close(mode_shares(modes)[1:], torch.full((49,), 0.01), rtol=1e-4, atol=0)


def test_more_modes_than_lit_pixels_tell_apart_are_refused() -> None:
    with pytest.raises(DomainError, match="a probe of 2 × 2 pixels can tell apart, 4 here; found n_modes 5"):
        add_modes(random_field(1, 2, 2), n_modes=5)


def test_added_modes_are_orthogonal_to_given_modes_that_are_not() -> None:
    probe = random_field(2, 16, 16)
    modes = add_modes(probe, n_modes=4).flatten(1)
    cross = modes[2:] @ modes[:2].mH
    assert cross.abs().max() < 1e-8 * modes.norm() ** 2


def test_fewer_modes_or_no_power_left_are_refused() -> None:
    with pytest.raises(DomainError, match="at least the 2 modes given"):
        add_modes(random_field(2, 8, 8), n_modes=1)
    with pytest.raises(DomainError, match=r"n_modes 4 with 0.5 each"):
        add_modes(random_field(2, 8, 8), n_modes=4, share=0.5)


@pytest.mark.parametrize("name", sorted(PROBES))
@pytest.mark.parametrize("N", [31, 64, 128])
def test_probes_have_unit_power_in_the_middle_of_the_frame(name: str, N: int) -> None:
    probe = torch.from_numpy(make_probe(name, N))
    light = illumination(probe)
    assert probe.dtype == torch.complex64
    assert light.sum().item() == pytest.approx(1, rel=1e-5)
    axis = torch.arange(N) - N // 2
    assert abs((light.sum(1) * axis).sum().item()) < 0.02 * N
    assert light[N // 8 : -N // 8, N // 8 : -N // 8].sum() > 0.9


def test_an_unknown_probe_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="disk, focused, gaussian; found 'round'"):
        make_probe("round", 64)
