"""The innermost loops of `sim.kernels.dots`: every set of instructions this processor has, against sums written out."""

import itertools
from typing import Any

import numpy as np
import pytest
from numba import njit

from sim.instructions import KERNELS, available
from sim.kernels import dots, requantize_lines, roof
from sim.kernels.dots import LANES, LINE_BYTES, ROWS, RUN, RUNS, SHAPES
from sim.packed.tensors import aligned
from sim.packed.word_lists import word_codes

KINDS = [(name, rows, paired) for name in available() for rows in ROWS for paired in (False, True)]
every_kind = pytest.mark.parametrize(("name", "rows", "paired"), KINDS)
LINES = 64
RUN_LINES, PITCH_LINES = 5, 2  # from run to run and from line to line: no two lines of a tile are the same


@njit
def sum_once(kernel, x, run, pitch, places, weights, bias, out):  # type: ignore[no-untyped-def]
    """Call the kernel as `sim.kernels.packed` does."""
    dots.sum_products(
        kernel,
        x.ctypes.data,
        run,
        pitch,
        places.ctypes.data,
        weights.ctypes.data,
        len(places),
        bias.ctypes.data,
        out.ctypes.data,
    )


@njit
def finish_once(kernel, pooled, sums, constants, shift, out):  # type: ignore[no-untyped-def]
    """Write one line."""
    if pooled:
        requantize_lines.finish_pooled(kernel, sums.ctypes.data, constants.ctypes.data, shift, out.ctypes.data)
    else:
        requantize_lines.finish_line(kernel, sums.ctypes.data, constants.ctypes.data, shift, out.ctypes.data)


def run_kernel(name: str, x: Any, places: Any, weights: Any, bias: Any, paired: bool) -> Any:
    """Return the accumulators (rows, pixels, images) that a kernel gives for lines (lines, images, 4)."""
    rows = weights.shape[1]
    memory = aligned((LINES, LANES), np.uint32)
    memory.view(np.uint8)[:] = x.reshape(LINES, -1)
    out = aligned((rows, RUNS[rows] * RUN[rows], LANES), np.int32)
    words = word_codes(weights, KERNELS[name])
    offsets = np.asarray(places, np.int64) * LINE_BYTES
    steps = RUN_LINES * LINE_BYTES, PITCH_LINES * LINE_BYTES
    sum_once(KERNELS[name](rows, paired), memory, *steps, offsets, words, np.asarray(bias, np.int32), out)
    return out


def sums_written_out(x: Any, places: Any, weights: Any, bias: Any) -> Any:
    """Return the same, one multiplication after another; `weights` are (entries, rows, pixels of a line, 4)."""
    _, rows, beside, _ = weights.shape
    run, runs = RUN[rows], RUNS[rows]
    out = np.zeros((rows, runs * run, LANES), np.int64)
    for row, r, i, image in itertools.product(range(rows), range(runs), range(run), range(LANES)):
        line, pixel = r * RUN_LINES + i // beside * PITCH_LINES, i % beside
        total = int(bias[row])
        for place, entry in zip(places, weights, strict=True):
            total += sum(int(w) * int(c) for w, c in zip(entry[row, pixel], x[line + place, image], strict=True))
        out[row, r * run + i, image] = (total + 2**31) % 2**32 - 2**31
    return out


