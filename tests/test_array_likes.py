"""Lists of numbers and tensors are taken where arrays are; anything else is one clear error."""

import numpy as np
import pytest
import torch

from ptychofold.compat import PtychoDataContainer
from ptychofold.compat import RawData as LegacyRawData
from ptychofold.config import GroupingConfig
from ptychofold.errors import DtypeError, MissingFieldError, ShapeError
from ptychofold.grouping import group_scan
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
