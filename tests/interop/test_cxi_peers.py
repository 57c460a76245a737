"""What we write as CXI is read, field by field, by Ptychodus and by cdtools; needs their wheels."""

from pathlib import Path

import numpy as np
import pytest

import ptychofold as pf
from ptychofold.formats import write_fields
from ptychofold.testing.scans import make_scan

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore:'xdrlib' is deprecated"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:cdtools"),
]
GEOMETRY = pf.ScanGeometry(
    wavelength_m=1.24e-10, distance_m=1e-8 * 16 * 75e-6 / 1.24e-10, detector_pixel_m=(75e-6,) * 2
)


def _written(path: Path) -> pf.RawData:
    from dataclasses import replace

    scan = make_scan(n_scan=12, N=16, n_modes=2, n_bad_pixels=3)
    scan = replace(scan, metadata=replace(scan.metadata, geometry=GEOMETRY))
    assert write_fields(scan.to_fields(), path) == ()
    return scan


def test_ptychodus_reads_the_product_and_the_patterns(tmp_path: Path) -> None:
    pytest.importorskip("ptychodus")
    from ptychodus.plugins.cxi_file import CXIDiffractionFileReader, CXIProductFileIO

    scan = _written(tmp_path / "a.cxi")
    product = CXIProductFileIO().read(tmp_path / "a.cxi")
    np.testing.assert_array_equal(product.probes.get_array()[0], scan.probe)
    assert scan.object is not None
    np.testing.assert_array_equal(product.object_.get_array()[0], scan.object)
    geometry = product.object_.get_geometry()
    y = geometry.map_probe_positions_to_object_y_px(product.probe_positions)
    x = geometry.map_probe_positions_to_object_x_px(product.probe_positions)
    np.testing.assert_allclose(np.stack([y, x], axis=1) - (scan.N - 1) / 2, scan.positions - scan.N // 2, atol=1e-6)
    assert product.metadata.photon_energy_eV == pytest.approx(GEOMETRY.energy, rel=1e-6)
    assert product.metadata.detector_distance_m == pytest.approx(GEOMETRY.distance_m)
    dataset = CXIDiffractionFileReader().read(tmp_path / "a.cxi")
    np.testing.assert_array_equal(np.asarray(dataset[0].get_patterns()), scan.patterns.read(slice(None)))
    np.testing.assert_array_equal(dataset.get_bad_pixels(), scan.bad_pixels)


@pytest.mark.parametrize("ending", ["cxi", "nxs"])
def test_cdtools_reads_every_field(tmp_path: Path, ending: str) -> None:
    import h5py

    tools = pytest.importorskip("cdtools.tools.data")
    scan = _written(tmp_path / f"a.{ending}")
    with h5py.File(tmp_path / f"a.{ending}") as file:
        data, _ = tools.get_data(file)
        distance, basis, _ = tools.get_detector_geometry(file)
        translations, mask, wavelength = (
            tools.get_ptycho_translations(file),
            tools.get_mask(file),
            tools.get_wavelength(file),
        )
    np.testing.assert_array_equal(data, scan.patterns.read(slice(None)))
    np.testing.assert_array_equal(~mask, scan.bad_pixels)
    assert wavelength == pytest.approx(GEOMETRY.wavelength_m, rel=1e-6)
    assert distance == pytest.approx(GEOMETRY.distance_m, rel=1e-6)
    np.testing.assert_allclose(np.linalg.norm(basis, axis=0), 75e-6, rtol=1e-6)
    rows, columns = (translations @ (basis[:, axis] / 75e-6) for axis in (0, 1))
    seen = np.stack([rows, columns], axis=1) / scan.metadata.pixel_size_m
    np.testing.assert_allclose(seen - seen[0], scan.positions - scan.positions[0], atol=1e-4)


def test_a_cxi_product_of_ptychodus_is_read(tmp_path: Path) -> None:
    pytest.importorskip("ptychodus")
    from ptychodus.plugins.cxi_file import CXIProductFileIO

    scan = _written(tmp_path / "a.cxi")
    product = CXIProductFileIO().read(tmp_path / "a.cxi")
    CXIProductFileIO().write(tmp_path / "b.cxi", product)
    found = pf.formats.read_fields(tmp_path / "b.cxi", patterns=tmp_path / "a.cxi")
    assert found.positions is not None
    np.testing.assert_allclose(found.positions, scan.positions, atol=1e-6)
    np.testing.assert_array_equal(found.probe, scan.probe)


def test_an_npz_product_of_ptychodus_is_read(tmp_path: Path) -> None:
    pytest.importorskip("ptychodus")
    from ptychodus.plugins.cxi_file import CXIProductFileIO
    from ptychodus.plugins.npz_product_file import NPZProductFileIO

    scan = _written(tmp_path / "a.cxi")
    NPZProductFileIO().write(tmp_path / "b.npz", CXIProductFileIO().read(tmp_path / "a.cxi"))
    found = pf.formats.read_fields(tmp_path / "b.npz", patterns=tmp_path / "a.cxi")
    assert found.format == "Ptychodus NPZ product"
    assert found.positions is not None
    np.testing.assert_allclose(found.positions, scan.positions, atol=1e-6)
    np.testing.assert_array_equal(found.probe, scan.probe)
    np.testing.assert_array_equal(found.object, scan.object)
