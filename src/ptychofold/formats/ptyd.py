"""PtyPy's prepared data, ``.ptyd``: chunks of frames with their positions.

Frames are intensities whose optical axis lies at ``meta/center``; positions are the probe's (y, x) in metres, rows
down; energy is in keV, distance and pixel in m (PtyPy ``ptypy/core/data.py`` and ``doc/rst/ptyd.rst``). A weight of
0 marks a bad pixel.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Bool, Shaped

from ptychofold.config import ScanGeometry
from ptychofold.errors import DomainError, FormatError, MissingFieldError, ShapeError
from ptychofold.formats.base import Format
from ptychofold.formats.concatenated import concatenated
from ptychofold.formats.fields import ScanFields
from ptychofold.formats.hdf5 import is_hdf5, open_array, open_file
from ptychofold.formats.hdf5_items import find, group, number, numbers, text, tree
from ptychofold.formats.lazy import ArrayInMemory
from ptychofold.metadata import Metadata
from ptychofold.typing import ArraySource

__all__ = ["FORMAT"]

NAME = "PtyPy ptyd"
OFF_CENTRE_PX = 0.51
"""Distance of the optical axis from pixel N // 2 from which frames have to be moved."""


def sniff(path: Path) -> str | None:
    """Recognise HDF5 with numbered chunks of data and positions, beside meta."""
    if not is_hdf5(path):
        return None
    with open_file(path) as file:
        chunks, meta = group(file, "chunks"), group(file, "meta")
        found = chunks is not None and any(find(chunks, f"{name}/data") for name in chunks if str(name).isdigit())
        return "an HDF5 file with meta and numbered chunks" if found and meta is not None else None


def read(path: Path, *, lazy: bool) -> ScanFields:
    """Read the chunks in the order of their numbers, those in linked files too.

    Raises
    ------
    FormatError
        If a linked chunk is missing.
    MissingFieldError
        If a chunk lacks data or positions.
    DomainError
        If the optical axis does not lie in the middle of the frames.
    """
    with open_file(path) as file:
        chunks = [_Chunk.of(file, name, path=path) for name in _numbers(file)]
        if not chunks:
            raise MissingFieldError("expected numbered chunks; found none.", path=path, field="patterns")
        patterns = concatenated([chunk.source for chunk in chunks])
        _check_centre(file, patterns.shape, path=path)
        geometry = _geometry(file)
        label = text(file, "meta/label")
        return ScanFields(
            path=path,
            format=NAME,
            patterns=patterns if lazy else ArrayInMemory(patterns.read(slice(None))),
            positions_m=np.concatenate([chunk.positions for chunk in chunks]),
            point_numbers=np.concatenate([chunk.indices for chunk in chunks]),
            bad_pixels=_bad_pixels(file, chunks),
            measurement="intensity",
            measurement_reason="PtyPy prepares detector intensities",
            metadata=Metadata(
                wavelength_m=geometry.wavelength, geometry=geometry, extra={"name": label} if label else {}
            ),
            names=tree(file),
        )


def _numbers(file: h5py.File) -> list[str]:
    return sorted((str(name) for name in file["chunks"] if str(name).isdigit()), key=int)


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    source: ArraySource
    positions: Shaped[np.ndarray, "n 2"]
    indices: Shaped[np.ndarray, " n"]
    weights: ArraySource | None

    @classmethod
    def of(cls, file: h5py.File, name: str, *, path: Path) -> "_Chunk":
        chunk = file["chunks"].get(name)
        if not isinstance(chunk, h5py.Group):
            link = file["chunks"].get(name, getlink=True)
            where = getattr(link, "filename", "nowhere")
            raise FormatError(
                f"chunk {name} lies in {where}, which is missing. Put it back beside this file.", path=path
            )
        data, positions, indices = (find(chunk, part) for part in ("data", "positions", "indices"))
        if data is None or positions is None:
            raise MissingFieldError(
                f"expected data and positions in chunk {name}; found {', '.join(tree(chunk))}.",
                path=path,
                field="positions",
            )
        if data.shape is None or data.ndim != 3:
            raise ShapeError(
                f"expected data of shape (scan, N, N) in chunk {name}; found {data.shape}.", path=path, field="patterns"
            )
        if positions.shape != (data.shape[0], 2):
            raise ShapeError(
                f"expected {data.shape[0]} positions (y, x) in chunk {name}; found shape {positions.shape}.",
                path=path,
                field="positions",
            )
        weights = find(chunk, "weights")
        return cls(
            source=open_array(data),
            positions=numbers(positions).astype(np.float64),
            indices=np.arange(len(positions)) if indices is None else numbers(indices).ravel().astype(np.int64),
            weights=open_array(weights) if weights is not None and weights.shape == data.shape else None,
        )


def _geometry(file: h5py.File) -> ScanGeometry:
    """Collect the beam and detector from meta; 0 and a text such as None are unknown."""
    energy_kev, distance_m = number(file, "meta/energy", "info/energy"), number(file, "meta/distance", "info/distance")
    item = find(file, "meta/psize", "info/psize")
    sizes = [] if item is None or item.dtype.kind not in "uif" else numbers(item).ravel().tolist()
    height, width = (sizes * 2)[:2] if sizes else (0.0, 0.0)
    propagation = {"farfield": "far_field", "nearfield": "near_field"}.get(text(file, "info/propagation") or "")
    facts = {
        "energy_ev": energy_kev * 1e3 if energy_kev else None,
        "distance_m": distance_m or None,
        "detector_pixel_m": (height, width) if height and width else None,
        "propagation": propagation,
    }
    return ScanGeometry.of(facts)


def _check_centre(file: h5py.File, shape: tuple[int, ...], *, path: Path) -> None:
    item = find(file, "meta/center")
    if item is None or item.dtype.kind not in "uif":
        return
    centre = np.broadcast_to(numbers(item).ravel(), (2,))
    if np.abs(centre - np.array(shape[1:]) // 2).max() > OFF_CENTRE_PX:
        raise DomainError(
            f"expected the optical axis at pixel {tuple(n // 2 for n in shape[1:])}, the middle of the frames; PtyPy "
            f"says {tuple(centre.tolist())}. Prepare the data again with its shape and center set.",
            path=path,
            field="patterns",
        )


def _bad_pixels(file: h5py.File, chunks: list[_Chunk]) -> Bool[np.ndarray, "N N"] | None:
    """Return pixels of weight 0: of the common weight, else of any frame."""
    common = find(file, "meta/weight2d", "common/weight2d", "info/weight2d")
    if common is not None and common.ndim == 2:
        return np.asarray(numbers(common) == 0)
    bad: np.ndarray | None = None
    for chunk in chunks:
        if chunk.weights is not None:
            zero = (chunk.weights.read(slice(None)) == 0).any(axis=0)
            bad = zero if bad is None else bad | zero
    return bad


FORMAT = Format(
    name=NAME,
    description="prepared frames, positions and weights in HDF5, as PtyPy saves them",
    suffixes=(".ptyd",),
    sniff=sniff,
    read=read,
)
