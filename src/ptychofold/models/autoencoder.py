"""The convolutional autoencoder: down to coarse features of a whole pattern, up to a patch.

The shape is that of PtychoPINN's network (Hoidn et al., Sci. Rep. 13, 22789, 2023), made lean: the image is first
folded two by two into channels, so that the finest, costliest scale is N/2; the patch is unfolded at the end. If the
input lies in real space, as lifted patches do, features of each scale also pass straight from the way down to the way
up (Ronneberger et al., MICCAI 2015); from a diffraction pattern, whose pixels do not lie where the object's do, they
do not.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ptychofold.config.model import ModelSize
from ptychofold.errors import ConfigError
from ptychofold.models.blocks import ConvBlock, convolution, initialise

__all__ = ["WIDTHS", "Autoencoder"]

WIDTHS: dict[ModelSize, int] = {"small": 16, "base": 32, "large": 64}
"""Channels at the finest scale; every coarser scale has twice as many, up to eight times as many."""


class Autoencoder(nn.Module):
    """A convolutional autoencoder from images to two numbers a pixel.

    Parameters
    ----------
    n_in
        Channels of the input.
    N
        Side of the images; the coarsest scale is N/8 for N up to 64, N/16 for 128, N/32 for 256.
    size
        Width, see `WIDTHS`.
    skips
        Pass features of each scale from the way down to the way up.
    rng
        Where the weights come from. The last layer starts at zero, and so training at the head's neutral output.

    Raises
    ------
    ConfigError
        If N cannot be halved as often as there are scales.
    """

    def __init__(self, n_in: int, *, N: int, size: ModelSize, skips: bool, rng: torch.Generator) -> None:
        super().__init__()
        n_scales = 3 + (N >= 128) + (N >= 256)
        unit = 2**n_scales
        if N % unit:
            raise ConfigError(
                f"expected N to be a multiple of {unit}, as the autoencoder halves it {n_scales} times; found {N}. Pad "
                f"the patterns (ptychofold preprocess FILE --pad {-(-N // unit) * unit} -o OUT), or crop them."
            )
        channels = [WIDTHS[size] * 2 ** min(scale, 3) for scale in range(n_scales)]
        self.skips = skips
        self.entry = convolution(4 * n_in, channels[0])
        finer = [channels[0], *channels[:-1]]
        self.down = nn.ModuleList(ConvBlock(a, b) for a, b in zip(finer, channels, strict=True))
        self.up = nn.ModuleList(
            ConvBlock(coarse + fine * skips, fine)
            for fine, coarse in zip(channels[-2::-1], channels[:0:-1], strict=True)
        )
        self.exit = convolution(channels[0], 4 * 2)
        initialise(self, rng=rng)
        with torch.no_grad():
            self.exit.weight.zero_()

    def forward(self, image: Float[Tensor, "n c N N"]) -> Float[Tensor, "n 2 N N"]:
        """Return two numbers a pixel, zero at the start of training."""
        features = nn.functional.silu(self.entry(nn.functional.pixel_unshuffle(image, 2)))
        passed: list[Tensor] = []
        for depth, block in enumerate(self.down):
            features = block(nn.functional.avg_pool2d(features, 2) if depth else features)
            passed.append(features)
        passed.pop()
        for block in self.up:
            features = nn.functional.interpolate(features, scale_factor=2, mode="nearest")
            fine = passed.pop()
            features = block(torch.cat([features, fine], dim=1) if self.skips else features)
        return nn.functional.pixel_shuffle(self.exit(features), 2)
