"""Combinations of designs, family by family: on arrays of the same lanes, whose words are as wide.

Word lengths of the array decide whether two weights share a multiplier, and so what a network takes on it: a network
may run in fewer cycles beside one of wider weights. Within a family all of that is known of every design before it is
combined: cycles are exact, and memories are those of what was chosen so far, so that a bound is nearly the cost.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import product
from typing import Any

from accel.array import MacArray
from accel.cost import Estimate, Invariants, Limits, Technology, estimate_of
from accel.cost.energy import area_mm2
from accel.cost.hardware_terms import multipliers_of
from accel.cost.macros import Memory, PlacedMemory, place
from accel.cost.shortage import Resource
from accel.cost.technology import Macro
from accel.demand import Need, bare, joined, sized
from accel.words import Words
from reports.explore.points import Costing, Rates
from reports.explore.space import Lanes, Space
from reports.together.designs import Design, Member, Outline
from reports.together.search import Family, Key, best
from reports.workflow.limits import Limit, Use

NEEDS = tuple(field.name for field in fields(Need))
NO_FORMATS: frozenset[tuple[int, bool]] = frozenset()


@dataclass(frozen=True, eq=False)
class Network:
    """What a network brings: its versions, costed at any word lengths on any array.

    Parameters
    ----------
    costings : sequence of Costing
        Of each version.
    rates : mapping of version to Rates
    space : Space
    share : float
        Of the images, 0..1.
    good : function
        From an error rate to whether designs that err so often are looked at.
    """

    costings: Sequence[Costing]
    rates: Mapping[str, Rates]
    space: Space
    share: float
    good: Callable[[float], bool] = lambda rate: True

    @cached_property
    def settings(self) -> list[tuple[Costing, "Setting"]]:
        """Each version at each pair of word lengths that a Program has."""
        found = []
        for costing, (weight_bits, signal_bits) in product(self.costings, self.space.widths()):
            trial = self.rates[costing.name][weight_bits, signal_bits]
            if "problem" not in trial and self.good(trial["rate"]):
                invariants, words = costing.words(trial["words"], weight_bits, signal_bits)
                found.append((costing, Setting(weight_bits, signal_bits, trial["rate"], invariants, words)))
        return found


@dataclass(frozen=True, eq=False)
class Setting:
    """A version at word lengths, whatever array it runs on."""

    asked_weight_bits: int
    asked_signal_bits: int
    rate: float
    invariants: Invariants
    words: Words

    @cached_property
    def weight_bits(self) -> int:
        """Bits of the widest weight."""
        return self.words.weight_bits

    @cached_property
    def signal_bits(self) -> int:
        """Bits of the widest signal."""
        return self.words.signal_bits

    @cached_property
    def formats(self) -> frozenset[tuple[int, bool]]:
        """Output formats that hardware has to know: their bits, and whether they are signed."""
        program, bits = self.invariants.program, self.words.signals
        scaled = [layer.name for layer in program.layers if getattr(layer, "requantize", None)]
        return frozenset((bits[name], program.signals[name].format.signed) for name in scaled)


@dataclass(frozen=True, eq=False)
class Choice:
    """A design of one network in a family; without invariants the least of all that a stage has."""

    need: Need
    cycles: int
    interval_cycles: int
    error_rate: float
    formats: frozenset[tuple[int, bool]] = NO_FORMATS
    version: str = ""
    setting: Setting | None = None
    invariants: Invariants | None = None


@dataclass(frozen=True, eq=False)
class Hall:
    """Everything that can be combined on arrays of the same lanes with words of the same widths.

    Parameters
    ----------
    lanes : (int, int)
    weight_bits, signal_bits : int
    networks : sequence of Network
    technology : Technology
    limits : Limits
    """

    lanes: Lanes
    weight_bits: int
    signal_bits: int
    networks: Sequence[Network]
    technology: Technology
    limits: Limits

    @cached_property
    def base(self) -> MacArray:
        """The array, whose memories vary."""
        return bare(*self.lanes, self.weight_bits, self.signal_bits)

    @cached_property
    def stages(self) -> list[list[Choice]]:
        """The designs of each network that run here."""
        return [list(self._choices(network)) for network in self.networks]

    @cached_property
    def alone(self) -> list[list[Outline]]:
        """What an array takes at least with each of the designs of `stages`, if the other networks take nothing."""
        return [[self._alone(choice, place) for choice in stage] for place, stage in enumerate(self.stages)]

    def _alone(self, choice: Choice, place: int) -> Outline:
        nothing = Choice(choice.need, 0, 0, 0.0)
        return self.outline([choice if index == place else nothing for index in range(len(self.networks))])

    def _choices(self, network: Network) -> Iterator[Choice]:
        timed: dict[Invariants, tuple[int, int]] = {}
        for costing, setting in network.settings:
            if setting.weight_bits > self.weight_bits or setting.signal_bits > self.signal_bits:
                continue
            invariants = costing.ordered(setting.invariants, self.lanes)
            need = self._need(setting.words, invariants)
            if invariants not in timed:
                estimate = self._estimate(invariants, setting.words, sized(need, self.base))
                timed[invariants] = estimate.cycles, estimate.interval_cycles
            cycles, interval = timed[invariants]
            yield Choice(need, cycles, interval, setting.rate, setting.formats, costing.name, setting, invariants)

    def _need(self, words: Words, invariants: Invariants) -> Need:
        """Return what a design needs of an array whose words are as wide as the family's."""
        need = Need.of(words, invariants.demand(self.base))
        accumulator_bits = max(need.accumulator_bits, self.signal_bits + 1)
        widths = self.weight_bits, self.signal_bits
        return replace(need, weight_bits=widths[0], signal_bits=widths[1], accumulator_bits=accumulator_bits)

    def _estimate(self, invariants: Invariants, words: Words, array: MacArray) -> Estimate:
        return estimate_of(invariants, words, array, self.technology, self.limits)

    def whole(self, chosen: Sequence[Choice]) -> bool:
        """Return whether the widest words of a combination are the family's: else it belongs to another one."""
        found = [choice.setting for choice in chosen if choice.setting]
        widest = max(x.weight_bits for x in found), max(x.signal_bits for x in found)
        return widest == (self.weight_bits, self.signal_bits)

    def outline(self, items: Sequence[Choice]) -> Outline:
        """Return the least that an array takes for an item of each network."""
        errors = tuple(item.error_rate for item in items)
        shares = [network.share for network in self.networks]
        memory_bits, multipliers, area_um2, short = self._hardware(joined(item.need for item in items))
        return Outline(
            output_lanes=self.lanes[0],
            pixel_lanes=self.lanes[1],
            memory_bits=memory_bits,
            multipliers=multipliers,
            area_um2=area_um2,
            cycles=sum(share * item.cycles for share, item in zip(shares, items, strict=True)),
            interval_cycles=max(item.interval_cycles for item in items),
            error_rates=errors,
            error_rate=sum(share * rate for share, rate in zip(shares, errors, strict=True)),
            formats=len(frozenset[Any]().union(*(item.formats for item in items))),
            short=short,
        )

    @cached_property
    def _known(self) -> dict[Need, tuple[int, int, int, bool]]:
        return {}

    def _hardware(self, need: Need) -> tuple[int, int, int, bool]:
        """Return the least bits of memory blocks, multipliers, least square micrometers; whether those are too many."""
        if need not in self._known:
            array, table = sized(need, self.base), self.technology.area
            bits, short = least_memory(array, self.technology)
            multipliers, most = multipliers_of(array), self.technology.multipliers
            area = round(1e6 * area_mm2(table, array, *least_blocks(array, self.technology))) if table else 0
            self._known[need] = bits, multipliers, area, short or (most is not None and multipliers > most)
        return self._known[need]

    def design(self, chosen: Sequence[Choice]) -> Design:
        """Return what a combination costs: every network on the one array that is just large enough for all."""
        array = sized(joined(choice.need for choice in chosen), self.base)
        estimates = [
            self._estimate(choice.invariants, choice.setting.words, array)
            for choice in chosen
            if choice.invariants and choice.setting
        ]
        members = map(_member, chosen, estimates, (network.share for network in self.networks))
        first = estimates[0]
        missing = {shortage.resource for x in estimates for shortage in x.shortages} - {Resource.MEMORY}
        return Design(
            output_lanes=array.output_lanes,
            pixel_lanes=array.pixel_lanes,
            weight_bits=array.weight_bits,
            signal_bits=array.signal_bits,
            accumulator_bits=array.accumulator_bits,
            memory_bits=first.memory_bits,
            built_bits=array.built_bits,
            multipliers=first.multipliers,
            area_um2=round(1e6 * (first.area_mm2 or 0)),
            formats=len(frozenset[Any]().union(*(choice.formats for choice in chosen))),
            members=tuple(members),
            short=bool(missing),
        )


