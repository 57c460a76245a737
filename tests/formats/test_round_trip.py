"""Every writable format gives back what was written, field by field, except what it said it cannot hold."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

import ptychofold as pf
from ptychofold.formats import FORMATS, write_fields
from ptychofold.testing.strategies import scans

WITH_PATTERNS = [known.name for known in FORMATS if known.write is not None and known.name != "Ptychodus product"]


def _equal(found: pf.RawData, scan: pf.RawData, lost: tuple[str, ...]) -> None:
    rows = np.arange(len(scan))
    if scan.measurement == "intensity":
        assert found.measurement == "intensity"
        np.testing.assert_array_equal(found.patterns.read(slice(None)), scan.patterns.read(slice(None)))
        assert found.patterns.dtype == scan.patterns.dtype
    np.testing.assert_allclose(found.amplitude(rows), scan.amplitude(rows), rtol=2e-7)
    assert (found.measurement == scan.measurement) == ("measurement" not in lost)
    offset = found.positions[0] - scan.positions[0] if "object" in lost or scan.object is None else np.zeros(2)
    np.testing.assert_allclose(found.positions - offset, scan.positions, atol=1e-6)
    for name in ("probe", "object", "patches", "bad_pixels", "scan_index"):
        want = getattr(scan, name)
        if name not in lost and want is not None and np.any(want):
            np.testing.assert_array_equal(getattr(found, name), want, err_msg=name)
    if "positions_nominal" not in lost:
        np.testing.assert_allclose(found.positions_nominal - offset, scan.positions_nominal, atol=1e-6)
    assert found.metadata.pixel_size_m == pytest.approx(scan.metadata.pixel_size_m, rel=1e-9)
    if "wavelength_m" not in lost:
        assert found.metadata.wavelength_m == pytest.approx(scan.metadata.wavelength_m, rel=1e-6)
    if "n_photons" not in lost:
        assert found.metadata.n_photons == scan.metadata.n_photons


@pytest.mark.parametrize("name", WITH_PATTERNS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scan=scans(max_scan=9))
def test_what_is_written_is_read_back(name: str, scan: pf.RawData) -> None:
    with tempfile.TemporaryDirectory() as folder:
        known = next(known for known in FORMATS if known.name == name)
        path = Path(folder) / f"scan{known.suffixes[0]}"
        assume(name != "PtychoViT pair" or scan.object is not None)
        lost = write_fields(scan.to_fields(), path, format=name)
        probe: object = "estimate" if "probe" in lost else None
        found = pf.read(path, probe=probe, pixel_size_m=scan.metadata.pixel_size_m)
        assert found.metadata.format == name
        _equal(found, scan, lost)
