"""What every pattern keeps to; `espalier.conformance` runs these claims."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from accel.cost import cost_of, total_cycles
from accel.demand import array_for
from accel.encoding import Encoding, encodings
from accel.errors import EspalierError
from accel.pattern import Mask, Pattern, Shape
from accel.program import Program
from accel.program_layers import MacLayer
from accel.prune import Space, select_by_magnitude
from accel.prune.genome import locus_of
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from accel.sparsity import LayerMask, parse_pattern
from espalier.conformance.tiny_network import images_for, tiny_network
from rtl.simulate import simulate
from sim import golden
from sim.engine import compile_program
from sim.instructions import available

SHAPES = ((5, 3, 9), (4, 7, 1), (3, 2, 4), (1, 1, 9))  # outputs, maps, taps: no block or run divides them all
RATIOS = (0.0, 0.3, 0.5, 0.7)
LANES = (2, 2)  # of the array that is simulated


@dataclass(frozen=True, eq=False)
class PatternCase:
    """A pattern with what is drawn for it, once for all claims."""

    pattern: Pattern
    seed: int

    @cached_property
    def masks(self) -> list[Mask]:
        """Masks drawn at several ratios for layers of several shapes that the pattern suits."""
        generator, found = np.random.default_rng(self.seed), []
        for shape in SHAPES:
            for ratio in RATIOS if self.pattern.suits(shape) else ():
                locus = locus_of(self.pattern, np.ones(shape, bool), ratio, f"a layer of the shape {shape}")
                if not locus.empty:
                    found += [np.array(locus.express(locus.draw(generator), shape), bool) for _ in range(3)]
        if not found:
            raise EspalierError(f"it suits no layer of the shapes {', '.join(map(str, SHAPES))}, or leaves nothing")
        return found

    @cached_property
    def program(self) -> Program:
        """The Program of a small network, every layer of which is pruned that the pattern suits."""
        network, masks = tiny_network(self.seed), dict[str, LayerMask]()
        for layer in network.weighted:
            for ratio in (0.5, 0.25, 0.0):  # a small layer may have one unit
                if layer.name in masks or not self.pattern.suits(layer.lowered_shape):
                    break
                try:
                    masks |= select_by_magnitude(Space(network, {layer.name: self.pattern}), ratio)
                except EspalierError:
                    continue
        if not masks:
            raise EspalierError("no layer of the network can be pruned by it")
        pruned = PrunedNetwork(network, masks, pattern=str(self.pattern))
        return lower(pruned, Widths(4, 5), images_for(network, 8, self.seed))

    @cached_property
    def programs(self) -> dict[str, Program]:
        """The Program with every pruned layer stored in each of the pattern's encodings, by name."""
        return {encoding.name: self._stored(encoding) for encoding in encodings(self.pattern)}

    def codes(self, images: int) -> np.ndarray:
        """Return input codes of random images."""
        return self.program.input_signal.encode(images_for(tiny_network(self.seed), images, self.seed + 1))

    def _stored(self, encoding: Encoding) -> Program:
        layers = [
            replace(layer, encoding=encoding.name, index=encoding.encode(layer.kept))
            if isinstance(layer, MacLayer) and layer.pattern == str(self.pattern)
            else layer
            for layer in self.program.layers
        ]
        return replace(self.program, layers=tuple(layers))


def registered(case: PatternCase) -> str | None:
    """A text names the pattern, so that files and the command line can."""
    found = parse_pattern(str(case.pattern))
    return None if found == case.pattern else f"parse_pattern({str(case.pattern)!r}) gives {found!r}"


def units_cover(case: PatternCase) -> str | None:
    """Each weight is in one unit, and `flags`, `sums` and `expand` speak of the same units."""
    units = case.pattern.units()
    for shape in SHAPES if units else ():
        if units is None or not case.pattern.suits(shape):
            continue
        flags = units.flags(np.ones(shape, bool))
        numbers = np.array(units.expand(np.arange(flags.size).reshape(flags.shape), shape))
        if numbers.shape != shape:
            return f"expand gives {numbers.shape} for a layer of the shape {shape}"
        counts, sums = np.bincount(numbers.ravel(), minlength=flags.size), units.sums(np.ones(shape)).ravel()
        if not np.array_equal(counts, sums):
            return f"of the shape {shape}, expand has units of {counts.tolist()} weights, sums of {sums.tolist()}"
        for unit in range(flags.size):
            alone = np.flatnonzero(units.flags(numbers == unit))
            if alone.tolist() != [unit]:
                return f"of the shape {shape}, flags finds units {alone.tolist()} where unit {unit} alone is kept"
    return None


