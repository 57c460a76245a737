"""Optional packages: imported where they are used, explained where they are missing."""

import importlib
from types import ModuleType

from ptychofold.errors import DependencyError

__all__ = ["require"]


def require(name: str, *, extra: str) -> ModuleType:
    """Import an optional package or say how to install it.

    Parameters
    ----------
    name
        Module to import, such as ``"matplotlib.pyplot"``.
    extra
        The extra of ptychofold that brings it.

    Raises
    ------
    DependencyError
        If the module is missing or does not load; the message holds the pip line.

    Examples
    --------
    >>> require("json", extra="plot").dumps([1])
    '[1]'
    """
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        raise DependencyError(
            f"{name} is needed here and could not be imported ({error}). "
            f"Install it with: pip install 'ptychofold[{extra}]'"
        ) from error
