"""Every format reads what a beamline may put into it bit for bit, or refuses it by one clear error of ours."""

from contextlib import suppress
from pathlib import Path

import hdf5plugin
import numpy as np
import pytest

pytest.importorskip("tifffile")

from tests.formats.making_every import MAKERS, Wanted, all_made

import ptychofold as pf
from ptychofold.config.preprocess import FrameStep, PreprocessConfig
from ptychofold.errors import DomainError, DtypeError, PtychoError, ShapeError

N_SCAN, N = 6, 8
RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(9.0, (N_SCAN, N, N))
POSITIONS = RNG.uniform(0, 9, (N_SCAN, 2)).round(3)
PROBE = np.ones((2, N, N), np.complex64)
WITH_PROBE = ("PtychoPINN NPZ", "Ptychodus product", "CXI", "tike NPZ", "PtychoShelves reconstruction")
every_format = pytest.mark.parametrize("name", MAKERS)


def _read(folder: Path, name: str, *, lazy: bool = True, **content: object) -> pf.RawData:
    """Write a file in a folder with an awkward name, and read it."""
    own = folder / "Messung 3 µm"
    own.mkdir(exist_ok=True)
    mask = content.pop("bad_pixels", None)
    given = {"patterns": COUNTS.astype(np.uint16), "positions": POSITIONS, "probe": PROBE, **content}
    path, options = MAKERS[name](Wanted(folder=own, **given))  # type: ignore[arg-type]
    if mask is not None:
        np.save(own / "mask.npy", np.asarray(mask))
        options = {**options, "bad_pixels": own / "mask.npy"}
    return pf.read(path, lazy=lazy, **{"measurement": "auto", **options})  # type: ignore[arg-type]


def _check(scan: pf.RawData, patterns: np.ndarray, positions: np.ndarray = POSITIONS) -> None:
    np.testing.assert_array_equal(scan.patterns.read(slice(None)), patterns)
    backwards = np.arange(len(patterns))[::-1].copy()
    np.testing.assert_array_equal(scan.patterns.read(backwards), patterns[::-1])
    np.testing.assert_allclose(scan.amplitude(backwards) ** 2, patterns[::-1], rtol=1e-5)
    assert scan.measurement == "intensity"
    np.testing.assert_allclose(scan.positions - scan.positions[0], positions - positions[0], atol=1e-6)


def test_every_registered_format_is_tried() -> None:
    assert all_made()


@every_format
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i4", "i8", "f2", "f4", "f8", ">u2", ">i4", ">f4"])
def test_every_kind_of_number_is_read_as_it_is(tmp_path: Path, name: str, dtype: str) -> None:
    patterns = COUNTS.astype(dtype)
    scan = _read(tmp_path, name, patterns=patterns)
    assert scan.metadata.format == name
    assert scan.patterns.dtype.newbyteorder("=") == patterns.dtype.newbyteorder("=")
    _check(scan, patterns)


@every_format
@pytest.mark.parametrize("lazy", [False, True])
def test_a_marker_is_read_as_zero_under_the_mask_and_refused_without(tmp_path: Path, name: str, lazy: bool) -> None:
    marked = COUNTS.astype(np.int32)
    marked[:, 2, 3] = -1
    mask = np.zeros((N, N), bool)
    mask[2, 3] = True
    _check(_read(tmp_path, name, lazy=lazy, patterns=marked, bad_pixels=mask), np.where(mask, 0, marked))
    (tmp_path / "second").mkdir()
    with pytest.raises(DomainError, match=r"found -1 in row 0, at pixel \(2, 3\)"):
        _read(tmp_path / "second", name, lazy=lazy, patterns=marked)


@pytest.mark.parametrize(
    "name", ["Ptychodus product", "Ptychodus NPZ product", "PtychoShelves reconstruction", "Eiger master"]
)
def test_a_wrong_number_is_named_in_the_file_that_holds_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(DomainError, match=r"(s_dp\.hdf5|d\.h5): expected patterns of finite numbers .*in row 4, at"):
        _read(tmp_path, name, patterns=np.where(np.arange(N_SCAN)[:, None, None] == 4, np.nan, COUNTS))


