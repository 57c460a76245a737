"""The module in docs/formats/adding_a_format.md is a format as it stands there."""

import importlib.util
from pathlib import Path

import h5py
import numpy as np
import pytest

import ptychofold as pf
from ptychofold import formats
from ptychofold.errors import ShapeError
from ptychofold.formats import Format

PAGE = Path(__file__).parents[2] / "docs" / "formats" / "adding_a_format.md"
COUNTS = np.random.default_rng(0).poisson(9.0, (5, 8, 8)).astype(np.uint16)
STAGE_UM = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [1.0, 2.0], [3.0, 1.0]])


@pytest.fixture
def documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Format:
    """Return the page's format, registered as its first step says."""
    module = tmp_path / "our_beamline.py"
    module.write_text(PAGE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0], encoding="utf-8")
    spec = importlib.util.spec_from_file_location("our_beamline", module)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    known: Format = loaded.FORMAT
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, known))
    return known


def _file(folder: Path, *, frames: np.ndarray = COUNTS) -> Path:
    with h5py.File(folder / "scan.h5", "w") as file:
        file["frames"], file["stage_um"], file["energy_ev"] = frames, STAGE_UM, 8000.0
    return folder / "scan.h5"


def test_the_documented_format_reads_patterns_units_and_signs(tmp_path: Path, documented: Format) -> None:
    scan = pf.read(_file(tmp_path), probe="estimate", pixel_size_m=(1e-8, 1e-8))
    assert scan.metadata.format == documented.name
    np.testing.assert_array_equal(scan.patterns.read(slice(None)), COUNTS)
    np.testing.assert_allclose(scan.positions - scan.positions[0], STAGE_UM[:, ::-1] * [100, -100], atol=1e-9)
    assert scan.metadata.wavelength_m == pytest.approx(1.549802e-10)


def test_the_documented_format_refuses_what_is_no_stack(tmp_path: Path, documented: Format) -> None:
    with pytest.raises(ShapeError, match=r"expected /frames of shape \(scan, N, N\); found \(8, 8\)"):
        documented.read(_file(tmp_path, frames=COUNTS[0]), lazy=True)
