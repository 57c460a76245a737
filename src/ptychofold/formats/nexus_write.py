"""Write NXcxi_ptycho: the CXI file of `cxi_write` with NeXus' classes, units and links beside CXI's names."""

from pathlib import Path

import h5py
import numpy as np

from ptychofold.config.geometry import HC_EV_M
from ptychofold.formats.cxi_write import HOLDS, write_entry
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.hdf5_write import Essentials, creating, not_held
from ptychofold.formats.units import EV_JOULE

__all__ = ["write"]

CLASSES = {
    "": "NXentry",
    "instrument_1": "NXinstrument",
    "instrument_1/source_1": "NXsource",
    "instrument_1/beam_1": "NXbeam",
    "instrument_1/detector_1": "NXdetector",
    "sample_1": "NXsample",
    "sample_1/geometry_1": "NXcollection",
    "sample_1/transformations": "NXtransformations",
    "data_1": "NXcollection",
    "data": "NXdata",
}
METRES = (
    "sample_1/geometry_1/translation",
    "instrument_1/source_1/wavelength",
    "instrument_1/detector_1/distance",
    "instrument_1/detector_1/x_pixel_size",
    "instrument_1/detector_1/y_pixel_size",
)


def write(fields: ScanFields, path: Path) -> tuple[str, ...]:
    """Write a scan as NXcxi_ptycho, which CXI readers open too; amplitudes are squared.

    What the definition requires and a scan does not know (the ring's name and energy, divergence, a monitor) is left
    out; `validate` lists it.

    Returns
    -------
    names
        Fields that the format cannot hold.

    Raises
    ------
    MissingFieldError
        If the scan has no patterns, positions or object pixel size, without which there are no metres.
    """
    held = Essentials.of(fields, path, name="NXcxi_ptycho")
    with creating(path, name="NeXus file") as file:
        entry = write_entry(file, fields, held)
        file.attrs["default"] = "entry_1"
        entry["definition"] = "NXptycho"
        entry.attrs["default"] = "data"
        _write_beam(entry, fields)
        _write_links(entry)
        for name, nx_class in CLASSES.items():
            (entry[name] if name else entry).attrs["NX_class"] = nx_class
        for name in METRES:
            if name in entry:
                entry[name].attrs["units"] = "m"
        entry["sample_1/geometry_1/translation"].attrs["axes"] = "translation:y:x"
        entry["sample_1/geometry_1/translation"].attrs["interpretation"] = "image"
    return not_held(fields, holds=HOLDS)


def _write_beam(entry: h5py.Group, fields: ScanFields) -> None:
    """Write the beam's energy; in NeXus the source's is that of the machine, so that CXI's is taken away."""
    source, beam = entry["instrument_1/source_1"], entry["instrument_1"].create_group("beam_1")
    geometry = fields.metadata.geometry
    source["probe"] = "electron" if geometry is not None and geometry.particle == "electron" else "x-ray"
    if fields.metadata.wavelength_m is None:
        return
    del source["energy"]
    energy_ev = (
        HC_EV_M / fields.metadata.wavelength_m if geometry is None or geometry.energy is None else geometry.energy
    )
    for name in ("energy", "incident_beam_energy"):
        beam[name] = energy_ev * EV_JOULE
        beam[name].attrs["units"] = "J"


def _write_links(entry: h5py.Group) -> None:
    detector = entry["instrument_1/detector_1"]
    detector.attrs["axes"], detector.attrs["signal"] = np.array(["", "data"], object), "data"
    detector["data_1"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
    translation = entry["sample_1/geometry_1/translation"][()]
    transformations = entry["sample_1"].create_group("transformations")
    for column, (axis, vector) in enumerate((("x", (1.0, 0.0, 0.0)), ("y", (0.0, 1.0, 0.0)))):
        transformations[axis] = translation[:, column]
        transformations[axis].attrs.update(
            units="m", vector=np.array(vector), transformation_type="translation", depends_on="." if column else "y"
        )
    data = entry.create_group("data")
    data.attrs["signal"], data.attrs["axes"] = "data", np.array(["x", ".", "."], object)
    data.attrs["x_indices"] = data.attrs["y_indices"] = 0
    data["data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
    for axis in "xy":
        data[axis] = h5py.SoftLink(f"/entry_1/sample_1/transformations/{axis}")
