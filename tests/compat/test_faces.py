"""The faces are thin: few lines, no state, no copy of a pattern, and nothing below knows that they exist."""

import ast
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch

import ptychofold
from ptychofold import compat
from ptychofold.compat import PtychoDataContainer, PtychoDataset, RawData, RawDataTorch, load
from ptychofold.compat.config_torch import DataConfig, ModelConfig
from ptychofold.formats.lazy import ArrayInMemory, MappedArray
from ptychofold.testing import make_scan

ROOT = Path(ptychofold.__file__).parent
FACES = sorted((ROOT / "compat").iterdir())
MODULES = sorted(path.stem for path in FACES if path.suffix == ".py" and path.stem != "__main__")
N_LINES = 1500
N_SCAN, N = 30, 16


def test_all_faces_together_are_short() -> None:
    files = [path for path in FACES if path.is_file()]
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files) < N_LINES


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_nothing_below_the_faces_imports_them() -> None:
    others = [path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] not in ("compat", "cli")]
    assert len(others) > 100
    knowing = [path for path in others if any(name.startswith("ptychofold.compat") for name in imports(path))]
    assert not knowing
    assert any(name.startswith("ptychofold.compat") for name in imports(ROOT / "compat" / "container.py"))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_holds_nothing_that_changes_but_the_legacy_dictionary(name: str) -> None:
    module = import_module("ptychofold.compat" if name == "__init__" else f"ptychofold.compat.{name}")
    held = {
        key
        for key, value in vars(module).items()
        if isinstance(value, list | dict | set | np.ndarray | torch.Tensor) and not key.startswith("__")
    }
    assert held == ({"cfg"} if name == "params" else set())
    assert isinstance(compat.params.LEGACY_DEFAULTS, MappingProxyType) if name == "params" else True


def given() -> dict[str, np.ndarray]:
    scan = make_scan(n_scan=N_SCAN, N=N, seed=0)
    return {
        "xcoords": scan.positions[:, 1].copy(), "ycoords": scan.positions[:, 0].copy(),
        "diff3d": scan.patterns.read(slice(None)).copy(), "probeGuess": scan.probe[0].copy(),
        "scan_index": np.zeros(N_SCAN, np.int64),
    }  # fmt: skip


@pytest.mark.parametrize("kind", [RawData.from_coords_without_pc, RawDataTorch])
def test_a_scan_shows_the_patterns_that_it_was_given(kind: type[RawDataTorch]) -> None:
    arrays = given()
    raw = kind(**arrays)
    assert raw.diff3d.ctypes.data == arrays["diff3d"].ctypes.data
    assert set(vars(raw)) <= {"scan", "norm_Y_I", "diff3d", "_gridsize"}  # diff3d is the view made above


def test_a_scan_from_a_file_maps_its_patterns(tmp_path: Path) -> None:
    RawData.from_coords_without_pc(**given()).to_file(tmp_path / "scan.npz")
    raw = RawData.from_file(tmp_path / "scan.npz")
    assert isinstance(raw.scan.patterns, MappedArray)
    shown = raw.diff3d
    assert not shown.flags.owndata
    assert not shown.flags.writeable
    assert shown.ctypes.data == raw.scan.patterns.asarray().ctypes.data
    assert vars(raw).keys() == {"scan", "diff3d"}


def test_a_container_and_both_sides_of_a_split_view_the_grouped_patterns() -> None:
    raw = RawData.from_coords_without_pc(**given())
    grouped = raw.generate_grouped_data(N, K=6, nsamples=10, seed=0, gridsize=2)
    whole = PtychoDataContainer(grouped, raw.probeGuess)
    assert whole.grouped is grouped
    assert whole.X.data_ptr() == grouped["X_full"].ctypes.data
    assert whole.probe.numpy().ctypes.data != 0
    train, test = (load(lambda: (grouped, 0.6), raw.probeGuess, which, True) for which in ("train", "test"))
    assert train.X.data_ptr() == grouped["X_full"].ctypes.data
    assert test.X.data_ptr() == grouped["X_full"][6:].ctypes.data
    assert vars(train).keys() == {"grouped", "first_mode", "n_photons", "framework", "device", "X"}


def test_a_data_set_keeps_each_pattern_once_where_it_was(tmp_path: Path) -> None:
    arrays = given()
    positions = np.stack([arrays["ycoords"], arrays["xcoords"]], axis=1)
    config = DataConfig(N=N, C=4, K=6, n_subsample=7, subsample_seed=0)
    shown = PtychoDataset.from_np(arrays["diff3d"], arrays["probeGuess"], positions, ModelConfig(), config)
    source = shown.groups.scans[0].patterns
    assert isinstance(source, ArrayInMemory)
    assert source.array.ctypes.data == arrays["diff3d"].ctypes.data
    (tmp_path / "npz").mkdir()
    RawData.from_coords_without_pc(**arrays).to_file(tmp_path / "npz" / "a.npz")
    stored = PtychoDataset(tmp_path / "npz", ModelConfig(), config, data_dir=tmp_path / "stores")
    assert len(stored) > N_SCAN  # groups, of which none has patterns of its own
    held = sum(v.nbytes for v in vars(stored.groups.table).values() if isinstance(v, np.ndarray | torch.Tensor))
    assert held < arrays["diff3d"].nbytes
    on_disk = sum(path.stat().st_size for path in (tmp_path / "stores").rglob("*") if path.is_file())
    assert on_disk < 1.5 * arrays["diff3d"].nbytes + 16_384
