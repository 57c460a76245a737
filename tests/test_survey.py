from dataclasses import replace

import numpy as np
import pytest

from ptychofold.errors import DomainError
from ptychofold.formats.lazy import ArrayInMemory
from ptychofold.raw_data import RawData
from ptychofold.survey import median_pattern, summarise_patterns, survey
from ptychofold.testing import make_scan


def _with_patterns(scan: RawData, patterns: np.ndarray) -> RawData:
    return replace(scan, patterns=ArrayInMemory(patterns))


def _numbers(scan: RawData) -> np.ndarray:
    patterns: np.ndarray = scan.patterns.read(slice(None)).copy()
    return patterns


def test_amplitude_and_intensity_files_of_one_scan_have_one_dose() -> None:
    counts = make_scan(noise=False)
    amplitude = make_scan(noise=False, measurement="amplitude")
    one, other = summarise_patterns(counts), summarise_patterns(amplitude)
    np.testing.assert_allclose(one.dose, other.dose, rtol=1e-5)
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-3, atol=1e-3)
    assert one.mean.sum() == pytest.approx(one.dose.mean())


def test_bad_pixels_do_not_count() -> None:
    scan = make_scan(n_bad_pixels=5)
    assert scan.bad_pixels is not None
    patterns = _numbers(scan)
    patterns[:, scan.bad_pixels] = 60_000
    found = summarise_patterns(_with_patterns(scan, patterns))
    np.testing.assert_array_equal(found.dose, summarise_patterns(scan).dose)
    assert not found.mean[scan.bad_pixels].any()


def test_progress_adds_up_to_the_scan() -> None:
    steps: list[int] = []
    summarise_patterns(make_scan(n_scan=30), progress=steps.append)
    assert sum(steps) == 30


def test_a_negative_pattern_is_refused() -> None:
    scan = make_scan()
    patterns = _numbers(scan).astype(np.int32)
    patterns[7, 3, 3] = -1
    with pytest.raises(DomainError, match="not negative"):
        summarise_patterns(_with_patterns(scan, patterns))


def test_a_dark_scan_is_refused() -> None:
    scan = make_scan()
    with pytest.raises(DomainError, match="zeros everywhere"):
        summarise_patterns(_with_patterns(scan, np.zeros_like(_numbers(scan))))


def test_the_typical_pattern_has_the_median_dose() -> None:
    found = summarise_patterns(make_scan(n_scan=25))
    assert found.dose[median_pattern(found)] == np.median(found.dose)


def test_a_good_scan_has_no_warnings() -> None:
    found = survey(make_scan(n_scan=100, step=2.0))
    assert found.warnings == ()
    assert found.covered == 1.0
    assert found.overlap is not None
    assert found.overlap > 0.8


def _identical(scan: RawData) -> RawData:
    return replace(scan, positions=np.full_like(scan.positions, 20.0))


def _repeated(scan: RawData) -> RawData:
    positions = scan.positions.copy()
    positions[1] = positions[0]
    return replace(scan, positions=positions)


def _in_metres(scan: RawData) -> RawData:
    return replace(scan, positions=scan.positions * 1e-8)


def _apart(scan: RawData) -> RawData:
    return replace(scan, positions=scan.positions * 9)


def _unshifted(scan: RawData) -> RawData:
    return _with_patterns(scan, np.fft.fftshift(_numbers(scan), axes=(1, 2)))


def _saturated(scan: RawData) -> RawData:
    return _with_patterns(scan, np.minimum(_numbers(scan), 500))


def _overflowing(scan: RawData) -> RawData:
    patterns = _numbers(scan)
    patterns[0, 16, 16] = 65_535
    return _with_patterns(scan, patterns)


def _partly_dark(scan: RawData) -> RawData:
    patterns = _numbers(scan)
    patterns[:3] = 0
    return _with_patterns(scan, patterns)


def _misdeclared(scan: RawData) -> RawData:
    return replace(scan, metadata=replace(scan.metadata, n_photons=1e9))


def _cut(scan: RawData) -> RawData:
    assert scan.object is not None
    return replace(scan, object=scan.object[:40, :40])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_identical, "All 49 positions are identical"),
        (_repeated, "1 of 49 positions repeat"),
        (_in_metres, "may be metres"),
        (_apart, "Neighboring probes overlap by"),
        (_cut, "does not hold the patches"),
        (_unshifted, "fftshift"),
        (_saturated, "The largest value, 500, occurs"),
        (_overflowing, "The largest value, 65535, occurs 1 times"),
        (_partly_dark, "3 of 49 patterns are dark"),
        (_misdeclared, "records 1e\\+09 photons"),
    ],
)
def test_what_looks_wrong_is_said(damage, says: str) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    warnings = survey(damage(make_scan(n_scan=49))).warnings
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(warnings)


def test_a_field_too_large_to_map_is_not_mapped() -> None:
    scan = make_scan()
    found = survey(replace(scan, positions=scan.positions * 1e4))
    assert found.covered is None
    assert found.probes_per_pixel is None


def test_a_single_scan_point_has_no_step_and_no_overlap() -> None:
    found = survey(make_scan(n_scan=1, N=16))
    assert found.step is None
    assert found.overlap is None


def test_an_object_holds_the_patches_of_positions_that_came_from_metres() -> None:
    scan = make_scan(n_scan=9, N=16)
    corner = np.array([[8.0, 8.0]])
    moved = np.concatenate([corner - 3e-12, scan.positions[1:]])
    assert not any("does not hold" in warning for warning in survey(replace(scan, positions=moved)).warnings)


def test_a_pixel_that_is_far_too_large_is_named_beside_the_unit_of_the_positions() -> None:
    scan = make_scan(n_scan=9, N=16)
    tiny = replace(scan, positions=scan.positions * 1e-3)
    assert "or the pixel, 10 nm, is wrong: energy, distance, detector" in survey(tiny).warnings[0]
