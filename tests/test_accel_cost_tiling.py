"""Tiles of a layer: the closed form beside the loops themselves, which load, drop and count word by word."""

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.cost import tiling
from accel.cost.tiling import MAPS, ORDERS, OUTPUTS, ROWS, Loops, Tile, tilings

Counted = tuple[int, int, int, int]  # room, and bits of inputs, weights and partial sums


@st.composite
def layers(draw: st.DrawFn) -> Loops:
    """Return a small layer: padded, strided, in groups, with kernels of which some keep nothing."""
    rows, kernel, stride, padding = (draw(st.integers(low, high)) for low, high in ((1, 4), (1, 3), (1, 2), (0, 2)))
    groups, outputs, maps = (draw(st.integers(1, most)) for most in (2, 4, 3))
    count = groups * outputs * maps
    kept = draw(st.lists(st.integers(0, 5), min_size=count, max_size=count) | st.just([kernel * kernel] * count))
    words = np.array(kept, np.int64).reshape(groups, outputs, maps)
    return Loops(
        rows=rows,
        input_rows=max(1, (rows - 1) * stride + kernel - padding - draw(st.integers(0, 2))),
        kernel_rows=kernel,
        stride=stride,
        padding=padding,
        row_step=draw(st.integers(1, 2)),
        outputs=outputs,
        maps=maps,
        words=words,
        stored_bits=int(words.sum()) * draw(st.integers(2, 9)),
        constant_bits=draw(st.integers(0, 20)),
        sum_row_bits=draw(st.integers(1, 40)),
    )


def every_tile(loops: Loops) -> Iterator[Tile]:
    """Yield all tiles; where kernels differ those alone whose outputs and maps are the smallest of their number."""
    rows = {min(loops.rows, n) for n in range(loops.row_step, loops.rows + loops.row_step, loops.row_step)}
    alike = len(set(loops.words.ravel().tolist())) == 1
    outputs, maps = range(1, loops.outputs + 1), range(1, loops.maps + 1)
    sizes = (outputs, maps) if alike else (loops.parts.outputs.tolist(), loops.parts.maps.tolist())
    for r, o, m in product(rows, *sizes):
        yield from (Tile(rows=r, outputs=o, maps=m, order=order) for order in ORDERS)


def run(loops: Loops, tile: Tile, row_bits: int, streamed: bool) -> Counted:
    """Run the loops of a layer, and count what is loaded, what of it is there at a time, and sums that go and return.

    Words of a tile of inputs stay until another tile comes, words of a tile of weights too, and so do sums.
    """
    sizes = {ROWS: (loops.rows, tile.rows), OUTPUTS: (loops.outputs, tile.outputs), MAPS: (loops.maps, tile.maps)}
    starts = [[(loop, first) for first in range(0, sizes[loop][0], sizes[loop][1])] for loop in tile.order]
    inputs = weights = sums = 0
    largest = [0, 0, 0]
    total = max(1, int(loops.words.sum()))
    for group in loops.words:
        lying, there, at = set[tuple[int, int]](), dict[str, object](), set[tuple[int, int]]()
        for step in product(*starts):
            r, o, m = (dict(step)[loop] for loop in (ROWS, OUTPUTS, MAPS))
            outputs = range(o, min(o + tile.outputs, loops.outputs))
            maps = range(m, min(m + tile.maps, loops.maps))
            made = range(r, min(r + tile.rows, loops.rows))
            read = {
                row
                for y in made
                for row in range(y * loops.stride - loops.padding, y * loops.stride - loops.padding + loops.kernel_rows)
                if 0 <= row < loops.input_rows
            }
            if there.get("inputs") != (r, m):
                lying = set()
            wanted = {(c, row) for c in maps for row in read if group[o : o + tile.outputs, c].any()}
            inputs += row_bits * len(wanted - lying)
            lying |= wanted
            block = Fraction(loops.stored_bits * int(group[o : o + tile.outputs, m : m + tile.maps].sum()), total)
            constants = Fraction(loops.constant_bits * len(outputs), loops.groups * loops.outputs)
            if streamed and there.get("weights") != (o, m):
                weights += block + (constants if m == 0 else 0)  # type: ignore[assignment]
            sum_bits = loops.sum_row_bits * len(made) * len(outputs)
            if there.get("sums") != (r, o) and (r, o) in at:
                sums += 2 * sum_bits
            at.add((r, o))
            there = {"inputs": (r, m), "weights": (o, m), "sums": (r, o)}
            block_bits = math.ceil(block) + math.ceil(constants)
            held = row_bits * len(maps) * len(read), block_bits if streamed else 0, sum_bits
            largest = [max(pair) for pair in zip(largest, held, strict=True)]
    return 2 * largest[0] + 2 * largest[1] + largest[2], inputs, int(weights), sums


