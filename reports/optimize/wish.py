"""What an optimisation is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from accel.interchange.data.datasets import Dataset
from accel.pruned import PrunedNetwork


@dataclass(frozen=True, eq=False)
class Wish:
    """What is asked for.

    Parameters
    ----------
    dense : PrunedNetwork
    images : dict of split to Dataset
        ``train``, ``validation``, ``test``; and ``calibration``, of the first.
    patterns : sequence of str
    lanes : (int, int)
    max_error : str
    memory_bits : int or None
    goal : {"fast", "small"}
    epochs, seed : int
    bfloat16 : bool
        Whether products in trainings have that precision.
    folder : Path
        Of work in progress, which is there.
    """

    dense: PrunedNetwork
    images: Mapping[str, Dataset]
    patterns: Sequence[str]
    lanes: tuple[int, int]
    max_error: str
    memory_bits: int | None
    goal: str
    epochs: int
    seed: int
    bfloat16: bool
    folder: Path
