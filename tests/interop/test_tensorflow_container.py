"""The container in TensorFlow; needs the tensorflow extra (``make test-interop``)."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from tests.contract.cases import assert_equal, scan_of
from tests.golden_files import golden, golden_names, stored

from ptychofold.compat.container import PtychoDataContainer
from ptychofold.data.frameworks import as_framework

tensorflow: Any = pytest.importorskip("tensorflow", exc_type=ImportError)
pytestmark = [pytest.mark.interop, pytest.mark.filterwarnings("ignore")]


def container(name: str, **options: Any) -> PtychoDataContainer:  # noqa: ANN401
    inputs, params, _ = golden(name)
    grouped = scan_of(inputs).generate_grouped_data(**params["call"])
    return PtychoDataContainer(grouped, inputs["probeGuess"], framework="tensorflow", **options)


@pytest.mark.parametrize("name", [name for name in golden_names("container") if "split" not in name])
def test_tensors_have_the_dtypes_and_numbers_of_the_reference(name: str) -> None:
    _, params, want = golden(name)
    found = container(name, n_photons=params["nphotons"])
    for key in ("X", "coords_nominal", "coords", "probe", "norm_Y_I"):
        tensor = getattr(found, key)
        assert isinstance(tensor, tensorflow.Tensor)
        assert_equal(tensor.numpy(), stored(want, key), rtol=1e-5, atol=1e-5)
        assert tensor.numpy().dtype == params["out"][key]["dtype"]
    if name != "c03_gs2_object":  # cut at the members' own positions here
        assert_equal(found.Y_I.numpy(), stored(want, "Y_I"), atol=1e-5)


def test_contiguous_aligned_memory_is_shared() -> None:
    buffer = np.zeros(64 + 16, np.float32)
    start = (-buffer.ctypes.data % 64) // 4
    values = buffer[start : start + 64].reshape(8, 8)
    shared = as_framework(values, framework="tensorflow")
    values[0, 0] = 7
    assert float(shared[0, 0]) == 7
    copied = as_framework(values.T, framework="tensorflow")
    values[0, 0] = 8
    assert float(copied[0, 0]) == 7
    np.testing.assert_array_equal(copied.numpy(), np.where(values.T == 8, 7, values.T))


@pytest.mark.parametrize("name", golden_names("tf_dataset"))
def test_a_data_set_yields_the_batches_of_the_reference(name: str) -> None:
    _, params, want = golden(name)
    dataset = container(name).as_tf_dataset(
        params["batch_size"], shuffle=False, intensity_scale=params["intensity_scale"]
    )
    batches = list(dataset)
    assert len(batches) == params["n_batches"]
    for number, ((X, coords), outputs) in enumerate(batches):
        assert_equal(X.numpy(), stored(want, f"b{number}_in_X"), rtol=1e-5)
        assert_equal(coords.numpy(), stored(want, f"b{number}_in_coords"), atol=1e-5)
        for key, tensor in zip(("Yc", "Xs", "Xs2"), outputs, strict=True):
            assert_equal(tensor.numpy(), stored(want, f"b{number}_out_{key}"), rtol=1e-5, atol=2e-5)


def test_shuffled_epochs_hold_all_groups_and_repeat_for_a_seed() -> None:
    def epoch(seed: int) -> np.ndarray:
        batches = container("d01_tf_dataset_gs2").as_tf_dataset(4, seed=seed)
        return np.concatenate([X.numpy()[:, 0, 0, 0] for (X, _), _ in batches])

    ordered = np.concatenate(
        [X.numpy()[:, 0, 0, 0] for (X, _), _ in container("d01_tf_dataset_gs2").as_tf_dataset(4, shuffle=False)]
    )
    assert sorted(epoch(0)) == sorted(ordered)
    np.testing.assert_array_equal(epoch(0), epoch(0))


def test_nothing_but_the_container_in_tensorflow_imports_it() -> None:
    code = "import sys, ptychofold.compat.container, ptychofold.compat.dataset; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
