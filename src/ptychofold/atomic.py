"""Files that appear whole or not at all."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeGuard

from ptychofold.errors import FormatError, PtychoError

__all__ = ["check_place", "replacing"]


def check_place(path: str | Path) -> None:
    """Refuse a name that nothing can be written under, before work is done for it.

    Raises
    ------
    FormatError
        If what should be its directory is a file, or may not be written to.
    """
    folder = next(parent for parent in Path(path).absolute().parents if parent.exists())
    if not folder.is_dir():
        raise FormatError(f"expected a directory to write in; {folder} is a file. Name another place.", path=path)
    if not os.access(folder, os.W_OK):
        raise FormatError(f"expected a directory that may be written to; {folder} may not. Name another.", path=path)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a partial name beside ``path`` to write to; rename it to ``path`` when the block ends well.

    Works for a file or a directory that the block creates. If the block raises, whatever it wrote is removed and an
    older file under ``path`` stays as it was.

    Parameters
    ----------
    path
        The final name; its directory is created if absent.

    Raises
    ------
    FormatError
        If a directory lies under the name of a file, or there is no directory to write in.
    OSError
        If writing fails, such as on a full disk; the message names ``path``, not the partial name.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with replacing(folder / "a.txt") as partial:
    ...     _ = partial.write_text("whole")
    >>> [entry.name for entry in folder.iterdir()]
    ['a.txt']
    """
    final = Path(path)
    check_place(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = final.with_name(f"{final.name}.{uuid.uuid4().hex}.partial")
    try:
        yield partial
        _rename(partial, final)
    except BaseException as error:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
        if _is_of(error, partial):
            raise _renamed(error, partial=partial, final=final) from error
        raise


def _rename(partial: Path, final: Path) -> None:
    if final.is_dir() and not partial.is_dir():
        raise FormatError("expected the name of a file to write; found a directory. Name a file in it.", path=final)
    partial.replace(final)


def _is_of(error: BaseException, partial: Path) -> TypeGuard[OSError]:
    """Whether the system refused to write, rather than that something else failed."""
    if not isinstance(error, OSError) or isinstance(error, PtychoError):
        return False
    return error.filename in (None, str(partial), partial)


def _renamed(error: OSError, *, partial: Path, final: Path) -> OSError:
    if error.errno is None:
        return OSError(str(error).replace(partial.name, final.name))
    return OSError(error.errno, str(error.strerror).replace(partial.name, final.name), str(final))
