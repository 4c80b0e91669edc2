"""Random faults in memory images: one flipped bit each, and what golden says of the Program that it makes."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from accel.array import MacArray
from accel.cost import total_cycles
from accel.errors import EspalierError
from accel.fusion import computing, written
from accel.lines import layout_of, lines_of
from accel.network import INPUT
from accel.places import pitch_of
from accel.program import Program
from accel.program_layers import AddLayer, MacLayer, ProgramLayer
from accel.runs import Runs, runs_of
from accel.segments import segments_of
from accel.split import splits
from accel.walk import combined_of, maps_of, walk_of
from rtl.assemble import assemble
from rtl.emit import Job
from rtl.layout import Layout, fields_of
from rtl.locate import Fault
from sim import golden
from support.rtl_layers import ARRAY, Codes, random_job

KINDS = ("weight", "bias", "multiplier", "shift", "entry")
MOST_CYCLES = 600  # of an image


@dataclass(frozen=True, eq=False)
class Planted:
    """A fault.

    Parameters
    ----------
    job : Job
        The Program as the memories have it, with images and outputs of the right one.
    right : Program
    layer : str
    tensors, wrong : dict of int arrays
        Golden's, of the right Program and of what the fault makes of it.
    entry, flips : int
        The place of a word of the memory of entries, -1 for none, and the bits that are flipped in it.
    """

    job: Job
    right: Program
    layer: str
    tensors: dict[str, Codes]
    wrong: dict[str, Codes]
    entry: int = -1
    flips: int = 0

    def expected(self, image: int) -> dict[str, object] | None:
        """Return what is to be said of the first word, in the order of writing, that differs; None for no word."""
        (layer,) = (x for x in self.right.layers if x.name == self.layer)
        tensor = written(self.right, layer, ARRAY)
        right, wrong = (x[tensor][image].ravel() for x in (self.tensors, self.wrong))
        places = [place for place in order_of(self.right, layer) if right[place] != wrong[place]]
        if not places:
            return None
        where = np.unravel_index(places[0], maps_of(self.right.shapes[tensor]))
        found = dict(zip(("map", "row", "column"), map(int, where), strict=True))
        found |= {"layer": self.layer, "tensor": tensor, "differing": len(places), "words": right.size}
        return found | {"expected": int(right[places[0]]), "seen": int(wrong[places[0]])}


def told(fault: Fault | None) -> dict[str, object] | None:
    """Return of a fault what `Planted.expected` has."""
    names = ("map", "row", "column", "layer", "tensor", "differing", "words", "expected", "seen")
    return None if fault is None else {name: getattr(fault, name) for name in names}


def order_of(program: Program, layer: ProgramLayer) -> list[int]:
    """Return the places in its tensor of the words that a layer writes, one after the other.

    Group of maps, tiles of a map, maps of the group, then the pixels of the tile.
    """
    walk, found = walk_of(program, layer, ARRAY), list[int]()
    of_map = sum(walk.words)
    for group in range(0, walk.maps, walk.group):
        begin = 0
        for count in walk.words:
            for index in range(group, min(group + walk.group, walk.maps)):
                found += range(index * of_map + begin, index * of_map + begin + count)
            begin += count
    return found


def plain(program: Program, layer: ProgramLayer, array: MacArray = ARRAY) -> bool:
    """Return whether a layer writes in the order of `order_of`, and all of its tensor."""
    rows = lines_of(program, layer, array) or segments_of(program, layer, array)
    return not rows and written(program, layer, array) not in layout_of(program, array).phased


def draw_faults(rng: np.random.Generator, kinds: Sequence[str]) -> list[Planted]:
    """Return a fault of each of `kinds`, in Programs of their own, that changes the first image somewhere."""
    return [next(_faults(rng, kind)) for kind in kinds]


def draw_job(rng: np.random.Generator) -> Job:
    """Return a random job that fits the array and does not take long."""
    while True:
        job = random_job(rng)
        with suppress(EspalierError):
            assemble(job.program, ARRAY)
            if total_cycles(job.program, ARRAY) <= MOST_CYCLES:
                return job


def _faults(rng: np.random.Generator, kind: str) -> Iterator[Planted]:
    while True:
        with suppress(EspalierError):  # a sum that does not fit the accumulator any more
            found = _planted(rng, draw_job(rng), kind)
            if found and found.expected(0):
                yield found


def _planted(rng: np.random.Generator, job: Job, kind: str) -> Planted | None:
    """Return a job with a fault in one of its layers, or None where it has no place for one."""
    program, right = job.program, golden.run(job.program, job.codes)
    wanted = (MacLayer,) if kind in ("weight", "bias", "entry") else (MacLayer, AddLayer)
    layers = [x for x in computing(program, ARRAY) if isinstance(x, wanted) and plain(program, x)]
    if kind == "weight":
        layers = [x for x in layers if x.weights.size]
    if kind in ("multiplier", "shift"):
        layers = [x for x in layers if x.requantize]
    if kind == "entry":
        layers = [x for x in layers if _stores(program, x)]
    if not layers:
        return None
    layer = layers[rng.integers(len(layers))]
    if kind == "entry":
        return _other_entry(rng, job, layer, right)
    other = replace(program, layers=tuple(_changed(rng, x, kind) if x is layer else x for x in program.layers))
    return Planted(replace(job, program=other), program, layer.name, right, golden.run(other, job.codes))


def _changed(rng: np.random.Generator, layer: ProgramLayer, kind: str) -> ProgramLayer:
    if kind == "weight":
        return replace(layer, weights=_flipped(rng, layer.weights, layer.weight_bits))
    if kind == "bias":
        return replace(layer, bias=_flipped(rng, layer.bias, layer.bias_bits))
    scale = layer.requantize
    if kind == "shift":
        return replace(layer, requantize=replace(scale, shift=scale.shift ^ 1 << int(rng.integers(6))))
    bits = scale.multiplier_bits + 1
    numbers = _flipped(rng, scale.multipliers.astype(np.int64), bits)
    return replace(layer, requantize=replace(scale, multipliers=numbers))


def _flipped(rng: np.random.Generator, words: Codes, bits: int) -> Codes:
    """Return words, of which one has another value of one of its bits."""
    found = np.array(words, np.int64)
    place, bit = rng.integers(found.size), int(rng.integers(bits))
    lowest = -(1 << bits - 1)  # from which codes count, so that the sign has a bit as others do
    found[place] = ((int(found[place]) - lowest) ^ 1 << bit) + lowest
    return found


def _stores(program: Program, layer: MacLayer) -> bool:
    if splits(program, layer, ARRAY) or combined_of(program, layer, ARRAY):
        return False
    return not runs_of(program, layer, ARRAY).pieces


def _other_entry(rng: np.random.Generator, job: Job, layer: MacLayer, right: dict[str, Codes]) -> Planted | None:
    """Return a job in which an entry of a layer names another map, or other taps of its map."""
    program, runs = job.program, runs_of(job.program, layer, ARRAY)
    entry = int(rng.integers(runs.bases.size))
    name = ("base", "offset")[rng.integers(2)]
    bit = 1 << int(rng.integers(8))
    apart = pitch_of(program, layer.inputs[0], ARRAY) if layer.window else len(runs.taps)
    columns, other = _columns(runs, apart, entry), _columns(runs, apart, entry, **{name: bit})
    if columns is None or other is None or max(other) >= layer.matrix.shape[1]:
        return None
    lanes = ARRAY.output_lanes
    ends = np.flatnonzero(runs.left == 0)  # each list's last entry
    group = int(np.searchsorted(ends, entry))
    rows = slice(None) if runs.shared else slice(group * lanes, (group + 1) * lanes)
    matrix = np.array(layer.matrix, np.int64)
    moved = matrix[rows][:, columns].copy()
    matrix[rows, columns[0] : columns[-1] + 1 : int(runs.strides[entry])] -= moved
    for place, column in enumerate(other):
        matrix[rows, column] += moved[:, place]
    before = assemble(program, ARRAY).layers[_index(program, layer)]["list"]
    (field,) = (x for x in fields_of(Layout(ARRAY).entry) if x["name"] == name)
    wrong = golden_with(program, job.codes, layer, matrix)
    return Planted(job, program, layer.name, right, wrong, before + entry, bit << int(str(field["offset"])))


def _index(program: Program, layer: ProgramLayer) -> int:
    return [x.name for x in computing(program, ARRAY)].index(layer.name)


def _columns(runs: Runs, apart: int, entry: int, base: int = 0, offset: int = 0) -> list[int] | None:
    """Return the columns that an entry names, with bits of it flipped; None if that is no map, or no tap of one."""
    first, tap = int(runs.bases[entry]) ^ base, int(runs.offsets[entry]) ^ offset
    taps = [tap + int(runs.strides[entry]) * place for place in range(int(runs.counts[entry]))]
    if first % apart or max(taps) >= len(runs.taps):
        return None
    return [first // apart * len(runs.taps) + x for x in taps]


def golden_with(
    program: Program, codes: Codes, changed: MacLayer, matrix: Codes, bias: Codes | None = None
) -> dict[str, Codes]:
    """Return golden's tensors, but that one layer has another matrix, and perhaps another bias, of any numbers."""
    bias = changed.bias if bias is None else bias
    tensors = {INPUT: codes}
    for layer in program.layers:
        inputs = [tensors[source] for source in layer.inputs]
        if layer.name != changed.name:
            tensors[layer.name] = golden.codes_of(layer, *inputs)
        elif changed.window is None:
            tensors[layer.name] = golden.requantized(changed, inputs[0] @ matrix.T + bias)
        else:
            patches = changed.window.patches(changed.window.pad(inputs[0]))
            kernels = matrix.reshape(len(matrix), -1, *changed.window.kernel)
            sums = np.einsum("nchwij,mcij->nmhw", patches, kernels) + bias[:, None, None]
            tensors[layer.name] = golden.requantized(changed, sums)
    return tensors
