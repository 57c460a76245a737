"""Train a model: fit, on Lightning's Trainer."""

import logging
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from pickle import UnpicklingError  # what torch's own reader raises
from typing import Literal

import torch
from lightning import Callback, LightningModule, Trainer  # noqa: TID253 (this module and `module` are Lightning's)
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint  # noqa: TID253
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger  # noqa: TID253
from torch import Tensor

from ptychofold.config import TrainingConfig
from ptychofold.config.training import SPLIT_PHOTONS
from ptychofold.data import GroupedDataset, GroupLoader
from ptychofold.data.loader import BatchSource
from ptychofold.data.mixture import MixtureDataset
from ptychofold.errors import CheckpointError, ConfigError, DivergenceError
from ptychofold.models import DataContract, PtychographyModel
from ptychofold.optional import require
from ptychofold.reconstruction.checkpoint import read_description, save_checkpoint
from ptychofold.reconstruction.devices import device_named
from ptychofold.reconstruction.module import IDENTITY, TrainingModule
from ptychofold.reconstruction.objective import are_counts, good_diffraction
from ptychofold.reconstruction.run_folder import MODEL_FILE, RESUME_FILE, begin_anew, keep_history, last_losses

__all__ = ["MODEL_FILE", "RESUME_FILE", "OnStep", "TrainingRecord", "fit"]

logger = logging.getLogger(__name__)

N_LOOKED_AT = 4
"""Groups that tell whether patterns are counts."""

OnStep = Callable[[int, int, float], None]
"""Called after each step with (steps taken, steps in all, loss)."""


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """What happened in a run."""

    epochs: tuple[Mapping[str, float], ...]
    """Mean losses of each epoch by name, such as ``train_loss``; of this call, or the last of a run that had ended."""
    n_steps: int
    """Steps of the optimiser since the run began."""
    seconds: float
    """Time that this call took."""
    n_patterns: int
    """Patterns that this call trained on, each as often as it was seen."""
    model_file: Path | None = None
    """The checkpoint of the trained model."""

    @property
    def patterns_per_second(self) -> float:
        """Patterns trained on in a second."""
        return self.n_patterns / self.seconds


def fit(
    model: PtychographyModel,
    train: GroupLoader,
    validation: GroupLoader | None,
    config: TrainingConfig,
    *,
    resume: str | Path | None = None,
    on_step: OnStep | None = None,
) -> TrainingRecord:
    """Train a model in place.

    On a CPU the same settings, seeds and data give the same weights bit for bit, resumed or not. The process-wide
    random streams are neither used nor changed.

    Parameters
    ----------
    model
        Starts from its weights; ends with those of the last epoch.
    train
        Shuffled groups.
    validation
        Groups that are only judged; None for no validation.
    config
        Settings.
    resume
        A ``last.ckpt`` of the same run, or the ``output_dir`` that holds one; ``config.epochs`` counts from its start.
    on_step
        Told of each step.

    Returns
    -------
    record
        Losses and times.

    Raises
    ------
    DivergenceError
        If loss or gradient are not finite; the model then has the weights of the last epoch's end, and is not saved.
    CheckpointError
        If groups have another size than those that the model was trained on, or ``resume`` does not fit.
    """
    model.contract = _with_groups(model, train.batch_order.source)
    if config.split_photons is None:
        config = config.replace(split_photons=_photons_to_show(train.batch_order.source, config))
        logger.info("the network sees a share of %g of the photons, the loss the rest", config.split_photons)
    module = TrainingModule(model, config, train=train, validation=validation)
    ckpt_path = _resumable(resume, module)
    diary = _Diary(module, anew=ckpt_path is None, on_step=on_step)
    start = time.perf_counter()
    with _quiet(), _interruptible():
        trainer = _trainer(config, diary, monitor="train_loss" if validation is None else "validation_loss")
        try:
            trainer.fit(module, ckpt_path=ckpt_path, weights_only=True)
        except DivergenceError:
            model.load_state_dict(diary.finite)
            raise
    seconds = time.perf_counter() - start
    logger.info("trained %d steps in %.1f s", trainer.global_step, seconds)
    path = None if config.output_dir is None else config.output_dir / MODEL_FILE
    kept = {} if path is None else last_losses(path.parent)
    if path is not None and trainer.is_global_zero and not _is_saved(path, epoch=trainer.current_epoch):
        save_checkpoint(path, model, training=config, losses={**kept, **_last_losses(trainer)})
    return TrainingRecord(
        epochs=tuple(diary.epochs) or (kept or _last_losses(trainer),),
        n_steps=trainer.global_step,
        seconds=seconds,
        n_patterns=diary.n_patterns,
        model_file=path,
    )


