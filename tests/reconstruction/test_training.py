import csv
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from ptychofold.config import GroupingConfig, LoaderConfig, ModelConfig, TrainingConfig
from ptychofold.data import GroupBatch, GroupedDataset, GroupLoader, make_loader
from ptychofold.data.batch import GroupNumbers
from ptychofold.errors import (
    CheckpointError,
    ConfigError,
    DependencyError,
    DivergenceError,
    DomainError,
    MissingFieldError,
)
from ptychofold.models import PtychographyModel
from ptychofold.physics import make_object, make_positions, make_probe, object_side, poisson_counts, simulate
from ptychofold.raw_data import RawData
from ptychofold.reconstruction import predict_object
from ptychofold.reconstruction.inference import predict
from ptychofold.reconstruction.objective import patch_error, split_photons, true_patches
from ptychofold.reconstruction.training import MODEL_FILE, RESUME_FILE, fit
from ptychofold.testing import make_scan

QUICK = TrainingConfig(epochs=3, accelerator="cpu")


@pytest.fixture(scope="module")
def scan() -> RawData:
    return make_scan(n_scan=16, N=16, step=2.0)


def model_for(scan: RawData, **settings: object) -> PtychographyModel:
    return PtychographyModel.for_scan(scan, ModelConfig.from_mapping({"lift_steps": 2, **settings}))


def loader_for(
    scan: RawData, *, grid: tuple[int, int] = (1, 1), ground_truth: bool = False, shuffle: bool = True, size: int = 8
) -> GroupLoader:
    dataset = GroupedDataset(scan, GroupingConfig(grid=grid, n_neighbors=6, seed=0), ground_truth=ground_truth)
    return make_loader(dataset, LoaderConfig(batch_size=size, seed=1, shuffle=shuffle))


def weights(model: PtychographyModel) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.mark.parametrize("grid", [(1, 1), (2, 2)])
@pytest.mark.parametrize("loss", ["poisson", "mae"])
def test_training_lowers_the_loss(scan: RawData, loss: str, grid: tuple[int, int]) -> None:
    config = QUICK.replace(epochs=8, loss=loss)
    record = fit(model_for(scan), loader_for(scan, grid=grid), loader_for(scan, grid=grid, shuffle=False), config)
    assert record.epochs[-1]["train_loss"] < 0.9 * record.epochs[0]["train_loss"]
    assert record.epochs[-1]["validation_loss"] < record.epochs[0]["validation_loss"]
    assert record.n_steps == 16
    assert record.n_patterns == 8 * 16 * grid[0] * grid[1]
    assert record.patterns_per_second > 0


@pytest.mark.usefixtures("unchecked_signatures")
@pytest.mark.parametrize("residual", [True, False])
def test_large_patterns_do_not_collapse(residual: bool) -> None:
    N, step = 128, 12.0
    side = object_side(16, size=N, step=step)
    positions = make_positions("jittered", (side, side), size=N, step=step, seed=0)
    canvas = make_object("dead_leaves", (side, side), seed=0)
    scan = simulate(canvas, make_probe("disk", N), positions, seed=0, n_photons=1e6)
    dataset = GroupedDataset(scan, GroupingConfig(seed=0), ground_truth=True)
    model = PtychographyModel.for_scan(scan, ModelConfig(residual=residual, lift_steps=8 if residual else 4))
    fit(model, make_loader(dataset, LoaderConfig(batch_size=4)), None, QUICK.replace(epochs=4 if residual else 6))
    batch = dataset.load()
    assert batch.patches is not None
    with torch.no_grad():
        predicted = model(batch).patches
        weight = model.illumination(batch).weight
    assert correlation(predicted, batch.patches, weight=weight) > (0.9 if residual else 0.7)


