"""A version of which nothing is measured, ready to be costed: its Programs of shapes, and vectors of its designs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from accel.cost import Estimate, Invariants, Limits, Technology, estimate_of
from accel.cost.array_facts import ArrayFacts, facts_of
from accel.cost.over_arrays import Arrays, Costs
from accel.cost.shortage import Resource
from accel.demand import streaming
from accel.map_orders import Orders
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, in_order, lane_orders, lower_shapes
from accel.words import Words

REMEMBERED = 64  # orders of which schedules are kept
Bits = tuple[int, int]  # of weights, of signals
Lanes = tuple[int, int]  # output lanes, pixel lanes


@dataclass(frozen=True, kw_only=True, eq=False)
class Designs(Costs):
    """Designs of one setting, as vectors; `streamed` says whose weights come from DRAM, group by group."""

    streamed: NDArray[np.bool_]

    error_rate: ClassVar[float] = 0.0  # nobody knows it, and none is compared with another of other words

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.cycles)


class Shapes:
    """A version at any pair of word lengths.

    Output maps are in the order that suits the array, which changes nothing but its cycles and memories. A table has as
    many words as its signal has codes, so that of a network with some every width has masks of its own.

    Parameters
    ----------
    pruned : PrunedNetwork
    first : (int, int)
        Any word lengths, those of the Program by which maps are ordered.
    input_bits : int
        Of the image.
    remembered : int
        Orders of maps of which schedules are kept.
    """

    def __init__(self, pruned: PrunedNetwork, first: Bits, input_bits: int = 8, remembered: int = REMEMBERED) -> None:
        self.pruned, self.first, self.input_bits, self.remembered = pruned, first, input_bits, remembered
        self._programs, self._words = dict[Bits, Program](), dict[Bits, Words]()
        self._orders, self._ordered = dict[tuple[int, bool], Orders](), dict[object, Invariants]()
        self.tables = Invariants(self._program(self.first)).looks_up

    def kind(self, widths: Bits) -> object:
        """Return what word lengths of the same facts have in common (`Invariants.kind`)."""
        return widths if self.tables else self.invariants(widths).kind(self.words(widths))

    def words(self, widths: Bits) -> Words:
        """Return the word lengths of the Program at these widths."""
        if widths not in self._words:
            self._words[widths] = Words.of(self._program(widths))
        return self._words[widths]

    def invariants(self, widths: Bits, lanes: Lanes | None = None) -> Invariants:
        """Return the invariants at these widths, maps in the order for some lanes."""
        suits = (lanes[0], lanes[1] > 1) if lanes else None
        mine = widths if self.tables else self.first
        if (suits, mine) not in self._ordered:
            program = self._program(mine)
            if suits is not None:
                if suits not in self._orders:
                    self._orders[suits] = lane_orders(self._program(self.first), *suits)
                program = in_order(program, self._orders[suits])
            if len(self._ordered) > self.remembered:
                self._ordered.clear()
            self._ordered[suits, mine] = Invariants(program)
        return self._ordered[suits, mine]

    def facts(self, widths: Bits, lanes: Lanes, limits: Limits) -> ArrayFacts:
        """Return what an array takes at all word lengths of the kind of these."""
        return facts_of(self.invariants(widths, lanes), self.words(widths), *lanes, limits)

    def arrays(self, facts: Sequence[ArrayFacts]) -> Arrays:
        """Return arrays to cost word lengths on, all at once."""
        return Arrays(facts, self._program(self.first))

    def streamed(
        self, widths: Bits, arrays: Iterable[Lanes], technology: Technology, limits: Limits
    ) -> Iterator[Estimate]:
        """Yield what a Program costs on each array whose weights come from DRAM."""
        for lanes in arrays:
            invariants, words = self.invariants(widths, lanes), self.words(widths)
            array = invariants.array(words, *lanes)
            made = streaming(array, invariants.demand(array))
            yield estimate_of(invariants, words, made, technology, replace(limits, stream=True))

    def _program(self, widths: Bits) -> Program:
        if widths not in self._programs:
            self._programs[widths] = lower_shapes(self.pruned, Widths(*widths, self.input_bits))
        return self._programs[widths]


def numbers_of(estimate: Estimate) -> dict[str, Any]:
    """Return what `Designs` has of an estimate."""
    energy = estimate.energy
    return {
        "output_lanes": estimate.array.output_lanes,
        "pixel_lanes": estimate.array.pixel_lanes,
        "memory_bits": estimate.memory_bits,
        "multipliers": estimate.multipliers,
        "cycles": estimate.cycles,
        "interval_cycles": estimate.interval_cycles,
        "area_um2": round(1e6 * (estimate.area_mm2 or 0)),
        "energy_pj": round(1e12 * energy.total_joules) if energy else 0,
        "short": bool({shortage.resource for shortage in estimate.shortages} - {Resource.MEMORY}),  # a limit of its own
    }


def in_vectors(costs: Costs, streamed: Sequence[Estimate]) -> Designs:
    """Return designs with all weights on the chip, array by array, and those with streamed ones after them."""
    rows = [numbers_of(estimate) for estimate in streamed]
    found = {x.name: np.append(getattr(costs, x.name), [row[x.name] for row in rows]) for x in fields(costs)}
    kinds: dict[str, Any] = {name: column.astype(getattr(costs, name).dtype) for name, column in found.items()}
    return Designs(**kinds, streamed=np.arange(len(kinds["cycles"])) >= len(costs.cycles))
