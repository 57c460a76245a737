"""Which way the coordinates of a file point, and what moved."""

from typing import Literal

import numpy as np
from jaxtyping import Float64, Num

from ptychofold.config.base import Config

__all__ = ["PositionFrame"]

METRES = {"m": 1.0, "mm": 1e-3, "um": 1e-6, "nm": 1e-9, "angstrom": 1e-10}


class PositionFrame(Config):
    """What the two numbers of a scan point mean; nothing here has a safe guess, so say it.

    Examples
    --------
    Motor positions (x, y) of the sample in micrometres, x to the right and y upwards as seen on the detector:

    >>> frame = PositionFrame(unit="um", axes="xy", moves="sample", y="up")
    >>> frame.probe_yx(np.array([[1.0, 2.0]])).tolist()
    [[2e-06, -1e-06]]
    """

    unit: Literal["m", "mm", "um", "nm", "angstrom", "px"] = "m"
    """Unit of the numbers; "px" are object pixels."""

    axes: Literal["yx", "xy"] = "yx"
    """Which of the two numbers comes first."""

    y: Literal["down", "up"] = "down"
    """Where y grows, as seen on the detector image: "down" with the row number, or "up" against it."""

    x: Literal["right", "left"] = "right"
    """Where x grows, as seen on the detector image: "right" with the column number, or "left" against it."""

    moves: Literal["probe", "sample"] = "probe"
    """What the numbers are the position of; a sample that moves right is a probe that moves left on it."""

    def probe_yx(self, numbers: Num[np.ndarray, "scan 2"]) -> Float64[np.ndarray, "scan 2"]:
        """Return the probe's (y, x) on the sample, rows down and columns right, in metres or, for "px", pixels."""
        yx = np.asarray(numbers, np.float64) * METRES.get(self.unit, 1.0)
        if self.axes == "xy":
            yx = yx[:, ::-1]
        signs = np.array([1.0 if self.y == "down" else -1.0, 1.0 if self.x == "right" else -1.0])
        moved: np.ndarray = yx * (signs if self.moves == "probe" else -signs)
        return moved
