"""Stitching: patches of a scan lie where they belong, in any order, in bounded memory, and the data set their scale."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ptychofold.errors import ConfigError, DivergenceError, DomainError, ShapeError
from ptychofold.patches import extract_patches
from ptychofold.physics import Geometry
from ptychofold.raw_data import RawData
from ptychofold.reconstruction import PredictedPatches, Stitcher, covering_groups, stitch
from ptychofold.reconstruction.stitching import fit_scale
from ptychofold.testing import coordinate_ramp, make_scan

N = 16
SCAN = make_scan(n_scan=64, N=N, step=2.0, n_photons=1e6, phantom="random_phase")


def predicted(
    scan: RawData, *, C: int = 1, batch: int = 10, factor: complex = 1.0, order: np.ndarray | None = None
) -> Iterator[PredictedPatches]:
    """Give the true patches of a scan as a perfect network would, times a factor."""
    assert scan.object is not None
    members = covering_groups(scan.positions, C=C).members.astype(np.int64)
    groups = np.arange(len(members)) if order is None else order
    for start in range(0, len(groups), batch):
        chosen = groups[start : start + batch]
        rows = members[chosen].ravel()
        yield PredictedPatches(
            patches=torch.from_numpy(extract_patches(scan.object, scan.positions[rows], N) * np.complex64(factor)),
            positions=torch.from_numpy(scan.positions[rows]),
            members=torch.from_numpy(rows),
            groups=torch.from_numpy(np.repeat(chosen, C)),
            experiment=torch.zeros(len(rows), dtype=torch.int64),
        )


def lit(coverage: np.ndarray) -> np.ndarray:
    return np.asarray(coverage > 0.05 * coverage.max())


def test_a_patch_between_pixels_lies_where_it_was_cut() -> None:
    ramp, at = coordinate_ramp((40, 44)), np.array([[15.3, 21.7]])
    stitcher = Stitcher((40, 44), weight=torch.ones(N, N))
    stitcher.add(torch.from_numpy(extract_patches(ramp, at, N)), torch.from_numpy(at))
    found = stitcher.result()
    inner = (slice(15 - 7, 15 + 8), slice(21 - 7, 21 + 8))
    np.testing.assert_allclose(found.object[inner], ramp[inner], atol=1e-4)
    assert found.coverage[15, 21] == pytest.approx(1)
    assert not found.object[:7].any()
    assert not found.coverage[:, 31:].any()


def test_a_whole_ramp_is_neither_mirrored_nor_swapped_nor_moved() -> None:
    scan = make_scan(n_scan=100, N=N, step=2.0, phantom="coordinate_ramp")
    assert scan.object is not None
    stitcher = Stitcher(scan.object.shape, weight=torch.from_numpy(np.abs(scan.probe[0]) ** 2))
    for batch in predicted(scan):
        stitcher.add(batch.patches, batch.positions)
    found = stitcher.result()
    error = np.abs(found.object - scan.object)
    seen, well_lit = lit(found.coverage), found.coverage > 0.5 * found.coverage.max()
    assert well_lit.sum() > 200
    assert error[well_lit].max() < 0.15
    assert error[seen].max() < 0.5  # at the rim the weight falls steeply within a pixel


def test_the_object_is_found_up_to_its_global_phase_and_the_data_set_the_scale() -> None:
    assert SCAN.object is not None
    result = stitch(predicted(SCAN, C=4, factor=3.7j), SCAN)
    seen = lit(result.coverage)
    ratio = result.object[seen] / SCAN.object[seen]
    assert np.median(np.abs(ratio)) == pytest.approx(1, abs=0.01)
    assert np.angle(ratio).std() < 0.1
    assert abs(np.angle((result.object * result.coverage).sum())) < 1e-5
    assert result.r_factor < 0.1
    assert stitch(predicted(SCAN, factor=-0.2), SCAN).r_factor == pytest.approx(
        stitch(predicted(SCAN), SCAN).r_factor, abs=1e-5
    )


@settings(max_examples=8)
@given(seed=st.integers(0, 999), batch=st.integers(1, 70), C=st.sampled_from([1, 4]))
def test_neither_the_order_of_groups_nor_the_size_of_batches_matters(seed: int, batch: int, C: int) -> None:
    n_groups = len(covering_groups(SCAN.positions, C=C))
    order = np.random.default_rng(seed).permutation(n_groups)
    plain = stitch(predicted(SCAN, C=C), SCAN)
    other = stitch(predicted(SCAN, C=C, batch=batch, order=order), SCAN)
    np.testing.assert_allclose(other.object, plain.object, rtol=0, atol=1e-5 * float(np.abs(plain.object).max()))
    np.testing.assert_allclose(other.coverage, plain.coverage, rtol=1e-5)


def test_phases_on_either_side_of_pi_average_to_pi_and_not_to_zero() -> None:
    stitcher = Stitcher((8, 8), weight=torch.ones(4, 4))
    for phase in (np.pi - 0.1, -np.pi + 0.1):
        patch = torch.full((1, 4, 4), complex(np.exp(1j * phase)), dtype=torch.complex64)
        stitcher.add(patch, torch.tensor([[4.0, 4.0]]))
    assert stitcher.result().object[4, 4].real == pytest.approx(-np.cos(0.1))


def test_coverage_is_the_illumination_that_reached_each_pixel() -> None:
    result = stitch(predicted(SCAN), SCAN)
    weight = np.abs(SCAN.probe[0]) ** 2
    assert result.coverage.sum() == pytest.approx(len(SCAN) * weight.sum(), rel=0.01)
    flat = stitch(predicted(SCAN), SCAN, weight=np.ones((N, N), np.float32))
    assert flat.coverage.max() <= len(SCAN)
    assert flat.coverage.sum() == pytest.approx(len(SCAN) * N * N, rel=1e-4)


def test_an_object_without_a_frame_begins_before_the_scan_if_patches_do() -> None:
    from dataclasses import replace

    scan = replace(SCAN, object=None, positions=SCAN.positions - 12.5)
    moved = [batch._replace(positions=batch.positions - 12.5) for batch in predicted(SCAN)]
    result = stitch(moved, scan)
    assert (result.shift > 0).all()
    np.testing.assert_allclose(result.positions, scan.positions + result.shift)
    assert result.r_factor == pytest.approx(stitch(predicted(SCAN), SCAN).r_factor, abs=0.02)


def test_memory_does_not_grow_with_the_number_of_patches() -> None:
    rng = np.random.default_rng(0)
    patches = torch.ones(32, N, N, dtype=torch.complex64)

    def peak(n_batches: int) -> int:
        positions = torch.from_numpy(rng.uniform(N, 100, (n_batches, 32, 2)))
        tracemalloc.start()
        stitcher = Stitcher((128, 128), weight=torch.ones(N, N))
        for at in positions:
            stitcher.add(patches, at)
        stitcher.result()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    few, many = peak(5), peak(45)
    patches_bytes = 40 * 32 * N * N * 8
    assert many - few < 0.1 * patches_bytes


def test_what_cannot_be_stitched_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected a weight of shape \(N, N\)"):
        Stitcher((8, 8), weight=torch.ones(4, 3))
    for wrong in (torch.zeros(4, 4), -torch.ones(4, 4), torch.full((4, 4), torch.nan)):
        with pytest.raises(DomainError, match="expected a weight that is finite"):
            Stitcher((8, 8), weight=wrong)
    stitcher = Stitcher((8, 8), weight=torch.ones(4, 4))
    with pytest.raises(ShapeError, match="found none"):
        stitcher.result()
    with pytest.raises(ShapeError, match=r"expected patches of \(4, 4\)"):
        stitcher.add(torch.ones(1, 5, 5, dtype=torch.complex64), torch.tensor([[4.0, 4.0]]))
    stitcher.add(torch.full((1, 4, 4), torch.nan, dtype=torch.complex64), torch.tensor([[4.0, 4.0]]))
    with pytest.raises(DivergenceError, match="expected finite patches"):
        stitcher.result()


def test_patches_of_several_scans_or_of_a_part_are_refused() -> None:
    first, *others = predicted(SCAN)
    with pytest.raises(ConfigError, match="patches of one scan"):
        stitch([first, first._replace(experiment=first.experiment + 1)], SCAN)
    with pytest.raises(ShapeError, match="found none of 10, such as 0"):
        stitch(others, SCAN)


@pytest.mark.parametrize(("n_photons", "unit"), [(8, 0.01), (100, 1.0), (400, 100.0), (2000, 1.0), (1e5, 1.0)])
def test_the_scale_of_a_true_object_is_right_at_any_dose(n_photons: float, unit: float) -> None:
    scan = make_scan(n_scan=64, N=32, step=2.0, n_photons=n_photons, phantom="random_phase")
    dim = replace(scan, probe=scan.probe * np.float32(unit))
    assert dim.object is not None
    found = fit_scale(dim, dim.object, dim.probe, dim.positions, geometry=Geometry())
    assert found * unit == pytest.approx(1, abs=0.1 if n_photons < 100 else 0.02)


def test_stray_counts_where_the_model_is_dark_do_not_move_the_scale() -> None:
    scan = make_scan(n_scan=64, N=32, step=2.0, n_photons=1e5, phantom="random_phase")
    patterns = np.asarray(scan.patterns.read(np.arange(64))).copy()
    patterns[:, :2, :2] = 30_000
    stray = scan.with_patterns(patterns)
    assert stray.object is not None
    found = fit_scale(stray, stray.object, stray.probe, stray.positions, geometry=Geometry())
    assert found == pytest.approx(1, abs=0.01)


def test_an_object_of_the_scan_that_does_not_hold_its_patches_gives_no_frame() -> None:
    assert SCAN.object is not None
    cut = replace(SCAN, object=SCAN.object[:-8, :-8])
    whole = stitch(predicted(SCAN), replace(SCAN, object=None))
    found = stitch(predicted(SCAN), cut)
    assert found.object.shape == whole.object.shape
    assert found.r_factor == pytest.approx(whole.r_factor, rel=1e-6)
