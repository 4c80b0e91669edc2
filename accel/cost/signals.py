"""On-chip memory of signals: which tensors must be held at the same time, and how many bits that takes.

`live_signals` is what the array does (`accel.fusion.held_on`). `signal_plans` sets three ways beside it that hardware
of another kind could take: fixed buffers in turn, writing in place, and lines instead of whole maps.
"""

import heapq
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from accel.array import MacArray
from accel.fusion import held_on
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import (
    AddLayer,
    AvgPoolLayer,
    ClipLayer,
    FlattenLayer,
    MacLayer,
    MaxPoolLayer,
    MulLayer,
    ProgramLayer,
    ReluLayer,
    TableLayer,
)
from accel.window import Window

PLANS = LIVE, PING_PONG, IN_PLACE, LINE_BUFFER = "live tensors", "ping-pong", "in place", "line buffer"
_POINT = Window((1, 1))


@dataclass(frozen=True, kw_only=True)
class SignalPlan:
    """A way to hold signals, and the bits that it takes.

    `parts` says of what they are the sum: tensors that are held at the peak, buffers, or the lines of each tensor.
    """

    name: str  # one of `PLANS`
    bits: int
    parts: dict[str, int]
    peak: str = ""  # the layer that runs when most is held, where layers run one after another
    in_place: tuple[str, ...] = ()  # layers that write where they read


def live_signals(program: Program, array: MacArray | None = None) -> dict[str, dict[str, int]]:
    """Return, for each layer in running order, the bits of every tensor that is held while it runs.

    `accel.fusion.held_on` says which, of an array that leaves nothing out unless one is given; a tensor's bits are its
    words times the bits of its signal.
    """
    return _bits_of(program, held_on(program, array or MacArray()))


def peak_signals(program: Program) -> tuple[str, int]:
    """Return the layer that holds the most bits of signals while it runs, and how many; the first if several do."""
    totals = {name: sum(held.values()) for name, held in live_signals(program).items()}
    name = max(totals, key=lambda layer: totals[layer])
    return name, totals[name]


def signal_plans(program: Program) -> tuple[SignalPlan, ...]:
    """Return the ways to hold the signals of a network, that of the array first."""
    layer, bits = peak_signals(program)
    held = SignalPlan(name=LIVE, bits=bits, parts=live_signals(program)[layer], peak=layer)
    unfused = _bits_of(program, program.held)
    return held, _ping_pong(program, unfused), _in_place(program, unfused), _line_buffer(program)


def _ping_pong(program: Program, live: dict[str, dict[str, int]]) -> SignalPlan:
    """Fixed buffers in turn: a tensor takes the first that is free, a buffer is as large as its largest tensor.

    A chain of layers takes two; a residual branch, which is held beside them, a third.
    """
    buffers: list[int] = []
    places: dict[str, int] = {}
    for held in live.values():
        places = {name: places[name] for name in held if name in places}
        for name in held:
            if name not in places:
                taken = set(places.values())
                free = next(i for i in range(len(live) + 2) if i not in taken)
                buffers += [0] * (free + 1 - len(buffers))
                places[name] = free
            buffers[places[name]] = max(buffers[places[name]], held[name])
    parts = {f"buffer {index}": bits for index, bits in enumerate(buffers)}
    return SignalPlan(name=PING_PONG, bits=sum(buffers), parts=parts)


def _in_place(program: Program, live: dict[str, dict[str, int]]) -> SignalPlan:
    """Live tensors, but an output takes the place of an input wherever `overwrites` says that it may."""
    places = {layer.name: overwrites(program, layer) for layer in program.layers}
    parts = {}
    for name, held in live.items():
        parts[name] = sum(held.values()) - (held[name] if places[name] else 0)
    peak = max(parts, key=lambda layer: parts[layer])
    legal = tuple(name for name, place in places.items() if place)
    names = {name: bits for name, bits in live[peak].items() if name != peak or not places[peak]}
    return SignalPlan(name=IN_PLACE, bits=parts[peak], parts=names, peak=peak, in_place=legal)


def overwrites(program: Program, layer: ProgramLayer) -> str | None:
    """Return the input (`Program.roots`) in whose place a layer may write its output, or None.

    A word may be written where none is read any more. A ReLU, a clip, a table and an addition read the word they write
    alone. A pool without padding reads, for output (c, y, x) in row-major order, no word before the one at (c, y, x) of
    the smaller map, nor does any output after it. A convolution's first output map would overwrite what the second
    reads.
    The input must not be read later, and its words must be as wide. Neither is part of what a concatenation joins.
    """
    if isinstance(layer, AvgPoolLayer | MaxPoolLayer) and any(layer.window.padding):
        return None
    if not isinstance(layer, AddLayer | AvgPoolLayer | ClipLayer | MaxPoolLayer | ReluLayer | TableLayer):
        return None
    if program.homes[layer.name] != (layer.name, 0):
        return None
    later = {program.homes[source][0] for x in _after(program, layer) for source in x.inputs}
    for source in layer.inputs:
        root = program.roots[source]
        wide = program.signals[root].bits >= program.signals[layer.name].bits
        if wide and program.homes[root] == (root, 0) and root not in later and root != program.roots[program.output]:
            return root
    return None


