"""Decide whether patterns hold amplitude or intensity: by declaration first, then by evidence, never by a guess.

Photon counts are whole numbers. So intensities that were only scaled are multiples of one unit, and amplitudes that
were only scaled have squares that are (`ptychofold.measurement.multiples`). Where corrections left neither, the
bandwidth may show amplitude (`ptychofold.measurement.bandwidth`). Else a format's convention holds, with a logged
warning, unless what `ptychofold.measurement.evidence` looks at contradicts it; then the patterns are refused, as where
two kinds of evidence disagree.
"""

import logging
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64, Shaped

from ptychofold.config.dialects import suggest
from ptychofold.errors import ConfigError, DomainError
from ptychofold.measurement.bandwidth import only_squares_are_limited
from ptychofold.measurement.evidence import ExitEnergy, contradiction_of_amplitude
from ptychofold.measurement.lattice import precision_of
from ptychofold.measurement.multiples import told_by_multiples
from ptychofold.typing import Measurement, RequestedMeasurement

__all__ = ["decide_measurement"]

logger = logging.getLogger(__name__)

_REQUESTS = get_args(RequestedMeasurement)


def decide_measurement(
    sample: Shaped[np.ndarray, "n H W"],
    *,
    requested: RequestedMeasurement = "auto",
    declared: Measurement | None = None,
    declared_reason: str | None = None,
    expected: Literal["amplitude"] | None = None,
    exit_energy: ExitEnergy | None = None,
    path: Path | None = None,
) -> tuple[Measurement, str]:
    """Return what the patterns are and why.

    Parameters
    ----------
    sample
        Some patterns, spread over the scan; finite and not negative.
    requested
        What the caller says; "auto" asks for a decision.
    declared
        What the file or its known exporter declares.
    declared_reason
        Why the declaration is known.
    expected
        What the format's convention says (only amplitudes are a convention anywhere); used, with a logged warning, if
        the numbers neither tell nor contradict it.
    exit_energy
        What the probe and the object beside the patterns say of their energy, if anything.
    path
        The file, for the message.

    Returns
    -------
    measurement, reason
        The decision and one phrase for people.

    Raises
    ------
    DomainError
        If neither declaration nor numbers tell, or the numbers contradict the convention; the message names the two
        ways to say it.
    ConfigError
        If ``requested`` is none of the three.

    Examples
    --------
    >>> decide_measurement(np.ones((2, 8, 8), np.uint16))
    ('intensity', 'uint16 whole numbers are taken as counts')
    """
    if requested not in _REQUESTS:
        raise ConfigError(
            f"expected measurement to be one of {', '.join(_REQUESTS)}; found {requested!r} "
            f"({suggest(str(requested), _REQUESTS)})."
        )
    if requested != "auto":
        return requested, "requested by the caller"
    if declared is not None:
        return declared, declared_reason or "declared by the file"
    if sample.dtype.kind in "bui":
        return "intensity", f"{sample.dtype} whole numbers are taken as counts"
    values = sample.astype(np.float64)
    decided, doubt = _told(values, precision=precision_of(sample), exit_energy=exit_energy)
    if decided is not None:
        return decided, doubt
    if not doubt and expected is not None:
        doubt = contradiction_of_amplitude(values, exit_energy=exit_energy)
        if not doubt:
            logger.warning(
                "%s: nothing in the numbers tells amplitude from intensity; taken as %s by the format's convention",
                path or "patterns",
                expected,
            )
            return expected, f"{expected} by the format's convention; the numbers neither confirm nor contradict it"
    found = doubt or f"{sample.dtype} values that are no whole multiples of one count, nor are their squares"
    raise DomainError(
        f'cannot tell whether the patterns are amplitude or intensity; found {found}. Say measurement="amplitude" or '
        'measurement="intensity" (command line: --measurement amplitude or --measurement intensity).',
        path=path,
        field="patterns",
    )


def _told(
    values: Float64[np.ndarray, "n H W"], *, precision: float, exit_energy: ExitEnergy | None
) -> tuple[Measurement | None, str]:
    """Return what multiples, or else the bandwidth, tell and why, or None and a doubt, empty if they say nothing."""
    counted = told_by_multiples(values, precision=precision)
    if counted.measurement == "amplitude" or (counted.why and counted.measurement is None):
        return counted.measurement, counted.why
    limited = only_squares_are_limited(values)
    if counted.measurement is not None:
        against = ", but only the squares of the patterns are limited in bandwidth, as those of amplitude are"
        return (None, f"that {counted.why}{against}") if limited else (counted.measurement, counted.why)
    if not limited:
        return None, ""
    reason = "the squares of the patterns are limited in bandwidth, as intensity is, and the patterns are not"
    against = contradiction_of_amplitude(values, exit_energy=exit_energy)
    return (None, f"that {reason}, but also {against}") if against else ("amplitude", reason)
