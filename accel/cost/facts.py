"""What a Program's masks say once for all word lengths, arrays and technologies: the quick way to cost many points.

    facts = Facts(program)
    words = facts.words.scaled(weight_bits=4, signal_bits=5)
    estimate = facts.estimate(array_for(words, 8, 8), words)

The first estimate on an array of other lanes walks the layers; those that follow only multiply.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from accel.array import STRIDES, MacArray
from accel.cost.counts import LayerCost, ProgramCost, cost_of
from accel.cost.macros import Memory
from accel.cost.schedule import LayerSchedule, schedule_of
from accel.cost.signals import placed_words
from accel.cost.words import Words
from accel.encoding import bits_for
from accel.network import INPUT
from accel.program import AddLayer, AvgPoolLayer, FlattenLayer, MacLayer, MaxPoolLayer, Program
from accel.signal import MULTIPLIER_BITS, PRODUCT_BITS

INDEX_WIDTH_BITS = 32  # the index of all layers lies packed in words of so many bits
SHIFT_BITS = bits_for(PRODUCT_BITS - 1)


@dataclass(frozen=True, eq=False)
class Facts:
    """A Program's facts that do not depend on word lengths, and caches of those that depend on lanes.

    Parameters
    ----------
    program : Program
        Any of the same masks: its word lengths are those of `words`, and no others depend on them.
    """

    program: Program

    @cached_property
    def words(self) -> Words:
        """The Program's own word lengths."""
        return Words.of(self.program)

    @cached_property
    def cost(self) -> ProgramCost:
        """The counts at the Program's own word lengths."""
        return cost_of(self.program)

    @cached_property
    def stored_words(self) -> Mapping[str, int]:
        """Weight words that each layer stores, the filling of blocks included."""
        return {layer.name: layer.nest.stored_words for layer in self.program.mac_layers}

    @cached_property
    def tensor_words(self) -> Mapping[str, int]:
        """Words of every tensor."""
        return {name: math.prod(shape) for name, shape in self.program.shapes.items()}

    @cached_property
    def in_memory(self) -> Mapping[str, tuple[str, ...]]:
        """Which tensors the array's signal memory has while each layer runs: all that are held but the output."""
        program = self.program
        output = program.roots[program.output]
        return {layer: tuple(name for name in held if name != output) for layer, held in program.held.items()}

    def held_bits(self, words: Words) -> dict[str, int]:
        """Return the bits of signals in the memory while each layer runs."""
        return {
            layer: sum(self.tensor_words[name] * words.signals[name] for name in held)
            for layer, held in self.in_memory.items()
        }

    @cached_property
    def signal_words(self) -> int:
        """Words of the signal memory, holes included."""
        return placed_words(self.program)

    @cached_property
    def constants(self) -> int:
        """Output maps of all layers: the array has a bias, a multiplier and a shift for each."""
        program = self.program
        return sum(program.shapes[x.name][0] for x in program.layers if not isinstance(x, FlattenLayer))

    @cached_property
    def _schedules(self) -> dict[tuple[int, int, int], tuple[LayerSchedule, ...]]:
        return {}

    @cached_property
    def _adds(self) -> bool:
        return any(isinstance(layer, AddLayer) for layer in self.program.layers)

    def schedule(self, array: MacArray) -> tuple[LayerSchedule, ...]:
        """Return `schedule_of` on `array`; found once for each number of lanes, and size of words where it matters."""
        key = array.output_lanes, array.pixel_lanes, array.weight_bits if self._adds else 8
        if key not in self._schedules:
            lanes = MacArray(output_lanes=key[0], pixel_lanes=key[1], weight_bits=key[2], signal_words=key[1] << 10)
            self._schedules[key] = schedule_of(self.program, lanes)
        return self._schedules[key]

    def costs(self, words: Words) -> tuple[LayerCost, ...]:
        """Return what `cost_of` says of each layer, at other word lengths."""
        if words is self.words:
            return self.cost.layers
        return tuple(self._cost(layer, words) for layer in self.cost.layers)

    def _cost(self, old: LayerCost, words: Words) -> LayerCost:
        mine = words.layers.get(old.name)
        if mine is None:
            return replace(old, signal_bits=words.signals[old.name])
        stored = self.stored_words.get(old.name, 0)
        outputs = self.program.shapes[old.name][0] if old.pattern else 0
        counts = replace(
            old.counts,
            weight_memory_bits=stored * mine.weight_bits,
            bias_memory_bits=outputs * mine.bias_bits,
            requantize_memory_bits=mine.requantize_bits,
        )
        return replace(
            old,
            counts=counts,
            weight_bits=mine.weight_bits,
            signal_bits=words.signals[old.name],
            accumulator_bits=mine.accumulator_bits,
        )

    def signal_bits(self, words: Words) -> int:
        """Return the peak of live signals as `cost_of` counts it: the Program's own bits, its output included."""
        if words is self.words:
            return self.cost.signal_memory_bits
        held = self.program.held.values()
        return max(sum(self.tensor_words[name] * words.signals[name] for name in names) for names in held)

    def memories(self, array: MacArray, words: Words, costs: tuple[LayerCost, ...], buffers: int) -> list[Memory]:
        """Return the memories of the array, as large as the Program needs them.

        Weights, signals and constants are as the assembler of `rtl` places them. The index lies packed as the Program's
        file holds it; the array that `rtl` generates keeps it unpacked, in lists of runs of taps, which may take more
        or, for n:m, fewer bits.

        Parameters
        ----------
        array : MacArray
            Its lanes and word lengths; how large its memories are is not asked.
        words : Words
        costs : tuple of LayerCost
            At these word lengths.
        buffers : int
            0: all weights are on the chip. Else so many buffers, each of the largest group of output lanes.
        """
        counts = [cost.counts for cost in costs]
        signals = max(self.held_bits(words).values())
        constants = sum(x.bias_memory_bits + x.requantize_memory_bits for x in counts)
        width = _constant_bits(array)
        bank_words = max(1, -(-self.signal_words // array.banks))
        index = sum(x.index_memory_bits for x in counts)
        return [
            self._weight_memory(array, costs, buffers),
            *([Memory("index", -(-index // INDEX_WIDTH_BITS), INDEX_WIDTH_BITS, 1, index)] if index else []),
            Memory("signals", bank_words, array.signal_bits, array.banks, signals),
            Memory("constants", self.constants, width, 1, constants),
        ]

    def _weight_memory(self, array: MacArray, costs: tuple[LayerCost, ...], buffers: int) -> Memory:
        schedule, width = self.schedule(array), array.output_lanes * array.weight_bits
        if not buffers:
            payload = sum(cost.counts.weights * cost.weight_bits for cost in costs)  # no lane has a block's filling
            return Memory("weights", sum(layer.weight_words for layer in schedule), width, 1, payload)
        units = [(int(x.units.max()), cost.weight_bits) for x, cost in self.timed(costs, array) if x.units.size]
        largest, bits = max(units, default=(0, 0))
        made = sum(layer.weight_words for layer in schedule if not layer.units.size)  # of pools and additions
        payload = buffers * largest * array.output_lanes * bits
        return Memory("weights", max(1, buffers * largest + made), width, 1, payload)

    def filling_bits(self, layer: LayerSchedule, cost: LayerCost, array: MacArray) -> int:
        """Return the bits of a layer's words of weights and constants in the array that hold nothing of the layer."""
        counts, outputs = cost.counts, self.program.shapes[layer.name][0]
        words = layer.weight_words * array.output_lanes * array.weight_bits + outputs * _constant_bits(array)
        return words - counts.weights * cost.weight_bits - counts.bias_memory_bits - counts.requantize_memory_bits

    def timed(self, costs: tuple[LayerCost, ...], array: MacArray) -> list[tuple[LayerSchedule, LayerCost]]:
        """Return the layers that take time with what they cost, in running order."""
        rows = [cost for cost, x in zip(costs, self.program.layers, strict=True) if not isinstance(x, FlattenLayer)]
        return list(zip(self.schedule(array), rows, strict=True))

    @cached_property
    def strange_strides(self) -> tuple[str, ...]:
        """A line for each layer whose windows the address generator of the hardware does not step to."""
        lines = []
        for layer in self.program.layers:
            window = layer.window if isinstance(layer, MacLayer | MaxPoolLayer | AvgPoolLayer) else None
            if window and window.common_stride(self.program.shapes[layer.name][1:]) not in STRIDES:
                known = " or ".join(map(str, STRIDES))
                lines.append(f"{layer.name} has a stride of {window.stride}, the array steps by {known} both ways")
        return tuple(lines)

    @cached_property
    def input_bits(self) -> int:
        """Words of the image times their bits."""
        return self.tensor_words[INPUT] * self.words.signals[INPUT]


def _constant_bits(array: MacArray) -> int:
    """Return the bits of a word of constants: a bias, a multiplier and a shift."""
    return array.accumulator_bits + MULTIPLIER_BITS + SHIFT_BITS
