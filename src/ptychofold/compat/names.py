"""The one table of setting names and values: native, TensorFlow dialect, legacy dictionary, PyTorch dialect."""

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar, Final, Literal

from ptychofold.errors import ConfigError, ContractError

__all__ = ["NAMES", "Dialect", "Name", "Settings", "UnknownSettingError", "reject_unknown", "translate"]

Dialect = Literal["native", "tensorflow", "legacy", "torch"]


@dataclass(frozen=True)
class Values:
    """How the values of one setting are spelt in each dialect."""

    read: Callable[[object, Dialect], object]
    """Turn a dialect's value into the native one."""

    write: Callable[[object, Dialect], object]
    """Turn a native value into the dialect's."""


@dataclass(frozen=True)
class Name:
    """One setting: its name in each dialect, None where the dialect lacks it, and its values."""

    native: str
    tensorflow: str | None
    legacy: str | None
    torch: str | None
    values: Values

    def of(self, dialect: Dialect) -> str | None:
        """Return the name in a dialect."""
        name: str | None = getattr(self, dialect)
        return name


class UnknownSettingError(ConfigError, TypeError, KeyError):
    """No setting has this name; as Python has it, an unexpected keyword or a missing key."""


class Settings:
    """Base of the dialects' dataclasses: a keyword that is no field is an error that names the nearest field."""

    __dataclass_fields__: ClassVar[dict]  # type: ignore[type-arg]

    def __new__(cls, *_: object, **settings: object) -> "Settings":
        """Look at the keywords before the dataclass's own ``__init__`` does."""
        reject_unknown(settings, known=[field.name for field in fields(cls)], where=cls.__name__)
        return super().__new__(cls)


def reject_unknown(names: Iterable[str], *, known: Collection[str], where: str) -> None:
    """Refuse the first name that is not known.

    Raises
    ------
    UnknownSettingError
        With the nearest known name.
    """
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"
            raise UnknownSettingError(f"{where}: unknown setting {name!r} ({hint}).")


def translate(
    settings: Mapping[str, object], *, source: Dialect, target: Dialect, only: Collection[str] | None = None
) -> dict[str, object]:
    """Rename settings and spell their values anew.

    Parameters
    ----------
    settings
        Flat mapping in the source dialect; None values and settings without a row in `NAMES` are left out.
    source, target
        The two dialects; native names have dots.
    only
        Target names wanted; all if None.

    Raises
    ------
    ConfigError
        If a value is unknown in the source dialect.
    ContractError
        If a value has no form in the target dialect.

    Examples
    --------
    >>> translate({"K": 7, "mode": "Supervised"}, source="torch", target="legacy")
    {'neighbor_count': 7, 'model_type': 'supervised'}
    """
    translated: dict[str, object] = {}
    for name in NAMES:
        theirs, ours = name.of(source), name.of(target)
        if theirs is None or ours is None or (only is not None and ours not in only):
            continue
        value = settings.get(theirs)
        if value is None:
            continue
        try:
            translated[ours] = name.values.write(name.values.read(value, source), target)
        except (ConfigError, ContractError) as error:
            raise type(error)(f"{theirs}={value!r}: {error}") from None
    return translated


def _choice(*spellings: tuple[object, object, object]) -> Values:
    """Spell by a table of (native, TensorFlow, PyTorch); out goes the first row that fits."""
    column: dict[Dialect, int] = {"native": 0, "tensorflow": 1, "legacy": 1, "torch": 2}

    def look_up(value: object, source: int, target: int) -> object:
        for row in spellings:
            if row[source] == value:
                return row[target]
        known = list(dict.fromkeys(row[source] for row in spellings))
        raise ConfigError(f"expected one of {known}.")

    return Values(
        read=lambda value, dialect: look_up(value, column[dialect], 0),
        write=lambda value, dialect: look_up(value, 0, column[dialect]),
    )


def _read_grid(value: object, dialect: Dialect) -> object:
    return (value, value) if dialect in ("tensorflow", "legacy") else value


def _write_grid(value: object, dialect: Dialect) -> object:
    if dialect not in ("tensorflow", "legacy"):
        return value
    match value:
        case (int() as rows, int() as columns) if rows == columns:
            return rows
    raise ContractError(
        f"the TensorFlow dialect has square grids only; found the grid {value!r}. Use a square one such as (2, 2)."
    )


