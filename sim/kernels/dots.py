"""The innermost loop of packed layers, one for each instruction set, as LLVM instructions that numba compiles in.

A line is 16 words of 32 bits: the same four codes (0..255, one byte each) of 16 images. A tile is some runs of lines,
its pixels, the first four of them drawn. For each entry of a list, a place relative to the tile and four signed 8-bit
weights for each output, ::

            line 0   line 1   line 2   line 3            accumulator[output][pixel][image] +=
    run 0   p0       p1                                      sum(weight[output][i] * byte[pixel + place][image][i]
    run 1   p2       p3                                          for i in 0..3)

modulo 2**32, with all accumulators of a part of the tile in registers. No product or sum saturates on its way.

Where lines are of pairs, a line holds four columns of one map, which are enough for two pixels side by side: for the
second the weights stand one byte higher. An entry then has weights for both, ::

    codes in columns  x  x+1  x+2  x+3          pixel x:  w0 w1 w2 .        pixel x+1:  . w0 w1 w2

and half as many lines are loaded.

Where weights are pairs (`WORDS`), a weight is two words of two 16-bit numbers: those of bytes 0 and 2, and of 1 and 3.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from sim.kernels.compiled import inlined


class Avx512Vnni(NamedTuple):
    """Sums of four products of bytes, 16 at a time."""

    rows: int
    paired: bool


class AvxVnni(NamedTuple):
    """Sums of four products of bytes, eight at a time."""

    rows: int
    paired: bool


class Avx2(NamedTuple):
    """Sums of two products of 16-bit numbers, eight at a time."""

    rows: int
    paired: bool


class Portable(NamedTuple):
    """Whatever LLVM makes of multiplications and additions."""

    rows: int
    paired: bool


Kind = type[Avx512Vnni] | type[AvxVnni] | type[Avx2] | type[Portable]
WORDS: dict[Kind, int] = {Avx512Vnni: 1, AvxVnni: 1, Avx2: 2, Portable: 2}  # 32-bit words that four weights take
NEEDS: dict[Kind, tuple[str, ...]] = {  # names of LLVM's features
    Avx512Vnni: ("avx512f", "avx512bw", "avx512vnni"),
    AvxVnni: ("avx2", "avxvnni"),
    Avx2: ("avx2",),
    Portable: (),
}
LINE_BYTES = 64
LANES = 16  # images in a line
ROWS = (4, 1)  # outputs that a list may serve
RUN = {4: 2, 1: 4}  # pixels in each of a tile's runs, by outputs
RUNS = {4: 2, 1: 4}  # runs of a tile

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
Value = Any  # an LLVM value


def missing(kernel: Kind) -> list[str]:
    """Return the features that `kernel` needs and numba does not compile for."""
    if numba.config.CPU_NAME or numba.config.CPU_FEATURES:  # the user asks numba for another processor
        features = {text[1:]: text[0] == "+" for text in (numba.config.CPU_FEATURES or "").split(",") if text}
    else:
        features = binding.get_host_cpu_features()
    return [name for name in NEEDS[kernel] if not features.get(name)]


@dataclass(frozen=True)
class Shape:
    """How a kernel holds a tile in registers."""

    kernel: Kind
    rows: int  # outputs
    paired: bool  # a line has the codes of two pixels side by side
    lanes: int  # images in a register
    at_once: int  # registers of codes, each for all outputs

    @property
    def beside(self) -> int:
        """Pixels whose codes are in one line."""
        return 2 if self.paired else 1

    @property
    def vector(self) -> ir.VectorType:
        """The type of a register of accumulators."""
        return ir.VectorType(I32, self.lanes)

    def parts(self) -> Iterator[list[tuple[int, int, int]]]:
        """Yield what is summed up together: (run, line of the run, first image) for each register."""
        lines, images = RUN[self.rows] // self.beside, range(0, LANES, self.lanes)
        places = [(run, i, h) for run in range(RUNS[self.rows]) for i in range(lines) for h in images]
        for first in range(0, len(places), self.at_once):
            yield places[first : first + self.at_once]


class Emitter:
    """Writes the loop of one kernel; `arguments` are those of `sum_products`, addresses in bytes."""

    def __init__(self, builder: Any, shape: Shape, arguments: list[Value]) -> None:
        self.b, self.shape = builder, shape
        self.x, self.run, self.pitch, self.places, self.weights, self.entries, self.bias, self.out = arguments
        self.words = WORDS[shape.kernel]

    def load(self, kind: Any, address: Value, align: int) -> Value:
        """Return what lies at `address`."""
        return self.b.load(self.b.inttoptr(address, kind.as_pointer()), align=align)

    def at(self, address: Value, offset: int) -> Value:
        """Return an address `offset` bytes on."""
        return self.b.add(address, ir.Constant(I64, offset)) if offset else address

    def splat(self, word: Value) -> Value:
        """Return a register full of `word`."""
        none = ir.Constant(self.shape.vector, ir.Undefined)
        first = self.b.insert_element(none, word, ir.Constant(I32, 0))
        return self.b.shuffle_vector(first, none, ir.Constant(ir.VectorType(I32, self.shape.lanes), None))

    def sum_products(self) -> None:
        """Write the code for the whole tile, part by part."""
        for part in self.shape.parts():
            self.sum_part(part)

    def sum_part(self, part: list[tuple[int, int, int]]) -> None:
        """Write the loop over the entries for some registers of codes."""
        b, beside = self.b, self.shape.beside
        rows = range(self.shape.rows * beside)
        bases = [self.base(*place) for place in part]
        biases = [self.splat(self.load(I32, self.at(self.bias, 4 * (row // beside)), 4)) for row in rows]
        before, head, body, done = b.block, *(b.append_basic_block() for _ in range(3))
        b.branch(head)
        b.position_at_end(head)
        entry = b.phi(I64)
        entry.add_incoming(ir.Constant(I64, 0), before)
        sums = [[b.phi(self.shape.vector) for _ in part] for _ in rows]
        for row in rows:
            for phi in sums[row]:
                phi.add_incoming(biases[row], before)
        b.cbranch(b.icmp_signed("<", entry, self.entries), body, done)
        b.position_at_end(body)
        added = self.step(entry, bases, sums)
        entry.add_incoming(b.add(entry, ir.Constant(I64, 1)), body)
        for row in rows:
            for phi, value in zip(sums[row], added[row], strict=True):
                phi.add_incoming(value, body)
        b.branch(head)
        b.position_at_end(done)
        for row in rows:
            for (run, place, image), value in zip(part, sums[row], strict=True):
                first = (row // beside * RUNS[self.shape.rows] + run) * RUN[self.shape.rows]
                line = first + place * beside + row % beside
                address = self.at(self.out, line * LINE_BYTES + 4 * image)
                b.store(value, b.inttoptr(address, self.shape.vector.as_pointer()), align=4 * self.shape.lanes)

    def base(self, run: int, line: int, image: int) -> Value:
        """Return the address of a line, from which the places of the entries count."""
        start = self.b.add(self.x, self.b.mul(self.run, ir.Constant(I64, run)))
        return self.at(self.b.add(start, self.b.mul(self.pitch, ir.Constant(I64, line))), 4 * image)

    def step(self, entry: Value, bases: list[Value], sums: list[list[Value]]) -> list[list[Value]]:
        """Add the products of one entry."""
        b, shape = self.b, self.shape
        place = self.load(I64, b.add(self.places, b.shl(entry, ir.Constant(I64, 3))), 8)
        codes = [self.load(shape.vector, b.add(base, place), 4 * shape.lanes) for base in bases]
        rows = shape.rows * shape.beside
        stride = ir.Constant(I64, 4 * self.words * rows)
        first = b.add(self.weights, b.mul(entry, stride))
        operands = [self.operands(code) for code in codes]
        added = []
        for row in range(rows):
            places = [self.at(first, 4 * (row * self.words + i)) for i in range(self.words)]
            weights = [self.splat(self.load(I32, place, 4)) for place in places]
            added.append([self.dot(acc, xs, weights) for acc, xs in zip(sums[row], operands, strict=True)])
        return added

    def operands(self, codes: Value) -> list[Value]:
        """Return a register of codes as `dot` multiplies it: bytes, or 16-bit numbers from bytes 0 and 2, 1 and 3."""
        if self.words == 1:
            return [codes]
        low = ir.Constant(self.shape.vector, [0x00FF00FF] * self.shape.lanes)
        eight = ir.Constant(self.shape.vector, [8] * self.shape.lanes)
        return [self.b.and_(codes, low), self.b.and_(self.b.lshr(codes, eight), low)]

    def dot(self, acc: Value, codes: list[Value], weights: list[Value]) -> Value:
        """Return accumulators plus products."""
        if self.words == 1:  # the narrow one is the same instruction for LLVM, whichever way it is encoded
            v, bits = self.shape.vector, 32 * self.shape.lanes
            name = f"llvm.x86.avx512.vpdpbusd.{bits}"
            return self.b.call(self.declared(name, v, [v, v, v]), [acc, *codes, *weights])
        for x, weight in zip(codes, weights, strict=True):
            acc = self.b.add(acc, self.pairs(x, weight))
        return acc

    def pairs(self, x: Value, weight: Value) -> Value:
        """Return the sum of the two 16-bit products in each lane."""
        b, lanes = self.b, self.shape.lanes
        short = ir.VectorType(I16, 2 * lanes)
        x, weight = b.bitcast(x, short), b.bitcast(weight, short)
        if self.shape.kernel is Avx2:
            return b.call(self.declared("llvm.x86.avx2.pmadd.wd", self.shape.vector, [short, short]), [x, weight])
        wide = ir.VectorType(I32, 2 * lanes)
        products = b.mul(b.sext(x, wide), b.sext(weight, wide))
        sides = [
            b.shuffle_vector(products, products, ir.Constant(self.shape.vector, list(range(first, 2 * lanes, 2))))
            for first in (0, 1)
        ]
        return b.add(*sides)

    def declared(self, name: str, result: Any, takes: list[Any]) -> Value:
        """Return LLVM's intrinsic function `name`."""
        module = self.b.module
        return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, takes), name)