class _Diary(Callback):
    """Keeps losses, counts patterns, holds the last finite weights, tells of steps, keeps the directory of one run."""

    def __init__(self, module: TrainingModule, *, anew: bool, on_step: OnStep | None) -> None:
        self.epochs: list[dict[str, float]] = []
        self.n_patterns = 0
        self.finite = _copied(module.model)
        self._folder = module.settings.output_dir
        self._anew, self._on_step = anew, on_step
        self._loss = float("nan")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Count, and tell."""
        if self._anew and self._folder is not None and trainer.is_global_zero:
            begin_anew(self._folder)
        self._anew = False
        self.n_patterns += batch.members.numel()  # type: ignore[attr-defined]  # a GroupBatch
        if self._on_step is None:
            return
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        self._loss = float(loss) if isinstance(loss, Tensor) else self._loss
        self._on_step(trainer.global_step, int(trainer.estimated_stepping_batches), self._loss)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the epoch's mean losses and weights."""
        self.epochs.append(_last_losses(trainer))
        if self._folder is not None and trainer.is_global_zero:
            keep_history(self._folder, self.epochs)
        if isinstance(pl_module, TrainingModule):
            weights = _copied(pl_module.model)
            if all(_is_finite(value) for value in weights.values()):
                self.finite = weights


def _with_groups(model: PtychographyModel, source: BatchSource) -> DataContract:
    """Return the model's contract with the size of the groups that it is trained on."""
    if not isinstance(source, GroupedDataset | MixtureDataset):
        raise ConfigError(f"expected a loader of grouped scans; found one of {type(source).__name__}.")
    C = int(source.table.members.shape[1])
    if model.config.lift_together:
        model.contract.check_groups(C)
    if model.shifts is not None and isinstance(source, GroupedDataset) and len(source.scan) != len(model.shifts):
        raise ConfigError(
            f"expected groups of the {len(model.shifts)} scan points whose positions are refined; found groups of "
            f"{len(source.scan)}. Make the model by for_scan(scan, training=rows), and groups of scan.subset(rows)."
        )
    return model.contract.with_groups_of(C if model.config.lift_together else 1)


def _photons_to_show(source: BatchSource, config: TrainingConfig) -> float:
    """Return the share of photons that the network sees, by what the first patterns are."""
    if config.mode == "supervised":
        return 0.0
    first = source.__getitems__(list(range(min(N_LOOKED_AT, len(source)))))
    amplitude = good_diffraction(first)
    # numbers that all round to nothing are no counts, but amplitudes in a small unit
    return SPLIT_PHOTONS if are_counts(amplitude) and bool(amplitude.square().round().any()) else 0.0


def _trainer(config: TrainingConfig, diary: _Diary, *, monitor: str) -> Trainer:
    callbacks: list[Callback] = [diary]
    if config.early_stopping is not None:
        callbacks.append(
            EarlyStopping(monitor, patience=config.early_stopping, check_on_train_epoch_end=True, check_finite=False)
        )
    if config.output_dir is not None:
        callbacks.append(
            ModelCheckpoint(
                dirpath=config.output_dir,
                filename=Path(RESUME_FILE).stem,
                every_n_epochs=config.checkpoint_every,
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            )
        )
    return Trainer(
        max_epochs=config.epochs,
        max_time=None if config.max_minutes is None else timedelta(minutes=config.max_minutes),
        accelerator=_accelerator(config),
        devices=config.devices,
        strategy=config.strategy,
        precision=_precision(config),
        accumulate_grad_batches=config.accumulate,
        logger=_loggers(config) or False,
        callbacks=callbacks,
        enable_checkpointing=config.output_dir is not None,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        use_distributed_sampler=False,
        default_root_dir=config.output_dir,
    )


