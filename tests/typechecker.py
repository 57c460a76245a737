"""The run-time check of the shape annotations, in tests only."""

from collections.abc import Callable
from typing import Any, Self, get_args

from beartype import BeartypeConf, beartype

__all__ = ["check"]

CONF = BeartypeConf(is_pep484_tower=True)
"""An int is a float, as in every signature."""


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check arguments and results of a function; ``Self`` and protocols of behaviour are left to mypy."""
    hints = getattr(function, "__annotations__", None)
    if hints:
        function.__annotations__ = {name: hint for name, hint in hints.items() if _can_be_checked(hint)}
    checked: Callable[..., Any] = beartype(conf=CONF)(function)
    return checked


def _can_be_checked(hint: object) -> bool:
    if hint is Self or (getattr(hint, "_is_protocol", False) and not getattr(hint, "_is_runtime_protocol", False)):
        return False
    return all(_can_be_checked(part) for part in get_args(hint))