def _member(choice: Choice, estimate: Estimate, share: float) -> Member:
    energy, setting = estimate.energy, choice.setting
    return Member(
        version=choice.version,
        weight_bits=setting.asked_weight_bits if setting else 0,
        signal_bits=setting.asked_signal_bits if setting else 0,
        error_rate=choice.error_rate,
        cycles=estimate.cycles,
        load_wait_cycles=estimate.interval_cycles - estimate.cycles,
        energy_pj=round(1e12 * energy.total_joules) if energy else 0,
        share=share,
    )


def least_memory(array: MacArray, technology: Technology) -> tuple[int, bool]:
    """Return the fewest bits of memory blocks that an array takes, and whether a technology has too few in any case.

    They are those where there are as many blocks as one likes: they never fall when a memory grows. More of them than a
    technology has in all is too much, and so is more for the memories that are not shallow than it has of blocks for
    these.
    """
    macros = technology.macros
    placed = _endlessly(array, replace(technology, area=None))  # then only bits count
    deep = sum(memory.macro_bits for memory in placed if not memory.shallow)
    bits = sum(memory.macro_bits for memory in placed)
    return bits, bits > _available(macros) or deep > _available([macro for macro in macros if not macro.shallow])


def least_blocks(array: MacArray, technology: Technology) -> tuple[int, int]:
    """Return the bits and the number of the memory blocks of an array whose area is the least."""
    placed = _endlessly(array, technology)
    return sum(memory.macro_bits for memory in placed), sum(memory.count for memory in placed)


