"""Measured scans that come with the package.

``siemens``
    516 X-ray diffraction patterns of a Siemens star, far field, 128 × 128 detector counts (uint16), measured at the
    Velociprobe of the Advanced Photon Source; origin and licence stand in ``siemens-LICENSE.txt`` beside the file.
"""

from pathlib import Path

from ptychofold.errors import ConfigError

__all__ = ["names", "path"]

FOLDER = Path(__file__).parent


def names() -> tuple[str, ...]:
    """Return the names of the shipped scans.

    Examples
    --------
    >>> names()
    ('siemens',)
    """
    return tuple(sorted(file.stem for file in FOLDER.glob("*.npz")))


def path(name: str) -> Path:
    """Return the file of a shipped scan.

    Parameters
    ----------
    name
        One of `names`.

    Raises
    ------
    ConfigError
        If there is no scan of this name.

    Examples
    --------
    >>> path("siemens").name
    'siemens.npz'
    """
    known = names()
    if name not in known:
        raise ConfigError(f"expected the name of a shipped scan, one of {', '.join(known)}; found {name!r}.")
    return FOLDER / f"{name}.npz"
