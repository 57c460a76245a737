"""RawData: one validated scan, its patterns left where they are."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Self

import numpy as np
from jaxtyping import Bool, Complex64, Float32, Float64, Int64, Integer, Shaped
from numpy.typing import ArrayLike

from ptychofold.config import PreprocessConfig, ReadingConfig
from ptychofold.contract import GroupedData, to_contract
from ptychofold.door import checked, fields_of_arrays
from ptychofold.errors import FormatError, ShapeError
from ptychofold.formats import ScanFields, is_frame_folder, read_fields, write_fields
from ptychofold.formats.lazy import ArrayInMemory
from ptychofold.formats.view import RowView
from ptychofold.grouping import group_size, reference_groups
from ptychofold.metadata import Metadata
from ptychofold.patches import extract_patches
from ptychofold.preprocess import preprocess
from ptychofold.reading import read_amplitude
from ptychofold.scaling import energy_sums, rms_input_scale
from ptychofold.typing import ArraySource, Measurement, RequestedMeasurement
from ptychofold.validation import row_numbers

__all__ = ["RawData"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RawData:
    """A ptychography scan whose every field has been checked once.

    Made by `from_file`, `from_arrays` or `from_fields`; the patterns may stay in their file until they are read.
    Positions are (y, x) in object pixels, pixel centres at integers; a position is where the probe's centre lies.

    Examples
    --------
    >>> import numpy as np
    >>> scan = RawData.from_arrays(
    ...     patterns=np.ones((3, 8, 8), np.uint16),
    ...     positions=np.array([[4.0, 4.0], [4.0, 6.0], [6.0, 4.0]]),
    ...     probe=np.ones((8, 8), np.complex64),
    ...     measurement="intensity",
    ... )
    >>> len(scan), scan.N, scan.amplitude(np.array([0])).dtype
    (3, 8, dtype('float32'))
    """

    patterns: ArraySource
    """(scan, N, N) as measured, any real dtype; zero frequency at [N//2, N//2]."""
    measurement: Measurement
    """What the patterns' numbers are."""
    positions: Float64[np.ndarray, "scan 2"]
    """(y, x) of the probe's centre in object pixels."""
    positions_nominal: Float64[np.ndarray, "scan 2"]
    """Commanded positions, before correction; the positions where the file has none."""
    probe: Complex64[np.ndarray, "mode N N"]
    """Illumination, one or more incoherent modes."""
    object: Complex64[np.ndarray, "H W"] | None = None
    """Complex transmission, where known."""
    patches: Complex64[np.ndarray, "scan N N"] | None = None
    """Ground truth that the file carries for each pattern."""
    scan_index: Int64[np.ndarray, " scan"]
    """Number of the measurement that each pattern came from."""
    bad_pixels: Bool[np.ndarray, "N N"] | None = None
    """True where the detector is bad."""
    metadata: Metadata = field(default_factory=Metadata)
    """Units, dose, origin, history."""
    file_rows: Int64[np.ndarray, " scan"] | None = None
    """Row of each pattern in the file that the scan is a subset of; None for a whole file."""
    energy: Float64[np.ndarray, " scan"] | None = None
    """Σ amplitude² of each pattern, where a store has counted it; asked for through `energies`."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray) and value.flags.writeable:
                view = value.view()
                view.flags.writeable = False
                object.__setattr__(self, item.name, view)

    @property
    def N(self) -> int:
        """Side of a pattern in pixels."""
        return self.patterns.shape[-1]

    @property
    def path(self) -> Path | None:
        """File that the scan was read from."""
        return None if self.metadata.source is None else Path(self.metadata.source)

    def __len__(self) -> int:
        return self.patterns.shape[0]

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        *,
        measurement: RequestedMeasurement = "auto",
        lazy: bool = True,
        patterns: str | Path | None = None,
        steps: PreprocessConfig | None = None,
        reading: ReadingConfig | None = None,
    ) -> Self:
        """Read and check one scan file.

        Parameters
        ----------
        path
            A file of any supported format, or a folder of TIFF frames; it is recognised by its content.
        measurement
            What the patterns' numbers are; "auto" decides from the file's declaration, then from the numbers.
        lazy
            Leave the patterns in the file; False reads them into memory in their stored dtype.
        patterns
            Second file that holds the patterns, where ``path`` (a Ptychodus product) has none.
        steps
            Preprocessing, done as patterns are read; see `ptychofold.preprocess`.
        reading
            Units, companion files and whatever else the file lacks; see `ptychofold.read`.

        Raises
        ------
        FormatError
            If the file cannot be read as what it claims to be.
        DataError
            If its content is wrong or its measurement cannot be told.
        """
        found = read_fields(path, lazy=lazy, patterns=patterns, reading=reading, measurement=measurement)
        if steps is not None:
            found, measurement = preprocess(found, steps, measurement=measurement), "auto"
        return cls.from_fields(found, measurement=measurement)

    @classmethod
    def from_files(cls, train: str | Path, test: str | Path) -> tuple[Self, Self]:
        """Read a training scan and a test scan."""
        return cls.from_file(train), cls.from_file(test)

    @classmethod
    def from_directory(
        cls, path: str | Path, *, measurement: RequestedMeasurement = "auto", lazy: bool = True
    ) -> list[Self]:
        """Read every scan file of a directory, in the order of their names.

        Hidden files, partial files and folders are passed over; anything else must be a scan.

        Raises
        ------
        FormatError
            If there is no scan file, or the files are frames of one scan.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise FormatError("expected a directory of scan files; found none.", path=folder)
        if is_frame_folder(folder):
            raise FormatError(
                "expected a directory of scan files; found TIFF frames of one scan. Open it by "
                "ptychofold.read(folder, positions=…).",
                path=folder,
            )
        files = sorted(p for p in folder.iterdir() if p.is_file() and p.name[0] != "." and p.suffix != ".partial")
        if not files:
            raise FormatError("expected at least one scan file in the directory; found none.", path=folder)
        return [cls.from_file(file, measurement=measurement, lazy=lazy) for file in files]

    @classmethod
    def from_arrays(
        cls,
        *,
        patterns: ArrayLike | ArraySource,
        positions: ArrayLike,
        probe: ArrayLike,
        measurement: RequestedMeasurement = "auto",
        positions_nominal: ArrayLike | None = None,
        object: ArrayLike | None = None,
        patches: ArrayLike | None = None,
        scan_index: ArrayLike | None = None,
        bad_pixels: ArrayLike | None = None,
        metadata: Metadata | None = None,
    ) -> Self:
        """Check arrays, or lists of numbers, and make a scan of them; see the attributes for shapes.

        Raises
        ------
        DataError
            If a field is wrong or fields disagree.
        """
        found = fields_of_arrays(
            patterns=patterns, positions=positions, probe=probe, positions_nominal=positions_nominal, object=object,
            patches=patches, scan_index=scan_index, bad_pixels=bad_pixels, metadata=metadata,
        )  # fmt: skip
        return cls.from_fields(found, measurement=measurement)

    @classmethod
    def from_fields(cls, found: ScanFields, *, measurement: RequestedMeasurement = "auto") -> Self:
        """Check what a reader found; the one door through which every scan comes in.

        Raises
        ------
        DataError
            If a field is missing or wrong, fields disagree, or the measurement cannot be told.
        """
        return cls(**checked(found, measurement=measurement))

    def to_fields(self) -> ScanFields:
        """Return the scan as a format's writer takes it."""
        known = self.metadata
        return ScanFields(
            path=self.path,
            format=known.format or "arrays",
            patterns=self.patterns,
            positions=self.positions,
            positions_nominal=self.positions_nominal,
            probe=self.probe,
            object=self.object,
            patches=self.patches,
            scan_index=self.scan_index,
            bad_pixels=self.bad_pixels,
            measurement=self.measurement,
            measurement_reason=known.measurement_reason,
            metadata=known,
        )

    def to_file(self, path: str | Path) -> tuple[str, ...]:
        """Write the scan in the format that the suffix names; patterns are streamed in their stored dtype.

        Returns
        -------
        names
            Fields that the format cannot hold; empty if it holds them all.

        Raises
        ------
        UnsupportedFormatError
            If no writer has this suffix.
        """
        return write_fields(self.to_fields(), path)

    def subset(self, indices: Shaped[np.ndarray, " n"] | Sequence[int]) -> Self:
        """Return the scan of some scan points, in the order given or of a mask; patterns are not copied.

        Raises
        ------
        ShapeError
            If an index lies outside the scan or occurs twice, or there is none.
        """
        rows = row_numbers(indices, n_scan=len(self))
        if rows.ndim != 1 or not len(rows):
            raise ShapeError(f"expected at least one scan point to keep; found indices of shape {rows.shape}.")
        if rows.min() < 0 or rows.max() >= len(self) or len(np.unique(rows)) != len(rows):
            raise ShapeError(
                f"expected different indices from 0 to {len(self) - 1}; found {rows.min()} to {rows.max()}, "
                f"{len(rows) - len(np.unique(rows))} of them repeated."
            )
        return replace(
            self,
            patterns=RowView(self.patterns, rows),
            positions=self.positions[rows],
            positions_nominal=self.positions_nominal[rows],
            patches=None if self.patches is None else self.patches[rows],
            scan_index=self.scan_index[rows],
            file_rows=rows if self.file_rows is None else self.file_rows[rows],
            energy=None if self.energy is None else self.energy[rows],
        )

    def preprocessed(self, steps: PreprocessConfig) -> Self:
        """Return the scan put through preprocessing, done as patterns are read.

        Examples
        --------
        >>> from ptychofold.config import BinStep, PreprocessConfig
        >>> from ptychofold.testing import make_scan
        >>> make_scan(N=32).preprocessed(PreprocessConfig(steps=(BinStep(factor=2),))).N
        16
        """
        return type(self).from_fields(preprocess(self.to_fields(), steps))

    def with_patterns(self, patterns: Shaped[np.ndarray, "scan N N"]) -> Self:
        """Return the scan with the same patterns in memory."""
        return replace(self, patterns=ArrayInMemory(patterns))

    def energies(self, indices: Integer[np.ndarray, " n"] | None = None) -> Float64[np.ndarray, " n"]:
        """Return Σ amplitude² of the good pixels of patterns, all if ``indices`` is None; every number is looked at.

        Raises
        ------
        DomainError
            If a pattern is negative or non-finite.
        """
        if self.energy is not None:
            return self.energy if indices is None else self.energy[indices]
        bad, rows = self.bad_pixels, None if indices is None else indices.astype(np.int64)
        return energy_sums(self.patterns, measurement=self.measurement, rows=rows, bad_pixels=bad, path=self.path)

    def rms_input_scale(self, indices: Integer[np.ndarray, " n"] | None = None) -> float:
        """Return √((N/2)² / mean Σ amplitude²) over some patterns, the scale that networks are fed with."""
        return rms_input_scale(float(self.energies(indices).mean()), self.N)

    def amplitude(self, indices: Shaped[np.ndarray, " n"] | Sequence[int]) -> Float32[np.ndarray, "n_kept N N"]:
        """Read patterns as float32 amplitude, in the order asked for.

        Raises
        ------
        DomainError
            If a pattern is negative or non-finite.
        """
        rows = row_numbers(indices, n_scan=len(self))
        return read_amplitude(self.patterns, rows, measurement=self.measurement, path=self.path)

    def ground_truth(self, members: Integer[np.ndarray, "*shape"]) -> Complex64[np.ndarray, "*shape N N"] | None:
        """Return the true patch of each scan point: the file's own, else cut from the object, else None."""
        rows = members.ravel()
        cut: np.ndarray
        if self.patches is not None:
            cut = self.patches[rows]
        elif self.object is not None:
            cut = extract_patches(self.object, self.positions[rows], self.N)
        else:
            return None
        return cut.reshape(*members.shape, self.N, self.N)

    def generate_grouped_data(  # noqa: PLR0917 (the contract's signature)
        self,
        N: int,
        K: int = 4,
        nsamples: int = 1,
        dataset_path: str | Path | None = None,
        seed: int | None = None,
        sequential_sampling: bool = False,
        gridsize: int | None = None,
        enable_oversampling: bool = False,
        neighbor_pool_size: int | None = None,
    ) -> GroupedData:
        """Return the contract's grouped dictionary, bit for bit as the reference's sampler draws it.

        Parameters
        ----------
        N
            Side of a pattern; must be the scan's own.
        K
            Nearest neighbors that members are drawn from.
        nsamples
            Groups to draw.
        dataset_path
            Accepted for the sake of the contract; nothing is cached.
        seed
            Seed of the local MT19937 stream; None draws a fresh one, which is logged and which `seed_of` returns.
        sequential_sampling
            Take the first scan points as seeds; ``seed`` is then ignored by the standard sampler.
        gridsize
            Side of the square grid; a group has C = gridsize² members; None means 1.
        enable_oversampling
            Allow more groups than scan points, by K-choose-C combinations.
        neighbor_pool_size
            Neighbors that oversampling draws from; None means K.

        Returns
        -------
        grouped
            See `GroupedData` for keys, shapes and dtypes.

        Raises
        ------
        GroupingError
            If the groups cannot be formed.
        ShapeError
            If N is not the scan's own.
        """
        if self.N != N:
            raise ShapeError(f"expected N = {self.N}, the side of the patterns; found {N}. Crop or pad the scan first.")
        groups = reference_groups(
            self.positions[:, ::-1],
            K=K,
            C=group_size(gridsize),
            nsamples=nsamples,
            seed=seed,
            sequential=sequential_sampling,
            enable_oversampling=enable_oversampling,
            neighbor_pool_size=neighbor_pool_size,
        )
        members = groups.members
        return to_contract(
            members=members,
            amplitude=self.amplitude(members.ravel()).reshape(*members.shape, self.N, self.N),
            ground_truth=self.ground_truth(members),
            positions=self.positions,
            positions_nominal=self.positions_nominal,
            object_=self.object,
            file_rows=self.file_rows,
            seed=groups.seed,
        )
