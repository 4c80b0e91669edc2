"""How many words a Program takes of every memory of an array, and the one array that is just large enough for it.

Several Programs that run on one array in turn, each loaded when its turn comes, take the largest of everything.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from accel.array import DEPTHS, MacArray
from accel.errors import EspalierError
from accel.fusion import bounds_of, computing, looks_up, table_of
from accel.lines import lines_of
from accel.places import Places, places_of
from accel.program import Program
from accel.program_layers import (
    AddLayer,
    AvgPoolLayer,
    ClipLayer,
    ConcatLayer,
    MacLayer,
    MaxPoolLayer,
    MulLayer,
    ProgramLayer,
    ReluLayer,
    TableLayer,
)
from accel.runs import LEAST_READS, runs_of
from accel.segments import segments_of
from accel.split import splits
from accel.walk import combined_of, walk_of
from accel.words import Words

NOT_ON_ARRAY: dict[type[ProgramLayer], str] = {  # why, where a reader may wonder
    MulLayer: ": its multipliers take a weight of the Program on one side, here both are signals",
}


@dataclass(frozen=True, kw_only=True)
class LayerDemand:
    """What one layer takes of the memories, beside one word of layers.

    Parameters
    ----------
    name : str
    weights, entries, taps, constants : int
        Words of these memories.
    unit : int
        Weights of the largest group of output lanes, which a buffer for streamed weights holds; 0 where the assembler
        makes them, which are never streamed.
    longest : int
        Taps that one entry names at most; the tap table must have as many words, for the entry's fields to hold it.
    reads : int
        Words of entries that one tile of every group reads, as `Runs.reads`; counted ones are not read.
    looks_up : bool
        Whether its codes are looked up in a table.
    """

    name: str
    weights: int
    entries: int
    taps: int
    constants: int
    longest: int
    reads: int
    unit: int = 0
    looks_up: bool = False


@dataclass(frozen=True)
class Demand:
    """What a Program takes of an array's memories.

    Parameters
    ----------
    program : str
        Its name.
    layers : tuple of LayerDemand
        Those that compute, in running order.
    signals : int
        Words of signals: where tensors end, and as many as the largest number of tiles, rows or pixels of a row that
        a layer counts.
    turns : int
        Places for images: each has a word for every layer.
    ceiling, floor : bool
        Whether a layer cuts codes off below the highest, and above the lowest, of their format.
    combines : bool
        Whether steps of any layer read two maps.
    tables : int
        Codes of all tables that are looked up, each once.
    """

    program: str
    layers: tuple[LayerDemand, ...]
    signals: int
    turns: int = 1
    ceiling: bool = False
    floor: bool = False
    combines: bool = False
    tables: int = 0

    @cached_property
    def words(self) -> Mapping[str, int]:
        """The words of each memory by its name, in the order of `DEPTHS`."""
        taps = sum(layer.taps for layer in self.layers)
        return {
            "signals": self.signals,
            "weights": sum(layer.weights for layer in self.layers),
            "entries": sum(layer.entries for layer in self.layers),
            "taps": max([taps, *(layer.longest for layer in self.layers)]),
            "constants": sum(layer.constants for layer in self.layers),
            "layers": self.turns * len(self.layers),
            "tables": self.tables,
        }

    @property
    def made(self) -> int:
        """Words of weights that the assembler makes, for pools and additions."""
        return sum(layer.weights for layer in self.layers if not layer.unit)

    @property
    def unit(self) -> int:
        """Words of weights of the largest group of output lanes."""
        return max(layer.unit for layer in self.layers)

    def check(self, array: MacArray) -> None:
        """Raise EspalierError unless the memories of `array` are large enough; the line says which one is not."""
        words = dict(self.words)
        if array.stream_words:
            words["weights"] = self.made + 2 * array.stream_words
            largest = max(self.layers, key=lambda layer: layer.unit)
            if largest.unit > array.stream_words:
                raise EspalierError(
                    f"{self.program}: a group of {largest.name} has {largest.unit:,} words of weights, a buffer for "
                    f"streamed weights holds {array.stream_words:,}"
                )
        for name in ("ceiling", "floor"):
            if getattr(self, name) > getattr(array, name):
                raise EspalierError(f"{self.program}: cuts codes off, which an array does whose {name} is true")
        for name, needed in words.items():
            given = getattr(array, DEPTHS[name])
            if needed > given:
                raise EspalierError(f"{self.program}: needs {needed:,} words of {name}, {DEPTHS[name]} are {given:,}")


@dataclass(frozen=True, kw_only=True)
class Need:
    """What Programs need of an array, one or several in turn: the largest of every word length and depth.

    Parameters
    ----------
    weight_bits, signal_bits, accumulator_bits, multiplier_bits, offset_bits : int
    signals, weights, entries, taps, constants, layers, tables : int
        Words of each memory.
    made, unit : int
        As `Demand` has them.
    ceiling, floor, combines : bool
        Whether any of them asks for it.
    """

    weight_bits: int
    signal_bits: int
    accumulator_bits: int
    multiplier_bits: int
    offset_bits: int
    signals: int
    weights: int
    entries: int
    taps: int
    constants: int
    layers: int
    tables: int
    made: int
    unit: int
    ceiling: bool
    floor: bool
    combines: bool

    @classmethod
    def of(cls, words: Words, demand: Demand) -> "Need":
        """Return what one Program needs: its word lengths, and its demand on an array of at least these."""
        numbers: dict[str, Any] = {name: getattr(words, name) for name in _BITS} | dict(demand.words)
        return cls(**numbers | {x: getattr(demand, x) for x in ("made", "unit", "ceiling", "floor", "combines")})


_BITS = ("weight_bits", "signal_bits", "accumulator_bits", "multiplier_bits", "offset_bits")
_NEEDS = tuple(field.name for field in fields(Need))


def joined(needs: Iterable[Need]) -> Need:
    """Return what Programs need that take turns: whatever any of them does; their demands are on arrays of one kind."""
    every = tuple(needs)
    return Need(**{name: max(getattr(need, name) for need in every) for name in _NEEDS})


def demand_of(program: Program, array: MacArray) -> Demand:
    """Return what `program` takes of the memories of `array`, however deep they are.

    Raises
    ------
    EspalierError
        The array does not run a layer.
    """
    computed = computing(program, array)
    walks = [walk_of(program, layer, array) for layer in computed]
    counted = [max(walk.tiles, walk.width) for walk in walks]
    places = places_of(program, array)
    layers = [_layer(program, layer, walk.maps, array, places) for layer, walk in zip(computed, walks, strict=True)]
    bounds = [bounds_of(program, layer, array) for layer in computed]
    floor, ceiling = (any(bound is not None for bound in side) for side in zip(*bounds, strict=True))
    features: dict[str, Any] = {"ceiling": ceiling, "floor": floor, "tables": len(tables_of(program, array)[0])}
    features["combines"] = any(combined_of(program, layer, array) is not None for layer in computed)
    return Demand(program.name, tuple(layers), max([places.words, *counted]), len(places.images), **features)


def tables_of(program: Program, array: MacArray) -> tuple[list[int], dict[str, int]]:
    """Return the codes of all tables that drains look up, and by layer where its own has the word of code 0.

    One table lies behind the other, each from the word of its lowest code on, and equal ones are one.
    """
    codes, firsts, places = list[int](), dict[tuple[int, ...], int](), dict[str, int]()
    for layer in computing(program, array):
        if found := table_of(program, layer, array):
            lowest, table = found[0], tuple(found[1].tolist())
            if table not in firsts:
                firsts[table] = len(codes)
                codes += table
            places[layer.name] = firsts[table] - lowest
    return codes, places


def array_for(
    programs: Program | Sequence[Program],
    output_lanes: int,
    pixel_lanes: int,
    depths: Mapping[str, int | None] | None = None,
    stream: bool = False,
    **features: bool,
) -> MacArray:
    """Return the array of these lanes for a Program: words as wide, and memories as deep, as it needs them.

    Parameters
    ----------
    programs : Program or sequence of Program
        Several take turns on the array, which is just large enough for each of them.
    output_lanes, pixel_lanes : int
    depths : mapping, optional
        Words that a memory must have whatever the Program needs, by `MacArray`'s name of them; None is left out. A
        true "stream" among them is `stream`.
    stream : bool
        Whether weights are streamed: the memory has two buffers of the largest group, or as large as a depth allows.
    **features
        What is left out of it: `MacArray.features`.

    Raises
    ------
    EspalierError
        No array has these lanes, or words as wide; it does not run a layer; or a depth that was asked for is too small.
    """
    every = [programs] if isinstance(programs, Program) else programs
    words = [Words.of(program) for program in every]
    widest = (max(getattr(one, name) for one in words) for name in ("weight_bits", "signal_bits"))
    array = bare(output_lanes, pixel_lanes, *widest, **features)
    demands = [demand_of(program, array) for program in every]
    asked = dict(depths or {})
    streamed = bool(asked.pop("stream", stream))
    need = joined(Need.of(*one) for one in zip(words, demands, strict=True))
    return _checked(
        sized(need, array, asked, streamed, "each of them" if len(demands) > 1 else demands[0].program), demands
    )


def bare(output_lanes: int, pixel_lanes: int, weight_bits: int, signal_bits: int = 8, **features: bool) -> MacArray:
    """Return an array of these lanes whose memories are of no account: what a demand and a schedule depend on."""
    return MacArray(
        output_lanes=output_lanes,
        pixel_lanes=pixel_lanes,
        weight_bits=weight_bits,
        signal_bits=signal_bits,
        signal_words=max(1, pixel_lanes) << 10,
        weight_words=max(1, pixel_lanes) << 10,
        **features,
    )


def fitted(
    words: Words, demand: Demand, array: MacArray, depths: Mapping[str, int | None] | None = None, stream: bool = False
) -> MacArray:
    """Return what `array_for` does, of the words and the demand of a Program on an array whose memories vary."""
    return _checked(sized(Need.of(words, demand), array, depths, stream, demand.program), [demand])


def sized(
    need: Need, array: MacArray, depths: Mapping[str, int | None] | None = None, stream: bool = False, whose: str = ""
) -> MacArray:
    """Return an array with words and memories as large as they are needed, or as `depths` has them.

    Where no step reads two maps, no word has bits for it.

    Raises
    ------
    EspalierError
        A depth leaves too little for two buffers of streamed weights; the line says of what: of `whose`.
    """
    words: dict[str, Any] = {name: getattr(need, name) for name in DEPTHS}
    words["signals"] = array.banks * math.ceil(words["signals"] / array.banks)
    asked = {name: depth for name, depth in (depths or {}).items() if depth is not None}
    if stream:
        least = array.whole_rows(need.unit)
        words["weights"] = need.made + 2 * least
        given = asked.get(DEPTHS["weights"], words["weights"])
        rows = (given - need.made) // (2 * array.weight_banks)
        words["stream_words"] = rows * array.weight_banks
        if words["stream_words"] < least:
            told = f"needs {words['weights']:,} words of weights to stream them"
            raise EspalierError(f"{whose}: {told}, weight_words are {given:,}")
    return replace(
        array,
        **{name: getattr(need, name) for name in (*_BITS, "ceiling", "floor")},
        combine=need.combines,
        **{DEPTHS.get(name, name): depth for name, depth in words.items()} | asked,
    )


def _checked(array: MacArray, demands: Iterable[Demand]) -> MacArray:
    for demand in demands:
        demand.check(array)
    return array


def streaming(array: MacArray, demand: Demand) -> MacArray:
    """Return an array with two buffers of the largest group for streamed weights, and no other room for them."""
    largest = array.whole_rows(demand.unit)
    return replace(array, weight_words=demand.made + 2 * largest, stream_words=largest)


def weight_words(weight: int, largest: int) -> list[int]:
    """Return the words that sum up to the positive `weight` of an addition: as few as hold it, `largest` at most each.

    >>> weight_words(300, 127)
    [127, 127, 46]
    """
    return [largest] * (weight // largest) + [weight % largest] * (weight % largest > 0)


def constants_of(layer: ProgramLayer, outputs: int) -> int:
    """Return the words of constants of a layer: of weighted layers one for each of its `outputs`, else one for all."""
    return outputs if isinstance(layer, MacLayer) else 1


def not_on_array(layer: ProgramLayer) -> EspalierError:
    """Return the error that a layer is of a kind that the array does not run."""
    reason = NOT_ON_ARRAY.get(type(layer), "")
    return EspalierError(f"{layer.name}: the array runs no {type(layer).__name__} yet{reason}")


def _layer(program: Program, layer: ProgramLayer, outputs: int, array: MacArray, places: Places) -> LayerDemand:
    match layer:
        case MacLayer() if lines := lines_of(program, layer, array):
            taken = {"entries": 0, "taps": lines.steps, "longest": lines.steps, "reads": 0}
            taken |= {"weights": -(-outputs // lines.maps) * lines.steps, "unit": lines.steps}
        case MacLayer():
            runs = runs_of(program, layer, array)
            taps = len(runs.taps)
            taken = {"entries": runs.bases.size, "taps": taps, "longest": taps, "reads": runs.reads}
            taken |= {"weights": runs.weights, "unit": max(map(runs.unit, range(len(runs.steps))))}
        case AddLayer() if parts := segments_of(program, layer, array):
            reads = sum(parts.weights)  # an entry for each word of a weight, over the segments of a tile
            taken = {"entries": reads * places.lists(layer), "taps": 2 * parts.lanes, "longest": parts.lanes}
            taken |= {"weights": parts.steps, "reads": max(reads, LEAST_READS)}
        case AddLayer():  # an operand is an entry that stays on one tap, for as many steps as its weight takes words
            steps = [math.ceil(weight / array.largest_weight) for weight in layer.weights]
            taken = {"entries": 2 * places.lists(layer), "taps": 2, "longest": max(steps), "weights": sum(steps)}
            taken["reads"] = LEAST_READS * outputs
        case AvgPoolLayer() if splits(program, layer, array):
            taps = math.ceil(layer.window.taps / array.pixel_lanes)
            taken = {"entries": 0, "taps": taps, "longest": taps, "weights": taps * array.pixel_lanes, "reads": 0}
        case MaxPoolLayer() | AvgPoolLayer():
            taps = layer.window.taps
            taken = {"entries": 0, "taps": taps, "longest": taps, "weights": taps, "reads": 0}
        case ReluLayer() | ClipLayer() | TableLayer() | ConcatLayer():
            listed = outputs if outputs > 1 and isinstance(layer, ConcatLayer) else 0  # an entry for each piece
            taken = {"entries": listed * places.lists(layer), "taps": 1, "longest": 1, "weights": 1}
            taken["reads"] = LEAST_READS * listed
        case _:
            raise not_on_array(layer)
    taken["weights"] = array.whole_rows(taken["weights"])
    taken["constants"] = constants_of(layer, outputs)
    return LayerDemand(name=layer.name, looks_up=looks_up(program, layer, array), **taken)
