"""Which weights and tensors stay on the chip, so that the least goes to DRAM and comes from there.

Weights that stay take their room all the time, and come once for all images. A tensor that stays takes its room from
the layer that first writes it to the last one that reads it, the image too; any other is written to DRAM and read from
there. In what is left each layer runs in tiles (`accel.cost.tiling`). When all stays, the image comes, the scores go,
and nothing else.

The choice is exact, by dynamic programming over the layers (Bellman, "Dynamic Programming", 1957): the state is which
tensors stay, and how much of the room that is set apart for weights those so far take, as in a knapsack (Martello and
Toth, "Knapsack Problems", 1990, chapter 2). It is exact for weights in `PARTS` parts of them all, rounded up, and for
`SHARES` sizes of the room that is set apart; all weights together are a choice of their own. Where more than `TOGETHER`
tensors are held at once, the largest of them do not stay.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

from accel.array import MacArray
from accel.cost.counts import LayerCost
from accel.cost.stages import Stage, stages_of, tensor_bits
from accel.cost.tiling import Integers, Tile
from accel.errors import EspalierError
from accel.network import INPUT
from accel.program import Program

PARTS, SHARES, TOGETHER = 2048, 64, 6
Tensors = frozenset[str]
Table = NDArray[np.float64]  # bits of traffic, of (sizes set apart, parts that weights take)
NOTHING: Tensors = frozenset()


@dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """How one stage runs.

    Parameters
    ----------
    name : str
    tile : Tile or None
        None: whole, all that it needs being on the chip.
    weights_stay : bool
        Whether its weights are on the chip for all images; true where it has none.
    there : frozenset of str
        Tensors that are on the chip while it runs.
    weight_room_bits, signal_room_bits : int
        Buffers for weights; tensors that are there, buffers for inputs, and accumulators.
    input_bits, weight_bits, sum_bits, output_bits : int
        From and to DRAM for one image.
    """

    name: str
    tile: Tile | None
    weights_stay: bool
    there: Tensors
    weight_room_bits: int = 0
    signal_room_bits: int = 0
    input_bits: int = 0
    weight_bits: int = 0
    sum_bits: int = 0
    output_bits: int = 0

    @property
    def dram_bits(self) -> int:
        """From and to DRAM for one image, in all."""
        return self.input_bits + self.weight_bits + self.sum_bits + self.output_bits


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What stays on a chip, and how each layer runs there.

    Parameters
    ----------
    room_bits : int
        Of the memory.
    layers : tuple of LayerPlan
    image_bits : int
        Of the image, where it comes at once and stays; else it is among the inputs of layers.
    resident_bits : int
        Of weights that stay, which come once for all images.
    """

    room_bits: int
    layers: tuple[LayerPlan, ...]
    image_bits: int
    resident_bits: int

    @property
    def dram_bits(self) -> int:
        """From and to DRAM for one image."""
        return self.image_bits + sum(layer.dram_bits for layer in self.layers)

    @property
    def weight_room_bits(self) -> int:
        """Bits of memory for weights: those that stay, and the largest buffers."""
        return self.resident_bits + max((layer.weight_room_bits for layer in self.layers), default=0)

    @property
    def signal_room_bits(self) -> int:
        """The most bits of memory for signals and accumulators."""
        return max((layer.signal_room_bits for layer in self.layers), default=0)

    @property
    def first_dram_bits(self) -> int:
        """From and to DRAM for the first image, with weights that stay."""
        return self.dram_bits + self.resident_bits

    @property
    def whole(self) -> bool:
        """Whether no layer needs tiles."""
        return all(layer.tile is None for layer in self.layers)


