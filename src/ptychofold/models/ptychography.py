"""PtychographyModel: a network and the physics that judges it, from batches to patches and modelled patterns."""

import logging
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from jaxtyping import Complex64, Float32, Float64, Int64
from torch import Tensor, nn

from ptychofold.config import ModelConfig
from ptychofold.data import GroupBatch
from ptychofold.errors import ConfigError, ShapeError
from ptychofold.models.data_contract import DataContract
from ptychofold.models.heads import make_head
from ptychofold.models.lifting import (
    N_FEATURES,
    N_PASSED_FEATURES,
    Illumination,
    lift,
    lifted_features,
    passed_features,
)
from ptychofold.models.placement import Placement
from ptychofold.models.position_shifts import PositionShifts
from ptychofold.models.registry import make_network
from ptychofold.physics import AmplitudeScaling, ForwardModel, Geometry, ScalingProfile
from ptychofold.raw_data import RawData

__all__ = ["ModelOutput", "PatchesOnPixels", "PtychographyModel", "is_passive"]

logger = logging.getLogger(__name__)

PASSIVE = (0.25, 1.1)
"""Shares of the probe's energy that reach the detector behind a passive object."""
PASS_STEPS = 4
"""Steps of phase retrieval that patches go through between two networks."""


class ModelOutput(NamedTuple):
    """What a model makes of a batch."""

    patches: Complex64[Tensor, "B C N N"]
    """What the light of each pattern meets; views of one object for a group if the overlap is enforced."""
    amplitude: Float32[Tensor, "B C N N"]
    """Diffraction amplitude of the patches, in √counts."""


class PatchesOnPixels(NamedTuple):
    """Patches as the network makes them."""

    patches: Complex64[Tensor, "B C N N"]
    """Complex transmission."""
    positions: Float64[Tensor, "B C 2"]
    """(y, x) of their middle in object pixels."""


