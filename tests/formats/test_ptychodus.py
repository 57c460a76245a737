"""The HDF5 family of Ptychodus: positions, units, old names, pairing, and the product written back."""

import logging
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.formats.making import N_SCAN, N, arrays, save, save_diffraction, save_product, save_training

from ptychofold.errors import DtypeError, MissingFieldError, ShapeError
from ptychofold.formats import read_fields, write_fields

WAVELENGTH_8_KEV = 1.5498024804150e-10


def _assert_close(found: np.ndarray | None, want: np.ndarray | None, *, atol: float = 1e-9) -> None:
    assert found is not None
    assert want is not None
    assert found.shape == want.shape
    assert np.abs(found - want).max() <= atol


def test_training_data_is_read_with_positions_on_the_patch_pixel_n_over_2(tmp_path: Path) -> None:
    content = save_training(tmp_path / "a.h5")
    found = read_fields(tmp_path / "a.h5")
    want = np.stack([content["ycoords"], content["xcoords"]], axis=1) + 0.5
    _assert_close(found.positions, want)
    assert found.patterns is not None
    np.testing.assert_array_equal(found.patterns.read(slice(None)), content["diff3d"])
    np.testing.assert_array_equal(found.probe, content["probeGuess"])
    np.testing.assert_array_equal(found.object, content["objectGuess"])
    np.testing.assert_array_equal(found.bad_pixels, content["bad_pixels"])
    assert found.metadata.pixel_size_m == (5e-9, 4e-9)
    assert found.metadata.wavelength_m == pytest.approx(WAVELENGTH_8_KEV)
    assert found.measurement == "intensity"


@pytest.mark.parametrize("old_names", [False, True])
def test_a_product_is_read_under_its_old_and_new_names(tmp_path: Path, old_names: bool) -> None:
    found = read_fields(save_product(tmp_path / "a.h5", old_names=old_names))
    assert found.patterns is None
    assert found.metadata.n_photons == 1e6
    assert found.metadata.wavelength_m == pytest.approx(WAVELENGTH_8_KEV)
    assert found.metadata.extra["name"] == "scan 7"
    assert found.metadata.pixel_size_m == (5e-9, 4e-9)
    assert found.object is not None
    assert found.object.shape == (30, 27)


@pytest.mark.parametrize("n", [(30, 27), (31, 28)])
def test_the_position_on_the_object_s_centre_centres_the_probe_on_the_object(
    tmp_path: Path, n: tuple[int, int]
) -> None:
    found = read_fields(save_product(tmp_path / "a.h5", n=n))
    assert found.positions is not None
    corner = found.positions[0] - N // 2
    np.testing.assert_allclose(corner + (N - 1) / 2, (np.array(n) - 1) / 2, atol=1e-6)
    np.testing.assert_allclose(found.positions[1] - found.positions[0], [0.6, 0.5], atol=1e-6)


