"""Grouping: which scan points are reconstructed together, and which are kept apart."""

from ptychofold.grouping.groups import ScanGroups, group_scan
from ptychofold.grouping.reference import reference_groups
from ptychofold.grouping.split import split_scan

__all__ = ["ScanGroups", "group_scan", "reference_groups", "split_scan"]
