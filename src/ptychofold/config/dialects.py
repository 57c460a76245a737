"""Settings of other projects: strict dataclasses, and a glossary that renames settings and spells values anew."""

import difflib
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

import numpy as np

from ptychofold.errors import ConfigError, ContractError

__all__ = [
    "SAME",
    "SWITCH",
    "Glossary",
    "Name",
    "Settings",
    "UnknownSettingError",
    "Values",
    "choice",
    "expect",
    "file_name",
    "flattened",
    "keeps",
    "reject_unknown",
    "square_grid",
    "suggest",
    "with_paths",
]


Kind = TypeVar("Kind", bound="Settings")


class UnknownSettingError(ConfigError, TypeError, KeyError):
    """No setting has this name; as Python has it, an unexpected keyword or a missing key."""


class Settings:
    """Base of a dialect's dataclasses: a keyword that is no field is an error that names the nearest field."""

    __dataclass_fields__: ClassVar[dict]  # type: ignore[type-arg]

    if TYPE_CHECKING:  # kept settings are fields like all others, which a type checker cannot see

        def __getattr__(self, name: str) -> Any: ...  # noqa: ANN401
        def __setattr__(self, name: str, value: object) -> None: ...

    def __new__(cls, *_: object, **settings: object) -> Self:
        """Look at the keywords before the dataclass's own ``__init__`` does."""
        reject_unknown(settings, known=[field.name for field in fields(cls)], where=cls.__name__)
        return super().__new__(cls)

    def flat(self) -> dict[str, object]:
        """Return the settings by name, those of nested ones among them."""
        return flattened({field.name: getattr(self, field.name) for field in fields(self)})


def keeps(*tables: str) -> Callable[[type[Kind]], type[Kind]]:
    """Give a class, before it becomes a dataclass, the settings of some tables of ``kept_settings.toml``.

    They are accepted and kept, at most handed from dialect to dialect, and read by nothing here.

    Parameters
    ----------
    tables
        Names of tables, such as ``"torch.model"``.
    """
    text = resources.files(__package__).joinpath("kept_settings.toml").read_text(encoding="utf-8")
    content = tomllib.loads(text)

    def add(cls: type[Kind]) -> type[Kind]:
        for dialect, part in (table.split(".") for table in tables):
            settings = dict(content[dialect][part])
            without_default = settings.pop("none", ())
            for name, default in (settings | dict.fromkeys(without_default)).items():
                cls.__annotations__[name] = object
                setattr(cls, name, _default(default))
        return cls

    return add


def _default(value: object) -> object:
    """Return a field's default; an empty list is there to be filled, any other one is a value."""
    if isinstance(value, list):
        return tuple(value) if value else field(default_factory=list)
    return value


def flattened(settings: Mapping[str, object]) -> dict[str, object]:
    """Return settings with those of nested ones, under ``model`` or in a `Settings`, among them; NumPy's as Python's.

    Examples
    --------
    >>> flattened({"model": {"N": 64}, "nepochs": 50})
    {'N': 64, 'nepochs': 50}
    """
    flat: dict[str, object] = {}
    for name, value in settings.items():
        if isinstance(value, Settings):
            flat.update(value.flat())
        elif name == "model" and isinstance(value, Mapping):
            flat.update(flattened(value))
        else:
            flat[name] = value.item() if isinstance(value, np.generic) else value
    return flat


