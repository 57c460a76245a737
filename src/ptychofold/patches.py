"""Cut patches from a canvas and lay patches onto one: an exact adjoint pair for NumPy arrays and torch tensors.

A patch of size N at position p covers the rows ``p_y - N//2 … p_y - N//2 + N - 1`` (columns alike), so that patch
pixel ``[N//2, N//2]`` sits on p. Between pixels the canvas is bilinear, outside it is zero. With
``i = floor(p) - N//2`` and ``f = p - floor(p)``::

    extract(O, p)[r, c] = Σ_{s, t ∈ {0, 1}} w_s(f_y) w_t(f_x) O[i_y + r + s, i_x + c + t],   w_0(f) = 1 - f, w_1(f) = f

The fraction is one number for each patch and axis, so a patch is a window of (N + 1)² whole pixels, interpolated along
rows, then along columns; `place_patches` runs the transposed steps in the other order.

Tensors in host memory that need no gradient take the NumPy code; others torch operations that autograd differentiates.
"""

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Protocol, Self, TypeVar, cast, runtime_checkable

import numpy as np
from jaxtyping import Float64, Inexact, Int64, Shaped

from ptychofold.errors import DomainError, DtypeError, ShapeError

__all__ = ["extract_patches", "place_patches"]

CACHED_BYTES = 1 << 19
"""Bytes of windows that are interpolated in one step in host memory; a core's second-level cache holds them."""
DEVICE_PIXELS = 1 << 22
"""Pixels of windows that are interpolated in one step of torch operations."""
WEIGHT = {"float32": "float32", "float64": "float64", "complex64": "float32", "complex128": "float64"}
"""Dtypes that pixels may have, and the dtype of their bilinear weights."""


@runtime_checkable
class _Tensor(Protocol):
    """What is used of ``torch.Tensor``, since this floor must not import torch."""

    shape: tuple[int, ...]
    dtype: object
    device: object
    requires_grad: bool

    def __getitem__(self, key: object) -> Self: ...
    def __setitem__(self, key: object, value: Self) -> None: ...
    def __add__(self, other: Self) -> Self: ...
    def __iadd__(self, other: Self) -> Self: ...
    def __sub__(self, other: Self | float) -> Self: ...
    def __mul__(self, other: Self) -> Self: ...
    def __imul__(self, other: Self) -> Self: ...
    def reshape(self, *shape: int) -> Self: ...
    def to(self, dtype: object) -> Self: ...
    def floor(self) -> Self: ...
    def nan_to_num(self) -> Self: ...
    def clip(self, low: int, high: int) -> Self: ...
    def index_put_(self, indices: tuple[Self, ...], values: Self, *, accumulate: bool) -> Self: ...
    def detach(self) -> Self: ...
    def resolve_conj(self) -> Self: ...
    def resolve_neg(self) -> Self: ...
    def numpy(self) -> np.ndarray: ...


ArrayT = TypeVar("ArrayT")
OtherT = TypeVar("OtherT")
EitherT = TypeVar("EitherT", np.ndarray, _Tensor)


def extract_patches(
    canvas: Shaped[ArrayT, "..."], positions: Shaped[OtherT, "..."], size: int
) -> Inexact[ArrayT, "patch N N"]:
    """Cut a patch around each position.

    Parameters
    ----------
    canvas
        (H, W), float32, float64, complex64 or complex128; a NumPy array or a torch tensor on any device.
    positions
        (patch, 2), patch centres (y, x) in canvas pixels, pixel centres at integers; of the same kind as ``canvas``.
        They may lie any distance outside.
    size
        N, the side of a patch.

    Returns
    -------
    patches
        (patch, N, N) in the kind and dtype of ``canvas``.

    Raises
    ------
    ShapeError
        If the canvas is not (H, W), positions are not (patch, 2), or the size is not positive.
    DtypeError
        If a dtype is another, or the arguments are not of one kind.
    DomainError
        If a position is not finite. On an accelerator, where looking would stall it, the patch is NaN instead.

    Examples
    --------
    >>> canvas = np.arange(16.0).reshape(4, 4)
    >>> extract_patches(canvas, np.array([[2.0, 1.5]]), 2)[0].tolist()
    [[4.5, 5.5], [8.5, 9.5]]
    """
    _check_kind(canvas=canvas, positions=positions)
    _check_pixels(canvas, name="canvas", axes="(H, W)")
    _check_positions(positions)
    if size < 1:
        raise ShapeError(f"expected a patch size of at least 1 pixel; found {size}.", field="size")
    if isinstance(canvas, np.ndarray):
        cut = np.empty((len(cast("np.ndarray", positions)), size, size), canvas.dtype)
        _extract_on_host(canvas, _finite(cast("np.ndarray", positions)), cut)
        return cast("ArrayT", cut)
    return cast("ArrayT", _extract_tensor(cast("_Tensor", canvas), cast("_Tensor", positions), size))


