"""Word lengths of a Program, apart from its masks, so that the same masks can be costed at others."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

from accel.array import MacArray
from accel.errors import EspalierError
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import WORD_BITS, AddLayer, AvgPoolLayer, MacLayer, MulLayer
from accel.signal import MULTIPLIER_BITS, Requantize


@dataclass(frozen=True, kw_only=True)
class LayerWords:
    """Bits of one layer's words; 0 where it has none."""

    weight_bits: int = 0
    bias_bits: int = 0
    accumulator_bits: int = 0
    requantize_bits: int = 0  # multipliers, offsets and shift in all
    multiplier_bits: int = 0
    offset_bits: int = 0


@dataclass(frozen=True, eq=False)
class Words:
    """Word lengths of a whole Program.

    Parameters
    ----------
    layers : mapping of layer name to LayerWords
    signals : mapping of tensor name to bits of a word
        ``"input"`` included.
    sources : mapping of layer name to the tensors it reads
    raw : frozenset of layer names
        Whose output is their accumulators as they are.
    output : frozenset of tensor names
        The network's output, as it is written and flattened: it leaves, nothing stores it.
    exact : bool
        Whether these are a Program's own; those of `scaled` are not proven.
    """

    layers: Mapping[str, LayerWords]
    signals: Mapping[str, int]
    sources: Mapping[str, tuple[str, ...]]
    raw: frozenset[str]
    output: frozenset[str]
    exact: bool = True

    @classmethod
    def of(cls, program: Program) -> "Words":
        """Return the Program's own word lengths."""
        layers = {}
        for layer in program.layers:
            match layer:
                case MacLayer():
                    layers[layer.name] = LayerWords(
                        weight_bits=layer.weight_bits,
                        bias_bits=layer.bias_bits,
                        accumulator_bits=max(layer.accumulator_bits, layer.bias_bits),
                        **_constants(layer.requantize),
                    )
                case AvgPoolLayer() | AddLayer() | MulLayer():
                    layers[layer.name] = LayerWords(
                        accumulator_bits=layer.accumulator_bits, **_constants(layer.requantize)
                    )
        raw = {x.name for x in program.mac_layers if x.requantize is None}
        output = {name for name, root in program.roots.items() if root == program.roots[program.output]}
        signals = {name: signal.bits for name, signal in program.signals.items()}
        sources = {layer.name: layer.inputs for layer in program.layers}
        frozen = MappingProxyType(layers), MappingProxyType(signals), MappingProxyType(sources)
        return cls(*frozen, frozenset(raw), frozenset(output))

    def same_layers(self, other: "Words") -> bool:
        """Return whether these are of the same layers and tensors as others: only their lengths may differ."""
        return (self.layers.keys(), self.signals.keys()) == (other.layers.keys(), other.signals.keys())

    def scaled(self, weight_bits: int, signal_bits: int) -> "Words":
        """Return the word lengths of the same network at other uniform ones; the image keeps its own.

        A weight or signal of a bit more has half the step, so that a sum of products, and the bias in its step, take a
        bit more for each bit of either. How a Program comes out that is really lowered differs by rounding, by a bit
        or so: these lengths serve to explore, and `exact` is False.

        Raises
        ------
        EspalierError
            A word length is out of its range.
        """
        for name, bits, least in (("weight_bits", weight_bits, 2), ("signal_bits", signal_bits, 1)):
            if not least <= bits <= WORD_BITS:
                raise EspalierError(f"{name} must be {least}..{WORD_BITS}, got {bits}")
        layers, signals = {}, {INPUT: self.signals[INPUT]}
        for name, sources in self.sources.items():
            old = self.layers.get(name)
            signals[name] = signals[sources[0]] if old is None else signal_bits
            if old is None:
                continue
            wider = max(signals[source] - self.signals[source] for source in sources)
            wider += weight_bits - old.weight_bits if old.weight_bits else 0
            layers[name] = LayerWords(
                weight_bits=weight_bits if old.weight_bits else 0,
                bias_bits=max(1, old.bias_bits + wider) if old.bias_bits else 0,
                accumulator_bits=max(2, old.accumulator_bits + wider),
                requantize_bits=old.requantize_bits,
                multiplier_bits=old.multiplier_bits,
                offset_bits=old.offset_bits,
            )
            if name in self.raw:
                signals[name] = layers[name].accumulator_bits
        return replace(self, layers=MappingProxyType(layers), signals=MappingProxyType(signals), exact=False)

    @cached_property
    def weight_bits(self) -> int:
        """Bits of the widest weight; 2 at least, because pools and additions have weights of 1."""
        return max([2, *(layer.weight_bits for layer in self.layers.values())])

    @cached_property
    def signal_bits(self) -> int:
        """Bits of the widest signal; accumulators that leave as they are do not count."""
        leaving = self.output if self.raw & self.output else frozenset()
        return max(bits for name, bits in self.signals.items() if name not in leaving)

    @cached_property
    def accumulator_bits(self) -> int:
        """Bits of the widest accumulator; above those of a signal, as an array must have them."""
        return max([self.signal_bits + 1, *(layer.accumulator_bits for layer in self.layers.values())])

    @cached_property
    def multiplier_bits(self) -> int:
        """Bits of the widest multiplier; no fewer than Programs have unless they ask for more."""
        return max([MULTIPLIER_BITS, *(layer.multiplier_bits for layer in self.layers.values())])

    @cached_property
    def offset_bits(self) -> int:
        """Bits of the widest offset; 0 where no layer has one."""
        return max([0, *(layer.offset_bits for layer in self.layers.values())])

    def problem(self, array: MacArray) -> str | None:
        """Return which words of `array` are too narrow for which layer, or None."""
        for name, layer in self.layers.items():
            for what in ("weight_bits", "accumulator_bits", "multiplier_bits", "offset_bits"):
                need, limit = getattr(layer, what), getattr(array, what)
                if need > limit:
                    return f"{name}: needs {what} of {need}, the array has {limit}"
        if self.signal_bits > array.signal_bits:
            return f"signals need signal_bits of {self.signal_bits}, the array has {array.signal_bits}"
        return None


def _constants(scale: Requantize | None) -> dict[str, int]:
    """Return the lengths of what requantises a layer's sums."""
    if scale is None:
        return {}
    return {"requantize_bits": scale.bits, "multiplier_bits": scale.multiplier_bits, "offset_bits": scale.offset_bits}
