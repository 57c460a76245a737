"""GroupedDataModule: parts that share no pattern, for anyone's LightningModule and for fit."""

import warnings
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from scipy.spatial import cKDTree
from torch import Tensor

from ptychofold.config import GroupingConfig, LoaderConfig, MixtureConfig, ModelConfig, SplitConfig, TrainingConfig
from ptychofold.data import GroupBatch, GroupedDataset, MixtureDataset
from ptychofold.data.datamodule import GroupedDataModule
from ptychofold.errors import ConfigError
from ptychofold.grouping import split_scan
from ptychofold.models import PtychographyModel
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.training import fit
from ptychofold.testing import make_scan

GRID = GroupingConfig(grid=(2, 2), n_neighbors=5, seed=3)
SPLIT = SplitConfig(validation=0.2, test=0.2, seed=1)
LOADER = LoaderConfig(batch_size=8, seed=4)


def numbered(seed: int, n_scan: int = 64) -> RawData:
    """Return a scan in which each pattern is full of a number of its own."""
    scan = make_scan(n_scan=n_scan, N=8, seed=seed)
    numbers = (1000 * seed + 1 + np.arange(n_scan)).astype(np.uint16)
    return scan.with_patterns(np.repeat(numbers, 64).reshape(-1, 8, 8))


def patterns_in(batches: Iterable[GroupBatch]) -> list[float]:
    return [float(number) for batch in batches for number in batch.diffraction[..., 0, 0].square().round().flatten()]


@pytest.fixture
def module() -> GroupedDataModule:
    return GroupedDataModule(
        {"a": numbered(1), "b": numbered(2)}, GRID, loader=LOADER, split=SPLIT, mixture=MixtureConfig(policy="uniform")
    )


def test_no_pattern_is_in_two_parts(module: GroupedDataModule) -> None:
    loaders = (module.train_dataloader(), module.val_dataloader(), module.test_dataloader())
    parts = [set(patterns_in(loader)) for loader in loaders]
    assert all(parts)
    for one, other in combinations(parts, 2):
        assert not one & other
    scans = [scan.amplitude(np.arange(64))[:, 0, 0].astype(np.float64) ** 2 for scan in module.scans.values()]
    assert set().union(*parts) <= set(np.concatenate(scans).round().tolist())


@pytest.mark.parametrize("method", ["blocks", "stripes"])
def test_parts_are_compact_in_the_scan(method: str) -> None:
    scan = numbered(1, n_scan=100)
    module = GroupedDataModule(scan, GRID, loader=LOADER, split=SPLIT.replace(method=method))
    held_out = np.array(sorted(set(patterns_in(module.test_dataloader()))), np.int64) - 1001
    nearest = np.asarray(cKDTree(scan.positions).query(scan.positions[held_out], k=5)[1])[:, 1:]
    assert np.isin(nearest, held_out).mean() > 2 * SPLIT.test


def test_validation_and_test_deliver_every_group_once_in_order(module: GroupedDataModule) -> None:
    for loader in (module.val_dataloader(), module.test_dataloader()):
        source = loader.batch_order.source
        assert isinstance(source, MixtureDataset)
        batches = list(loader)
        np.testing.assert_array_equal(torch.cat([batch.members for batch in batches]), source.table.members)
        np.testing.assert_array_equal(torch.cat([batch.experiment for batch in batches]), source.table.experiment)


def test_training_follows_the_mixture_and_is_shuffled_anew(module: GroupedDataModule) -> None:
    loader = module.train_dataloader()
    first, second = list(loader), list(loader)
    assert patterns_in(first) != patterns_in(second)
    counts = torch.bincount(torch.cat([batch.experiment for batch in first]))
    assert abs(int(counts[0]) - int(counts[1])) <= 1
    assert loader.batch_order.config.even_ranks


def test_scales_come_from_the_training_part_alone(module: GroupedDataModule) -> None:
    expected = []
    for scan in module.scans.values():
        rows = split_scan(scan.positions, fractions=SPLIT.fractions, method=SPLIT.method, seed=SPLIT.seed)
        expected.append(scan.rms_input_scale(rows["train"]))
        assert expected[-1] != scan.rms_input_scale()
    for loader in (module.train_dataloader(), module.val_dataloader(), module.test_dataloader()):
        for batch in loader:
            torch.testing.assert_close(batch.scale, torch.tensor(expected)[batch.experiment])


def test_an_empty_part_is_refused(module: GroupedDataModule) -> None:
    whole = GroupedDataModule(numbered(1), GRID, loader=LOADER, split=SplitConfig(validation=0.2, test=0.0))
    assert isinstance(whole.val_dataloader().batch_order.source, GroupedDataset)
    with pytest.raises(
        ConfigError, match=r"expected a part 'test' of the split; found train, validation\. Give SplitConfig a fraction"
    ):
        whole.test_dataloader()


def test_a_checkpoint_of_another_split_is_refused(module: GroupedDataModule) -> None:
    state = module.state_dict()
    module.load_state_dict(state)
    other = GroupedDataModule(module.scans, GRID, split=SPLIT.replace(seed=9))
    with pytest.raises(ConfigError, match="expected the split of the checkpoint"):
        other.load_state_dict(state)


