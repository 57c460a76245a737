"""What networks are built from. Weights come from a generator, never from the process-wide random stream."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["ConvBlock", "convolution", "initialise"]


def convolution(n_in: int, n_out: int, *, size: int = 3) -> nn.Conv2d:
    """Return a convolution that keeps the image's size; its weights are zero until `initialise`."""
    layer: nn.Conv2d = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Conv2d, n_in, n_out, size, padding=size // 2
    )
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    return layer


class ConvBlock(nn.Module):
    """Two convolutions, each followed by SiLU.

    There is no normalisation layer: brightness carries the amplitude, and a batch must not change its members.

    Parameters
    ----------
    n_in, n_out
        Channels.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.first = convolution(n_in, n_out)
        self.second = convolution(n_out, n_out)

    def forward(self, image: Float[Tensor, "n c H W"]) -> Float[Tensor, "n d H W"]:
        """Return features of the same size."""
        hidden = nn.functional.silu(self.first(image))
        return nn.functional.silu(self.second(hidden))


def initialise(network: nn.Module, *, rng: torch.Generator) -> None:
    """Draw the weights of every convolution (He uniform); biases are zero.

    Parameters
    ----------
    network
        Changed in place.
    rng
        Generator in host memory; the same one gives the same weights on every device.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu", generator=rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
