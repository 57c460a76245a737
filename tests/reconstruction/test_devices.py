import pytest
import torch

from ptychofold.config import GradientConfig, GroupingConfig, LoaderConfig, ModelConfig, TrainingConfig
from ptychofold.data import GroupedDataset, make_loader
from ptychofold.errors import ConfigError
from ptychofold.models import PtychographyModel
from ptychofold.reconstruction.devices import device_named
from ptychofold.reconstruction.iterative import reconstruct
from ptychofold.reconstruction.training import fit
from ptychofold.testing import make_scan


def with_gpus(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: n > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n)


@pytest.mark.parametrize(
    ("name", "n_gpus", "says"),
    [
        ("cuda", 0, "expected 1 CUDA GPU for cuda; torch finds 0. Use cpu, or install torch for your GPU"),
        ("cuda:3", 2, "expected 4 CUDA GPUs for cuda:3; torch finds 2. Use cuda:0 to cuda:1, or fewer"),
        ("mps", 0, "numbers of 64 bits, which positions need; found mps"),
        ("tpu", 0, "expected auto, cpu, cuda or a GPU's number as in cuda:1; found 'tpu'"),
        ("cuda:first", 1, "found 'cuda:first'"),
        ("cpu:0", 1, "found 'cpu:0'"),
    ],
)
def test_a_device_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, n_gpus: int, says: str
) -> None:
    with_gpus(monkeypatch, n_gpus)
    with pytest.raises(ConfigError, match=says):
        device_named(name)


def test_auto_takes_a_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(monkeypatch, 0)
    assert device_named("auto") == torch.device("cpu")
    with_gpus(monkeypatch, 2)
    assert device_named("auto") == torch.device("cuda", 0)
    assert device_named("cuda:1") == torch.device("cuda", 1)
    assert device_named("cpu") == torch.device("cpu")


def test_neither_training_nor_a_fit_begins_on_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(monkeypatch, 0)
    scan = make_scan(n_scan=9, N=16)
    with pytest.raises(ConfigError, match="torch finds 0"):
        reconstruct(scan, GradientConfig(epochs=1), device="cuda")
    loader = make_loader(GroupedDataset(scan, GroupingConfig(seed=0)), LoaderConfig())
    model = PtychographyModel.for_scan(scan, ModelConfig(lift_steps=1))
    with pytest.raises(ConfigError, match="expected 3 CUDA GPUs for cuda; torch finds 0"):
        fit(model, loader, None, TrainingConfig(epochs=1, accelerator="gpu", devices=3))
