"""The base of every configuration: frozen, documented, strict, loadable from TOML with dotted overrides."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ptychofold.config.dialects import suggest
from ptychofold.errors import ConfigError

__all__ = ["Config", "Seed"]

Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""Of a random stream: what torch's generators take."""


class Config(BaseModel):
    """A frozen group of settings; an unknown name or a wrong value is a `ConfigError`.

    Examples
    --------
    >>> from ptychofold.config import GroupingConfig
    >>> GroupingConfig(grid=(2, 2), neigbors=7)
    Traceback (most recent call last):
    ptychofold.errors.ConfigError: GroupingConfig: unknown setting 'neigbors' (did you mean 'n_neighbors'?).
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True, allow_inf_nan=False
    )

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 (pydantic validates)
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise ConfigError(_explain(type(self), error)) from None

    @classmethod
    def from_mapping(cls, settings: Mapping[str, object], *, overrides: Sequence[str] = ()) -> Self:
        """Build from a mapping such as a parsed TOML table, then apply overrides as `from_toml` does.

        Raises
        ------
        ConfigError
            If a setting is unknown or wrong.

        Examples
        --------
        >>> from ptychofold.config import GroupingConfig
        >>> GroupingConfig.from_mapping({"n_neighbors": 5}, overrides=["grid=[2, 2]"]).C
        4
        """
        chosen = deepcopy(dict(settings))
        for assignment in overrides:
            _override(chosen, assignment)
        return cls(**chosen)

    @classmethod
    def from_toml(cls, path: str | Path, *, table: str | None = None, overrides: Sequence[str] = ()) -> Self:
        """Build from a TOML file, then apply ``"name=value"`` or ``"group.name=value"`` overrides.

        Parameters
        ----------
        path
            The TOML file.
        table
            Name of the table that holds the settings; the whole file if None.
        overrides
            Assignments in TOML syntax; a value that is not TOML is taken as text.

        Raises
        ------
        ConfigError
            If the file is not TOML, the table is absent, or a setting is unknown or wrong.
        """
        try:
            settings: dict[str, Any] = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: expected a readable TOML file; {error}.") from error
        if table is not None:
            if table not in settings:
                raise ConfigError(f"{path}: expected a table [{table}]; found {', '.join(settings) or 'nothing'}.")
            settings = settings[table]
        try:
            return cls.from_mapping(settings, overrides=overrides)
        except ConfigError as error:
            if overrides:
                raise
            raise ConfigError(f"{path}: {error}") from None

    def replace(self, **changes: Any) -> Self:  # noqa: ANN401 (pydantic validates)
        """Return a copy with some settings changed, validated again."""
        return type(self)(**{**{name: getattr(self, name) for name in type(self).model_fields}, **changes})


def _override(settings: dict[str, Any], assignment: str) -> None:
    name, equals, text = assignment.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"Expected an override of the form name=value; found {assignment!r}.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *groups, leaf = name.strip().split(".")
    for group in groups:
        inner = settings.setdefault(group, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"Expected a group of settings as {group} in {assignment!r}; it is {inner!r}.")
        settings = inner
    settings[leaf] = value


def _explain(cls: type[BaseModel], error: ValidationError) -> str:
    sentences = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            sentences.append(f"unknown setting {where!r} ({suggest(str(problem['loc'][-1]), cls.model_fields)})")
        elif problem["type"] == "missing":
            sentences.append(f"{where}: expected a value; found none")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            if isinstance(problem.get("ctx", {}).get("error"), ConfigError):
                # of a group of settings, which has said already what was found
                _, _, reason = message.rstrip(".").partition(": ")
                sentences.append(f"{where}.{reason}" if re.match(r"[\w.]+: ", reason) else f"{where}: {reason}")
                continue
            sentences.append(f"{where}: {message}; found {problem['input']!r}" if where else message)
    return f"{cls.__name__}: " + "; ".join(sentences).rstrip(".") + "."
