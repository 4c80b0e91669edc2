"""How much each operand of a network suffers from few bits.

Source: Shin, Hwang and Sung (arXiv 1512.01322) quantise one operand at a time, the rest in high precision, and
sweep the bits; all operands jointly may then need more bits. Ours: the high precision is fixed point too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from accel.budget import Judge
from accel.errors import EspalierError
from accel.program import Program
from accel.progress import Listener
from accel.quantize.operands import Operand, widths_with
from accel.quantize.widths import Widths

HIGH_BITS = 16
BITS = tuple(range(2, 9))
_Key = tuple[Operand, int] | None  # which operand has which bits; None where all have the high ones


@dataclass(frozen=True)
class Sensitivity:
    """The error rate (0..1) of a network with one operand at `bits` bits and the rest in high precision."""

    operand: Operand
    bits: int
    error_rate: float


def sensitivity(
    operands: Sequence[Operand],
    error_rate: Callable[[Widths], float],
    *,
    bits: Sequence[int] = BITS,
    high_bits: int = HIGH_BITS,
    input_bits: int = 8,
    progress: Listener | None = None,
) -> tuple[Sensitivity, ...]:
    """Return the error rate of every operand at every width, operand by operand in the order given.

    Parameters
    ----------
    operands : sequence of Operand
        `operands_of` a network, or some of them.
    error_rate : function
        From word lengths to the error rate, 0..1, on a validation set; called once for the same widths.
    bits : sequence of int
        Of the operand under test; `high_bits` among them is one evaluation for all operands together.
    high_bits : int
        Of everything else: `highest_bits`.
    input_bits : int
        Of the image, throughout.
    progress : function, optional
        Called with a `Progress` after each evaluation.

    Raises
    ------
    EspalierError
        There is nothing to measure, a width is out of range, or an error rate is not 0..1.
    """
    if not operands or not bits:
        raise EspalierError("a sensitivity needs at least one operand and one width")
    tests = [(operand, width) for operand in operands for width in bits]
    distinct = {
        _key(operand, width, high_bits): widths_with({operand: width}, high_bits, input_bits)
        for operand, width in tests
    }
    judge: Judge[_Key] = Judge(lambda key: error_rate(distinct[key]), len(distinct), progress)
    return tuple(Sensitivity(operand, width, judge(_key(operand, width, high_bits))) for operand, width in tests)


def highest_bits(lowered: Callable[[Widths], Program], most: int = HIGH_BITS) -> int:
    """Return the most bits, up to `most`, that all weights and signals of a network can have at once.

    An accumulator times its multiplier must fit 61 bits, which the widest layers miss at 16 bits.

    Parameters
    ----------
    lowered : function
        From widths to the Program that has them: `lower` with everything else held.
    most : int

    Raises
    ------
    EspalierError
        There is no Program at 2 bits either.
    """
    for bits in range(most, 2, -1):
        try:
            lowered(Widths(bits, bits))
        except EspalierError:
            continue
        return bits
    lowered(Widths(2, 2))
    return 2


def _key(operand: Operand, bits: int, high_bits: int) -> _Key:
    return None if bits == high_bits else (operand, bits)