def correlation(first: torch.Tensor, second: torch.Tensor, *, weight: torch.Tensor) -> float:
    """Return the mean over patches of the weighted correlation, whatever the global phase."""

    def centred(patches: torch.Tensor) -> torch.Tensor:
        return patches - (weight * patches).sum(dim=(-2, -1), keepdim=True) / weight.sum()

    a, b = centred(first), centred(second)
    inner = (weight * a.conj() * b).sum(dim=(-2, -1)).abs()
    energies = [(weight * x.abs().square()).sum(dim=(-2, -1)) for x in (a, b)]
    return float((inner / (energies[0] * energies[1]).sqrt()).mean())


@pytest.mark.parametrize(("mode", "parts"), [("supervised", {"patch_loss"}), ("mixed", {"patch_loss", "pattern_loss"})])
def test_true_patches_teach_too(scan: RawData, mode: str, parts: set[str]) -> None:
    config = QUICK.replace(epochs=8, mode=mode, total_variation=0.01)
    record = fit(model_for(scan), loader_for(scan, ground_truth=True), None, config)
    assert record.epochs[-1]["train_loss"] < record.epochs[0]["train_loss"]
    found = {name.removeprefix("train_") for name in record.epochs[0]} - {"epoch", "loss", "total_variation"}
    assert found == parts


@pytest.mark.usefixtures("unchecked_signatures")
@pytest.mark.parametrize("mode", ["unsupervised", "supervised"])
def test_a_second_network_corrects_the_first(scan: RawData, mode: str) -> None:
    model = model_for(scan, passes=2, residual=False)
    loader = loader_for(scan, ground_truth=True)
    fit(model, loader, None, QUICK.replace(epochs=40, mode=mode, split_photons=0.0))
    batch = loader.batch_order.source.__getitems__(list(range(16)))
    with torch.no_grad():
        weight = model.illumination(batch).weight
        first, second = (
            float(patch_error(output.patches, true_patches(batch), weight=weight)) for output in model.passes(batch)
        )
    assert second < 0.9 * first


def test_single_patterns_learn_from_groups_and_are_predicted_alone(scan: RawData) -> None:
    model = model_for(scan, lift_together=False)
    loader = loader_for(scan, grid=(2, 2))
    record = fit(model, loader, None, QUICK.replace(epochs=8))
    assert record.epochs[-1]["train_loss"] < 0.9 * record.epochs[0]["train_loss"]
    assert model.contract.C == 1
    assert predict_object(model, scan).r_factor < 0.9 * predict_object(model_for(scan), scan).r_factor
    with pytest.raises(CheckpointError, match="expected groups of 1"):
        next(predict(model, loader))
    fit(model, loader, None, QUICK.replace(epochs=1))


def test_supervision_without_true_patches_is_refused(scan: RawData) -> None:
    with pytest.raises(MissingFieldError, match=r"batches with true patches.*ground_truth=True"):
        fit(model_for(scan), loader_for(scan), None, QUICK.replace(mode="supervised"))


class Recording(GroupedDataset):
    """Keeps which groups it was asked for."""

    def __getitems__(self, indices: GroupNumbers) -> GroupBatch:
        self.asked = [*getattr(self, "asked", []), list(indices)]
        return super().__getitems__(indices)


def test_every_epoch_shows_the_groups_in_an_order_of_its_own(scan: RawData) -> None:
    dataset = Recording(scan, GroupingConfig(seed=0))
    fit(model_for(scan), make_loader(dataset, LoaderConfig(batch_size=16)), None, QUICK)
    epochs = dataset.asked[-QUICK.epochs :]
    assert [sorted(order) for order in epochs] == [list(range(16))] * 3
    assert len({tuple(order) for order in epochs}) == 3


@pytest.mark.parametrize("passes", [1, 2])
def test_a_run_that_was_stopped_and_resumed_ends_at_the_same_bits(scan: RawData, tmp_path: Path, passes: int) -> None:
    config = QUICK.replace(epochs=4, split_photons=0.5)
    through = model_for(scan, trainable_probe=True, passes=passes)
    whole = fit(through, loader_for(scan), None, config)
    stopped = config.replace(output_dir=tmp_path)

    def stop(done: int, _total: int, _loss: float) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model_for(scan, trainable_probe=True, passes=passes), loader_for(scan), None, stopped, on_step=stop)
    assert not (tmp_path / MODEL_FILE).exists()
    resumed = model_for(scan, trainable_probe=True, passes=passes, seed=99)
    rest = fit(resumed, loader_for(scan), None, stopped, resume=tmp_path)
    assert_same(weights(through), weights(resumed))
    assert rest.epochs == whole.epochs[2:]
    assert rest.n_steps == whole.n_steps == 8


