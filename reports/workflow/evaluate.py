"""Images that steps are found from, and the error rate of a float network."""

import numpy as np

from accel.interchange.data.datasets import Dataset
from accel.pruned import PrunedNetwork


def float_error_rate(pruned: PrunedNetwork, data: Dataset) -> float:
    """Return the error rate of the float network, 0..1."""
    scores = pruned.network.scores(data.pixels())
    return float(np.count_nonzero(scores.argmax(axis=1) != data.labels) / len(data))
