"""tike's NPZ: zero frequency from the corner, (row, column) positions, and the measured scan."""

import bz2
from pathlib import Path

import numpy as np
import pytest
from tests.formats.making import save

import ptychofold as pf
from ptychofold.errors import MissingFieldError, ShapeError
from ptychofold.formats import read_fields
from ptychofold.formats.tike import FORMAT

DATA = Path(__file__).parents[3] / "shared" / "data"
SIEMENS = DATA / "siemens-star-small.npz.bz2"
N_SCAN, N = 4, 6


def _arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    data = rng.poisson(5.0, (1, N_SCAN, N, N)).astype(np.float32)
    data[..., 0, 0] = 1000
    scan = np.array([[[-3.0, 7.0], [0.0, 9.5], [1.0, 7.0], [2.0, 8.0]]], np.float32)
    return {"data": data, "scan": scan, "probe": np.ones((1, 1, 1, 2, N, N), np.complex64)}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("lazy", [False, True])
def test_the_corner_comes_to_the_middle_and_rows_stay_rows(tmp_path: Path, packed: bool, lazy: bool) -> None:
    path, content = tmp_path / "a.npz", _arrays()
    save(path, content)
    if packed:
        path.write_bytes(bz2.compress(path.read_bytes()))
    scan = pf.read(path, lazy=lazy)
    assert scan.metadata.format == "tike NPZ"
    assert scan.measurement == "intensity"
    patterns = scan.patterns.read(np.array([2, 0]), out=np.empty((2, N, N), np.float32))
    assert (patterns[:, N // 2, N // 2] == 1000).all()
    np.testing.assert_array_equal(np.roll(patterns, (N // 2, N // 2), (1, 2)), content["data"][0, [2, 0]])
    np.testing.assert_allclose(scan.positions, content["scan"][0] - [-3.0, 7.0] + N // 2)
    assert scan.probe.shape == (2, N, N)


@pytest.mark.parametrize(
    ("name", "shape", "why"),
    [
        ("data", (2, N_SCAN, N, N), r"data of shape \(1, scan, N, N\), one angle"),
        ("scan", (2, N_SCAN, 2), r"scan of shape \(1, scan, 2\), one angle"),
        ("probe", (2, 1, 1, 1, N, N), "a probe of one angle"),
    ],
)
def test_several_angles_are_refused(tmp_path: Path, name: str, shape: tuple[int, ...], why: str) -> None:
    path = save(tmp_path / "a.npz", _arrays() | {name: np.ones(shape, np.float32)})
    with pytest.raises(ShapeError, match=why):
        pf.read(path)


def test_a_missing_array_is_named(tmp_path: Path) -> None:
    content = _arrays()
    del content["probe"]
    path = save(tmp_path / "a.npz", content)
    path.write_bytes(bz2.compress(path.read_bytes()))
    with pytest.raises(MissingFieldError, match="expected data, scan and probe; the archive holds data, scan"):
        pf.read(path)
    (tmp_path / "b.bz2").write_bytes(bz2.compress(b"no archive"))
    assert FORMAT.sniff(tmp_path / "b.bz2") is None


@pytest.mark.skipif(not SIEMENS.exists(), reason=f"needs {SIEMENS}, a real scan beside the checkout")
def test_the_measured_scan_is_that_of_the_contract_s_npz() -> None:
    scan, npz = pf.read(SIEMENS), read_fields(DATA / "siemens_n128.npz")
    assert npz.patterns is not None
    assert npz.positions is not None
    assert len(scan) == 516
    rows = np.arange(0, 516, 5)
    np.testing.assert_allclose(scan.amplitude(rows), npz.patterns.read(rows), rtol=1e-6)
    assert np.ptp(scan.positions - npz.positions, axis=0).max() < 1e-4
