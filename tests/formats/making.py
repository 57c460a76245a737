"""Small scan files for the tests of the formats."""

import zipfile
from pathlib import Path

import h5py
import numpy as np

N_SCAN, N = 12, 8


def arrays(seed: int = 0, *, dtype: str = "uint16") -> dict[str, np.ndarray]:
    """Return the contract's arrays of a small scan, every optional one included."""
    rng = np.random.default_rng(seed)

    def complex_(*shape: int) -> np.ndarray:
        return np.asarray(rng.normal(size=shape) + 1j * rng.normal(size=shape), np.complex64)

    return {
        "xcoords": rng.uniform(4, 20, N_SCAN),
        "ycoords": rng.uniform(4, 20, N_SCAN),
        "xcoords_start": rng.uniform(4, 20, N_SCAN),
        "ycoords_start": rng.uniform(4, 20, N_SCAN),
        "diff3d": rng.poisson(9.0, (N_SCAN, N, N)).astype(dtype),
        "probeGuess": complex_(2, N, N),
        "objectGuess": complex_(30, 28),
        "scan_index": np.arange(N_SCAN) // 5,
        "bad_pixels": rng.random((N, N)) < 0.1,
        "Y": complex_(N_SCAN, N, N),
    }


def save(path: Path, content: dict[str, np.ndarray], *, compressed: bool = False) -> Path:
    """Write an NPZ with NumPy."""
    (np.savez_compressed if compressed else np.savez)(path, **content)  # type: ignore[arg-type]
    return path


def save_raw(path: Path, members: dict[str, bytes], *, method: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip archive with members of any bytes."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def save_product(path: Path, *, old_names: bool = False, n: tuple[int, int] = (30, 27), n_modes: int = 2) -> Path:
    """Write a Ptychodus product by hand; positions are (index) * (2e-9, 3e-9) m around a centre."""
    content = arrays()
    with h5py.File(path, "w") as file:
        file.attrs["name"], file.attrs["comments"] = "scan 7", ""
        file.attrs["detector_object_distance_m"] = 1.5
        file.attrs["probe_energy_eV" if old_names else "photon_energy_eV"] = 8000.0
        file.attrs["exposure_time_s"] = 0.5
        if old_names:
            file.attrs["probe_photons_per_s"] = 2e6
        else:
            file.attrs["probe_photon_count"] = 1e6
        file["probe_position_indexes"] = np.arange(N_SCAN) + 3
        file["probe_position_x_m"] = 1e-7 + 2e-9 * np.arange(N_SCAN)
        file["probe_position_y_m"] = 2e-7 + 3e-9 * np.arange(N_SCAN)
        file["probe"] = content["probeGuess"][:n_modes]
        file["object"] = np.ones((1, *n), np.complex128)
        file["object"].attrs.update(center_x_m=1e-7, center_y_m=2e-7, pixel_width_m=4e-9, pixel_height_m=5e-9)
        file["object_layer_distance_m" if old_names else "object_layer_spacing_m"] = np.zeros(1 if old_names else 0)
    return path


def save_diffraction(path: Path, indexes: np.ndarray) -> Path:
    """Write assembled diffraction data by hand; pattern i holds its own number everywhere."""
    with h5py.File(path, "w") as file:
        file.create_dataset("indexes", data=indexes, compression="lzf")
        frames = np.broadcast_to(indexes[:, None, None].clip(0), (len(indexes), N, N)).astype(np.uint16)
        file.create_dataset("patterns", data=frames, compression="lzf")
        file["patterns"].attrs.update(detector_pixel_width_m=75e-6, detector_pixel_height_m=75e-6)
        file.create_dataset("bad_pixels", data=np.zeros((N, N), bool), compression="lzf")
    return path


def save_training(path: Path) -> dict[str, np.ndarray]:
    """Write Ptychodus training data by hand and return what it holds."""
    content = arrays()
    with h5py.File(path, "w") as file:
        for name, key in (("patterns", "diff3d"), ("bad_pixels", "bad_pixels"), ("probe", "probeGuess")):
            file.create_dataset(name, data=content[key], compression="lzf")
        file.create_dataset("object", data=content["objectGuess"], compression="lzf")
        file["probe_position_x_px"], file["probe_position_y_px"] = content["xcoords"], content["ycoords"]
        file["object_pixel_width_m"], file["object_pixel_height_m"] = 4e-9, 5e-9
        file["detector_object_distance_m"], file["photon_energy_eV"] = 1.5, 8000.0
    return content
