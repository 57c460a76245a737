"""Build scans from goldens and call the contract as the reference was called."""

from dataclasses import replace

import numpy as np
from tests.golden_files import Sampled

from ptychofold.contract import GroupedData
from ptychofold.raw_data import RawData


def scan_of(inputs: dict[str, np.ndarray]) -> RawData:
    """Return the scan that a case was run on; its patterns are amplitude, as the contract declares."""
    nominal = None
    if "xcoords_start" in inputs:
        nominal = np.stack([inputs["ycoords_start"], inputs["xcoords_start"]], axis=1)
    scan = RawData.from_arrays(
        patterns=inputs["diff3d"],
        positions=np.stack([inputs["ycoords"], inputs["xcoords"]], axis=1),
        positions_nominal=nominal,
        probe=inputs["probeGuess"],
        scan_index=inputs["scan_index"],
        object=inputs.get("objectGuess"),
        patches=inputs.get("Y"),
        measurement="amplitude",
    )
    return replace(scan, file_rows=inputs.get("sample_indices"))


def grouped_as_reference(inputs: dict[str, np.ndarray], params: dict) -> GroupedData:  # type: ignore[type-arg]
    """Make the call of a case; what the reference took from globals is passed by name."""
    call = dict(params["call"])
    if call["gridsize"] is None:
        call["gridsize"] = params["legacy_cfg"]["gridsize"]
    if call["seed"] is None and params.get("global_preseed") is not None:
        call["seed"] = params["global_preseed"]
    return scan_of(inputs).generate_grouped_data(**call)


def assert_equal(found: np.ndarray, want: np.ndarray | Sampled, *, rtol: float = 0.0, atol: float = 0.0) -> None:
    """Compare values; the whole array where the golden holds it, else its digest or its sampled elements."""
    assert found.shape == want.shape
    if isinstance(want, Sampled):
        if rtol == atol == 0.0 and found.dtype == want.dtype:
            assert want.equals(found)
            return
        np.testing.assert_allclose(found.ravel()[want.flat_index], want.flat_value, rtol=rtol, atol=atol)
        return
    np.testing.assert_allclose(found, want, rtol=rtol, atol=atol)
