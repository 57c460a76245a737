"""Preprocessing: streamed while patterns are read, noted in the scan's history, replayed to the same bits."""

from ptychofold.preprocess.chain import preprocess, replay
from ptychofold.preprocess.turns import D4, TURNS

__all__ = ["D4", "TURNS", "preprocess", "replay"]
