"""A Program on the accelerator in Amaranth's own simulator."""

from dataclasses import asdict, dataclass

import numpy as np
from amaranth.sim import Simulator
from numpy.typing import NDArray

from accel.array import MacArray
from accel.errors import EspalierError
from accel.program import Program
from accel.walk import walk_of
from rtl.assemble import Image, assemble, final_layer
from rtl.core.accelerator import Accelerator
from rtl.layout import Layout, Target, packer


@dataclass(frozen=True)
class Run:
    """What the hardware gave for one image.

    Attributes
    ----------
    codes : int64 array, the shape of the Program's output
    cycles, stalls : from start to the last output row taken, and how many of them the receiver was not ready
    """

    codes: NDArray[np.int64]
    cycles: int
    stalls: int


def load_words(image: Image, layout: Layout) -> list[tuple[int, int, int]]:
    """Return (target, address, word) for everything but the signals."""
    words = []
    for target, shape, rows in (
        (Target.WEIGHTS, layout.weights, image.weights),
        (Target.ENTRIES, layout.entry, [asdict(entry) for entry in image.entries]),
        (Target.TAPS, layout.tap, image.taps),
        (Target.CONSTANTS, layout.constant, image.constants),
        (Target.LAYERS, layout.layer, image.layers),
    ):
        pack = packer(shape)
        words += [(int(target), address, pack(row)) for address, row in enumerate(rows)]
    return words


def signal_words(codes: NDArray[np.int64], array: MacArray) -> list[tuple[int, int, int]]:
    """Return (target, address, word) for the codes of one image."""
    flat = codes.ravel() & ((1 << array.signal_bits) - 1)
    return [(int(Target.SIGNALS), address, int(code)) for address, code in enumerate(flat)]


def output_rows(program: Program, array: MacArray) -> list[NDArray[np.int64]]:
    """Return the places in the flattened output of the words of each row, in the order in which the rows leave.

    Tile by tile: groups of maps, rows of pixels, tiles of a row, then the maps of the group, then the pixels.
    """
    last = final_layer(program, array)
    walk = walk_of(program, last, array)
    words, ends = sum(walk.words), np.cumsum(walk.words).tolist()
    return [
        np.arange(end - count, end) + index * words
        for first in range(0, walk.maps, walk.group)
        for count, end in zip(walk.words, ends, strict=True)
        for index in range(first, min(first + walk.group, walk.maps))
        if count
    ]


def simulate(
    program: Program,
    array: MacArray,
    images: NDArray[np.int64],
    ready: float = 1.0,
    rng: np.random.Generator | None = None,
) -> list[Run]:
    """Run `images` (images, maps, height, width) of input codes, one after the other.

    Parameters
    ----------
    program : Program
    array : MacArray
    images : int array
    ready : float
        The share of cycles in which the receiver takes output, at random.
    rng : numpy Generator, optional
        Needed where `ready` is less than 1.

    Raises
    ------
    EspalierError
        The Program or the codes do not fit the array, or `ready` asks for an `rng` that is not there.
    """
    if not (ready == 1 or (0 < ready < 1 and rng is not None)):
        raise EspalierError(f"ready must be above 0 and at most 1, with an rng where it is less, got {ready}, {rng}")
    image = assemble(program, array)
    dut = Accelerator(array, image.formats)
    shape, order = program.shapes[program.output], np.concatenate(output_rows(program, array))
    runs: list[Run] = []

    async def bench(ctx) -> None:  # type: ignore[no-untyped-def]  # Amaranth's context
        await _load(ctx, dut, load_words(image, dut.layout))
        for codes in program.check_codes(images):
            await _load(ctx, dut, signal_words(codes, array))
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            rows = await _collect(ctx, dut, ready, rng)
            while ctx.get(dut.busy):
                await ctx.tick()
            codes = np.empty(shape, np.int64)
            codes.reshape(-1)[order] = rows
            runs.append(Run(codes, ctx.get(dut.cycles), ctx.get(dut.stalls)))

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return runs


async def _load(ctx, dut: Accelerator, words: list[tuple[int, int, int]]) -> None:  # type: ignore[no-untyped-def]
    ctx.set(dut.load.valid, 1)
    for target, address, word in words:
        ctx.set(dut.load.payload, {"target": Target(target), "address": address, "word": word})
        await ctx.tick()
    ctx.set(dut.load.valid, 0)


async def _collect(ctx, dut: Accelerator, ready: float, rng: np.random.Generator | None) -> list[int]:  # type: ignore[no-untyped-def]
    rows: list[int] = []
    while True:
        takes = ready >= 1 or (rng is not None and rng.random() < ready)
        ctx.set(dut.out.ready, int(takes))
        if takes and ctx.get(dut.out.valid):
            row = ctx.get(dut.out.payload)
            rows += [row.row[lane] for lane in range(row.lanes)]
            if row.last:
                await ctx.tick()
                return rows
        await ctx.tick()
