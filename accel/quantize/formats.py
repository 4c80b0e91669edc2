"""Formats that a user gives layer by layer, as HLS writes them, in place of widths and steps that are found.

A format says everything: width, binary point (and so the step, a power of two), sign, rounding and overflow. A weight
becomes what an assignment to its format makes of it, batch norm folded before: `AP_TRN` and `AP_WRAP`, which an
``ap_fixed`` without modes has, truncate and wrap weights too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat
from accel.network import INPUT
from accel.program_layers import WORD_BITS
from accel.pruned import PrunedNetwork
from accel.quantize.operands import operands_of
from accel.quantize.widths import Widths
from accel.signal import Signal

MOST_FRACTION_BITS = 100  # either way, so that products of steps are ordinary numbers


@dataclass(frozen=True)
class Formats:
    """The formats that a user gives, by the name of the layer.

    Parameters
    ----------
    weights : mapping of layer name to FixedFormat
        Signed, of 2..16 bits.
    outputs : mapping of layer name to FixedFormat
        Of what the layer's accumulators are requantised to, 1..16 bits; ``"input"`` is the image.

    Raises
    ------
    EspalierError
        Weights or signals cannot have such a format.
    """

    weights: Mapping[str, FixedFormat] = field(default_factory=dict)
    outputs: Mapping[str, FixedFormat] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, lowest, given in (("weight", 2, self.weights), ("output", 1, self.outputs)):
            for name, form in given.items():
                if not lowest <= form.width <= WORD_BITS:
                    raise EspalierError(f"{name}: {what} {form} must have {lowest}..{WORD_BITS} bits")
                if abs(form.fraction_bits) > MOST_FRACTION_BITS:
                    raise EspalierError(f"{name}: {what} {form} has its binary point more than 100 bits away")
                if what == "weight" and not form.signed:
                    raise EspalierError(f"{name}: weights have a sign, got {form}; expected ap_fixed<W,I,...>")
        object.__setattr__(self, "weights", MappingProxyType(dict(self.weights)))
        object.__setattr__(self, "outputs", MappingProxyType(dict(self.outputs)))

    def check(self, pruned: PrunedNetwork) -> None:
        """Raise EspalierError unless every format is of weights or signals that the network has."""
        operands = operands_of(pruned)
        for kind, what, given in (("weights", "weight", self.weights), ("signals", "output", self.outputs)):
            layers = [operand.layer for operand in operands if operand.kind == kind]
            layers += [INPUT] if what == "output" else []
            for name in given:
                if name not in layers:
                    raise EspalierError(
                        f"{name}: {pruned.network.name} has no {what} format of that name; those of {', '.join(layers)}"
                    )

    def applied(self, widths: Widths) -> Widths:
        """Return `widths` with those of the given formats in their place."""
        outputs = {name: form.width for name, form in self.outputs.items() if name != INPUT}
        return replace(
            widths,
            input_bits=self.outputs[INPUT].width if INPUT in self.outputs else widths.input_bits,
            weight_bits_of={**widths.weight_bits_of, **{name: form.width for name, form in self.weights.items()}},
            signal_bits_of={**widths.signal_bits_of, **outputs},
        )

    def signal(self, name: str) -> Signal | None:
        """Return the signal of a layer's output if its format is given."""
        if name not in self.outputs:
            return None
        form = self.outputs[name]
        return Signal(replace(form, integer_bits=form.width), step_of(form))


def step_of(form: FixedFormat) -> float:
    """Return the real value of code 1.

    >>> step_of(FixedFormat.parse("ap_fixed<8,3>"))
    0.03125
    """
    return 2.0**-form.fraction_bits


FOUND = Formats()
