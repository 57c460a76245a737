"""``ptychofold simulate``."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from typer.testing import CliRunner

from ptychofold.cli.main import app
from ptychofold.cli.simulate import ObjectChoice, ScanChoice
from ptychofold.config import SimulationConfig
from ptychofold.config.simulation import ObjectName, ProbeName, ScanPatternName
from ptychofold.errors import ConfigError
from ptychofold.physics import simulate_scan
from ptychofold.physics.objects import OBJECTS
from ptychofold.physics.probes import PROBES
from ptychofold.physics.scan_patterns import SCAN_PATTERNS
from ptychofold.raw_data import RawData
from ptychofold.reconstruction.metrics import scan_r_factor

SMALL = ("--n", "16", "--n-positions", "25")


def simulated(path: Path, *options: str) -> RawData:
    result = CliRunner().invoke(app, ["simulate", str(path), *SMALL, *options])
    assert result.exit_code == 0, result.stderr
    assert str(path.name) in result.stdout
    return RawData.from_file(path)


def test_every_part_of_a_simulation_can_be_named_everywhere() -> None:
    assert set(OBJECTS) == set(get_args(ObjectName)) == {choice.value for choice in ObjectChoice}
    assert set(SCAN_PATTERNS) == set(get_args(ScanPatternName)) == {choice.value for choice in ScanChoice}
    assert set(PROBES) == set(get_args(ProbeName))


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("scan", SCAN_PATTERNS)
def test_every_object_on_every_scan_is_saved_with_its_truth(tmp_path: Path, name: str, scan: str) -> None:
    found = simulated(tmp_path / "a.npz", "--object", name, "--scan", scan)
    assert found.object is not None
    assert 15 <= len(found) <= 35
    assert found.measurement == "intensity"
    assert found.patterns.dtype.kind == "u"
    assert found.metadata.n_photons == 1e5
    assert 0 < scan_r_factor(found, found.object, found.probe, found.positions) < 0.1


def test_a_dose_of_zero_is_without_noise_and_settings_reach_the_simulation(tmp_path: Path) -> None:
    found = simulated(
        tmp_path / "a.npz", "--dose", "0", "--pixel-size-m", "1e-8", "-s", "nominal_error=0.5", "-s", "step=3"
    )
    assert found.object is not None
    assert scan_r_factor(found, found.object, found.probe, found.positions) < 1e-4
    assert found.metadata.pixel_size_m == (1e-8, 1e-8)
    spread = found.positions_nominal - found.positions
    assert 0.3 < spread.std() < 0.7
    assert np.diff(np.sort(found.positions[:, 1]))[:1] < 3


def test_more_photons_are_less_noise_and_the_seed_decides() -> None:
    config = SimulationConfig(N=16, n_scan=16)
    first, again = simulate_scan(config), simulate_scan(config)
    rows = np.arange(len(first))
    np.testing.assert_array_equal(first.amplitude(rows), again.amplitude(rows))
    other = simulate_scan(config.replace(seed=1))
    assert not np.array_equal(first.amplitude(rows), other.amplitude(rows))
    assert other.object is not None
    assert first.object is not None
    few = simulate_scan(config.replace(n_photons=1e3))
    assert few.object is not None
    noise = [scan_r_factor(s, s.object, s.probe, s.positions) for s in (first, few) if s.object is not None]
    assert noise[1] > 5 * noise[0]


def test_settings_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown setting 'dosis'"):
        SimulationConfig.from_mapping({"dosis": 3})
    result = CliRunner().invoke(app, ["simulate", str(tmp_path / "a.npz"), "-s", "absorption=2"])
    assert result.exit_code == 2
    assert "absorption" in result.stderr
    result = CliRunner().invoke(app, ["simulate", str(tmp_path / "a.png"), *SMALL])
    assert result.exit_code == 3
    assert not (tmp_path / "a.png").exists()
