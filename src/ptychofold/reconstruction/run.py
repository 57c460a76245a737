"""A training run as one value: everything that must be said to repeat it, in one TOML file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from jaxtyping import Int64
from pydantic import Field, field_validator

from ptychofold.atomic import replacing
from ptychofold.config import (
    Config,
    GroupingConfig,
    LoaderConfig,
    MixtureConfig,
    ModelConfig,
    ReadingConfig,
    SplitConfig,
    TrainingConfig,
)
from ptychofold.data import GroupedDataset, GroupLoader, MixtureDataset, make_loader
from ptychofold.data.mixture import one_or_mixed
from ptychofold.data.store import PatternStore
from ptychofold.errors import ConfigError
from ptychofold.formats.base import is_store
from ptychofold.grouping import split_scan
from ptychofold.models import PtychographyModel
from ptychofold.physics import Geometry
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.run_folder import HISTORY_FILE, RUN_FILE, read_history
from ptychofold.reconstruction.training import OnStep, TrainingRecord, fit
from ptychofold.typing import RequestedMeasurement

__all__ = ["HISTORY_FILE", "RUN_FILE", "RunConfig", "prepare_run", "read_history", "train_run"]


SplitRows = Mapping[str, Int64[np.ndarray, " _"]]
"""Scan points of each part of a split, by name."""


class RunConfig(Config):
    """All settings of a training run.

    Examples
    --------
    >>> run = RunConfig(scan="scan.npz", training={"epochs": 3})
    >>> print(run.to_toml().splitlines()[0])
    scan = "scan.npz"
    """

    scan: Path | Annotated[tuple[Path, ...], Field(min_length=1)]
    """The scan file or store, or several of them; a relative path starts at the TOML file."""

    measurement: RequestedMeasurement = "auto"
    """What the patterns' numbers are."""

    reading: ReadingConfig = Field(default_factory=ReadingConfig)
    """What completes the scan files, each of them; relative paths start at the TOML file. Stores are complete."""

    mixture: MixtureConfig = Field(default_factory=MixtureConfig)
    """How often each of several scans is seen; without effect on one."""

    grouping: GroupingConfig = Field(default_factory=GroupingConfig)
    """How groups are drawn, in each part of the split from its own scan points; without a seed, by the seed 0."""

    split: SplitConfig = Field(default_factory=lambda: SplitConfig(validation=0.0, test=0.0))
    """Scan points that are kept from training."""

    loader: LoaderConfig = Field(default_factory=LoaderConfig)
    """Batches."""

    geometry: Geometry | None = None
    """Propagation; None is what the scan states."""

    model: ModelConfig = Field(default_factory=ModelConfig)
    """The network."""

    training: TrainingConfig = Field(default_factory=TrainingConfig)
    """Training."""

    @field_validator("grouping")
    @classmethod
    def _repeatable(cls, grouping: GroupingConfig) -> GroupingConfig:
        return grouping.seeded()

    @classmethod
    def from_file(cls, path: str | Path, *, overrides: Sequence[str] = ()) -> Self:
        """Read a TOML file; see `Config.from_toml` for overrides and errors."""
        run = cls.from_toml(path, overrides=overrides)
        folder = Path(path).parent
        output = run.training.output_dir
        training = run.training if output is None else run.training.replace(output_dir=folder / output)
        return run.moved_to(folder).replace(training=training)

    @property
    def scans(self) -> tuple[Path, ...]:
        """The scan files or stores, of which there is at least one."""
        return (self.scan,) if isinstance(self.scan, Path) else self.scan

    def moved_to(self, folder: Path) -> Self:
        """Return the run with scans, and files that complete them, that are found from another directory."""
        moved = tuple(folder / scan for scan in self.scans)
        reading = self.reading.moved_to(folder)
        return self.replace(scan=moved[0] if isinstance(self.scan, Path) else moved, reading=reading)

    def to_toml(self) -> str:
        """Return the TOML text that `from_toml` reads."""
        return "\n".join(_toml(self.model_dump(mode="json"))) + "\n"


def prepare_run(run: RunConfig) -> tuple[PtychographyModel, GroupLoader, GroupLoader | None]:
    """Open the scans, split and group them, and make an untrained model.

    Returns
    -------
    model, train, validation
        What `fit` takes; validation is None if the split has no such part.

    Raises
    ------
    DataError
        If a scan is wrong.
    ConfigError
        If a store is to be completed as a scan file.
    CheckpointError
        If scans do not fit one another.
    """
    scans = [_open(path, run) for path in run.scans]
    rows = [_split(scan, run.split) for scan in scans]
    model = PtychographyModel.for_scans(
        scans, run.model, geometry=run.geometry, training=[parts["train"] for parts in rows]
    )
    scales = _input_scales(model, scans, rows)
    loaders = {
        part: make_loader(
            _dataset(scans, rows, part, run=run, scales=scales),
            run.loader if part == "train" else run.loader.replace(shuffle=False, drop_last=False, regroup=False),
        )
        for part in ("train", "validation")
        if part in rows[0]
    }
    return model, loaders["train"], loaders.get("validation")


