"""Operands of a network that are quantised alike: the weights of a layer, or the signals that it gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from accel.errors import EspalierError
from accel.layers import Activation, Add, AvgPool, GlobalAvgPool, Mul, Weighted
from accel.pruned import PrunedNetwork
from accel.quantize.widths import Widths

Kind = Literal["weights", "signals"]
KINDS: tuple[Kind, ...] = ("weights", "signals")
_SUMS = (AvgPool, GlobalAvgPool, Add, Mul, Activation)  # give codes of another step, and have no weights


@dataclass(frozen=True)
class Operand:
    """The weights of the layer named `layer`, or the signals that its accumulators are requantised to.

    >>> str(Operand("weights", "conv1"))
    'weights of conv1'
    """

    kind: Kind
    layer: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise EspalierError(f"an operand is of {' or '.join(KINDS)}, got {self.kind!r}")

    def __str__(self) -> str:
        return f"{self.kind} of {self.layer}"


def operands_of(pruned: PrunedNetwork) -> tuple[Operand, ...]:
    """Return the operands of a network in running order, of each layer its weights first.

    The last layer's scores are its accumulators, and the image has a width of its own: neither is an operand.

    Raises
    ------
    EspalierError
        A batch norm cannot be folded.
    """
    network = pruned.network.folded()
    operands = []
    for layer in network.layers:
        if isinstance(layer, Weighted):
            operands.append(Operand("weights", layer.name))
        requantizes = layer.name != network.output if isinstance(layer, Weighted) else isinstance(layer, _SUMS)
        if requantizes:
            operands.append(Operand("signals", layer.name))
    return tuple(operands)


def widths_with(bits: Mapping[Operand, int], rest_bits: int, input_bits: int = 8) -> Widths:
    """Return the widths in which these operands have these bits, and every other weight and signal `rest_bits`."""
    of_weights, of_signals = (
        {operand.layer: width for operand, width in bits.items() if operand.kind == kind} for kind in KINDS
    )
    return Widths(rest_bits, rest_bits, input_bits, of_weights, of_signals)


def bits_of(widths: Widths, operand: Operand) -> int:
    """Return the bits that `operand` has."""
    return widths.of_weights(operand.layer) if operand.kind == "weights" else widths.of_signal(operand.layer)
