"""The engines of pty-chi, told and asked in our terms.

In pty-chi the far field is a Fourier transform that is not unitary, the sub-pixel part of a position shifts the probe
(by its Fourier transform) instead of the object, and a position is where the middle of a patch lies, which for an even
N is between pixels.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex64, Float, Shaped
from torch import Tensor

from ptychofold.config import PtychiConfig
from ptychofold.optional import require
from ptychofold.physics import Geometry
from ptychofold.reconstruction.engines import Beginning, Engine, Guess

__all__ = ["PtychiEngine"]

MARGIN = 3
"""Object pixels beyond the patches that pty-chi asks for, with one more for rounding."""


class PtychiEngine(Engine):
    """A task of pty-chi that goes on epoch by epoch, without a trace in torch's or NumPy's global state.

    Parameters
    ----------
    beginning
        The scan and the guess to begin with.
    config
        Which engine, and its settings.
    device
        "cpu", or any other for pty-chi's choice of accelerator.

    Raises
    ------
    DependencyError
        If pty-chi is missing or does not load.
    """

    def __init__(self, beginning: Beginning, config: PtychiConfig, *, device: torch.device) -> None:
        api = require("ptychi.api", extra="iterative")
        task = require("ptychi.api.task", extra="iterative")
        self.beginning = beginning
        guess, scan, fitted = beginning.guess, beginning.scan, beginning.fitted
        near = beginning.geometry.propagation == "near_field"
        self.scale = 1.0 if near else float(scan.N)
        self.shape = guess.object.shape

        def shifted(patterns: Shaped[np.ndarray, "*batch N N"]) -> Shaped[np.ndarray, "*batch N N"]:
            """Put the zero frequency where pty-chi's far field has it; pty-chi's own shift is wrong for odd N."""
            return patterns if near else np.fft.ifftshift(patterns, axes=(-2, -1))

        options = _options(api, beginning, config, device=device)
        self.globals = _Globals.now(config.seed)
        with self.globals.in_use():
            self.task: Any = task.PtychographyTask(
                options,
                diffraction_data=shifted(scan.amplitude(fitted) ** 2),
                object_data=_padded(guess.object, guess.positions[fitted], scan.N)[None],
                probe_data=(guess.probe / self.scale)[None],
                probe_position_x_px=guess.positions[fitted, 1],
                probe_position_y_px=guess.positions[fitted, 0],
                valid_pixel_mask=None if scan.bad_pixels is None else shifted(~scan.bad_pixels),
            )
            reconstructor = self.task.reconstructor
            reconstructor.loss_tracker.metric_function = _RFactor(reconstructor.dataset.valid_pixel_mask)

    def epoch(self, epoch: int) -> float:
        """Let pty-chi run one epoch; return the mean R of its batches as they were met."""
        with self.globals.in_use():
            self.task.run(n_epochs=1)
        return float(self.task.reconstructor.loss_tracker.table["loss"].iloc[-1])

    def found(self) -> Guess:
        """Return what pty-chi has found so far."""
        height, width = self.shape
        positions = self.beginning.guess.positions.copy()
        if self.task.position_options.optimizable:
            positions[self.beginning.fitted] = self.task.get_data_to_cpu("probe_positions", as_numpy=True)
        probe = self.task.get_data_to_cpu("probe", as_numpy=True)[0] * self.scale
        return Guess(
            object=self.task.get_data_to_cpu("object", as_numpy=True)[0, :height, :width].astype(np.complex64),
            probe=probe.astype(np.complex64),
            positions=positions,
        )


class _RFactor:
    """R of a batch of intensities, in place of the loss that pty-chi would show."""

    def __init__(self, good: Tensor) -> None:
        self.good = good

    def __call__(self, modelled: Float[Tensor, "n N N"], measured: Float[Tensor, "n N N"]) -> Tensor:
        good = self.good.to(measured.device)
        found, true = modelled.clamp(min=0).sqrt() * good, measured.sqrt() * good
        return (found - true).abs().sum() / true.sum()


def _options(api: ModuleType, beginning: Beginning, config: PtychiConfig, *, device: torch.device) -> Any:  # noqa: ANN401
    """Fill in pty-chi's options; their types are pty-chi's own."""
    options = getattr(api, f"{config.method.upper()}Options")()
    N = beginning.scan.N
    _set_geometry(options, beginning.geometry)
    options.object_options.determine_position_origin_coords_by = api.ObjectPosOriginCoordsMethods.SPECIFIED
    options.object_options.position_origin_coords = [(N - 1) / 2 - N // 2] * 2
    options.object_options.step_size = config.object_step
    options.probe_options.step_size = config.probe_step or 1.0
    options.probe_options.optimizable = config.probe_step > 0
    options.probe_position_options.optimizable = config.position_step > 0
    options.probe_position_options.step_size = config.position_step or 1.0
    if config.method in ("rpie", "epie"):
        options.object_options.alpha = options.probe_options.alpha = config.alpha
    run = options.reconstructor_options
    if config.method == "lsqml":
        run.momentum_acceleration_gain = config.momentum
    run.num_epochs = config.epochs
    run.batch_size = config.batch_size or run.batch_size
    run.batching_mode = api.BatchingModes(config.batching)
    run.default_device = api.Devices.CPU if device.type == "cpu" else api.Devices.GPU
    run.random_seed = None
    return options


def _set_geometry(options: Any, geometry: Geometry) -> None:  # noqa: ANN401 (pty-chi's own type)
    data = options.data_options
    data.fft_shift = False
    if geometry.propagation == "far_field":
        return
    data.wavelength_m, data.free_space_propagation_distance_m = geometry.wavelength_m, geometry.distance_m
    if geometry.pixel_size_m is not None:
        height_m, width_m = geometry.pixel_size_m
        options.object_options.pixel_size_m = width_m
        options.object_options.pixel_size_aspect_ratio = width_m / height_m


def _padded(
    canvas: Complex64[np.ndarray, "H W"], positions: Float[np.ndarray, "n 2"], N: int
) -> Complex64[np.ndarray, "H2 W2"]:
    """Return the object with as many ones beyond its last row and column as pty-chi asks for."""
    wanted = np.ceil(np.ptp(positions, axis=0)).astype(int) + N + MARGIN
    missing = np.maximum(0, wanted - canvas.shape)
    return np.pad(canvas, [(0, int(missing[0])), (0, int(missing[1]))], constant_values=1)


class _Globals:
    """What pty-chi changes for the whole process, kept apart: defaults of torch and the generators of randomness."""

    def __init__(self, states: tuple[object, Any, Tensor]) -> None:
        self.states = states

    @classmethod
    def now(cls, seed: int) -> "_Globals":
        """Begin with the generators at a seed."""
        rng = np.random.RandomState(seed)
        return cls(
            (
                random.Random(seed).getstate(),
                rng.get_state(),
                torch.Generator().manual_seed(seed).get_state(),
            )
        )

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Lend the generators of this run to the process, and put all back as it was."""
        outside, device, dtype = _generators(), torch.get_default_device(), torch.get_default_dtype()
        _set_generators(self.states)
        try:
            yield
            self.states = _generators()
        finally:
            _set_generators(outside)
            torch.set_default_device(None if device.type == "cpu" else device)
            torch.set_default_dtype(dtype)


def _generators() -> tuple[object, Any, Tensor]:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 (what pty-chi uses)


def _set_generators(states: tuple[Any, Any, Tensor]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])
