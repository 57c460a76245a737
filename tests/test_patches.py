import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from ptychofold.errors import DomainError, DtypeError, ShapeError
from ptychofold.patches import extract_patches, place_patches
from ptychofold.testing import coordinate_ramp
from tests.golden_files import golden, golden_names, stored

DTYPES = ["float32", "float64", "complex64", "complex128"]

sizes = st.integers(1, 9)
shapes = st.tuples(st.integers(1, 14), st.integers(1, 14))
seeds = st.integers(0, 2**32 - 1)


def random_pixels(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    values: np.ndarray = rng.normal(size=shape) + (1j * rng.normal(size=shape) if dtype.startswith("complex") else 0)
    return values.astype(dtype)


def pixels_of_ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def awkward_positions(rng: np.random.Generator, n_patches: int) -> np.ndarray:
    """Inside, across every edge, whole, just below whole, and far outside."""
    positions = rng.uniform(-12, 26, (n_patches, 2))
    positions[::4] = positions[::4].round()
    positions[1::8, 0] = rng.choice([-1e300, 1e300, -1e9, 1e15, -1e-20, 3 - 1e-16])
    return positions


def cut_by_definition(canvas: np.ndarray, positions: np.ndarray, size: int) -> np.ndarray:
    offsets = np.arange(size) - size // 2
    cuts = []
    for y, x in positions:
        points = np.stack(np.meshgrid(y + offsets, x + offsets, indexing="ij"))
        parts = [
            map_coordinates(np.pad(part, 1), points + 1, order=1, mode="constant", cval=0.0)
            for part in (canvas.real, canvas.imag)
        ]
        cuts.append(parts[0] + 1j * parts[1])
    return np.array(cuts)


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_patch_pixel_n_over_2_sits_on_the_position(size: int) -> None:
    canvas = coordinate_ramp((40, 50))
    positions = np.array([[20.0, 30.0], [11.25, 17.5], [15.999, 8.001]])
    patches = extract_patches(canvas, positions, size)
    offsets = np.arange(size) - size // 2
    rows, columns = positions[:, :1] + offsets, positions[:, 1:] + offsets
    assert patches.shape == (3, size, size)
    np.testing.assert_allclose(patches.real, np.broadcast_to(rows[:, :, None], patches.shape), atol=4e-6)
    np.testing.assert_allclose(patches.imag, np.broadcast_to(columns[:, None, :], patches.shape), atol=4e-6)


@given(seeds, shapes, sizes)
def test_extraction_follows_its_definition_inside_across_edges_and_outside(
    seed: int, shape: tuple[int, int], size: int
) -> None:
    rng = np.random.default_rng(seed)
    canvas, positions = random_pixels(rng, shape, "complex128"), rng.uniform(-12, 26, (6, 2))
    positions[0] = positions[0].round()
    found = extract_patches(canvas, positions, size)
    np.testing.assert_allclose(found, cut_by_definition(canvas, positions, size), atol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@given(seed=seeds, shape=shapes, size=sizes, n_patches=st.integers(0, 20))
def test_place_is_the_adjoint_of_extract(
    dtype: str, seed: int, shape: tuple[int, int], size: int, n_patches: int
) -> None:
    rng = np.random.default_rng(seed)
    x, y = random_pixels(rng, shape, dtype), random_pixels(rng, (n_patches, size, size), dtype)
    positions = awkward_positions(rng, n_patches)
    left = np.vdot(extract_patches(x, positions, size), y)
    right = np.vdot(x, place_patches(y, positions, shape))
    scale = np.linalg.norm(x.ravel()) * np.linalg.norm(y.ravel()) + 1
    assert abs(left - right) <= 1e-12 * scale


def test_the_adjoint_pair_is_not_vacuous() -> None:
    rng = np.random.default_rng(0)
    x, y, positions = rng.normal(size=(20, 20)), rng.normal(size=(9, 8, 8)), rng.uniform(6, 12, (9, 2))
    mirrored = place_patches(y[:, ::-1], positions, (20, 20))
    assert abs(np.vdot(extract_patches(x, positions, 8), y) - np.vdot(x, mirrored)) > 0.1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("requires_grad", [False, True])
@settings(max_examples=25)
@given(seed=seeds, shape=shapes, size=sizes)
def test_torch_gives_the_numbers_of_numpy(
    dtype: str, requires_grad: bool, seed: int, shape: tuple[int, int], size: int
) -> None:
    rng = np.random.default_rng(seed)
    canvas, positions = random_pixels(rng, shape, dtype), awkward_positions(rng, 9)
    cut = extract_patches(canvas, positions, size)
    laid = place_patches(cut, positions, shape)
    cut_torch = extract_patches(
        torch.from_numpy(canvas).requires_grad_(requires_grad), torch.from_numpy(positions), size
    )
    laid_torch = place_patches(torch.from_numpy(cut).requires_grad_(requires_grad), torch.from_numpy(positions), shape)
    tolerance = 1e-5 if dtype in ("float32", "complex64") else 1e-13
    assert cut_torch.requires_grad == laid_torch.requires_grad == requires_grad
    np.testing.assert_allclose(cut_torch.detach().numpy(), cut, atol=tolerance)
    np.testing.assert_allclose(laid_torch.detach().numpy(), laid, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_dtype_of_pixels_is_kept(dtype: str) -> None:
    canvas, positions = np.ones((9, 9), dtype), np.array([[4.5, 4.25]])
    patches = extract_patches(canvas, positions, 4)
    assert patches.dtype == dtype
    assert place_patches(patches, positions, (9, 9)).dtype == dtype
    from_torch = extract_patches(torch.from_numpy(canvas), torch.from_numpy(positions), 4)
    assert from_torch.dtype == torch.from_numpy(canvas).dtype


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_autograd_agrees_with_finite_differences_for_pixels_and_positions(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    canvas = torch.randn(5, 6, dtype=dtype, generator=generator, requires_grad=True)
    patches = torch.randn(3, 3, 3, dtype=dtype, generator=generator, requires_grad=True)
    positions = (torch.rand(3, 2, dtype=torch.float64, generator=generator) * 7 - 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, p: extract_patches(x, p, 3), (canvas, positions))
    assert torch.autograd.gradcheck(lambda y, p: place_patches(y, p, (5, 6)), (patches, positions))


def test_the_gradient_of_extract_is_place() -> None:
    rng = np.random.default_rng(1)
    canvas = torch.from_numpy(random_pixels(rng, (12, 10), "complex128")).requires_grad_()
    positions = torch.from_numpy(rng.uniform(-3, 14, (7, 2)))
    weights = torch.from_numpy(random_pixels(rng, (7, 5, 5), "complex128"))
    (gradient,) = torch.autograd.grad(extract_patches(canvas, positions, 5), canvas, weights)
    torch.testing.assert_close(gradient, place_patches(weights, positions, (12, 10)))


def test_many_patches_are_the_same_as_one_at_a_time() -> None:
    rng = np.random.default_rng(2)
    canvas, positions = random_pixels(rng, (90, 90), "complex64"), rng.uniform(-40, 120, (70, 2))
    together = extract_patches(canvas, positions, 64)
    for index, position in enumerate(positions):
        np.testing.assert_array_equal(extract_patches(canvas, position[None], 64)[0], together[index])
    in_portions = np.zeros_like(canvas)
    for start in range(0, 70, 9):
        place_patches(together[start : start + 9], positions[start : start + 9], (90, 90), out=in_portions)
    np.testing.assert_array_equal(place_patches(together, positions, (90, 90)), in_portions)


@pytest.mark.parametrize("far", [1e9, -1e9, 1e18, 1e300, -1e300])
def test_patches_far_outside_are_zero_and_cost_nothing(far: float) -> None:
    positions = np.array([[far, 3.0], [3.0, far], [far, -far]])
    canvas = np.ones((8, 8), np.complex64)
    assert not extract_patches(canvas, positions, 4).any()
    assert not place_patches(np.ones((3, 4, 4), np.complex64), positions, (8, 8)).any()
    tensor = torch.ones(8, 8, requires_grad=True)
    assert not extract_patches(tensor, torch.from_numpy(positions), 4).any()


def test_out_is_added_to_in_place() -> None:
    positions, patches = np.array([[3.0, 3.5]]), pixels_of_ones(1, 2, 2)
    canvas = pixels_of_ones(6, 6)
    assert place_patches(patches, positions, (6, 6), out=canvas) is canvas
    np.testing.assert_array_equal(canvas, 1 + place_patches(patches, positions, (6, 6)))
    strided = np.zeros((6, 12), np.float32)[:, ::2]
    place_patches(patches, positions, (6, 6), out=strided)
    np.testing.assert_array_equal(strided, canvas - 1)


@pytest.mark.parametrize("requires_grad", [False, True])
def test_out_may_be_a_tensor(requires_grad: bool) -> None:
    patches, positions = torch.ones(1, 2, 2, requires_grad=requires_grad), torch.tensor([[3.0, 3.5]])
    canvas = torch.ones(6, 6)
    assert place_patches(patches, positions, (6, 6), out=canvas) is canvas
    torch.testing.assert_close(canvas.detach(), 1 + place_patches(patches, positions, (6, 6)).detach())


def test_autograd_notices_that_out_was_changed() -> None:
    weight, canvas = torch.ones(4, 4, requires_grad=True), torch.ones(4, 4)
    loss = (weight * canvas).sum()
    place_patches(torch.ones(1, 2, 2), torch.tensor([[2.0, 2.0]]), (4, 4), out=canvas)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, weight)


def test_lazily_conjugated_strided_and_read_only_pixels_are_read_as_they_are() -> None:
    rng = np.random.default_rng(3)
    canvas, positions = random_pixels(rng, (12, 12), "complex64"), rng.uniform(3, 9, (5, 2))
    cut = extract_patches(canvas, positions, 4)
    conjugated = extract_patches(torch.from_numpy(canvas).conj(), torch.from_numpy(positions), 4)
    np.testing.assert_array_equal(conjugated.numpy(), cut.conj())
    wide = np.repeat(canvas, 2, axis=1)[:, ::2]
    np.testing.assert_array_equal(extract_patches(wide, positions, 4), cut)
    canvas.flags.writeable = positions.flags.writeable = False
    np.testing.assert_array_equal(extract_patches(canvas, positions, 4), cut)
    laid = place_patches(cut.transpose(0, 2, 1), positions, (12, 12))
    np.testing.assert_array_equal(laid, place_patches(cut.transpose(0, 2, 1).copy(), positions, (12, 12)))


def test_whole_positions_may_be_integers_and_give_exact_copies() -> None:
    canvas = random_pixels(np.random.default_rng(4), (20, 20), "complex64")
    positions = np.array([[10, 9], [0, 0], [25, 3]])
    cut = extract_patches(canvas, positions, 6)
    np.testing.assert_array_equal(cut[0], canvas[7:13, 6:12])
    np.testing.assert_array_equal(cut, extract_patches(canvas, positions.astype(np.float64), 6))
    np.testing.assert_array_equal(
        cut, extract_patches(torch.from_numpy(canvas), torch.from_numpy(positions), 6).numpy()
    )


@pytest.mark.parametrize("name", golden_names("image_patches"))
def test_patches_equal_the_golden_of_the_reference(name: str) -> None:
    inputs, params, outputs = golden(name)
    centers_xy = inputs["global_offsets"] + inputs["local_offsets"]
    positions = np.moveaxis(centers_xy[:, 0], 1, 2)[..., ::-1].reshape(-1, 2)
    N, want = params["N"], stored(outputs, "patches")
    patches = extract_patches(inputs["objectGuess"], positions, N)
    np.testing.assert_allclose(
        patches.reshape(want.shape[0], want.shape[3], N, N),
        np.moveaxis(want, 3, 1),
        atol=params["tolerance"]["abs"],
        rtol=0,
    )
    assert patches.dtype == want.dtype


def test_numpy_patches_do_not_load_torch() -> None:
    program = (
        "import sys, numpy as np; from ptychofold.patches import extract_patches as e, place_patches as p;"
        "q = np.full((1, 2), 2.5); p(e(np.ones((5, 5)), q, 2), q, (5, 5)); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_position_that_is_not_finite_is_refused_by_its_number(bad: float) -> None:
    positions = np.array([[1.0, 2.0], [bad, 2.0]])
    with pytest.raises(DomainError, match=r"expected finite positions; found .* for patch 1"):
        extract_patches(np.ones((4, 4)), positions, 2)
    with pytest.raises(DomainError, match="expected finite positions"):
        place_patches(torch.ones(2, 2, 2), torch.from_numpy(positions), (4, 4))


def test_a_canvas_of_another_shape_or_dtype_is_refused() -> None:
    positions = np.ones((1, 2))
    with pytest.raises(ShapeError, match=r"expected canvas of shape \(H, W\).*found \(1, 4, 4\)"):
        extract_patches(np.ones((1, 4, 4)), positions, 2)
    with pytest.raises(ShapeError, match=r"expected canvas of shape \(H, W\)"):
        extract_patches(np.ones((0, 4)), positions, 2)
    with pytest.raises(DtypeError, match=r"expected canvas of float32.*found int64. Cast it"):
        extract_patches(np.ones((4, 4), np.int64), positions, 2)


def test_positions_of_another_shape_or_dtype_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected positions of shape \(patch, 2\).*found \(2,\)"):
        extract_patches(np.ones((4, 4)), np.ones(2), 2)
    with pytest.raises(ShapeError, match=r"expected positions of shape \(3, 2\).*found \(2, 2\)"):
        place_patches(np.ones((3, 2, 2)), np.ones((2, 2)), (4, 4))
    with pytest.raises(DtypeError, match="expected real positions; found complex128"):
        extract_patches(np.ones((4, 4)), np.ones((1, 2), complex), 2)


def test_patches_that_are_not_square_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected patches of shape \(patch, N, N\).*found \(1, 2, 3\)"):
        place_patches(np.ones((1, 2, 3)), np.ones((1, 2)), (4, 4))


def test_a_size_of_nothing_is_refused() -> None:
    with pytest.raises(ShapeError, match="expected a patch size of at least 1 pixel; found 0"):
        extract_patches(np.ones((4, 4)), np.ones((1, 2)), 0)


def test_a_mixture_of_kinds_is_refused() -> None:
    with pytest.raises(
        DtypeError, match="only NumPy arrays or only torch tensors; found canvas: ndarray, positions: Tensor"
    ):
        extract_patches(np.ones((4, 4)), torch.ones(1, 2), 2)


def test_an_out_of_another_shape_or_dtype_is_refused() -> None:
    patches, positions = np.ones((1, 2, 2)), np.ones((1, 2))
    with pytest.raises(ShapeError, match=r"expected out of shape \(4, 4\); found \(4, 5\)"):
        place_patches(patches, positions, (4, 4), out=np.zeros((4, 5)))
    with pytest.raises(DtypeError, match=r"expected out of float64.*found float32"):
        place_patches(patches, positions, (4, 4), out=np.zeros((4, 4), np.float32))


def test_tensors_with_gradient_are_worked_on_in_portions_without_a_seam() -> None:
    rng = np.random.default_rng(5)
    canvas, positions = rng.normal(size=(80, 80)).astype(np.float32), rng.uniform(20, 60, (1000, 2))
    cut = extract_patches(canvas, positions, 64)
    tensor, at = torch.from_numpy(canvas).requires_grad_(), torch.from_numpy(positions)
    np.testing.assert_allclose(extract_patches(tensor, at, 64).detach().numpy(), cut, atol=1e-5)
    laid = place_patches(torch.from_numpy(cut).requires_grad_(), at, (80, 80))
    np.testing.assert_allclose(laid.detach().numpy(), place_patches(cut, positions, (80, 80)), rtol=1e-4, atol=2e-3)
