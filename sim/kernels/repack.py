"""Codes moved between memory layouts, a line at a time in registers, as LLVM instructions that numba compiles in.

Images come as bytes, row by row. A line has 16 of them side by side, each with the codes of four maps; where a map is
spread, with the codes of four columns of one map::

    image 0:  a0 a1 a2 a3 a4 ..        line of column 0:  a0 . . .  b0 . . .  c0 . . .  ..    packed, one map
    image 1:  b0 b1 b2 b3 b4 ..        line of column 0:  a0a1a2a3  b0b1b2b3  c0c1c2c3  ..    spread
    image 2:  c0 c1 c2 c3 c4 ..        line of column 1:  a1a2a3a4  b1b2b3b4  c1c2c3c4  ..
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from sim.kernels.dots import I32, I64, LANES, LINE_BYTES, Value

LINE = ir.VectorType(I32, LANES)
AT_ONCE = 4  # columns of an image that `pack_columns` takes: the bytes of a word


def _all(value: int) -> Value:
    """Return a line of one constant."""
    return ir.Constant(LINE, [value] * LANES)


def _load(b: Any, address: Value, kind: Any = LINE, align: int = LINE_BYTES) -> Value:
    """Return what lies at `address`."""
    return b.load(b.inttoptr(address, kind.as_pointer()), align=align)


def _store(b: Any, line: Value, address: Value) -> None:
    """Write a line to `address`."""
    b.store(line, b.inttoptr(address, LINE.as_pointer()), align=LINE_BYTES)


def _splat(b: Any, word: Value) -> Value:
    """Return a line full of `word`."""
    none = ir.Constant(LINE, ir.Undefined)
    first = b.insert_element(none, b.trunc(word, I32), ir.Constant(I32, 0))
    return b.shuffle_vector(first, none, ir.Constant(LINE, None))


@intrinsic
def copy_line(typing, source, out):  # type: ignore[no-untyped-def]
    """Copy the line at the address `source` to the address `out`."""

    def emit(context: Any, builder: Any, signature: Any, arguments: list[Value]) -> Value:
        _store(builder, _load(builder, arguments[0]), arguments[1])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), emit


@intrinsic
def spread_line(typing, source, shift, out):  # type: ignore[no-untyped-def]
    """Write the line of a spread map from the four lines at `source`, in whose words its codes are `shift` bits up."""

    def emit(context: Any, b: Any, signature: Any, arguments: list[Value]) -> Value:
        source, shift, out = arguments
        up, word = _splat(b, shift), _all(0)
        for column in range(4):
            line = _load(b, b.add(source, ir.Constant(I64, column * LINE_BYTES)))
            code = b.and_(b.lshr(line, up), _all(255))
            word = b.or_(word, b.shl(code, _all(8 * column)))
        _store(b, word, out)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), emit


def _pack_columns(maps: int) -> Callable[..., Any]:
    """Return the intrinsic for a group in which so many maps are taken."""

    @intrinsic
    def pack_columns(typing, lanes, first, second, third, fourth, out):  # type: ignore[no-untyped-def]
        """Write the lines of four columns.

        `lanes` is the address of int64 (16,), the bytes from the first image to each; then the addresses of each map's
        first column in the first image, of which as many are read as there are maps; `out` is that of the first line.
        """

        def emit(context: Any, b: Any, signature: Any, arguments: list[Value]) -> Value:
            words = [_words(b, arguments[0], place) for place in arguments[1 : 1 + maps]]
            for column in range(AT_ONCE):
                line = _all(0)
                for place, word in enumerate(words):
                    code = b.and_(b.lshr(word, _all(8 * column)), _all(255))
                    line = b.or_(line, b.shl(code, _all(8 * place)))
                _store(b, line, b.add(arguments[5], ir.Constant(I64, column * LINE_BYTES)))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), emit

    return pack_columns


def _words(b: Any, lanes: Value, place: Value) -> Value:
    """Return four bytes of each image."""
    line = ir.Constant(LINE, ir.Undefined)
    for lane in range(LANES):
        offset = _load(b, b.add(lanes, ir.Constant(I64, 8 * lane)), I64, 8)
        line = b.insert_element(line, _load(b, b.add(place, offset), I32, 1), ir.Constant(I32, lane))
    return line


pack_of_one, pack_of_two, pack_of_three, pack_of_four = (_pack_columns(maps) for maps in (1, 2, 3, 4))
