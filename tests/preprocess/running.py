"""What tests of preprocessing share."""

import numpy as np

from ptychofold.config import PreprocessConfig, Step
from ptychofold.preprocess import preprocess
from ptychofold.raw_data import RawData


def run(scan: RawData, *steps: Step) -> RawData:
    """Put a scan through steps and the door."""
    return RawData.from_fields(preprocess(scan.to_fields(), PreprocessConfig(steps=steps)))


def numbers_of(scan: RawData) -> np.ndarray:
    """Read all patterns."""
    return np.asarray(scan.patterns.read(np.arange(len(scan))))
