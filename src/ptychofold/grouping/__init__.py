"""Grouping: which scan points are reconstructed together, and which are kept apart."""

from ptychofold.grouping.groups import ScanGroups, group_scan
from ptychofold.grouping.reference import group_size, reference_groups
from ptychofold.grouping.split import split_scan

__all__ = ["ScanGroups", "group_scan", "group_size", "reference_groups", "split_scan"]
