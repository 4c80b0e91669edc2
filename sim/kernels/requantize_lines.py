"""Accumulators of four outputs to one line of codes, in registers: the modes of rounding and overflow that are usual.

Where rounding adds a constant before the shift and overflow saturates, a code is ::

    (min(max(accumulator, low), high) * multiplier + addend) >> shift

with `low` and `high` the ends of what does not saturate. The addend holds the rounding, the output's offset, and what
is added to a code to store it, so that no sum is negative. Products have 64 bits: those of even and of odd images are
worked out apart. `sim.packed.requantize_constants` finds the constants.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from sim.kernels.compiled import inlined
from sim.kernels.dots import I32, I64, LANES, LINE_BYTES, RUN, RUNS, SHAPES, Value

LOW, HIGH, MULTIPLIER, ADDEND = range(4)  # the places of an output's constants
CONSTANTS = 4


class Finisher:
    """Writes the code for one line; addresses in bytes."""

    def __init__(self, builder: Any, lanes: int, arguments: list[Value]) -> None:
        self.b, self.lanes = builder, lanes
        self.sums, self.constants, self.shift, self.out = arguments
        self.narrow, self.wide = ir.VectorType(I32, lanes), ir.VectorType(I64, lanes // 2)

    def load(self, kind: Any, address: Value, offset: int, align: int) -> Value:
        """Return what lies `offset` bytes from `address`."""
        place = self.b.add(address, ir.Constant(I64, offset))
        return self.b.load(self.b.inttoptr(place, kind.as_pointer()), align=align)

    def splat(self, kind: Any, value: Value) -> Value:
        """Return a register full of `value`."""
        none = ir.Constant(kind, ir.Undefined)
        first = self.b.insert_element(none, value, ir.Constant(I32, 0))
        return self.b.shuffle_vector(first, none, ir.Constant(ir.VectorType(I32, kind.count), None))

    def constant(self, output: int, place: int, kind: Any) -> Value:
        """Return one of the constants of an output in every lane of a register."""
        value = self.load(I64, self.constants, 8 * (CONSTANTS * output + place), 8)
        return self.splat(kind, self.b.trunc(value, I32) if kind is self.narrow else value)

    def short(self, value: Value) -> Value:
        """Return the lower halves of 64 bits as signed numbers: LLVM then knows that a product is one of 32 bits."""
        sides = ir.Constant(self.wide, [32] * self.wide.count)
        return self.b.ashr(self.b.shl(value, sides), sides)

    def larger(self, a: Value, b: Value) -> Value:
        """Return the larger of each two."""
        return self.b.select(self.b.icmp_signed(">", a, b), a, b)

    def smaller(self, a: Value, b: Value) -> Value:
        """Return the smaller of each two."""
        return self.b.select(self.b.icmp_signed("<", a, b), a, b)

    def write(self, pixels: list[int], row_bytes: int) -> None:
        """Write the line of the largest sums among `pixels`, which are bytes from the first one's accumulators."""
        for first in range(0, LANES, self.lanes):
            self.write_lanes([pixel + 4 * first for pixel in pixels], row_bytes, 4 * first)

    def write_lanes(self, pixels: list[int], row_bytes: int, offset: int) -> None:
        """Write some lanes of the line."""
        b, sides = self.b, ir.Constant(self.wide, [32] * self.wide.count)
        shift, words = self.splat(self.wide, self.shift), []
        for output in range(4):
            sums = [self.load(self.narrow, self.sums, output * row_bytes + at, 4 * self.lanes) for at in pixels]
            largest = sums[0]
            for other in sums[1:]:
                largest = self.larger(largest, other)
            largest = self.larger(largest, self.constant(output, LOW, self.narrow))
            pair = b.bitcast(self.smaller(largest, self.constant(output, HIGH, self.narrow)), self.wide)
            codes = [
                self.code(output, side, shift) for side in (b.ashr(b.shl(pair, sides), sides), b.ashr(pair, sides))
            ]
            places = ir.Constant(self.wide, [8 * output] * self.wide.count)
            words.append([b.shl(code, places) for code in codes] if output else codes)
        even, odd = words[0]
        for more_even, more_odd in words[1:]:
            even, odd = b.or_(even, more_even), b.or_(odd, more_odd)
        place = b.add(self.out, ir.Constant(I64, offset))
        b.store(b.or_(even, b.shl(odd, sides)), b.inttoptr(place, self.wide.as_pointer()), align=4 * self.lanes)

    def code(self, output: int, sums: Value, shift: Value) -> Value:
        """Return the codes of sums that are 64 bits wide."""
        products = self.b.mul(sums, self.short(self.constant(output, MULTIPLIER, self.wide)))
        return self.b.lshr(self.b.add(products, self.constant(output, ADDEND, self.wide)), shift)


def _finish_line(rows: int, pooled: bool) -> Callable[..., Any]:
    """Return the intrinsic for tiles of lists of `rows` outputs."""
    run_bytes = RUN[rows] * LINE_BYTES
    pixels = [0, LINE_BYTES, run_bytes, run_bytes + LINE_BYTES] if pooled else [0]

    @intrinsic
    def finish_line(typing, kernel, sums, constants, shift, out):  # type: ignore[no-untyped-def]
        lanes = SHAPES[kernel.instance_class, rows, False].lanes

        def emit(context: Any, builder: Any, signature: Any, arguments: list[Value]) -> Value:
            Finisher(builder, lanes, arguments[1:]).write(pixels, RUNS[rows] * run_bytes)
            return context.get_dummy_value()

        return types.void(kernel, *[types.int64] * 4), emit

    return finish_line


_line_of_four, _pooled_of_four = _finish_line(4, False), _finish_line(4, True)
_line_of_one, _pooled_of_one = _finish_line(1, False), _finish_line(1, True)


@inlined
def finish_line(kernel: Any, sums: Any, constants: Any, shift: Any, out: Any) -> None:
    """Write the line of one pixel.

    Parameters
    ----------
    kernel : one of `sim.kernels.dots.Kind`
    sums : address of the pixel's accumulators in int32 (4, `RUNS` * `RUN`, 16)
    constants : address of int64 (4, 4)
    shift : int
    out : address of a line
    """
    if kernel.rows == 4:
        _line_of_four(kernel, sums, constants, shift, out)
    else:
        _line_of_one(kernel, sums, constants, shift, out)


@inlined
def finish_pooled(kernel: Any, sums: Any, constants: Any, shift: Any, out: Any) -> None:
    """Write the line of two by two pixels, of which the largest sum has the largest code; `sums` is the first's."""
    if kernel.rows == 4:
        _pooled_of_four(kernel, sums, constants, shift, out)
    else:
        _pooled_of_one(kernel, sums, constants, shift, out)
