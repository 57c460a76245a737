"""Checkpoints of models: weights and all that must be known to use them, in one safetensors file without any pickle.

The header of the file holds a JSON text under ``ptychofold`` with the schema, the resolved settings of model and
training, the statistics of the training patterns, the data contract, the last losses, where it all came from, and a
checksum of all this and the weights. A file appears whole or not at all.
"""

import hashlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import ptychofold
from ptychofold.atomic import replacing
from ptychofold.config import ModelConfig, TrainingConfig
from ptychofold.errors import CheckpointError, ConfigError, DivergenceError, DomainError, ShapeError
from ptychofold.models import DataContract, PositionShifts, PtychographyModel
from ptychofold.optional import require
from ptychofold.physics import scaling_from_dict

__all__ = ["load_checkpoint", "read_description", "save_checkpoint"]

KEY, SCHEMA = "ptychofold", 1
CHECKSUM = "checksum"


def save_checkpoint(
    path: str | Path,
    model: PtychographyModel,
    *,
    training: TrainingConfig | None = None,
    losses: Mapping[str, float] | None = None,
    provenance: Mapping[str, object] | None = None,
) -> None:
    """Write a model.

    Parameters
    ----------
    path
        The file; replaced as a whole.
    model
        Its weights must be finite.
    training
        Settings that it was trained with.
    losses
        Its last losses.
    provenance
        What else a reader may want to know, as JSON-like values, such as the scan's file.

    Raises
    ------
    DivergenceError
        If a weight is not finite.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    for name, value in weights.items():
        if not bool(torch.isfinite(value).all()):
            raise DivergenceError(
                f"expected finite weights to save; found NaN or infinity in {name}. Train again with a lower "
                "learning_rate."
            )
    description = {
        "schema": SCHEMA,
        "model": model.config.model_dump(mode="json"),
        "training": None if training is None else training.model_dump(mode="json"),
        "scaling": model.scaling.to_dict(),
        "contract": model.contract.to_dict(),
        "losses": dict(losses or {}),
        "provenance": {**_software(), **(provenance or {})},
    }
    safetensors = require("safetensors.torch", extra="train")
    text = json.dumps({**description, CHECKSUM: _checksum(description, weights)})
    with replacing(path) as partial:
        partial.write_bytes(safetensors.save(weights, metadata={KEY: text}))


def load_checkpoint(path: str | Path) -> PtychographyModel:
    """Read a model that `save_checkpoint` wrote.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, not a checkpoint of ptychofold, of a newer schema, or its weights do not fit
        its settings.
    """
    description, weights = _read(Path(path))
    for name in ("model", "contract", "scaling"):
        if not isinstance(description.get(name), dict):
            raise CheckpointError(
                f"{path}: expected settings of {name} in the checkpoint; found {description.get(name)!r}. The file was "
                "changed; copy it again or train the model again."
            )
    try:
        config = ModelConfig.from_mapping(description["model"])
        contract = DataContract.from_dict(description["contract"])
        scaling = scaling_from_dict(description["scaling"])
        probe = weights["forward_model.probe"]
        if tuple(probe.shape) != (contract.n_modes, contract.N, contract.N):
            raise CheckpointError(f"the probe is of shape {tuple(probe.shape)}, and the contract of another")
        prefix = "refinement."
        shifts = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        _check_finite(weights)
        model = PtychographyModel(
            config,
            contract=contract,
            scaling=scaling,
            probe=probe,
            refinement=PositionShifts.like(shifts) if shifts else None,
        )
        _check_kinds(model, weights)
        model.load_state_dict(weights)
    except (ConfigError, DomainError, ShapeError, KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: expected weights and settings that fit one another; {' '.join(str(error).split())}. The file was "
            "changed, or written by another version of ptychofold."
        ) from error
    if description.get(CHECKSUM) != _checksum(description, weights):
        raise CheckpointError(
            f"{path}: expected weights and settings as they were saved; their checksum is another. The file is damaged "
            "or was changed; copy it again or train the model again."
        )
    return model.eval()


def read_description(path: str | Path) -> Mapping[str, Any]:
    """Return what a checkpoint says of itself; see the module for its keys.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or not a checkpoint of ptychofold.
    """
    return _read(Path(path))[0]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    safetensors = require("safetensors", extra="train")
    if not path.is_file():
        raise CheckpointError(f"{path}: expected a model's checkpoint; found no such file. Train a model first.")
    try:
        with safetensors.safe_open(path, framework="pt") as opened:
            text = (opened.metadata() or {}).get(KEY)
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a mapping)
        description = None if text is None else json.loads(text)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: expected a whole safetensors file; {error}. Copy it again or train the model again."
        ) from error
    if not isinstance(description, dict):
        raise CheckpointError(f"{path}: expected a checkpoint of ptychofold; found a safetensors file of another kind.")
    schema = description.get("schema")
    if schema is True or schema != SCHEMA:
        raise CheckpointError(
            f"{path}: expected a checkpoint of schema {SCHEMA}; found {schema!r}. Use the version of ptychofold that "
            "wrote it."
        )
    return description, weights


def _check_finite(weights: Mapping[str, Tensor]) -> None:
    for name, value in weights.items():
        if not bool(torch.isfinite(value).all()):
            raise CheckpointError(f"{name} holds NaN or infinity")


def _check_kinds(model: PtychographyModel, weights: Mapping[str, Tensor]) -> None:
    """Refuse numbers of another kind, which would be cast without a word."""
    for name, expected in model.state_dict().items():
        found = weights.get(name, expected)
        if found.dtype != expected.dtype:
            raise CheckpointError(f"{name} is of {expected.dtype}, and {found.dtype} was found")


def _checksum(description: Mapping[str, object], weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a description, but for its own checksum, and of weights, however they are laid out."""
    said = {name: value for name, value in description.items() if name != CHECKSUM}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for name, value in sorted(weights.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _software() -> dict[str, str]:
    return {"ptychofold": ptychofold.__version__, "torch": str(torch.__version__), "python": platform.python_version()}