def chosen_legal(case: PatternCase) -> str | None:
    """What a locus draws is legal."""
    for kept in case.masks:
        if said := case.pattern.problem(kept):
            return f"a mask of the shape {kept.shape} that was drawn breaks the pattern: {said}"
    return None


def ratio_reached(case: PatternCase) -> str | None:
    """Round(ratio * n) of n units go; where masks are no choice of units, a higher ratio keeps no more."""
    generator, units = np.random.default_rng(case.seed), case.pattern.units()
    for shape in filter(case.pattern.suits, SHAPES):
        alive, before = np.ones(shape, bool), np.inf
        for ratio in RATIOS:
            locus = locus_of(case.pattern, alive, ratio, "a layer")
            if locus.empty:
                continue
            kept = np.asarray(locus.express(locus.draw(generator), shape))
            if kept.shape != shape:
                return f"a mask of the shape {kept.shape} is drawn for {shape}"
            if units:
                flags = units.flags(kept)
                if flags.sum() != flags.size - round(ratio * flags.size):
                    return f"at {ratio:.0%} of {flags.size} units of the shape {shape}, {flags.sum()} stay"
            if kept.sum() > before and not units:
                return f"of the shape {shape}, {kept.sum()} weights stay at {ratio:.0%}, fewer at a lower ratio"
            before = kept.sum()
    return None


def broken_refused(case: PatternCase) -> str | None:
    """A unit that is pruned in part is a problem."""
    units = case.pattern.units()
    for kept in case.masks if units else ():
        assert units is not None
        flags = units.flags(np.ones(kept.shape, bool))
        numbers = np.array(units.expand(np.arange(flags.size).reshape(flags.shape), kept.shape))
        shared = kept & (np.bincount(numbers.ravel())[numbers] > 1)
        if shared.any():
            broken = kept.copy()
            broken[tuple(np.argwhere(shared)[0])] = False
            if case.pattern.problem(broken) is None:
                place = np.argwhere(shared)[0].tolist()
                return f"a mask of the shape {kept.shape} is legal without the weight {place} of a unit that stays"
    return None


def mask_is_nest(case: PatternCase) -> str | None:
    """The nest reads, for each row, what the mask keeps, once; and gathers and scatters just that."""
    for kept in case.masks:
        nest, lowered = case.pattern.nest(kept), kept.reshape(len(kept), -1)
        for row, columns in enumerate(lowered):
            read, meant = nest.row_columns[row].tolist(), np.flatnonzero(columns).tolist()
            if sorted(read) != meant:
                return f"row {row} of a mask of the shape {kept.shape}: the nest reads columns {read}, kept are {meant}"
        if nest.shape != lowered.shape or nest.macs_per_pixel != kept.sum():
            return f"the nest of a mask of the shape {kept.shape} counts {nest.macs_per_pixel} MACs, not {kept.sum()}"
        matrix = np.arange(1, lowered.size + 1).reshape(lowered.shape)
        if not np.array_equal(nest.scatter(nest.gather(matrix)), np.where(lowered, matrix, 0)):
            return f"weights of a mask of the shape {kept.shape} are not where they were after gather and scatter"
    return None


def decoded_is_mask(case: PatternCase) -> str | None:
    """Decode(encode) gives the mask back, for every encoding."""
    for kept in case.masks:
        for encoding in encodings(case.pattern):
            back = np.asarray(encoding.decode(encoding.encode(kept), _shape(kept)))
            if back.shape != kept.shape or (back != kept).any():
                return f"{encoding.name} of a mask of the shape {kept.shape}: {_first_difference(back, kept)}"
    return None


def index_bits(case: PatternCase) -> str | None:
    """An encoding charges the bits of the words that it makes."""
    for kept in case.masks:
        for encoding in encodings(case.pattern):
            made, charged = sum(words.bits for words in encoding.encode(kept)), encoding.index_bits(kept)
            if made != charged:
                return f"{encoding.name} of a mask of the shape {kept.shape}: charges {charged} bits, stores {made}"
    return None


