"""Unitary Fourier transforms with the zero frequency in the middle; the only place that shifts.

With ``c = N//2`` on each axis, `centered_fft2` computes::

    F[k, l] = 1/√(H·W) Σ_{r, s} f[r, s] exp(-2πi ((r - c)(k - c)/H + (s - c)(l - c)/W))

A shift by half an even period is a change of every other sign in the other domain, so even sides are centered by
multiplying with a checkerboard instead of moving memory.
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

__all__ = ["centered_fft2", "centered_ifft2", "checkerboard"]

AXES = (-2, -1)


def centered_fft2(wave: Complex[Tensor, "*batch H W"]) -> Complex[Tensor, "*batch H W"]:
    """Transform to frequencies, unitary, zero frequency at ``[H//2, W//2]``.

    Parameters
    ----------
    wave
        (…, H, W) complex, origin at ``[H//2, W//2]``.

    Examples
    --------
    >>> point = torch.zeros(4, 4, dtype=torch.complex64)
    >>> point[2, 2] = 1
    >>> bool(torch.allclose(centered_fft2(point), torch.full((4, 4), 0.25 + 0j)))
    True
    """
    if _odd(wave):
        spectrum: Tensor = torch.fft.fft2(torch.fft.ifftshift(wave, dim=AXES), norm="ortho")
        return spectrum.roll((wave.shape[-2] // 2, wave.shape[-1] // 2), dims=AXES)
    signs = checkerboard(wave)
    spectrum = torch.fft.fft2(wave * signs, norm="ortho")
    return spectrum * _with_half_turn(signs)


def centered_ifft2(spectrum: Complex[Tensor, "*batch H W"]) -> Complex[Tensor, "*batch H W"]:
    """Transform from frequencies: the inverse of `centered_fft2` and, being unitary, its adjoint.

    Parameters
    ----------
    spectrum
        (…, H, W) complex, zero frequency at ``[H//2, W//2]``.
    """
    if _odd(spectrum):
        wave: Tensor = torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=AXES), norm="ortho")
        return wave.roll((wave.shape[-2] // 2, wave.shape[-1] // 2), dims=AXES)
    signs = checkerboard(spectrum)
    wave = torch.fft.ifft2(spectrum * signs, norm="ortho")
    return wave * _with_half_turn(signs)


def checkerboard(like: Complex[Tensor, "*batch H W"]) -> Float[Tensor, "H W"]:
    """Return ``(-1)^(row + column)`` in the precision and on the device of ``like``.

    Multiplying a wave by it moves the zero frequency of its plain FFT from ``[0, 0]`` to ``[H//2, W//2]`` if both
    sides are even.

    Examples
    --------
    >>> checkerboard(torch.zeros(2, 2, dtype=torch.complex64)).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    height, width = like.shape[-2:]
    rows = torch.arange(height, device=like.device)
    columns = torch.arange(width, device=like.device)
    return (1 - 2 * ((rows[:, None] + columns) % 2)).to(like.real.dtype)


def _odd(field: Tensor) -> bool:
    return field.shape[-2] % 2 == 1 or field.shape[-1] % 2 == 1


def _with_half_turn(signs: Tensor) -> Tensor:
    """Return the signs times (-1)^(H/2 + W/2), the phase of the middle against itself; +1 on a square."""
    return signs if (signs.shape[0] + signs.shape[1]) % 4 == 0 else -signs