def dense(**shape: int) -> Loops:
    """Return a layer of 3 x 3 kernels of 8-bit weights, 4 outputs and 4 maps of 8 rows."""
    usual = {"rows": 8, "input_rows": 8, "kernel_rows": 3, "padding": 1, "outputs": 4, "maps": 4, "sum_row_bits": 96}
    sizes = usual | shape
    words = np.full((1, sizes["outputs"], sizes["maps"]), 9)
    return Loops(**sizes, words=words, stored_bits=8 * int(words.sum()))


def tile_words(words: np.ndarray, outputs: int, maps: int) -> list[int]:
    """Return the words of every tile of a size."""
    starts = product(range(len(words)), range(0, words.shape[1], outputs), range(0, words.shape[2], maps))
    return [int(words[group, o : o + outputs, m : m + maps].sum()) for group, o, m in starts]


class TestAgainstTheLoops:
    @settings(max_examples=30, deadline=None)
    @given(loops=layers(), row_bits=st.integers(0, 30), streamed=st.booleans())
    def test_equal_and_best(self, loops: Loops, row_bits: int, streamed: bool) -> None:
        """What each tiling takes and moves is what its loops do, and no tile of any size or order moves less in it."""
        found = tilings(loops, row_bits, streamed)
        counted = zip(found.room, found.inputs, found.weights, found.sums, strict=True)
        for tile, row in zip(found.tiles, counted, strict=True):
            assert run(loops, tile, row_bits, streamed) == tuple(row)
        every = [run(loops, tile, row_bits, streamed) for tile in every_tile(loops)]
        assert found.room[0] == min(room for room, *_ in every)  # less than the first is too little
        for room, *_ in every:
            least = min(sum(moved) for other, *moved in every if other <= room)
            assert found.traffic[found.best(room)] == least

    def test_a_wrong_count_is_seen(self) -> None:
        """Negative control: one bit of a row, one of a weight, or another innermost loop, and they differ."""
        loops = dense()
        tile = Tile(rows=2, outputs=2, maps=2, order=(ROWS, OUTPUTS, MAPS))
        counted = run(loops, tile, 64, True)
        assert run(loops, tile, 65, True)[1] != counted[1]
        assert run(replace(loops, stored_bits=loops.stored_bits + 1), tile, 64, True)[2] != counted[2]
        assert len({run(loops, replace(tile, order=order), 64, True) for order in ORDERS}) == 3

    @settings(max_examples=50, deadline=None)
    @given(loops=layers(), row_bits=st.integers(0, 30), streamed=st.booleans(), room=st.integers(0, 2000))
    def test_no_tile_exceeds_its_room(self, loops: Loops, row_bits: int, streamed: bool, room: int) -> None:
        """What the loops hold at a time is within the room; with less of it, traffic is never less."""
        found = tilings(loops, row_bits, streamed)
        at = int(found.best(room))
        assert (at < 0) == (room < found.room[0])
        if at >= 0:
            assert run(loops, found.tiles[at], row_bits, streamed)[0] <= room
        assert (np.diff(found.room) > 0).all()
        assert (np.diff(found.traffic) < 0).all()

    @settings(max_examples=50, deadline=None)
    @given(loops=layers(), row_bits=st.integers(0, 30))
    def test_the_compulsory_bound(self, loops: Loops, row_bits: int) -> None:
        """With room for everything each weight comes once, and each row of a map that is read; no partial sum goes."""
        found = tilings(loops, row_bits, True)
        maps = int((loops.words.sum(axis=1) > 0).sum())
        whole = row_bits * maps * int(loops.read_rows(loops.rows)[0])
        assert (found.inputs[-1], found.weights[-1], found.sums[-1]) == (whole, loops.weight_bits, 0)
        assert (found.traffic[:-1] > found.traffic[-1]).all()