def _accelerator(config: TrainingConfig) -> Literal["cpu", "cuda"]:
    name = "cuda" if config.accelerator == "gpu" else config.accelerator
    found = device_named(name, n_devices=1 if name == "auto" else config.devices)
    return "cuda" if found.type == "cuda" else "cpu"


def _precision(config: TrainingConfig) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    if config.precision == "bf16":
        return "bf16-mixed"
    if config.precision == "16":
        return "16-mixed"
    on_gpu = _accelerator(config) == "cuda"
    return "bf16-mixed" if config.precision == "auto" and on_gpu and torch.cuda.is_bf16_supported() else "32-true"


def _loggers(config: TrainingConfig) -> list[Logger]:
    """Make the loggers that were asked for; a missing package says how to install it."""
    folder = config.output_dir
    if folder is None:
        return []
    packages = {"csv": "lightning", "tensorboard": "tensorboard", "mlflow": "mlflow"}
    makers: dict[str, Callable[[], Logger]] = {
        "csv": lambda: CSVLogger(folder, name="", version=""),
        "tensorboard": lambda: TensorBoardLogger(folder, name="", version="tensorboard"),
        "mlflow": lambda: MLFlowLogger(tracking_uri=(folder / "mlruns").absolute().as_uri()),
    }
    for name in config.loggers:
        require(packages[name], extra="train")
    return [makers[name]() for name in config.loggers]


def _resumable(resume: str | Path | None, module: TrainingModule) -> Path | None:
    """Return the file to resume from, if it is one and of this very run."""
    if resume is None:
        return None
    path = Path(resume) / RESUME_FILE if Path(resume).is_dir() else Path(resume)
    if not path.is_file():
        raise CheckpointError(
            f"{path}: expected a checkpoint to resume from; found none. Give the output_dir of the run that stopped."
        )
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)[IDENTITY]
    except (RuntimeError, UnpicklingError, EOFError, KeyError, OSError) as error:
        raise CheckpointError(
            f"{path}: expected what a run is resumed from; {type(error).__name__} on reading it. Begin the run anew."
        ) from error
    for name, ours in module.identity().items():
        theirs = found.get(name)
        if theirs != ours:
            raise CheckpointError(
                f"{path}: expected the {name} that the run began with; {_difference(theirs, ours)}. Resume with the "
                "settings and data of that run, or begin anew in another output_dir."
            )
    return path


def _difference(theirs: object, ours: object) -> str:
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        differing = [key for key in sorted({*theirs, *ours}) if theirs.get(key) != ours.get(key)]
        # what only one of them has follows from another setting that differs
        named = [key for key in differing if key in theirs and key in ours] or differing
        return ", ".join(f"{key} was {theirs.get(key)} and is {ours.get(key)}" for key in named)
    return f"it was {theirs} and is {ours}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's remarks on devices and number of workers from the error stream while a run lasts."""
    talkers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [talker.level for talker in talkers]
    for talker in talkers:
        talker.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        for talker, level in zip(talkers, levels, strict=True):
            talker.setLevel(level)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C be a KeyboardInterrupt: Lightning would exit the process and ignore the signal from then on."""
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if in_main else None
    try:
        yield
    except SystemExit as stop:
        if not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt from None
    finally:
        if handler is not None:
            signal.signal(signal.SIGINT, handler)


def _is_saved(path: Path, *, epoch: int) -> bool:
    """Whether the model's file is that of this epoch: of a run that had ended before it was resumed."""
    try:
        return path.is_file() and read_description(path)["losses"].get("epoch") == epoch
    except CheckpointError:
        return False


def _last_losses(trainer: Trainer) -> dict[str, float]:
    named = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
    return {"epoch": float(trainer.current_epoch), **named}


def _copied(model: PtychographyModel) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _is_finite(value: Tensor) -> bool:
    return bool(torch.isfinite(value).all())
