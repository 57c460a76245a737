"""Faces for users of PtychoPINN's TensorFlow and PyTorch sides; each is loaded on first use."""

from importlib import import_module
from typing import Any

__all__ = [
    "NativeSettings",
    "PtychoDataContainer",
    "PtychoDataContainerTorch",
    "PtychoDataset",
    "RawData",
    "RawDataTorch",
    "from_legacy",
    "from_torch",
    "get_image_patches",
    "get_neighbor_indices",
    "get_relative_coords",
    "group_coords",
    "install",
    "load",
    "load_data",
    "oversampled_groups",
    "reassemble_position",
    "standard_groups",
    "to_inference_config",
    "to_model_config",
    "to_training_config",
    "update_legacy_dict",
]

_HOMES = ("config", "raw_data", "container", "coords", "patches", "dataset", "aliases")


def __getattr__(name: str) -> Any:  # noqa: ANN401 (whatever the name is)
    if name in __all__:
        for home in _HOMES:
            module = import_module(f"{__name__}.{home}")
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