def test_the_same_seeds_give_the_same_bits_and_the_process_keeps_its_random_streams(scan: RawData) -> None:
    before, numpys = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002 (that it is left alone)
    ends = []
    for _ in range(2):
        model = model_for(scan)
        fit(model, loader_for(scan), None, QUICK.replace(split_photons=0.5))
        ends.append(weights(model))
    assert_same(*ends)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpys, strict=True))  # noqa: NPY002


class _Spoiled(GroupedDataset):
    """NaN in one scan point's pattern, as if the store were damaged in mid-run."""

    spoiled = False

    def __getitems__(self, indices: object) -> GroupBatch:
        batch = super().__getitems__(indices)  # type: ignore[arg-type]
        if self.spoiled:
            batch.diffraction[0] = torch.nan
        return batch


def test_numbers_that_are_not_finite_end_the_run_with_the_last_finite_weights(scan: RawData, tmp_path: Path) -> None:
    model = model_for(scan)
    dataset = _Spoiled(scan, GroupingConfig(seed=0))
    loader = make_loader(dataset, LoaderConfig(batch_size=8, seed=1))
    kept: dict[str, torch.Tensor] = {}

    def spoil(done: int, _total: int, _loss: float) -> None:
        if done == 2:
            kept.update(weights(model))
            dataset.spoiled = True

    with pytest.raises(DivergenceError, match="train loss is not at step 2") as caught:
        fit(model, loader, None, QUICK.replace(output_dir=tmp_path), on_step=spoil)
    assert "\n" not in str(caught.value)
    assert_same(kept, weights(model))
    assert not (tmp_path / MODEL_FILE).exists()


def test_a_gradient_that_is_not_finite_is_never_stepped_on(scan: RawData) -> None:
    model = model_for(scan)
    before = weights(model)
    first = next(model.network.parameters())
    first.register_hook(lambda gradient: gradient * torch.inf)  # type: ignore[no-untyped-call]
    with pytest.raises(DivergenceError, match="the gradient is not at step 0"):
        fit(model, loader_for(scan), None, QUICK)
    assert_same(before, weights(model))


def test_accumulated_batches_make_one_step(scan: RawData) -> None:
    assert fit(model_for(scan), loader_for(scan, size=4), None, QUICK.replace(accumulate=4)).n_steps == 3


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
def test_every_schedule_runs_to_its_end(scan: RawData, schedule: str) -> None:
    assert fit(model_for(scan), loader_for(scan), None, QUICK.replace(schedule=schedule)).n_steps == 6


@pytest.mark.parametrize("n_steps", [1, 2, 3, 8, 9, 10, 19, 20])
def test_one_cycle_runs_for_any_number_of_steps(scan: RawData, n_steps: int) -> None:
    one_batch = make_loader(GroupedDataset(scan, GroupingConfig(seed=0)), LoaderConfig(batch_size=16))
    assert fit(model_for(scan), one_batch, None, QUICK.replace(epochs=n_steps)).n_steps == n_steps


def test_a_run_without_progress_stops_early(scan: RawData) -> None:
    config = QUICK.replace(epochs=20, learning_rate=1e-12, early_stopping=2)
    assert len(fit(model_for(scan), loader_for(scan), loader_for(scan, shuffle=False), config).epochs) < 8


def test_a_run_stops_when_its_time_is_over(scan: RawData) -> None:
    record = fit(model_for(scan), loader_for(scan), None, QUICK.replace(epochs=10_000, max_minutes=0.01))
    assert 0 < len(record.epochs) < 10_000


