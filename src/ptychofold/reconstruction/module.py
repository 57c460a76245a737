"""TrainingModule: a model as Lightning trains it. The step is in `objective`; this is the glue."""

from typing import Any

import torch
from lightning import LightningModule  # noqa: TID253 (this module and `training` are Lightning's)
from torch import Tensor

from ptychofold.config import LoaderConfig, TrainingConfig
from ptychofold.data import GroupBatch, GroupLoader, make_loader
from ptychofold.data.loader import BatchSource
from ptychofold.errors import DivergenceError
from ptychofold.models import PtychographyModel
from ptychofold.reconstruction.objective import good_diffraction, objective, split_photons

__all__ = ["IDENTITY", "TrainingModule"]

IDENTITY = "ptychofold"
"""Key of a run's settings in what it is resumed from."""
FREE_SETTINGS = {"max_minutes", "early_stopping", "loggers", "output_dir", "checkpoint_every", "accelerator"}
"""Settings that may change between two parts of a run."""


class TrainingModule(LightningModule):
    """Steps, optimiser and loaders of a run; refuses to step on anything that is not finite.

    Parameters
    ----------
    model
        Trained in place.
    config
        Settings of the run.
    train, validation
        Loaders; each process of a run makes its own share of them anew.
    """

    def __init__(
        self,
        model: PtychographyModel,
        config: TrainingConfig,
        *,
        train: GroupLoader,
        validation: GroupLoader | None,
    ) -> None:
        super().__init__()
        self.model, self.settings = model, config
        self._train, self._validation = _batches(train), None if validation is None else _batches(validation)

    def train_dataloader(self) -> GroupLoader:
        """Return the batches of this process, the same number in each."""
        return self._share(*self._train, even_ranks=True)

    def val_dataloader(self) -> GroupLoader | list[GroupLoader]:
        """Return the validation batches of this process."""
        return [] if self._validation is None else self._share(*self._validation, even_ranks=False)

    def configure_optimizers(self) -> Any:  # noqa: ANN401 (Lightning's own structure)
        """Return AdamW, with step sizes of their own for probe and positions, and the schedule."""
        config = self.settings
        groups = [{"params": self.model.network_parameters(), "lr": config.learning_rate}]
        probe, shifts = self.model.forward_model.probe, self.model.shifts
        if probe.requires_grad:
            scale = float(probe.detach().abs().max())
            groups.append({"params": [probe], "lr": config.probe_learning_rate * scale, "weight_decay": 0.0})
        if shifts is not None:
            groups.append({"params": [shifts], "lr": config.position_learning_rate, "weight_decay": 0.0})
        optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        schedule = self._schedule(optimizer)
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:  # noqa: ANN401
        """Move a batch; Lightning's own way would rebuild it field by field."""
        return batch.to(device, non_blocking=True)

    def training_step(self, batch: GroupBatch, batch_idx: int) -> Tensor:
        """Return the loss of a batch.

        Raises
        ------
        DivergenceError
            If it is not finite.
        """
        share = self.settings.split_photons or 0.0
        judged = good_diffraction(batch)
        if share and bool(torch.isfinite(judged).all()):
            seen, judged = split_photons(judged, share=share, rng=self._photon_stream(batch_idx))
            batch = batch._replace(diffraction=seen)
        parts = objective(self.model, batch, judged, self.settings, share=1 - share)
        return self._logged(parts, "train", len(judged))

    def validation_step(self, batch: GroupBatch, batch_idx: int) -> Tensor:
        """Return the loss of a batch that is not learned from."""
        parts = objective(self.model, batch, batch.diffraction, self.settings, share=1.0)
        return self._logged(parts, "validation", len(batch.diffraction))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put what a resumed run must repeat beside the state."""
        checkpoint[IDENTITY] = self.identity()

    def identity(self) -> dict[str, Any]:
        """Return the settings that decide every number of the run, as JSON-like values."""
        free = FREE_SETTINGS | ({"epochs"} if self.settings.schedule == "constant" else set())
        return {
            "training": self.settings.model_dump(mode="json", exclude=free),
            "model": self.model.config.model_dump(mode="json", exclude={"seed"}),
            "contract": self.model.contract.to_dict(),
            "scaling": self.model.scaling.to_dict(),
            "loader": self._train[1].model_dump(
                mode="json", include={"batch_size", "seed", "shuffle", "drop_last", "regroup"}
            ),
            "n_groups": len(self._train[0]),
        }

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient's norm; a gradient that is not finite ends the run before it spoils the weights.

        Raises
        ------
        DivergenceError
            If the norm is not finite.
        """
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        bound = self.settings.gradient_clip
        norm = torch.nn.utils.clip_grad_norm_(parameters, float("inf") if bound is None else bound)
        if not bool(torch.isfinite(norm)) and self.trainer.scaler is None:
            raise self._diverged("the gradient")

    def _logged(self, parts: dict[str, Tensor], stage: str, n_groups: int) -> Tensor:
        loss = parts["loss"]
        if not bool(torch.isfinite(loss.detach())):
            raise self._diverged(f"the {stage} loss")
        named = {f"{stage}_{name}": value.detach() for name, value in parts.items()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=n_groups, sync_dist=True)
        return loss

    def _diverged(self, what: str) -> DivergenceError:
        return DivergenceError(
            f"expected finite numbers in training; found that {what} is not at step {self.global_step} (epoch "
            f"{self.current_epoch}). The model has been put back to the last epoch's end; lower learning_rate, or "
            "check probe and patterns."
        )

    def _photon_stream(self, batch_idx: int) -> torch.Generator:
        """Return the stream of a batch, the same whether the run was resumed or not."""
        place = (self.settings.seed, self.current_epoch, batch_idx, self.global_rank)
        seed = 0
        for number in place:
            seed = (seed * 1_000_003 + number + 1) % (1 << 62)
        return torch.Generator().manual_seed(seed)

    def _schedule(self, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler | None:
        n_steps = max(1, int(self.trainer.estimated_stepping_batches))
        if self.settings.schedule == "constant":
            return None
        if self.settings.schedule == "cosine":
            return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
        largest = [group["lr"] for group in optimizer.param_groups]
        # one step to rise and one to fall at least, as torch divides by their lengths
        total = max(n_steps + 1, 3)
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, largest, total_steps=total, pct_start=max(0.1, 2 / total))

    def _share(self, source: BatchSource, config: LoaderConfig, *, even_ranks: bool) -> GroupLoader:
        return make_loader(
            source,
            config.replace(even_ranks=even_ranks),
            rank=self.global_rank,
            n_ranks=self.trainer.world_size,
        )


def _batches(loader: GroupLoader) -> tuple[BatchSource, LoaderConfig]:
    return loader.batch_order.source, loader.batch_order.config
