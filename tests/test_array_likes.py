"""Lists of numbers and tensors are taken where arrays are; anything else is one clear error."""

import numpy as np
import pytest
import torch

from ptychofold.compat import PtychoDataContainer
from ptychofold.compat import RawData as LegacyRawData
from ptychofold.config import GroupingConfig
from ptychofold.errors import ConfigError, DtypeError, MissingFieldError, ShapeError
from ptychofold.grouping import group_scan
from ptychofold.loading import chosen, turned
from ptychofold.raw_data import RawData
from ptychofold.testing import make_scan

GRID = GroupingConfig(grid=(2, 2), n_neighbors=5, seed=0)
SCAN = make_scan(n_scan=12, N=16)


def test_positions_may_be_a_list_or_a_tensor() -> None:
    members = group_scan(SCAN.positions, GRID).members
    for given in (SCAN.positions.tolist(), torch.from_numpy(SCAN.positions.copy())):
        np.testing.assert_array_equal(group_scan(given, GRID).members, members)


@pytest.mark.parametrize("wrong", [5.0, [1.0, 2.0], []])
def test_a_list_of_another_shape_is_a_shape_error(wrong: object) -> None:
    with pytest.raises(ShapeError, match=r"expected positions of shape \(scan, 2\)"):
        group_scan(wrong, GRID)  # type: ignore[arg-type]


@pytest.mark.usefixtures("unchecked_signatures")
@pytest.mark.parametrize(
    ("wrong", "found"), [([[1.0], [1.0, 2.0]], "list: "), (["a", "b"], "list of <U1"), ({}, "dict of object")]
)
def test_what_is_no_array_of_numbers_is_a_dtype_error(wrong: object, found: str) -> None:
    with pytest.raises(DtypeError, match=f"expected positions as an array of numbers; found {found}"):
        group_scan(wrong, GRID)  # type: ignore[arg-type]
    with pytest.raises(DtypeError, match=f"expected probe as an array of numbers; found {found}"):
        RawData.from_arrays(patterns=SCAN.patterns, positions=SCAN.positions, probe=wrong)  # type: ignore[arg-type]
    with pytest.raises(DtypeError, match=f"expected patterns as an array of numbers; found {found}"):
        RawData.from_arrays(patterns=wrong, positions=SCAN.positions, probe=SCAN.probe)  # type: ignore[arg-type]


def test_a_scan_may_be_given_as_lists() -> None:
    patterns = SCAN.patterns.read(slice(None))
    lists = RawData.from_arrays(
        patterns=patterns.tolist(),
        positions=SCAN.positions.tolist(),
        probe=SCAN.probe.tolist(),
        scan_index=[0] * 12,
        measurement="intensity",
    )
    np.testing.assert_array_equal(lists.amplitude(range(12)), SCAN.amplitude(range(12)))
    y, x = SCAN.positions.T
    given = (x.tolist(), y.tolist(), patterns.tolist(), SCAN.probe[0].tolist(), None)
    for container in (
        PtychoDataContainer.from_raw_data_without_pc(*given, nsamples=3, seed=1),
        PtychoDataContainer.from_raw_data_without_pc(x, y, patterns, SCAN.probe[0], None, nsamples=3, seed=1),
    ):
        np.testing.assert_array_equal(
            np.asarray(container.nn_indices), lists.generate_grouped_data(16, K=7, nsamples=3, seed=1)["nn_indices"]
        )


def test_coordinates_that_disagree_are_named_as_they_were_given() -> None:
    y, x = SCAN.positions.T
    with pytest.raises(ShapeError, match=r"expected xcoords and ycoords of shape \(scan,\); found \(11,\) and \(12,\)"):
        LegacyRawData.from_coords_without_pc(x[1:], y, SCAN.patterns.read(slice(None)), SCAN.probe[0], None)


@pytest.mark.usefixtures("unchecked_signatures")
def test_a_missing_array_is_named() -> None:
    with pytest.raises(MissingFieldError, match="expected probe for the scan; found None"):
        RawData.from_arrays(patterns=SCAN.patterns, positions=SCAN.positions, probe=None)  # type: ignore[arg-type]


@pytest.mark.usefixtures("unchecked_signatures")
def test_scan_points_are_whole_numbers_or_a_mask_of_all() -> None:
    mask = np.zeros(12, bool)
    mask[[3, 7]] = True
    np.testing.assert_array_equal(SCAN.subset(mask).positions, SCAN.positions[[3, 7]])
    np.testing.assert_array_equal(SCAN.amplitude(mask), SCAN.amplitude([3, 7]))
    for wrong in ([0.7, 1.2], np.array([True, False])):
        for read in (SCAN.subset, SCAN.amplitude):
            with pytest.raises(DtypeError, match="whole numbers, or a mask of all 12"):
                read(wrong)  # type: ignore[arg-type]


@pytest.mark.usefixtures("unchecked_signatures")
def test_masked_numbers_are_refused_and_a_mask_of_none_is_no_matter() -> None:
    positions = np.ma.masked_array(SCAN.positions, mask=np.zeros((12, 2), bool))
    assert len(group_scan(positions, GRID)) == len(group_scan(SCAN.positions, GRID))
    positions[3] = np.ma.masked
    with pytest.raises(DtypeError, match="without masked numbers; found 2"):
        group_scan(positions, GRID)


def test_numbers_of_more_than_64_bits_are_refused() -> None:
    patterns = SCAN.amplitude(range(12)).astype(np.longdouble)
    with pytest.raises(DtypeError, match="at most 64 bits"):
        RawData.from_arrays(patterns=patterns, positions=SCAN.positions, probe=SCAN.probe, measurement="amplitude")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"seed": 1.5}, "seed"),
        ({"seed": "a"}, "seed"),
        ({"gridsize": 2.0}, "gridsize"),
        ({"gridsize": (2, 2)}, "gridsize"),
        ({"K": 4.5}, "K, the number of neighbors,"),
        ({"nsamples": 3.0}, "nsamples"),
        ({"nsamples": True}, "nsamples"),
        ({"seed": True}, "seed"),
    ],
)
@pytest.mark.usefixtures("unchecked_signatures")
def test_the_contracts_numbers_are_whole(options: dict[str, object], name: str) -> None:
    with pytest.raises(DtypeError, match=f"{name} as a whole number"):
        SCAN.generate_grouped_data(16, **{"K": 6, "nsamples": 3, "seed": 1, "gridsize": 2, **options})  # type: ignore[arg-type]


def test_positions_are_turned_by_a_finite_scale_and_some_points_are_kept() -> None:
    for scale in (float("nan"), 0.0):
        with pytest.raises(ConfigError, match="finite scale"):
            turned(SCAN, scale=scale)
    with pytest.raises(ConfigError, match="at least one scan point"):
        chosen(SCAN, -3, seed=0)
    with pytest.raises(ConfigError, match="a seed from 0"):
        chosen(SCAN, 3, seed=-1)
