# /// script
# dependencies = ["ptychofold", "zopfli"]
# ///
"""Make the shipped scan ``src/ptychofold/samples/siemens.npz`` from its source.

    python scripts/make_sample.py siemens-star-small.npz.bz2 siemens_n128.npz src/ptychofold/samples/siemens.npz

The first file is the measured scan as the tests of `tike <https://github.com/AdvancedPhotonSource/tike>`_ hold it; the
second adds probe and object, reconstructed from it by 60 iterations of ePIE, and positions on that object's grid.
The measured counts and positions and the probe are kept exactly; the object is rounded to ``OBJECT_STEP``, far below
its noise. Zopfli finds the smallest deflate streams in about two minutes.
"""

import argparse
import bz2
import io
import logging
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Complex64, UInt16

from ptychofold.formats import ScanFields, write_fields
from ptychofold.formats.lazy import ArrayInMemory
from ptychofold.metadata import Metadata

OBJECT_STEP = 2.0**-8
"""Rounding of the object's real and imaginary part; 0.4 % of the transmission of vacuum."""

logger = logging.getLogger(__name__)


def read_counts(path: Path) -> UInt16[np.ndarray, "scan N N"]:
    """Read the measured counts; the source has the zero frequency in the corner and counts as float32."""
    with np.load(io.BytesIO(bz2.decompress(path.read_bytes())), allow_pickle=False) as archive:
        intensity = np.fft.fftshift(archive["data"][0], axes=(-2, -1))
    counts = intensity.astype(np.uint16)
    if not np.array_equal(counts, intensity):
        raise SystemExit(f"{path}: expected whole counts that fit uint16")
    return counts


def rounded(values: Complex64[np.ndarray, "H W"]) -> Complex64[np.ndarray, "H W"]:
    """Round real and imaginary part to `OBJECT_STEP`, so that they compress."""
    parts = np.round(values.view(np.float32) / OBJECT_STEP) * OBJECT_STEP
    return parts.astype(np.float32).view(np.complex64)


def make_fields(source: Path, reconstruction: Path) -> ScanFields:
    """Put the scan together and check it against the reconstruction's own amplitude."""
    counts = read_counts(source)
    with np.load(reconstruction, allow_pickle=False) as archive:
        if not np.array_equal(np.sqrt(counts, dtype=np.float32), archive["diff3d"]):
            raise SystemExit(f"{reconstruction}: expected diff3d to be the square root of the counts in {source}")
        return ScanFields(
            path=None,
            format="PtychoPINN NPZ",
            patterns=ArrayInMemory(counts),
            positions=np.stack([archive["ycoords"], archive["xcoords"]], axis=1),
            probe=archive["probeGuess"],
            object=rounded(archive["objectGuess"]),
            measurement="intensity",
            measurement_reason="detector counts, as the source has them",
            metadata=Metadata(
                n_photons=float(np.round(counts.sum(axis=(1, 2), dtype=np.float64).mean())),
                extra={
                    "name": "Siemens star, Velociprobe, Advanced Photon Source",
                    "source": "https://github.com/AdvancedPhotonSource/tike "
                    "tests/data/siemens-star-small.npz.bz2 @ f1e8cd0",
                    "licence": "BSD-3-Clause style, UChicago Argonne, LLC",
                    "changes": "zero frequency moved to the centre, counts as uint16, "
                    "positions moved to the object's grid",
                    "object": f"60 iterations of ePIE, rounded to {OBJECT_STEP}; a reconstruction, not ground truth",
                },
            ),
        )


def deflate(source: Path, target: Path) -> None:
    """Copy a zip archive with every member deflated as small as Zopfli can."""
    import zopfli.zlib  # type: ignore[import-not-found]

    directory = b""
    with zipfile.ZipFile(source) as archive, target.open("xb") as file:
        for name in archive.namelist():
            content = archive.read(name)
            stream = zopfli.zlib.compress(content, numiterations=5)[2:-4]  # without zlib's header and checksum
            sizes = (zlib.crc32(content), len(stream), len(content), len(name), 0)
            entry = struct.pack("<5H3I2H", 20, 0, zipfile.ZIP_DEFLATED, 0, (1 << 5) + 1, *sizes)
            directory += b"PK\1\2" + struct.pack("<H", 20) + entry
            directory += struct.pack("<3H2I", 0, 0, 0, 0, file.tell()) + name.encode()
            file.write(b"PK\3\4" + entry + name.encode() + stream)
            logger.info("%s: %d bytes from %d", name, len(stream), len(content))
        n_members = len(archive.namelist())
        end = (0, 0, n_members, n_members, len(directory), file.tell(), 0)
        file.write(directory + b"PK\5\6" + struct.pack("<4H2IH", *end))


def main() -> None:
    """Read the arguments and make the file."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("reconstruction", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stored, small = Path(folder) / "stored.npz", Path(folder) / "small.npz"
        write_fields(make_fields(arguments.source, arguments.reconstruction), stored)
        deflate(stored, small)
        arguments.target.write_bytes(small.read_bytes())


if __name__ == "__main__":
    main()