def place_patches(
    patches: Shaped[ArrayT, "..."],
    positions: Shaped[OtherT, "..."],
    shape: tuple[int, int],
    *,
    out: Shaped[OtherT, "..."] | None = None,
) -> Inexact[ArrayT, "H W"]:
    """Add patches onto a canvas at their positions with the weights of `extract_patches`: its adjoint.

    ``<extract_patches(x, p, N), y> == <x, place_patches(y, p, x.shape)>``. Patches are added one after the other in
    their order, so that the sum is the same however often it is made and in whatever portions.

    Parameters
    ----------
    patches
        (patch, N, N), float32, float64, complex64 or complex128; a NumPy array or a torch tensor on any device.
    positions
        (patch, 2), patch centres (y, x) in canvas pixels; of the same kind as ``patches``.
    shape
        (H, W) of the canvas; what lies outside is dropped.
    out
        (H, W) canvas of the dtype of ``patches`` to add to in place; a fresh one of zeros if None.

    Returns
    -------
    canvas
        (H, W) in the kind and dtype of ``patches``; ``out`` if it was given.

    Raises
    ------
    ShapeError
        If patches are not (patch, N, N) with one position each, or ``out`` is not of the shape.
    DtypeError
        If a dtype is another, or the arguments are not of one kind.
    DomainError
        If a position is not finite. On an accelerator, where looking would stall it, a corner becomes NaN instead.

    Examples
    --------
    >>> place_patches(np.ones((1, 1, 1)), np.array([[1.0, 0.25]]), (2, 2)).tolist()
    [[0.0, 0.0], [0.75, 0.25]]
    """
    _check_kind(patches=patches, positions=positions, **({} if out is None else {"out": out}))
    _check_pixels(patches, name="patches", axes="(patch, N, N)")
    _check_positions(positions, n_patches=cast("_Tensor", patches).shape[0])
    if out is not None:
        _check_out(out, shape=shape, like=patches)
    if isinstance(patches, np.ndarray):
        canvas = np.zeros(shape, patches.dtype) if out is None else cast("np.ndarray", out)
        _place_on_host(patches, _finite(cast("np.ndarray", positions)), canvas)
        return cast("ArrayT", canvas)
    target = None if out is None else cast("_Tensor", out)
    return cast("ArrayT", _place_tensor(cast("_Tensor", patches), cast("_Tensor", positions), shape, target))


def _interpolated(
    windows: Inexact[EitherT, "part side side value"], fraction: Inexact[EitherT, "part 2"]
) -> Inexact[EitherT, "part N N value"]:
    """Interpolate windows of whole pixels at their fractions; a side shrinks by one pixel."""
    down, right = fraction[:, 0].reshape(-1, 1, 1, 1), fraction[:, 1].reshape(-1, 1, 1, 1)
    rows: EitherT = windows[:, 1:] - windows[:, :-1]
    rows *= down
    rows += windows[:, :-1]
    patches: EitherT = rows[:, :, 1:] - rows[:, :, :-1]
    patches *= right
    patches += rows[:, :, :-1]
    return patches


def _spread(
    patches: Inexact[EitherT, "part N N value"], fraction: Inexact[EitherT, "part 2"]
) -> Inexact[EitherT, "part side side value"]:
    """Share the pixels of patches out to windows of whole pixels: the transpose of `_interpolated`."""
    down, right = fraction[:, 0].reshape(-1, 1, 1, 1), fraction[:, 1].reshape(-1, 1, 1, 1)
    n_part, size, _, n_values = patches.shape
    moved = patches * right
    rows = _zeros(patches, (n_part, size, size + 1, n_values))
    rows[:, :, :-1] = patches - moved
    rows[:, :, 1:] += moved
    moved = rows * down
    windows = _zeros(patches, (n_part, size + 1, size + 1, n_values))
    windows[:, :-1] = rows - moved
    windows[:, 1:] += moved
    return windows


def _zeros(like: EitherT, shape: tuple[int, ...]) -> EitherT:
    if isinstance(like, np.ndarray):
        return np.zeros(shape, like.dtype)
    return cast("EitherT", _torch().zeros(shape, dtype=like.dtype, device=like.device))


def _parts(n_patches: int, step: int) -> Iterator[slice]:
    for start in range(0, n_patches, max(1, step)):
        yield slice(start, min(start + max(1, step), n_patches))