def _write_path(value: object, dialect: Dialect) -> object:
    return Path(str(value)) if dialect in ("native", "tensorflow") else str(value)


SAME: Final = Values(read=lambda value, _: value, write=lambda value, _: value)
GRID: Final = Values(read=_read_grid, write=_write_grid)
SWITCH: Final = Values(read=lambda value, _: value is not False, write=lambda value, _: value)  # a tensor means True
FILE: Final = Values(read=lambda value, _: value, write=_write_path)
SAMPLING: Final = _choice(("sequential", True, None), ("random", False, None))
MODE: Final = _choice(("unsupervised", "pinn", "Unsupervised"), ("supervised", "supervised", "Supervised"))
LOSS: Final = _choice(("poisson", 1.0, True), ("mae", 0.0, False))
ACTIVATION: Final = _choice(
    ("swish", "swish", "silu"),
    ("swish", "swish", "SiLU"),
    ("swish", "swish", "swish"),
    ("sigmoid", "sigmoid", "sigmoid"),
    ("softplus", "softplus", "softplus"),
    ("relu", "relu", "relu"),
)
CANDIDATES: Final = _choice(
    ("nearest", None, "Nearest"), ("nearest", None, "Min_dist"), ("quadrants", None, "4_quadrant")
)

# fmt: off
NAMES: Final[tuple[Name, ...]] = (
    #    native                     TensorFlow             legacy dictionary       PyTorch              values
    Name("size",                     "N",                   "N",                    "N",                 SAME),
    Name("grouping.grid",            "gridsize",            "gridsize",             "grid_size",         GRID),
    Name("grouping.n_neighbors",     "neighbor_count",      "neighbor_count",       "K",                 SAME),
    Name("grouping.n_groups",        "n_groups",            "n_groups",             "n_groups",          SAME),
    # The two n_subsample never map to each other: scan points kept before grouping, and groups drawn per seed.
    Name("grouping.n_scan_points",   "n_subsample",         "n_subsample",          None,                SAME),
    Name("grouping.groups_per_seed", None,                  None,                   "n_subsample",       SAME),
    Name("grouping.oversample",      "enable_oversampling", "enable_oversampling",  None,                SAME),
    Name("grouping.pool_size",       "neighbor_pool_size",  "neighbor_pool_size",   None,                SAME),
    Name("grouping.sampling",        "sequential_sampling", "sequential_sampling",  None,                SAMPLING),
    Name("grouping.seed",            "subsample_seed",      "subsample_seed",       "subsample_seed",    SAME),
    Name("grouping.candidates",      None,                  None,                   "neighbor_function", CANDIDATES),
    Name("n_photons",                "nphotons",            "nphotons",             "nphotons",          SAME),
    Name("mode",                     "model_type",          "model_type",           "mode",              MODE),
    Name("amp_activation",           "amp_activation",      "amp_activation",       "amp_activation",    ACTIVATION),
    Name("epochs",                   "nepochs",             "nepochs",              "epochs",            SAME),
    Name("batch_size",               "batch_size",          "batch_size",           "batch_size",        SAME),
    Name("loss",                     "nll_weight",          "nll_weight",           "nll",               LOSS),
    Name("object_big",               "object_big",          "object.big",           "object_big",        SAME),
    Name("probe_big",                "probe_big",           "probe.big",            "probe_big",         SAME),
    Name("probe_mask",               "probe_mask",          "probe.mask",           "probe_mask",        SWITCH),
    Name("probe_trainable",          "probe_trainable",     "probe.trainable",      None,                SAME),
    Name("intensity_scale_trainable", "intensity_scale_trainable", "intensity_scale.trainable",
         "intensity_scale_trainable", SAME),
    Name("positions_provided",       "positions_provided",  "positions.provided",   None,                SAME),
    Name("output_dir",               "output_dir",          "output_prefix",        "output_dir",        FILE),
    Name("train_file",               "train_data_file",     "train_data_file_path", "train_data_file",   FILE),
    Name("test_file",                "test_data_file",      "test_data_file_path",  "test_data_file",    FILE),
    Name("model_path",               "model_path",          "model_path",           None,                FILE),
)
# fmt: on
