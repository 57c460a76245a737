"""Where to compute: devices by their names, and the refusal of those that are not there."""

import torch

from ptychofold.errors import ConfigError

__all__ = ["device_named"]


def device_named(name: str, *, n_devices: int = 1) -> torch.device:
    """Return a device.

    Parameters
    ----------
    name
        ``cpu``; ``cuda``, a GPU of NVIDIA or AMD, or ``cuda:1``, the second of them; ``auto``, a GPU if there is one.
    n_devices
        How many of its kind are needed.

    Raises
    ------
    ConfigError
        If there is no such device, or it cannot compute what is needed.

    Examples
    --------
    >>> device_named("cpu")
    device(type='cpu')
    """
    kind, colon, number = name.partition(":")
    if kind == "mps":
        raise ConfigError(
            "expected a device with numbers of 64 bits, which positions need; found mps, which has none. Use cpu."
        )
    if kind not in ("auto", "cpu", "cuda") or (colon and not (kind == "cuda" and number.isdigit())):
        raise ConfigError(f"expected auto, cpu, cuda or a GPU's number as in cuda:1; found {name!r}.")
    if kind == "cpu" or (kind == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    there, needed = torch.cuda.device_count() if torch.cuda.is_available() else 0, max(n_devices, int(number or 0) + 1)
    if there < needed:
        how = "Use cpu, or install torch for your GPU" if there == 0 else f"Use cuda:0 to cuda:{there - 1}, or fewer"
        raise ConfigError(f"expected {needed} CUDA GPU{'s' * (needed > 1)} for {name}; torch finds {there}. {how}.")
    return torch.device("cuda", int(number or 0))