def file_is_charged(case: PatternCase) -> str | None:
    """A file holds, for each layer, as many bits of weights and of index as the cost model charges."""
    for name, program in case.programs.items():
        with tempfile.TemporaryDirectory() as folder:
            program.save(Path(folder) / "program.espalier")
            stored = Program.load(Path(folder) / "program.espalier")
        costs = {cost.name: cost for cost in cost_of(program).layers}
        for layer in stored.mac_layers:
            cost, index = costs[layer.name], sum(words.words.size * words.word_bits for words in layer.index)
            for what, charged, held in (
                ("weights", cost.counts.weight_memory_bits, layer.weights.size * layer.weight_bits),
                ("index", cost.counts.index_memory_bits, index),
                ("index", (cost.encoding_bits or {}).get(layer.encoding), index),
            ):
                if charged != held:
                    return f"{layer.name}, stored as {name}: {charged} bits of {what} are charged, the file has {held}"
    return None


def golden_is_engine(case: PatternCase) -> str | None:
    """Every kernel of the engine that this processor runs gives golden's codes for every tensor."""
    codes = case.codes(5)
    for name, program in case.programs.items():
        expected = golden.run(program, codes)
        for kernel in available():
            tensors = compile_program(program, kernel).run(codes, threads=1, keep_tensors=True).tensors
            for tensor, meant in expected.items():
                if (tensors[tensor] != meant).any():
                    where = _first_difference(tensors[tensor], meant)
                    return f"{tensor}, stored as {name}, engine {kernel}: {where}"
    return None


def counted_is_executed(case: PatternCase) -> str | None:
    """The MACs that are charged are those of the kept weights at every output pixel, and those that the engine runs."""
    program = case.program
    executed = compile_program(program).run(case.codes(1), threads=1).macs
    charged = {cost.name: cost.counts.macs for cost in cost_of(program).layers}
    for layer in program.mac_layers:
        meant = int(layer.kept.sum() * np.prod(program.shapes[layer.name][1:], dtype=int))
        if not meant == charged[layer.name] == executed[layer.name]:
            return f"{layer.name}: {meant} follow from the mask, {charged[layer.name]} are charged, " + (
                f"{executed[layer.name]} executed"
            )
    return None


def hardware_is_golden(case: PatternCase) -> str | None:
    """The RTL gives golden's codes in the cycles of the closed form, in Amaranth's simulator."""
    program, codes = case.program, case.codes(2)
    array = array_for(program, *LANES)
    expected, cycles = golden.run(program, codes)[program.output], total_cycles(program, array)
    for image, (run, meant) in enumerate(zip(simulate(program, array, codes), expected, strict=True)):
        if (run.codes != meant).any():
            return f"image {image}: {_first_difference(run.codes, meant)}"
        if run.cycles != cycles:
            return f"image {image}: {run.cycles} cycles, the closed form says {cycles}"
    return None


CLAIMS: Mapping[str, Callable[[PatternCase], str | None]] = {
    "it is registered": registered,
    "units cover the weights": units_cover,
    "the ratio is reached": ratio_reached,
    "masks that are chosen are legal": chosen_legal,
    "broken masks are refused": broken_refused,
    "mask = nest": mask_is_nest,
    "decode(encode) = mask": decoded_is_mask,
    "index bits": index_bits,
    "bits charged = bits in the file": file_is_charged,
    "golden = engine": golden_is_engine,
    "MACs charged = MACs executed": counted_is_executed,
    "golden = RTL, in as many cycles": hardware_is_golden,
}


def _shape(kept: Mask) -> Shape:
    outputs, maps, taps = kept.shape
    return outputs, maps, taps


def _first_difference(found: np.ndarray, meant: np.ndarray) -> str:
    """Return in words where two arrays differ first."""
    if found.shape != meant.shape:
        return f"the shape is {found.shape}, expected {meant.shape}"
    place = tuple(next(iter(_places(found, meant))))
    return f"at {list(place)} it has {found[place]}, expected {meant[place]}"


def _places(found: np.ndarray, meant: np.ndarray) -> Iterator[list[int]]:
    yield from np.argwhere(found != meant).tolist()
