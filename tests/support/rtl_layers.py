"""Constrained-random layers for the hardware.

Requantisation is chosen after the accumulators are known, so that its shift cuts where they lie: codes leave the range
on both sides and ties are frequent. All Programs share `FORMATS`, so that one build of an array runs them all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from accel.array import MacArray
from accel.cost.cycles import total_cycles
from accel.cost.stalls import total_interval
from accel.encoding import encodings
from accel.fixedpoint import FixedFormat
from accel.network import INPUT
from accel.program_layers import (
    AddLayer,
    AvgPoolLayer,
    ClipLayer,
    ConcatLayer,
    FlattenLayer,
    MaxPoolLayer,
    ProgramLayer,
    ReluLayer,
    TableLayer,
)
from accel.signal import Signal, proven_accumulator_bits, sum_bits
from accel.sparsity import parse_pattern
from accel.window import Window
from rtl.emit import Job
from sim import golden
from support.programs import mac_layer, program
from support.rtl_draws import Codes, draw_codes, draw_requantize, draw_window, legal_mask

ARRAY = MacArray(output_lanes=4, pixel_lanes=4, ceiling=True, floor=True)
SMALL = replace(ARRAY, signal_words=128, weight_words=32, list_entries=8, taps=8, constants=8, layers=2)  # for `probe`
TABLED = replace(ARRAY, table_words=1024)
PACKED = replace(ARRAY, output_lanes=3, weight_bits=4, stream_words=1024)  # two lanes share a multiplier
FORMATS = tuple(
    map(
        FixedFormat.parse,
        (
            "ap_ufixed<8,8,AP_RND,AP_SAT>",
            "ap_fixed<8,8,AP_RND_CONV,AP_SAT_SYM>",
            "ap_fixed<3,3,AP_TRN,AP_WRAP_SM>",
            "ap_ufixed<4,4,AP_TRN_ZERO,AP_SAT_ZERO>",
            "ap_fixed<5,5,AP_RND_ZERO,AP_WRAP,2>",
            "ap_fixed<6,6,AP_RND_INF,AP_SAT>",
            "ap_ufixed<7,7,AP_RND_MIN_INF,AP_WRAP>",
            "ap_fixed<4,4,AP_RND,AP_SAT_ZERO>",
        ),
    )
)
PATTERNS = (
    "dense",
    "feature-map",
    "kernel",
    "ikss",
    "ikss-rest",
    "kernel+ikss",
    "kernel+ikss-rest",
    "irregular",
    "block-2",
    "block-3",
    "block-4",
    "block-5",
    "2:4",
)
CHAINS = (  # one is drawn; the last layer's output is what leaves the chip
    ("conv",),
    ("conv",),
    ("conv",),
    ("linear",),
    ("max",),
    ("avg",),
    ("conv", "conv"),
    ("conv", "max"),
    ("conv", "max"),
    ("conv", "halve"),
    ("conv", "halve"),
    ("conv", "halve"),
    ("conv", "halve", "conv"),
    ("conv", "avg"),
    ("conv", "linear"),
    ("max", "conv"),
    ("avg", "linear"),
    ("linear", "linear"),
    ("add",),
    ("relu",),
    ("residual",),
    ("conv", "relu"),
    ("conv", "residual"),
    ("linear", "residual"),
    ("residual", "max"),
    ("point", "depthwise", "point"),
    ("point", "depthwise", "point"),
    ("depthwise", "conv"),
    ("conv", "depthwise", "avg"),
    ("clip",),
    ("conv", "clip"),
    ("conv", "clip", "halve"),
    ("conv", "halve", "clip", "conv"),
    ("residual", "clip"),
    ("residual", "clip", "point"),
    ("residual", "conv"),
    ("point", "clip", "depthwise", "clip", "point"),
    ("depthwise", "clip", "point"),
    ("max", "clip"),
    ("join", "conv"),
    ("conv", "join", "conv"),
    ("conv", "join", "join", "conv"),
    ("linear", "join", "linear"),
    ("join",),
    ("double", "conv"),
    ("double", "join", "double", "conv"),
    ("point", "apart"),
    ("point", "apart", "halve"),
    ("point", "apart", "halve"),
    ("spread",),
    ("spread",),
    ("spread", "halve"),
    ("spread", "point"),
)
TABLES = (  # of which one is drawn where an array has tables
    ("table",),
    ("conv", "table"),
    ("linear", "table", "linear"),
    ("conv", "table", "halve"),
    ("conv", "halve", "table"),
    ("conv", "halve", "rising"),
    ("conv", "table", "halve", "rising", "conv"),
    ("conv", "table", "relu", "clip", "point"),
    ("conv", "relu", "clip", "table"),
    ("point", "clip", "table", "halve", "relu"),
    ("clip", "table", "conv"),
    ("point", "depthwise", "table", "point"),
    ("residual", "table"),
    ("avg", "table", "table", "conv"),
    ("max", "table"),
    ("conv", "gate", "conv"),
    ("join", "table", "conv"),
    ("conv", "table", "join", "point"),
    ("spread", "table", "halve"),
    ("table", "conv", "conv"),
)
LONG = (30, 31, 32, 33, 61, 62, 63, 64, 65, 66, 67, 100)  # sides of a few maps: numbers at the edge of one more bit
MOST_COLUMNS = 250  # of a layer: 8-bit weights at 8-bit signals fit the accumulator, and simulations stay short


@dataclass
class Growth:
    """A Program and its tensors while it grows, layer by layer."""

    rng: np.random.Generator
    array: MacArray
    reads: Signal
    codes: Codes
    layers: list[ProgramLayer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name, self.signal, self.tensor = INPUT, self.reads, self.codes

    def append(self, layer: ProgramLayer, tensor: Codes, *signals: Signal) -> None:
        """Add a layer that gives `tensor`; it reads `signals` where that is not the last tensor's alone."""
        self.layers.append(layer)
        self.name, self.signal, self.tensor = layer.name, layer.output_signal(*(signals or (self.signal,))), tensor

    def mac(
        self,
        window: Window | None,
        final: bool,
        outputs: int = 0,
        own: bool = False,
        output: Signal | None = None,
        density: float = -1,
        spread: bool = False,
    ) -> None:
        """Add a layer of weights; the final one hands out its accumulators half of the time.

        With `own` every map reads itself alone; its codes are those of `output` where that is given; with a `density`
        it keeps as many of its kernels or weights; with `spread` sums are of all magnitudes, by their biases.
        """
        rng, taps, array = self.rng, window.taps if window else 1, self.array
        maps, outputs = self.tensor.shape[1], outputs or int(rng.integers(1, 10))
        patterns = PATTERNS if density < 0 else ("kernel", "irregular")
        pattern = patterns[rng.integers(len(patterns))]
        kept = legal_mask(rng, pattern, (outputs, maps, taps), density)
        if own:
            pattern, kept = "kernel", np.broadcast_to(np.eye(maps, dtype=bool)[:, :, None], (maps, maps, taps))
        widest = array.accumulator_bits - self.signal.bits - (maps * taps).bit_length()
        weight_bits = int(rng.integers(2, min(array.weight_bits, widest), endpoint=True))
        highest = (1 << (weight_bits - 1)) - 1
        weights = np.where(kept, draw_codes(rng, -highest - 1, highest, kept.shape), 0)
        bias = draw_codes(rng, -(1 << 22), 1 << 22, outputs) >> int(rng.choice([0, 8, 12, 18, 24]))
        if spread:
            bias = rng.integers(-(1 << 22), 1 << 22, outputs) >> rng.integers(0, 24, outputs)
        while proven_accumulator_bits(weights.reshape(outputs, -1), bias, self.signal.format) > array.accumulator_bits:
            bias = bias >> 1
        raw = mac_layer(
            f"{'conv' if window else 'linear'}{len(self.layers)}",
            self.name,
            weights,
            self.signal,
            bias=bias,
            kept=kept,
            pattern=pattern,
            encoding=encodings(parse_pattern(pattern))[-1].name,
            window=window,
            weight_bits=weight_bits,
        )
        accumulators = golden.mac(raw, self.tensor)
        if final and rng.random() < 0.4:
            self.append(raw, accumulators)
            return
        output = output or Signal(FORMATS[rng.integers(len(FORMATS))], 1.0)
        requantize = draw_requantize(rng, accumulators, outputs, output.format)
        if spread:
            requantize = replace(requantize, shift=int(rng.integers(0, requantize.shift, endpoint=True)))
        layer = replace(raw, relu=bool(rng.random() < 0.3), requantize=requantize, output=output)
        self.append(layer, golden.requantized(layer, accumulators))

    def conv(self, final: bool) -> None:
        """Add a convolution."""
        window = draw_window(self.rng, self.tensor.shape[2:], pool=False)
        while window.taps * self.tensor.shape[1] > MOST_COLUMNS:
            window = draw_window(self.rng, self.tensor.shape[2:], pool=False)
        self.mac(window, final)

    def point(self, final: bool) -> None:
        """Add a 1 x 1 convolution."""
        self.mac(Window((1, 1)), final)

    def spread(self, final: bool) -> None:
        """Add a 1 x 1 convolution of many maps whose sums leave the format by any of the bits above it."""
        self.mac(Window((1, 1)), False, int(self.rng.integers(6, 17)), density=0.3, spread=True)

    def apart(self, final: bool) -> None:
        """Add a convolution that keeps the size of maps, whose outputs keep few of them, and different ones."""
        odd = [(1, 1), (3, 3), (1, 3)][self.rng.integers(3)]
        self.mac(Window(odd, padding=(odd[0] // 2, odd[1] // 2) * 2), final, density=0.3)

    def depthwise(self, final: bool) -> None:
        """Add a convolution of each map by itself."""
        maps, window = self.tensor.shape[1], draw_window(self.rng, self.tensor.shape[2:], pool=False)
        while window.taps > 9 or window.taps * maps > MOST_COLUMNS:
            window = draw_window(self.rng, self.tensor.shape[2:], pool=False)
        self.mac(window, final, maps, own=True)

    def linear(self, final: bool) -> None:
        """Add a fully connected layer, after a flatten where it reads maps."""
        if self.tensor.ndim == 4:
            flatten = FlattenLayer(f"flatten{len(self.layers)}", (self.name,))
            self.append(flatten, golden.flatten(flatten, self.tensor))
        self.mac(None, final)

    def max(self, final: bool) -> None:
        """Add a max pool."""
        window = draw_window(self.rng, self.tensor.shape[2:], pool=True)
        layer = MaxPoolLayer(f"max{len(self.layers)}", (self.name,), window)
        self.append(layer, golden.max_pool(layer, self.tensor))

    def halve(self, final: bool) -> None:
        """Add a max pool of 2 x 2 pixels that do not overlap; another where it does not fit."""
        window = Window.square(2, 2)
        if min(self.tensor.shape[2:]) < 2:
            window = draw_window(self.rng, self.tensor.shape[2:], pool=True)
        layer = MaxPoolLayer(f"max{len(self.layers)}", (self.name,), window)
        self.append(layer, golden.max_pool(layer, self.tensor))

    def avg(self, final: bool) -> None:
        """Add an average pool."""
        window = draw_window(self.rng, self.tensor.shape[2:], pool=True)
        needed = sum_bits([window.taps], [self.signal.format])
        output = Signal(FORMATS[self.rng.integers(len(FORMATS))], 1.0)
        sums = window.patches(window.pad(self.tensor)).sum(axis=(-2, -1))
        requantize = draw_requantize(self.rng, sums, 1, output.format)
        relu = bool(self.rng.random() < 0.3)
        layer = AvgPoolLayer(f"avg{len(self.layers)}", (self.name,), window, needed, relu, requantize, output)
        self.append(layer, golden.requantized(layer, sums))

    def relu(self, final: bool) -> None:
        """Add a ReLU that stands alone."""
        layer = ReluLayer(f"relu{len(self.layers)}", (self.name,))
        self.append(layer, golden.relu(layer, self.tensor))

    def clip(self, final: bool) -> None:
        """Add a clip: at any codes of the signal, or ones that it has not; most rectify."""
        most, least = self.signal.format.max_code, self.signal.format.min_code
        highest = int(self.rng.choice([0, 1, most // 3, most // 2, most - 1, most, most + 3]))
        lowest = int(self.rng.choice([0, 0, 0, least // 2, -(least < 0), least, least - 2]))
        layer = ClipLayer(f"clip{len(self.layers)}", (self.name,), highest, lowest)
        self.append(layer, golden.clip(layer, self.tensor))

    def table(self, final: bool, rising: bool = False) -> None:
        """Add a table of any codes; a `rising` one has them in order."""
        output = Signal(FORMATS[self.rng.integers(len(FORMATS))], 1.0)
        lowest, entries = self.signal.format.min_code, 1 << self.signal.bits
        codes = draw_codes(self.rng, output.format.min_code, output.format.max_code, entries)
        codes = np.sort(codes) if rising else codes
        layer = TableLayer(f"table{len(self.layers)}", (self.name,), codes, lowest, output)
        self.append(layer, golden.table(layer, self.tensor))

    def rising(self, final: bool) -> None:
        """Add a table of a function that never falls, such as a sigmoid."""
        self.table(final, rising=True)

    def gate(self, final: bool) -> None:
        """Add a table, and the sum of what it reads and what it gives."""
        before = self.name, self.signal, self.tensor
        self.table(False)
        self.sum_with(before)

    def join(self, final: bool) -> None:
        """Add a layer of weights that keeps the size of maps, and join what it reads and what it gives."""
        before = self.name, self.signal, self.tensor
        self.same(int(self.rng.integers(1, 7)), output=self.signal)
        self.join_with(before)

    def double(self, final: bool) -> None:
        """Join the tensor with itself."""
        self.join_with((self.name, self.signal, self.tensor))

    def join_with(self, other: tuple[str, Signal, Codes]) -> None:
        """Join `other` and the tensor, in either order."""
        terms = [other, (self.name, self.signal, self.tensor)]
        names, signals, tensors = zip(*(terms if self.rng.random() < 0.5 else terms[::-1]), strict=True)
        layer = ConcatLayer(f"join{len(self.layers)}", names)
        self.append(layer, golden.concat(layer, *tensors), *signals)

    def add(self, final: bool) -> None:
        """Add the tensor to itself."""
        self.sum_with((self.name, self.signal, self.tensor))

    def residual(self, final: bool) -> None:
        """Add a layer of weights that keeps the shape, and the sum of what it reads and what it gives."""
        before = self.name, self.signal, self.tensor
        self.same(self.tensor.shape[1])
        self.sum_with(before)

    def same(self, outputs: int, output: Signal | None = None) -> None:
        """Add a layer of weights whose maps are as large as those that it reads."""
        if self.tensor.ndim == 2:
            self.mac(None, False, outputs, output=output)
        else:
            odd = [(1, 1), (3, 3), (1, 5)][self.rng.integers(3)]
            self.mac(Window(odd, padding=(odd[0] // 2, odd[1] // 2) * 2), False, outputs, output=output)

    def sum_with(self, other: tuple[str, Signal, Codes]) -> None:
        """Add the weighted sum of `other` and the tensor, in either order; weights are of one word or of several."""
        rng, largest = self.rng, self.array.largest_weight
        terms = [other, (self.name, self.signal, self.tensor)]
        names, signals, tensors = zip(*(terms if rng.random() < 0.5 else terms[::-1]), strict=True)
        first, second = (int(rng.choice([1, 3, largest, largest + 1, 3 * largest + 2])) for _ in names)
        needed = sum_bits((first, second), [signal.format for signal in signals])
        output, relu = Signal(FORMATS[rng.integers(len(FORMATS))], 1.0), bool(rng.random() < 0.3)
        requantize = draw_requantize(rng, first * tensors[0] + second * tensors[1], 1, output.format)
        layer = AddLayer(f"add{len(self.layers)}", names, (first, second), needed, relu, requantize, output)
        self.append(layer, golden.add(layer, *tensors), *signals)


def random_job(rng: np.random.Generator, array: MacArray = ARRAY, chains: Sequence[tuple[str, ...]] = CHAINS) -> Job:
    """Draw a Program of one to five layers that compute, one or two images, and what golden gives for them."""
    chain = chains[rng.integers(len(chains))]
    most = {"linear": (MOST_COLUMNS, 1, 1)}.get(chain[0], (6, 6, 6) if chain[-1] == "linear" else (6, 12, 12))
    shape = tuple(int(rng.integers(1, highest, endpoint=True)) for highest in most)
    if most[-1] > 6 and rng.random() < 0.1:
        long, few = int(rng.choice(LONG)), int(rng.integers(1, 4))
        shape = (min(shape[0], 2), *((long, few) if rng.random() < 0.3 else (few, long)))
    reads = Signal(FORMATS[rng.integers(len(FORMATS))], 1.0)
    codes = draw_codes(rng, reads.format.min_code, reads.format.max_code, (int(rng.integers(1, 3)), *shape))
    growth = Growth(rng, array, reads, codes)
    for index, kind in enumerate(chain):
        getattr(growth, kind)(index == len(chain) - 1)
    made = program(growth.layers, shape, reads)
    return Job(made, codes, growth.tensor, total_cycles(made, array), total_interval(made, array))


def probe() -> Job:
    """Return a job in which nothing hides an error: a stored index, small weights, and accumulators that come out."""
    rng = np.random.default_rng(1)
    kept = np.broadcast_to(np.array([True, False, True])[:, None], (3, 3, 4))
    layer = mac_layer(
        "conv",
        INPUT,
        rng.integers(1, 8, kept.shape),
        Signal(FORMATS[0], 1.0),
        kept=kept,
        pattern="kernel",
        encoding="kernel lists",
        window=Window((2, 2)),
    )
    made = program([layer], (3, 4, 4), Signal(FORMATS[0], 1.0))
    codes = rng.permutation(255)[: 2 * 48].reshape(2, 3, 4, 4) + 1  # no two neighbours are the same
    times = total_cycles(made, ARRAY), total_interval(made, ARRAY)
    return Job(made, codes, golden.run(made, codes)[made.output], *times)
