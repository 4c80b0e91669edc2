"""Which weights and tensors stay on the chip, and which layers run at once, so that the least goes to DRAM and comes.

Weights that stay take their room all the time, and come once for all images. A tensor that stays takes its room from
the layer that first writes it to the last one that reads it, the image too; any other is written to DRAM and read from
there. In what is left each layer runs in tiles (`accel.cost.tiling`), or with layers after it, row by row
(`accel.cost.fused_groups`). When all stays, the image comes, the scores go, and nothing else.

The choice is exact, by dynamic programming over the layers (Bellman, "Dynamic Programming", 1957): the state is which
tensors stay, and how much of the room that is set apart for weights those so far take, as in a knapsack (Martello and
Toth, "Knapsack Problems", 1990, chapter 2); a step is a layer, or a group of at most `MOST_FUSED` of them between two
cuts, whose weights stay all or none. It is exact for weights in `PARTS` parts of them all, rounded up, and for `SHARES`
sizes of the room that is set apart; all weights together are a choice of their own. Where more than `TOGETHER` tensors
are held at once, the largest of them do not stay.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, combinations

import numpy as np
from numpy.typing import NDArray

from accel.array import MacArray
from accel.cost.counts import LayerCost
from accel.cost.fused_groups import Group, fused
from accel.cost.plans import NOTHING, LayerPlan, Plan, Tensors
from accel.cost.stages import Stage, stages_of, tensor_bits
from accel.cost.tiling import Integers
from accel.errors import EspalierError
from accel.network import INPUT
from accel.program import Program

PARTS, SHARES, TOGETHER, MOST_FUSED = 2048, 64, 6, 12
Table = NDArray[np.float64]  # bits of traffic, of (sizes set apart, parts that weights take)


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

    def plan(self, room_bits: int, between: bool = True, most_fused: int = MOST_FUSED) -> Plan:
        """Return the plan with the least traffic in a memory of `room_bits`.

        Parameters
        ----------
        room_bits : int
        between : bool
            Whether anything stays from one layer to the next, and weights from one image to the next.
        most_fused : int
            Layers that may run at once, where something may stay.

        Raises
        ------
        EspalierError
            The memory is smaller than `least_bits`.
        """
        if room_bits < self.least_bits:
            raise EspalierError(f"{self.name}: needs {self.least_bits:,} bits in the smallest tiles, not {room_bits:,}")
        room = room_bits - self.fixed_bits
        if not between:
            return self._traced(room, 0, _Choice(self, NOTHING, most_fused=1))
        shares = [self.weight_bits * share**2 // SHARES**2 for share in range(SHARES)]
        apart = np.array([bits for bits in shares if bits < room])
        some, every = (_Choice(self, self._may_stay, most_fused, whole) for whole in (False, True))
        least = every.least(room, np.array([self.weight_bits]))[0] if self.weight_bits < room else np.inf
        if least <= self.borders:  # nothing moves less
            return self._traced(room, self.weight_bits, every)
        found = some.least(room, apart)
        if least < found.min():
            return self._traced(room, self.weight_bits, every)
        return self._traced(room, int(apart[found.argmin()]), some)

    @property
    def borders(self) -> int:
        """Bits of what leaves the network and, where a layer reads all of it at least once, of the image."""
        first = self.stages[:1]
        image = min((int(x.tilings(NOTHING, False).inputs[-1]) for x in first if INPUT in x.sources), default=0)
        leaving = sum(stage.output_bits for stage in self.stages if stage.target is None)
        return min(image, self.tensors[INPUT]) + leaving

    @cached_property
    def _groups(self) -> dict[tuple[int, int, Tensors], Group]:
        return {}

    def group(self, first: int, end: int, there: Tensors) -> Group:
        """Return what the stages from `first` to before `end` take that run at once; each is found once."""
        key = first, end, there
        if key not in self._groups:
            self._groups[key] = fused(self.stages[first:end], there, self.held(end))
        return self._groups[key]

    def held(self, index: int) -> Tensors:
        """Return the tensors that are held while a stage runs; none before the first and after the last."""
        return self.stages[index].held if 0 <= index < len(self.stages) else NOTHING

    @cached_property
    def joined(self) -> Tensors:
        """Tensors that several stages write, each a part of them."""
        writers = Counter(stage.target for stage in self.stages)
        return frozenset(name for name, count in writers.items() if name and count > 1)

    def tangled(self, first: int, end: int, there: Tensors) -> bool:
        """Return whether stages cannot run at once: they write a part of a tensor, or read parts of one from DRAM."""
        if not self.joined:
            return False
        stages = self.stages[first:end]
        readers = Counter(name for stage in stages for name in stage.sources if name in self.joined - there)
        return any(stage.target in self.joined for stage in stages) or any(count > 1 for count in readers.values())

    @cached_property
    def _may_stay(self) -> Tensors:
        """Tensors that may stay, of those that are held at once the smallest `TOGETHER`."""
        may = set(chain.from_iterable(stage.held for stage in self.stages))
        for stage in self.stages:
            while len(held := stage.held & may) > TOGETHER:
                may.remove(max(sorted(held), key=lambda name: self.tensors[name]))
        return frozenset(may)

    def _traced(self, room: int, apart: int, choice: "_Choice") -> Plan:
        layers, image, resident, groups = list[LayerPlan](), 0, 0, 0
        for way in choice.trace(room, apart):
            stages = self.stages[way.first : way.end]
            image += self.tensors[INPUT] if INPUT in way.there - way.before else 0
            resident += 0 if way.streamed else sum(stage.loops.weight_bits for stage in stages)
            groups += len(stages) > 1
            rows = self._fused(way, groups) if stages[1:] else [self._tiled(way, room - apart)]
            layers += rows
        bits = room + self.fixed_bits
        return Plan(room_bits=bits, layers=tuple(layers), image_bits=image, resident_bits=resident)

    def _tiled(self, way: "_Option", room: int) -> LayerPlan:
        stage, taken = self.stages[way.first], self.taken(way.there)
        tilings = stage.tilings(way.there, way.streamed)
        at = int(tilings.best(room - taken))
        return LayerPlan(
            name=stage.name,
            tile=tilings.tiles[at],
            weights_stay=not way.streamed,
            there=way.there,
            weight_room_bits=int(tilings.weight_room[at]),
            signal_room_bits=taken + int(tilings.room[at] - tilings.weight_room[at]),
            input_bits=int(tilings.inputs[at]),
            weight_bits=int(tilings.weights[at]),
            sum_bits=int(tilings.sums[at]),
            output_bits=0 if stage.target in way.there else stage.output_bits,
        )

    def _fused(self, way: "_Option", number: int) -> list[LayerPlan]:
        stages, group = self.stages[way.first : way.end], self.group(way.first, way.end, way.there)
        moved = [way.streamed * stage.loops.weight_bits for stage in stages]
        return [
            LayerPlan(
                name=stage.name,
                tile=None,
                weights_stay=not weights,
                there=way.there,
                weight_room_bits=sum(moved),
                signal_room_bits=self.taken(way.there) + group.line_bits,
                group=number,
                input_bits=inputs,
                weight_bits=weights,
                output_bits=outputs,
            )
            for stage, weights, inputs, outputs in zip(stages, moved, group.input_bits, group.output_bits, strict=True)
        ]

    def taken(self, there: Tensors) -> int:
        """Return the bits of tensors."""
        return sum(self.tensors[name] for name in there)


@dataclass(frozen=True)
class _Option:
    """A way to run a stage, or several at once, from one state to another."""

    first: int
    end: int
    before: Tensors
    there: Tensors
    after: Tensors
    streamed: bool
    parts: int  # that weights take which stay
    cost: Table  # of each size that is set apart


@dataclass(frozen=True)
class _Choice:
    """The dynamic program.

    Parameters
    ----------
    residents : Residents
    may_stay : frozenset of str
        Tensors; where it is empty no weights stay either.
    most_fused : int
    every : bool
        Whether all weights stay.
    """

    residents: Residents
    may_stay: Tensors
    most_fused: int
    every: bool = False

    @property
    def part_bits(self) -> int:
        """Bits of a part."""
        return max(1, -(-self.residents.weight_bits // PARTS))

    def least(self, room: int, apart: Integers) -> Table:
        """Return the least traffic for each of the sizes that are set apart for weights."""
        tables = self._start(apart)
        for index in range(len(self.residents.stages)):
            for way in self._options(index, tables[index], room, apart):
                self._step(tables, way)
            tables[index] = {}  # nothing goes on from there
        last = tables[-1].get(NOTHING)
        return np.full(apart.size, np.inf) if last is None else self._within(last, apart).min(axis=1)

    def trace(self, room: int, apart: int) -> list[_Option]:
        """Return the steps of the best plan."""
        sizes = np.array([apart])
        tables, ways = self._start(sizes), list[_Option]()
        for index in range(len(self.residents.stages)):
            new = list(self._options(index, tables[index], room, sizes))
            for way in new:
                self._step(tables, way)
            ways += new
        end, after, used = len(tables) - 1, NOTHING, int(self._within(tables[-1][NOTHING], sizes).argmin())
        found = []
        while end:
            result = tables[end][after][0, used]
            way = next(
                x
                for x in reversed(ways)  # of those that tie the one that begins last: layers alone before groups
                if (x.end, x.after) == (end, after)
                and x.parts <= used
                and tables[x.first][x.before][0, used - x.parts] + x.cost[0] == result
            )
            found.append(way)
            end, after, used = way.first, way.before, used - way.parts
        return found[::-1]

    def _start(self, apart: Integers) -> list[dict[Tensors, Table]]:
        """Return the tables before each stage and after the last: states that nothing leads to are not among them."""
        parts = 0 if self.every else int(apart.max()) // self.part_bits
        table = np.full((apart.size, parts + 1), np.inf)
        table[:, 0] = 0
        return [{NOTHING: table}, *({} for _ in self.residents.stages)]

    def _within(self, table: Table, apart: Integers) -> Table:
        """Return a table without what takes more than is set apart."""
        most = (apart // self.part_bits)[:, None]
        return np.where(np.arange(table.shape[1]) <= most, table, np.inf)

    def _options(self, index: int, tables: dict[Tensors, Table], room: int, apart: Integers) -> Iterator[_Option]:
        """Yield the ways to run a stage, and with it those after it, from each state."""
        of, left = self.residents, room - apart
        for end in range(index + 1, 1 + min(len(of.stages), index + self.most_fused)):
            new = of.stages[index].held if end == index + 1 else self._lasting(index, end)
            added = _subsets(sorted((new & self.may_stay) - of.held(index - 1)))
            ways = [(before, before | more, INPUT in more) for more in added for before in tables]
            rooms = {there: left - of.taken(there) for _, there, _ in ways}
            for streamed, parts in self._ways(index, end, int(left.max()), int(apart.max())):
                for before, there, loads in ways:
                    cost = self._cost(index, end, there, streamed, rooms[there])
                    if cost is not None:
                        cost = cost + of.tensors[INPUT] if loads else cost
                        yield _Option(index, end, before, there, there & of.held(end), streamed, parts, cost)

    def _lasting(self, index: int, end: int) -> Tensors:
        """Return the tensors that a group may leave on the chip: those that are read after it, and the image before."""
        held = NOTHING.union(*(stage.held for stage in self.residents.stages[index:end]))
        return held & (self.residents.held(end) | {INPUT})

    def _ways(self, index: int, end: int, left: int, apart: int) -> Iterator[tuple[bool, int]]:
        """Yield whether weights may come from DRAM, in `left` bits, or stay, in those set apart; and their parts."""
        weights = [stage.loops.weight_bits for stage in self.residents.stages[index:end]]
        if any(weights) and not self.every and (end == index + 1 or sum(weights) <= left):
            yield True, 0
        if self.every or not any(weights):
            yield False, 0
        elif self.may_stay and (parts := sum(-(-bits // self.part_bits) for bits in weights)) * self.part_bits <= apart:
            yield False, parts

    def _cost(self, index: int, end: int, there: Tensors, streamed: bool, left: Integers) -> Table | None:
        """Return the traffic in what is left of the memory; None where it is always too little."""
        stage = self.residents.stages[index]
        if end == index + 1:
            tilings = stage.tilings(there, streamed)
            at = tilings.best(left)
            traffic: Integers | int = tilings.traffic[at] + (0 if stage.target in there else stage.output_bits)
            fits = at >= 0
        else:
            weights = streamed * sum(x.loops.weight_bits for x in self.residents.stages[index:end])
            if self.residents.tangled(index, end, there):
                return None
            group = self.residents.group(index, end, there)
            traffic, fits = group.traffic + weights, left >= group.line_bits + weights
        return np.where(fits, traffic, np.inf) if fits[0] else None  # the least is set apart first

    def _step(self, tables: list[dict[Tensors, Table]], way: _Option) -> None:
        """Take a way from where it begins: of each size for which there is room, and of the parts that are taken."""
        table = tables[way.first][way.before]
        rows, most = np.count_nonzero(way.cost < np.inf), self._taken[way.first]  # the least is set apart first
        if way.parts < table.shape[1]:
            known = table[:rows, : min(most + 1, table.shape[1] - way.parts)]
            moved = tables[way.end].get(way.after)
            if moved is None:
                moved = tables[way.end][way.after] = np.full(table.shape, np.inf)
            into = moved[:rows, way.parts : way.parts + known.shape[1]]
            np.minimum(into, known + way.cost[:rows, None], out=into)

    @cached_property
    def _taken(self) -> list[int]:
        """Parts that the weights of all stages before each of them take."""
        return [0, *accumulate(-(-stage.loops.weight_bits // self.part_bits) for stage in self.residents.stages)]


def _subsets(names: Sequence[str]) -> Iterator[Tensors]:
    for count in range(len(names) + 1):
        yield from map(frozenset, combinations(names, count))
