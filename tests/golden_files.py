"""Read the parity goldens: expected outputs of the reference pipeline, described in ``shared/parity/README.md``."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

__all__ = ["Sampled", "golden", "golden_dir", "golden_json", "golden_names", "stored"]


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """An expected array that is too large to keep: some elements and the digest of all."""

    flat_index: np.ndarray
    flat_value: np.ndarray
    shape: tuple[int, ...]
    dtype: np.dtype
    sha256: str

    def equals(self, found: np.ndarray) -> bool:
        """Whether ``found`` has the expected shape, dtype and bytes."""
        digest = hashlib.sha256(np.ascontiguousarray(found).tobytes()).hexdigest()
        return found.shape == self.shape and found.dtype == self.dtype and digest == self.sha256


Expected = dict[str, np.ndarray | Sampled | None]


@cache
def golden_dir() -> Path:
    """Return the directory of the goldens: the copy beside the tests, or the shared original beside the checkout."""
    tests = Path(__file__).resolve().parent
    candidates = (tests / "golden" / "parity", tests.parent.parent / "shared" / "parity")
    for candidate in candidates:
        if (candidate / "index.json").is_file():
            return candidate
    raise FileNotFoundError(f"no index.json of the parity goldens in any of {[str(path) for path in candidates]}")


def golden_names(kind: str | None = None, *, prefix: str = "") -> list[str]:
    """List the cases of a kind (see the goldens' README), all kinds if None, whose name starts with ``prefix``."""
    cases = golden_json("index.json")["cases"]
    return sorted(
        case["case"] for case in cases if case["case"].startswith(prefix) and (kind is None or case["kind"] == kind)
    )


def golden_json(name: str) -> dict:  # type: ignore[type-arg]
    """Read one of the table-like goldens."""
    table: dict = json.loads((golden_dir() / name).read_text())  # type: ignore[type-arg]
    return table


def golden(name: str) -> tuple[dict[str, np.ndarray], dict, Expected]:  # type: ignore[type-arg]
    """Return (inputs, params, outputs) of a case; outputs is empty where the reference raised.

    An output is an array, None, an input passed through, or `Sampled`.
    """
    with np.load(golden_dir() / f"{name}.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    params = json.loads(str(arrays["params"]))
    inputs = {key[3:]: value for key, value in arrays.items() if key.startswith("in_")}
    outputs = {key: _expected(key, how, arrays) for key, how in params.get("out", {}).items()}
    return inputs, params, outputs


def stored(outputs: Expected, key: str) -> np.ndarray:
    """Return an output that is kept in full; anything else is a mistake of the test."""
    value = outputs[key]
    assert isinstance(value, np.ndarray), f"{key} is not kept in full"
    return value


def _expected(key: str, how: dict | None, arrays: dict[str, np.ndarray]) -> np.ndarray | Sampled | None:  # type: ignore[type-arg]
    if how is None:
        return None
    if "passthrough" in how:
        return arrays[how["passthrough"]]
    if how["stored"] == "full":
        return arrays[f"out_{key}"]
    return Sampled(
        flat_index=arrays[f"out_{key}__flat_idx"],
        flat_value=arrays[f"out_{key}__flat_val"],
        shape=tuple(how["shape"]),
        dtype=np.dtype(how["dtype"]),
        sha256=how["sha256"],
    )