class TestByHand:
    def test_the_two_orders(self) -> None:
        """8 rows of 4 maps in tiles of 2 rows and 2 outputs: inputs twice, or weights four times.

        A tile of 2 rows reads 4, at the edges 3: 3 + 4 + 4 + 3 = 14 rows of 8, h = 1.75.
        """
        loops, row = dense(), 64
        weights, inputs = 4 * 4 * 9 * 8, 4 * 14 * row
        tile = Tile(rows=2, outputs=2, maps=4, order=(OUTPUTS, ROWS, MAPS))
        room = 2 * (4 * 4 * row) + 2 * (2 * 4 * 9 * 8) + 2 * 2 * 96
        assert run(loops, tile, row, True) == (room, 2 * inputs, weights, 0)
        other = replace(tile, order=(ROWS, OUTPUTS, MAPS))
        assert run(loops, other, row, True) == (room, inputs, 4 * weights, 0)
        found = tilings(loops, row, True)
        assert found.traffic[found.best(room)] <= min(inputs + 4 * weights, 2 * inputs + weights)

    def test_split_maps(self) -> None:
        """Input maps in two halves, the loop over them outside: all partial sums go once and return once."""
        tile = Tile(rows=2, outputs=2, maps=2, order=(MAPS, ROWS, OUTPUTS))
        assert run(dense(), tile, 64, True)[3] == 2 * 4 * 8 * 96
        assert run(dense(), replace(tile, order=(ROWS, OUTPUTS, MAPS)), 64, True)[3] == 0

    def test_depthwise(self) -> None:
        """16 maps, one group each: whatever the room, a map and its kernel come once; only the halo depends on it."""
        loops = replace(dense(outputs=1, maps=1), words=np.full((16, 1, 1), 9), stored_bits=16 * 72)
        found = tilings(loops, 64, True)
        assert set(found.weights) == {16 * 72}
        assert found.inputs.tolist()[-1] == 16 * 8 * 64
        assert found.room[-1] < 2 * 16 * 8 * 64  # negative control: not all maps are held

    def test_pruned_maps_are_not_read(self) -> None:
        """Two halves that read a map of four each: again for other outputs comes one map, not four."""
        words = np.zeros((1, 4, 4), np.int64)
        words[0, :2, 0] = words[0, 2:, 1] = 9
        loops = replace(dense(), words=words, stored_bits=8 * int(words.sum()))
        assert loops.parts.used_once == 2
        assert dict(zip(loops.parts.outputs.tolist(), loops.parts.used.tolist(), strict=True)) == {1: 4, 2: 2, 4: 2}

    def test_wide_layers(self) -> None:
        """Of more maps than `UNITS` a tile has whole units: never more than the room, if not always the best."""
        words = np.full((1, 3, 2), 9 * 2 * 2)
        words[0, 2] = 9 * 2  # a last unit of one output
        loops = replace(
            dense(outputs=5), words=words, output_unit=2, map_unit=2, stored_bits=8 * int(words.sum()), sum_row_bits=7
        )
        assert (loops.parts.outputs.tolist(), loops.parts.maps.tolist()) == ([2, 4, 5], [2, 4])
        assert loops.parts.bits.tolist() == [[288, 576], [576, 1152], [720, 1440]]
        fine = replace(loops, words=np.full((1, 5, 4), 9), output_unit=1, map_unit=1)
        for room in tilings(loops, 64, True).room:
            both = [tilings(x, 64, True) for x in (loops, fine)]
            coarse, exact = (int(x.traffic[x.best(int(room))]) for x in both)
            assert coarse >= exact

    @settings(max_examples=50, deadline=None)
    @given(loops=layers(), falls=st.booleans())
    def test_the_first_tile_is_the_largest_where_words_fall(self, loops: Loops, falls: bool) -> None:
        """Of each size, as all tiles one by one say; where words rise, as some do here, it need not be."""
        words = np.sort(np.sort(loops.words, axis=1), axis=2)[:, ::-1, ::-1] if falls else loops.words
        sizes = [np.array(tiling._sizes(units)) for units in words.shape[1:]]
        before = tiling._before(words, axis=1)
        whole = tiling._largest(before, *sizes)
        largest = [[max(tile_words(words, o, m)) for m in sizes[1]] for o in sizes[0]]
        assert whole.tolist() == largest
        assert tiling._falls(words) or not falls
        if tiling._falls(words):
            assert tiling._first(before, *sizes).tolist() == largest

    def test_the_first_tile_is_not_the_largest_elsewhere(self) -> None:
        """Negative control: two units, the second of more words."""
        words = np.array([[[1], [2]]])
        before, sizes = tiling._before(words, axis=1), (np.array([1, 2]), np.array([1]))
        assert not tiling._falls(words)
        assert tiling._first(before, *sizes).tolist() != tiling._largest(before, *sizes).tolist()

    @pytest.mark.parametrize("count", [1, 2, 7, 12, 100])
    def test_sizes(self, count: int) -> None:
        """Of each number of tiles there is the smallest size, and no other."""
        sizes = tiling._sizes(count)
        assert {-(-count // size) for size in sizes} == {-(-count // size) for size in range(1, count + 1)}
        assert len(sizes) == len({-(-count // size) for size in sizes})
