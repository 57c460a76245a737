from pathlib import Path

import numpy as np
import pytest

from ptychofold import samples
from ptychofold.errors import ConfigError
from ptychofold.raw_data import RawData
from ptychofold.survey import survey

SOURCE = Path(__file__).resolve().parents[2] / "shared" / "data" / "siemens_n128.npz"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"one of siemens; found 'nosuch'"):
        samples.path("nosuch")


@pytest.mark.parametrize("name", samples.names())
def test_a_shipped_scan_is_small_and_has_its_licence_beside_it(name: str) -> None:
    file = samples.path(name)
    assert file.stat().st_size < 5_000_000
    licence = file.with_name(f"{name}-LICENSE.txt").read_text(encoding="utf-8")
    for words in ("modified version", "AdvancedPhotonSource/tike", "UChicago Argonne, LLC", "ANY EXPRESS OR IMPLIED"):
        assert words in licence


def test_the_siemens_star_is_measured_counts_and_says_so() -> None:
    scan = RawData.from_file(samples.path("siemens"))
    assert (scan.patterns.shape, str(scan.patterns.dtype)) == ((516, 128, 128), "uint16")
    assert (scan.measurement, scan.metadata.measurement_reason) == (
        "intensity",
        "detector counts, as the source has them",
    )
    found = survey(scan)
    assert found.largest == 963
    assert found.warnings == ()
    assert scan.metadata.n_photons == pytest.approx(found.dose_median, rel=0.01)
    assert "not ground truth" in str(scan.metadata.extra["object"])


@pytest.mark.skipif(not SOURCE.exists(), reason="the scan's source is not beside the checkout")
def test_the_siemens_star_is_the_source_number_for_number() -> None:
    scan = RawData.from_file(samples.path("siemens"), lazy=False)
    with np.load(SOURCE) as source:
        np.testing.assert_array_equal(scan.amplitude(np.arange(516)), source["diff3d"])
        np.testing.assert_array_equal(scan.positions, np.stack([source["ycoords"], source["xcoords"]], axis=1))
        np.testing.assert_array_equal(scan.probe[0], source["probeGuess"])
        assert scan.object is not None
        rounding = (scan.object - source["objectGuess"]).view(np.float32)
    assert abs(rounding).max() <= 2**-9
