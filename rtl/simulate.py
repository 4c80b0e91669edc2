"""A Program on the accelerator in Amaranth's own simulator."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import cycle

import numpy as np
from amaranth.sim import Simulator
from numpy.typing import NDArray

from accel.array import DEPTHS, MacArray
from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat
from accel.program import Program
from accel.walk import walk_of
from rtl.assemble import assemble, final_layer
from rtl.core.accelerator import Accelerator
from rtl.counters import KINDS, LOADED, Counted, Moment, Sample, counts_of
from rtl.image import Image
from rtl.layout import Layout, Target, packer
from rtl.watch import Row, Watch

Words = list[tuple[int, int, int]]  # (target, address, word)


@dataclass(frozen=True)
class Run:
    """What the hardware gave for one image.

    Attributes
    ----------
    codes : int64 array, the shape of the Program's output
    cycles, stalls : from start to the last output row taken, and how many of them the receiver was not ready
    started : the cycle of the simulation in which it started
    counts : int64 array (1 + layers, memories, 2), words that each memory (of `DEPTHS`) reads and writes for the image:
        while it is loaded, and in each layer; None where they are not counted
    rows : tuple of Row, all that it wrote and handed out, if it is watched
    """

    codes: NDArray[np.int64]
    cycles: int
    stalls: int
    started: int
    counts: NDArray[np.int64] | None = None
    rows: tuple[Row, ...] = ()


def load_words(image: Image, layout: Layout) -> Words:
    """Return (target, address, word) for everything but the signals."""
    words = []
    for target, shape, rows in (
        (Target.WEIGHTS, layout.weights, map(layout.of_weights, image.weights)),
        (Target.ENTRIES, layout.entry, [asdict(entry) for entry in image.entries]),
        (Target.TAPS, layout.tap, image.taps),
        (Target.CONSTANTS, layout.constant, image.constants),
        (Target.LAYERS, layout.layer, image.layers),
        (Target.TABLES, layout.table, [{"code": code} for code in image.tables]),
    ):
        pack = packer(shape)
        words += [(int(target), address, pack(row)) for address, row in enumerate(rows)]
    return words


def signal_words(codes: NDArray[np.int64], array: MacArray, place: int = 0) -> Words:
    """Return (target, address, word) for the codes of an image that goes to `place`: a row of pixels each."""
    lanes, bits = array.pixel_lanes, array.signal_bits
    rows = np.pad(codes.ravel() & ((1 << bits) - 1), (0, -codes.size % lanes)).reshape(-1, lanes).tolist()
    words = [sum(code << lane * bits for lane, code in enumerate(row)) for row in rows]
    return [(int(Target.SIGNALS), place + index * lanes, word) for index, word in enumerate(words)]


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
    rate: Fraction = Fraction(1),
    formats: Sequence[FixedFormat] | None = None,
    counted: bool = False,
    watched: bool = False,
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
    rate : Fraction
        Of streamed weights, the words in each cycle in which the array takes them.
    formats : sequence of FixedFormat, optional
        Those that the hardware is made for, if other Programs run on it too; the Program's own by default.
    counted : bool
        Whether accesses to memories are counted; each image is then loaded when the one before has ended, so that what
        is written while one runs is its own.
    watched : bool
        Whether all that is written is kept in `Run.rows`.

    Raises
    ------
    EspalierError
        The Program or the codes do not fit the array, or `ready` asks for an `rng` that is not there.
    """
    if not (ready == 1 or (0 < ready < 1 and rng is not None)):
        raise EspalierError(f"ready must be above 0 and at most 1, with an rng where it is less, got {ready}, {rng}")
    image = assemble(program, array, formats)
    dut = (Counted if counted else Accelerator)(array, image.formats)
    turns = cycle(image.places)
    loads = [signal_words(codes, array, next(turns)) for codes in program.check_codes(images)]
    source = _Source(image, dut.layout, rate)
    places = 1 if counted else len(image.places)
    bench = _Bench(dut, load_words(image, dut.layout), loads, places, ready, rng, source, watched)
    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench.run)
    simulator.run()
    shape, order = program.shapes[program.output], np.concatenate(output_rows(program, array))
    counts: Sequence[NDArray[np.int64] | None] = [None] * len(bench.runs)
    if counted:
        counts = counts_of(bench.samples, len(images), image.computed, image.owners)
    runs = []
    for run, words in zip(bench.runs, counts, strict=True):
        codes = np.empty(shape, np.int64)
        codes.reshape(-1)[order] = run.codes
        runs.append(replace(run, codes=codes, counts=words))
    return runs


