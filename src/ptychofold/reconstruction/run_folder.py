"""The directory of a training run: what lies in it, all of one run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ptychofold.atomic import replacing

__all__ = [
    "HISTORY_FILE",
    "MODEL_FILE",
    "RESUME_FILE",
    "RUN_FILE",
    "begin_anew",
    "keep_history",
    "last_losses",
    "read_history",
]

RUN_FILE = "run.toml"
"""The settings, which repeat the run."""
MODEL_FILE = "model.safetensors"
"""The trained model; absent until training has ended well."""
RESUME_FILE = "last.ckpt"
"""What a run is resumed from."""
HISTORY_FILE = "history.json"
"""Mean losses of each epoch that has ended, those before a resume included."""


def begin_anew(folder: Path) -> None:
    """Remove what an earlier run has left, so that nothing of it is taken for the new one's."""
    for name in (MODEL_FILE, RUN_FILE, HISTORY_FILE, RESUME_FILE):
        (folder / name).unlink(missing_ok=True)


def keep_history(folder: Path, epochs: Sequence[Mapping[str, float]]) -> None:
    """Write the losses of epochs after those of the epochs before them, which the directory holds if they were."""
    kept = [losses for losses in _epochs(folder) if losses["epoch"] < epochs[0]["epoch"]]
    with replacing(folder / HISTORY_FILE) as partial:
        partial.write_text(json.dumps([*kept, *map(dict, epochs)]), encoding="utf-8")


def read_history(folder: str | Path) -> dict[str, list[float]]:
    """Return the losses of each epoch that a run has kept, by name; empty if it has kept none."""
    epochs = _epochs(Path(folder))
    names = [name for name in epochs[-1] if name != "epoch"] if epochs else []
    return {name: [epoch[name] for epoch in epochs if epoch.get(name) is not None] for name in names}


def last_losses(folder: Path) -> dict[str, float]:
    """Return the losses of the last epoch that a run has kept, with its number as ``epoch``; empty if it kept none."""
    epochs = _epochs(folder)
    return epochs[-1] if epochs else {}


def _epochs(folder: Path) -> list[dict[str, float]]:
    path = folder / HISTORY_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
