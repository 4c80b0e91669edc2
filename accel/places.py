"""Where tensors lie in an array's memory of signals, and where the next image is loaded while one runs.

An array that loads an image while it runs another has two places for images, at the two ends of what a Program takes:
images lie in them in turn. All other tensors lie between them, the same for every image, so that the layers that read
the image know two places and no other layer does. Images come by whole beats, a word for each pixel lane.
"""

import math
from dataclasses import dataclass

from accel.array import MacArray
from accel.lines import places_on, words_of
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import ProgramLayer


@dataclass(frozen=True, eq=False, kw_only=True)
class Places:
    """The first words of the tensors of a Program.

    Parameters
    ----------
    roots : dict
        `Program.roots`.
    tensors : dict
        First words, by name; of the image, those of the first.
    images : tuple of int
        Where images lie in turn.
    words : int
        Words of the memory, holes between tensors included.
    """

    roots: dict[str, str]
    tensors: dict[str, int]
    images: tuple[int, ...]
    words: int

    def of(self, name: str, turn: int = 0) -> int:
        """Return the first word of a tensor while an image runs that lies in `images[turn]`."""
        return self.images[turn] if self.roots[name] == INPUT else self.tensors[name]

    def apart(self, layer: ProgramLayer, turn: int = 0) -> tuple[int, ...]:
        """Return the first words of what a layer reads, from the lowest of them."""
        found = [self.of(source, turn) for source in layer.inputs]
        return tuple(place - min(found) for place in found)

    def lists(self, layer: ProgramLayer) -> int:
        """Return how many lists of entries an addition has: one for each place of the image, where that matters."""
        return len({self.apart(layer, turn) for turn in range(len(self.images))})


def places_of(program: Program, array: MacArray) -> Places:
    """Return where the tensors of a Program lie in the memory of an array, however deep that is."""
    beats = beats_of(program, array) * array.pixel_lanes if array.overlap else 0
    tensors = places_on(program, array, beats)
    words = max(place + words_of(program, name, array) for name, place in tensors.items())
    images = (0, max(words, beats)) if array.overlap else (0,)
    return Places(roots=program.roots, tensors=tensors, images=images, words=max(words, images[-1] + beats))


def beats_of(program: Program, array: MacArray) -> int:
    """Return the beats in which an image is loaded: a word for each pixel lane in each."""
    return math.ceil(math.prod(program.input_shape) / array.pixel_lanes)
