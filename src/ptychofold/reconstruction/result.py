"""Reconstruction: what comes out at the end, and how it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from jaxtyping import Complex64, Float32, Float64, Int64
from pydantic import Field

from ptychofold.config import Config
from ptychofold.coverage import EDGE, coverage_map, object_shape, scan_field
from ptychofold.errors import DivergenceError, DomainError, MissingFieldError, ShapeError, UnsupportedFormatError
from ptychofold.formats import FORMATS
from ptychofold.physics import Geometry, illumination, mode_shares, orthogonal_modes
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.metrics import scan_r_factor
from ptychofold.typing import RequestedMeasurement

__all__ = ["Reconstruction", "check_output", "object_frame", "object_that_holds", "overhang"]

Facts = Mapping[str, object]
"""Names and JSON-like values."""
PROVENANCE_KEY = "reconstruction"
"""Where a saved scan's ``metadata.extra`` says how its object came about."""
LARGEST_OBJECT = 1 << 32
"""Pixels of the largest object that is begun."""


class Summary(Config):
    """What a saved scan says of the reconstruction that its object came from; unknown where another program saved it.

    Examples
    --------
    >>> Summary(losses=(0.3, 0.2)).r_factor is None
    True
    """

    r_factor: float | None = None
    """See `Reconstruction`, as for the names below."""
    r_factor_held_out: float | None = None
    """R over the patterns that the fit never saw."""
    held_out: tuple[int, ...] = ()
    """Scan points that the fit never saw."""
    losses: tuple[float, ...] = ()
    """Loss of each epoch."""
    mode_shares: tuple[float, ...] = ()
    """Share of the power in each probe mode, for people who read the file."""
    shift: tuple[float, float] = (0.0, 0.0)
    """Whole pixels that were added to the positions of the scan as it was given, those of the file included."""
    geometry: Geometry | None = None
    """Propagation."""
    seconds: float = 0.0
    """Time that the reconstruction took."""
    cpu_seconds: float = 0.0
    """Processor time that it took, over all cores."""
    provenance: dict[str, object] = Field(default_factory=dict)
    """How it came about."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reconstruction:
    """An object and a probe that explain a scan.

    Everything is finite: a reconstruction with NaN or infinity cannot be made, and so never be saved.

    Raises
    ------
    DivergenceError
        If the object, the probe or a position is not finite.
    ShapeError
        If coverage or positions do not fit the object and the scan.
    """

    scan: RawData = field(repr=False)
    """The scan that was reconstructed."""
    object: Complex64[np.ndarray, "H W"] = field(repr=False)
    """Complex transmission; without meaning where coverage is zero."""
    coverage: Float32[np.ndarray, "H W"] = field(repr=False)
    """Summed illumination of each object pixel, ``Σ_j place(Σ_m |P_m|²)``."""
    probe: Complex64[np.ndarray, "mode N N"] = field(repr=False)
    """Illumination that goes with the object."""
    positions: Float64[np.ndarray, "scan 2"] = field(repr=False)
    """(y, x) of the probe's centre in pixels of the object."""
    shift: Float64[np.ndarray, " 2"] = field(default_factory=lambda: np.zeros(2), repr=False)
    """Whole pixels that were added to the scan's positions so that the object holds every patch."""
    r_factor: float
    """``R = Σ |A - √n| / Σ √n`` over all patterns, those held out included."""
    r_factor_held_out: float | None = None
    """R over the patterns that the fit never saw."""
    held_out: Int64[np.ndarray, " n"] = field(default_factory=lambda: np.empty(0, np.int64), repr=False)
    """Scan points that the fit never saw."""
    losses: tuple[float, ...] = field(default=(), repr=False)
    """R-factor of each epoch's patterns as they were met, or a training's loss of each epoch."""
    geometry: Geometry = field(default_factory=Geometry)
    """Propagation."""
    provenance: Facts = field(default_factory=dict, repr=False)
    """How it came about, as JSON-like values: engine, settings, source, version."""
    seconds: float = 0.0
    """Time that the reconstruction took."""
    cpu_seconds: float = 0.0
    """Processor time that it took, over all cores."""

    def __post_init__(self) -> None:
        for name in ("object", "probe", "positions", "coverage", "r_factor"):
            if not np.isfinite(getattr(self, name)).all():
                raise DivergenceError(
                    f"expected a finite {name}; found NaN or infinity. Lower the learning rate or begin from another "
                    "object or probe."
                )
        if self.coverage.shape != self.object.shape or len(self.positions) != len(self.scan):
            raise ShapeError(
                f"expected coverage of {self.object.shape} and {len(self.scan)} positions; found "
                f"{self.coverage.shape} and {len(self.positions)}."
            )

    @property
    def mode_shares(self) -> tuple[float, ...]:
        """Share of the power in each probe mode, orthogonal and strongest first."""
        return tuple(mode_shares(orthogonal_modes(torch.tensor(self.probe))).tolist())

    def as_scan(self) -> RawData:
        """Return the scan with this object, probe and positions: ground truth for supervised training."""
        found = self.scan
        summary = Summary(
            r_factor=self.r_factor,
            r_factor_held_out=self.r_factor_held_out,
            held_out=tuple(self.held_out.tolist()),
            losses=self.losses,
            mode_shares=self.mode_shares,
            shift=(float(self.shift[0]), float(self.shift[1])),
            geometry=self.geometry,
            seconds=self.seconds,
            cpu_seconds=self.cpu_seconds,
            provenance=dict(self.provenance),
        )
        near: Facts = {"far_field": False} if self.geometry.propagation == "near_field" else {}
        return replace(
            found,
            object=self.object,
            probe=self.probe,
            patches=None,
            positions=self.positions,
            positions_nominal=found.positions_nominal + self.shift,
            metadata=replace(
                found.metadata,
                extra={**found.metadata.extra, **near, PROVENANCE_KEY: summary.model_dump(mode="json")},
            ),
        )

    @classmethod
    def from_scan(cls, scan: RawData) -> Self:
        """Return the reconstruction whose object a scan carries; the inverse of `as_scan`.

        What the scan does not say of it is measured (R) or left at its default. The scan's positions are those of the
        object, so there is no shift.

        Raises
        ------
        MissingFieldError
            If the scan has no object.
        """
        if scan.object is None:
            raise MissingFieldError(
                "expected a scan with an object; found none. Reconstruct it first.",
                path=scan.metadata.source,
                field="object",
            )
        extra = dict(scan.metadata.extra)
        said = extra.pop(PROVENANCE_KEY, None)
        known = Summary.from_mapping(said) if isinstance(said, Mapping) else Summary()
        plain = replace(scan, metadata=replace(scan.metadata, extra=extra))
        canvas, probe, positions = scan.object, scan.probe, scan.positions
        geometry = Geometry.of_scan(plain.metadata) if known.geometry is None else known.geometry
        r_factor = known.r_factor
        if r_factor is None:
            r_factor = scan_r_factor(plain, canvas, probe, positions, geometry=geometry)
        return cls(
            scan=plain,
            object=canvas,
            coverage=coverage_map(positions, illumination(torch.tensor(probe)).numpy(), object_shape(canvas)),
            probe=probe,
            positions=positions,
            r_factor=r_factor,
            r_factor_held_out=known.r_factor_held_out,
            held_out=np.array(known.held_out, np.int64),
            losses=known.losses,
            geometry=geometry,
            provenance=known.provenance,
            seconds=known.seconds,
            cpu_seconds=known.cpu_seconds,
        )

    @classmethod
    def from_file(
        cls, path: str | Path, *, patterns: str | Path | None = None, measurement: RequestedMeasurement = "auto"
    ) -> Self:
        """Read what `save` wrote, or another program's product.

        Parameters
        ----------
        path
            Any file with an object.
        patterns
            File that holds the patterns, where ``path`` (a product) has none.
        measurement
            As in `RawData.from_file`.

        Raises
        ------
        MissingFieldError
            If there is no object, or there are no patterns.
        """
        return cls.from_scan(RawData.from_file(path, patterns=patterns, measurement=measurement))

    def save(self, path: str | Path) -> tuple[str, ...]:
        """Write the result in the format that the suffix names, whole or not at all.

        A contract NPZ is a scan with an object, ready for supervised training; a Ptychodus product (``.h5``) has
        object, probe, positions and losses, and leaves the patterns in their own file.

        Returns
        -------
        names
            Fields of the scan that the format cannot hold.

        Raises
        ------
        UnsupportedFormatError
            If no writer has this suffix.
        MissingFieldError
            If the format needs what the scan does not tell, such as the pixel size.
        """
        check_output(path, self.scan)
        return self.as_scan().to_file(path)