@every_format
def test_one_pattern_is_a_scan_and_none_is_not(tmp_path: Path, name: str) -> None:
    _check(
        _read(tmp_path, name, patterns=COUNTS[:1].astype(np.uint16), positions=POSITIONS[:1]), COUNTS[:1], POSITIONS[:1]
    )
    (tmp_path / "second").mkdir()
    if not name.startswith("TIFF"):  # a TIFF file without a page is none
        with pytest.raises(ShapeError, match=r"(?i)expected (at least one pattern|two numbers|scan of shape|object)"):
            _read(tmp_path / "second", name, patterns=COUNTS[:0].astype(np.uint16), positions=POSITIONS[:0])


@every_format
@pytest.mark.parametrize("n_positions", [N_SCAN - 1, N_SCAN + 1])
def test_positions_of_another_number_are_refused(tmp_path: Path, name: str, n_positions: int) -> None:
    with pytest.raises(ShapeError, match=r"position"):
        _read(tmp_path, name, positions=np.zeros((n_positions, 2)))


@every_format
def test_a_position_that_is_no_number_spoils_no_other(tmp_path: Path, name: str) -> None:
    path, options = MAKERS[name](
        Wanted(
            folder=tmp_path,
            patterns=COUNTS.astype(np.uint16),
            positions=np.where(np.arange(N_SCAN)[:, None] == 2, np.nan, POSITIONS),
            probe=PROBE,
        )
    )
    with pytest.raises(DomainError, match=r"expected finite positions; .*the first at index \(2, 0\)"):
        pf.read(path, **options)  # type: ignore[arg-type]
    steps = PreprocessConfig(steps=(FrameStep(drop=(2,)),))
    measurement = options.pop("measurement", "auto")
    reading = pf.ReadingConfig(**options)
    scan = pf.RawData.from_file(path, measurement=measurement, reading=reading, steps=steps)  # type: ignore[arg-type]
    _check(scan, np.delete(COUNTS, 2, axis=0), np.delete(POSITIONS, 2, axis=0))


@every_format
def test_frames_that_lie_last_are_read_or_refused(tmp_path: Path, name: str) -> None:
    turned = np.moveaxis(COUNTS, 0, -1).astype(np.uint16)
    if name == "PtychoPINN NPZ":
        _check(_read(tmp_path, name, patterns=turned), COUNTS)
    else:
        with pytest.raises(ShapeError, match=r"position|square"):
            _read(tmp_path, name, patterns=turned)


@every_format
@pytest.mark.parametrize(
    "storage",
    [
        {"compression": "gzip", "chunks": (1, N, N)},
        {"compression": "lzf", "shuffle": True, "chunks": (3, N, 4)},
        dict(hdf5plugin.Bitshuffle(cname="lz4")),
    ],
)
def test_compressed_patterns_are_read(tmp_path: Path, name: str, storage: dict[str, object]) -> None:
    _check(_read(tmp_path, name, storage=storage), COUNTS)


@pytest.mark.parametrize("name", WITH_PROBE)
def test_probes_of_one_and_of_many_modes_are_read(tmp_path: Path, name: str) -> None:
    for n_modes in (1, 9):
        probe = RNG.normal(size=(n_modes, N, N)).astype(np.complex64)
        folder = tmp_path / str(n_modes)
        folder.mkdir()
        np.testing.assert_array_equal(_read(folder, name, probe=probe).probe, probe)
    with pytest.raises(ShapeError, match=r"expected a probe of shape \(mode, 8, 8\).*; found \(2, 10, 10\)"):
        _read(tmp_path, name, probe=np.ones((2, N + 2, N + 2), np.complex64))


@every_format
def test_numbers_that_are_none_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DtypeError, match=r"expected patterns of real numbers .*; found bool"):
        _read(tmp_path, name, patterns=COUNTS > 9)


@every_format
def test_a_file_that_is_cut_off_is_never_read_wrongly(tmp_path: Path, name: str) -> None:
    path, options = MAKERS[name](
        Wanted(folder=tmp_path, patterns=COUNTS.astype(np.uint16), positions=POSITIONS, probe=PROBE)
    )
    for part in [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix not in {".csv", ".toml"}]:
        whole = part.read_bytes()
        for length in np.linspace(3, len(whole) - 1, 4).astype(int).tolist():
            part.write_bytes(whole[:length])
            with suppress(PtychoError):
                _check(pf.read(path, **options), COUNTS)  # type: ignore[arg-type]
        part.write_bytes(whole)