def test_losses_are_logged_and_lightning_is_quiet(
    scan: RawData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        fit(model_for(scan), loader_for(scan), None, QUICK.replace(output_dir=tmp_path, loggers=("csv",)))
    with (tmp_path / "metrics.csv").open() as file:
        assert len([row for row in csv.DictReader(file) if row["train_loss"]]) == 3
    assert {path.name for path in tmp_path.iterdir()} >= {MODEL_FILE, RESUME_FILE}
    assert not [record for record in caplog.records if record.name.startswith("lightning")]


def test_a_logger_that_is_not_installed_says_how_to_get_it(
    scan: RawData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(DependencyError, match="mlflow is needed here"):
        fit(model_for(scan), loader_for(scan), None, QUICK.replace(output_dir=tmp_path, loggers=("mlflow",)))


def test_half_precision_of_the_network_trains(scan: RawData) -> None:
    record = fit(model_for(scan), loader_for(scan), None, QUICK.replace(precision="bf16", epochs=8))
    assert record.epochs[-1]["train_loss"] < record.epochs[0]["train_loss"]


def test_groups_of_another_size_than_before_are_refused(scan: RawData) -> None:
    model = model_for(scan)
    fit(model, loader_for(scan, grid=(2, 2)), None, QUICK.replace(epochs=1))
    with pytest.raises(CheckpointError, match="groups of 4"):
        fit(model, loader_for(scan), None, QUICK)


def test_a_run_that_left_nothing_cannot_be_resumed(scan: RawData, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"last\.ckpt: expected a checkpoint to resume from; found none"):
        fit(model_for(scan), loader_for(scan), None, QUICK, resume=tmp_path)


def test_a_run_is_not_resumed_with_other_settings_or_data(scan: RawData, tmp_path: Path) -> None:
    config = QUICK.replace(epochs=1, output_dir=tmp_path)
    fit(model_for(scan), loader_for(scan), None, config)
    with pytest.raises(
        CheckpointError, match=r"the training that the run began with; learning_rate was 0.003 and is 0.1"
    ):
        fit(model_for(scan), loader_for(scan), None, config.replace(learning_rate=0.1), resume=tmp_path)
    with pytest.raises(CheckpointError, match="epochs was 1 and is 9"):
        fit(model_for(scan), loader_for(scan), None, config.replace(epochs=9), resume=tmp_path)
    with pytest.raises(CheckpointError, match="size was small and is base"):
        fit(model_for(scan, size="base"), loader_for(scan), None, config, resume=tmp_path)
    with pytest.raises(CheckpointError, match="batch_size was 8 and is 4"):
        fit(model_for(scan), loader_for(scan, size=4), None, config, resume=tmp_path)
    dataset = GroupedDataset(scan, GroupingConfig(seed=0, n_groups=9), scale=1.0)
    fewer = make_loader(dataset, LoaderConfig(batch_size=8, seed=1))
    with pytest.raises(CheckpointError, match="n_groups that the run began with; it was 16 and is 9"):
        fit(model_for(scan), fewer, None, config, resume=tmp_path)


def test_a_damaged_state_is_not_resumed(scan: RawData, tmp_path: Path) -> None:
    (tmp_path / RESUME_FILE).write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"on reading it\. Begin the run anew"):
        fit(model_for(scan), loader_for(scan), None, QUICK, resume=tmp_path)


def test_a_loader_of_something_else_is_refused(scan: RawData) -> None:
    loader = loader_for(scan)
    loader.batch_order.source = "nothing"  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="loader of grouped scans; found one of str"):
        fit(model_for(scan), loader, None, QUICK)


def test_two_processes_take_the_step_of_one_that_accumulates(scan: RawData) -> None:
    together, alone = model_for(scan), model_for(scan)
    config = QUICK.replace(epochs=1, split_photons=0.0)
    fit(together, loader_for(scan, size=4), None, config.replace(devices=2, strategy="ddp_spawn"))
    fit(alone, loader_for(scan, size=4), None, config.replace(accumulate=2))
    for name, value in weights(alone).items():
        torch.testing.assert_close(together.state_dict()[name], value, rtol=1e-4, atol=1e-6)