class Unjudged(LightningModule):
    """Somebody's own module, which asks for no validation."""

    def __init__(self) -> None:
        super().__init__()
        self.network = torch.nn.Conv2d(4, 4, 3, padding=1)
        self.trained: list[list[int]] = []

    def training_step(self, batch: GroupBatch, number: int) -> Tensor:
        assert isinstance(batch, GroupBatch)
        self.trained.append(batch.members.flatten().tolist())
        scaled = batch.diffraction * batch.scale[:, None, None, None]
        return torch.nn.functional.mse_loss(self.network(scaled), scaled)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


class Plain(Unjudged):
    """One that is judged too."""

    def __init__(self) -> None:
        super().__init__()
        self.judged: list[int] = []

    def validation_step(self, batch: GroupBatch, number: int) -> None:
        self.judged.append(len(batch.members))

    def test_step(self, batch: GroupBatch, number: int) -> None:
        self.judged.append(len(batch.members))


def test_it_serves_a_plain_lightning_module(module: GroupedDataModule, tmp_path: Path) -> None:
    plain = Plain()
    before = plain.network.weight.detach().clone()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on workers and loggers
        trainer = Trainer(
            max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.fit(plain, datamodule=module)
        n_validated = sum(plain.judged)
        trainer.test(plain, datamodule=module, verbose=False)
    assert not torch.equal(plain.network.weight, before)
    assert trainer.global_step == 2 * len(module.train_dataloader())
    assert n_validated == 2 * len(module.parts["validation"])
    assert sum(plain.judged) - n_validated == len(module.parts["test"])


def trainer_of(folder: Path, *, kept: ModelCheckpoint | None = None, share: float = 1.0) -> Trainer:
    return Trainer(
        max_epochs=3, limit_train_batches=share, accelerator="cpu", logger=False, enable_checkpointing=kept is not None,
        callbacks=kept, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        default_root_dir=folder, use_distributed_sampler=False,
    )  # fmt: skip


def regrouping() -> GroupedDataModule:
    return GroupedDataModule(numbered(1), GRID, loader=LOADER.replace(regroup=True), split=SPLIT)


@pytest.mark.filterwarnings("ignore")  # Lightning's advice on workers and loggers
def test_each_epoch_of_a_trainer_has_an_order_and_groups_of_its_own(tmp_path: Path) -> None:
    plain, expected = Plain(), regrouping().train_dataloader()
    trainer_of(tmp_path).fit(plain, datamodule=regrouping())
    assert plain.trained == [batch.members.flatten().tolist() for _ in range(3) for batch in expected]
    groups = {tuple(plain.trained[start]) for start in range(0, len(plain.trained), len(expected))}
    assert len(groups) == 3


@pytest.mark.filterwarnings("ignore")
def test_a_trainer_that_leaves_epochs_early_still_turns_to_the_next_one(tmp_path: Path) -> None:
    plain = Plain()
    trainer_of(tmp_path, share=0.2).fit(plain, datamodule=regrouping())
    assert len({tuple(members) for members in plain.trained}) == len(plain.trained) == 3


def test_processes_that_were_given_no_seed_draw_the_same_groups() -> None:
    one, other = (GroupedDataModule(numbered(1), GRID.replace(seed=None), loader=LOADER, split=SPLIT) for _ in "12")
    assert patterns_in(one.train_dataloader()) == patterns_in(other.train_dataloader())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("step", [2, 5, 7])
def test_a_trainer_resumes_in_the_middle_of_an_epoch(tmp_path: Path, step: int) -> None:
    through, resumed = Plain(), Plain()
    resumed.load_state_dict(through.state_dict())
    kept = ModelCheckpoint(dirpath=tmp_path, filename="{step}", every_n_train_steps=step, save_top_k=-1)
    trainer_of(tmp_path, kept=kept).fit(through, datamodule=regrouping())
    trainer_of(tmp_path).fit(
        resumed, datamodule=regrouping(), ckpt_path=tmp_path / f"step={step}.ckpt", weights_only=False
    )
    assert resumed.trained == through.trained[step:]
    assert torch.equal(resumed.network.weight, through.network.weight)


@pytest.mark.filterwarnings("ignore")
def test_a_trainer_resumes_after_the_end_of_an_epoch_without_validation(tmp_path: Path) -> None:
    through, resumed = Unjudged(), Unjudged()
    resumed.load_state_dict(through.state_dict())
    kept = ModelCheckpoint(dirpath=tmp_path, filename="{epoch}", save_top_k=-1)
    trainer_of(tmp_path, kept=kept).fit(through, datamodule=regrouping())
    trainer_of(tmp_path).fit(resumed, datamodule=regrouping(), ckpt_path=tmp_path / "epoch=0.ckpt", weights_only=False)
    assert resumed.trained == through.trained[len(through.trained) // 3 :]
    assert torch.equal(resumed.network.weight, through.network.weight)


def test_it_serves_fit() -> None:
    scan = make_scan(n_scan=49, N=16)
    module = GroupedDataModule(scan, GRID, loader=LOADER, split=SPLIT)
    model = PtychographyModel.for_scan(scan, ModelConfig(lift_steps=2))
    record = fit(model, module.train_dataloader(), module.val_dataloader(), TrainingConfig(epochs=1, accelerator="cpu"))
    assert record.n_steps == len(module.train_dataloader())
    assert np.isfinite(record.epochs[0]["validation_loss"])
