"""What a Program's masks say once for all word lengths, arrays and technologies: the quick way to cost many points.

>>> import numpy as np
>>> from accel.cost import Limits, estimate_of, load_technology
>>> from accel.interchange import zoo
>>> from accel.quantize import Widths, lower
>>> pixels = np.linspace(0, 1, 28 * 28, dtype=np.float32).reshape(1, 1, 28, 28)
>>> invariants = Invariants(lower(zoo.load("lenet5", "dense"), Widths(8, 8), pixels))
>>> words = invariants.words.scaled(weight_bits=4, signal_bits=5)
>>> found = estimate_of(invariants, words, invariants.array(words, 8, 8), load_technology(), Limits())
>>> found.macs, found.multipliers, found.fits
(416520, 40, True)

The first estimate on an array of other lanes walks the layers; those that follow only multiply.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from accel.array import MacArray
from accel.cost.accesses import Accesses, layer_accesses
from accel.cost.counts import Counts, LayerCost, ProgramCost, cost_of
from accel.cost.macros import Memory
from accel.cost.stalls import LayerSchedule, schedule_of
from accel.demand import Demand, bare, demand_of, fitted
from accel.encoding import bits_for
from accel.fusion import held_on
from accel.memory_words import width_of
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import AddLayer, TableLayer
from accel.signal import PRODUCT_BITS, signed_bits
from accel.words import Words

REMEMBERED = 256  # word lengths whose costs are kept for other arrays
SHIFT_BITS = bits_for(PRODUCT_BITS - 1)


@dataclass(frozen=True, eq=False)
class Invariants:
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

    def held_bits(self, words: Words, array: MacArray) -> dict[str, int]:
        """Return the bits of signals in the array's memory while each layer runs: all that are held but the output.

        Where the next image is loaded meanwhile it is among them, and the image that runs keeps its place to the end.
        """
        spared = {self.program.roots[self.program.output], *([INPUT] if array.overlap else [])}
        images = 2 * self.input_bits if array.overlap else 0
        return {
            layer: images + sum(self.tensor_words[name] * words.signals[name] for name in held if name not in spared)
            for layer, held in self._held_on(array).items()
        }

    def _held_on(self, array: MacArray) -> dict[str, tuple[str, ...]]:
        """Return `accel.fusion.held_on`; found once, like the schedule."""
        key = self._key(array)
        if key not in self._helds:
            self._helds[key] = held_on(self.program, key)
        return self._helds[key]

    @cached_property
    def _helds(self) -> dict[MacArray, dict[str, tuple[str, ...]]]:
        return {}

    @cached_property
    def _demands(self) -> dict[MacArray, Demand]:
        return {}

    @cached_property
    def _schedules(self) -> dict[MacArray, tuple[LayerSchedule, ...]]:
        return {}

    @cached_property
    def _accesses(self) -> dict[tuple[MacArray, bool], tuple[Accesses, ...]]:
        return {}

    @cached_property
    def _adds(self) -> bool:
        return any(isinstance(layer, AddLayer) for layer in self.program.layers)

    @cached_property
    def _weight_bits(self) -> int:
        """Bits of a weight from which on a step holds each weight of an addition: more of them change no schedule."""
        adds = (layer.weights for layer in self.program.layers if isinstance(layer, AddLayer))
        return signed_bits(max([1, *(weight for weights in adds for weight in weights)]))

    def serves(self, words: Words) -> bool:
        """Return whether all but word lengths is the same for a Program of these masks that has such words.

        Where signals are added it is not, for the integers that they are weighted with follow from their steps; nor
        where codes are looked up, for a table has as many words as its signal has codes.
        """
        return not self._adds and not self.looks_up and words.same_layers(self.words)

    @cached_property
    def looks_up(self) -> bool:
        """Whether the Program has tables, whose size is of its own word lengths."""
        return any(isinstance(layer, TableLayer) for layer in self.program.layers)

    def schedule(self, array: MacArray) -> tuple[LayerSchedule, ...]:
        """Return `schedule_of` on `array`; found once for each number of lanes, and size of words where it matters."""
        key = self._key(array)
        if key not in self._schedules:
            self._schedules[key] = schedule_of(self.program, key)
        return self._schedules[key]

    def accesses(self, array: MacArray) -> tuple[Accesses, ...]:
        """Return what each layer that takes time reads and writes; found once, like the schedule."""
        key = self._key(array), bool(array.stream_words)
        if key not in self._accesses:
            rows = zip(self.schedule(array), self.demand(array).layers, strict=True)
            self._accesses[key] = tuple(layer_accesses(layer, taken, array) for layer, taken in rows)
        return self._accesses[key]

    def demand(self, array: MacArray) -> Demand:
        """Return `demand_of`; found once, like the schedule."""
        key = self._key(array)
        if key not in self._demands:
            able = None if key.combine else self._demands.get(replace(key, combine=True))
            unused = able is not None and not able.combines  # the same, if no step of an array that can reads two maps
            self._demands[key] = able if able and unused else demand_of(self.program, key)
        return self._demands[key]

    def array(
        self,
        words: Words,
        output_lanes: int,
        pixel_lanes: int,
        depths: Mapping[str, int | None] | None = None,
        **features: bool,
    ) -> MacArray:
        """Return what `accel.demand.array_for` does, at the word lengths `words`."""
        array = bare(output_lanes, pixel_lanes, words.weight_bits, words.signal_bits, **features)
        return fitted(words, self.demand(array), array, depths)

    def kind(self, words: Words) -> Hashable:
        """Return what of word lengths decides about schedules and demands: lengths of one kind have the same."""
        return self._key(bare(1, 1, words.weight_bits, words.signal_bits))

    def _key(self, array: MacArray) -> MacArray:
        share = array.weights_per_multiplier == 2  # 8 bits and 1 do, 2 bits and 16 do not: any others are like these
        bits = min(array.weight_bits, self._weight_bits)
        return _plain(array.output_lanes, array.pixel_lanes, bits, 1 if share else 16, tuple(array.features.items()))

    def costs(self, words: Words) -> tuple[LayerCost, ...]:
        """Return what `cost_of` says of each layer, at other word lengths."""
        if words is self.words:
            return self.cost.layers
        if words not in self._costs:
            if len(self._costs) >= REMEMBERED:
                self._costs.clear()
            self._costs[words] = tuple(self._cost(layer, words) for layer in self.cost.layers)
        return self._costs[words]

    @cached_property
    def _costs(self) -> dict[Words, tuple[LayerCost, ...]]:
        return {}

    def _cost(self, old: LayerCost, words: Words) -> LayerCost:
        mine = words.layers.get(old.name)
        if mine is None:
            return replace(old, signal_bits=words.signals[old.name])
        stored = self.stored_words.get(old.name, 0)
        outputs = self.program.shapes[old.name][0] if old.pattern else 0
        counts = Counts(
            dense_weights=old.counts.dense_weights,
            weights=old.counts.weights,
            dense_macs=old.counts.dense_macs,
            macs=old.counts.macs,
            weight_memory_bits=stored * mine.weight_bits,
            index_memory_bits=old.counts.index_memory_bits,
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

    def signal_bits(self, words: Words, array: MacArray) -> int:
        """Return the peak of live signals as `cost_of` counts it: the Program's own bits, its output included."""
        held = self._held_on(array).values()
        return max(sum(self.tensor_words[name] * words.signals[name] for name in names) for names in held)

    def memories(self, array: MacArray, words: Words, costs: tuple[LayerCost, ...]) -> list[Memory]:
        """Return the memories of the array as they are built, each with what of it the Program uses.

        Entries, selects, taps and words of layers are the hardware's own form of index, windows and sizes: all of them
        count as used. Where weights are streamed two of the largest groups are there at the same time.

        Parameters
        ----------
        array : MacArray
        words : Words
        costs : tuple of LayerCost
            At these word lengths.
        """
        demand = self.demand(array)
        lists = min(demand.words["entries"], array.list_entries)  # fewer where they come with their weights
        used = {"entries": lists, "taps": sum(x.taps for x in demand.layers)}
        used |= {"layers": len(demand.layers), "tables": demand.tables}  # of the copies of all tables one counts
        payloads = {
            "signals": max(self.held_bits(words, array).values()),
            "weights": sum(cost.counts.weights * cost.weight_bits for cost in costs)  # no lane has a block's filling
            + demand.words["weights"] * array.select_bits,
            "constants": sum(cost.counts.bias_memory_bits + _multiplier_bits(cost) for cost in costs),
        }
        if array.stream_words:
            payloads["weights"] = 2 * demand.unit * array.weight_word_bits
        found = []
        for shape in array.memories:
            payload = payloads[shape.name] if shape.name in payloads else used[shape.name] * shape.width_bits
            sizes = {"words": shape.words, "width_bits": shape.width_bits, "banks": shape.banks}
            found.append(Memory(name=shape.name, payload_bits=payload, **sizes))
        return found

    def filling_bits(self, layer: LayerSchedule, cost: LayerCost, array: MacArray) -> int:
        """Return the bits of a layer's words of weights and constants in the array that hold nothing of the layer."""
        counts, constants = cost.counts, layer.constants * width_of(array.constant_fields)
        words = layer.weight_words * array.output_lanes * array.weight_bits + constants
        return words - counts.weights * cost.weight_bits - counts.bias_memory_bits - _multiplier_bits(cost)

    def control_bits(self, array: MacArray, timed: Sequence[tuple[LayerSchedule, LayerCost]]) -> list[int]:
        """Return, for each layer that computes, the bits of its entries, selects, taps and its word of layers.

        The shift in that word is not among them: it counts with the multipliers, as requantisation.
        """
        entry, tap, word = map(width_of, (array.entry_fields, array.tap_fields, array.layer_fields))
        rows = zip(self.demand(array).layers, timed, strict=True)
        return [
            x.entries * entry + x.weights * array.select_bits + x.taps * tap + word - _shift_bits(cost)
            for x, (_, cost) in rows
        ]

    def timed(self, costs: tuple[LayerCost, ...], array: MacArray) -> list[tuple[LayerSchedule, LayerCost]]:
        """Return the layers that take time with what they cost, in running order."""
        rows = {cost.name: cost for cost in costs}
        return [(layer, rows[layer.name]) for layer in self.schedule(array)]

    @cached_property
    def input_bits(self) -> int:
        """Words of the image times their bits."""
        return self.tensor_words[INPUT] * self.words.signals[INPUT]


@lru_cache(maxsize=64)  # asked for several times of every design
def _plain(
    output_lanes: int, pixel_lanes: int, weight_bits: int, signal_bits: int, features: tuple[tuple[str, bool], ...]
) -> MacArray:
    return bare(output_lanes, pixel_lanes, weight_bits, signal_bits, **dict(features))


def _shift_bits(cost: LayerCost) -> int:
    """Return the bits of a layer's shift, which lies in its word of layers; 0 where nothing is requantised."""
    return SHIFT_BITS if cost.requantizes else 0


def _multiplier_bits(cost: LayerCost) -> int:
    """Return the bits of a layer's multipliers and offsets, which lie in the memory of constants; a table does not."""
    return cost.counts.requantize_memory_bits - _shift_bits(cost) if cost.accumulator_bits else 0
