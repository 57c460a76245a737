"""An NPZ without a probe: completed by a file or an estimate, refused otherwise."""

from pathlib import Path

import numpy as np
import pytest
from tests.formats.making import arrays, save

import ptychofold as pf
from ptychofold.errors import MissingFieldError
from ptychofold.formats import read_fields


def _without_probe(tmp_path: Path, dtype: str = "uint16") -> Path:
    content = arrays(dtype=dtype)
    del content["probeGuess"], content["bad_pixels"]
    return save(tmp_path / "scan.npz", content)


def test_a_missing_probe_is_refused_by_one_line_that_names_both_ways_to_supply_it(tmp_path: Path) -> None:
    wanted = r"expected a probe; this PtychoPINN NPZ file has none, but xcoords, .*--probe FILE .*or --probe estimate "
    with pytest.raises(MissingFieldError, match=wanted) as caught:
        read_fields(_without_probe(tmp_path))
    assert caught.value.field == "probe"


@pytest.mark.parametrize("name", ["probe.npy", "probe.npz", "another_scan.npz"])
def test_a_missing_probe_is_taken_from_another_file(tmp_path: Path, name: str) -> None:
    probe = arrays(seed=1)["probeGuess"]
    if name == "probe.npy":
        np.save(tmp_path / name, probe)
    else:
        save(tmp_path / name, {"probeGuess": probe} if name == "probe.npz" else arrays(seed=1))
    scan = pf.read(_without_probe(tmp_path), probe=tmp_path / name)
    np.testing.assert_array_equal(scan.probe, probe)


def test_a_missing_probe_is_estimated_on_request(tmp_path: Path) -> None:
    counts = arrays()["diff3d"]
    scan = pf.read(_without_probe(tmp_path), probe="estimate")
    assert np.square(np.abs(scan.probe)).sum() == pytest.approx(counts.mean(axis=0).sum(), rel=1e-5)


@pytest.mark.parametrize("measurement", ["amplitude", "intensity"])
def test_a_probe_is_estimated_from_patterns_of_the_measurement_that_the_caller_states(
    tmp_path: Path, measurement: str
) -> None:
    patterns = arrays(dtype="float32")["diff3d"]
    scan = pf.RawData.from_file(
        _without_probe(tmp_path, dtype="float32"),
        measurement=measurement,  # type: ignore[arg-type]
        reading=pf.ReadingConfig(probe="estimate"),
    )
    power = (patterns if measurement == "intensity" else patterns**2).mean(axis=0).sum()
    assert np.square(np.abs(scan.probe)).sum() == pytest.approx(power, rel=1e-5)


def test_a_file_that_should_hold_a_probe_and_does_not_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(MissingFieldError, match="expected a probe in this file; found none"):
        pf.read(_without_probe(tmp_path), probe=_without_probe(other))
