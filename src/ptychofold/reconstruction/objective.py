"""What training minimises: distances of patterns and of patches, from a batch and what a model makes of it."""

import torch
from jaxtyping import Complex64, Float32
from torch import Tensor

from ptychofold.config import TrainingConfig
from ptychofold.data import GroupBatch
from ptychofold.errors import DomainError, MissingFieldError
from ptychofold.models import ModelOutput, PtychographyModel
from ptychofold.physics import PATTERN_LOSSES, thin_counts, total_variation
from ptychofold.scaling import counting_unit

__all__ = ["are_counts", "good_diffraction", "objective", "patch_error", "split_photons"]


def objective(
    model: PtychographyModel,
    seen: GroupBatch,
    judged: Float32[Tensor, "B C N N"],
    config: TrainingConfig,
    *,
    share: float,
) -> dict[str, Float32[Tensor, ""]]:
    """Return the parts of the loss by name and their weighted sum as ``loss``.

    If patches go through several networks, parts are those of the last, and ``loss`` is the mean over all of them.

    Parameters
    ----------
    model
        Predicts patches and patterns.
    seen
        What the network sees.
    judged
        (B, C, N, N), measured amplitude that the modelled one is compared with.
    config
        Which parts, and their weights.
    share
        Photons that ``judged`` holds, as a share of those that the model's amplitude stands for.

    Raises
    ------
    MissingFieldError
        If true patches are needed and the batch has none.
    """
    outputs = model.passes(seen)
    unit = counting_unit(model.scaling.mean_energy, model.contract.N)
    totals: list[Tensor] = []
    with torch.autocast(judged.device.type, enabled=False):
        for output in outputs:
            parts: dict[str, Tensor] = {}
            total = torch.zeros((), device=judged.device)
            if config.mode != "supervised":
                parts["pattern_loss"] = _pattern_error(output, seen, judged, config, share=share, unit=unit)
                total = total + parts["pattern_loss"]
            if config.mode != "unsupervised":
                weight = config.supervised_weight if config.mode == "mixed" else 1.0
                parts["patch_loss"] = patch_error(output.patches, true_patches(seen), weight=_trust(model, seen))
                total = total + weight * parts["patch_loss"]
            if config.total_variation:
                parts["total_variation"] = total_variation(output.patches * _trust(model, seen))
                total = total + config.total_variation * parts["total_variation"]
            totals.append(total)
    return {**parts, "loss": torch.stack(totals).mean()}


def patch_error(
    predicted: Complex64[Tensor, "B C N N"],
    true: Complex64[Tensor, "B C N N"],
    *,
    weight: Float32[Tensor, "*groups N N"],
) -> Float32[Tensor, ""]:
    """Return the weighted squared error of patches, with the best global phase of each group.

    ``min_θ Σ w |e^{iθ} P - T|² / Σ w = [Σ w (|P|² + |T|²) - 2 |Σ w P* T|] / Σ w``: patterns do not know the phase of
    an object, so no network can.

    Parameters
    ----------
    predicted, true
        (B, C, N, N), P and T.
    weight
        (N, N) or (B, 1, N, N), w, such as the probe's intensity.
    """
    weight = weight.expand(predicted.shape)
    energy = (weight * (_squared(predicted) + _squared(true))).sum(dim=(1, 2, 3))
    overlap = (weight * predicted.conj() * true).sum(dim=(1, 2, 3))
    magnitude = (_squared(overlap) + torch.finfo(energy.dtype).tiny).sqrt()
    return ((energy - 2 * magnitude) / weight.sum(dim=(1, 2, 3))).mean()


def split_photons(
    amplitude: Float32[Tensor, "B C N N"], *, share: float, rng: torch.Generator
) -> tuple[Float32[Tensor, "B C N N"], Float32[Tensor, "B C N N"]]:
    """Divide the photons of patterns at random, each to one of two patterns.

    Parameters
    ----------
    amplitude
        (B, C, N, N), square root of counts.
    share
        Share of the photons that the first pattern gets, 0 < share < 1.
    rng
        Generator in host memory.

    Returns
    -------
    seen, judged
        Amplitudes of the first pattern, brought back to the full dose, and of the second, as it is.

    Raises
    ------
    DomainError
        If the amplitudes are not square roots of whole counts.
    """
    whole = amplitude.square().round()
    if not are_counts(amplitude):
        raise DomainError(
            "expected patterns of whole counts, as split_photons is set; found others. Set split_photons=0, or give "
            "the counts that the detector measured.",
            field="patterns",
        )
    first = thin_counts(whole, fraction=share, rng=rng)
    return (first / share).sqrt(), (whole - first).sqrt()


def are_counts(amplitude: Float32[Tensor, "B C N N"]) -> bool:
    """Return whether amplitudes are the square roots of whole numbers."""
    counts = amplitude.square()
    return bool(((counts - counts.round()).abs() <= 1e-3 + 1e-6 * counts).all())


def good_diffraction(batch: GroupBatch) -> Float32[Tensor, "B C N N"]:
    """Return a batch's amplitude with zeros on bad pixels, whose values mean nothing."""
    if batch.bad_pixels is None:
        return batch.diffraction
    return batch.diffraction.masked_fill(batch.bad_pixels[batch.experiment.long()][:, None], 0)


def true_patches(batch: GroupBatch) -> Complex64[Tensor, "B C N N"]:
    """Return the true patches of a batch.

    Raises
    ------
    MissingFieldError
        If the batch has none.
    """
    if batch.patches is None:
        raise MissingFieldError(
            "expected batches with true patches, as the mode is not 'unsupervised'; found none. Make the dataset with "
            "ground_truth=True.",
            field="patches",
        )
    return batch.patches


def _pattern_error(
    output: ModelOutput, batch: GroupBatch, judged: Tensor, config: TrainingConfig, *, share: float, unit: float
) -> Tensor:
    loss, bad, amplitude = PATTERN_LOSSES[config.loss], batch.bad_pixels, (share / unit) ** 0.5 * output.amplitude
    judged = judged / unit**0.5
    if bad is None or len(bad) == 1:
        return loss(amplitude, judged, bad_pixels=None if bad is None else bad[0])
    each = [
        loss(amplitude[rows], judged[rows], bad_pixels=bad[scan]) * rows.sum()
        for scan in range(len(bad))
        if (rows := batch.experiment == scan).any()
    ]
    return torch.stack(each).sum() / len(amplitude)


def _trust(model: PtychographyModel, batch: GroupBatch) -> Tensor:
    return model.illumination(batch).weight.detach()


def _squared(field: Tensor) -> Tensor:
    return field.real.square() + field.imag.square()
