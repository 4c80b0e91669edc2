"""Tiles and bands of `sim.packed.tiles`: every pixel once, and nothing read outside what is there."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from support.programs import PIXEL, mac_layer

from accel.window import Window
from sim.kernels.dots import LINE_BYTES
from sim.packed.tensors import Packed, in_fours
from sim.packed.tiles import Fused, MacPlan, Place, summed_pixels
from sim.packed.word_lists import lists_of

LITTLE, MUCH = [1, 10**6], [10**6, 1]
CASES = [  # height, width, window, pooled, blocks
    (8, 8, Window.square(3, padding=1), True, 2),
    (7, 5, Window.square(3, padding=1), False, 1),
    (6, 9, Window.square(2), False, 3),
    (9, 9, Window.square(3, 2), False, 2),
    (12, 4, Window((1, 1)), True, 1),
    (1, 1, Window((1, 1)), False, 5),
    (3, 3, Window.square(3), False, 11),
    (30, 30, Window.square(5, padding=2), True, 1),
]
every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_way = pytest.mark.parametrize("pixels", [LITTLE, MUCH], ids=["four outputs", "one output"])


def plan_of(case: Any, pixels: list[int], border: tuple[int, int, int, int] = (2, 2, 2, 2)) -> MacPlan:
    """Return a layer of five outputs and six maps, laid out; outputs lie in a packed tensor with a border."""
    height, width, window, pooled, blocks = case
    kept = np.random.default_rng(0).random((5, 6, window.taps)) < 0.5
    layer = mac_layer("conv", "input", np.ones(kept.shape), PIXEL, kept=kept, pattern="irregular", encoding="csr")
    layer = mac_layer(
        "conv", "input", np.ones(kept.shape), PIXEL, kept=kept, pattern="irregular", encoding="csr", window=window
    )
    source = Packed(in_fours(np.arange(6)), (height, width), border, 0)
    sums = window.output_size(height, width)
    size = (sums[0] // 2, sums[1] // 2) if pooled else sums
    pairs = window.stride[1] == 1 and sums != (1, 1)
    lists = lists_of(kept, source.order, in_fours(np.arange(5)), window.kernel, pixels, pairs)
    target = Place("conv", Packed(in_fours(np.arange(5)), size, (1, 0, 0, 1), 0), size)
    return MacPlan(layer, lists, source, target, Fused(pooled=pooled), blocks)


class TestTiles:
    @every_way
    @every_case
    def test_every_pixel_once(self, case: Any, pixels: list[int]) -> None:
        """The lines that tiles write are those of the output's pixels in one block, or of the blocks of one pixel."""
        plan = plan_of(case, pixels)
        _, _, targets, _ = plan.layout
        packed, (height, width) = plan.output.packed, plan.output.size
        assert packed is not None
        if plan.alone:
            expected = [packed.line(0, 0) + block * packed.block_lines for block in range(plan.blocks)]
        else:
            expected = [packed.line(y, x) for y in range(height) for x in range(width)]
        assert sorted(targets[targets >= 0].tolist()) == sorted(expected)

    @every_way
    @every_case
    def test_pixels_of_an_image(self, case: Any, pixels: list[int]) -> None:
        """What tiles count for an image is its pixels of sums, each once: MACs are counted by it."""
        plan = plan_of(case, pixels)
        assert plan.layout[3].sum() == plan.sums[0] * plan.sums[1]

    @every_way
    @every_case
    def test_bands_are_all_tiles_in_order(self, case: Any, pixels: list[int]) -> None:
        """Every tile belongs to one band."""
        bands, starts, _, _ = plan_of(case, pixels).layout
        assert bands[0, 2] == 0
        assert bands[1:, 2].tolist() == bands[:-1, 3].tolist()
        assert bands[-1, 3] == len(starts)

    def test_a_large_layer_has_several_bands(self) -> None:
        """What is lowered at a time fits a part of the cache; the tiles of all bands together are still every pixel."""
        case = (40, 64, Window.square(3, padding=1), False, 1)
        plan = plan_of(case, MUCH)
        plan.__dict__["band_rows"] = 8  # of a cache that is smaller
        bands, _, targets, _ = plan.layout
        assert len(bands) == 5
        assert np.count_nonzero(targets >= 0) == 40 * 64