class _Source:
    """Where streamed weights come from: word k is there in the cycle ceil(k / rate) of those in which it is asked."""

    def __init__(self, image: Image, layout: Layout, rate: Fraction) -> None:
        units = [[layout.of_weights(word) for word in unit] for unit in image.units]
        self.words = [(word, index == len(unit) - 1) for unit in units for index, word in enumerate(unit)]
        self.rate, self.asked, self.given = rate, 0, 0

    def offer(self, ctx, dut: Accelerator) -> None:  # type: ignore[no-untyped-def]
        """Offer a word, of the image after the last one too."""
        if not self.words:
            return
        comes = False
        if ctx.get(dut.units.ready):
            self.asked += 1
            comes = self.asked * self.rate >= self.given + 1
        ctx.set(dut.units.valid, comes)
        if comes:
            word, last = self.words[self.given % len(self.words)]
            ctx.set(dut.units.payload, {"word": word, "last": last})
            self.given += 1


class _Bench:
    """The world around the accelerator: gives words whenever they are taken, starts as soon as an image is there.

    Parameters
    ----------
    dut : Accelerator
    words : list of (target, address, word)
        Of the memories, before the first image.
    loads : list of lists of (target, address, word)
        Of each image.
    places : int
        An image is loaded when the one that had its place before has ended: so many images before it.
    ready : float
    rng : numpy Generator or None
    """

    def __init__(
        self,
        dut: Accelerator | Counted,
        words: Words,
        loads: list[Words],
        places: int,
        ready: float,
        rng: np.random.Generator | None,
        source: "_Source",
        watched: bool,
    ) -> None:
        self.dut, self.words, self.loads, self.places = dut, words, loads, places
        self.ready, self.rng, self.source = ready, rng, source
        self.runs: list[Run] = []
        self.rows: list[int] = []
        self.samples: list[Sample] = []
        self.watch = Watch(dut, watched)
        self.now, self.started, self.running = 0, 0, False

    async def run(self, ctx) -> None:  # type: ignore[no-untyped-def]  # Amaranth's context
        """Run every image."""
        await _load(ctx, self.dut, self.words)
        await ctx.tick().repeat(LOADED)
        self._sample(ctx, Moment.END)
        waiting = [(index, word) for index, words in enumerate(self.loads) for word in words]
        waiting.reverse()
        while len(self.runs) < len(self.loads):
            loaded = waiting[-1][0] if waiting else len(self.loads)  # so many images are in their places
            self._end_or_start(ctx, loaded)
            beats = bool(waiting) and loaded < len(self.runs) + self.places
            ctx.set(self.dut.load.valid, beats)
            if beats:
                ctx.set(self.dut.load.payload, _payload(*waiting[-1][1]))
            self._take(ctx)
            self.source.offer(ctx, self.dut)
            self.watch.see(ctx)
            if isinstance(self.dut, Counted):
                for moment, now in ((Moment.TURN, self.dut.turn), (Moment.UNIT, self.dut.unit)):
                    if ctx.get(now):
                        self._sample(ctx, moment)
            if beats and ctx.get(self.dut.load.ready):
                waiting.pop()
            await ctx.tick()
            self.now += 1

    def _end_or_start(self, ctx, loaded: int) -> None:  # type: ignore[no-untyped-def]
        """Note what an image gave that has ended; start the next one if it is there."""
        idle = not ctx.get(self.dut.busy)
        if self.running and idle:
            counts = ctx.get(self.dut.cycles), ctx.get(self.dut.stalls)
            self.runs.append(Run(np.array(self.rows), *counts, self.started, rows=self.watch.taken()))
            self.running = False
            self._sample(ctx, Moment.END)
        starts = idle and len(self.runs) < loaded
        ctx.set(self.dut.start, starts)
        if starts:
            self.running, self.started, self.rows = True, self.now, []

    def _sample(self, ctx, moment: Moment) -> None:  # type: ignore[no-untyped-def]
        """Note what is counted up to now, if anything is."""
        if isinstance(self.dut, Counted):
            counts = ctx.get(self.dut.counts)
            self.samples.append(Sample(moment, [counts[name][kind] for name in DEPTHS for kind in KINDS]))

    def _take(self, ctx) -> None:  # type: ignore[no-untyped-def]
        """Take a row, or hold it back."""
        takes = self.ready >= 1 or (self.rng is not None and self.rng.random() < self.ready)
        ctx.set(self.dut.out.ready, takes)
        if takes and ctx.get(self.dut.out.valid):
            row = ctx.get(self.dut.out.payload)
            self.rows += [row.row[lane] for lane in range(row.lanes)]


async def _load(ctx, dut: Accelerator, words: Words) -> None:  # type: ignore[no-untyped-def]
    """Give words to the load stream while nothing runs: each is taken at once."""
    ctx.set(dut.load.valid, 1)
    for word in words:
        ctx.set(dut.load.payload, _payload(*word))
        await ctx.tick()
    ctx.set(dut.load.valid, 0)


def _payload(target: int, address: int, word: int) -> dict[str, int]:
    return {"target": Target(target), "address": address, "word": word}
