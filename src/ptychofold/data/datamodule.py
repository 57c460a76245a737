"""GroupedDataModule: training, validation and test batches for any LightningModule."""

from collections.abc import Mapping

from lightning import LightningDataModule

from ptychofold.config import GroupingConfig, LoaderConfig, MixtureConfig, SplitConfig
from ptychofold.data.dataset import GroupedDataset
from ptychofold.data.loader import GroupLoader, make_loader
from ptychofold.data.mixture import MixtureDataset, one_or_mixed
from ptychofold.data.readers import Values
from ptychofold.errors import ConfigError
from ptychofold.grouping import split_scan
from ptychofold.raw_data import RawData

__all__ = ["GroupedDataModule"]


class GroupedDataModule(LightningDataModule):
    """Scans whose points are split before they are grouped, so that no pattern is shared between the parts.

    Scales come from the training part alone and serve all parts.

    Parameters
    ----------
    scans
        One scan, or several by name.
    grouping
        How groups are drawn, in each part from its own scan points; without a seed, by the seed 0.
    loader
        Batch size, order, workers. Validation and test are not shuffled and leave out nothing.
    split
        Fractions and method of the split.
    mixture
        How several scans share an epoch of training.
    values
        Batches hold "amplitude" or "counts".
    ground_truth
        Put true object patches into the batches.

    Notes
    -----
    The loaders give each rank its share of the batches themselves: in a distributed run pass
    ``use_distributed_sampler=False`` to Lightning's Trainer.

    Examples
    --------
    >>> from ptychofold.testing import make_scan
    >>> module = GroupedDataModule(make_scan(n_scan=49, N=16), GroupingConfig(grid=(2, 2), n_neighbors=5, seed=0))
    >>> next(iter(module.val_dataloader())).diffraction.shape[1:]
    torch.Size([4, 16, 16])
    """

    def __init__(
        self,
        scans: RawData | Mapping[str, RawData],
        grouping: GroupingConfig,
        *,
        loader: LoaderConfig | None = None,
        split: SplitConfig | None = None,
        mixture: MixtureConfig | None = None,
        values: Values = "amplitude",
        ground_truth: bool = False,
    ) -> None:
        super().__init__()
        self.scans = {"scan": scans} if isinstance(scans, RawData) else dict(scans)
        self.grouping = grouping.seeded()
        self.loader = loader or LoaderConfig()
        self.split = split or SplitConfig()
        self.mixture = mixture
        self.values: Values = values
        self.ground_truth = ground_truth
        self.parts: dict[str, GroupedDataset | MixtureDataset] = {}

    def setup(self, stage: str | None = None) -> None:
        """Split, group and make the datasets, once."""
        if self.parts:
            return
        by_part: dict[str, dict[str, GroupedDataset]] = {part: {} for part in self.split.fractions}
        for name, scan in self.scans.items():
            rows = split_scan(
                scan.positions, fractions=self.split.fractions, method=self.split.method, seed=self.split.seed
            )
            scale = scan.rms_input_scale(rows["train"])
            for part, datasets in by_part.items():
                datasets[name] = GroupedDataset(
                    scan.subset(rows[part]),
                    self.grouping,
                    values=self.values,
                    ground_truth=self.ground_truth,
                    scale=scale,
                )
        for part, datasets in by_part.items():
            self.parts[part] = one_or_mixed(datasets, self.mixture, part=part)

    def train_dataloader(self) -> GroupLoader:
        """Return shuffled batches; every rank gets the same number."""
        return make_loader(self._part("train"), self.loader.replace(even_ranks=True))

    def val_dataloader(self) -> GroupLoader:
        """Return the validation part in order, every group once over all ranks."""
        return self._in_order("validation")

    def test_dataloader(self) -> GroupLoader:
        """Return the test part in order, every group once over all ranks."""
        return self._in_order("test")

    def state_dict(self) -> dict[str, object]:
        """Return what a checkpoint must know to refuse another split or grouping."""
        return {"split": self.split.model_dump(), "grouping": self.grouping.model_dump()}

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Refuse to go on with another split or grouping than the checkpoint's.

        Raises
        ------
        ConfigError
            If split or grouping differ.
        """
        for name, ours in self.state_dict().items():
            if state_dict.get(name) != ours:
                raise ConfigError(
                    f"expected the {name} of the checkpoint, {state_dict.get(name)}; found {ours}. Resume with the "
                    "settings that the run began with."
                )

    def _in_order(self, part: str) -> GroupLoader:
        return make_loader(
            self._part(part), self.loader.replace(shuffle=False, drop_last=False, even_ranks=False, regroup=False)
        )

    def _part(self, name: str) -> GroupedDataset | MixtureDataset:
        self.setup()
        if name not in self.parts:
            raise ConfigError(
                f"expected a part {name!r} of the split; found {', '.join(self.parts)}. Give SplitConfig a fraction "
                f"for {name}, or a module that asks for none."
            )
        return self.parts[name]
