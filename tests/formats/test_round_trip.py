"""Every writable format gives back what was written; what it loses is what it names, and nothing else."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import ptychofold as pf
from ptychofold.config import ScanGeometry
from ptychofold.formats import FORMATS, write_fields
from ptychofold.testing import make_scan
from ptychofold.testing.strategies import scans

WRITABLE = [known.name for known in FORMATS if known.write is not None]
PIXEL = (55e-6, 75e-6)
GEOMETRIES = (
    None,
    ScanGeometry(wavelength_m=2e-10),
    ScanGeometry(energy_ev=8000.0, distance_m=2.0, detector_pixel_m=PIXEL),
    ScanGeometry(energy_ev=8000.0, distance_m=2.0, defocus_m=1e-3),
    ScanGeometry(energy_ev=12000.0, distance_m=1.0, focus_m=0.01, detector_pixel_m=PIXEL),
    ScanGeometry(energy_ev=12000.0, distance_m=1.01, distance_from="focus", focus_m=0.01),
    ScanGeometry(wavelength_m=1e-10, distance_m=1.0, propagation="near_field"),
    ScanGeometry(particle="electron", energy_ev=3e5, distance_m=1.0, detector_pixel_m=PIXEL),
)


ADDITIONS = st.fixed_dictionaries(
    {
        "geometry": st.sampled_from(GEOMETRIES),
        "wavelength_m": st.sampled_from([None, 1.3e-10]),
        "pixel_size_m": st.sampled_from([(1e-8, 1e-8), (1e-8, 1.7e-8)]),
        "n_photons": st.sampled_from([None, 1e5]),
        "history": st.sampled_from([(), ({"step": "crop", "side": 4},)]),
        "several": st.booleans(),
    }
)
"""What a file may know of a scan, there or not; ``several`` measurements make a scan index."""


def _dressed(scan: pf.RawData, *, several: bool, **known: Any) -> pf.RawData:  # noqa: ANN401 (of Metadata)
    if known["geometry"] is not None:
        known["wavelength_m"] = known["geometry"].wavelength
    index = np.arange(len(scan)) // 3 if several else np.zeros(len(scan), np.int64)
    return replace(scan, scan_index=index, metadata=replace(scan.metadata, **known))


def _known(geometry: ScanGeometry | None, wavelength_m: float | None) -> dict[str, object]:
    """Return what a geometry means, however it is stated; nothing, if it says no more than the wavelength."""
    stated = geometry or ScanGeometry(wavelength_m=wavelength_m)
    return {
        "particle": stated.particle, "distance": stated.sample_distance_m, "field": stated.field,
        "focus": stated.focus_m, "defocus": stated.defocus_m, "pixel": stated.detector_pixel_m,
    }  # fmt: skip


def _facts(scan: pf.RawData, start: np.ndarray) -> dict[str, object]:
    """Return what a format may lose, by the names that writers use; positions count from a start."""
    known = scan.metadata
    return {
        "measurement": scan.measurement,
        "probe": scan.probe,
        "object": scan.object,
        "patches": scan.patches,
        "scan_index": scan.scan_index,
        "bad_pixels": np.zeros((scan.N, scan.N), bool) if scan.bad_pixels is None else scan.bad_pixels,
        "positions": scan.positions - start,
        "positions_nominal": scan.positions_nominal - start,
        "n_photons": known.n_photons,
        "wavelength_m": known.wavelength_m,
        "pixel_size_m": known.pixel_size_m,
        "geometry": _known(known.geometry, known.wavelength_m),
        "history": [dict(step) for step in known.history],
    }


def _same(found: object, want: object) -> bool:
    """Whether arrays are equal to the bit, float64 to 1e-9, and all else equal."""
    if isinstance(want, Mapping):
        return isinstance(found, Mapping) and all(_same(found[name], value) for name, value in want.items())
    if want is None or found is None or isinstance(want, str | list):
        return found is want if want is None or found is None else found == want
    left, right = np.asarray(found), np.asarray(want)
    if right.dtype != np.float64:
        return left.dtype == right.dtype and np.array_equal(left, right)
    return left.shape == right.shape and np.allclose(left, right, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", WRITABLE)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scan=scans(max_scan=9), additions=ADDITIONS)
def test_a_format_loses_what_it_names_and_nothing_else(name: str, scan: pf.RawData, additions: dict[str, Any]) -> None:
    assume(name != "PtychoViT pair" or scan.object is not None)
    scan = _dressed(scan, **additions)
    known = next(known for known in FORMATS if known.name == name)
    with tempfile.TemporaryDirectory() as folder:
        path, bare = Path(folder) / f"scan{known.suffixes[0]}", Path(folder) / "patterns_dp.hdf5"
        lost = write_fields(scan.to_fields(), path, format=name)
        if "patterns" in lost:
            _write_patterns(bare, scan)
        found = pf.read(path, lazy=False, patterns=bare if "patterns" in lost else None)
    assert found.metadata.format == name
    amplitude = scan.measurement == "amplitude"
    stored, patterns = (taken.patterns.read(slice(None)) for taken in (found, scan))
    if amplitude and "measurement" in lost:
        np.testing.assert_allclose(np.sqrt(stored), patterns, rtol=2e-7)
    else:
        assert _same(stored, patterns)
        assert stored.dtype == patterns.dtype
    placed = scan.object is not None
    have, want = (_facts(taken, np.zeros(2) if placed else taken.positions[0]) for taken in (found, scan))
    differing = {fact for fact, value in want.items() if not _same(have[fact], value)}
    assert differing == set(lost) - {"patterns"}


def _write_patterns(path: Path, scan: pf.RawData) -> None:
    """Write the patterns of a scan alone, as detectors give them."""
    import h5py

    with h5py.File(path, "w") as file:
        patterns = scan.patterns.read(slice(None))
        file["dp"] = patterns**2 if scan.measurement == "amplitude" else patterns


def _with_pixel(scan: pf.RawData, side_m: float) -> pf.RawData:
    return replace(scan, metadata=replace(scan.metadata, pixel_size_m=(side_m, side_m)))


@pytest.mark.parametrize("name", ["a.cxi", "a.nxs"])
def test_an_object_is_left_out_where_another_pixel_moves_the_positions(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    scan = _with_pixel(make_scan(n_scan=9), 2e-8)
    write_fields(scan.to_fields(), tmp_path / name)
    assert pf.read(tmp_path / name, pixel_size_m=(2.00001e-8, 2e-8)).object is not None
    assert not caplog.records
    coarse = pf.read(tmp_path / name, pixel_size_m=(4e-8, 4e-8))
    assert np.allclose(2 * np.ptp(coarse.positions, axis=0), np.ptp(scan.positions, axis=0))
    assert coarse.object is None
    assert "object pixel is 20 × 20 nm, now it is 40 × 40 nm. Its object does not fit" in caplog.text


def test_positions_in_pixels_stay_under_another_pixel_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scan = _with_pixel(make_scan(n_scan=9), 2e-8)
    scan.to_file(tmp_path / "a.npz")
    coarse = pf.read(tmp_path / "a.npz", pixel_size_m=(4e-8, 4e-8))
    assert np.array_equal(coarse.positions, scan.positions)
    assert coarse.object is not None
    assert "now it is 40 × 40 nm. Positions are in pixels and stay as they are" in caplog.text