@dataclass(frozen=True, eq=False, kw_only=True)
class Residents:
    """A Program as the choice sees it.

    Parameters
    ----------
    name : str
    stages : tuple of Stage
    tensors : dict of str to int
        Bits of each tensor.
    fixed_bits : int
        That always stay: parameters of layers without weights.
    """

    name: str
    stages: tuple[Stage, ...]
    tensors: dict[str, int]
    fixed_bits: int

    @classmethod
    def of(cls, program: Program, array: MacArray, costs: tuple[LayerCost, ...]) -> "Residents":
        """Return what may stay of a Program; `costs` are its own, and the drain of `array` does the work of layers."""
        stages = stages_of(program, array, costs)
        stored = sum(cost.counts.parameter_memory_bits for cost in costs)
        fixed = stored - sum(stage.loops.weight_bits for stage in stages)
        return cls(name=program.name, stages=stages, tensors=tensor_bits(program), fixed_bits=fixed)

    @property
    def weight_bits(self) -> int:
        """Bits of all weights, with their index and constants."""
        return sum(stage.loops.weight_bits for stage in self.stages)

    @property
    def least_bits(self) -> int:
        """The smallest memory that works, in bits: nothing stays, and each layer has its smallest tiles."""
        return self.fixed_bits + max((stage.least_room for stage in self.stages), default=0)

    def whole(self, room_bits: int) -> Plan:
        """Return the plan where everything stays, whole layers as the array runs them."""
        layers = tuple(
            LayerPlan(
                name=stage.name,
                tile=None,
                weights_stay=True,
                there=stage.held,
                signal_room_bits=self.taken(stage.held),
                output_bits=0 if stage.target else stage.output_bits,
            )
            for stage in self.stages
        )
        image, weights = self.tensors[INPUT], self.weight_bits
        return Plan(room_bits=room_bits, layers=layers, image_bits=image, resident_bits=weights)

    def plan(self, room_bits: int, between: bool = True) -> Plan:
        """Return the plan with the least traffic in a memory of `room_bits`.

        Parameters
        ----------
        room_bits : int
        between : bool
            Whether anything stays from one layer to the next, and weights from one image to the next.

        Raises
        ------
        EspalierError
            The memory is smaller than `least_bits`.
        """
        if room_bits < self.least_bits:
            raise EspalierError(f"{self.name}: needs {self.least_bits:,} bits in the smallest tiles, not {room_bits:,}")
        room = room_bits - self.fixed_bits
        if not between:
            return self._traced(room, 0, _Choice(self, NOTHING))
        shares = [self.weight_bits * share**2 // SHARES**2 for share in range(SHARES)]
        apart = np.array([bits for bits in shares if bits < room])
        some, every = _Choice(self, self._may_stay), _Choice(self, self._may_stay, every=True)
        found = some.least(room, apart)
        plan = self._traced(room, int(apart[found.argmin()]), some)
        if self.weight_bits < room and every.least(room, np.array([self.weight_bits]))[0] < found.min():
            return self._traced(room, self.weight_bits, every)
        return plan

    @cached_property
    def _may_stay(self) -> Tensors:
        """Tensors that may stay, of those that are held at once the smallest `TOGETHER`."""
        may = set(chain.from_iterable(stage.held for stage in self.stages))
        for stage in self.stages:
            while len(held := stage.held & may) > TOGETHER:
                may.remove(max(sorted(held), key=lambda name: self.tensors[name]))
        return frozenset(may)

    def _traced(self, room: int, apart: int, choice: "_Choice") -> Plan:
        layers, image, resident = [], 0, 0
        before = NOTHING
        for stage, (there, streamed) in zip(self.stages, choice.trace(room, apart), strict=True):
            tilings = stage.tilings(there, streamed)
            at = int(tilings.best(room - apart - self.taken(there)))
            image += self.tensors[INPUT] if INPUT in there - before else 0
            resident += 0 if streamed else stage.loops.weight_bits
            before = there
            layers.append(
                LayerPlan(
                    name=stage.name,
                    tile=tilings.tiles[at],
                    weights_stay=not streamed,
                    there=there,
                    weight_room_bits=int(tilings.weight_room[at]),
                    signal_room_bits=self.taken(there) + int(tilings.room[at] - tilings.weight_room[at]),
                    input_bits=int(tilings.inputs[at]),
                    weight_bits=int(tilings.weights[at]),
                    sum_bits=int(tilings.sums[at]),
                    output_bits=0 if stage.target in there else stage.output_bits,
                )
            )
        bits = room + self.fixed_bits
        return Plan(room_bits=bits, layers=tuple(layers), image_bits=image, resident_bits=resident)

    def taken(self, there: Tensors) -> int:
        """Return the bits of tensors."""
        return sum(self.tensors[name] for name in there)


@dataclass(frozen=True)
class _Option:
    """A way to run a stage, from one state to the next."""

    before: Tensors
    there: Tensors
    after: Tensors
    streamed: bool
    parts: int  # that its weights take
    cost: Integers | Table  # of each size that is set apart


@dataclass(frozen=True)
class _Choice:
    """The dynamic program: tensors that may stay, and whether all weights stay."""

    residents: Residents
    may_stay: Tensors
    every: bool = False

    @property
    def part_bits(self) -> int:
        """Bits of a part."""
        return max(1, -(-self.residents.weight_bits // PARTS))

    def least(self, room: int, apart: Integers) -> Table:
        """Return the least traffic for each of the sizes that are set apart for weights."""
        table = self._start(apart)
        for index in range(len(self.residents.stages)):
            table = self._step(table, self._options(index, table, room, apart))
        return self._within(table[NOTHING], apart).min(axis=1) if table else np.full(apart.size, np.inf)

    def trace(self, room: int, apart: int) -> list[tuple[Tensors, bool]]:
        """Return the tensors on the chip, and whether weights come from DRAM, of each stage of the best plan."""
        sizes = np.array([apart])
        tables, options = [self._start(sizes)], []
        for index in range(len(self.residents.stages)):
            options.append(list(self._options(index, tables[-1], room, sizes)))
            tables.append(self._step(tables[-1], options[-1]))
        after, used = NOTHING, int(self._within(tables[-1][NOTHING], sizes).argmin())
        found = []
        for table, ways, result in zip(reversed(tables[:-1]), reversed(options), reversed(tables[1:]), strict=True):
            way = next(
                x
                for x in ways
                if x.after == after
                and x.parts <= used
                and table[x.before][0, used - x.parts] + x.cost[0] == result[after][0, used]
            )
            found.append((way.there, way.streamed))
            after, used = way.before, used - way.parts
        return found[::-1]

    def _start(self, apart: Integers) -> dict[Tensors, Table]:
        parts = 0 if self.every else int(apart.max()) // self.part_bits
        table = np.full((apart.size, parts + 1), np.inf)
        table[:, 0] = 0
        return {NOTHING: table}

    def _within(self, table: Table, apart: Integers) -> Table:
        """Return a table without what takes more than is set apart."""
        most = (apart // self.part_bits)[:, None]
        return np.where(np.arange(table.shape[1]) <= most, table, np.inf)

    def _options(self, index: int, tables: dict[Tensors, Table], room: int, apart: Integers) -> Iterator[_Option]:
        stages = self.residents.stages
        stage, later = stages[index], stages[index + 1].held if index + 1 < len(stages) else NOTHING
        new = stage.held & self.may_stay - (stages[index - 1].held if index else NOTHING)
        weights = stage.loops.weight_bits
        ways = [False] if self.every or not weights else [True, False] if tables and self.may_stay else [True]
        for before in tables:
            for more in _subsets(sorted(new)):
                there = before | more
                left = room - apart - self.residents.taken(there)
                loaded = self.residents.tensors[INPUT] if INPUT in more else 0
                stored = 0 if stage.target in there else stage.output_bits
                for streamed in ways:
                    tilings = stage.tilings(there, streamed)
                    at = tilings.best(left)
                    if at.max() < 0:
                        continue
                    cost = np.where(at < 0, np.inf, tilings.traffic[at] + loaded + stored)
                    parts = 0 if streamed or self.every else -(-weights // self.part_bits)
                    yield _Option(before, there, there & later, streamed, parts, cost)

    def _step(
        self, tables: dict[Tensors, Table], options: Iterator[_Option] | Sequence[_Option]
    ) -> dict[Tensors, Table]:
        found: dict[Tensors, Table] = {}
        for way in options:
            table = tables[way.before]
            if way.parts >= table.shape[1]:
                continue
            moved = found.setdefault(way.after, np.full(table.shape, np.inf))[:, way.parts :]
            np.minimum(moved, table[:, : table.shape[1] - way.parts] + way.cost[:, None], out=moved)
        return found


def _subsets(names: Sequence[str]) -> Iterator[Tensors]:
    for count in range(len(names) + 1):
        yield from map(frozenset, combinations(names, count))
