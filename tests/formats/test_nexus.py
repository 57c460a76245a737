"""NeXus: classes, units and vectors, the measured scan, and what the definition requires."""

from pathlib import Path

import h5py
import numpy as np
import pytest

import ptychofold as pf
from ptychofold.errors import DomainError, MissingFieldError, ShapeError, UnsupportedFormatError
from ptychofold.formats import identify, validate_nexus, write_fields
from ptychofold.testing.scans import make_scan

DATA = Path(__file__).parents[3] / "shared" / "data"
P25 = DATA / "P25_nxptycho.nxs"
needs_p25 = pytest.mark.skipif(not P25.exists(), reason=f"needs {P25}, a real scan beside the checkout")
N_SCAN, N = 6, 8
X, Y = np.random.default_rng(5).uniform(-1, 1, (2, N_SCAN))
DETECTOR, SAMPLE = "run/hutch/camera", "run/stage/motors"


def _make(path: Path) -> Path:
    """Write a file that follows NeXus' classes under names of its own, with micrometres and keV."""
    with h5py.File(path, "w") as file:
        for name, nx_class in {
            "run": "NXentry", "run/hutch": "NXinstrument", "run/hutch/camera": "NXdetector",
            "run/hutch/light": "NXbeam", "run/stage": "NXsample", SAMPLE: "NXtransformations",
        }.items():  # fmt: skip
            file.create_group(name).attrs["NX_class"] = nx_class
        file["run/definition"] = "NXcxi_ptycho"
        file[f"{DETECTOR}/data"] = np.arange(N_SCAN * N * N, dtype=np.uint16).reshape(N_SCAN, N, N)
        for name, value, unit in (
            ("distance", 2000.0, "mm"),
            ("x_pixel_size", 75.0, "um"),
            ("y_pixel_size", 50.0, "um"),
        ):
            file[f"{DETECTOR}/{name}"] = value
            file[f"{DETECTOR}/{name}"].attrs["units"] = unit
        file["run/hutch/light/incident_beam_energy"] = 8.0
        file["run/hutch/light/incident_beam_energy"].attrs["units"] = "keV"
        for name, values, vector in (("a", X, (1.0, 0, 0)), ("b", Y, (0, 1.0, 0))):
            file[f"{SAMPLE}/{name}"] = values
            file[f"{SAMPLE}/{name}"].attrs.update(units="um", vector=vector, transformation_type="translation")
    return path


def test_classes_units_and_vectors_say_what_names_do_not(tmp_path: Path) -> None:
    scan = pf.read(_make(tmp_path / "a.nxs"), probe="estimate", measurement="intensity")
    wavelength = 1.549802e-10
    assert scan.metadata.wavelength_m == pytest.approx(wavelength, rel=1e-6)
    pixel = (wavelength * 2.0 / (N * 50e-6), wavelength * 2.0 / (N * 75e-6))
    assert scan.metadata.pixel_size_m == pytest.approx(pixel, rel=1e-6)
    want = np.stack([Y * 1e-6 / pixel[0], X * 1e-6 / pixel[1]], axis=1)
    np.testing.assert_allclose(np.diff(scan.positions, axis=0), np.diff(want, axis=0), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "attribute", "value", "why"),
    [
        (f"{DETECTOR}/distance", "units", None, r"distance with the attribute units, one of m, .* found ''"),
        ("run/hutch/light/incident_beam_energy", "units", "furlong", "units, one of eV.* found 'furlong'"),
        (f"{SAMPLE}/a", "vector", None, r"vector of 3 numbers; found units 'um' and vector \[\]"),
        (f"{SAMPLE}/a", "units", "deg", "a unit of length and a vector"),
    ],
)
def test_a_quantity_without_its_unit_or_vector_is_refused(
    tmp_path: Path, name: str, attribute: str, value: str | None, why: str
) -> None:
    path = _make(tmp_path / "a.nxs")
    with h5py.File(path, "r+") as file:
        del file[name].attrs[attribute]
        if value is not None:
            file[name].attrs[attribute] = value
    with pytest.raises(DomainError, match=why):
        pf.read(path, probe="estimate")


@pytest.mark.parametrize("name", ["pixel_mask", "detectorSpecific/pixel_mask", "mask"])
def test_the_detector_s_mask_is_read(tmp_path: Path, name: str) -> None:
    path = _make(tmp_path / "a.nxs")
    mask = np.zeros((N, N), np.uint32)
    mask[1, 2], mask[3, 4] = 1, 1 << 31
    with h5py.File(path, "r+") as file:
        file[f"{DETECTOR}/{name}"] = mask
    scan = pf.read(path, probe="estimate", measurement="intensity")
    assert scan.bad_pixels is not None
    assert np.argwhere(scan.bad_pixels).tolist() == [[1, 2], [3, 4]]


def test_a_mask_in_nexus_words_is_read_under_cxi_s_names_too(tmp_path: Path) -> None:
    scan, path = make_scan(n_scan=9, N=16, n_bad_pixels=2), tmp_path / "a.nxs"
    scan.to_file(path)
    with h5py.File(path, "r+") as file:
        pixel_mask = np.zeros((16, 16), np.uint32)
        pixel_mask[2, 3] = 0x1000
        file["entry_1/instrument_1/detector_1/pixel_mask"] = pixel_mask
    back = pf.read(path)
    assert scan.bad_pixels is not None
    assert back.bad_pixels is not None
    np.testing.assert_array_equal(back.bad_pixels, scan.bad_pixels | (pixel_mask != 0))