def example(rows: int, paired: bool, entries: int = 3, seed: int = 0) -> tuple[Any, ...]:
    """Return lines, places, weights and biases."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-128, 128, (entries, rows, 1 + paired, 4))
    return rng.integers(0, 256, (LINES, LANES, 4)), rng.integers(0, 30, entries), weights, rng.integers(-999, 999, rows)


class TestSums:
    @every_kind
    @pytest.mark.parametrize("entries", [0, 1, 2, 7])
    def test_are_those_written_out(self, name: str, rows: int, paired: bool, entries: int) -> None:
        """Every output, pixel and image gets its bias and the products of its list, however long that is."""
        of = example(rows, paired, entries)
        assert np.array_equal(run_kernel(name, *of, paired), sums_written_out(*of))

    @every_kind
    @pytest.mark.parametrize("weight", [-128, 127])
    def test_nothing_saturates_on_the_way(self, name: str, rows: int, paired: bool, weight: int) -> None:
        """255 times the largest weights, 28 products: 16-bit sums of two would saturate, and 32 bits hold them."""
        x = np.full((LINES, LANES, 4), 255)
        weights = np.full((7, rows, 1 + paired, 4), weight)
        found = run_kernel(name, x, range(7), weights, np.zeros(rows), paired)
        assert np.unique(found).tolist() == [28 * 255 * weight]

    @every_kind
    def test_are_modulo_32_bits(self, name: str, rows: int, paired: bool) -> None:
        """A sum past the highest 32-bit number wraps, as the biases of signed inputs need."""
        x, weights = np.ones((LINES, LANES, 4), int), np.ones((1, rows, 1 + paired, 4), int)
        found = run_kernel(name, x, [0], weights, np.full(rows, 2**31 - 1), paired)
        assert np.unique(found).tolist() == [2**31 - 1 + 4 - 2**32]

    @every_kind
    @pytest.mark.parametrize("byte", range(4))
    def test_one_wrong_weight_is_seen(self, name: str, rows: int, paired: bool, byte: int) -> None:
        """The comparison can fail: a weight that is off by one changes exactly the sums of its output and pixels."""
        x, places, weights, bias = example(rows, paired)
        x = np.maximum(x, 1)
        wrong = weights.copy()
        place = 1, rows - 1, int(paired), byte
        wrong[place] += 1 if wrong[place] < 127 else -1
        right, found = (run_kernel(name, x, places, w, bias, paired) for w in (weights, wrong))
        differ = (right != found).all(axis=2)
        assert differ[-1].tolist() == [not paired or i % 2 == 1 for i in range(RUN[rows] * RUNS[rows])]
        assert not differ[:-1].any()

    def test_the_roof_runs_the_same_loop(self) -> None:
        """What the peak is measured with leaves the sums of its lists."""
        kernel, x = KERNELS[available()[0]](4, False), aligned((LINES, LANES), np.uint32)
        x[:] = 1
        out, bias = aligned((16, LANES), np.int32), np.arange(4, dtype=np.int32)
        words = word_codes(np.tile([1, 0, 0, 0], (5, 4, 1)), type(kernel))
        roof.run(kernel, 3, x, np.zeros(5, np.int64), words, bias, out)
        assert out.reshape(4, 4, LANES)[:, 0, 0].tolist() == [5, 6, 7, 8]


class TestShapes:
    @pytest.mark.parametrize("shape", SHAPES.values(), ids=str)
    def test_parts_are_every_line_once(self, shape: dots.Shape) -> None:
        """The parts of a tile together are each of its registers of codes, once."""
        places = [place for part in shape.parts() for place in part]
        lines = RUN[shape.rows] // shape.beside
        expected = itertools.product(range(RUNS[shape.rows]), range(lines), range(0, LANES, shape.lanes))
        assert sorted(places) == sorted(expected)

    @pytest.mark.parametrize("shape", SHAPES.values(), ids=str)
    def test_accumulators_fit_the_registers(self, shape: dots.Shape) -> None:
        """AVX-512 has 32 registers, AVX2 has 16, and codes and a weight need some too."""
        sums = shape.rows * shape.beside * shape.at_once
        assert sums <= (16 if shape.lanes == 16 else 8)


MODULUS = 2**20


class TestLines:
    @pytest.mark.parametrize("name", available())
    @pytest.mark.parametrize("rows", ROWS)
    @pytest.mark.parametrize("pooled", [False, True])
    def test_are_the_formula(self, name: str, rows: int, pooled: bool) -> None:
        """Byte i of each word is the code of output i; of pooled pixels the largest sum counts, run by run."""
        rng = np.random.default_rng(1)
        run = RUN[rows]
        sums = aligned((4, run * RUNS[rows], LANES), np.int32)
        sums[:] = rng.integers(-MODULUS, MODULUS, sums.shape)
        low, high = np.array([-5000, 0, -90000, -(2**31)]), np.array([9000, 80000, 2**19, 2**31 - 1])
        shift, multiplier = 14, np.array([3, 41, 7, 1])
        addend = 8192 - np.maximum(low, -MODULUS) * multiplier
        high = np.minimum(high, ((256 << shift) - 1 - addend) // multiplier)
        constants = np.stack([low, high, multiplier, addend], axis=1).astype(np.int64)
        out = aligned((LANES,), np.uint32)
        finish_once(KERNELS[name](rows, False), pooled, sums, constants, shift, out)
        pixels = [0, 1, run, run + 1] if pooled else [0]
        taken = np.clip(sums[:, pixels].max(axis=1), low[:, None], high[:, None]).astype(np.int64)
        codes = (taken * multiplier[:, None] + addend[:, None]) >> shift
        assert codes.min() >= 0
        assert codes.max() <= 255
        assert len(np.unique(codes)) > 8  # the formula gives many codes
        assert np.array_equal(out.view(np.uint8).reshape(LANES, 4), codes.T)