def _endlessly(array: MacArray, technology: Technology) -> tuple[PlacedMemory, ...]:
    """Return an array's memories in the blocks that they choose where there are as many as one likes."""
    memories = [
        Memory(name=x.name, words=x.words, width_bits=x.width_bits, banks=x.banks, payload_bits=0)
        for x in array.memories
    ]
    endless = tuple(replace(macro, available=None) for macro in technology.macros)
    return place(memories, replace(technology, macros=endless))


def _available(macros: Sequence[Macro]) -> float:
    """Return the bits of all blocks that there are."""
    return sum(math.inf if macro.available is None else macro.available * macro.bits for macro in macros)


class Combinations:
    """All combinations of designs of several networks, and the best of them by whatever is wanted.

    Parameters
    ----------
    networks : sequence of Network
    arrays : sequence of (int, int)
        Lanes to try.
    technology : Technology
    limits : Limits
    """

    def __init__(
        self, networks: Sequence[Network], arrays: Iterable[Lanes], technology: Technology, limits: Limits
    ) -> None:
        every = [setting for network in networks for _, setting in network.settings]
        widths = [sorted({getattr(x, name) for x in every}) for name in ("weight_bits", "signal_bits")]
        what = networks, technology, limits
        self.halls = [Hall(lanes, wide, deep, *what) for lanes in arrays for wide, deep in product(*widths)]
        self._designs: dict[tuple[Choice, ...], Design] = {}

    def count(self) -> int:
        """Return how many combinations there are on all arrays."""
        sizes: dict[Lanes, int] = {}
        for hall in self.halls:
            number = 1
            for network in hall.networks:
                number *= len(network.settings)
            sizes[hall.lanes] = number
        return sum(sizes.values())

    def best(self, limits: Sequence[Limit], value: Use, lanes: int | None = None) -> Design | None:
        """Return the combination of the least `value` that meets all limits; ties go to what `key` says.

        Parameters
        ----------
        limits : sequence of Limit
            Whose use never falls when an array grows, or a network errs more or takes longer.
        value : function
            From an `Outline` or a `Design` to a number, which never falls either.
        lanes : int, optional
            On arrays of so many lanes in all; on any by default.
        """
        halls = (hall for hall in self.halls if lanes in (None, hall.lanes[0] * hall.lanes[1]))
        families = (self._family(hall, limits, value) for hall in halls)
        return best(family for family in families if family is not None)

    def _family(self, hall: Hall, limits: Sequence[Limit], value: Use) -> Family[Choice, Design] | None:
        """Return the combinations of a hall; None where a network has no design there that is within all limits."""
        stages = [
            [choice for choice, least in zip(stage, alone, strict=True) if all(limit.meets(least) for limit in limits)]
            for stage, alone in zip(hall.stages, hall.alone, strict=True)
        ]
        if not all(stages):
            return None
        floors = [_floor(stage) for stage in stages]

        def meets(p: Outline | Design) -> bool:
            return all(limit.meets(p) for limit in limits)

        def bound(begun: tuple[Choice, ...]) -> Key | None:
            if len(begun) == len(stages) and not hall.whole(begun):
                return None
            outline = hall.outline((*begun, *floors[len(begun) :]))
            return key(value, outline) if meets(outline) else None

        def exact(chosen: tuple[Choice, ...]) -> tuple[Key, Design] | None:
            if chosen not in self._designs:
                self._designs[chosen] = hall.design(chosen)
            design = self._designs[chosen]
            return (key(value, design), design) if meets(design) else None

        return Family(stages, bound, exact)


def key(value: Callable[[Any], float], p: Outline | Design) -> Key:
    """Return what decides between two designs: the first number, if they are equal the next, and so on.

    No design is before another that is as good in everything and better in something.
    """
    return value(p), p.error_rate, p.memory_bits, p.multipliers, p.cycles, p.interval_cycles, p.energy_pj


def _floor(stage: Sequence[Choice]) -> Choice:
    """Return what no design of a stage goes below."""
    need = {name: min(getattr(choice.need, name) for choice in stage) for name in NEEDS}
    numbers = ("cycles", "interval_cycles", "error_rate")
    return Choice(Need(**need), *(min(getattr(choice, name) for choice in stage) for name in numbers))
