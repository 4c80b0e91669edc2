"""What a concatenation needs: one signal for both of its operands, from the start where nothing else reads them."""

import math
from collections.abc import Container, Iterator, Mapping
from itertools import chain

from accel.fixedpoint import Overflow, Rounding
from accel.layers import Activation, Add, AvgPool, Concat, Flatten, GlobalAvgPool, MaxPool, Mul, ReLU, Weighted
from accel.network import INPUT, Network
from accel.signal import Signal, integer_format

MOVING = MaxPool | ReLU | Flatten | Concat  # what makes no codes of its own
MAKING = Weighted | AvgPool | GlobalAvgPool | Add | Mul | Activation  # what has a step that may be another


def joined_signal(
    first: Signal, second: Signal, rounding: Rounding, overflow: Overflow, power_of_two: bool = False
) -> Signal:
    """Return the signal of the finest step to which no code of either is clipped."""
    bits, signed = max(first.bits, second.bits), first.format.signed or second.format.signed
    form = integer_format(bits, signed, rounding, overflow)
    step = max(signal.step * (signal.format.max_code / form.max_code) for signal in (first, second))
    return Signal(form, 2.0 ** math.ceil(math.log2(step)) if power_of_two else step)


def joins(
    network: Network, concat: str, joined: Signal, signals: Mapping[str, Signal], given: Container[str]
) -> dict[str, Signal]:
    """Return which layers could give the signal of a concatenation themselves, what their `signals` are but for a step.

    Those it alone reads: another reader would get coarser codes. A step that is `given` stays.
    """
    alone = chain.from_iterable(_read_alone(network, source) for source in network[concat].inputs)
    other = {name: signals[name] for name in alone if name not in given and signals[name] != joined}
    return {name: joined for name, signal in other.items() if signal.format == joined.format}


def _read_alone(network: Network, tensor: str) -> Iterator[str]:
    """Yield the layers whose codes, maybe pooled or joined, are a tensor, where nothing but one layer reads these."""
    if tensor in (INPUT, network.output) or len(network.consumers(tensor)) > 1:
        return
    layer = network[tensor]
    if isinstance(layer, MAKING):
        yield tensor
    elif isinstance(layer, MOVING):
        for source in layer.inputs:
            yield from _read_alone(network, source)
