"""The layouts of PtychoViT, fold_slice, PtyPy and PtyLab, each written by hand as its owner writes it."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.formats.making import save_product

import ptychofold as pf
from ptychofold.errors import DomainError, DtypeError, FormatError, MissingFieldError, ShapeError
from ptychofold.formats import read_fields, write_fields
from ptychofold.formats.base import foreign_errors_refused
from ptychofold.testing.scans import make_scan

N_SCAN, N = 12, 8
COUNTS = np.random.default_rng(0).poisson(9.0, (N_SCAN, N, N)).astype(np.uint16)
METRES = np.random.default_rng(1).uniform(-1e-6, 1e-6, (N_SCAN, 2))
ESTIMATED = pf.ReadingConfig(probe="estimate")


def _dp(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["dp"] = COUNTS
    return path


def _check(path: Path, *, name: str, pixel: tuple[float, float], metres: np.ndarray = METRES) -> None:
    """Check patterns, units and where the probe went."""
    scan = pf.RawData.from_file(path, reading=ESTIMATED)
    assert scan.metadata.format == name
    assert scan.measurement == "intensity"
    rows = np.array([7, 0, 11])
    np.testing.assert_array_equal(scan.patterns.read(rows), COUNTS[rows])
    np.testing.assert_array_equal(scan.patterns.read(slice(None)), COUNTS)
    assert scan.metadata.pixel_size_m == pytest.approx(pixel, rel=1e-6)
    np.testing.assert_allclose(np.diff(scan.positions, axis=0), np.diff(metres, axis=0) / pixel, rtol=1e-6)


def test_a_ptychovit_pair_is_joined_by_its_name(tmp_path: Path) -> None:
    save_product(tmp_path / "a_para.hdf5")
    scan = pf.read(_dp(tmp_path / "a_dp.hdf5"))
    assert scan.metadata.format == "PtychoViT pair"
    product = read_fields(tmp_path / "a_para.hdf5")
    np.testing.assert_array_equal(scan.positions, product.positions)
    np.testing.assert_array_equal(scan.probe, product.probe)
    np.testing.assert_array_equal(scan.patterns.read(slice(None)), COUNTS)


def test_ptychovit_positions_in_pixels_are_refused(tmp_path: Path) -> None:
    save_product(tmp_path / "a_para.hdf5")
    with h5py.File(tmp_path / "a_para.hdf5", "r+") as file:
        file["probe_position_x_m"][...] = np.arange(N_SCAN)
    with pytest.raises(DomainError, match=r"expected positions in metres; found 11 as .* looks like pixels"):
        pf.read(_dp(tmp_path / "a_dp.hdf5"))


def test_a_ptychovit_pair_is_written_under_two_names_or_not_at_all(tmp_path: Path) -> None:
    scan = make_scan(n_scan=5, N=16, n_bad_pixels=2)
    assert write_fields(scan.to_fields(), tmp_path / "b_dp.hdf5") == ("bad_pixels",)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b_dp.hdf5", "b_para.hdf5"]
    with h5py.File(tmp_path / "b_para.hdf5") as file:
        assert file["object"].ndim == 3
        assert file["probe"].ndim == 4
        assert file["object"].attrs["pixel_height_m"] == 1e-8
    with pytest.raises(FormatError, match=r"expected a name that ends in _dp\.hdf5, such as c_dp\.hdf5"):
        write_fields(scan.to_fields(), tmp_path / "c.hdf5", format="PtychoViT pair")
    with pytest.raises(MissingFieldError, match=r"expected object in the scan to write; found None\. PtychoViT"):
        write_fields(make_scan(n_scan=5, N=16, object=False).to_fields(), tmp_path / "d_dp.hdf5")
    with pytest.raises(FormatError, match="expected a second file with _para"):
        pf.read(_dp(tmp_path / "alone_dp.hdf5"), format="PtychoViT pair")


def test_of_a_pair_whose_patterns_cannot_be_read_nothing_appears(tmp_path: Path) -> None:
    scan = make_scan(n_scan=4, N=16)
    scan.to_file(tmp_path / "a.npz")
    fields = read_fields(tmp_path / "a.npz")
    (tmp_path / "a.npz").unlink()
    with pytest.raises(FormatError, match=r"a\.npz"):
        write_fields(fields, tmp_path / "b_dp.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_refused_write_is_told_in_the_systems_words(tmp_path: Path) -> None:
    told = (
        "Can't synchronously write data (file write failed: time = Wed Nov 25 17:43:52 2026 , filename = "
        f"'{tmp_path / 'a.cxi.0123.partial'}', file descriptor = 3, errno = 28, error message = 'No space left on "
        "device', buf = 0x55d0, total write size = 40000)"
    )
    with (
        pytest.raises(FormatError, match=r"a\.cxi: writing failed: No space left on device\. Make room\.$"),
        foreign_errors_refused(tmp_path / "a.cxi", doing="writing", cure="Make room."),
    ):
        raise OSError(told)


def test_a_fold_slice_pair_has_metres_wavelength_and_pixel(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s_para.hdf5", "w") as file:
        file["ppX"], file["ppY"] = METRES[:, 1:], METRES[:, :1]
        file["lambda"], file["dx"], file["angle"] = [[1.5e-10]], [[2e-8]], [[30.0]]
    _check(_dp(tmp_path / "s_dp.hdf5"), name="fold_slice pair", pixel=(2e-8, 2e-8))
    found = read_fields(tmp_path / "s_dp.hdf5", reading=ESTIMATED)
    assert found.metadata.wavelength_m == 1.5e-10
    assert found.metadata.extra["tomography_angle_deg"] == 30.0


def test_patterns_named_dp_alone_take_positions_from_a_table(tmp_path: Path) -> None:
    lines = [f"{1e6 * x:.9f}, {1e6 * y:.9f}" for y, x in METRES]
    (tmp_path / "p.csv").write_text("x_um, y_um\n" + "\n".join(lines))
    scan = pf.read(
        _dp(tmp_path / "a.h5"),
        probe="estimate",
        positions=tmp_path / "p.csv",
        frame=pf.PositionFrame(unit="um", axes="xy"),
        pixel_size_m=(1e-8, 2e-8),
    )
    np.testing.assert_allclose(np.diff(scan.positions, axis=0), np.diff(METRES, axis=0) / (1e-8, 2e-8), atol=1e-5)
    with pytest.raises(MissingFieldError, match="expected dp; the file holds positions"):
        pf.read(_renamed(tmp_path / "a.h5"), format="fold_slice pair")


def _renamed(path: Path) -> Path:
    with h5py.File(path, "r+") as file:
        file.move("dp", "positions")
    return path


def _ptyd(path: Path, *, linked: bool = False) -> Path:
    with h5py.File(path, "w") as file:
        file["meta/energy"], file["meta/distance"], file["meta/psize"] = 8.0, 2.0, [75e-6, 75e-6]
        file["meta/center"], file["meta/label"] = [4.0, 4.0], "None"
        file["info/propagation"] = "farfield"
        for number, rows in enumerate(np.split(np.arange(N_SCAN), 3)):
            holder, where = (h5py.File(f"{path}.part{number}", "w"), "/") if linked else (file, f"chunks/{number}")
            chunk = holder.require_group(where)
            chunk.create_dataset("data", data=COUNTS[rows], compression="gzip")
            chunk["positions"], chunk["indices"] = METRES[rows], rows
            weights = np.ones((len(rows), N, N))
            weights[0, 2, 3] = 0.0
            chunk["weights"] = weights
            if linked:
                holder.close()
                file[f"chunks/{number}"] = h5py.ExternalLink(f"{path.name}.part{number}", "/")
    return path


@pytest.mark.parametrize("linked", [False, True])
def test_ptyd_chunks_are_one_scan(tmp_path: Path, linked: bool) -> None:
    path = _ptyd(tmp_path / "a.ptyd", linked=linked)
    pixel = 1.549802e-10 * 2.0 / (N * 75e-6)
    _check(path, name="PtyPy ptyd", pixel=(pixel, pixel))
    found = read_fields(path, reading=ESTIMATED)
    assert found.bad_pixels is not None
    assert np.argwhere(found.bad_pixels).tolist() == [[2, 3]]
    assert found.metadata.geometry is not None
    assert found.metadata.geometry.propagation == "far_field"


def test_what_is_wrong_with_a_ptyd_is_named(tmp_path: Path) -> None:
    path = _ptyd(tmp_path / "a.ptyd", linked=True)
    (tmp_path / "a.ptyd.part1").unlink()
    with pytest.raises(FormatError, match=r"chunk 1 lies in a\.ptyd\.part1, which is missing"):
        pf.read(path)
    path = _ptyd(tmp_path / "b.ptyd")
    with h5py.File(path, "r+") as file:
        del file["chunks/0/positions"]
        file["chunks/0/positions"] = METRES[:3]
    with pytest.raises(ShapeError, match=r"expected 4 positions \(y, x\) in chunk 0; found shape \(3, 2\)"):
        pf.read(path)
    with h5py.File(path, "r+") as file:
        del file["chunks/0/positions"]
    with pytest.raises(MissingFieldError, match="expected data and positions in chunk 0"):
        pf.read(path)
    with h5py.File(path, "r+") as file:
        file["chunks/0/positions"], file["meta/center"][...] = METRES[:4], [1.0, 4.0]
    with pytest.raises(DomainError, match=r"expected the optical axis at pixel \(4, 4\)"):
        pf.read(path)
    with h5py.File(path, "r+") as file:
        del file["chunks/0"], file["chunks/1"], file["chunks/2"]
    with pytest.raises(MissingFieldError, match="expected numbered chunks; found none"):
        pf.read(path, format="PtyPy ptyd")


@pytest.mark.parametrize("data", [np.float32(3.0), h5py.Empty("f4"), COUNTS[0]])
def test_a_chunk_that_is_no_stack_is_refused(tmp_path: Path, data: object) -> None:
    path = _ptyd(tmp_path / "a.ptyd")
    with h5py.File(path, "r+") as file:
        del file["chunks/1/data"]
        file["chunks/1/data"] = data
    with pytest.raises(ShapeError, match=r"expected data of shape \(scan, N, N\) in chunk 1"):
        pf.read(path)


def test_a_data_set_without_numbers_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["ptychogram"], file["encoder"] = COUNTS, h5py.Empty("f8")
    with pytest.raises(DtypeError, match=r"expected real numbers as /encoder; found nothing"):
        pf.read(tmp_path / "a.hdf5")


def test_chunks_of_different_frames_are_refused(tmp_path: Path) -> None:
    path = _ptyd(tmp_path / "a.ptyd")
    with h5py.File(path, "r+") as file:
        del file["chunks/1/data"]
        file["chunks/1/data"] = COUNTS[:4].astype(np.float32)
    with pytest.raises(ShapeError, match=r"expected parts whose frames agree .* float32 \(8, 8\) and uint16 \(8, 8\)"):
        pf.read(path)


@pytest.mark.parametrize("matlab", [False, True])
def test_ptylab_from_python_and_from_matlab_is_the_same_scan(tmp_path: Path, matlab: bool) -> None:
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file["ptychogram"] = COUNTS.transpose(0, 2, 1) if matlab else COUNTS
        file["encoder"] = METRES.T if matlab else METRES
        file["wavelength"], file["zo"], file["dxd"] = [[632.8e-9]], [[0.05]], [[6e-6]]
        file["entrancePupilDiameter"] = [[150e-6]]
        if matlab:
            file["ptychogram"].attrs["MATLAB_class"] = np.bytes_("single")
    pixel = 632.8e-9 * 0.05 / (N * 6e-6)
    _check(path, name="PtyLab", pixel=(pixel, pixel))
    with h5py.File(path, "r+") as file:
        del file["encoder"]
        file["encoder"] = METRES[:, 0]
    with pytest.raises(ShapeError, match=r"expected an encoder of shape \(scan, 2\)"):
        pf.read(path)


def _matlab(path: Path, content: dict[str, np.ndarray], *, modern: bool) -> Path:
    """Save as MATLAB does: version 5 by SciPy, version 7.3 as HDF5 with its axes reversed and complex pairs."""
    if not modern:
        from scipy.io import savemat

        nested: dict[str, object] = {}
        for name, value in content.items():
            group, _, leaf = name.rpartition("/")
            (nested.setdefault(group, {}) if group else nested)[leaf] = value  # type: ignore[index]
        savemat(path, nested)
        return path
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in content.items():
            array = value.T
            if np.iscomplexobj(array):
                pairs = np.empty(array.shape, [("real", "f4"), ("imag", "f4")])
                pairs["real"], pairs["imag"] = array.real, array.imag
                array = pairs
            file[name] = array
    return path


@pytest.mark.parametrize("modern", [False, True])
def test_a_reconstruction_saved_by_matlab_joins_its_patterns(tmp_path: Path, modern: bool) -> None:
    scan = make_scan(n_scan=N_SCAN, N=N, n_modes=2)
    assert scan.object is not None
    height, width = scan.object.shape
    content = {
        "object": scan.object,
        "probe": np.moveaxis(scan.probe, 0, -1),
        "outputs/probe_positions": scan.positions[:, ::-1] - [(width - N) / 2 + N // 2, (height - N) / 2 + N // 2],
        "p/dx_spec": np.array([[2e-9, 3e-9]]),
        "p/lambda": np.array([[1.5e-10]]),
    }
    path = _matlab(tmp_path / "recon.mat", content, modern=modern)
    found = pf.read(path, patterns=_dp(tmp_path / "s_dp.hdf5"))
    np.testing.assert_allclose(found.positions, scan.positions, atol=1e-9)
    np.testing.assert_array_equal(found.probe, scan.probe)
    np.testing.assert_array_equal(found.object, scan.object)
    assert found.metadata.pixel_size_m == (3e-9, 2e-9)
    assert found.metadata.wavelength_m == 1.5e-10
    content["outputs/probe_positions"] = np.zeros((3, 3))
    with pytest.raises(ShapeError, match=r"expected object \(H, W\), probe \(N, N, mode\) and positions \(scan, 2\)"):
        read_fields(_matlab(tmp_path / "b.mat", content, modern=modern))
    del content["outputs/probe_positions"]
    with pytest.raises(MissingFieldError, match="expected outputs/probe_positions in the MATLAB file"):
        read_fields(
            _matlab(tmp_path / "c.mat", content, modern=modern),
            reading=pf.ReadingConfig(format="PtychoShelves reconstruction"),
        )
