"""How far a search is, told to whoever listens: searches for masks, steps and widths all spend evaluations."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a search is: evaluations done, of how many at most, and the lowest error rate so far (0..1)."""

    evaluations: int
    budget: int
    best: float


Listener = Callable[[Progress], None]
