"""PtychoDataset and its loader: stores, calls old and new, profiles, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ptychofold.compat import PtychoDataset
from ptychofold.compat.config_torch import DataConfig, ModelConfig
from ptychofold.compat.dataset import Collate, TensorDictDataLoader
from ptychofold.errors import ConfigError, FormatError, MissingFieldError, PtychoError, ShapeError, StoreError
from ptychofold.formats.lazy import MappedArray
from ptychofold.testing import make_scan

pytest.importorskip("tensordict")
DATA = DataConfig(N=16, C=4, K=6, n_subsample=2, subsample_seed=0)
COUNTS = ModelConfig(physics_forward_mode="rectangular_scaled")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "npz").mkdir()
    for name, seed in (("a", 1), ("b", 2)):
        make_scan(n_scan=36, N=16, seed=seed).to_file(tmp_path / "npz" / f"{name}.npz")
    return tmp_path


def made(folder: Path, model: ModelConfig | None = None, data: DataConfig = DATA, **options: Any) -> PtychoDataset:  # noqa: ANN401
    return PtychoDataset(folder / "npz", model or ModelConfig(), data, data_dir=folder / "memmap", **options)


def test_each_pattern_is_stored_once_and_mapped_whatever_the_number_of_groups(folder: Path) -> None:
    dataset = made(folder, data=replace(DATA, n_subsample=7))
    for scan, name in zip(dataset.groups.scans, ("a", "b"), strict=True):
        assert isinstance(scan.patterns, MappedArray)
        size = (folder / "memmap" / name / "patterns.npy").stat().st_size
        assert size < 1.2 * 36 * 16 * 16 * scan.patterns.dtype.itemsize + 4096
    assert len(dataset) > 200


def test_patterns_in_memory_are_not_copied() -> None:
    scan = make_scan(n_scan=36, N=16, seed=1)
    patterns = scan.patterns.read(slice(None)).copy()
    dataset = PtychoDataset.from_np(patterns, scan.probe[0], scan.positions, ModelConfig(), DATA)
    shown = dataset.groups.scans[0].patterns.read(slice(None))
    assert shown.ctypes.data == patterns.ctypes.data
    batch, probes, scaling = dataset[[0, 5]]
    assert batch["images"].shape == (2, 4, 16, 16)
    assert (probes.shape, scaling.shape) == ((2, 4, 1, 16, 16), (2, 1, 1, 1))
    expected = np.sqrt(patterns[batch["nn_indices"][1].numpy()].astype(np.float32))
    np.testing.assert_allclose(batch["images"][1].numpy(), expected)


def test_one_group_has_no_batch_axis(folder: Path) -> None:
    dataset = made(folder)
    one, probes, scaling = dataset[3]
    several, _, _ = dataset[np.array([3])]
    assert one.batch_size == torch.Size([])
    assert (one["images"].shape, probes.shape, scaling.shape) == ((4, 16, 16), (4, 1, 16, 16), (1, 1, 1))
    assert torch.equal(one["images"], several["images"][0])


def test_any_order_across_experiments_is_kept(folder: Path) -> None:
    dataset = made(folder)
    wanted = [len(dataset) - 1, 0, len(dataset) - 2, 1]
    batch, probes, _ = dataset[torch.tensor(wanted)]
    assert batch["experiment_id"].tolist() == [1, 0, 1, 0]
    for place, group in enumerate(wanted):
        one, probe, _ = dataset[group]
        assert all(torch.equal(batch[name][place], one[name]) for name in one.keys())  # noqa: SIM118 (a TensorDict)
        assert torch.equal(probes[place], probe)


def test_the_older_call_finds_probes_in_their_own_directory(folder: Path) -> None:
    (folder / "probes").mkdir()
    probe = np.full((16, 16), 2 + 1j, np.complex64)
    for name in ("a", "b"):
        np.savez(folder / "probes" / f"{name}.npz", allow_pickle=False, probeGuess=probe)
    dataset = PtychoDataset(str(folder / "npz"), str(folder / "probes"), str(folder / "memmap"), True)
    np.testing.assert_array_equal(dataset.data_dict["probes_physical"][1, 0].numpy(), probe)


def test_a_store_is_used_again_unless_it_is_to_be_made_anew(folder: Path) -> None:
    made(folder)
    path = folder / "memmap" / "a" / "patterns.npy"
    before = path.stat().st_mtime_ns, path.stat().st_ino
    made(folder)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    made(folder, remake_map=True)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) != before


def test_one_file_is_one_experiment(folder: Path) -> None:
    dataset = PtychoDataset(folder / "npz" / "a.npz", ModelConfig(), DATA, data_dir=folder / "memmap")
    assert set(dataset.mmap_ptycho["experiment_id"].tolist()) == {0}
    assert dataset.data_dict["com"].shape == (2,)


def test_an_experiment_can_be_taken_out(folder: Path) -> None:
    dataset = made(folder)
    part = dataset.get_experiment_dataset(1)
    assert set(part[:][0]["experiment_id"].tolist()) == {1}
    assert 0 < len(part) < len(dataset)
    with pytest.raises(ConfigError, match="one of 2 experiments"):
        dataset.get_experiment_dataset(2)


def test_supervised_batches_hold_the_true_patches(folder: Path) -> None:
    dataset = made(folder, ModelConfig(mode="Supervised"))
    batch, _, _ = dataset[:4]
    rows = batch["nn_indices"].numpy()
    truth = dataset.groups.scans[0].ground_truth(rows.astype(np.int64))
    assert truth is not None
    assert rows.shape == (4, 1)
    np.testing.assert_allclose(batch["label_amp"].numpy(), np.abs(truth), rtol=1e-6)
    np.testing.assert_allclose(batch["label_phase"].numpy(), np.angle(truth), atol=1e-6)


def test_counts_are_measured_over_the_training_split_and_frozen(folder: Path) -> None:
    dataset = made(folder, COUNTS, defer_ci_statistics=True)
    with pytest.raises(ConfigError, match="no counts were measured"):
        _ = dataset[0]
    with pytest.raises(ConfigError, match="number 1 has none"):
        dataset.set_ci_statistics_from_indices([0, 1])
    statistics = dataset.set_ci_statistics_from_indices([0, len(dataset) - 1])
    batch, probes, _ = dataset[[0]]
    assert torch.equal(batch["rms_input_scale"].ravel(), statistics["rms_input_scale"][:1])
    counts = batch["measured_intensity"].double()
    assert float(batch["mean_measured_intensity"]) == pytest.approx(float(counts.mean()), rel=1e-6)
    assert batch["measured_intensity"].data_ptr() == batch["images"].data_ptr()
    assert torch.equal(batch["probe_training"], probes)
    assert "rms_scaling_constant" not in batch.keys()  # noqa: SIM118 (a TensorDict)


def test_from_np_takes_a_trained_model_s_constant() -> None:
    scan = make_scan(n_scan=36, N=16, seed=1)
    dataset = PtychoDataset.from_np(
        scan.amplitude(range(36)), scan.probe, scan.positions, ModelConfig(), DATA, scaling_constant=0.5
    )
    assert dataset[0][0]["rms_scaling_constant"].item() == 0.5
    assert PtychoDataset.from_np(
        scan.patterns.read(slice(None)), scan.probe, scan.positions, COUNTS, DATA
    ).get_ci_statistics()


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loader_gathers_whole_batches(folder: Path, workers: int) -> None:
    dataset = made(folder)
    loader = TensorDictDataLoader(dataset, batch_size=8, collate_fn=Collate("cpu"), num_workers=workers)
    batches = [batch for batch, _, _ in loader]
    joined = torch.cat([batch["nn_indices"] for batch in batches])
    assert torch.equal(joined, dataset.mmap_ptycho["nn_indices"])
    assert batches[0].batch_size == torch.Size([8])


def test_groups_shuffle_alike_for_a_seed_and_leave_the_process_wide_stream_alone(folder: Path) -> None:
    before = str(np.random.get_state())  # noqa: NPY002 (what is tested is that nothing draws from it)
    first, second = made(folder), made(folder)
    other = made(folder, data=replace(DATA, subsample_seed=1))
    assert torch.equal(first.mmap_ptycho["nn_indices"], second.mmap_ptycho["nn_indices"])
    assert not torch.equal(first.mmap_ptycho["nn_indices"], other.mmap_ptycho["nn_indices"])
    assert str(np.random.get_state()) == before  # noqa: NPY002


def test_probe_masks_weigh_the_probe_s_scale() -> None:
    scan = make_scan(n_scan=36, N=16, seed=1)
    arrays = (scan.patterns.read(slice(None)), scan.probe[0], scan.positions)

    def factor(**settings: Any) -> float:  # noqa: ANN401
        dataset = PtychoDataset.from_np(*arrays, ModelConfig(**settings), DATA)
        return float(dataset.data_dict["probe_scaling"])

    amplitude = np.abs(scan.probe[0])
    assert factor() == pytest.approx(1 / (4 * amplitude.mean()), rel=1e-5)
    mask = np.zeros((16, 16), np.float32)
    mask[4:12, 4:12] = 1
    assert factor(probe_mask_tensor=torch.from_numpy(mask)) == pytest.approx(
        1 / (4 * (amplitude * mask).mean()), rel=1e-5
    )
    assert factor(probe_mask=True) > factor()
    assert factor(probe_mask=True, probe_mask_sigma=0.0) > factor()
    unscaled = PtychoDataset.from_np(*arrays, ModelConfig(), replace(DATA, probe_normalize=False))
    assert float(unscaled.data_dict["probe_scaling"]) == 1


def test_what_cannot_be_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="normalize: expected one of"):
        made(folder, data=replace(DATA, normalize="Each"))
    with pytest.raises(ConfigError, match="mode='supervised': expected one of"):
        made(folder, ModelConfig(mode="supervised"))
    with pytest.raises(ConfigError, match="N: expected 16, the side of the patterns; found 64"):
        made(folder, data=replace(DATA, N=64))
    assert PtychoDataset(folder / "npz", data_dir=folder / "memmap")[0][0]["images"].shape == (4, 16, 16)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="expected NPZ files in the directory"):
        PtychoDataset(tmp_path / "empty")
    make_scan(n_scan=36, N=8, seed=3).to_file(folder / "npz" / "c.npz")
    with pytest.raises(ShapeError, match=r"one size in a mixture; 000000 .*a\.npz has N = 16, .*c\.npz has"):
        made(folder)


def test_a_probe_is_needed_for_each_experiment(tmp_path: Path) -> None:
    for folder, names in (("npz", "ab"), ("probes", "a")):
        (tmp_path / folder).mkdir()
        for name in names:
            make_scan(n_scan=30, N=16).to_file(tmp_path / folder / f"{name}.npz")
    with pytest.raises(ConfigError, match="a probe file for each of 2 experiments; found 1"):
        PtychoDataset(tmp_path / "npz", data_dir=tmp_path / "map", probe_dir=tmp_path / "probes")


def test_only_a_store_is_made_anew_and_only_by_a_whole_one(folder: Path) -> None:
    made(folder)
    store = folder / "memmap" / "a"
    (folder / "npz" / "a.npz").write_bytes(b"not an archive")
    with pytest.raises(FormatError):
        made(folder, remake_map=True)
    assert (store / "patterns.npy").exists()


def test_a_directory_that_is_no_store_is_never_removed(folder: Path) -> None:
    foreign = folder / "memmap" / "a"
    foreign.mkdir(parents=True)
    (foreign / "manifest.json").write_text("{}")
    (foreign / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError):
        made(folder, remake_map=True)
    assert (foreign / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ({"probe": np.ones((16, 16), np.complex64)}, MissingFieldError, "expected probeGuess"),
        ({"probeGuess": np.ones((8, 8), np.complex64)}, ShapeError, "to fit the patterns"),
        (b"junk", FormatError, "not a zip file"),
    ],
)
def test_a_wrong_probe_file_is_named(folder: Path, content: object, error: type[PtychoError], message: str) -> None:
    (folder / "probes").mkdir()
    for name in ("a", "b"):
        if isinstance(content, bytes):
            (folder / "probes" / f"{name}.npz").write_bytes(content)
        else:
            np.savez(folder / "probes" / f"{name}.npz", **content)  # type: ignore[arg-type]
    with pytest.raises(error, match=message) as found:
        made(folder, probe_dir=folder / "probes")
    assert "a.npz" in str(found.value)


def test_a_probe_with_one_channel_last_is_one_mode(folder: Path) -> None:
    (folder / "probes").mkdir()
    for name in ("a", "b"):
        np.savez(folder / "probes" / f"{name}.npz", probeGuess=np.full((16, 16, 1), 2 + 1j, np.complex64))
    dataset = made(folder, probe_dir=folder / "probes")
    assert dataset.data_dict["probes_physical"].shape[1:] == (1, 16, 16)
