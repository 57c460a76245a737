"""A training run as one value: everything that must be said to repeat it, in one TOML file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, Self

import numpy as np
from pydantic import Field, field_validator

from ptychofold.atomic import replacing
from ptychofold.config import Config, GroupingConfig, LoaderConfig, ModelConfig, SplitConfig, TrainingConfig
from ptychofold.data import GroupedDataset, GroupLoader, make_loader
from ptychofold.grouping import split_scan
from ptychofold.models import PtychographyModel
from ptychofold.physics import Geometry
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.run_folder import HISTORY_FILE, RUN_FILE, read_history
from ptychofold.reconstruction.training import OnStep, TrainingRecord, fit

__all__ = ["HISTORY_FILE", "RUN_FILE", "RunConfig", "prepare_run", "read_history", "train_run"]


class RunConfig(Config):
    """All settings of a training run.

    Examples
    --------
    >>> run = RunConfig(scan="scan.npz", training={"epochs": 3})
    >>> print(run.to_toml().splitlines()[0])
    scan = "scan.npz"
    """

    scan: Path
    """The scan file or store; a relative path starts at the TOML file."""

    measurement: Literal["auto", "amplitude", "intensity"] = "auto"
    """What the patterns' numbers are."""

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
        return grouping if grouping.seed is not None else grouping.replace(seed=0)

    @classmethod
    def from_file(cls, path: str | Path, *, overrides: Sequence[str] = ()) -> Self:
        """Read a TOML file; see `Config.from_toml` for overrides and errors."""
        run = cls.from_toml(path, overrides=overrides)
        folder = Path(path).parent
        output = run.training.output_dir
        training = run.training if output is None else run.training.replace(output_dir=folder / output)
        return run.replace(scan=folder / run.scan, training=training)

    @classmethod
    def from_overrides(cls, settings: Mapping[str, object], overrides: Sequence[str]) -> Self:
        """Build from a few settings and ``"group.name=value"`` overrides, without a file.

        Raises
        ------
        ConfigError
            If a setting is unknown or wrong.
        """
        with TemporaryDirectory() as folder:
            file = Path(folder) / RUN_FILE
            file.write_text("\n".join(_toml(settings)), encoding="utf-8")
            return cls.from_toml(file, overrides=overrides)

    def to_toml(self) -> str:
        """Return the TOML text that `from_toml` reads."""
        return "\n".join(_toml(self.model_dump(mode="json"))) + "\n"


def prepare_run(run: RunConfig) -> tuple[PtychographyModel, GroupLoader, GroupLoader | None]:
    """Open the scan, split and group it, and make an untrained model.

    Returns
    -------
    model, train, validation
        What `fit` takes; validation is None if the split has no such part.

    Raises
    ------
    DataError
        If the scan is wrong.
    """
    scan = _open(run)
    fractions = run.split.fractions
    rows = (
        {"train": np.arange(len(scan))}
        if set(fractions) == {"train"}
        else split_scan(scan.positions, fractions=fractions, method=run.split.method, seed=run.split.seed)
    )
    model = PtychographyModel.for_scan(scan, run.model, geometry=run.geometry, training=rows["train"])
    loaders = {
        part: make_loader(
            GroupedDataset(
                scan if len(rows[part]) == len(scan) else scan.subset(rows[part]),
                run.grouping,
                ground_truth=run.training.mode != "unsupervised",
                scale=model.scaling.rms_input_scale,
            ),
            run.loader if part == "train" else run.loader.replace(shuffle=False, drop_last=False, regroup=False),
        )
        for part in ("train", "validation")
        if part in rows
    }
    return model, loaders["train"], loaders.get("validation")


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
    settled = run.replace(scan=run.scan.absolute(), model=model.config)
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


def _open(run: RunConfig) -> RawData:
    if run.scan.is_dir():
        from ptychofold.data.store import PatternStore

        return PatternStore.open(run.scan).scan
    return RawData.from_file(run.scan, measurement=run.measurement)


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