def _split(scan: RawData, split: SplitConfig) -> SplitRows:
    """Return the scan points of each part, by name."""
    fractions = split.fractions
    if set(fractions) == {"train"}:
        return {"train": np.arange(len(scan))}
    return split_scan(scan.positions, fractions=fractions, method=split.method, seed=split.seed)


def _input_scales(model: PtychographyModel, scans: Sequence[RawData], rows: Sequence[SplitRows]) -> list[float]:
    """Return the scale of each scan: the model's; of several with probes in units of their own, that of each scan."""
    if len(scans) == 1 or model.config.probe_scaling == "given":
        return [model.scaling.rms_input_scale] * len(scans)
    return [scan.rms_input_scale(parts["train"]) for scan, parts in zip(scans, rows, strict=True)]


def _dataset(
    scans: Sequence[RawData], rows: Sequence[SplitRows], part: str, *, run: RunConfig, scales: Sequence[float]
) -> GroupedDataset | MixtureDataset:
    """Return the groups of one part of the split, of one scan or mixed."""
    datasets = {
        f"{number:06d} {path}": GroupedDataset(
            scan if len(parts[part]) == len(scan) else scan.subset(parts[part]),
            run.grouping,
            ground_truth=run.training.mode != "unsupervised",
            scale=scale,
        )
        for number, (path, scan, parts, scale) in enumerate(zip(run.scans, scans, rows, scales, strict=True))
    }
    return one_or_mixed(datasets, run.mixture, part=part)


def train_run(
    run: RunConfig, *, resume: str | Path | None = None, on_step: OnStep | None = None
) -> tuple[PtychographyModel, TrainingRecord]:
    """Train as a run says, and put its settings beside the model.

    What an earlier run left in the directory goes when the first step of a new one has been taken.

    Parameters
    ----------
    run
        The settings.
    resume
        The ``output_dir`` of the same run, to go on where it stopped.
    on_step
        Told of each step.
    """
    model, train, validation = prepare_run(run)
    settled = run.moved_to(Path.cwd()).replace(model=model.config)
    record = fit(model, train, validation, run.training, resume=resume, on_step=_Settling(run=settled, on_step=on_step))
    return model, record


@dataclass(kw_only=True)
class _Settling:
    """Puts the settings into the directory once the first step is taken: all refusals come before it."""

    run: RunConfig
    on_step: OnStep | None
    settled: bool = False

    def __call__(self, done: int, total: int, loss: float) -> None:
        if self.run.training.output_dir is not None and not self.settled:
            # the directory is told relative to the file in it, so that the run may be moved and repeated there
            training = self.run.training.replace(output_dir=Path())
            with replacing(self.run.training.output_dir / RUN_FILE) as partial:
                partial.write_text(self.run.replace(training=training).to_toml(), encoding="utf-8")
            self.settled = True
        if self.on_step is not None:
            self.on_step(done, total, loss)


def _open(path: Path, run: RunConfig) -> RawData:
    if not is_store(path):
        return RawData.from_file(path, measurement=run.measurement, reading=run.reading)
    if run.reading != ReadingConfig():
        raise ConfigError(
            f"{path}: expected no settings that complete a scan file, as a store is whole; found some in reading. "
            "Leave them out, or ingest the scan again with them."
        )
    scan = PatternStore.open(path).scan
    if run.measurement not in ("auto", scan.measurement):
        raise ConfigError(
            f"{path}: expected measurement = {scan.measurement!r} of this store, or 'auto'; found {run.measurement!r}. "
            "Leave it out, or ingest the scan again with it."
        )
    return scan


def _toml(settings: Mapping[str, object], table: str = "") -> Iterator[str]:
    """Write settings line by line; JSON's texts, numbers and lists are TOML's too, and None is left out."""
    nested = {name: value for name, value in settings.items() if isinstance(value, Mapping)}
    if table:
        yield from ("", f"[{table}]")
    for name, value in settings.items():
        if name not in nested and value is not None:
            yield f"{name} = {json.dumps(value)}"
    for name, value in nested.items():
        yield from _toml(value, f"{table}.{name}" if table else name)
