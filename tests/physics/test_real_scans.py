"""R-factors of iterative reconstructions of measured scans: right, and wrong when an axis is mistaken.

The scans lie beside the checkout; their README quotes R after the iterative fit (0.161, 0.143, 0.108), which placed
patches on whole pixels. With bilinear patches the same object and probe fit better, hence the lower numbers here.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import ptychofold as pf
from ptychofold.physics import FarField, ForwardModel, Geometry, NearField, Propagator, extract_patches, r_factor

DATA = Path(__file__).parents[3] / "shared" / "data"
SCANS = {
    "siemens_n128": (0.1555, 0.161, 0.33),
    "cryo_n64_32x32": (0.1417, 0.143, 0.148),
    "p25_nearfield_n128": (0.0858, 0.108, 0.141),
}
"""R of our model, R that the data's README quotes, and the least R of a mistaken axis."""


@pytest.fixture(params=SCANS)
def name(request: pytest.FixtureRequest) -> str:
    if not (DATA / f"{request.param}.npz").exists():
        pytest.skip(f"needs {DATA / request.param}.npz, a real scan beside the checkout")
    return str(request.param)


class _Scan:
    """Every fourth pattern of a contract NPZ, with the propagator that its metadata tells."""

    def __init__(self, name: str) -> None:
        with np.load(DATA / f"{name}.npz") as file:
            meta = json.loads(str(file["meta_json"]))
            rows = slice(None, None, 4)
            self.measured = torch.from_numpy(file["diff3d"][rows])
            self.positions = torch.from_numpy(np.stack([file["ycoords"], file["xcoords"]], axis=1)[rows])
            self.object = torch.from_numpy(file["objectGuess"])
            self.probe = torch.from_numpy(file["probeGuess"])[None]
            self.bad_pixels = ~torch.from_numpy(file["good_pixels"]) if "good_pixels" in file else None
        self.propagator: Propagator = FarField()
        if not meta.get("far_field", True):
            self.propagator = NearField(
                wavelength_m=meta["wavelength_m"],
                distance_m=meta["effective_distance_m"],
                pixel_size_m=(meta["pixel_m"], meta["pixel_m"]),
            )

    def r(self, positions: Tensor, *, propagator: Propagator | None = None) -> float:
        model = ForwardModel(self.probe, propagator=propagator or self.propagator)
        with torch.no_grad():
            amplitude = model(extract_patches(self.object, positions, model.N))
        return float(r_factor(amplitude, self.measured, bad_pixels=self.bad_pixels))


def test_the_model_reproduces_the_measurement(name: str) -> None:
    scan, (ours, quoted, _) = _Scan(name), SCANS[name]
    assert scan.r(scan.positions) == pytest.approx(ours, abs=0.002)
    assert scan.r(scan.positions) < quoted


def test_a_mistaken_axis_raises_the_r_factor(name: str) -> None:
    scan, (_, _, mistaken) = _Scan(name), SCANS[name]
    middle = scan.positions.amax(0) + scan.positions.amin(0)
    flips = [torch.tensor(axes) for axes in ([True, False], [False, True], [True, True])]
    wrong = [scan.positions.flip(1), *(torch.where(flip, middle - scan.positions, scan.positions) for flip in flips)]
    assert min(scan.r(positions) for positions in wrong) > mistaken


def test_the_near_field_scan_is_no_far_field_and_its_distance_has_a_sign() -> None:
    if not (DATA / "p25_nearfield_n128.npz").exists():
        pytest.skip(f"needs {DATA / 'p25_nearfield_n128.npz'}, a real scan beside the checkout")
    scan = _Scan("p25_nearfield_n128")
    assert isinstance(scan.propagator, NearField)
    assert scan.r(scan.positions, propagator=FarField()) > 0.5
    too_far = NearField(
        wavelength_m=scan.propagator.wavelength_m,
        distance_m=scan.propagator.distance_m * 1.1,
        pixel_size_m=scan.propagator.pixel_size_m,
    )
    assert scan.r(scan.positions, propagator=too_far) > 1.02 * scan.r(scan.positions)


@pytest.mark.parametrize("layout", ["PETRAIII_P25_Near_Field_Ptycho.cxi", "P25_nxptycho.nxs"])
def test_the_near_field_scan_read_from_its_own_file_is_reproduced_and_its_mistaken_axes_are_not(layout: str) -> None:
    if not (DATA / layout).exists():
        pytest.skip(f"needs {DATA / layout}, a real scan beside the checkout")
    scan = _Scan("p25_nearfield_n128")
    read = pf.read(DATA / layout, probe="estimate", focus_m=3.65e-3, distance_from="focus")
    propagator = Geometry.of_scan(read.metadata).propagator()
    counts = read.patterns.read(np.arange(0, len(read), 4)).astype(np.float32)
    scan.measured = torch.from_numpy(np.pad(np.sqrt(counts), ((0, 0), (14, 14), (14, 14))))

    def placed(positions: np.ndarray) -> Tensor:
        """Lay the scan where the reconstructed object has it: the two differ by a constant."""
        rows = torch.from_numpy(positions[::4].copy())
        return rows + (scan.positions.mean(0) - rows.mean(0))

    right = scan.r(placed(read.positions), propagator=propagator)
    assert right == pytest.approx(SCANS["p25_nearfield_n128"][0], abs=0.002)
    swapped, flips = read.positions[:, ::-1], [(-1, 1), (1, -1), (-1, -1)]
    wrong = [swapped, *(read.positions * np.array(flip) for flip in flips)]
    assert min(scan.r(placed(positions), propagator=propagator) for positions in wrong) > 0.141