SHAPES: dict[tuple[Kind, int, bool], Shape] = {
    (shape.kernel, shape.rows, shape.paired): shape
    for shape in (
        Shape(Avx512Vnni, 4, False, 16, 4),
        Shape(Avx512Vnni, 1, False, 16, 16),
        Shape(Avx512Vnni, 4, True, 16, 2),
        Shape(Avx512Vnni, 1, True, 16, 8),
        *(
            Shape(kernel, rows, paired, 8, at_once)
            for kernel in (AvxVnni, Avx2, Portable)
            for rows, paired, at_once in ((4, False, 2), (1, False, 8), (4, True, 1), (1, True, 4))
        ),
    )
}


def _sum_products(rows: int, paired: bool) -> Callable[..., Any]:
    """Return the intrinsic for lists of `rows` outputs; the type of its first argument says by which instructions."""

    @intrinsic
    def sum_products(typing, kernel, x, run, pitch, places, weights, entries, bias, out):  # type: ignore[no-untyped-def]
        shape = SHAPES[kernel.instance_class, rows, paired]

        def emit(context: Any, builder: Any, signature: Any, arguments: list[Value]) -> Value:
            Emitter(builder, shape, arguments[1:]).sum_products()
            return context.get_dummy_value()

        return types.void(kernel, *[types.int64] * 8), emit

    return sum_products