def _line_buffer(program: Program) -> SignalPlan:
    """All layers run at once, row by row, and a tensor's row is held until no window needs it any more.

    The image comes a row at a time; whenever a row can be computed it is, by the layer furthest behind first. All
    weights must be on the chip, because every row meets them again; an array for each layer is what this takes. A
    fully connected layer needs its input whole. The output leaves as it comes.
    """
    stream, most, held = _Stream(program), -1, dict[str, int]()
    for bits in stream.run():
        if bits > most:
            most, held = bits, dict(stream.held)
    parts = {name: bits for name, bits in held.items() if bits}
    return SignalPlan(name=LINE_BUFFER, bits=sum(parts.values()), parts=parts)


class _Stream:
    """Rows of every tensor: how many there are by now, and the bits of those that somebody still needs."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.layers = [layer for layer in program.layers if not isinstance(layer, FlattenLayer)]
        self.index = {layer.name: index for index, layer in enumerate(self.layers)}
        self.sources = [tuple(dict.fromkeys(program.roots[source] for source in x.inputs)) for x in self.layers]
        self.rows = {INPUT: 0} | {layer.name: 0 for layer in self.layers}
        self.height = {name: _height(program.shapes[name]) for name in self.rows}
        self.row_bits = {name: _tensor_bits(program, name) // self.height[name] for name in self.rows}
        self.readers: dict[str, list[ProgramLayer]] = {name: [] for name in self.rows}
        for layer in self.layers:
            for source in self.sources[self.index[layer.name]]:
                self.readers[source].append(layer)
        self.held = dict.fromkeys(self.rows, 0)
        self.bits = 0  # of all that is held

    def run(self) -> Iterator[int]:
        """Yield the bits of all tensors when a row of the image has come, and while each other row is made."""
        waiting: list[int] = []  # a heap: layers that may be ready, the one furthest behind first
        for _ in range(self.height[INPUT]):
            self._grow(INPUT, waiting)
            yield self.bits
            while waiting:
                index = -heapq.heappop(waiting)
                layer = self.layers[index]
                if not self._ready(index):
                    continue
                if self.readers[layer.name]:  # the row is written while all that it needs is read
                    self._hold(layer.name, self.held[layer.name] + self.row_bits[layer.name])
                yield self.bits
                self._grow(layer.name, waiting)
                heapq.heappush(waiting, -index)
                for source in self.sources[index]:
                    self._release(source)

    def _ready(self, index: int) -> bool:
        """Whether the next row of a layer can be computed: there is one, and its inputs have come."""
        layer = self.layers[index]
        row = self.rows[layer.name]
        return row < self.height[layer.name] and all(
            self.rows[root] >= min(self.height[root], self._span(layer, row, root)[1]) for root in self.sources[index]
        )

    def _grow(self, name: str, waiting: list[int]) -> None:
        """Count one more row of a tensor; those that read it may be ready now."""
        self.rows[name] += 1
        self._release(name)
        for reader in self.readers[name]:
            heapq.heappush(waiting, -self.index[reader.name])

    def _release(self, name: str) -> None:
        """Hold the rows of a tensor that somebody still needs, and no other."""
        rows, needed = self.rows[name], [self._first(layer, name) for layer in self.readers[name]]
        self._hold(name, max(0, rows - min([rows, *needed])) * self.row_bits[name] if needed else 0)

    def _hold(self, name: str, bits: int) -> None:
        self.bits += bits - self.held[name]
        self.held[name] = bits

    def _first(self, layer: ProgramLayer, name: str) -> int:
        """Return the first row of a tensor that `layer` still needs."""
        row = self.rows[layer.name]
        return self.height[name] if row == self.height[layer.name] else max(0, self._span(layer, row, name)[0])

    def _span(self, layer: ProgramLayer, row: int, root: str) -> tuple[int, int]:
        """Return which rows of an input an output row needs: all, if a layer sees other rows than lie there."""
        shapes = self.program.shapes
        seen = {shapes[x] for x in layer.inputs if self.program.roots[x] == root and len(shapes[x]) == 3}
        return _span(layer, row, self.height[root]) if seen <= {shapes[root]} else (0, self.height[root])


def _span(layer: ProgramLayer, row: int, height: int) -> tuple[int, int]:
    """Return which rows of an input (from, to) an output row needs; padding included, so possibly outside."""
    if isinstance(layer, MacLayer) and layer.window is None:
        return 0, height
    if isinstance(layer, MulLayer) and height == 1:  # a factor for each map, which every row needs
        return 0, height
    window = (layer.window if isinstance(layer, MacLayer | MaxPoolLayer | AvgPoolLayer) else None) or _POINT
    first = row * window.stride[0] - window.padding[0]
    return first, first + window.kernel[0]


def _after(program: Program, layer: ProgramLayer) -> tuple[ProgramLayer, ...]:
    names = [x.name for x in program.layers]
    return program.layers[names.index(layer.name) + 1 :]


def _bits_of(program: Program, held: Mapping[str, tuple[str, ...]]) -> dict[str, dict[str, int]]:
    """Return the bits of each tensor that each layer holds."""
    return {layer: {name: _tensor_bits(program, name) for name in names} for layer, names in held.items()}


def _height(shape: tuple[int, ...]) -> int:
    return shape[1] if len(shape) == 3 else 1


def _tensor_bits(program: Program, name: str) -> int:
    return math.prod(program.shapes[name]) * program.signals[name].bits
