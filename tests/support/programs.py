"""Programs for tests: plain builders, and hypothesis strategies for random ones.

Programs are built layer by layer from integers, not by lowering, so that they also hold what lowering never makes:
every mode of rounding and overflow, weights at the lowest two's complement code, shifts that leave nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from accel.encoding import Index, cheapest, encodings
from accel.fixedpoint import FixedFormat, Overflow, Rounding
from accel.grouped_convolution import across_groups
from accel.layers import Shape
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import (
    AddLayer,
    AvgPoolLayer,
    ClipLayer,
    ConcatLayer,
    FlattenLayer,
    MacLayer,
    MaxPoolLayer,
    ProgramLayer,
    ReluLayer,
)
from accel.signal import Requantize, Signal, integer_format, proven_accumulator_bits, signed_bits, sum_bits
from accel.sparsity import LayerMask, parse_pattern
from accel.window import Window
from support.masks import PATTERNS, Mask, legal_masks

Codes = NDArray[np.int64]

CASES = [(name, encoding.name) for name in PATTERNS for encoding in encodings(parse_pattern(name))]
PIXEL = Signal(integer_format(8, signed=False), 1 / 255)
LARGEST_KERNEL = 5


def signal(width: int, signed: bool = True, **modes: Any) -> Signal:
    """Return a signal of integer codes whose step is 1."""
    return Signal(FixedFormat(width, width, signed, **modes), 1.0)


def index_of(pattern: str, encoding: str, kept: Mask) -> Index:
    """Return the index words of the encoding called `encoding`."""
    (chosen,) = (x for x in encodings(parse_pattern(pattern)) if x.name == encoding)
    return chosen.encode(kept)


def mac_layer(
    name: str,
    source: str,
    weights: ArrayLike,
    reads: Signal,
    *,
    bias: ArrayLike | None = None,
    kept: Mask | None = None,
    pattern: str = "dense",
    encoding: str = "none",
    window: Window | None = None,
    weight_bits: int = 8,
    requantize: Requantize | None = None,
    output: Signal | None = None,
    relu: bool = False,
    spare_bits: int = 0,
) -> MacLayer:
    """Return a layer of integer `weights` (outputs, maps, taps), or (outputs, inputs) where there is no window.

    `reads` is the signal it reads; the accumulator has `spare_bits` more than those are proven to need. Without
    `requantize` the output is the accumulators.
    """
    array = np.asarray(weights, np.int64)
    array = array.reshape(*array.shape[:2], -1)
    kept = np.ones(array.shape, bool) if kept is None else kept
    matrix = np.where(kept, array, 0).reshape(len(array), -1)
    biases = np.zeros(len(array), np.int64) if bias is None else np.asarray(bias, np.int64)
    accumulator_bits = proven_accumulator_bits(matrix, biases, reads.format) + spare_bits
    return MacLayer(
        name,
        (source,),
        shape=array.shape,
        window=window,
        pattern=pattern,
        encoding=encoding,
        index=index_of(pattern, encoding, kept),
        weight_bits=weight_bits,
        weights=parse_pattern(pattern).nest(kept).gather(matrix),
        weight_steps=np.ones(1),
        bias_bits=max(map(signed_bits, biases)),
        bias=biases,
        accumulator_bits=accumulator_bits,
        relu=relu,
        requantize=requantize,
        output=output if requantize and output else signal(accumulator_bits),
        dense_weights=array.size,
        dense_macs=array.size,
    )


def program(layers: Sequence[ProgramLayer], input_shape: Shape = (1, 1, 1), reads: Signal = PIXEL) -> Program:
    """Return a Program of `layers`."""
    return Program("test", "mixed", "none", input_shape, reads, tuple(layers))


def every_kind(rng: np.random.Generator) -> Program:
    """Return a Program that has each kind of layer, several patterns and a residual addition; its input is 2x9x8."""

    def weights(*size: int) -> Codes:
        return rng.integers(-8, 7, size, endpoint=True)

    kernels, scalars, signed8 = rng.random((4, 4)) < 0.6, rng.random((4, 2, 9)) < 0.4, signal(8)
    strides = np.broadcast_to(np.arange(9) % 2 == 0, (4, 4, 9))
    bits = {"weight_bits": 4, "output": signed8, "requantize": Requantize([37], 10)}
    same, pool = Window.square(3, padding=1), Window((3, 3), (2, 2), (1, 0, 1, 1))
    pair = {"kept": kernels[:, :, None] & strides, "pattern": "kernel+ikss", "encoding": "kernel lists+stride-offset"}
    layers = [
        mac_layer(
            "conv1",
            INPUT,
            weights(4, 2, 9),
            PIXEL,
            window=same,
            kept=scalars,
            pattern="irregular",
            encoding="csr",
            **bits,
        ),
        mac_layer("conv2", "conv1", weights(4, 4, 9), signed8, window=same, bias=weights(4), relu=True, **pair, **bits),
        AddLayer(
            "add", ("conv2", "conv1"), (3, 1), 11, False, Requantize([1], 2), signal(8, overflow=Overflow.SAT_SYM)
        ),
        MaxPoolLayer("max", ("add",), pool),
        ReluLayer("relu", ("max",)),
        AvgPoolLayer(
            "avg", ("relu",), Window.square(2), 11, False, Requantize([1], 2), signal(6, rounding=Rounding.RND_CONV)
        ),
        FlattenLayer("flat", ("avg",)),
    ]
    features = int(np.prod(program(layers, (2, 9, 8)).shapes["flat"]))
    kept = np.kron(rng.random((2, -(-features // 3))) < 0.7, np.ones((3, 3), bool))[:5, :features, None]
    blocks = {"kept": kept, "pattern": "block-3", "encoding": "bsr", "weight_bits": 4}
    scores = mac_layer("scores", "flat", weights(5, features), signal(6), bias=weights(5), **blocks)
    return program([*layers, scores], (2, 9, 8))


@st.composite
def codes(draw: st.DrawFn, lowest: int, highest: int, size: Any) -> Codes:
    """Draw integers in `lowest`..`highest`: any of them, the two ends alone, or one end everywhere."""
    kind = draw(st.sampled_from(["any", "ends", "highest", "lowest"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    if kind == "any":
        return rng.integers(lowest, highest, size, np.int64, endpoint=True)
    return rng.choice({"ends": [lowest, highest], "highest": [highest], "lowest": [lowest]}[kind], size)


widths = st.one_of(st.integers(1, 8), st.integers(1, 8), st.integers(1, 16))


@st.composite
def signals(draw: st.DrawFn, width: int | None = None, modes: tuple[Rounding, Overflow] | None = None) -> Signal:
    """Draw a signal of 1..16 bits, of any rounding, overflow and saturated bits."""
    width = width or draw(widths)
    rounding, overflow = modes or (draw(st.sampled_from(Rounding)), draw(st.sampled_from(Overflow)))
    signed = overflow == Overflow.WRAP_SM or draw(st.booleans())
    wraps = overflow in (Overflow.WRAP, Overflow.WRAP_SM)
    saturated = draw(st.integers(0, width)) if wraps else 0
    return Signal(FixedFormat(width, width, signed, rounding, overflow, saturated), draw(st.sampled_from([1.0, 0.1])))


@st.composite
def requantizations(draw: st.DrawFn, accumulator_bits: int, output: Signal, outputs: int = 1) -> Requantize:
    """Draw multipliers (1, one for all, or one for each output) and a shift that often uses the range of `output`."""
    most = min(1 << draw(st.sampled_from([16, 32])), 1 << (61 - accumulator_bits)) - 1
    kind = draw(st.sampled_from(["one", "layer", "output"]))
    multipliers = draw(codes(1, most if kind != "one" else 1, outputs if kind == "output" else 1))
    near = accumulator_bits + int(multipliers.max()).bit_length() - output.bits
    wide = st.sampled_from([0, 60])
    shifts = st.integers(max(0, near - 4), min(60, max(0, near + 1)))
    return Requantize(multipliers, draw(st.one_of(shifts, shifts, wide)))


@st.composite
def windows(draw: st.DrawFn, size: Shape, largest: int, largest_padding: int | None = 2) -> Window:
    """Draw a window that fits maps of `size` (height, width); `largest_padding` None: less than the kernel."""
    kernel, stride, before, after = [], [], [], []
    for length in size:
        k = draw(st.integers(1, largest))
        most = k - 1 if largest_padding is None else largest_padding
        before.append(draw(st.integers(0, most)))
        after.append(draw(st.integers(0, most)))
        kernel.append(min(k, length + before[-1] + after[-1]))
        stride.append(draw(st.integers(1, 3)))
    return Window(tuple(kernel), tuple(stride), (*before, *after))


@dataclass
class Growth:
    """A Program while it grows at its last tensor; one method for each kind of layer that can come next."""

    draw: st.DrawFn
    wishes: dict[str, Any]
    input_shape: tuple[int, int, int]
    reads: Signal
    layers: list[ProgramLayer] = field(default_factory=list)
    shapes: dict[str, Shape] = field(init=False)
    known: dict[str, Signal] = field(init=False)

    def __post_init__(self) -> None:
        self.shapes, self.known = {INPUT: self.input_shape}, {INPUT: self.reads}

    @property
    def last(self) -> str:
        """The tensor that grows on."""
        return self.layers[-1].name if self.layers else INPUT

    @property
    def shape(self) -> Shape:
        """The shape of the last tensor."""
        return self.shapes[self.last]

    @property
    def name(self) -> str:
        """The name of the next layer."""
        return f"layer{len(self.layers)}"

    def append(self, layer: ProgramLayer) -> None:
        """Add a layer."""
        self.shapes[layer.name] = layer.output_shape(*(self.shapes[source] for source in layer.inputs))
        self.known[layer.name] = layer.output_signal(*(self.known[source] for source in layer.inputs))
        self.layers.append(layer)

    def signal(self) -> Signal:
        """Draw the signal of an output."""
        return self.draw(signals(self.wishes.get("signal_bits"), self.wishes.get("modes")))

    def mac(self, window: Window | None = None, outputs: int | None = None) -> None:
        """Add a convolution, or a fully connected layer where the maps are flattened."""
        draw, wish = self.draw, self.wishes
        if window is None and len(self.shape) == 3:
            window = draw(windows(self.shape[1:], LARGEST_KERNEL))
        outputs, taps = outputs or draw(st.integers(1, 4)), window.taps if window else 1
        pattern, encoding = wish.get("case") or draw(st.sampled_from(CASES))
        kept = draw(legal_masks(pattern, (outputs, self.shape[0], taps)))
        weight_bits = wish.get("weight_bits") or draw(st.one_of(st.integers(2, 8), st.integers(1, 16)))
        highest, bias_bits = (1 << (weight_bits - 1)) - 1, draw(st.sampled_from([1, 4, 12, 34]))
        layer = {
            "weights": draw(codes(-highest - 1, highest, kept.shape)),
            "bias": draw(codes(-(1 << (bias_bits - 1)), (1 << (bias_bits - 1)) - 1, outputs)),
            "reads": self.known[self.last],
            "spare_bits": draw(st.sampled_from([0, 0, 3])),
            **{"kept": kept, "pattern": pattern, "encoding": encoding},
            **{"window": window, "weight_bits": weight_bits},
        }
        assume(layer["reads"].bits + weight_bits + int(np.prod(kept.shape[1:])).bit_length() < 57)  # of 61 at most
        grown = mac_layer(self.name, self.last, **layer)
        if draw(st.integers(0, 5)) or grown.accumulator_bits > 36:  # else it hands out its accumulators
            output = self.signal()
            requantize = draw(requantizations(grown.accumulator_bits, output, outputs))
            finish = {"output": output, "requantize": requantize, "relu": draw(st.booleans())}
            grown = mac_layer(self.name, self.last, **layer, **finish)
        self.append(grown)

    def add(self) -> None:
        """Add the last tensor to an earlier one of its shape, or to itself."""
        earlier = [name for name, shape in self.shapes.items() if shape == self.shape]
        sources = self.last, self.draw(st.sampled_from(earlier))
        if self.draw(st.booleans()):
            sources = sources[::-1]
        weights = tuple(self.draw(st.sampled_from([1, 2, 5, 4096])) for _ in sources)
        needed = sum_bits(weights, [self.known[source].format for source in sources])
        self.summed(AddLayer, sources, weights, needed)

    def residual(self) -> None:
        """Add a convolution that keeps the shape, and what it reads to what it gives."""
        source, odd = self.last, self.draw(st.sampled_from([(1, 1), (3, 3), (1, 5)]))
        padding = (odd[0] // 2, odd[1] // 2) * 2
        self.mac(Window(odd, padding=padding), self.shape[0])
        needed = sum_bits((1, 3), [self.known[name].format for name in (source, self.last)])
        self.summed(AddLayer, (source, self.last), (1, 3), needed)

    def avg_pool(self) -> None:
        """Add an average pool."""
        self.average(self.draw(windows(self.shape[1:], 3)))

    def global_pool(self) -> None:
        """Add an average over whole maps."""
        self.average(Window(self.shape[1:]))

    def average(self, window: Window) -> None:
        """Add an average over `window`."""
        self.summed(AvgPoolLayer, (self.last,), window, sum_bits([window.taps], [self.known[self.last].format]))

    def summed(self, kind: Any, sources: tuple[str, ...], what: Any, needed: int) -> None:
        """Add a layer whose accumulator needs `needed` bits, if a product can be that wide."""
        if needed < 60:
            bits, output = needed + self.draw(st.sampled_from([0, 0, 2 if needed < 50 else 0])), self.signal()
            requantize = self.draw(requantizations(bits, output))
            self.append(kind(self.name, sources, what, bits, self.draw(st.booleans()), requantize, output))

    def max_pool(self) -> None:
        """Add a max pool: 3x3 at stride 2 with padding, or any."""
        overlapping = st.just(Window.square(3, 2, 1))
        self.append(MaxPoolLayer(self.name, (self.last,), self.draw(overlapping | windows(self.shape[1:], 3, None))))

    def clip(self) -> None:
        """Add bounds that stand alone: any codes of the signal, or more than it has."""
        form = self.known[self.last].format
        highest = self.draw(st.integers(0, 2 * form.max_code + 2))
        lowest = self.draw(st.just(0) | st.integers(2 * form.min_code - 2, 0))
        self.append(ClipLayer(self.name, (self.last,), highest, lowest))

    def concat(self) -> None:
        """Join the last tensor and an earlier one whose codes mean the same, or itself."""
        alike = [
            name
            for name, shape in self.shapes.items()
            if shape[1:] == self.shape[1:]
            and len(shape) == len(self.shape)
            and self.known[name] == self.known[self.last]
        ]
        sources = self.last, self.draw(st.sampled_from(alike))
        self.append(ConcatLayer(self.name, sources if self.draw(st.booleans()) else sources[::-1]))

    def grouped(self) -> None:
        """Add a convolution in groups, depthwise if there are as many as maps, pruned within them."""
        draw, maps, reads = self.draw, self.shape[0], self.known[self.last]
        groups = draw(st.sampled_from([count for count in range(1, maps + 1) if maps % count == 0][-2:]))
        window, outputs = draw(windows(self.shape[1:], 3)), groups * draw(st.integers(1, 2))
        pattern, encoding = self.wishes.get("case") or draw(st.sampled_from(CASES))
        kept = draw(legal_masks(pattern, (outputs, maps // groups, window.taps)))
        weight_bits = self.wishes.get("weight_bits") or draw(st.integers(2, 8))
        highest = (1 << (weight_bits - 1)) - 1
        weights = np.where(kept, draw(codes(-highest - 1, highest, kept.shape)), 0)
        mask, matrix = across_groups(LayerMask(pattern, kept), weights.reshape(outputs, -1), groups)
        assume(reads.bits + weight_bits < 40)
        across = parse_pattern(mask.pattern)
        if encoding not in [x.name for x in encodings(across)]:
            encoding = cheapest(across, mask.kept)[0]
        output = self.signal()
        layer = {"kept": mask.kept, "pattern": mask.pattern, "encoding": encoding, "window": window}
        needed = proven_accumulator_bits(matrix, np.zeros(outputs, np.int64), reads.format)
        layer |= {
            "requantize": draw(requantizations(needed, output, outputs)),
            "output": output,
            "relu": draw(st.booleans()),
        }
        self.append(
            mac_layer(self.name, self.last, matrix.reshape(mask.kept.shape), reads, weight_bits=weight_bits, **layer)
        )

    def relu(self) -> None:
        """Add a ReLU that stands alone."""
        self.append(ReluLayer(self.name, (self.last,)))

    def flatten(self) -> None:
        """Add a flatten, of maps so small that a mask for all their codes is drawn quickly."""
        if np.prod(self.shape) > 48:
            self.global_pool()
        self.append(FlattenLayer(self.name, (self.last,)))


ON_VECTORS = (Growth.mac, Growth.mac, Growth.add, Growth.relu, Growth.flatten)
ON_MAPS = (*ON_VECTORS, Growth.mac, Growth.residual, Growth.max_pool, Growth.avg_pool, Growth.global_pool)

ON_VECTORS_TOO = (Growth.clip, Growth.clip, Growth.concat, Growth.concat)
ON_MAPS_TOO = (*ON_VECTORS_TOO[1:3], Growth.grouped, Growth.grouped)


@st.composite
def programs(draw: st.DrawFn, **wishes: Any) -> Program:
    """Draw a Program of one to five layers or so, at least one of them with weights.

    `wishes` hold for every layer: ``case=(pattern, encoding)``, ``weight_bits``, ``signal_bits`` (of the input too),
    ``modes=(rounding, overflow)``. With ``every_kind=True`` there are clips, joins and grouped convolutions too.
    """
    shape = tuple(draw(st.integers(1, most)) for most in (3, 7, 7))
    growth = Growth(draw, wishes, shape, draw(signals(wishes.get("signal_bits"))))
    before, after = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    for index in range(before + 1 + after):
        kinds = ON_MAPS if len(growth.shape) == 3 else ON_VECTORS
        if wishes.get("every_kind"):
            kinds += ON_MAPS_TOO if len(growth.shape) == 3 else ON_VECTORS_TOO
        step = Growth.mac if index == before else draw(st.sampled_from(kinds))
        step(growth)
    return program(growth.layers, shape, growth.reads)


@st.composite
def batches(draw: st.DrawFn, of: Program, images: int = 2) -> Codes:
    """Draw input codes for the Program `of`."""
    form = of.input_signal.format
    return draw(codes(form.min_code, form.max_code, (images, *of.input_shape)))
