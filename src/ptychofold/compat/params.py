"""The legacy dictionary for scripts that insist on one.

``cfg`` is the only mutable module state of ptychofold, here because scripts written against the reference share it
by importing it. Nothing of ptychofold reads it: pass it to `ptychofold.compat.from_legacy` to make it count.
"""

from types import MappingProxyType
from typing import Final

from ptychofold.config.dialects import reject_unknown
from ptychofold.errors import ConfigError

__all__ = ["LEGACY_DEFAULTS", "cfg", "get", "get_bigN", "params", "set"]

LEGACY_DEFAULTS: Final = MappingProxyType({
    "N": 128, "gridsize": 2, "offset": 4, "big_gridsize": 10, "size": 392, "max_position_jitter": 10,
    "outer_offset_train": None, "outer_offset_test": None, "nimgs_train": 9, "nimgs_test": 3, "sim_jitter_scale": 0.0,
    "data_source": "generic", "set_phi": False, "npseed": 42, "nphotons": 1e9,
    "model_type": "pinn", "amp_activation": "sigmoid", "n_filters_scale": 2, "pad_object": True, "object.big": True,
    "probe.big": False, "probe.mask": True, "probe.trainable": False, "probe_scale": 10.0, "default_probe_scale": 0.7,
    "gaussian_smoothing_sigma": 0.0, "intensity_scale.trainable": False, "positions.provided": False,
    "batch_size": 16, "nepochs": 60, "nll_weight": 1.0, "mae_weight": 0.0, "tv_weight": 0.0,
    "realspace_weight": 0.0, "realspace_mae_weight": 0.0,
    "output_prefix": "outputs", "h5_path": "wts.h5", "label": "", "debug": True, "use_xla_translate": True,
})  # fmt: skip

cfg: dict[str, object] = dict(LEGACY_DEFAULTS)

_NOTHING: Final = object()


def get(key: str, default: object = _NOTHING) -> object:
    """Return an entry of ``cfg``; ``bigN`` is computed, an absent entry is ``default``.

    Raises
    ------
    UnknownSettingError
        If the entry is absent and there is no default; a KeyError to the scripts that catch one.
    """
    _restore_defaults()
    if key == "bigN":
        return get_bigN()
    if key not in cfg and default is _NOTHING:
        reject_unknown([key], known=cfg, where="params.cfg")
    return cfg.get(key, default)


def set(key: str, value: object) -> None:
    """Write an entry of ``cfg``."""
    cfg[key] = value


def params() -> dict[str, object]:
    """Return a copy of ``cfg`` with the computed ``bigN``."""
    _restore_defaults()
    return {**cfg, "bigN": get_bigN()}


def get_bigN() -> int:
    """Return N + (gridsize − 1) · offset, the pixels across a group; a `ConfigError` if one of them is no integer."""
    _restore_defaults()
    match cfg["N"], cfg["gridsize"], cfg["offset"]:
        case (int() as size, int() as gridsize, int() as offset):
            return size + (gridsize - 1) * offset
        case found:
            raise ConfigError(f"bigN: expected integers N, gridsize and offset in params.cfg; found {found}.")


def _restore_defaults() -> None:
    for key, value in LEGACY_DEFAULTS.items():
        cfg.setdefault(key, value)
