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
from ptychofold.reconstruction import doctor, scales
from ptychofold.reconstruction.doctor import examine, examine_file
from ptychofold.reconstruction.orientation import OrientationRanking, rank_orientations
from ptychofold.reconstruction.scales import ScaleRanking, rank_scales
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
    monkeypatch.setattr(scales, "SCALES", (0.5, 0.71, 0.84, 1.0, 1.41))
    monkeypatch.setattr(scales, "LONGER", 1)


def _only(diagnosis: Diagnosis, subject: str) -> Finding:
    return next(finding for finding in diagnosis.findings if finding.subject == subject)


@pytest.mark.usefixtures("short_trials", "unchecked_signatures")
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


@pytest.mark.usefixtures("short_trials", "unchecked_signatures")
def test_a_clean_scan_goes(clean: RawData) -> None:
    stages: list[str] = []
    diagnosis = examine(clean, on_stage=stages.append)
    assert diagnosis.verdict == "go", list(diagnosis.of_level("fix"))
    assert _only(diagnosis, "orientation").level == _only(diagnosis, "distance").level == "go"
    assert stages == ["patterns", "positions", "orientation", "distance"]


def test_the_shipped_scan_goes() -> None:
    diagnosis = examine_file(sample_path("siemens"), trials=False)
    assert diagnosis.verdict == "untried", [*diagnosis.of_level("fix"), *diagnosis.of_level("no-go")]


def test_what_was_not_tried_is_unknown_and_no_go_ahead(clean: RawData) -> None:
    diagnosis = examine(clean, trials=False)
    assert diagnosis.verdict == "untried"
    for subject in ("orientation", "distance"):
        found = _only(diagnosis, subject)
        assert (found.level, found.says) == ("unknown", "not tried: no trial reconstructions were made")


def test_positions_unfit_for_trials_leave_orientation_and_distance_unknown(clean: RawData) -> None:
    diagnosis = examine(replace(clean, positions=clean.positions * 1000))
    assert _only(diagnosis, "orientation").says == "not tried: the positions are unfit for trial reconstructions"


SWAPPED = OrientationRanking(
    turns=("transpose", "rotate_90", "flip_rows", "identity"), r_factors=(0.33, 0.331, 0.3313, 0.332), n_patterns=9
)