_of_four, _of_one = _sum_products(4, False), _sum_products(1, False)
_pairs_of_four, _pairs_of_one = _sum_products(4, True), _sum_products(1, True)


@inlined
def sum_products(
    kernel: Any, x: Any, run: Any, pitch: Any, places: Any, weights: Any, entries: Any, bias: Any, out: Any
) -> None:
    """Sum up one list over one tile.

    Parameters
    ----------
    kernel : one of `Kind`
        The instructions; the outputs that share a list, one of `ROWS`; whether lines are of pairs.
    x : address of the first run's first line
    run : bytes from each run to the next
    pitch : bytes from a line of a run to the next
    places : address of int64 (entries,)
        Bytes from a line to that of the entry.
    weights : address of uint32 (entries, rows, pixels of a line, `WORDS`)
    entries : int
    bias : address of int32 (rows,)
    out : address of int32 (rows, `RUNS` * `RUN`, 16), of `LINE_BYTES` aligned
    """
    if kernel.rows == 4 and kernel.paired:
        _pairs_of_four(kernel, x, run, pitch, places, weights, entries, bias, out)
    elif kernel.rows == 4:
        _of_four(kernel, x, run, pitch, places, weights, entries, bias, out)
    elif kernel.paired:
        _pairs_of_one(kernel, x, run, pitch, places, weights, entries, bias, out)
    else:
        _of_one(kernel, x, run, pitch, places, weights, entries, bias, out)
