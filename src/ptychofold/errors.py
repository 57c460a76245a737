"""The errors that ptychofold raises.

::

    PtychoError
    ├── FormatError (OSError)              the file cannot be read as what it claims to be
    │   └── UnsupportedFormatError         no reader knows the file; lists what is supported
    ├── DataError (ValueError)             the file was read, its content is wrong; has .path and .field
    │   ├── MissingFieldError (KeyError)   lists the names tried and the names found
    │   ├── ShapeError
    │   ├── DtypeError (TypeError)
    │   └── DomainError                    non-finite, negative, intensity where amplitude is expected
    ├── ConfigError (ValueError)           unknown key or impossible combination
    ├── GroupingError (ValueError)         not enough neighbors, more groups than exist
    ├── ContractError (ValueError)         native state that has no legacy form
    ├── StoreError (RuntimeError)          missing, incomplete, stale, corrupt or foreign store
    ├── CheckpointError (RuntimeError)
    ├── DivergenceError (ArithmeticError)
    └── DependencyError (ImportError)

Every message says what was expected, what was found and what to do.
"""

from pathlib import Path

__all__ = [
    "CheckpointError",
    "ConfigError",
    "ContractError",
    "DataError",
    "DependencyError",
    "DivergenceError",
    "DomainError",
    "DtypeError",
    "FormatError",
    "GroupingError",
    "MissingFieldError",
    "PtychoError",
    "ShapeError",
    "StoreError",
    "UnsupportedFormatError",
]


class PtychoError(Exception):
    """Base of every error that ptychofold raises on purpose."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class FormatError(PtychoError, OSError):
    """A file cannot be read as what it claims to be.

    Parameters
    ----------
    message
        What was expected, what was found, what to do.
    path
        The file; put before the message.
    """

    def __init__(self, message: str, *, path: str | Path | None = None) -> None:
        super().__init__(_locate(message, path))
        self.path = None if path is None else Path(path)


class UnsupportedFormatError(FormatError):
    """No reader knows the file."""


class DataError(PtychoError, ValueError):
    """A file or array was read, but its content is wrong.

    Parameters
    ----------
    message
        What was expected, what was found, what to do.
    path
        The file that holds the content, if any; put before the message.
    field
        The glossary name of the field that is wrong.
    """

    def __init__(self, message: str, *, path: str | Path | None = None, field: str | None = None) -> None:
        super().__init__(_locate(message, path))
        self.path = None if path is None else Path(path)
        self.field = field


class MissingFieldError(DataError, KeyError):
    """A required field is absent under every name that it is known by."""


class ShapeError(DataError):
    """An array has the wrong shape, or its shape disagrees with another field."""


class DtypeError(DataError, TypeError):
    """An array has the wrong type of numbers."""


class DomainError(DataError):
    """Values lie outside their domain: non-finite, negative, all zero, or of another quantity."""


class ConfigError(PtychoError, ValueError):
    """A setting is unknown, or settings contradict one another."""


class GroupingError(PtychoError, ValueError):
    """The groups asked for cannot be formed from these positions."""


class ContractError(PtychoError, ValueError):
    """Native state has no form in the legacy contract."""


class StoreError(PtychoError, RuntimeError):
    """A store is missing, incomplete, stale, corrupt or foreign."""


class CheckpointError(PtychoError, RuntimeError):
    """A checkpoint does not fit the data or the model."""


class DivergenceError(PtychoError, ArithmeticError):
    """An optimisation produced non-finite numbers."""


class DependencyError(PtychoError, ImportError):
    """An optional package is missing or does not load."""


def _locate(message: str, path: str | Path | None) -> str:
    return message if path is None else f"{path}: {message}"