def with_paths(settings: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return settings in which those of some names are paths where they were text."""
    return {
        name: Path(value) if name in names and isinstance(value, str) else value for name, value in settings.items()
    }


def expect(holds: bool, name: str, expected: str, found: object) -> None:
    """Refuse a setting that is not as expected.

    Raises
    ------
    ConfigError
        With the name, what was expected and what was found.
    """
    if not holds:
        raise ConfigError(f"{name}: expected {expected}; found {found!r}.")


def reject_unknown(names: Iterable[str], *, known: Collection[str], where: str) -> None:
    """Refuse the first name that is not known.

    Raises
    ------
    UnknownSettingError
        With the nearest known name.
    """
    for name in names:
        if name not in known:
            raise UnknownSettingError(f"{where}: unknown setting {name!r} ({suggest(name, known)}).")


def suggest(name: str, known: Collection[str]) -> str:
    """Say which known name was meant, or all of them.

    Examples
    --------
    >>> suggest("neigbors", ["n_neighbors", "grid"])
    "did you mean 'n_neighbors'?"
    """
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"


@dataclass(frozen=True)
class Values:
    """How the values of one setting are spelt in each dialect."""

    read: Callable[[object, str], object]
    """Turn a dialect's value into the native one."""

    write: Callable[[object, str], object]
    """Turn a native value into the dialect's."""


SAME: Final = Values(read=lambda value, _: value, write=lambda value, _: value)
"""Values that are spelt alike everywhere."""


def choice(columns: Mapping[str, int], *spellings: tuple[object, ...]) -> Values:
    """Spell values by a table whose first column is native; out goes the first row that fits.

    Parameters
    ----------
    columns
        Column of each dialect.
    spellings
        Rows of the table.
    """

    def look_up(value: object, source: int, target: int) -> object:
        for row in spellings:
            if row[source] == value:
                return row[target]
        known = list(dict.fromkeys(row[source] for row in spellings))
        raise ConfigError(f"expected one of {known}.")

    return Values(
        read=lambda value, dialect: look_up(value, columns[dialect], 0),
        write=lambda value, dialect: look_up(value, 0, columns[dialect]),
    )


def square_grid(flat: Collection[str]) -> Values:
    """Spell a grid (n, n) as n in the flat dialects; they have no other."""

    def write(value: object, dialect: str) -> object:
        match value:
            case (int() as rows, int() as columns) if rows == columns or dialect not in flat:
                return rows if dialect in flat else value
        raise ContractError(
            f"the {dialect} dialect has square grids only; found the grid {value!r}. Use a square one such as (2, 2)."
        )

    return Values(read=lambda value, dialect: (value, value) if dialect in flat else value, write=write)


def file_name(as_text: Collection[str]) -> Values:
    """Spell a file's name as text in some dialects, as a path in the others."""
    return Values(
        read=lambda value, _: value,
        write=lambda value, dialect: str(value) if dialect in as_text else Path(str(value)),
    )


SWITCH: Final = Values(read=lambda value, _: value is not False, write=lambda value, _: value)
"""On or off; anything but False, such as a mask that is given, is on."""


@dataclass(frozen=True)
class Name:
    """One setting: its name in each dialect, None where the dialect lacks it, and its values."""

    names: Mapping[str, str | None]
    values: Values

    def of(self, dialect: str) -> str | None:
        """Return the name in a dialect."""
        return self.names[dialect]


class Glossary(tuple[Name, ...]):
    """The names of settings in several dialects.

    Examples
    --------
    >>> sizes = Glossary.of(("native", "other"), ("size", "N", SAME))
    >>> sizes.translate({"N": 64}, source="other", target="native")
    {'size': 64}
    """

    __slots__ = ()

    @classmethod
    def of(cls, dialects: tuple[str, ...], *rows: tuple[str | Values | None, ...]) -> Self:
        """Make a glossary of rows that hold a name for each dialect, or None, and end with the values."""
        return cls(Name(dict(zip(dialects, names, strict=True)), values) for *names, values in rows)  # type: ignore[arg-type]

    def spelt(self, dialect: str, *, by: str) -> dict[str, str]:
        """Return the names of one dialect by those of another, where both have one.

        Examples
        --------
        >>> Glossary.of(("native", "other"), ("size", "N", SAME)).spelt("other", by="native")
        {'size': 'N'}
        """
        pairs = ((row.of(by), row.of(dialect)) for row in self)
        return {key: name for key, name in pairs if key is not None and name is not None}

    def carry(
        self, configs: Iterable[Settings], kind: type[Settings], *, source: str, target: str
    ) -> dict[str, object]:
        """Collect what some settings say about the fields of a kind in another dialect.

        Fields that have one name in both and that the glossary leaves out go over unchanged, unless they are None.
        """
        wanted = {field.name for field in fields(kind)}
        theirs = {name: value for config in configs for name, value in vars(config).items()}
        tabled = {name for row in self for name in (row.of(source), row.of(target))}
        alike = {name: value for name, value in theirs.items() if name in wanted - tabled and value is not None}
        return {**alike, **self.translate(theirs, source=source, target=target, only=wanted)}

    def translate(
        self, settings: Mapping[str, object], *, source: str, target: str, only: Collection[str] | None = None
    ) -> dict[str, object]:
        """Rename settings and spell their values anew.

        Parameters
        ----------
        settings
            Flat mapping in the source dialect; None values and settings that the glossary lacks are left out.
        source, target
            The two dialects.
        only
            Target names wanted; all if None.

        Raises
        ------
        ConfigError
            If a value is unknown in the source dialect.
        ContractError
            If a value has no form in the target dialect.
        """
        translated: dict[str, object] = {}
        for name in self:
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
