"""Faces for users of PtychoPINN's TensorFlow and PyTorch sides; each is loaded on first use."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ptychofold.compat.config import (
        NativeSettings,
        from_legacy,
        from_torch,
        to_inference_config,
        to_model_config,
        to_training_config,
        update_legacy_dict,
    )

__all__ = [
    "NativeSettings",
    "from_legacy",
    "from_torch",
    "to_inference_config",
    "to_model_config",
    "to_training_config",
    "update_legacy_dict",
]

_HOMES = dict.fromkeys(__all__, "config")


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
