"""One layer in tiles: what of it must lie on the chip at a time, and what then goes to DRAM and comes from there.

A tile has `Th` rows of `To` output maps, summed over `Tc` input maps. What comes from DRAM has two buffers, so that a
tile comes while the one before it runs; the accumulators of a tile stay until its sums are whole, or go and come back::

    room      2 in(Th, Tc) + 2 w(To, Tc) + acc(Th, To)
    traffic   In h (again for each of the ceil(O / To) tiles of outputs, if a loop inside of theirs changes the input)
              W (again for each of the ceil(H / Th) tiles of rows, if a loop inside of theirs changes the weights)
              2 (ceil(C / Tc) - 1) partial sums, if a loop inside of that over input maps changes them

h is the halo: rows that two tiles need come twice. A loop of one turn changes nothing, so that the best of two orders
is min(In h + W ceil(H / Th), W + In h ceil(O / To)) where input maps are not split, and a factor is 1 where the other
operand needs one tile. All six orders of the three loops are compared, and of tiles of output maps, and of input maps,
the smallest of each number: no other one is better in a dense layer. (Zhang et al., "Optimizing FPGA-based Accelerator
Design for Deep Convolutional Neural Networks", FPGA 2015, has these loops, buffers and counts for dense layers.)

Weights that travel are the stored words with their share of the index, and the constants of their output maps. Inputs
that come again for other outputs are the maps alone of which one of these keeps a weight. Of layers of more than
`UNITS` maps a tile has whole units of several. Groups of a grouped convolution, and maps of a pool or an addition, run
one after another, each as a layer of its own. `tests/test_accel_cost_tiling.py` runs the loops and counts.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from itertools import permutations
from operator import le

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
UNITS = 512  # of output maps, or of input maps, between which a tile may end
ROWS, OUTPUTS, MAPS = "rows", "outputs", "maps"
Order = tuple[str, str, str]  # the outermost loop first
ORDERS: tuple[Order, ...] = tuple((a, b, c) for a, b, c in permutations((ROWS, OUTPUTS, MAPS)))


@dataclass(frozen=True, kw_only=True)
class Tile:
    """What lies on the chip at a time, and the loops that walk over it.

    Parameters
    ----------
    rows, outputs, maps : int
        Of a group; of the last tiles there may be less.
    order : tuple of str
        `ROWS`, `OUTPUTS` and `MAPS`, the outermost first.
    """

    rows: int
    outputs: int
    maps: int
    order: Order


@dataclass(frozen=True, eq=False, kw_only=True)
class Loops:
    """A layer as loops over rows, output maps and input maps.

    Parameters
    ----------
    rows, input_rows : int
    kernel_rows, stride, padding : int
        Of the window, vertically; rows of padding at the top.
    row_step : int
        A tile has a multiple of so many rows, of which the drain makes one.
    outputs, maps : int
        Of a group.
    words : int array (groups, units of outputs, units of maps)
        Weight words that are stored of each unit's kernels.
    output_unit, map_unit : int
        Maps of a unit; the last one may have fewer.
    stored_bits : int
        Of all weight words and their index, which is spread over them evenly.
    constant_bits : int
        Biases and requantisation of all output maps, each of which has as many.
    sum_row_bits : int
        Of the accumulators of a row of an output map.
    """

    rows: int
    input_rows: int
    kernel_rows: int = 1
    stride: int = 1
    padding: int = 0
    row_step: int = 1
    outputs: int
    maps: int
    words: Integers
    output_unit: int = 1
    map_unit: int = 1
    stored_bits: int
    constant_bits: int = 0
    sum_row_bits: int

    @property
    def groups(self) -> int:
        """Groups, one after another."""
        return len(self.words)

    @property
    def weight_bits(self) -> int:
        """Bits of everything that travels with the weights."""
        return self.stored_bits + self.constant_bits

    @property
    def sum_bits(self) -> int:
        """Bits of all partial sums."""
        return self.sum_row_bits * self.rows * self.groups * self.outputs

    def read_rows(self, rows: int) -> Integers:
        """Return how many input rows each tile of `rows` rows reads: none of padding, none between its windows."""
        first = np.arange(self.rows) * self.stride - self.padding
        above = np.minimum(first + self.kernel_rows, self.input_rows)
        new = np.maximum(first, np.append(0, np.maximum(above[:-1], 0)))  # of each window, those of no window before
        starts = np.arange(0, self.rows, rows)
        new[starts] = np.maximum(first[starts], 0)
        return np.add.reduceat(np.maximum(above - new, 0), starts)

    @cached_property
    def row_sizes(self) -> list[int]:
        """Rows of tiles that matter: than which no smaller tiles are as few, and read and hold as few rows."""
        found: dict[int, tuple[int, int, int]] = {}
        for rows in range(min(self.row_step, self.rows), self.rows + self.row_step, self.row_step):
            read = self.read_rows(rows)
            counts = read.size, int(read.sum()), int(read.max())
            if not any(all(map(le, other, counts)) for other in found.values()):
                found[min(rows, self.rows)] = counts
        return [*found]

    @cached_property
    def parts(self) -> "Parts":
        """Sizes of tiles of outputs and of maps, and what they hold."""
        return _parts(self)


@dataclass(frozen=True, eq=False, kw_only=True)
class Parts:
    """Tiles of the weights of a layer.

    Parameters
    ----------
    outputs, maps : int array
        Sizes, ascending.
    used : int array (sizes of outputs,)
        Input maps that all tiles of outputs read, one after another.
    used_once : int
        Input maps of which any output keeps a weight.
    bits : int array (sizes of outputs, sizes of maps)
        Of the largest tile.
    """

    outputs: Integers
    maps: Integers
    used: Integers
    used_once: int
    bits: Integers


@dataclass(frozen=True, eq=False, kw_only=True)
class Tilings:
    """The tiles of a layer that are worth their room: with more room less traffic.

    Parameters
    ----------
    room : int array (tilings,)
        Bits that each takes, ascending.
    weight_room : int array (tilings,)
        Of these the two buffers for weights.
    inputs, weights, sums : int array (tilings,)
        Bits from DRAM, and of partial sums to and from there; all three together descend.
    tiles : tuple of Tile
    """

    room: Integers
    weight_room: Integers
    inputs: Integers
    weights: Integers
    sums: Integers
    tiles: tuple[Tile, ...]

    @cached_property
    def traffic(self) -> Integers:
        """Bits from and to DRAM (tilings,)."""
        return self.inputs + self.weights + self.sums

    def best(self, room: NDArray[np.int64] | int) -> Integers:
        """Return which tiling has the least traffic within `room` bits; -1 where there is none."""
        return np.searchsorted(self.room, room, side="right") - 1


def tilings(loops: Loops, input_row_bits: int, streamed: bool) -> Tilings:
    """Return the tilings of a layer.

    Parameters
    ----------
    loops : Loops
    input_row_bits : int
        Of a row of an input map that comes from DRAM; 0 where inputs are on the chip.
    streamed : bool
        Whether weights come from DRAM; else they are on the chip.
    """
    parts, sizes = loops.parts, np.array(loops.row_sizes, np.int64)
    read = [loops.read_rows(size) for size in loops.row_sizes]
    held, rows = (np.array([of(x) for x in read], np.int64)[:, None, None] for of in (np.max, np.sum))
    buffers = 2 * int(streamed) * parts.bits
    room = 2 * input_row_bits * held * parts.maps + buffers
    room = room + loops.sum_row_bits * sizes[:, None, None] * parts.outputs[:, None]
    turns = {
        ROWS: -(-loops.rows // sizes)[:, None, None],
        OUTPUTS: -(-loops.outputs // parts.outputs)[None, :, None],
        MAPS: -(-loops.maps // parts.maps)[None, None, :],
    }
    found = []
    for order in ORDERS:
        again = {loop: _comes_again(order, loop, turns) for loop in turns}
        inputs = np.where(again[OUTPUTS], parts.used[:, None], parts.used_once) * rows * input_row_bits
        words = np.where(again[ROWS], turns[ROWS], 1) * (int(streamed) * loops.weight_bits)
        sums = np.where(again[MAPS], 2 * (turns[MAPS] - 1), 0) * loops.sum_bits
        found.append(np.stack([np.broadcast_to(x, room.shape) for x in (inputs, words, sums)]))
    return _worthwhile(sizes, parts, room, np.broadcast_to(buffers, room.shape), np.stack(found))


def _comes_again(order: Order, loop: str, turns: dict[str, Integers]) -> NDArray[np.bool_]:
    """Return whether what `loop` leaves as it is changes in a loop inside of it, so that it comes again each turn."""
    inside = (turns[inner] > 1 for inner in order[order.index(loop) + 1 :])
    return reduce(np.logical_or, inside, np.zeros((1, 1, 1), bool))


def _worthwhile(sizes: Integers, parts: Parts, room: Integers, buffers: Integers, traffic: Integers) -> Tilings:
    """Return the tilings than which none has less traffic in less room.

    `room` and `buffers` are (sizes of rows, of outputs, of maps), `traffic` (orders, kinds, and the same).
    """
    orders = traffic.sum(axis=1).argmin(axis=0)
    kinds = np.take_along_axis(traffic, orders[None, None], axis=0)[0].reshape(len(traffic[0]), -1)
    total = kinds.sum(axis=0)
    ascending = np.lexsort((total, room.ravel()))
    least = np.minimum.accumulate(total[ascending])
    kept = ascending[np.append(True, least[1:] < least[:-1])]
    places = zip(*np.unravel_index(kept, room.shape), orders.ravel()[kept], strict=True)
    tiles = tuple(
        Tile(rows=int(sizes[r]), outputs=int(parts.outputs[o]), maps=int(parts.maps[m]), order=ORDERS[order])
        for r, o, m, order in places
    )
    inputs, weights, sums = kinds[:, kept]
    taken = {"room": room.ravel()[kept], "weight_room": buffers.ravel()[kept]}
    return Tilings(**taken, inputs=inputs, weights=weights, sums=sums, tiles=tiles)


def _parts(loops: Loops) -> Parts:
    words, totals = loops.words, int(loops.words.sum())
    map_sizes = np.diff(np.append(np.arange(0, loops.maps, loops.map_unit), loops.maps))
    outputs, maps = (np.array(_sizes(units), np.int64) for units in words.shape[1:])
    before = _before(words, axis=1)
    used = [int(((_tiles(before, size, axis=1) > 0) * map_sizes).sum()) for size in outputs]
    largest = _first(before, outputs, maps) if _falls(words) else _largest(before, outputs, maps)
    stored = -(-loops.stored_bits * largest // max(1, totals))
    tiled = np.minimum(outputs * loops.output_unit, loops.outputs)
    return Parts(
        outputs=tiled,
        maps=np.minimum(maps * loops.map_unit, loops.maps),
        used=np.array(used, np.int64),
        used_once=used[-1],  # of one tile
        bits=stored - (-loops.constant_bits * tiled[:, None] // (loops.groups * loops.outputs)),
    )


def _before(words: Integers, axis: int) -> Integers:
    """Return the words of all units before each along an axis, and of all of them."""
    return np.concatenate([np.zeros_like(words.take([0], axis)), words.cumsum(axis)], axis)


def _tiles(before: Integers, size: int, axis: int) -> Integers:
    """Return the words of each tile of so many units along an axis."""
    units = before.shape[axis] - 1
    starts = np.arange(0, units, size)
    return before.take(np.minimum(starts + size, units), axis) - before.take(starts, axis)


def _largest(before: Integers, outputs: Integers, maps: Integers) -> Integers:
    """Return the most words of a tile (sizes of outputs, sizes of maps); `before` are the words before each output."""
    by_maps = (_before(_tiles(before, size, axis=1), axis=2) for size in outputs)
    return np.array([[_tiles(sums, size, axis=2).max() for size in maps] for sums in by_maps], np.int64)


def _falls(words: Integers) -> bool:
    """Return whether no unit has more words than those before it, as in dense layers: the first tile is the largest."""
    return not any((np.diff(words, axis=axis) > 0).any() for axis in (1, 2))


def _first(before: Integers, outputs: Integers, maps: Integers) -> Integers:
    """Return what `_largest` does where words fall."""
    return _before(before[:, outputs], axis=2)[:, :, maps].max(axis=0)


@lru_cache
def _sizes(count: int) -> tuple[int, ...]:
    """Return the smallest size of a tile for each number of tiles of `count` that there can be.

    >>> _sizes(7)
    (1, 2, 3, 4, 7)
    """
    return tuple(sorted({-(-count // turns) for turns in range(1, count + 1)}))
