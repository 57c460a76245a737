"""DataContract: what a model was made for, and the refusal of what it was not."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from math import isclose
from typing import Annotated, Self

from pydantic import Field, PositiveInt, TypeAdapter, ValidationError

from ptychofold.errors import CheckpointError
from ptychofold.physics import Geometry
from ptychofold.raw_data import RawData
from ptychofold.typing import Measurement

__all__ = ["DataContract"]

Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True)
class DataContract:
    """Facts of a scan that a model depends on.

    Examples
    --------
    >>> contract = DataContract(N=64, n_modes=1, measurement="intensity")
    >>> DataContract.from_dict(contract.to_dict()) == contract
    True
    """

    N: PositiveInt
    """Side of a pattern in pixels."""
    n_modes: PositiveInt
    """Modes of the probe."""
    measurement: Measurement
    """What the patterns' numbers are."""
    geometry: Geometry = field(default_factory=Geometry)
    """How exit waves reach the detector."""
    wavelength_m: Length | None = None
    """Wavelength, where the scan says so."""
    pixel_size_m: tuple[Length, Length] | None = None
    """Height and width of an object pixel, where the scan says so."""
    C: PositiveInt | None = None
    """Members of a group in training, 1 if the network sees single patterns whatever the groups; None before."""

    @classmethod
    def of(cls, scan: RawData, *, geometry: Geometry | None = None) -> Self:
        """Describe a scan, and the propagation that it states unless another is given."""
        return cls(
            N=scan.N,
            n_modes=len(scan.probe),
            measurement=scan.measurement,
            geometry=geometry or Geometry.of_scan(scan.metadata),
            wavelength_m=scan.metadata.wavelength_m,
            pixel_size_m=scan.metadata.pixel_size_m,
        )

    def with_groups_of(self, C: int) -> Self:
        """Return the contract of a model that was trained on groups of C."""
        return replace(self, C=C)

    def check(self, scan: RawData, *, geometry: Geometry | None = None) -> None:
        """Refuse a scan that the model was not made for.

        Parameters
        ----------
        scan
            What it says is compared; what it does not say agrees with all.
        geometry
            How it was measured, if it does not state that itself or wrongly.

        Raises
        ------
        CheckpointError
            If N, the probe's modes, the measurement, wavelength, pixel size or propagation differ.
        """
        stated = geometry or Geometry.stated_by(scan.metadata) or self.geometry
        found = type(self).of(scan, geometry=stated)
        fixes = {
            "N": "Crop, bin or pad the scan",
            "n_modes": "Give the scan a probe with as many modes",
            "measurement": "Convert the patterns (ptychofold preprocess SCAN --to {ours} -o OUT)",
            "geometry": "Propagate as in training",
            "wavelength_m": "Use a scan of the same wavelength",
            "pixel_size_m": "Bin or crop the patterns to the same object pixel",
        }
        for name, fix in fixes.items():
            ours, theirs = getattr(self, name), getattr(found, name)
            if not _alike(ours, theirs):
                where = "" if scan.path is None else f"{scan.path}: "
                raise CheckpointError(
                    f"{where}expected a scan with {name} = {_said(ours)}, as the model was made for; found "
                    f"{_said(theirs)}. {fix.format(ours=ours)}, or train a model for it."
                )

    def check_groups(self, C: int) -> None:
        """Refuse groups of another size than those of training.

        Raises
        ------
        CheckpointError
            If they differ.
        """
        if self.C is not None and self.C != C:
            raise CheckpointError(
                f"expected groups of {self.C}, as the model was trained on; found groups of {C}. Group the scan with "
                f"a grid of {self.C} members, or train a model for this grid."
            )

    def to_dict(self) -> dict[str, object]:
        """Return JSON-like values."""
        return {**asdict(self), "geometry": self.geometry.model_dump(mode="json")}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """Return the contract that `to_dict` wrote.

        Raises
        ------
        CheckpointError
            If facts are missing, unknown or of a wrong kind.
        """
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        try:
            contract: Self = TypeAdapter(cls).validate_python(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            raise CheckpointError(
                f"expected the facts of a data contract; found {sorted(values)}, where "
                f"{'.'.join(map(str, first['loc']))} is wrong: {first['msg']}."
            ) from error
        if unknown:
            raise CheckpointError(f"expected the facts of a data contract; found {', '.join(unknown)} too.")
        return contract


def _alike(ours: object, theirs: object) -> bool:
    """Whether facts agree; what one side does not know agrees with all."""
    if ours is None or theirs is None:
        return True
    if isinstance(ours, Geometry) and isinstance(theirs, Geometry):
        if ours.propagation != theirs.propagation or ours.propagation == "far_field":
            return ours.propagation == theirs.propagation
        return all(_alike(getattr(ours, name), getattr(theirs, name)) for name in Geometry.model_fields)
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        return all(_alike(a, b) for a, b in zip(ours, theirs, strict=True))
    if isinstance(ours, float) and isinstance(theirs, float):
        return isclose(ours, theirs, rel_tol=1e-3)
    return ours == theirs


def _said(fact: object) -> str:
    if not isinstance(fact, Geometry):
        return str(fact)
    return fact.propagation if fact.distance_m is None else f"{fact.propagation} over {fact.distance_m:.6g} m"
