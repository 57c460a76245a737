"""Ptychodus's own PtychoPINN code paths, run through our aliases; needs its wheel (``make test-interop``)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ptychofold.compat.aliases import install, uninstall

pytest.importorskip("ptychodus", reason="needs the interop extra", exc_type=ImportError)
pytestmark = [pytest.mark.interop, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
N_SCAN, N, STEP = 25, 32, 3.0


@pytest.fixture(autouse=True)
def aliases() -> Iterator[None]:
    install()
    yield
    uninstall()


@pytest.fixture
def parameters() -> Any:  # noqa: ANN401 (Ptychodus's ReconstructInput)
    from ptychodus.api.geometry import PixelGeometry
    from ptychodus.api.object import Object, ObjectCenter
    from ptychodus.api.probe import ProbeSequence
    from ptychodus.api.probe_positions import ProbePosition, ProbePositionSequence
    from ptychodus.api.product import Product, ProductMetadata
    from ptychodus.api.reconstruct import ReconstructInput

    rng = np.random.default_rng(0)
    pixel = PixelGeometry(width_m=4e-9, height_m=4e-9)
    rows, columns = (axis.ravel() * STEP * 4e-9 for axis in np.mgrid[-2:3, -2:3])
    points = [ProbePosition(i, x, y) for i, (y, x) in enumerate(zip(rows, columns, strict=True))]
    probe = (rng.normal(size=(1, 2, N, N)) + 1j * rng.normal(size=(1, 2, N, N))).astype(np.complex64)
    canvas = np.exp(1j * rng.normal(size=(1, 64, 64))).astype(np.complex64)
    product = Product(
        metadata=ProductMetadata("name", "", 1.5, 8000.0, 1e6, 0.5, 0.0, 0.0),
        probe_positions=ProbePositionSequence(points),
        probes=ProbeSequence(probe, None, pixel),
        object_=Object(canvas, pixel, ObjectCenter(0.0, 0.0)),
        losses=[],
    )
    patterns = rng.poisson(20, (N_SCAN, N, N)).astype(np.uint16)
    return ReconstructInput(patterns, np.zeros((N, N), bool), product)


def test_its_raw_data_are_ours_with_counts_recognised_and_modes_kept(parameters: Any) -> None:  # noqa: ANN401
    from ptychodus.model.ptychopinn._subprocess import _create_raw_data

    raw = _create_raw_data(parameters)
    assert type(raw).__module__ == "ptychofold.compat.raw_data"
    assert raw.scan.measurement == "intensity"
    assert raw.probeGuess.shape == (2, N, N)
    np.testing.assert_array_equal(raw.diff3d, parameters.diffraction_patterns)
    geometry = parameters.product.object_.get_geometry()
    np.testing.assert_allclose(
        raw.xcoords, geometry.map_probe_positions_to_object_x_px(parameters.product.probe_positions)
    )
    np.testing.assert_allclose(np.diff(raw.ycoords[::5]), STEP)


def test_its_inference_path_gives_the_contract_s_container(parameters: Any) -> None:  # noqa: ANN401
    import ptycho.loader  # type: ignore[import-not-found]
    import ptycho.params  # type: ignore[import-not-found]
    import ptycho.tf_helper  # type: ignore[import-not-found]
    from ptycho.config.config import update_legacy_dict  # type: ignore[import-not-found]
    from ptychodus.api.settings import SettingsRegistry
    from ptychodus.model.ptychopinn import reconstructor, settings
    from ptychodus.model.ptychopinn._subprocess import _create_raw_data

    model = settings.PtychoPINNModelSettings(SettingsRegistry())
    config = reconstructor._build_inference_config(model, "PINN", N, is_developer_mode_enabled=False)
    config.model.gridsize = 2
    update_legacy_dict(ptycho.params.cfg, config)
    raw = _create_raw_data(parameters)
    grouped = raw.generate_grouped_data(config.model.N, K=7, nsamples=20, gridsize=config.model.gridsize)
    container = ptycho.loader.load(lambda: grouped, raw.probeGuess, which=None, create_split=False)
    assert (tuple(container.X.shape), str(container.X.dtype)) == ((20, N, N, 4), "torch.float32")
    assert (tuple(container.local_offsets.shape), len(container)) == ((20, 1, 2, 4), 20)
    assert (tuple(container.probe.shape), str(container.probe.dtype)) == ((N, N), "torch.complex64")
    energy = container.X.double().square().sum(dim=(1, 2)).mean()
    assert float(energy) == pytest.approx((N / 2) ** 2, rel=1e-5)
    first = parameters.diffraction_patterns[container.nn_indices[0, 0]]
    ratio = container.X[0, :, :, 0].numpy() / np.sqrt(np.maximum(first, 1))
    assert np.ptp(ratio[first > 0]) < 1e-5
    with pytest.raises(KeyError):
        ptycho.params.get("intensity_scale")
    patches = np.ones((20, N, N, 1), np.complex64)
    whole = ptycho.tf_helper.reassemble_position(patches, container.global_offsets, M=20)
    assert np.squeeze(whole).ndim == 2


def test_its_pytorch_inference_data_are_shown_in_memory(parameters: Any) -> None:  # noqa: ANN401
    pytest.importorskip("tensordict")
    from ptycho_torch.config_params import DataConfig, ModelConfig  # type: ignore[import-not-found]
    from ptycho_torch.dataloader import PtychoDataset  # type: ignore[import-not-found]
    from ptychodus.api.preprocess.diffraction import inpaint_bad_pixels

    geometry = parameters.product.object_.get_geometry()
    positions = parameters.product.probe_positions
    y, x = (
        geometry.map_probe_positions_to_object_y_px(positions),
        geometry.map_probe_positions_to_object_x_px(positions),
    )
    dataset = PtychoDataset.from_np(
        diff_patterns=inpaint_bad_pixels(parameters.diffraction_patterns, parameters.bad_pixels),
        probe=parameters.product.probes.get_probe_no_opr().get_array(),
        positions=np.column_stack([y, x]),
        model_config=ModelConfig(),
        data_config=DataConfig(N=N, K=6, subsample_seed=0, x_bounds=(0.0, 1.0), y_bounds=(0.0, 1.0)),
    )
    batch, probes, _ = dataset[:3]
    assert batch["images"].shape == (3, 4, N, N)
    assert probes.shape == (3, 4, 2, N, N)
