"""Paired HDF5 files ``NAME_dp`` and ``NAME_para``: PtychoViT and ptycho-fm, fold_slice and PtychoShelves.

Both families keep patterns as ``dp`` and the rest in the second file, found by its name. PtychoViT's is a Ptychodus
product (object, probe, ``probe_position_x_m``); fold_slice's holds ``ppX`` and ``ppY`` in metres, ``lambda`` and ``dx``
(Ptychodus 1.7, ``model/ptycho_fm/reconstructor.py`` and ``plugins/fold_slice``).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ptychofold.config import ScanGeometry
from ptychofold.errors import DomainError, FormatError, MissingFieldError
from ptychofold.formats import ptychodus_product
from ptychofold.formats.base import Format
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.hdf5 import open_file
from ptychofold.formats.hdf5_items import dataset, find, has_datasets, names_in, number, numbers, patterns_of
from ptychofold.formats.hdf5_write import Essentials, creating, needed, write_patterns
from ptychofold.formats.pairing import with_patterns
from ptychofold.metadata import Metadata
from ptychofold.validation import check_columns

__all__ = ["FOLD_SLICE", "PTYCHOVIT", "partner"]

PTYCHOVIT_NAME = "PtychoViT pair"
FOLD_SLICE_NAME = "fold_slice pair"
LARGEST_M = 1.0
"""A position beyond one metre is no position in metres."""


def partner(path: Path) -> Path | None:
    """Return the ``_para`` file of a ``_dp`` file, if it is there."""
    if not path.stem.endswith("_dp"):
        return None
    other = path.with_name(f"{path.stem.removesuffix('_dp')}_para{path.suffix}")
    return other if other.is_file() else None


def _sniff(path: Path, *, names: tuple[str, ...]) -> str | None:
    if not has_datasets(path, "dp"):
        return None
    other = partner(path)
    found = other is not None and has_datasets(other, *names)
    return f"an HDF5 file with dp, and beside it one with {', '.join(names)}" if other is not None and found else None


def sniff_ptychovit(path: Path) -> str | None:
    """Recognise patterns named ``dp`` beside a file of object, probe and positions in metres."""
    return _sniff(path, names=("object", "probe", "probe_position_x_m", "probe_position_y_m"))


def sniff_fold_slice(path: Path) -> str | None:
    """Recognise patterns named ``dp`` beside a file with ``ppX`` and ``ppY``, or alone."""
    beside = _sniff(path, names=("ppX", "ppY"))
    if beside is None and has_datasets(path, "dp") and partner(path) is None:
        return "an HDF5 file with dp and nothing beside it"
    return beside


def read_ptychovit(path: Path, *, lazy: bool) -> ScanFields:
    """Read a PtychoViT pair by the name of its ``_dp`` file.

    Raises
    ------
    FormatError
        If its ``_para`` file is missing.
    DomainError
        If positions named as metres cannot be in metres.
    """
    other = partner(path)
    if other is None:
        raise FormatError("expected a second file with _para in place of _dp beside this one; found none.", path=path)
    scan = ptychodus_product.read(other, lazy=lazy)
    with open_file(other) as file:
        furthest = max(
            float(np.abs(numbers(dataset(file, f"probe_position_{axis}_m", field="positions"))).max(initial=0.0))
            for axis in "xy"
        )
    if furthest > LARGEST_M:
        raise DomainError(
            f"expected positions in metres; found {furthest:g} as probe_position_…_m, which looks like pixels. "
            "Multiply them by the object pixel.",
            path=other,
            field="positions",
        )
    return replace(with_patterns(scan, _patterns(path, lazy=lazy)), path=path, format=PTYCHOVIT_NAME)


def read_fold_slice(path: Path, *, lazy: bool) -> ScanFields:
    """Read a fold_slice pair by the name of its ``_dp`` file; frames stay as HDF5 has them.

    MATLAB stores arrays transposed: a file that MATLAB wrote shows its frames with rows and columns exchanged, and
    nothing in it says so. ``extra["frames"]`` reminds of that.
    """
    found, other = _patterns(path, lazy=lazy), partner(path)
    if other is None:
        return found
    with open_file(other) as file:
        x, y = (numbers(dataset(file, name, field="positions")).ravel() for name in ("ppX", "ppY"))
        wavelength_m, pixel_m = number(file, "lambda"), number(file, "dx")
        pixel_size_m = (pixel_m, pixel_m) if pixel_m else None
        geometry = ScanGeometry.of({"wavelength_m": wavelength_m, "pixel_size_m": pixel_size_m})
        extra = {"frames": "as stored; a file that MATLAB wrote shows rows and columns exchanged"}
        angle = number(file, "angle")
        return replace(
            found,
            positions_m=check_columns(x, y, path=other),
            metadata=Metadata(
                wavelength_m=wavelength_m,
                pixel_size_m=pixel_size_m,
                geometry=geometry if geometry.model_fields_set else None,
                extra=extra if angle is None else {**extra, "tomography_angle_deg": angle},
            ),
            names=(*found.names, *names_in(file)),
        )


def _patterns(path: Path, *, lazy: bool) -> ScanFields:
    with open_file(path) as file:
        data = find(file, "dp")
        if data is None:
            raise MissingFieldError(
                f"expected dp; the file holds {', '.join(names_in(file))}.", path=path, field="patterns"
            )
        return ScanFields(
            path=path,
            format=FOLD_SLICE_NAME,
            patterns=patterns_of(data, lazy=lazy),
            measurement="intensity",
            measurement_reason="dp holds detector counts",
            names=names_in(file),
        )


def write_ptychovit(fields: ScanFields, path: Path) -> tuple[str, ...]:
    """Write a pair: ``NAME_dp.hdf5`` under the name given, ``NAME_para.hdf5`` beside it; amplitudes are squared.

    The second file is a Ptychodus product, and appears first: whoever sees the patterns finds the rest. Where the
    patterns cannot be written, neither appears.

    Raises
    ------
    FormatError
        If the name does not end in ``_dp``.
    MissingFieldError
        If the scan lacks patterns, positions, probe, object or object pixel size.
    """
    if not path.stem.endswith("_dp"):
        raise FormatError(
            f"expected a name that ends in _dp{path.suffix or '.hdf5'}, such as {path.stem}_dp.hdf5; PtychoViT finds "
            "the second file by it.",
            path=path,
        )
    held = Essentials.of(fields, path, name="PtychoViT")
    for need, found in (("probe", fields.probe), ("object", fields.object)):
        needed(found, need, path, name="PtychoViT")
    other = path.with_name(f"{path.stem.removesuffix('_dp')}_para{path.suffix}")
    with creating(path, name="PtychoViT pair") as file:
        write_patterns(file, "dp", held.intensity)
        file.flush()  # so that a full disk is met before the second file appears
        lost = [name for name in ptychodus_product.write(fields, other) if name not in {"patterns", "measurement"}]
    return (*lost, "measurement") if fields.measurement == "amplitude" else tuple(lost)


PTYCHOVIT = Format(
    name=PTYCHOVIT_NAME,
    description="NAME_dp and NAME_para in HDF5, as PtychoViT and ptycho-fm train on",
    suffixes=("_dp.hdf5", "_dp.h5"),
    sniff=sniff_ptychovit,
    read=read_ptychovit,
    write=write_ptychovit,
)
FOLD_SLICE = Format(
    name=FOLD_SLICE_NAME,
    description="NAME_dp and NAME_para in HDF5 with ppX and ppY, as fold_slice and PtychoShelves prepare them",
    suffixes=("_dp.hdf5", "_dp.h5"),
    sniff=sniff_fold_slice,
    read=read_fold_slice,
)