def test_position_dependent_probes_and_layers_are_reduced_and_counted(tmp_path: Path) -> None:
    path = save_product(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        probe, attributes = file["probe"][()], dict(file["object"].attrs)
        del file["probe"], file["object"]
        file["probe"] = np.stack([probe, 2 * probe])
        file["object"] = np.full((3, 30, 27), 2j)
        file["object"].attrs.update(attributes)
    found = read_fields(path)
    np.testing.assert_array_equal(found.probe, probe)
    _assert_close(found.object, np.full((30, 27), -8j))
    assert found.metadata.extra["n_position_dependent_probes"] == 2
    assert found.metadata.extra["n_object_layers"] == 3


def test_unfilled_rows_of_diffraction_data_are_left_out(tmp_path: Path) -> None:
    found = read_fields(save_diffraction(tmp_path / "a.h5", np.array([3, -1, 5])))
    assert found.patterns is not None
    assert found.patterns.shape == (2, N, N)
    np.testing.assert_array_equal(found.patterns.read(slice(None))[:, 0, 0], [3, 5])


def test_a_product_finds_its_patterns_by_scan_point_number(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    product = save_product(tmp_path / "a.h5")
    numbers = np.array([9, 4, 100, 3, -1, 14])
    patterns = save_diffraction(tmp_path / "b.h5", numbers)
    alone = read_fields(product)
    with caplog.at_level(logging.INFO):
        found = read_fields(product, patterns=patterns)
    assert found.patterns is not None
    assert found.positions is not None
    assert alone.positions is not None
    np.testing.assert_array_equal(found.patterns.read(slice(None))[:, 0, 0], [3, 4, 9, 14])
    np.testing.assert_array_equal(found.positions, alone.positions[[0, 1, 6, 11]])
    assert found.measurement == "intensity"
    assert "8 positions and 1 patterns without partner left out" in caplog.text


def test_a_product_takes_patterns_without_numbers_in_their_order(tmp_path: Path) -> None:
    product = save_product(tmp_path / "a.h5")
    found = read_fields(product, patterns=save(tmp_path / "b.npz", arrays()))
    assert found.patterns is not None
    np.testing.assert_array_equal(found.patterns.read(slice(None)), arrays()["diff3d"])
    np.testing.assert_array_equal(found.positions, read_fields(product).positions)


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    product, other = save_product(tmp_path / "a.h5"), tmp_path / "b.h5"
    with pytest.raises(ShapeError, match="expected scan point numbers in common"):
        read_fields(product, patterns=save_diffraction(other, np.array([1000, 1001])))
    with pytest.raises(ShapeError, match=r"in common; found 3 to 14 beside none\. The two"):
        read_fields(product, patterns=save_diffraction(other, np.array([-1, -1])))
    with pytest.raises(MissingFieldError, match="expected patterns in this Ptychodus product"):
        read_fields(product, patterns=product)
    with pytest.raises(MissingFieldError, match="expected positions in this Ptychodus diffraction data"):
        read_fields(other, patterns=other)
    short = {name: value[:5] if value.shape[:1] == (N_SCAN,) else value for name, value in arrays().items()}
    with pytest.raises(ShapeError, match="expected 12 patterns, one a position"):
        read_fields(product, patterns=save(tmp_path / "c.npz", short))


def _without(path: Path, *names: str, **replacements: object) -> Path:
    with h5py.File(path, "a") as file:
        for name in (*names, *replacements):
            del file[name]
        for name, value in replacements.items():
            file[name] = value
    return path


def test_missing_and_misshapen_fields_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFieldError, match=r"expected object; the file holds .*probe"):
        read_fields(_without(save_product(tmp_path / "a.h5"), "object"))
    with pytest.raises(MissingFieldError, match="expected the attributes pixel_height_m and pixel_width_m"):
        read_fields(_without(save_product(tmp_path / "b.h5"), object=np.ones((1, 3, 3), complex)))
    with pytest.raises(ShapeError, match=r"expected x positions and y positions of shape \(scan,\)"):
        read_fields(_without(save_product(tmp_path / "c.h5"), probe_position_x_m=np.zeros(3)))
    with pytest.raises(DtypeError, match="expected real numbers as x positions"):
        read_fields(_without(save_product(tmp_path / "d.h5"), probe_position_x_m=np.zeros(N_SCAN, complex)))
    with pytest.raises(ShapeError, match="expected a probe of 2 to 4 axes"):
        read_fields(_without(save_product(tmp_path / "e.h5"), probe=np.zeros(3, complex)))
    save_training(tmp_path / "f.h5")
    with pytest.raises(ShapeError, match=r"expected /patterns of shape \(scan, N, N\)"):
        read_fields(_without(tmp_path / "f.h5", patterns=np.zeros((3, 4))))
    with pytest.raises(ShapeError, match="expected one whole number a pattern as indexes"):
        read_fields(_without(save_diffraction(tmp_path / "g.h5", np.arange(4)), indexes=np.arange(3)))


@pytest.mark.parametrize("n_modes", [1, 2])
def test_a_written_product_is_read_back(tmp_path: Path, n_modes: int) -> None:
    fields = read_fields(save_product(tmp_path / "a.h5", n_modes=n_modes))
    assert write_fields(fields, tmp_path / "b.h5") == ()
    found = read_fields(tmp_path / "b.h5")
    _assert_close(found.positions, fields.positions)
    for name in ("probe", "object", "point_numbers"):
        np.testing.assert_array_equal(getattr(found, name), getattr(fields, name))
    assert found.metadata == replace(fields.metadata, wavelength_m=found.metadata.wavelength_m)
    assert found.metadata.wavelength_m == pytest.approx(fields.metadata.wavelength_m)


def test_a_product_without_object_keeps_its_positions(tmp_path: Path) -> None:
    fields = replace(read_fields(save_product(tmp_path / "a.h5")), object=None)
    write_fields(fields, tmp_path / "b.h5")
    found = read_fields(tmp_path / "b.h5")
    assert found.object is None
    _assert_close(found.positions, fields.positions)


def test_a_product_says_what_it_cannot_hold(tmp_path: Path) -> None:
    fields = read_fields(save(tmp_path / "a.npz", arrays()))
    known = replace(fields.metadata, pixel_size_m=(1e-9, 1e-9), history=({"step": "crop"},))
    lost = write_fields(replace(fields, metadata=known, measurement="intensity"), tmp_path / "b.h5")
    assert set(lost) == {
        "patterns", "patches", "bad_pixels", "positions_nominal", "scan_index", "history"
    }  # fmt: skip


def test_a_product_needs_a_pixel_size(tmp_path: Path) -> None:
    with pytest.raises(MissingFieldError, match=r"expected pixel_size_m in the scan to write.*Supply --pixel-size-m\."):
        write_fields(read_fields(save(tmp_path / "a.npz", arrays())), tmp_path / "b.h5")
    assert not (tmp_path / "b.h5").exists()


def _as_npz(product: Path, archive: Path, **changes: object) -> Path:
    """Write an HDF5 product's content as Ptychodus' NPZ product has it."""
    with h5py.File(product) as file:
        content: dict[str, object] = {name: file[name][()] for name in file}
        content |= dict(file.attrs)
        content |= {f"object_{name}": value for name, value in file["object"].attrs.items()}
    content |= changes
    arrays = {name: np.asarray(value) for name, value in content.items() if value is not None}
    return save(archive, arrays)


def test_an_npz_product_is_the_hdf5_product(tmp_path: Path) -> None:
    want = read_fields(save_product(tmp_path / "a.h5"))
    found = read_fields(_as_npz(tmp_path / "a.h5", tmp_path / "a.npz"))
    assert found.format == "Ptychodus NPZ product"
    for name in ("positions", "probe", "object", "point_numbers"):
        np.testing.assert_array_equal(getattr(found, name), getattr(want, name))
    assert found.metadata.geometry == want.metadata.geometry
    assert (found.metadata.pixel_size_m, found.metadata.n_photons) == (want.metadata.pixel_size_m, 1e6)
    with pytest.raises(MissingFieldError, match="expected object_pixel_width_m; the archive holds"):
        read_fields(_as_npz(tmp_path / "a.h5", tmp_path / "b.npz", object_pixel_width_m=None))
    with pytest.raises(ShapeError, match="expected a probe of 2 to 4 axes, an object of 2 or 3"):
        read_fields(_as_npz(tmp_path / "a.h5", tmp_path / "c.npz", object=np.ones(3)))
    many = {"probe": np.ones((3, 2, 8, 8), np.complex64), "object": np.ones((2, 30, 27), np.complex64)}
    extra = read_fields(_as_npz(tmp_path / "a.h5", tmp_path / "d.npz", **many)).metadata.extra
    assert (extra["n_position_dependent_probes"], extra["n_object_layers"]) == (3, 2)


@pytest.mark.parametrize(
    ("far_field", "focus", "field", "magnification"),
    [(True, -0.01, "far_field", None), (False, -0.01, "near_field", 151.0), (False, 0.0, "near_field", 1.0)],
)
def test_a_product_says_far_or_near_field_and_is_written_so(
    tmp_path: Path, far_field: bool, focus: float, field: str, magnification: float | None
) -> None:
    path = save_product(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["far_field"], file.attrs["focus_object_distance_m"] = far_field, focus
    found = read_fields(path)
    geometry = found.metadata.geometry
    assert geometry is not None
    assert geometry.field == field
    if magnification is not None:
        assert geometry.magnification == pytest.approx(magnification)
    write_fields(found, tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5") as file:
        assert bool(file.attrs["far_field"]) == far_field
        assert file.attrs["focus_object_distance_m"] == pytest.approx(focus)
        assert file.attrs["detector_object_distance_m"] == 1.5


def test_a_near_field_that_converges_onto_the_object_is_left_unsaid(tmp_path: Path) -> None:
    path = save_product(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["far_field"], file.attrs["focus_object_distance_m"] = False, 0.01
    assert read_fields(path).metadata.geometry is None
