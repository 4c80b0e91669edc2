"""From bits to bits: what a change is predicted to cost, which changes there are, and the greedy path of them.

Errors are predicted from a sensitivity, as if groups added up: the error rate rises by the sum of what each group's
bits cost alone, where fewer bits never cost less.
"""

import math
from collections.abc import Callable, Iterator, Sequence

from accel.errors import EspalierError
from accel.quantize.operands import KINDS, Group
from accel.quantize.sensitivity import Sensitivity

SWAP = 2  # bits that a group gives or gets in one move
Bits = tuple[int, ...]  # of each group


class Prediction:
    """Predicts how much the error rate rises above that of the highest bits.

    Raises
    ------
    EspalierError
        The sensitivities lack a group at some bits.
    """

    def __init__(
        self, groups: Sequence[Group], sensitivities: Sequence[Sensitivity], lowest: int, highest: int
    ) -> None:
        measured = {(each.group, each.bits): each.error_rate for each in sensitivities}
        self._rises: list[dict[int, float]] = []
        for group in groups:
            rises, worst = {}, -math.inf
            for bits in range(highest, lowest - 1, -1):
                if (group, bits) not in measured:
                    raise EspalierError(f"the sensitivities lack the {group} at {bits} bits")
                worst = max(worst, measured[group, bits])
                rises[bits] = worst - measured[group, highest]
            self._rises.append(rises)

    def __call__(self, bits: Bits) -> float:
        """Return the sum of what each group's bits cost."""
        return math.fsum(rises[width] for rises, width in zip(self._rises, bits, strict=True))


def steps_down(groups: Sequence[Group], bits: Bits, lowest: int) -> Iterator[Bits]:
    """Yield the bits with one fewer for one group, or for all of a kind.

    Memory for signals is that of the moment at which most are held: where several are equal, one alone saves nothing.
    """
    for index, width in enumerate(bits):
        if width > lowest:
            yield (*bits[:index], width - 1, *bits[index + 1 :])
    for kind in KINDS:
        of_kind = [group.kind == kind for group in groups]
        if sum(of_kind) > 1:
            yield tuple(max(b - member, lowest) for b, member in zip(bits, of_kind, strict=True))


def neighbors(groups: Sequence[Group], bits: Bits, lowest: int, highest: int) -> Iterator[Bits]:
    """Yield the steps down, the steps up of one group, and the swaps: one group up to `SWAP` up, another down."""
    yield from steps_down(groups, bits, lowest)
    for index, width in enumerate(bits):
        for high in range(width + 1, min(width + SWAP, highest) + 1):
            raised = (*bits[:index], high, *bits[index + 1 :])
            yield raised
            for other, most in enumerate(bits):
                for low in range(max(most - SWAP, lowest), most):
                    if other != index:
                        yield (*raised[:other], low, *raised[other + 1 :])


def greedy_path(
    groups: Sequence[Group], predicted: Prediction, memory: Callable[[Bits], int], lowest: int, highest: int
) -> list[Bits]:
    """Return the bits from the highest of all groups to the lowest, each a step down from the one before.

    Of all steps down that with the least predicted rise of the error rate for a saved bit of memory is taken.
    """
    bits = (highest,) * len(groups)
    path = [bits]

    def price(step: Bits) -> tuple[float, float, int, Bits]:
        saved, rise = memory(path[-1]) - memory(step), predicted(step) - predicted(path[-1])
        return (rise / saved if saved > 0 else math.inf), rise, -saved, step

    while max(path[-1]) > lowest:
        path.append(min((step for step in steps_down(groups, path[-1], lowest) if step != path[-1]), key=price))
    return path
