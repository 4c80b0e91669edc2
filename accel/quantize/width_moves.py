"""From bits to bits: what a change is predicted to cost, which changes there are, and the greedy path of them.

Errors are predicted from a sensitivity, as if operands added up: the error rate rises by the sum of what each operand's
bits cost alone, where fewer bits never cost less.
"""

import math
from collections.abc import Callable, Iterator, Sequence

from accel.errors import EspalierError
from accel.quantize.operands import KINDS, Operand
from accel.quantize.sensitivity import Sensitivity

SWAP = 2  # bits that an operand gives or gets in one move
Bits = tuple[int, ...]  # of each operand


class Prediction:
    """Predicts how much the error rate rises above that of the highest bits.

    Raises
    ------
    EspalierError
        The sensitivities lack an operand at some bits.
    """

    def __init__(
        self, operands: Sequence[Operand], sensitivities: Sequence[Sensitivity], lowest: int, highest: int
    ) -> None:
        measured = {(each.operand, each.bits): each.error_rate for each in sensitivities}
        self._rises: list[dict[int, float]] = []
        for operand in operands:
            rises, worst = {}, -math.inf
            for bits in range(highest, lowest - 1, -1):
                if (operand, bits) not in measured:
                    raise EspalierError(f"the sensitivities lack the {operand} at {bits} bits")
                worst = max(worst, measured[operand, bits])
                rises[bits] = worst - measured[operand, highest]
            self._rises.append(rises)

    def __call__(self, bits: Bits) -> float:
        """Return the sum of what each operand's bits cost."""
        return math.fsum(rises[width] for rises, width in zip(self._rises, bits, strict=True))


def moves_down(operands: Sequence[Operand], bits: Bits, lowest: int) -> Iterator[Bits]:
    """Yield the bits with one fewer for one operand, or for all of a kind.

    Memory for signals is that of the moment at which most are held: where several are equal, one alone saves nothing.
    """
    for index, width in enumerate(bits):
        if width > lowest:
            yield (*bits[:index], width - 1, *bits[index + 1 :])
    for kind in KINDS:
        of_kind = [operand.kind == kind for operand in operands]
        if sum(of_kind) > 1:
            yield tuple(max(b - member, lowest) for b, member in zip(bits, of_kind, strict=True))


def neighbors(operands: Sequence[Operand], bits: Bits, lowest: int, highest: int) -> Iterator[Bits]:
    """Yield the moves down, the moves up of one operand, and the swaps: one operand up to `SWAP` up, another down."""
    yield from moves_down(operands, bits, lowest)
    for index, width in enumerate(bits):
        for high in range(width + 1, min(width + SWAP, highest) + 1):
            raised = (*bits[:index], high, *bits[index + 1 :])
            yield raised
            for other, most in enumerate(bits):
                for low in range(max(most - SWAP, lowest), most):
                    if other != index:
                        yield (*raised[:other], low, *raised[other + 1 :])


def greedy_path(
    operands: Sequence[Operand], predicted: Prediction, memory: Callable[[Bits], int], lowest: int, highest: int
) -> list[Bits]:
    """Return the bits from the highest of all operands to the lowest, each a move down from the one before.

    Of all moves down that with the least predicted rise of the error rate for a saved bit of memory is taken.
    """
    bits = (highest,) * len(operands)
    path = [bits]

    def price(move: Bits) -> tuple[float, float, int, Bits]:
        saved, rise = memory(path[-1]) - memory(move), predicted(move) - predicted(path[-1])
        return (rise / saved if saved > 0 else math.inf), rise, -saved, move

    while max(path[-1]) > lowest:
        path.append(min((move for move in moves_down(operands, path[-1], lowest) if move != path[-1]), key=price))
    return path
