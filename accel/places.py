"""Where tensors lie in an array's memory of signals, and where the next image is loaded while one runs.

An array that loads an image while it runs another has two places for images, at the two ends of what a Program takes:
images lie in them in turn. All other tensors lie between them, the same for every image, so that the layers that read
the image know two places and no other layer does. Images come by whole beats, a word for each pixel lane.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from accel.array import MacArray
from accel.fusion import held_on, written
from accel.lines import layout_of
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import ProgramLayer
from accel.walk import combined_of


@dataclass(frozen=True, eq=False, kw_only=True)
class Places:
    """The first words of the tensors of a Program.

    Parameters
    ----------
    roots : dict
        `Program.roots`.
    reads : dict
        `Program.reads` of each layer, by its name.
    tensors : dict
        First words, by name; of the image, those of the first.
    images : tuple of int
        Where images lie in turn.
    words : int
        Words of the memory, holes between tensors included.
    """

    roots: dict[str, str]
    reads: dict[str, tuple[str, ...]]
    tensors: dict[str, int]
    images: tuple[int, ...]
    words: int

    def of(self, name: str, turn: int = 0) -> int:
        """Return the first word of a tensor while an image runs that lies in `images[turn]`."""
        return self.images[turn] if self.roots[name] == INPUT else self.tensors[name]

    def apart(self, layer: ProgramLayer, turn: int = 0) -> tuple[int, ...]:
        """Return the first words of what a layer reads, from the lowest of them."""
        found = [self.of(source, turn) for source in self.reads[layer.name]]
        return tuple(place - min(found) for place in found)

    def lists(self, layer: ProgramLayer) -> int:
        """Return how many lists a layer of several inputs has: one for each place of the image, where that matters."""
        return len({self.apart(layer, turn) for turn in range(len(self.images))})


def places_of(program: Program, array: MacArray) -> Places:
    """Return where the tensors of a Program lie in the memory of an array, however deep that is."""
    beats = beats_of(program, array) * array.pixel_lanes if array.overlap else 0
    tensors = places_on(program, array, beats)
    words = max(place + words_of(program, name, array) for name, place in tensors.items())
    images = (0, max(words, beats)) if array.overlap else (0,)
    reads, words = {layer.name: program.reads(layer) for layer in program.layers}, max(words, images[-1] + beats)
    return Places(roots=program.roots, reads=reads, tensors=tensors, images=images, words=words)


def beats_of(program: Program, array: MacArray) -> int:
    """Return the beats in which an image is loaded: a word for each pixel lane in each."""
    return math.ceil(math.prod(program.input_shape) / array.pixel_lanes)


@lru_cache(maxsize=8)  # asked for by every part of an estimate
def pitches_of(program: Program, array: MacArray) -> Mapping[str, int]:
    """Return the words from one map of a tensor to the next, by its name, where maps may not lie side by side.

    Rows of a depthwise convolution that its lanes give below a map lie behind it. Maps of which a step reads two lie
    `pixel lanes` words apart, beyond whole turns of the banks.
    """
    lines, words = layout_of(program, array).lines, {x: math.prod(shape[1:]) for x, shape in program.shapes.items()}
    pitches = dict[str, int]()
    for layer in program.mac_layers:
        if found := lines.get(layer.name):
            name = written(program, layer, array)
            pitches[name] = max(words[name], found.written * program.shapes[name][2])
    for layer in program.mac_layers:
        pairs = lines[layer.name].maps == 2 if layer.name in lines else combined_of(program, layer, array)
        name = program.roots[layer.inputs[0]]
        least = pitches.get(name, words[layer.inputs[0] if len(program.shapes[layer.inputs[0]]) == 3 else name])
        if pairs and least % array.banks != array.pixel_lanes:
            pitches[name] = least + (array.pixel_lanes - least) % array.banks
    return pitches


def pitch_of(program: Program, name: str, array: MacArray) -> int:
    """Return the words from one map of a tensor to the next."""
    return pitches_of(program, array).get(program.roots[name], math.prod(program.shapes[name][1:]))


def words_of(program: Program, name: str, array: MacArray) -> int:
    """Return the words of memory that a tensor takes."""
    return program.shapes[name][0] * pitch_of(program, name, array)


def places_on(program: Program, array: MacArray, image_words: int = 0) -> dict[str, int]:
    """Return the first word of every tensor that lies in the array's memory of signals.

    The image lies at word 0; none but it may lie in the first `image_words`.

    No tensor meets another that is held at the same time (`held_on`). Each is put where it first fits, from below: in
    the order in which tensors come to be, so that those of a chain of layers lie at the two ends in turn, as in a
    ping-pong buffer; or the largest first (greedy by size; Pisarchyk and Lee, "Efficient Memory Management for Deep
    Neural Net Inference", arXiv 2001.03288), where that takes fewer words; or the largest first from above, where all
    fit below what is held at most, because the image, which does not move, may lie where a larger one should begin. A
    flatten's output lies where its input does, and what is joined side by side (`Program.homes`). The network's output
    leaves as it comes: nothing stores it, and it has no place; what only the drain sees has none either.
    """
    sizes = {name: words_of(program, name, array) for name in program.shapes}
    output, together, most = program.roots[program.output], dict[str, set[str]](), 0
    for held in held_on(program, array).values():
        stored = [name for name in held if name != output]
        most = max(most, sum(sizes[name] for name in stored))
        for name in stored:
            together.setdefault(name, set()).update(stored)
    by_size = sorted(together, key=lambda name: (name != INPUT, -sizes[name]))
    found = [_placed(order, together, sizes, image_words) for order in ([*together], by_size)]
    if below := _placed(by_size, together, sizes, image_words, most):
        found.append(below)
    places = min(filter(None, found), key=lambda each: max(at + sizes[name] for name, at in each.items()))
    return {name: places[home] + first for name, (home, first) in program.homes.items() if home in places}


def _placed(
    order: Sequence[str],
    together: Mapping[str, set[str]],
    sizes: Mapping[str, int],
    image_words: int,
    top: int | None = None,
) -> dict[str, int] | None:
    """Return the first word of each tensor, one after the other put where it first fits from below.

    If `top` is given they are put from there down, and None is returned where one does not fit.
    """
    places = dict[str, int]()
    for name in order:
        taken = [(places[x], places[x] + sizes[x]) for x in together[name] if x in places]
        least = 0 if name == INPUT else image_words
        if top is None or name == INPUT:
            starts = sorted([least, *(end for _, end in taken if end > least)])
        else:
            starts = sorted((end - sizes[name] for end in (top, *(low for low, _ in taken))), reverse=True)
        fits = (at for at in starts if at >= least and all(at + sizes[name] <= low or at >= end for low, end in taken))
        if (place := next(fits, None)) is None:
            return None
        places[name] = place
    return places


def signal_words(program: Program, array: MacArray) -> int:
    """Return the words of the memory of signals, holes between tensors included."""
    return max(place + words_of(program, name, array) for name, place in places_on(program, array).items())
