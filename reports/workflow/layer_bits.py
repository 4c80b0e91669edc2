"""Bits of single layers in a line of text, as commands take them and answers tell them: ``conv1=4/5,fc1=3/6,fc2=4``.

Of each layer the bits of its weights, and after a slash those of its signals; one alone where there is only that.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from accel.errors import EspalierError
from accel.quantize import Operand, Widths, bits_of

OPTION = "--layer-bits"


def layer_bits(widths: Widths, operands: Iterable[Operand]) -> str:
    """Return what `widths` says of some operands.

    >>> from accel.quantize import widths_with
    >>> operands = [Operand("weights", "conv1"), Operand("signals", "conv1"), Operand("weights", "fc1")]
    >>> layer_bits(widths_with(dict(zip(operands, (4, 5, 3))), 8), operands)
    'conv1=4/5,fc1=3'
    """
    found: dict[str, dict[str, int]] = {}
    for operand in operands:
        found.setdefault(operand.layer, {})[operand.kind] = bits_of(widths, operand)
    return ",".join(f"{name}={_pair(bits.get('weights'), bits.get('signals'))}" for name, bits in found.items())


def _pair(weight_bits: int | None, signal_bits: int | None) -> str:
    return ("" if weight_bits is None else f"{weight_bits}") + ("" if signal_bits is None else f"/{signal_bits}")


def with_layer_bits(widths: Widths, text: str, operands: Iterable[Operand]) -> Widths:
    """Return `widths` with those of the layers that `text` names in their place; raises EspalierError if it is none.

    >>> operands = [Operand("weights", "conv1"), Operand("signals", "conv1"), Operand("signals", "add1")]
    >>> found = with_layer_bits(Widths(8, 8), "conv1=4/5,add1=/6", operands)
    >>> [found.of_weights("conv1"), found.of_signal("conv1"), found.of_signal("add1"), found.of_weights("fc1")]
    [4, 5, 6, 8]
    """
    there = {(operand.kind, operand.layer) for operand in operands}
    given: dict[str, dict[str, int]] = {"weights": {}, "signals": {}}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(.+)=([0-9]{1,2})?(?:/([0-9]{1,2}))?\s*", part)
        if not match or not (match[2] or match[3]):
            raise EspalierError(f"{OPTION} {text}: expected bits of weights/signals such as conv1=4/5,fc1=3/6,fc2=4")
        for kind, bits in (("weights", match[2]), ("signals", match[3])):
            if bits and (kind, match[1]) not in there:
                names = ", ".join(layer for of, layer in sorted(there) if of == kind)
                raise EspalierError(f"{OPTION} {text}: {match[1]} has no {kind} of its own; those of {names} have")
            if bits:
                given[kind][match[1]] = int(bits)
    return replace(
        widths,
        weight_bits_of={**widths.weight_bits_of, **given["weights"]},
        signal_bits_of={**widths.signal_bits_of, **given["signals"]},
    )
