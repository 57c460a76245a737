import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ptychofold.config import ModelConfig
from ptychofold.errors import ConfigError
from ptychofold.models import ARCHITECTURES, Autoencoder, RealImaginaryHead, make_head, make_network


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("N", [16, 32])
def test_every_architecture_maps_images_to_two_numbers_a_pixel(name: str, skips: bool, N: int) -> None:
    network = make_network(name, 5, N=N, size="small", skips=skips, rng=generator())
    assert network(torch.zeros(2, 5, N, N)).shape == (2, 2, N, N)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_the_same_generator_gives_the_same_weights_and_the_process_keeps_its_random_stream(name: str) -> None:
    before = torch.get_rng_state()
    first, second, other = (
        make_network(name, 1, N=16, size="small", skips=False, rng=generator(seed)).state_dict() for seed in (3, 3, 4)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_larger_patterns_have_a_coarser_coarsest_scale() -> None:
    depths = [len(Autoencoder(1, N=N, size="small", skips=True, rng=generator()).down) for N in (64, 128, 256)]
    assert depths == [3, 4, 5]


def test_sizes_grow() -> None:
    counts = [
        sum(p.numel() for p in Autoencoder(1, N=64, size=size, skips=True, rng=generator()).parameters())
        for size in ("small", "base", "large")
    ]
    assert counts[0] < counts[1] < counts[2]


def test_patterns_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"N to be a multiple of 8.*found 20\. Pad the patterns .*--pad 24 -o OUT"):
        Autoencoder(1, N=20, size="small", skips=True, rng=generator())


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"architecture named autoencoder.*found 'transformer'"):
        make_network("transformer", 1, N=16, size="small", skips=True, rng=generator())


@settings(max_examples=20)
@given(a=st.floats(-50, 50, width=32), b=st.floats(-50, 50, width=32))
def test_the_amplitude_is_bounded_and_finite_whatever_the_network_says(a: float, b: float) -> None:
    numbers = torch.tensor([a, b]).reshape(1, 2, 1, 1)
    patch = make_head(ModelConfig(head="amplitude_phase"))(numbers)
    assert 0 <= float(patch.abs()) <= 1.2 * (1 + 1e-6)


@pytest.mark.parametrize("head", ["amplitude_phase", "real_imaginary"])
def test_zeros_give_the_starting_patch(head: str) -> None:
    zeros = torch.zeros(1, 2, 2, 2)
    start = torch.polar(torch.tensor([[[0.5, 1.0], [0.9, 0.3]]]), torch.tensor([[[0.1, -3.0], [2.0, 0.0]]]))
    to_patches = make_head(ModelConfig.from_mapping({"head": head}))
    torch.testing.assert_close(to_patches(zeros, start), start)
    torch.testing.assert_close(to_patches(zeros), torch.ones(1, 2, 2, dtype=torch.complex64))


def test_real_and_imaginary_part_are_the_numbers_themselves() -> None:
    numbers = torch.tensor([0.25, -2.0]).reshape(1, 2, 1, 1)
    assert RealImaginaryHead()(numbers).item() == 1.25 - 2j
