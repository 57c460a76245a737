"""Scans as PyTorch batches."""

from ptychofold.data.batch import GroupBatch
from ptychofold.data.dataset import GroupedDataset
from ptychofold.data.loader import GroupLoader, make_loader
from ptychofold.data.mixture import MixtureDataset

__all__ = ["GroupBatch", "GroupLoader", "GroupedDataset", "MixtureDataset", "make_loader"]
