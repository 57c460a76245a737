"""The units that numbers in HDF5 files state in their attribute ``units``."""

from collections.abc import Mapping

import h5py
import numpy as np

from ptychofold.errors import DomainError
from ptychofold.formats.hdf5_items import find, number

__all__ = ["ENERGY_EV", "ENERGY_J", "EV_JOULE", "LENGTH_M", "attribute", "quantity", "unit_factor"]

EV_JOULE = 1.602176634e-19
ENERGY_EV = {"eV": 1.0, "keV": 1e3, "MeV": 1e6, "J": 1 / EV_JOULE}
ENERGY_J = {"J": 1.0, "eV": EV_JOULE, "keV": 1e3 * EV_JOULE, "MeV": 1e6 * EV_JOULE}
LENGTH_M = {
    "m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "micron": 1e-6, "microns": 1e-6, "µm": 1e-6, "μm": 1e-6, "nm": 1e-9,
    "angstrom": 1e-10, "Angstrom": 1e-10, "A": 1e-10, "Å": 1e-10, "pm": 1e-12, "meter": 1.0, "meters": 1.0,
    "metre": 1.0, "metres": 1.0,
}  # fmt: skip


def attribute(item: h5py.Group | h5py.Dataset, name: str) -> str:
    """Return an attribute as text; empty if there is none."""
    values = np.asarray(item.attrs.get(name, "")).reshape(-1)
    value = values[0] if len(values) else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def unit_factor(item: h5py.Dataset, units: Mapping[str, float], *, default: str | None = None) -> float:
    """Return what a data set's numbers are multiplied by, as its ``units`` say.

    Parameters
    ----------
    item
        The data set.
    units
        The factor of each unit that is known.
    default
        The unit where the file states none; None if it must.

    Raises
    ------
    DomainError
        If there must be a unit and is none, or it is not known.
    """
    stated = attribute(item, "units").strip()
    unit = stated or (default or "")
    if unit not in units:
        raise DomainError(
            f"expected {item.name} with the attribute units, one of {', '.join(units)}; found {stated!r}. Repair it in "
            "the file.",
            path=item.file.filename,
            field=item.name.split("/")[-1],
        )
    return units[unit]


def quantity(group: h5py.Group, *names: str, units: Mapping[str, float], default: str | None = None) -> float | None:
    """Return a number in the unit whose factor is 1, by its ``units``; None if it is absent.

    Raises
    ------
    DomainError
        If it has no unit where it must, or one that is not known.
    """
    item, value = find(group, *names), number(group, *names)
    return None if item is None or value is None else value * unit_factor(item, units, default=default)
