"""Why a flipped bit of a memory image changes no output: by the fields of the manifest, and by golden."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from accel.array import MacArray
from accel.fusion import computing
from accel.program_layers import MacLayer, ProgramLayer
from accel.runs import runs_of
from accel.walk import combined_of
from rtl.assemble import assemble
from rtl.emit import Job
from sim import golden
from support.rtl_faults import golden_with

STARTS = {
    "weights": "weight",
    "entries": "list",
    "taps": "tap",
    "constants": "constant",
}  # the fields of a layer's words
SAME = "golden of the changed Program gives the same outputs for these images"
Words = Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Flip:
    """One bit of one loaded word: of which memory, its number, the field and the bit in that."""

    memory: str
    word: int
    field: str
    bit: int


UNUSED = {  # fields of a layer's words: when its words, and the field with the flipped bit, make no difference, and why
    "maps_behind": (lambda words, _: not words["counter"], "entries are listed, not counted"),
    "shared": (lambda words, _: words["counter"], "entries are counted, not listed"),
    "pair_turn": (lambda words, _: not words["pool"], "tiles come in no pairs"),
    "gap": (lambda words, _: not words["flat"] and not words.get("pair"), "tiles end with their rows"),
    "line_words": (lambda words, _: not words.get("lines"), "output lanes are maps, not rows of one"),
    "advance": (lambda words, _: words["row_pixels"] <= words["pixels"], "a row is one tile"),
    "pixels": (lambda words, value: words["row_pixels"] <= min(words["pixels"], value), "a row is one tile, as before"),
    "table": (lambda words, _: not words.get("tabled"), "no table is looked up"),
}


class Reasons:
    """What is known of the words of a job's memories."""

    def __init__(self, job: Job, array: MacArray) -> None:
        self.job, self.program, self.array = job, job.program, array
        self.image, self.layers = assemble(job.program, array), computing(job.program, array)

    def owner(self, flip: Flip) -> ProgramLayer:
        """Return the layer whose word it is; of the image's the first, of tables' the one that looks codes up."""
        words = self.image.layers[: len(self.layers)]
        if flip.memory == "layers":
            return self.layers[flip.word % len(self.layers)]
        if flip.memory == "tables":
            return next(x for x, one in zip(self.layers, words, strict=True) if one.get("tabled"))
        starts = [self._start(one, flip.memory) for one in words]
        mine = [x for x, start in zip(self.layers, starts, strict=True) if start <= flip.word]
        return mine[-1] if mine else self.layers[0]

    def _start(self, words: Words, memory: str) -> int:
        if memory == "signals":
            return 0 if words is self.image.layers[0] else 1 << 30
        if memory == "entries" and words["counter"]:
            return 1 << 30
        scale = self.array.weight_banks if memory == "weights" and words.get("split") else 1
        return words[STARTS[memory]] * scale

    def reason(self, flip: Flip) -> str:
        """Return why a flip that nothing showed changes nothing, or an empty text if that is not known."""
        layer = self.owner(flip)
        match flip.memory:
            case "weights":
                return self._weight(flip, layer)
            case "constants":
                return self._constant(flip, layer)
            case "entries":
                return self._entry(flip, layer)
            case "taps":
                return self._tap(flip, layer)
            case "layers":
                words = self.image.layers[flip.word]
                unused, why = UNUSED.get(flip.field, (lambda *_: False, ""))
                return why if unused(words, words.get(flip.field, 0) ^ 1 << flip.bit) else ""
        return ""

    @cached_property
    def right(self) -> np.ndarray:
        """Golden's outputs."""
        return golden.run(self.program, self.job.codes)[self.program.output]

    def _same(self, changed: MacLayer, matrix: np.ndarray, bias: np.ndarray | None = None) -> str:
        found = golden_with(self.program, self.job.codes, changed, matrix, bias)[self.program.output]
        return SAME if np.array_equal(found, self.right) else ""

    def _weight(self, flip: Flip, layer: ProgramLayer) -> str:
        assert isinstance(layer, MacLayer)
        place = flip.word - self._start(self.image.layers[self.layers.index(layer)], "weights")
        both, lanes = combined_of(self.program, layer, self.array), self.array.output_lanes
        units = both.columns if both else tuple(x.ravel() for x in runs_of(self.program, layer, self.array).steps)
        group = 0
        while group < len(units) and place >= len(units[group]):
            place -= len(units[group])
            group += 1
        if group == len(units):
            return "fills the layer's last row of the banks"
        if not flip.field.startswith("lanes"):
            return self._select(flip)
        lane = int(flip.field[len("lanes[") : -1])
        row = group * lanes + lane
        if row >= layer.shape[0]:
            return "a lane of the last group that has no output map"
        column = int(both.taken[group][place, lane]) if both else int(units[group][place])
        if not 0 <= column < layer.matrix.shape[1]:
            if not both:
                return ""
            column = int(both.columns[group][place, 0])
        weight = int(self.image.weights[flip.word][lane])
        bits = self.array.weight_bits
        other = (weight ^ 1 << flip.bit) % (1 << bits)
        matrix = np.array(layer.matrix, np.int64)
        matrix[row, column] += other - (other >> bits - 1 << bits) - weight
        return self._same(layer, matrix)

    def _select(self, flip: Flip) -> str:
        share, lanes = self.array.weights_per_multiplier, self.image.weights[flip.word][: self.array.output_lanes]
        mine = lanes[flip.bit * share : (flip.bit + 1) * share]
        return "" if any(mine) else "the weights beside it are 0"

    def _constant(self, flip: Flip, layer: ProgramLayer) -> str:
        assert isinstance(layer, MacLayer)
        if layer.requantize is None:
            return "accumulators leave: nothing is multiplied" if flip.field == "multiplier" else ""
        place = flip.word - self._start(self.image.layers[self.layers.index(layer)], "constants")
        if flip.field == "bias":
            bias = np.array(layer.bias)
            bias[place] ^= 1 << flip.bit
            return self._same(layer, layer.matrix, bias)
        numbers = layer.requantize.of_outputs(layer.shape[0])[:, 0].copy()
        numbers[place] ^= 1 << flip.bit
        return self._same(replace(layer, requantize=replace(layer.requantize, multipliers=numbers)), layer.matrix)

    def _entry(self, flip: Flip, layer: ProgramLayer) -> str:
        assert isinstance(layer, MacLayer)
        both, runs = combined_of(self.program, layer, self.array), runs_of(self.program, layer, self.array)
        place = flip.word - self._start(self.image.layers[self.layers.index(layer)], "entries")
        if flip.field != "other" or place >= runs.counts.size:
            return ""
        first, count = int(runs.counts[:place].sum()), int(runs.counts[place])
        steps = np.concatenate(both.columns)[first : first + count] if both and not runs.shared else None
        alone = steps is None or (steps[:, 1] < 0).all()
        return "its steps read one map: no row of multipliers takes the other" if alone else ""

    def _tap(self, flip: Flip, layer: ProgramLayer) -> str:
        form = self.program.signals[layer.inputs[0]].format
        narrow = flip.field == "signed" and not form.signed and form.width < self.array.signal_bits
        return "codes there are narrower than words: none has the sign's bit" if narrow else ""
