"""Whatever the damage, only our errors come out, each with one line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.formats.making import arrays, save, save_diffraction, save_product, save_training

from ptychofold.errors import FormatError, PtychoError, UnsupportedFormatError
from ptychofold.formats import FORMATS, identify, read_fields

MAKERS: dict[str, Callable[[Path], object]] = {
    "stored": lambda path: save(path, arrays()),
    "compressed": lambda path: save(path, arrays(), compressed=True),
    "pickled": lambda path: save(path, arrays() | {"_metadata": np.array("{}", object)}),
    "product": save_product,
    "diffraction": lambda path: save_diffraction(path, np.arange(5)),
    "training": save_training,
}


def _read_everything(path: Path) -> None:
    found = read_fields(path)
    if found.patterns is not None:
        found.patterns.read(np.arange(found.patterns.shape[0])[::-1].copy())


def _only_our_errors(path: Path) -> None:
    message = path.name
    try:
        _read_everything(path)
    except PtychoError as error:
        message = str(error)
    assert "\n" not in message
    assert path.name in message


def _made(tmp_path: Path, kind: str) -> tuple[Path, bytes]:
    path = tmp_path / ("scan.npz" if kind in ("stored", "compressed", "pickled") else "scan.h5")
    MAKERS[kind](path)
    return path, path.read_bytes()


@pytest.mark.parametrize("kind", MAKERS)
def test_a_truncated_file_raises_only_our_errors(tmp_path: Path, kind: str) -> None:
    path, whole = _made(tmp_path, kind)
    for length in np.random.default_rng(0).integers(0, len(whole), 60):
        path.write_bytes(whole[:length])
        _only_our_errors(path)


@pytest.mark.parametrize("kind", MAKERS)
def test_flipped_bytes_raise_only_our_errors(tmp_path: Path, kind: str) -> None:
    path, whole = _made(tmp_path, kind)
    rng = np.random.default_rng(1)
    for trial in range(150):
        damaged = bytearray(whole)
        near = len(whole) - 1500 if trial % 2 and len(whole) > 1500 else 0
        for place in rng.integers(near, len(whole), rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        _only_our_errors(path)


@pytest.mark.parametrize("kind", ["stored", "product"])
def test_a_file_cut_in_half_is_a_format_error(tmp_path: Path, kind: str) -> None:
    path, whole = _made(tmp_path, kind)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"failed: .*Copy the file again"):
        read_fields(path)


def test_what_is_no_file_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "empty.npz").touch()
    for name, why in (("", "found a directory"), ("gone.npz", "found nothing"), ("empty.npz", "found an empty file")):
        with pytest.raises(FormatError, match=why):
            read_fields(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "looks"),
    [
        (b"x y z\n1 2 3\n", "a text file that starts with 'x y z 1 2 3'"),
        (b"MATLAB 5.0 MAT-file", "a MATLAB 5 file"),
        (b"\x93NUMPY\x01\x00", "a single NumPy array"),
        (b"BZh91AY", "a bzip2-compressed file"),
        (b"\x80\x04K\x01.", "a Python pickle"),
        (bytes(range(128, 250)), "a binary file"),
    ],
)
def test_an_unknown_file_is_described_beside_what_is_supported(tmp_path: Path, content: bytes, looks: str) -> None:
    path = tmp_path / "scan.npz"
    path.write_bytes(content)
    with pytest.raises(UnsupportedFormatError, match=rf"looks like {looks}.*Supported: PtychoPINN NPZ"):
        read_fields(path)


def test_an_unknown_archive_is_described_by_its_members(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormatError, match="a zip archive with a, b"):
        read_fields(save(tmp_path / "a.npz", {"a": np.zeros(2), "b": np.zeros(2)}))


def test_an_unknown_hdf5_file_is_described_by_its_groups(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "a.npz", "w") as file:
        file["entry/data"] = 1
    with pytest.raises(UnsupportedFormatError, match="an HDF5 file with entry"):
        read_fields(tmp_path / "a.npz")


@pytest.mark.parametrize("kind", MAKERS)
def test_a_format_is_recognised_by_content_under_any_name(tmp_path: Path, kind: str) -> None:
    path, _ = _made(tmp_path, kind)
    other = path.rename(tmp_path / "scan.dat")
    known, reason = identify(other)
    assert known in FORMATS
    assert "archive with" in reason or "HDF5 file with" in reason
    assert sum(known.sniff(other) is not None for known in FORMATS) == 1