@pytest.mark.parametrize(
    ("r_factors", "level", "says"),
    [
        ({0.84: (0.15, 0.16), 1.0: (0.1, 0.11), 1.19: (0.15, 0.16)}, "go", "as it is"),
        ({0.84: (0.15, 0.16), 1.0: (0.1, 0.11), 1.19: (0.12, 0.13), 1.41: (0.08, 0.09)}, "no-go", "× 1.41 explains"),
        ({0.84: (0.15, 0.16), 1.0: (0.1, 0.11), 1.19: (0.08, 0.09)}, "fix", "× 1.19 explains"),
        ({0.84: (0.15, 0.16), 1.0: (0.1, 0.11), 1.19: (0.095, 0.105)}, "fix", "× 1.19 explains"),
        ({0.84: (0.15, 0.16), 1.0: (0.1, 0.11), 1.19: (0.09, 0.1), 2.0: (0.05, 0.06)}, "fix", "× 2 explains"),
        ({0.84: (0.15, 0.16), 1.0: (0.1, 0.11), 1.19: (0.08, 0.12)}, "fix", "could not be verified"),
        ({0.84: (0.1461, 0.1455), 1.0: (0.1444, 0.1442), 1.19: (0.1458, 0.1444)}, "fix", "could not be verified"),
    ],
)
def test_a_distance_goes_only_if_two_parts_of_the_scan_agree_on_it(
    r_factors: dict[float, tuple[float, ...]], level: str, says: str, clean: RawData, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = replace(SWAPPED, turns=("identity", "rotate_90"), r_factors=(0.1, 0.2))
    monkeypatch.setattr(doctor, "rank_orientations", lambda _scan: right)
    monkeypatch.setattr(doctor, "rank_scales", lambda _scan: ScaleRanking(r_factors=r_factors, epochs=8))
    diagnosis = examine(clean)
    found = _only(diagnosis, "distance")
    assert (found.level, diagnosis.verdict) == (level, level)
    assert says in found.says


def test_an_orientation_that_the_data_cannot_tell_is_to_be_checked(
    clean: RawData, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated = ScaleRanking(r_factors={0.84: (0.2,), 1.0: (0.1,), 1.19: (0.2,)}, epochs=8)
    monkeypatch.setattr(doctor, "rank_orientations", lambda _scan: SWAPPED)
    monkeypatch.setattr(doctor, "rank_scales", lambda _scan: stated)
    diagnosis = examine(clean)
    found = _only(diagnosis, "orientation")
    assert (found.level, diagnosis.verdict) == ("fix", "fix")
    assert "could not be verified" in found.says


@pytest.mark.usefixtures("unchecked_signatures")
def test_swapped_axes_are_told_where_wrong_turns_lie_far_apart(tmp_path: Path) -> None:
    lines = make_scan(n_scan=144, N=32, step=3.0, grid="raster", n_photons=1e7, seed=12, phantom="lines")
    swapped = RawData.from_file(plant_fault("swapped axes", lines, tmp_path / "fault.npz"))
    assert rank_orientations(swapped, n_patterns=49, epochs=4).allows("identity") is False


@pytest.mark.usefixtures("unchecked_signatures")
def test_a_wrong_distance_does_not_pass_where_its_neighbors_explain_nearly_as_well(tmp_path: Path) -> None:
    star = make_scan(n_scan=150, N=32, step=3.0, n_modes=2, n_photons=1e6, seed=11, phantom="siemens_star")
    further = RawData.from_file(plant_fault("wrong distance", star, tmp_path / "fault.npz"))
    ranking = rank_scales(further, n_patterns=49, epochs=2)
    assert ranking.best < 1
    assert ranking.verdict != "stated"


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


def test_a_background_is_told_from_light_that_is_scattered_far(clean: RawData) -> None:
    numbers = _numbers(clean)
    assert _patterns_say(clean, "background").level == "go"
    flat = np.random.default_rng(0).poisson(0.1 * numbers.mean(), numbers.shape)
    found = _patterns_say(_with(clean, numbers + flat), "background")
    assert found.level == "fix"
    assert "it does not change with the scan" in found.says
    speckle = _with(clean, numbers + np.random.default_rng(1).poisson(np.roll(numbers, (16, 16), axis=(1, 2)) // 16))
    assert "as of light" in _patterns_say(speckle, "background").says
    bright = _with(clean, numbers + 100 * int(numbers.mean()))
    assert _patterns_say(bright, "background").level == "go"


def test_a_near_field_has_light_everywhere_and_no_background(clean: RawData) -> None:
    near = replace(clean, metadata=replace(clean.metadata, geometry=ScanGeometry(propagation="near_field")))
    assert _patterns_say(near, "background").level == "unknown"


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


@pytest.mark.usefixtures("unchecked_signatures")
def test_dark_frames_are_left_out_of_trials_which_need_some_light(
    clean: RawData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rank(scan: RawData) -> OrientationRanking:
        return rank_orientations(scan, n_patterns=len(scan), epochs=1)

    monkeypatch.setattr(doctor, "rank_orientations", rank)
    monkeypatch.setattr(doctor, "rank_scales", lambda scan: rank_scales(scan, n_patterns=len(scan), epochs=1))
    monkeypatch.setattr(scales, "SCALES", (1.0, 1.41))
    numbers = _numbers(clean)
    numbers[12:] = 0
    diagnosis = examine(_with(clean, numbers))
    assert diagnosis.verdict == "fix"
    assert _only(diagnosis, "distance").level != "unknown"
    numbers[3:] = 0
    untried = _only(examine(_with(clean, numbers)), "distance")
    assert (untried.level, untried.says) == ("unknown", "not tried: only 3 patterns have light in them")


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


def test_scan_points_that_are_few_or_on_a_line_are_named(clean: RawData) -> None:
    def say(scan: RawData) -> Finding:
        return next(f for f in position_findings(scan, survey(scan)) if f.subject == "scan points")

    assert say(clean).level == "go"
    few = say(clean.subset([0, 1, 2, 10, 11]))
    assert (few.level, few.says[:17]) == ("fix", "5 different ones:")
    along = np.linspace(0, 160, len(clean))
    line = replace(clean, positions=np.stack([0.5 * along, along], axis=1))
    assert (say(line).level, "straight line" in say(line).says) == ("no-go", True)
    assert _only(examine(line), "orientation").level == "unknown"


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
    assert result.exit_code == 1
    content = json.loads(result.stdout)
    assert (content["verdict"], content["tried"]) == ("untried", False)
    assert {"subject", "level", "says", "fix"} == set(content["findings"][0])


def test_what_is_no_scan_is_no_go(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no scan")
    result = CliRunner().invoke(app, ["doctor", str(tmp_path / "note.txt"), "--quick"])
    assert result.exit_code == 3
    assert "no-go" in result.stdout
