"""How packed tensors lie in memory: `sim.packed.tensors`, and what fills them in `sim.kernels`."""

from typing import Any

import numpy as np
import pytest
from support.programs import signal

from sim.kernels import packed as kernels
from sim.kernels import packed_layers
from sim.kernels.dots import LANES, LINE_BYTES
from sim.packed.tensors import Packed, aligned, as_maps, fits_bytes, in_fours, lane_type, zero_of

ORDER = in_fours(np.array([4, 0, 3, 1, 2]))  # five maps in two groups


def store(size: tuple[int, int] = (3, 6), border: tuple[int, int, int, int] = (1, 2, 0, 3), zero: int = 0) -> Packed:
    """Return a layout of five maps."""
    return Packed(ORDER, size, border, zero)


def byte_of(of: Packed, words: Any, image: int, c: int, y: int, x: int) -> int:
    """Return the byte where a code must be, counted out: block, row, group, column, image, place."""
    place = ORDER.tolist().index(c)
    line = (image // LANES * of.rows + y + of.border[0]) * of.groups + place // 4
    line = line * of.columns + x + of.border[1]
    return int(words.view(np.uint8)[line, 4 * (image % LANES) + place % 4])


class TestLayout:
    def test_sizes(self) -> None:
        """Two groups of four maps, rows and columns with their borders."""
        of = store()
        assert (of.groups, of.maps, of.rows, of.columns, of.block_lines) == (2, 5, 4, 11, 4 * 2 * 11)
        assert of.inside.tolist() == [1, 2, 3, 6]
        assert of.line(0, 0) == 1 * 2 * 11 + 2

    @pytest.mark.parametrize("zero", [0, 128])
    def test_an_empty_tensor_is_code_0(self, zero: int) -> None:
        """Borders are padding: every byte is what code 0 is stored as, spare lines too."""
        words = store(zero=zero).empty(2, 3)
        assert words.shape == (2 * store().block_lines + 3, LANES)
        assert np.unique(words.view(np.uint8)).tolist() == [zero]

    def test_arrays_start_at_a_line_of_the_cache(self) -> None:
        """Aligned loads fault elsewhere."""
        for _ in range(20):
            assert aligned((3, LANES), np.int32).ctypes.data % LINE_BYTES == 0

    def test_what_is_packed(self) -> None:
        """Signals of up to 8 bits; signed ones are stored 128 higher. Others lie in 16 or 64 bits."""
        assert [fits_bytes(signal(width)) for width in (1, 8, 9)] == [True, True, False]
        assert (zero_of(signal(8)), zero_of(signal(8, signed=False))) == (128, 0)
        kinds = [lane_type(signal(width, signed)) for width, signed in ((16, True), (16, False), (15, False))]
        assert kinds == [np.int16, np.int64, np.int16]
        assert as_maps((7,)) == (7, 1, 1)
        assert as_maps((7, 2, 3)) == (7, 2, 3)
        assert in_fours(np.arange(3)).tolist() == [0, 1, 2, -1]


class TestPacking:
    @pytest.mark.parametrize("count", [1, 15, 16, 17, 40])
    @pytest.mark.parametrize("width", [1, 3, 4, 6, 8])
    @pytest.mark.parametrize("dtype", [np.uint8, np.int64])
    def test_every_code_has_its_place(self, count: int, width: int, dtype: Any) -> None:
        """Bytes four columns at a time and any integers one by one: each code where it belongs, borders untouched."""
        of = store((3, width))
        images = np.random.default_rng(0).integers(1, 256, (count, 5, 3, width)).astype(dtype)
        words = of.empty(3, 0)
        out = of.bytes_of(words, 3)
        if dtype == np.uint8:
            packed_layers.pack_bytes(images, of.order, of.inside, out)
        else:
            assert packed_layers.pack_images(images, of.order, np.array([0, 255, 0]), of.inside, out)
        for place in np.ndindex(images.shape):
            assert byte_of(of, words, *place) == images[place]
        rows = np.arange(3 * of.block_lines) // (of.columns * of.groups) % of.rows
        columns = np.arange(3 * of.block_lines) % of.columns
        border = (rows < 1) | (columns < 2) | (columns >= 2 + width)
        assert not words[border].any()

    def test_missing_images_repeat_the_first_of_their_block(self) -> None:
        """The lanes of no image hold codes of the batch, nothing read from beyond it."""
        of = store((3, 5))
        images = np.random.default_rng(0).integers(1, 256, (17, 5, 3, 5)).astype(np.uint8)
        words = of.empty(2, 0)
        packed_layers.pack_bytes(images, of.order, of.inside, of.bytes_of(words, 2))
        found = [byte_of(of, words, 20, c, y, x) for c, y, x in np.ndindex(5, 3, 5)]
        assert found == images[16].reshape(-1).tolist()

    @pytest.mark.parametrize(("code", "fits"), [(-8, True), (7, True), (-9, False), (8, False)])
    def test_codes_outside_their_range_are_told(self, code: int, fits: bool) -> None:
        """Four-bit signed codes: one that is none is found on the way."""
        of = store(zero=128)
        images = np.zeros((18, 5, 3, 6), np.int16)
        images[17, 4, 2, 5] = code
        out = of.bytes_of(of.empty(2, 0), 2)
        assert packed_layers.pack_images(images, of.order, np.array([-8, 7, 128]), of.inside, out) == fits

    @pytest.mark.parametrize("zero", [0, 128])
    def test_planes_there_and_back(self, zero: int) -> None:
        """Packed and unpacked, planes are what they were."""
        of = store(zero=zero)
        planes = np.random.default_rng(0).integers(-zero, 256 - zero, (5, 3, 6, 2 * LANES)).astype(np.int16)
        words, out = of.empty(2, 0), np.empty_like(planes)
        packed_layers.pack_planes(planes, of.order, of.zero, of.inside, of.bytes_of(words, 2))
        packed_layers.unpack(of.bytes_of(words, 2), of.order, of.zero, of.inside, out)
        assert np.array_equal(out, planes)
        assert byte_of(of, words, 20, 3, 2, 5) == planes[3, 2, 5, 20] + zero


class TestLowering:
    @pytest.mark.parametrize(("begin", "step"), [(0, 1), (1, 2), (2, 2)])
    def test_copies_groups_and_spreads_maps(self, begin: int, step: int) -> None:
        """Rows of groups as they are; a spread map's word is its code in four columns, from the taken column on."""
        of = store()
        words = of.empty(1, 3)
        words[:] = np.random.default_rng(0).integers(0, 2**32, words.shape, np.uint64)
        taken = range(begin, of.columns, step)
        copied, spread = np.array([1]), np.array([0, 2, 6])
        lowered = aligned((of.rows * 4 * len(taken), LANES), np.uint32)
        columns = np.array([of.groups, of.columns, begin, of.columns, step])
        kernels.lower(words, 0, of.rows, copied, spread, columns, lowered)
        found = lowered.reshape(of.rows, 4, len(taken), LANES)
        x = words[: of.block_lines].reshape(of.rows, of.groups, of.columns, LANES)
        assert np.array_equal(found[:, 0], x[:, 1, begin::step])
        for view, c in enumerate(spread, start=1):
            for row in range(of.rows):
                for place, column in enumerate(taken):
                    line = (row * of.groups + c // 4) * of.columns + column
                    codes = words[line : line + 4].view(np.uint8).reshape(4, LANES, 4)[..., c % 4]
                    assert np.array_equal(found[row, view, place].view(np.uint8).reshape(LANES, 4), codes.T)