class PtychographyModel(nn.Module):
    """A network from patterns to object patches, with the forward model from patches to patterns.

    Patterns of a group pass through the network one by one, so that the weights fit groups of any size; members see
    one another through the lifted input and the overlap constraint. Made by `for_scan`.

    Parameters
    ----------
    config
        Settings with ``probe_scaling`` decided ("given" or "match").
    contract
        What the model is made for.
    scaling
        Statistics of the training patterns.
    probe
        (mode, N, N), in √counts.
    refinement
        Shifts of the scan points, if positions are refined.

    Examples
    --------
    >>> from ptychofold.config import GroupingConfig
    >>> from ptychofold.data import GroupedDataset
    >>> from ptychofold.testing import make_scan
    >>> scan = make_scan(n_scan=9, N=16)
    >>> model = PtychographyModel.for_scan(scan, ModelConfig())
    >>> model(GroupedDataset(scan, GroupingConfig(seed=0)).load()).patches.shape
    torch.Size([9, 1, 16, 16])
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        contract: DataContract,
        scaling: ScalingProfile,
        probe: Complex64[Tensor, "mode N N"],
        refinement: PositionShifts | None = None,
    ) -> None:
        super().__init__()
        self.config, self.contract, self.scaling = config, contract, scaling
        self.forward_model = ForwardModel(
            probe, propagator=contract.geometry.propagator(), trainable_probe=config.trainable_probe
        )
        rng = torch.Generator().manual_seed(config.seed)

        def network(n_in: int, *, lifted: bool) -> nn.Module:
            return make_network(config.architecture, n_in, N=contract.N, size=config.size, skips=lifted, rng=rng)

        lifted = config.input == "lifted"
        self.network = network(N_FEATURES if lifted else 1, lifted=lifted)
        self.further = nn.ModuleList(network(N_PASSED_FEATURES, lifted=True) for _ in range(config.passes - 1))
        self.head = make_head(config)
        self.refinement = refinement

    @classmethod
    def for_scan(
        cls,
        scan: RawData,
        config: ModelConfig,
        *,
        geometry: Geometry | None = None,
        training: Int64[np.ndarray, " n"] | None = None,
    ) -> Self:
        """Make an untrained model for a scan.

        Parameters
        ----------
        scan
            Gives N, the probe and the statistics of its patterns.
        config
            Settings.
        geometry
            How exit waves reach the detector; what the scan states if None.
        training
            Scan points of the training split, the only ones that statistics are taken from; all if None. If positions
            are refined, the groups of training are those of ``scan.subset(training)``.

        Raises
        ------
        ConfigError
            If the settings do not fit one another or N.
        """
        return cls.for_scans([scan], config, geometry=geometry, training=None if training is None else [training])

    @classmethod
    def for_scans(
        cls,
        scans: Sequence[RawData],
        config: ModelConfig,
        *,
        geometry: Geometry | None = None,
        training: Sequence[Int64[np.ndarray, " _"]] | None = None,
    ) -> Self:
        """Make an untrained model for several scans that fit one another; see `for_scan`.

        The first gives the probe that the model keeps; each is predicted with its own. Statistics are means over the
        training patterns of all.

        Raises
        ------
        ConfigError
            If there is no scan, or settings fit one scan only.
        CheckpointError
            If a scan does not fit the first.
        """
        if not scans:
            raise ConfigError("expected at least one scan to make a model for; found none.")
        contract = DataContract.of(scans[0], geometry=geometry)
        for other in scans[1:]:
            contract.check(other, geometry=geometry)
        refined = [name for name in ("trainable_probe", "refine_positions") if getattr(config, name)]
        if len(scans) > 1 and refined:
            raise ConfigError(
                f"expected one scan, as {refined[0]} is set; found {len(scans)}. Train each scan by itself or set "
                f"{refined[0]}=False."
            )
        rows = [np.arange(len(scan)) for scan in scans] if training is None else list(training)
        scalings = [AmplitudeScaling.from_scan(scan, training=part) for scan, part in zip(scans, rows, strict=True)]
        shares = [
            scaling.mean_energy / float(np.square(np.abs(scan.probe)).sum())
            for scaling, scan in zip(scalings, scans, strict=True)
        ]
        if config.probe_scaling == "auto":
            config = config.replace(probe_scaling="given" if all(map(is_passive, shares)) else "match")
            said = ", ".join(f"{share:.3g}" for share in shares)
            logger.info("patterns hold %s of the probe's energy: its scale is taken as %s", said, config.probe_scaling)
        probe = torch.from_numpy(scans[0].probe.copy())
        return cls(
            config,
            contract=contract,
            scaling=AmplitudeScaling.over(scalings),
            probe=probe * shares[0] ** 0.5 if config.probe_scaling == "match" else probe,
            refinement=PositionShifts.of(scans[0], rows=rows[0]) if config.refine_positions else None,
        )

    def forward(self, batch: GroupBatch) -> ModelOutput:
        """Return patches and the patterns that they would give; see `passes`, of which this is the last."""
        return self.passes(batch)[-1]

    def passes(self, batch: GroupBatch) -> list[ModelOutput]:
        """Return patches, and the patterns that they would give, after each of the networks.

        Parameters
        ----------
        batch
            Patterns as amplitude in √counts.

        Raises
        ------
        ShapeError
            If the patterns are of another size.
        ConfigError
            If probe or positions are refined and the batch mixes scans.
        """
        illumination, placement = self.illumination(batch), self.placement(batch)
        passed = self._patches(batch, placement, illumination)
        regions = (placement if self.config.overlap else placement.apart()).regions(trust=illumination.trust.detach())
        outputs: list[ModelOutput] = []
        for patches in passed:
            members = patches if self.config.overlap else patches.flatten(0, 1)[:, None]
            if not self.config.lift_together and members.shape[1] > 1:
                members = regions.in_phase(members)
            lit = regions.lit(regions.merged(members)).reshape(patches.shape)
            outputs.append(ModelOutput(patches=lit, amplitude=self.forward_model(lit, probe=illumination.probe)))
        return outputs

    def predict_patches(self, batch: GroupBatch) -> PatchesOnPixels:
        """Return the network's patches before members of a group are averaged, for stitching."""
        placement = self.placement(batch)
        passed = self._patches(batch, placement, self.illumination(batch))
        return PatchesOnPixels(patches=passed[-1], positions=placement.positions)

    def placement(self, batch: GroupBatch) -> Placement:
        """Return where the network's patches lie: on whole pixels, unless it sees patterns that do not tell them."""
        return Placement.of(batch.centers, self.offsets_of(batch), on_pixels=self.config.input == "lifted")

    def illumination(self, batch: GroupBatch) -> Illumination:
        """Return the probe that belongs to each group of a batch, in √counts: the scans' own, or the refined one."""
        single = len(batch.probe) == 1
        if self.config.trainable_probe:
            self._check_single(batch, "trainable_probe")
            probe: Tensor = self.forward_model.probe
        else:
            probe = batch.probe[0] if single else batch.probe[batch.experiment]
            if self.config.probe_scaling == "match":
                scale = batch.scale[:1, None, None] if single else batch.scale[:, None, None, None]
                power = (probe.real.square() + probe.imag.square()).sum(dim=(-3, -2, -1), keepdim=True)
                probe = probe * (self.contract.N / 2 / scale / power.sqrt())
        bad = batch.bad_pixels
        if bad is not None:
            bad = bad[0] if single else bad[batch.experiment][:, None]
        return Illumination(probe=probe, propagator=self.forward_model.propagator, bad_pixels=bad)

    def offsets_of(self, batch: GroupBatch) -> Float32[Tensor, "B C 2"]:
        """Return member minus center, with the refined positions while training."""
        if self.refinement is None or not self.training:
            return batch.offsets
        self._check_single(batch, "refine_positions")
        if batch.offsets.shape[1] == 1:
            raise ConfigError(
                "expected groups of several members, as refine_positions learns from their overlap; found groups of "
                "one. Group with a grid such as (2, 2)."
            )
        shifts: Tensor = self.refinement(batch.members)
        return batch.offsets + shifts - shifts.mean(dim=1, keepdim=True)

    @property
    def shifts(self) -> nn.Parameter | None:
        """(n, 2), shifts of the positions of the training split; None unless they are refined."""
        return None if self.refinement is None else self.refinement.shifts

    @property
    def passive(self) -> bool:
        """Whether the patterns of training may come from the probe as it is, through an object that only absorbs."""
        return is_passive(self.scaling.mean_energy / float(self.forward_model.probe.detach().abs().square().sum()))

    def refined(self, scan: RawData) -> RawData:
        """Return the scan of the training with the positions that were learned; any other scan as it is.

        To be called before `prediction_loader` and `stitch`, so that both place patches where they belong. Scan points
        outside the training split stay.
        """
        return scan if self.refinement is None else self.refinement.applied_to(scan)

    def network_parameters(self) -> list[nn.Parameter]:
        """Return the weights of all networks."""
        return [*self.network.parameters(), *self.further.parameters()]

    def _patches(self, batch: GroupBatch, placement: Placement, illumination: Illumination) -> list[Tensor]:
        """Return the patches after each of the networks, (B, C, N, N); no gradient goes from one to the one before."""
        amplitude = batch.diffraction
        B, C, N, _ = amplitude.shape
        if self.contract.N != N:
            raise ShapeError(
                f"expected patterns of {self.contract.N} pixels, which the model was made for; found {N}. Crop or pad "
                "the scan, or make a model for it.",
                field="patterns",
            )
        if not self.config.lift_together:
            amplitude, placement, illumination = (
                amplitude.reshape(-1, 1, N, N),
                placement.apart(),
                illumination.apart(C),
            )
        start: Tensor | None = None
        with torch.no_grad():
            if self.config.input == "lifted":
                lifted = lift(amplitude, placement, by=illumination, n_steps=self.config.lift_steps)
                image = lifted_features(lifted, by=illumination)
                start = None if self.config.residual is False else lifted.patches.flatten(0, 1)
            else:
                bad = illumination.bad_pixels
                good = amplitude if bad is None else amplitude.masked_fill(bad, 0)
                image = compressed(good * batch.scale[:, None, None, None])
        passed = [self._drawn(self.network, image, start).reshape(amplitude.shape)]
        for network in self.further:
            before = passed[-1].detach()
            with torch.no_grad():
                lifted = lift(amplitude, placement, by=illumination, n_steps=PASS_STEPS, start=before)
                image = passed_features(lifted, before, by=illumination)
            passed.append(self._drawn(network, image, before.flatten(0, 1)).reshape(amplitude.shape))
        return [patches.reshape(B, C, N, N) for patches in passed]

    def _drawn(self, network: nn.Module, image: Tensor, start: Tensor | None) -> Tensor:
        numbers: Tensor = network(image)
        with torch.autocast(numbers.device.type, enabled=False):
            return self.head(numbers.float(), start)

    def _check_single(self, batch: GroupBatch, setting: str) -> None:
        if len(batch.probe) > 1:
            raise ConfigError(
                f"expected batches of one scan, as {setting} is set; found a mixture of {len(batch.probe)}. "
                f"Train each scan by itself or set {setting}=False."
            )


def compressed(scaled: Float32[Tensor, "B C N N"]) -> Float32[Tensor, "n 1 N N"]:
    """Return ``log(1 + 8 k A) - 1``: patterns span decades, and what is dim tells of detail as what is bright does."""
    return (torch.log1p(8 * scaled) - 1).flatten(0, 1)[:, None]


def is_passive(share: float) -> bool:
    """Whether patterns that hold this share of the probe's energy may lie behind an object that only absorbs.

    Examples
    --------
    >>> is_passive(0.8), is_passive(1e-3)
    (True, False)
    """
    return PASSIVE[0] <= share <= PASSIVE[1]
