"""The doctor passes clean scans and no planted fault, and names the fault."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ptychofold.cli.main import app
from ptychofold.config import GroupingConfig, ScanGeometry
from ptychofold.diagnosis import Diagnosis, Finding, optics_findings, pattern_findings, position_findings
from ptychofold.formats.lazy import ArrayInMemory
from ptychofold.raw_data import RawData
from ptychofold.reconstruction import doctor
from ptychofold.reconstruction.doctor import examine, examine_file, rank_scales
from ptychofold.reconstruction.orientation import rank_orientations
from ptychofold.samples import path as sample_path
from ptychofold.survey import summarise_patterns, survey
from ptychofold.testing import FAULTS, make_scan, plant_fault
from ptychofold.testing.faults import Fault

NEEDS_TRIALS: dict[Fault, str] = {
    "swapped axes": "orientation",
    "flipped axis": "orientation",
    "wrong distance": "distance",
}
NAMED: dict[Fault, tuple[str, str]] = {
    "swapped axes": ("orientation", "no-go"),
    "flipped axis": ("orientation", "no-go"),
    "intensity declared amplitude": ("measurement", "no-go"),
    "positions in the wrong unit (÷ 1000)": ("position unit", "no-go"),
    "positions in the wrong unit (× 1000)": ("position unit", "no-go"),
    "off-center beam": ("beam center", "fix"),
    "30 % of the patterns saturated": ("saturation", "no-go"),
    "one dead quadrant": ("dead pixels", "no-go"),
    "duplicate positions": ("duplicates", "fix"),
    "NaN positions": ("file", "no-go"),
    "low overlap": ("overlap", "fix"),
    "wrong distance": ("distance", "no-go"),
    "frames last (N, N, scan)": ("access", "fix"),
}


@pytest.fixture(scope="module")
def clean() -> RawData:
    return make_scan(n_scan=81, N=32, step=2.0)


@pytest.fixture
def short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "rank_orientations", lambda scan: rank_orientations(scan, n_patterns=36, epochs=3))
    monkeypatch.setattr(doctor, "rank_scales", lambda scan: rank_scales(scan, n_patterns=64, epochs=6))
    monkeypatch.setattr(doctor, "SCALES", (0.5, 0.71, 1.0, 1.41))


def _only(diagnosis: Diagnosis, subject: str) -> Finding:
    return next(finding for finding in diagnosis.findings if finding.subject == subject)


@pytest.mark.usefixtures("short_trials")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named_and_never_passes(fault: Fault, clean: RawData, tmp_path: Path) -> None:
    subject, level = NAMED[fault]
    diagnosis = examine_file(plant_fault(fault, clean, tmp_path / "fault.npz"), trials=fault in NEEDS_TRIALS)
    assert diagnosis.verdict != "go"
    found = _only(diagnosis, subject)
    assert (found.level, diagnosis.verdict) == (level, level)
    assert found.fix


def test_every_fault_is_looked_for() -> None:
    assert set(NAMED) == set(FAULTS)


@pytest.mark.usefixtures("short_trials")
def test_a_clean_scan_goes(clean: RawData) -> None:
    stages: list[str] = []
    diagnosis = examine(clean, on_stage=stages.append)
    assert diagnosis.verdict == "go", list(diagnosis.of_level("fix"))
    assert _only(diagnosis, "orientation").level == _only(diagnosis, "distance").level == "go"
    assert stages == ["patterns", "positions", "orientation", "distance"]


def test_the_shipped_scan_goes() -> None:
    diagnosis = examine_file(sample_path("siemens"), trials=False)
    assert diagnosis.verdict == "go", [*diagnosis.of_level("fix"), *diagnosis.of_level("no-go")]


# ------------------------------------------------------------------------------------------------------- smaller faults


def _patterns_say(scan: RawData, subject: str) -> Finding:
    return next(f for f in pattern_findings(scan, summarise_patterns(scan)) if f.subject == subject)


def _numbers(scan: RawData) -> np.ndarray:
    return np.array(scan.patterns.read(slice(None)))


def _with(scan: RawData, numbers: np.ndarray) -> RawData:
    return replace(scan, patterns=ArrayInMemory(numbers))


def test_hot_and_dead_pixels_are_counted_and_masked_ones_are_not(clean: RawData) -> None:
    numbers = _numbers(clean)
    numbers[:, 3, 4], numbers[:, 14, 17] = 900, 0
    damaged = _with(clean, numbers)
    assert _patterns_say(damaged, "hot pixels").says == "1, at (3, 4)"
    assert _patterns_say(damaged, "dead pixels").level == "fix"
    bad = np.zeros((32, 32), bool)
    bad[3, 4] = bad[14, 17] = True
    masked = replace(damaged, bad_pixels=bad)
    assert _patterns_say(masked, "hot pixels").level == "go"
    assert _patterns_say(masked, "dead pixels").says == "none beside the 2 marked bad"


def test_one_lit_pixel_in_the_middle_is_the_direct_beam() -> None:
    scan = make_scan(n_scan=25, N=64, step=2.0)
    numbers = _numbers(scan)
    numbers[:, 32, 33] = 9000
    assert _patterns_say(_with(scan, numbers), "hot pixels").level == "go"


def test_weak_and_strong_frames_and_a_wrong_record_are_named(clean: RawData) -> None:
    numbers = _numbers(clean)
    numbers[4], numbers[9] = 0, numbers[9] * 5
    assert "1 patterns below 0.3 and 1 above 3" in _patterns_say(_with(clean, numbers), "frames").says
    recorded = replace(clean, metadata=replace(clean.metadata, n_photons=1e9))
    assert "records 1e+09 photons" in _patterns_say(recorded, "dose").says
    dim = make_scan(n_scan=25, N=32, n_photons=50)
    assert _patterns_say(replace(dim, metadata=replace(dim.metadata, n_photons=None)), "dose").level == "fix"


def test_a_scan_of_mostly_dark_frames_is_examined_and_they_are_named(clean: RawData) -> None:
    numbers = _numbers(clean)
    numbers[:50] = 0
    found = _patterns_say(_with(clean, numbers), "frames")
    assert (found.level, found.says[:11]) == ("fix", "50 patterns")
    assert "least_dose" in str(found.fix)


def test_frames_with_the_beam_in_the_corners_are_no_go(clean: RawData) -> None:
    found = _patterns_say(_with(clean, np.fft.fftshift(_numbers(clean), axes=(1, 2))), "beam center")
    assert found.level == "no-go"
    assert "fftshift" in str(found.fix)


def test_a_saturated_counter_is_seen_in_a_single_pixel(clean: RawData) -> None:
    numbers = _numbers(clean)
    numbers[0, 16, 16] = 65535
    assert _patterns_say(_with(clean, numbers), "saturation").level == "fix"


@pytest.mark.parametrize("dose", [1e2, 1e3, 1e5, 1e7])
def test_counts_of_any_dose_are_not_called_saturated(dose: float) -> None:
    assert _patterns_say(make_scan(n_scan=49, N=32, n_photons=dose), "saturation").level == "go"


def test_positions_that_repeat_or_stray_are_named(clean: RawData) -> None:
    def say(positions: np.ndarray) -> dict[str, Finding]:
        scan = replace(clean, positions=positions)
        return {f.subject: f for f in position_findings(scan, survey(scan))}

    positions = clean.positions.copy()
    positions[5] += 300
    assert "the first in row 5" in say(positions)["outliers"].says
    assert say(np.full_like(positions, 20.0))["duplicates"].level == "no-go"
    alone = clean.subset([0])
    assert [f.level for f in position_findings(alone, survey(alone))] == ["no-go"]


def test_distance_and_pixel_size_must_agree(clean: RawData) -> None:
    def say(scan: RawData) -> dict[str, Finding]:
        return {f.subject: f for f in optics_findings(scan)}

    stated = ScanGeometry(wavelength_m=1e-10, distance_m=1.0, detector_pixel_m=(1e-4, 1e-4))
    size = stated.object_pixel_m((32, 32))
    right = replace(clean, metadata=replace(clean.metadata, geometry=stated, pixel_size_m=size))
    assert say(right)["object pixel"].level == say(right)["propagation"].level == "go"
    wrong = replace(right, metadata=replace(right.metadata, geometry=stated.replace(distance_m=2.0)))
    assert say(wrong)["object pixel"].level == "no-go"
    near = replace(right, metadata=replace(right.metadata, pixel_size_m=(1e-3, 1e-3)))
    assert say(near)["propagation"].level == "fix"
    unknown = replace(clean, metadata=replace(clean.metadata, pixel_size_m=None))
    assert say(unknown)["object pixel"].level == "unknown"
    wide = replace(clean, probe=np.ones((1, 32, 32), np.complex64))
    assert say(wide)["sampling"].level != "go"


def test_a_grouping_that_is_impossible_is_named(clean: RawData) -> None:
    few = clean.subset([0, 1, 2])
    found = _only(examine(few, grouping=GroupingConfig(grid=(2, 2), n_neighbors=7, seed=0), trials=False), "grouping")
    assert found.level == "fix"


# --------------------------------------------------------------------------------------------------------- command line


def test_the_exit_code_says_the_verdict(clean: RawData, tmp_path: Path) -> None:
    clean.to_file(tmp_path / "clean.npz")
    for name, fault, code in (("fix", "duplicate positions", 1), ("nan", "NaN positions", 3)):
        plant_fault(fault, clean, tmp_path / f"{name}.npz")  # type: ignore[arg-type]  # both are faults
        result = CliRunner().invoke(app, ["doctor", str(tmp_path / f"{name}.npz"), "--quick"])
        assert result.exit_code == code, result.output
        assert "ptychofold preprocess --clean-positions" in result.stdout
    result = CliRunner().invoke(app, ["doctor", str(tmp_path / "clean.npz"), "--quick", "--json"])
    assert result.exit_code == 0
    content = json.loads(result.stdout)
    assert content["verdict"] == "go"
    assert {"subject", "level", "says", "fix"} == set(content["findings"][0])


def test_what_is_no_scan_is_no_go(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no scan")
    result = CliRunner().invoke(app, ["doctor", str(tmp_path / "note.txt"), "--quick"])
    assert result.exit_code == 3
    assert "no-go" in result.stdout