def check_output(path: str | Path, scan: RawData) -> None:
    """Refuse, before any work is done, a file that a reconstruction of the scan could not be saved to.

    Raises
    ------
    UnsupportedFormatError
        If no writer has this suffix.
    MissingFieldError
        If the format needs the pixel size and the scan does not tell it.
    """
    path = Path(path)
    writers = [known for known in FORMATS if known.write is not None and path.suffix.lower() in known.suffixes]
    if not writers:
        suffixes = sorted({suffix for known in FORMATS if known.write is not None for suffix in known.suffixes})
        raise UnsupportedFormatError(f"expected one of {', '.join(suffixes)}; found {path.suffix!r}.", path=path)
    if path.suffix.lower() != ".npz" and scan.metadata.pixel_size_m is None:
        raise MissingFieldError(
            f"expected a scan that tells its pixel size, as {writers[0].name} has positions in metres; found none. "
            "Save as .npz.",
            path=path,
            field="pixel_size_m",
        )


def object_frame(
    positions: Float64[np.ndarray, "scan 2"], N: int, known: tuple[int, int] | None = None
) -> tuple[tuple[int, int], Float64[np.ndarray, " 2"]]:
    """Return the (H, W) of an object that holds every patch, and the whole pixels to add to positions for it.

    The scan's frame is kept where it can be: unless patches begin before it, or so far behind its first pixel that more
    than half of the object would be empty, as with the coordinates of a stage.

    Parameters
    ----------
    positions
        (scan, 2), (y, x) in pixels of the scan's own frame.
    N
        Side of a patch.
    known
        (H, W) of an object that lies in that frame already; if given it is kept.

    Raises
    ------
    DomainError
        If the object would have more than 2³² pixels.

    Examples
    --------
    >>> object_frame(np.array([[2.0, 4.0], [9.5, 4.0]]), 8)
    ((16, 8), array([2., 0.]))
    """
    if known is not None:
        return known, np.zeros(2)
    shift = N // 2 - np.floor(positions.min(axis=0))
    spare = np.ptp(positions, axis=0) + N
    shift = np.where((shift < 0) & (shift > -spare), 0.0, shift)
    height, width = scan_field(positions + shift, N)
    if height * width > LARGEST_OBJECT:
        raise DomainError(
            f"expected positions in object pixels that span at most {LARGEST_OBJECT} of them; found a field of "
            f"{height} × {width}. Check the unit of the positions.",
            field="positions",
        )
    return (height, width), shift


def overhang(shape: tuple[int, int], positions: Float64[np.ndarray, "scan 2"], *, N: int) -> float:
    """Return by how many pixels patches reach beyond an object; 0 or less if none does."""
    first = np.floor(positions.min(axis=0) + EDGE) - N // 2
    last = np.floor(positions.max(axis=0)) - N // 2 + N
    return float(max((-first).max(), (last - shape).max()))


def object_that_holds(scan: RawData) -> Complex64[np.ndarray, "H W"] | None:
    """Return the scan's object if its frame is large enough for the scan to begin anew in it."""
    if scan.object is None:
        return None
    return None if overhang(object_shape(scan.object), scan.positions, N=scan.N) > 0 else scan.object