def test_bad_pixels_do_not_teach() -> None:
    scan = make_scan(n_scan=9, N=16, n_bad_pixels=5)
    ends = []
    for value in (0.0, 9.0):
        dataset = _Marked(scan, GroupingConfig(seed=0))
        dataset.value = value
        model = model_for(scan)
        fit(model, make_loader(dataset, LoaderConfig(batch_size=9)), None, QUICK)
        ends.append(weights(model))
    assert_same(*ends)


class _Marked(GroupedDataset):
    """Bad pixels that read some value."""

    value = 0.0

    def __getitems__(self, indices: object) -> GroupBatch:
        batch = super().__getitems__(indices)  # type: ignore[arg-type]
        assert batch.bad_pixels is not None
        return batch._replace(diffraction=batch.diffraction.masked_fill(batch.bad_pixels[0], self.value))


def test_the_patch_error_ignores_the_phase_of_a_group_and_sees_that_of_a_member() -> None:
    true = torch.polar(torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(2, 3, 4, 4))
    weight = torch.ones(4, 4)
    group = torch.polar(torch.ones(2, 1, 1, 1), torch.tensor([0.3, -2.0]).reshape(2, 1, 1, 1))
    member = torch.polar(torch.ones(1, 3, 1, 1), torch.tensor([0.0, 1.0, 2.0]).reshape(1, 3, 1, 1))
    assert float(patch_error(true * group, true, weight=weight)) == pytest.approx(0, abs=1e-6)
    assert float(patch_error(true * member, true, weight=weight)) > 0.05


def test_photons_are_divided_and_none_is_lost() -> None:
    rng = torch.Generator().manual_seed(0)
    counts = poisson_counts(torch.full((4, 1, 16, 16), 20.0), rng=rng)
    seen, judged = split_photons(counts.sqrt(), share=0.25, rng=rng)
    torch.testing.assert_close(seen.square() * 0.25 + judged.square(), counts, rtol=1e-4, atol=1e-3)
    assert float(seen.square().mean()) == pytest.approx(20, rel=0.1)
    assert float(judged.square().mean()) == pytest.approx(15, rel=0.1)


@pytest.mark.parametrize(("spoil", "share"), [(0.0, 0.75), (0.3, 0.0)])
def test_photons_are_divided_if_patterns_are_counts(
    spoil: float, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    counts = make_scan(n_scan=9, N=16)
    patterns = counts.patterns.read(slice(None)).astype(np.float32) + np.float32(spoil)
    scan = RawData.from_arrays(
        patterns=patterns, positions=counts.positions, probe=counts.probe, measurement="intensity"
    )
    with caplog.at_level(logging.INFO, logger="ptychofold"):
        fit(model_for(scan), loader_for(scan), None, QUICK.replace(epochs=1))
    assert f"sees a share of {share:g} of the photons" in caplog.text


@pytest.mark.parametrize("unit", [1e-3, 1e-5])
def test_amplitudes_in_a_small_unit_teach_what_others_do(unit: float) -> None:
    counts = make_scan(n_scan=9, N=16)
    every = np.arange(9)
    errors = []
    for factor in (0.01, unit):
        scan = RawData.from_arrays(
            patterns=counts.amplitude(every) * np.float32(factor),
            positions=counts.positions,
            probe=counts.probe * np.float32(factor),
            measurement="amplitude",
        )
        record = fit(model_for(scan), loader_for(scan), None, QUICK.replace(epochs=3))
        errors.append([epoch["train_loss"] for epoch in record.epochs])
    np.testing.assert_allclose(errors[1], errors[0], rtol=1e-3)


def test_photons_of_patterns_that_are_not_counts_cannot_be_divided() -> None:
    with pytest.raises(DomainError, match="whole counts, as split_photons is set"):
        split_photons(torch.full((1, 1, 2, 2), 0.5), share=0.5, rng=torch.Generator())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"loggers": ("csv",)}, "loggers write below output_dir"),
        ({"split_photons": 0.5, "mode": "supervised"}, "mode is 'supervised'"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        TrainingConfig.from_mapping(settings)
