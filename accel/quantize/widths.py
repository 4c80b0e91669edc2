"""How many bits each layer's weights and signals get."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from accel.errors import EspalierError
from accel.program_layers import WORD_BITS


@dataclass(frozen=True)
class Widths:
    """Word lengths of a network.

    Parameters
    ----------
    weight_bits, signal_bits : int
        For every layer that is not named below. Weights are symmetric, so that they need at least 2 bits.
    input_bits : int
        Of the image, so that a study of the network's widths leaves the camera alone.
    weight_bits_of, signal_bits_of : mapping of layer name to int
        Layers with a width of their own.

    Raises
    ------
    EspalierError
        A width is out of range.
    """

    weight_bits: int
    signal_bits: int
    input_bits: int = 8
    weight_bits_of: Mapping[str, int] = field(default_factory=dict)
    signal_bits_of: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, lowest, widths in (
            ("weight_bits", 2, (self.weight_bits, *self.weight_bits_of.values())),
            ("signal_bits", 1, (self.signal_bits, *self.signal_bits_of.values())),
            ("input_bits", 1, (self.input_bits,)),
        ):
            for width in widths:
                if not lowest <= width <= WORD_BITS:
                    raise EspalierError(f"{what} must be {lowest}..{WORD_BITS}, got {width}")

    def of_weights(self, layer: str) -> int:
        """Return the bits of the weights of `layer`."""
        return self.weight_bits_of.get(layer, self.weight_bits)

    def of_signal(self, layer: str) -> int:
        """Return the bits of the output of `layer`."""
        return self.signal_bits_of.get(layer, self.signal_bits)