def lines_met(plan: MacPlan) -> tuple[int, int]:
    """Return the first line and the one after the last that any tile of any block reads, of what lists count from."""
    bands, starts, _, _ = plan.layout
    places, lowest, highest = plan.places, 0, 0
    for first, _, begin, end in bands:
        for start, step in starts[begin:end]:
            for run in range(plan.runs):
                for line in range(plan.run // plan.beside):
                    at = start + run * step + line * plan.pitch
                    base = first * LINE_BYTES * (not plan.spread.size)
                    lowest = min(lowest, base + at + int(places.min(initial=0)))
                    highest = max(highest, base + at + int(places.max(initial=0)) + LINE_BYTES)
    return lowest // LINE_BYTES, highest // LINE_BYTES


class TestReads:
    @every_way
    @every_case
    def test_stay_inside(self, case: Any, pixels: list[int]) -> None:
        """Every address that a kernel forms lies in the lines that are asked for: it would not notice otherwise."""
        plan = plan_of(case, pixels)
        first, after = lines_met(plan)
        source, lowered = plan.lines_read
        blocks_before = 0 if plan.alone or plan.spread.size else (plan.blocks - 1) * plan.source.block_lines
        assert first >= 0
        assert after + blocks_before <= (lowered if plan.spread.size else source)

    @every_way
    @every_case
    def test_ask_for_no_more_than_a_tile_too_much(self, case: Any, pixels: list[int]) -> None:
        """The bound is tight: one line less would not do, where nothing is lowered."""
        plan = plan_of(case, pixels)
        if not plan.spread.size:
            blocks_before = 0 if plan.alone else (plan.blocks - 1) * plan.source.block_lines
            assert plan.lines_read[0] == lines_met(plan)[1] + blocks_before

    @every_way
    @every_case
    def test_a_place_is_the_tap_of_a_pixel(self, case: Any, pixels: list[int]) -> None:
        """From a pixel's line an entry reaches the line of its view, its row and its column."""
        plan = plan_of(case, pixels)
        row, view, beside = plan.pitches
        views = [*plan.copied, *(plan.spread + plan.source.groups)] if plan.spread.size else range(plan.source.groups)
        for place, entry, (down, across) in zip(plan.places, plan.lists.views, plan.lists.taps, strict=True):
            assert place == LINE_BYTES * (down * row + list(views).index(entry) * view + across // beside)


class TestPixels:
    @pytest.mark.parametrize(
        ("size", "blocks", "expected"),
        [
            ((6, 6), 2, [2 * 6 * 6, 2 * 8 * 8]),  # runs of two, and squares of four by four
            ((5, 7), 1, [5 * 8, 8 * 8]),
            ((1, 1), 3, [4, 16]),  # blocks in fours, and in sixteens
            ((1, 1), 16, [16, 16]),
        ],
    )
    def test_summed_pixels(self, size: tuple[int, int], blocks: int, expected: list[int]) -> None:
        """Whole tiles are summed up, for lists of four outputs and of one."""
        source = Packed(in_fours(np.arange(4)), size, (0, 0, 0, 0), 0)
        assert summed_pixels(source, Window((1, 1)), blocks) == expected

    def test_pooled_corners_are_windows(self) -> None:
        """Four windows of a square tile go to two by two pixels of the output."""
        plan = plan_of((8, 8, Window.square(3, padding=1), True, 1), MUCH)
        assert plan.runs == 4
        packed = plan.output.packed
        assert packed is not None
        corners = [packed.line(y, x) for y in (0, 1) for x in (0, 1)]
        assert plan.layout[2][0].tolist() == corners
        assert Counter(plan.layout[3].tolist()) == {16: 4}
