"""Compare with what Ptychodus itself writes and reads; needs its wheel (``make test-interop``)."""

from pathlib import Path

import numpy as np
import pytest

from ptychofold.formats import read_fields, write_fields
from ptychofold.formats.fields import ScanFields

pytestmark = pytest.mark.interop
N_SCAN, N, SHAPE = 9, 16, (50, 47)


def _input() -> object:
    """Return a Ptychodus ReconstructInput with known geometry."""
    pytest.importorskip("ptychodus")
    from ptychodus.api.geometry import PixelGeometry
    from ptychodus.api.object import Object, ObjectCenter
    from ptychodus.api.probe import ProbeSequence
    from ptychodus.api.probe_positions import ProbePosition, ProbePositionSequence
    from ptychodus.api.product import Product, ProductMetadata
    from ptychodus.api.reconstruct import ReconstructInput

    rng = np.random.default_rng(0)
    pixel = PixelGeometry(width_m=4e-9, height_m=5e-9)
    points = [ProbePosition(3 + i, *rng.uniform(-6e-8, 6e-8, 2)) for i in range(N_SCAN)]
    probe = (rng.normal(size=(1, 2, N, N)) + 1j).astype(np.complex64)
    canvas = (rng.normal(size=(1, *SHAPE)) + 1j).astype(np.complex64)
    product = Product(
        metadata=ProductMetadata("name", "", 1.5, 8000.0, 1e6, 0.5, 0.0, 0.0),
        probe_positions=ProbePositionSequence(points),
        probes=ProbeSequence(probe, None, pixel),
        object_=Object(canvas, pixel, ObjectCenter(1e-9, 2e-9)),
        losses=[],
    )
    patterns = rng.poisson(20, (N_SCAN, N, N)).astype(np.uint16)
    return ReconstructInput(patterns, np.zeros((N, N), bool), product)


def _corners(parameters: object) -> np.ndarray:
    """Return where Ptychodus lays the first pixel (y, x) of a patch."""
    product = parameters.product  # type: ignore[attr-defined]
    geometry = product.object_.get_geometry()
    y = geometry.map_probe_positions_to_object_y_px(product.probe_positions)
    x = geometry.map_probe_positions_to_object_x_px(product.probe_positions)
    return np.stack([y, x], axis=1) - (N - 1) / 2


def _check(found: ScanFields, parameters: object) -> None:
    assert found.positions is not None
    np.testing.assert_allclose(found.positions - N // 2, _corners(parameters), atol=1e-6)
    product = parameters.product  # type: ignore[attr-defined]
    np.testing.assert_array_equal(found.probe, product.probes.get_array()[0])
    np.testing.assert_array_equal(found.object, product.object_.get_array()[0])


def test_training_data_of_ptychodus_is_read(tmp_path: Path) -> None:
    parameters = _input()
    from ptychodus.api.io import save_training_data

    save_training_data(tmp_path / "a.h5", parameters)
    found = read_fields(tmp_path / "a.h5")
    _check(found, parameters)
    assert found.patterns is not None
    np.testing.assert_array_equal(found.patterns.read(slice(None)), parameters.diffraction_patterns)  # type: ignore[attr-defined]
    assert found.measurement == "intensity"


def test_the_archive_that_ptychodus_exports_for_ptychopinn_is_read_unchanged(tmp_path: Path) -> None:
    parameters = _input()
    from ptychodus.api.io import save_ptychopinn_training_data

    save_ptychopinn_training_data(tmp_path / "a.npz", parameters)
    found = read_fields(tmp_path / "a.npz")
    assert found.measurement == "intensity"
    assert "exported by Ptychodus" in str(found.measurement_reason)
    with np.load(tmp_path / "a.npz") as archive:
        written = np.stack([archive["ycoords"], archive["xcoords"]], axis=1)
    assert found.positions is not None
    np.testing.assert_allclose(found.positions, written + 0.5)
    assert found.patterns is not None
    assert found.patterns.dtype == np.uint16
    assert found.bad_pixels is not None


def test_a_product_goes_there_and_back(tmp_path: Path) -> None:
    parameters = _input()
    from ptychodus.api.io import load_product, save_product

    save_product(tmp_path / "a.h5", parameters.product)  # type: ignore[attr-defined]
    found = read_fields(tmp_path / "a.h5")
    _check(found, parameters)
    assert write_fields(found, tmp_path / "b.h5") == ()
    again = load_product(tmp_path / "b.h5")
    geometry = again.object_.get_geometry()
    y = geometry.map_probe_positions_to_object_y_px(again.probe_positions)
    np.testing.assert_allclose(y - (N - 1) / 2, _corners(parameters)[:, 0], atol=1e-6)
    assert again.metadata.photon_energy_eV == pytest.approx(8000.0)
    assert again.metadata.probe_photon_count == 1e6
    np.testing.assert_array_equal(again.probe_positions.get_indexes(), 3 + np.arange(N_SCAN))


def test_diffraction_data_of_ptychodus_belongs_to_its_product(tmp_path: Path) -> None:
    parameters = _input()
    from ptychodus.api.assemble import AssembledDiffractionData
    from ptychodus.api.geometry import PixelGeometry
    from ptychodus.api.io import save_diffraction_data, save_product

    patterns = parameters.diffraction_patterns  # type: ignore[attr-defined]
    order = np.random.default_rng(1).permutation(N_SCAN)
    data = AssembledDiffractionData(3 + order, patterns[order], PixelGeometry(75e-6, 75e-6), np.zeros((N, N), bool))
    save_diffraction_data(tmp_path / "b.h5", data)
    save_product(tmp_path / "a.h5", parameters.product)  # type: ignore[attr-defined]
    found = read_fields(tmp_path / "a.h5", patterns=tmp_path / "b.h5")
    assert found.patterns is not None
    np.testing.assert_array_equal(found.patterns.read(slice(None)), patterns)


def test_ptychodus_loads_a_product_without_object(tmp_path: Path) -> None:
    parameters = _input()
    from dataclasses import replace

    from ptychodus.api.io import load_product, save_product

    save_product(tmp_path / "a.h5", parameters.product)  # type: ignore[attr-defined]
    write_fields(replace(read_fields(tmp_path / "a.h5"), object=None), tmp_path / "b.h5")
    assert len(load_product(tmp_path / "b.h5").probe_positions) == N_SCAN