def test_translations_under_cxi_s_name_are_in_the_unit_they_state(tmp_path: Path) -> None:
    scan, path = make_scan(n_scan=9, N=16), tmp_path / "a.nxs"
    scan.to_file(path)
    name = "entry_1/sample_1/geometry_1/translation"
    with h5py.File(path, "r+") as file:
        file[name][...] = file[name][()] * 1e3
        file[name].attrs["units"] = "mm"
    np.testing.assert_allclose(pf.read(path).positions, scan.positions, atol=1e-6)
    with h5py.File(path, "r+") as file:
        del file[name].attrs["units"]
    with pytest.raises(DomainError, match=r"translation with the attribute units, one of m, .* found ''"):
        pf.read(path)


def test_missing_and_misshapen_parts_are_named(tmp_path: Path) -> None:
    path = _make(tmp_path / "a.nxs")
    with h5py.File(path, "r+") as file:
        attributes = dict(file[f"{SAMPLE}/a"].attrs)
        del file[f"{SAMPLE}/a"]
        file[f"{SAMPLE}/a"] = X[:-1]
        file[f"{SAMPLE}/a"].attrs.update(attributes)
    with pytest.raises(ShapeError, match=f"expected {N_SCAN} positions in .*, one a pattern; found {N_SCAN - 1}"):
        pf.read(path, probe="estimate")
    with h5py.File(path, "r+") as file:
        del file[SAMPLE]
    with pytest.raises(MissingFieldError, match="NXtransformations of type translation in NXsample"):
        pf.read(path, probe="estimate")
    with h5py.File(path, "r+") as file:
        del file[f"{DETECTOR}/data"]
    with pytest.raises(MissingFieldError, match="expected data in an NXdetector"):
        pf.read(path, probe="estimate")


def test_a_file_without_the_definition_is_not_read_as_nexus(tmp_path: Path) -> None:
    path = _make(tmp_path / "a.nxs")
    with h5py.File(path, "r+") as file:
        del file["run/definition"]
    for read in (lambda: pf.read(path, format="nexus nxcxi_ptycho"), lambda: validate_nexus(path)):
        with pytest.raises(
            (MissingFieldError, UnsupportedFormatError), match="expected an entry whose definition is NX"
        ):
            read()
    (tmp_path / "text").write_text("no")
    with pytest.raises(UnsupportedFormatError, match="expected an HDF5 file; NeXus is written in it"):
        validate_nexus(tmp_path / "text")
    with pytest.raises(UnsupportedFormatError, match=r"no format is named 'nexus'\. Known: PtychoPINN NPZ"):
        pf.read(path, format="nexus")


def test_what_we_write_lacks_only_what_a_scan_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "a.nxs"
    geometry = pf.ScanGeometry(wavelength_m=1.24e-10, distance_m=2.0, detector_pixel_m=(75e-6, 75e-6))
    fields = make_scan(n_scan=9, N=16).to_fields()
    known = pf.RawData.from_fields(fields).metadata
    assert write_fields(fields, path) == ()
    assert "NXinstrument/NXdetector/distance: absent" in validate_nexus(path)
    complete = pf.read(path).to_fields()
    write_fields(_with_geometry(complete, geometry), path)
    unknown = {
        "NXinstrument/NXsource/name", "NXinstrument/NXsource/energy", "NXinstrument/NXsource/type",
        "NXinstrument/NXbeam/extent", "NXinstrument/NXbeam/incident_beam_divergence",
        "NXinstrument/NXbeam/incident_energy_spread", "NXinstrument/NXdetector/beam_center_x",
        "NXinstrument/NXdetector/beam_center_y", "NXinstrument/NXmonitor",
    }  # fmt: skip
    assert {complaint.split(":")[0] for complaint in validate_nexus(path)} == unknown
    assert identify(path)[0].name == "NeXus NXcxi_ptycho"
    assert known.wavelength_m == pf.read(path).metadata.wavelength_m


def _with_geometry(fields: pf.formats.ScanFields, geometry: pf.ScanGeometry) -> pf.formats.ScanFields:
    from dataclasses import replace

    return replace(fields, metadata=replace(fields.metadata, geometry=geometry))


@needs_p25
def test_the_measured_nexus_scan_is_that_of_the_cxi_file() -> None:
    reading = pf.ReadingConfig(probe="estimate", focus_m=3.65e-3, distance_from="focus")
    nexus = pf.RawData.from_file(P25, reading=reading)
    cxi = pf.RawData.from_file(DATA / "PETRAIII_P25_Near_Field_Ptycho.cxi", reading=reading)
    assert nexus.metadata.format_reason == "an HDF5 file whose /entry_1 follows NXptycho"
    np.testing.assert_array_equal(nexus.patterns.read(slice(None)), cxi.patterns.read(slice(None)))
    np.testing.assert_allclose(nexus.positions, cxi.positions, atol=1e-5)
    assert nexus.metadata.wavelength_m == pytest.approx(cxi.metadata.wavelength_m, rel=1e-6)
    assert nexus.metadata.pixel_size_m == pytest.approx(cxi.metadata.pixel_size_m, rel=1e-9)
    assert "NXdata/data: absent" in validate_nexus(P25)
