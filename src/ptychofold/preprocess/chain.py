"""Run steps one after the other, note each in the scan's history, and read steps back from a history."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pydantic import TypeAdapter, ValidationError

from ptychofold.config.preprocess import (
    BackgroundStep,
    BadPixelStep,
    BinStep,
    ConvertStep,
    CropStep,
    FlatStep,
    FrameStep,
    InpaintStep,
    MaskStep,
    MonitorStep,
    OrientStep,
    PadStep,
    PositionStep,
    PreprocessConfig,
    Step,
)
from ptychofold.errors import ConfigError
from ptychofold.formats.decided import decided_measurement
from ptychofold.formats.fields import ScanFields
from ptychofold.preprocess import detector, pixels, points
from ptychofold.preprocess.sources import checksum, patterns_of, read_side_array
from ptychofold.typing import RequestedMeasurement

__all__ = ["preprocess", "replay", "run_step"]

logger = logging.getLogger(__name__)

_STEP: TypeAdapter[Step] = TypeAdapter(Step)


def preprocess(
    found: ScanFields,
    config: PreprocessConfig,
    *,
    measurement: RequestedMeasurement = "auto",
) -> ScanFields:
    """Put a scan through the steps of a recipe; patterns are changed when they are read, not before.

    Parameters
    ----------
    found
        What a reader found, or `RawData.to_fields`.
    config
        The steps.
    measurement
        What the patterns are, where nothing declares it; "auto" decides from their numbers.

    Returns
    -------
    changed
        With every step in ``metadata.history``, its parameters filled in.

    Raises
    ------
    ConfigError
        If a step does not fit the scan.
    DataError
        If the scan lacks what a step needs, or its measurement cannot be told.

    Examples
    --------
    >>> from ptychofold.config.preprocess import BinStep, CropStep
    >>> from ptychofold.testing import make_scan
    >>> steps = (CropStep(size=24, center=(16, 16)), BinStep(factor=2))
    >>> changed = preprocess(make_scan(N=32).to_fields(), PreprocessConfig(steps=steps))
    >>> changed.patterns.shape, [step["step"] for step in changed.metadata.history]
    ((49, 12, 12), ['crop', 'bin'])
    """
    changed = _declared(found, measurement)
    for step in config.steps:
        changed = run_step(step, changed)
    return changed


def replay(history: Sequence[Mapping[str, object]]) -> PreprocessConfig:
    """Return the recipe that a history notes; on the same file it gives the same bits.

    Raises
    ------
    ConfigError
        If an entry is not of a step that is known.

    Examples
    --------
    >>> replay([{"step": "bin", "factor": 2}]).steps[0].factor
    2
    """
    steps = []
    for number, entry in enumerate(history):
        try:
            steps.append(_STEP.validate_python(dict(entry)))
        except ValidationError as error:
            raise ConfigError(
                f"expected a preprocessing step as entry {number} of the history; found {dict(entry)!r:.80}. It cannot "
                "be replayed with this version."
            ) from error
    return PreprocessConfig(steps=tuple(steps))


def run_step(step: Step, found: ScanFields) -> ScanFields:
    """Estimate what a step leaves open, do it, and note it in the history."""
    resolved = _resolve(step, found)
    changed = _apply(resolved, found)
    note = resolved.model_dump(mode="json", exclude_none=True)
    logger.info("%s: %s", resolved.step, ", ".join(f"{k} = {str(v)[:60]}" for k, v in note.items() if k != "step"))
    return replace(changed, metadata=replace(changed.metadata, history=(*found.metadata.history, note)))


def _declared(found: ScanFields, measurement: RequestedMeasurement) -> ScanFields:
    """Return the scan with its measurement decided."""
    decided, reason = decided_measurement(found, patterns_of(found), requested=measurement)
    return replace(found, measurement=decided, measurement_reason=reason)


def _resolve(step: Step, found: ScanFields) -> Step:
    """Fill in what is estimated from the scan or stated by it."""
    if isinstance(step, CropStep | PadStep | BinStep):
        step = step.replace(propagation=detector.propagation_of(step, found))
    match step:
        case CropStep():
            return detector.resolve_crop(step, found)
        case BadPixelStep():
            return pixels.resolve_bad_pixels(step, found)
        case FrameStep():
            return points.resolve_frames(step, found)
        case PositionStep():
            return points.resolve_positions(step, found)
        case BackgroundStep() | FlatStep() | MaskStep() | MonitorStep():
            return _with_checksum(step)
        case _:
            return step


def _with_checksum(step: BackgroundStep | FlatStep | MaskStep | MonitorStep) -> Step:
    if step.file is None or step.checksum is not None:
        return step
    return step.replace(checksum=checksum(read_side_array(step.file)))


_APPLY: Mapping[type[object], Callable[..., ScanFields]] = {
    CropStep: detector.apply_crop,
    PadStep: detector.apply_pad,
    BinStep: detector.apply_bin,
    OrientStep: detector.apply_orient,
    BackgroundStep: pixels.apply_background,
    FlatStep: pixels.apply_flat,
    MaskStep: pixels.apply_mask,
    BadPixelStep: pixels.apply_bad_pixels,
    ConvertStep: pixels.apply_convert,
    InpaintStep: pixels.apply_inpaint,
    MonitorStep: points.apply_monitor,
    FrameStep: points.apply_frames,
    PositionStep: points.apply_positions,
}


def _apply(step: Step, found: ScanFields) -> ScanFields:
    return _APPLY[type(step)](step, found)
