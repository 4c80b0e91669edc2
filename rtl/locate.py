"""Where a simulation first went wrong: every word that an image writes, held to golden's tensor at its place.

The drain's rows carry addresses, and `accel.places` says which word of which tensor lies there, so that nothing here
relies on the order in which rows come: a layer has gone wrong if a word that its tensor keeps in the end is another
one, was never written, or went where nothing of its tensor lies. The output has no place, and is told by the order of
its rows. What is wrong first in the first layer that has gone wrong is the fault; all that follows may come of it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from accel.array import MacArray
from accel.fusion import computing, written
from accel.lines import layout_of, lines_of
from accel.places import pitch_of, places_of
from accel.program import Program
from accel.program_layers import ConcatLayer, ProgramLayer
from accel.walk import maps_of
from rtl.simulate import output_rows
from rtl.watch import Row

Integers = NDArray[np.int64]
BELOW = -1  # a word that the drain gives below a map, and that counts for nothing


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The first word of an image that is not golden's.

    Parameters
    ----------
    layer, tensor : str
        The layer that ran, and the tensor that it writes: its own, or that of the last one whose work the drain does.
    map, row, column : int or None
        Of the word in the tensor; of a vector its place, 0 and 0. None for a word that lies nowhere in it.
    cycle : int or None
        What the port `cycles` shows as the word is written or leaves; None for one that never is.
    address : int or None
        The word of the memory of signals; None where it leaves the chip.
    expected, seen : int or None
        Codes, or accumulators that leave the chip. None for what should not be there, and for what never came or has
        unknown bits.
    differing, words : int
        Of how many words of the tensor something else was written, or nothing.
    """

    layer: str
    tensor: str
    map: int | None = None
    row: int | None = None
    column: int | None = None
    cycle: int | None = None
    address: int | None = None
    expected: int | None = None
    seen: int | None = None
    differing: int = 0
    words: int = 0

    def __str__(self) -> str:
        when = "never" if self.cycle is None else f"cycle {self.cycle:,}"
        if self.map is None:
            what = "a row too many leaves" if self.address is None else f"word {self.address:,} of signals is written"
            return f"first wrong tensor {self.tensor}: layer {self.layer}, {when}: {what}, which is none of its words"
        seen = "nothing" if self.cycle is None else "unknown bits" if self.seen is None else f"{self.seen}"
        place = f"map {self.map}, row {self.row}, column {self.column}, {when}"
        share = f"{self.differing:,} of its {self.words:,} words differ"
        return (
            f"first wrong tensor {self.tensor}: layer {self.layer}, {place}: "
            f"got {seen}, expected {self.expected}; {share}"
        )


def first_fault(
    program: Program, array: MacArray, tensors: Mapping[str, Integers], rows: Sequence[Row]
) -> Fault | None:
    """Return where an image first went wrong, or None if every word is right.

    Parameters
    ----------
    program : Program
    array : MacArray
    tensors : mapping of name to int array
        Golden's codes of this image, of every tensor, without an axis of images.
    rows : sequence of Row
        All that the image wrote and handed out, in order.
    """
    layers = computing(program, array)
    for index, layer in enumerate(layers, 1):
        mine = [row for row in rows if row.begun == index]
        if fault := _Held(program, array, layer, tensors).fault(mine):
            return fault
    last, beyond = layers[-1], [row for row in rows if not 0 < row.begun <= len(layers)]
    if not beyond:
        return None
    first = beyond[0]
    return Fault(layer=last.name, tensor=written(program, last, array), cycle=first.cycle, address=first.address)


@dataclass(frozen=True)
class _Word:
    """A word that came: its lane in the row of that number, and its place in the tensor, or None for none of it."""

    number: int
    lane: int
    place: int | None