def _extract_on_host(
    canvas: Inexact[np.ndarray, "H W"],
    positions: Float64[np.ndarray, "patch 2"],
    cut: Inexact[np.ndarray, "patch N N"],
) -> None:
    size, values = cut.shape[-1], _real(cut)
    corners, fraction = _located(positions, size, shape=canvas.shape, weight=values.dtype)
    if not fraction.any():
        _copy_windows(canvas, corners, cut)
        return
    for part in _parts(len(cut), CACHED_BYTES // ((size + 1) ** 2 * cut.itemsize)):
        windows = np.empty((part.stop - part.start, size + 1, size + 1), cut.dtype)
        _copy_windows(canvas, corners[part], windows)
        values[part] = _interpolated(_real(windows), fraction[part])


def _place_on_host(
    patches: Inexact[np.ndarray, "patch N N"],
    positions: Float64[np.ndarray, "patch 2"],
    canvas: Inexact[np.ndarray, "H W"],
) -> None:
    size, weight = patches.shape[-1], np.dtype(WEIGHT[patches.dtype.name])
    corners, fraction = _located(positions, size, shape=canvas.shape, weight=weight)
    if not fraction.any():
        _add_windows(patches, corners, canvas)
        return
    for part in _parts(len(patches), CACHED_BYTES // ((size + 1) ** 2 * patches.itemsize)):
        windows = _spread(_real(np.ascontiguousarray(patches[part])), fraction[part])
        _add_windows(windows.view(patches.dtype)[..., 0], corners[part], canvas)


def _located(
    positions: Float64[np.ndarray, "patch 2"], size: int, *, shape: tuple[int, ...], weight: np.dtype
) -> tuple[Int64[np.ndarray, "patch 2"], Inexact[np.ndarray, "patch 2"]]:
    """Return the first whole pixel of each window, at most just outside the canvas, and the fraction beyond it."""
    whole = np.floor(positions)
    corners = np.clip(whole - size // 2, -(size + 1), shape).astype(np.int64)
    return corners, (positions - whole).astype(weight)


def _copy_windows(
    canvas: Inexact[np.ndarray, "H W"],
    corners: Int64[np.ndarray, "part 2"],
    windows: Inexact[np.ndarray, "part side side"],
) -> None:
    side = windows.shape[-1]
    windows[((corners < 0) | (corners > np.array(canvas.shape) - side)).any(axis=1)] = 0
    for window, (row, column) in zip(windows, corners.tolist(), strict=True):
        rows, window_rows = _overlap(row, side, canvas.shape[0])
        columns, window_columns = _overlap(column, side, canvas.shape[1])
        window[window_rows, window_columns] = canvas[rows, columns]


def _add_windows(
    windows: Inexact[np.ndarray, "part side side"],
    corners: Int64[np.ndarray, "part 2"],
    canvas: Inexact[np.ndarray, "H W"],
) -> None:
    side = windows.shape[-1]
    for window, (row, column) in zip(windows, corners.tolist(), strict=True):
        rows, window_rows = _overlap(row, side, canvas.shape[0])
        columns, window_columns = _overlap(column, side, canvas.shape[1])
        canvas[rows, columns] += window[window_rows, window_columns]


def _overlap(start: int, side: int, length: int) -> tuple[slice, slice]:
    """Return what a window shares with one axis of the canvas: as pixels of the canvas and of the window."""
    first, last = max(start, 0), max(min(start + side, length), 0)
    return slice(first, last), slice(first - start, last - start)


def _real(pixels: Inexact[np.ndarray, "part N N"]) -> Inexact[np.ndarray, "part N N value"]:
    """View pixels as one real value each, or two if complex: a real weight then costs half the work."""
    return pixels[..., None].view(WEIGHT[pixels.dtype.name])


def _extract_tensor(
    canvas: Inexact[_Tensor, "H W"], positions: Shaped[_Tensor, "patch 2"], size: int
) -> Inexact[_Tensor, "patch N N"]:
    torch, side = _torch(), size + 1
    if _on_host(canvas, positions):
        return cast("_Tensor", torch.from_numpy(extract_patches(_host(canvas), _host(positions), size)))
    cut: _Tensor = torch.empty((positions.shape[0], size, size), dtype=canvas.dtype, device=canvas.device)
    padded = torch.nn.functional.pad(canvas, (side, side, side, side))[..., None]
    for part in _parts(positions.shape[0], DEVICE_PIXELS // side**2):
        pixels, fraction = _located_tensor(positions[part], size, canvas=canvas)
        cut[part] = _interpolated(padded[pixels], fraction)[..., 0]
    return cut


def _place_tensor(
    patches: Inexact[_Tensor, "patch N N"],
    positions: Shaped[_Tensor, "patch 2"],
    shape: tuple[int, int],
    out: Inexact[_Tensor, "H W"] | None,
) -> Inexact[_Tensor, "H W"]:
    torch, side = _torch(), patches.shape[-1] + 1
    canvas: _Tensor = out if out is not None else torch.zeros(shape, dtype=patches.dtype, device=patches.device)
    if _on_host(patches, positions, canvas):
        place_patches(_host(patches), _host(positions), shape, out=canvas.detach().numpy())
        torch.autograd.graph.increment_version(canvas)
        return canvas
    padded = _zeros(patches, (shape[0] + 2 * side, shape[1] + 2 * side, 1))
    for part in _parts(patches.shape[0], DEVICE_PIXELS // side**2):
        pixels, fraction = _located_tensor(positions[part], side - 1, canvas=canvas)
        padded.index_put_(pixels, _spread(patches[part][..., None], fraction), accumulate=True)
    canvas += padded[side:-side, side:-side, 0]
    return canvas


def _located_tensor(
    positions: Shaped[_Tensor, "part 2"], size: int, *, canvas: Inexact[_Tensor, "H W"]
) -> tuple[tuple[_Tensor, _Tensor], Inexact[_Tensor, "part 2"]]:
    """Return row and column indices of each window into a canvas padded by N + 1 pixels, and the fractions."""
    torch, side = _torch(), size + 1
    whole = positions.to(torch.float64).floor()
    fraction = (positions.to(torch.float64) - whole).to(getattr(torch, WEIGHT[_dtype_name(canvas)]))
    steps = torch.arange(side, device=canvas.device)
    corners = (whole - size // 2).nan_to_num()
    rows, columns = (
        corners[:, axis].clip(-side, canvas.shape[axis]).to(torch.int64)[:, None] + (steps + side) for axis in (0, 1)
    )
    return (rows[:, :, None], columns[:, None, :]), fraction


def _torch() -> ModuleType:
    """Return torch, which whoever made the tensor has imported."""
    return sys.modules["torch"]


def _on_host(*tensors: _Tensor) -> bool:
    """Whether NumPy may work in the tensors' memory: on the CPU, and no gradient to be recorded."""
    torch = _torch()
    recorded = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    return not recorded and all(str(tensor.device) == "cpu" for tensor in tensors)


def _host(tensor: _Tensor) -> np.ndarray:
    return tensor.detach().resolve_conj().resolve_neg().numpy()


def _dtype_name(array: object) -> str:
    return str(cast("_Tensor", array).dtype).removeprefix("torch.")


def _check_kind(**arrays: object) -> None:
    kinds = (np.ndarray, sys.modules["torch"].Tensor) if "torch" in sys.modules else (np.ndarray,)
    if not any(all(isinstance(array, kind) for array in arrays.values()) for kind in kinds):
        found = ", ".join(f"{name}: {type(array).__name__}" for name, array in arrays.items())
        raise DtypeError(f"expected only NumPy arrays or only torch tensors; found {found}. Convert them to one kind.")


def _check_pixels(pixels: object, *, name: str, axes: str) -> None:
    shape = cast("_Tensor", pixels).shape
    if len(shape) != axes.count(",") + 1 or (len(shape) == 3 and shape[1] != shape[2]) or 0 in shape[-2:]:
        raise ShapeError(f"expected {name} of shape {axes}, no side empty; found {tuple(shape)}.", field=name)
    if _dtype_name(pixels) not in WEIGHT:
        raise DtypeError(f"expected {name} of {', '.join(WEIGHT)}; found {_dtype_name(pixels)}. Cast it.", field=name)


def _check_positions(positions: object, *, n_patches: int | None = None) -> None:
    shape = cast("_Tensor", positions).shape
    if len(shape) != 2 or shape[1] != 2 or n_patches not in (None, shape[0]):
        raise ShapeError(
            f"expected positions of shape ({n_patches or 'patch'}, 2), one (y, x) a patch; found {tuple(shape)}.",
            field="positions",
        )
    if not _dtype_name(positions).startswith(("float", "int", "uint")):
        raise DtypeError(f"expected real positions; found {_dtype_name(positions)}.", field="positions")


def _check_out(out: object, *, shape: tuple[int, int], like: object) -> None:
    found, wanted, dtype = tuple(cast("_Tensor", out).shape), _dtype_name(like), _dtype_name(out)
    if found != tuple(shape):
        raise ShapeError(f"expected out of shape {tuple(shape)}; found {found}.", field="out")
    if dtype != wanted:
        raise DtypeError(f"expected out of {wanted}, the dtype of the patches; found {dtype}.", field="out")


def _finite(positions: Shaped[np.ndarray, "patch 2"]) -> Float64[np.ndarray, "patch 2"]:
    bad = ~np.isfinite(positions).all(axis=1)
    if bad.any():
        first = int(np.argmax(bad))
        raise DomainError(
            f"expected finite positions; found {positions[first].tolist()} for patch {first} "
            f"({int(bad.sum())} of {len(positions)} are not finite). Remove these scan points.",
            field="positions",
        )
    return positions.astype(np.float64, copy=False)
