"""Global phases of patches: set so that neighbors agree where they overlap.

A pattern does not tell the global phase of its patch, so predicted patches (or groups of them) each come with their
own. With ``H_gh = Σ w conj(O_g) O_h`` over all pixels where patches of groups g and h overlap, factors z of modulus one
that make ``Σ conj(z_g) H_gh z_h`` large are the phases of the leading eigenvector of H, normalised by the sums of its
magnitudes (angular synchronisation: Singer, Appl. Comput. Harmon. Anal. 30, 20, 2011).
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Complex64, Complex128, Float32, Int64
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigsh
from scipy.spatial import cKDTree
from torch import Tensor

from ptychofold.reconstruction.inference import PredictedPatches

__all__ = ["synchronize_phases"]

PAIRS_TOGETHER = 2048
"""Overlaps that are summed in one step."""
N_DENSE = 64
"""Groups up to which a dense solver is used."""


def synchronize_phases(
    predicted: Iterable[PredictedPatches], *, weight: Float32[Tensor, "N N"], n_neighbors: int = 8
) -> Iterator[PredictedPatches]:
    """Give every group of patches the global phase under which neighbors agree; all patches are held in memory.

    Parameters
    ----------
    predicted
        What `predict` gives. Scans of a mixture are treated one by one.
    weight
        (N, N), the probe's intensity.
    n_neighbors
        Overlaps that each patch is compared in, with patches of other groups.

    Returns
    -------
    batches
        The same batches, with patches multiplied by phase factors.
    """
    batches = list(predicted)
    if not batches:
        return iter(())
    joined = PredictedPatches(*(torch.cat(column) for column in zip(*batches, strict=True)))
    factors = torch.ones(len(joined.groups), dtype=torch.complex64)
    for scan in np.unique(joined.experiment.numpy()):
        rows = torch.nonzero(joined.experiment == int(scan))[:, 0]
        factors[rows] = _factors(joined, rows, weight=weight, n_neighbors=n_neighbors)
    ends = np.cumsum([len(batch.groups) for batch in batches])
    return (
        batch._replace(patches=batch.patches * factors[end - len(batch.groups) : end, None, None])
        for batch, end in zip(batches, ends.tolist(), strict=True)
    )


def _factors(joined: PredictedPatches, rows: Tensor, *, weight: Tensor, n_neighbors: int) -> Tensor:
    positions = joined.positions[rows].numpy()
    groups = np.unique(joined.groups[rows].numpy(), return_inverse=True)[1]
    first, second = _pairs(positions, groups, n_neighbors)
    size = joined.patches.shape[-1]
    root = weight.sqrt().numpy()
    sums = np.empty(len(first), np.complex128)
    for start in range(0, len(first), PAIRS_TOGETHER):
        part = slice(start, start + PAIRS_TOGETHER)
        middle = (positions[first[part]] + positions[second[part]]) / 2
        cuts = []
        for which in (first[part], second[part]):
            lowest = np.rint(middle - positions[which]).astype(np.int64) + size // 4
            cuts.append(
                _cut(joined.patches, rows[which].numpy(), root, np.clip(lowest, 0, size - size // 2), size // 2)
            )
        sums[part] = np.einsum("nrc,nrc->n", cuts[0].conj(), cuts[1])
    n_groups = int(groups.max()) + 1
    one_sided = coo_matrix((sums, (groups[first], groups[second])), shape=(n_groups, n_groups)).tocsr()
    phases = _leading_phases(one_sided + one_sided.conj().T)
    return torch.from_numpy(phases.astype(np.complex64)[groups])


def _pairs(
    positions: np.ndarray, groups: Int64[np.ndarray, " n"], n_neighbors: int
) -> tuple[Int64[np.ndarray, " pair"], Int64[np.ndarray, " pair"]]:
    """Return pairs of near patches of different groups."""
    C = int(np.bincount(groups).max())
    K = min(len(positions), n_neighbors * C + C)
    near = cKDTree(positions).query(positions, k=K)[1].reshape(len(positions), K)
    first, second = np.repeat(np.arange(len(positions)), K), near.ravel()
    foreign = (groups[first] != groups[second]) & (first != second)
    return first[foreign], second[foreign]


def _cut(
    patches: Complex64[Tensor, "n N N"],
    rows: Int64[np.ndarray, " pair"],
    root: Float32[np.ndarray, "N N"],
    lowest: Int64[np.ndarray, "pair 2"],
    size: int,
) -> Complex64[np.ndarray, "pair M M"]:
    """Cut a window out of each patch, weighted by the probe's amplitude."""
    axis = np.arange(size)
    y, x = (lowest[:, 0, None] + axis)[:, :, None], (lowest[:, 1, None] + axis)[:, None, :]
    cut: Complex64[np.ndarray, "pair M M"] = patches.numpy()[rows[:, None, None], y, x] * root[y, x]
    return cut


def _leading_phases(overlaps: csr_matrix) -> Complex128[np.ndarray, " group"]:
    """Return unit numbers, the phases of the leading eigenvector of each connected part."""
    phases = np.ones(overlaps.shape[0], np.complex128)
    n_parts, part_of = connected_components(abs(overlaps), directed=False)
    for part in range(n_parts):
        rows = np.flatnonzero(part_of == part)
        if len(rows) == 1:
            continue
        block = overlaps[rows][:, rows]
        root = diags(np.asarray(abs(block).sum(axis=1)).ravel() ** -0.5)
        scaled = root @ block @ root
        if len(rows) <= N_DENSE:
            vector = np.linalg.eigh(scaled.toarray())[1][:, -1]
        else:
            vector = eigsh(scaled, k=1, which="LA", v0=np.ones(len(rows), np.complex128))[1][:, 0]
        turned = vector * np.conj(vector.sum())
        phases[rows] = np.where(turned == 0, 1, turned / np.maximum(np.abs(turned), np.finfo(float).tiny))
    return phases