class _Held:
    """What a layer writes, held to what it must."""

    def __init__(self, program: Program, array: MacArray, layer: ProgramLayer, tensors: Mapping[str, Integers]) -> None:
        self.layer, self.tensor = layer, written(program, layer, array)
        self.leaves = self.tensor == program.roots[program.output]
        self.shape = maps_of(program.shapes[self.tensor])
        self.bits = array.accumulator_bits if self.leaves else array.signal_bits
        self.signed = self.leaves or program.signals[self.tensor].format.signed
        self.expected = tensors[self.tensor].ravel()
        self.orders = output_rows(program, array) if self.leaves else []
        self.places = _written_places(program, layer, self.tensor)
        self.addresses = {} if self.leaves else _addresses(program, array, layer)

    def fault(self, rows: Sequence[Row]) -> Fault | None:
        """Return what is wrong first of the rows that came while the layer ran."""
        kept: dict[int, _Word] = {}
        strays = []
        for word in self._words(rows):
            if word.place is None:
                strays.append(word)
            else:
                kept[word.place] = word  # what lies there in the end is what counts
        wrong = [x for place, x in kept.items() if self._code(rows, x) != self.expected[place]]
        missing = [place for place in self.places if place not in kept]
        differing = len(wrong) + len(missing)
        if wrong or strays:
            return self._told(rows, min(wrong + strays, key=lambda x: (x.number, x.lane)), differing)
        return self._at(missing[0], differing) if missing else None

    def _words(self, rows: Sequence[Row]) -> Iterator[_Word]:
        """Yield every word that counts: what the drain gives below the maps of a depthwise layer does not."""
        orders = iter(self.orders)
        for number, row in enumerate(rows):
            places: dict[int, int | None]
            if row.address is None:
                places = dict(enumerate(next(orders, np.zeros(0, np.int64)).tolist()))
            else:
                places = {lane: self.addresses.get(row.address + lane) for lane in range(len(row.codes))}
            for lane in range(len(row.codes)):
                place = places.get(lane)
                if place != BELOW:
                    yield _Word(number, lane, place)

    def _code(self, rows: Sequence[Row], word: _Word) -> int | None:
        """Return the word as the tensor has it, or None where bits are unknown."""
        code = rows[word.number].codes[word.lane]
        if code is None or not self.signed:
            return code
        return code - ((code >> self.bits - 1) << self.bits)

    def _told(self, rows: Sequence[Row], word: _Word, differing: int) -> Fault:
        row = rows[word.number]
        address = None if row.address is None else row.address + word.lane
        found = self._at(word.place, differing)
        return replace(found, cycle=row.cycle, address=address, seen=self._code(rows, word))

    def _at(self, place: int | None, differing: int) -> Fault:
        """Return a fault at a place of the tensor, or at none of it."""
        found = Fault(layer=self.layer.name, tensor=self.tensor, differing=differing, words=len(self.places))
        if place is None:
            return found
        index, row, column = (int(x) for x in np.unravel_index(place, self.shape))
        return replace(found, map=index, row=row, column=column, expected=int(self.expected[place]))


def _written_places(program: Program, layer: ProgramLayer, tensor: str) -> list[int]:
    """Return the places of its tensor that a layer writes: all, but for a concatenation what lies there already."""
    sizes = {name: math.prod(shape) for name, shape in program.shapes.items()}
    if not isinstance(layer, ConcatLayer):
        return list(range(sizes[tensor]))
    (home, first), found, beyond = program.homes[tensor], list[int](), 0
    for source in layer.inputs:
        if program.homes[source] != (home, first + beyond):
            found += range(beyond, beyond + sizes[source])
        beyond += sizes[source]
    return found


def _addresses(program: Program, array: MacArray, layer: ProgramLayer) -> dict[int, int]:
    """Return the place in a layer's tensor of each word of memory; `BELOW` where nothing of it lies that counts."""
    tensor = written(program, layer, array)
    maps, height, width = maps_of(program.shapes[tensor])
    first, apart = places_of(program, array).tensors[tensor], pitch_of(program, tensor, array)
    found = dict.fromkeys(range(first, first + maps * apart), BELOW) if lines_of(program, layer, array) else {}
    order = np.arange(height * width)
    if tensor in layout_of(program, array).phased:  # the even columns of all rows, then the odd ones
        order = order.reshape(height, width // 2, 2).transpose(2, 0, 1).ravel()
    for index in range(maps):
        words = range(first + index * apart, first + index * apart + order.size)
        found |= zip(words, (index * order.size + order).tolist(), strict=True)
    return found
