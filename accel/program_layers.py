"""The layers of a Program: what each kind computes on codes, and what it refuses."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from accel import archive, encoding
from accel.errors import EspalierError
from accel.fixedpoint import Overflow
from accel.lanes import LaneColumns
from accel.layers import Shape, check_factors
from accel.pattern import IndexWords, LoopNest, Mask, check_shape
from accel.signal import PRODUCT_BITS, Requantize, Signal, freeze, product_bits, range_bits, signed_bits, sum_bits
from accel.sparsity import parse_pattern
from accel.window import Window

WORD_BITS = 16  # the widest weight or signal
TABLE_BITS = 8  # the widest word of a function's table
_TABLE_SIZES = tuple(1 << bits for bits in range(1, TABLE_BITS + 1))
NARROWEST_BITS = 2  # of an accumulator that overflows
NARROW_OVERFLOWS = (Overflow.WRAP, Overflow.SAT)  # what it may do


@dataclass(frozen=True, eq=False)
class ProgramLayer(ABC):
    """A named operation on the codes of `inputs`."""

    arity: ClassVar[int] = 1  # how many inputs this kind takes
    name: str
    inputs: tuple[str, ...]

    @abstractmethod
    def output_shape(self, *shapes: Shape) -> Shape:
        """Return the output's shape without the batch; raise EspalierError if the inputs do not fit."""

    def output_signal(self, *signals: Signal) -> Signal:
        """Return what the output codes mean: the input's, unless the layer has an accumulator, which must hold."""
        return signals[0]


@dataclass(frozen=True, eq=False)
class MacLayer(ProgramLayer):
    """A convolution (`window`) or fully connected layer (no window) of integer weights.

    Parameters
    ----------
    shape : (int, int, int)
        Outputs M, input maps C, taps T.
    window : Window or None
    pattern, encoding : str
        Which mask is legal, and how the index stores it.
    index : tuple of IndexWords
    weight_bits : int
    weights : int array (stored words,)
        What is kept, in issue order (`LoopNest.positions`).
    weight_steps : float array (1,) or (M,)
    bias_bits : int
    bias : int array (M,)
        In the accumulator's step, weight step * input step.
    accumulator_bits : int
        The fewest signed bits that the weights and the input's range prove sufficient (or more); any number from 2 on
        where `accumulator_overflow` is given.
    relu : bool
    requantize : Requantize or None
        None: the output is the accumulators.
    output : Signal
    dense_weights, dense_macs : int
        What the layer had before pruning.
    accumulator_overflow : Overflow.WRAP, Overflow.SAT or None
        What becomes of a sum that `accumulator_bits` do not hold; None: they hold every sum, which is checked.
    """

    shape: tuple[int, int, int] = field(metadata=archive.CLAIM)
    window: Window | None
    pattern: str
    encoding: str
    index: tuple[IndexWords, ...]
    weight_bits: int
    weights: NDArray[np.int8] | NDArray[np.int16] = field(metadata={"packed": "weight_bits"})
    weight_steps: NDArray[np.float64]
    bias_bits: int
    bias: NDArray[np.int64] = field(metadata={"packed": "bias_bits"})
    accumulator_bits: int
    relu: bool
    requantize: Requantize | None
    output: Signal
    dense_weights: int
    dense_macs: int
    accumulator_overflow: Overflow | None = None

    def __post_init__(self) -> None:
        weights, bias = np.asarray(self.weights), np.array(self.bias, np.int64)
        steps = np.array(self.weight_steps, np.float64)
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise EspalierError(f"{self.name}: shape must be (outputs, maps, taps), got {self.shape}")
        check_shape(self.shape, self.name)
        if self.window is not None and self.window.taps != self.shape[2]:
            raise EspalierError(f"{self.name}: {self.shape[2]} taps do not fit the window {self.window}")
        stored = ("weight", weights, self.weight_bits, WORD_BITS), ("bias", bias, self.bias_bits, PRODUCT_BITS)
        for what, words, bits, most in stored:
            if not 1 <= bits <= most:
                raise EspalierError(f"{self.name}: {what}_bits must be 1..{most}, got {bits}")
            each = words if any(words.strides) else words[:1]
            if words.size and max(map(signed_bits, (each.min(), each.max()))) > bits:
                raise EspalierError(f"{self.name}: a {what} does not fit {bits} bits")
        if bias.shape != self.shape[:1] or weights.shape != (self.nest.stored_words,):
            raise EspalierError(
                f"{self.name}: expected {self.shape[0]} biases and {self.nest.stored_words} weights, "
                f"got {bias.shape} and {weights.shape}"
            )
        if self.nest.fills and _filling(self.nest, weights).any():
            raise EspalierError(f"{self.name}: the filling of a block that reaches past the edge must be zeros")
        if steps.shape not in ((1,), self.shape[:1]) or not (np.isfinite(steps) & (steps > 0)).all():
            raise EspalierError(f"{self.name}: weight_steps must be one or {self.shape[0]} positive numbers")
        if self.accumulator_overflow is not None:
            check_narrow_overflow(self.accumulator_overflow, f"{self.name}: accumulator_overflow")
        weights = weights.astype(code_type(self.weight_bits), copy=weights.flags.writeable)  # nobody's own to change
        freeze(self, weights=weights, bias=bias, weight_steps=steps)

    @cached_property
    def kept(self) -> Mask:
        """The mask (M, C, T), decoded from the index."""
        pattern = parse_pattern(self.pattern)
        kept = encoding.decode(pattern, self.encoding, self.index, self.shape)
        pattern.check(kept, self.name)
        return kept

    @cached_property
    def pairs(self) -> Mask:
        """Which output and input maps are connected (M, C): a tap of their kernel is kept."""
        return np.any(self.kept, axis=2)

    @cached_property
    def nest(self) -> LoopNest:
        """The loops that run what is kept."""
        return parse_pattern(self.pattern).nest(self.kept)

    @cached_property
    def matrix(self) -> NDArray[np.int64]:
        """The weights as the lowered matrix (M, C*T), zeros where pruned."""
        return self.nest.scatter(self.weights.astype(np.int64))

    @cached_property
    def _sums(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each output the sum of its weights above zero, and of those below."""
        words = self.weights
        if words.size and not any(words.strides) and not words[0]:  # no values, zeros that nobody has to add up
            return np.zeros(self.shape[0], np.int64), np.zeros(self.shape[0], np.int64)
        positive, negative = (self.nest.row_sums(side(words, 0)) for side in (np.maximum, np.minimum))
        return positive, negative

    @cached_property
    def lane_columns(self) -> LaneColumns:
        """For a number of lanes the lowered columns that each group of as many outputs reads."""
        return LaneColumns(self.kept)

    @property
    def index_bits(self) -> int:
        """Bits of the index that is stored beside the weights."""
        return sum(words.bits for words in self.index)

    def output_shape(self, *shapes: Shape) -> Shape:
        outputs, maps, _ = self.shape
        expected = 1 if self.window is None else 3
        if len(shapes[0]) != expected or shapes[0][0] != maps:
            raise EspalierError(f"{self.name}: expects {maps} inputs in {expected} dimensions, gets {shapes[0]}")
        return (outputs,) if self.window is None else _slide(self, self.window, outputs, shapes[0])

    def output_signal(self, *signals: Signal) -> Signal:
        if self.accumulator_overflow is None:
            needed = range_bits(*self._sums, self.bias, signals[0].format)
        elif self.weight_bits + signals[0].bits > PRODUCT_BITS:  # no sum proves that each product fits
            raise EspalierError(f"{self.name}: a weight times a signal needs more than {PRODUCT_BITS} bits")
        else:
            needed = NARROWEST_BITS
        _check_accumulator(self, needed, self.shape[0])
        return self.output


@dataclass(frozen=True, eq=False)
class MaxPoolLayer(ProgramLayer):
    """The largest code in each window; padding never wins."""

    window: Window

    def output_shape(self, *shapes: Shape) -> Shape:
        if any(np.greater_equal(self.window.padding, self.window.kernel * 2)):
            raise EspalierError(f"{self.name}: a max pool must be larger than its padding, got {self.window}")
        return _slide(self, self.window, shapes[0][0], shapes[0])


@dataclass(frozen=True, eq=False)
class AvgPoolLayer(ProgramLayer):
    """The sum of each window (padding counts as zeros), requantised; the divisor is part of the multiplier."""

    window: Window
    accumulator_bits: int
    relu: bool
    requantize: Requantize
    output: Signal

    def output_shape(self, *shapes: Shape) -> Shape:
        return _slide(self, self.window, shapes[0][0], shapes[0])

    def output_signal(self, *signals: Signal) -> Signal:
        _check_accumulator(self, sum_bits([self.window.taps], [signals[0].format]))
        return self.output


@dataclass(frozen=True, eq=False)
class AddLayer(ProgramLayer):
    """The sum of two signals, each times its integer `weights`, requantised."""

    arity: ClassVar[int] = 2
    weights: tuple[int, int]
    accumulator_bits: int
    relu: bool
    requantize: Requantize
    output: Signal

    def output_shape(self, *shapes: Shape) -> Shape:
        if shapes[0] != shapes[1] or min(self.weights) < 1:
            raise EspalierError(f"{self.name}: adds equal shapes by positive weights, gets {shapes}, {self.weights}")
        return shapes[0]

    def output_signal(self, *signals: Signal) -> Signal:
        _check_accumulator(self, sum_bits(self.weights, [signal.format for signal in signals]))
        return self.output


@dataclass(frozen=True, eq=False)
class MulLayer(ProgramLayer):
    """The product of two signals, or of maps and a code for each of them, requantised."""

    arity: ClassVar[int] = 2
    accumulator_bits: int
    relu: bool
    requantize: Requantize
    output: Signal

    def output_shape(self, *shapes: Shape) -> Shape:
        return check_factors(self.name, *shapes)

    def output_signal(self, *signals: Signal) -> Signal:
        left, right = (signal.format for signal in signals)
        _check_accumulator(self, product_bits(left, right))
        return self.output


@dataclass(frozen=True, eq=False)
class ReluLayer(ProgramLayer):
    """``max(code, 0)``, where no layer before it could take it in."""

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]


@dataclass(frozen=True, eq=False)
class ClipLayer(ProgramLayer):
    """``min(max(code, lowest), highest)``, where no requantisation saturates at these bounds.

    A clipped ReLU has them, and a signal whose codes are not as many on both sides of zero.
    """

    highest: int
    lowest: int = field(default=0, metadata=archive.LATER)

    def output_shape(self, *shapes: Shape) -> Shape:
        if not self.lowest <= 0 <= self.highest:
            raise EspalierError(f"{self.name}: its bounds must have zero among them, got {self.lowest}..{self.highest}")
        return shapes[0]


@dataclass(frozen=True, eq=False)
class TableLayer(ProgramLayer):
    """``table[code - lowest]``: a function of one signal of at most 8 bits, exact for each of its codes.

    Parameters
    ----------
    table : int array (2**bits,)
        The output code for each input code, from the lowest on.
    lowest : int
        The lowest code of the input.
    output : Signal
    """

    table: NDArray[np.int64]
    lowest: int
    output: Signal

    def __post_init__(self) -> None:
        table, form = np.array(self.table, np.int64), self.output.format
        if table.ndim != 1 or table.size not in _TABLE_SIZES:
            raise EspalierError(f"{self.name}: a table has {_TABLE_SIZES[0]}..{_TABLE_SIZES[-1]} codes, a power of two")
        if table.min() < form.min_code or table.max() > form.max_code:
            raise EspalierError(f"{self.name}: a code of the table does not fit {form}")
        freeze(self, table=table)

    @property
    def table_bits(self) -> int:
        """Bits of the table."""
        return self.table.size * self.output.bits

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]

    def output_signal(self, *signals: Signal) -> Signal:
        form = signals[0].format
        if (form.min_code, 1 << form.width) != (self.lowest, self.table.size):
            raise EspalierError(
                f"{self.name}: {self.table.size} codes from {self.lowest} on are no table of the codes of {form}"
            )
        return self.output


@dataclass(frozen=True, eq=False)
class ConcatLayer(ProgramLayer):
    """The maps of two tensors, one after the other; no code moves, so that both are the same kind of signal."""

    arity: ClassVar[int] = 2

    def output_shape(self, *shapes: Shape) -> Shape:
        if len(shapes[0]) != len(shapes[1]) or shapes[0][1:] != shapes[1][1:]:
            raise EspalierError(f"{self.name}: joins maps of one size, gets {shapes}")
        return (shapes[0][0] + shapes[1][0], *shapes[0][1:])

    def output_signal(self, *signals: Signal) -> Signal:
        if signals[0] != signals[1]:
            raise EspalierError(f"{self.name}: joins codes that mean the same, gets {signals[0]} and {signals[1]}")
        return signals[0]


@dataclass(frozen=True, eq=False)
class FlattenLayer(ProgramLayer):
    """(C, H, W) read as (C*H*W,), row-major, or as maps of another `shape`; no code moves."""

    shape: tuple[int, ...] = field(default=(), metadata=archive.LATER)

    def output_shape(self, *shapes: Shape) -> Shape:
        words = math.prod(shapes[0])
        if self.shape and (len(self.shape) != 3 or min(self.shape) < 1 or math.prod(self.shape) != words):
            raise EspalierError(f"{self.name}: {words} words of {shapes[0]} are no maps of {self.shape}")
        return self.shape or (words,)


def code_type(weight_bits: int) -> type[np.signedinteger[Any]]:
    """Return the narrowest type of arrays that holds codes of weights: networks have a hundred million of them."""
    return np.int8 if weight_bits <= 8 else np.int16


def _filling(nest: LoopNest, words: NDArray[Any]) -> NDArray[Any]:
    """Return the words of blocks, in issue order, that lie past an edge of the matrix."""
    rows, columns = nest.positions
    return words[(rows >= nest.shape[0]) | (columns >= nest.shape[1])]


def check_narrow_overflow(overflow: Any, what: str) -> None:
    """Raise EspalierError, naming `what`, unless an accumulator that is too narrow may overflow in this way."""
    if not isinstance(overflow, Overflow) or overflow not in NARROW_OVERFLOWS:
        expected = " or ".join(mode.name for mode in NARROW_OVERFLOWS)
        raise EspalierError(f"{what} must be {expected}, got {getattr(overflow, 'name', repr(overflow))}")


def _slide(layer: ProgramLayer, window: Window, outputs: int, shape: Shape) -> Shape:
    if len(shape) != 3:
        raise EspalierError(f"{layer.name}: expects (maps, height, width), gets {shape}")
    return (outputs, *window.output_size(shape[1], shape[2], layer.name))


def _check_accumulator(layer: Any, needed: int, outputs: int = 1) -> None:
    if layer.accumulator_bits < needed:
        raise EspalierError(f"{layer.name}: accumulator_bits must be at least {needed}, got {layer.accumulator_bits}")
    if layer.requantize is None:
        if layer.output.bits != layer.accumulator_bits or not layer.output.format.signed or layer.relu:
            raise EspalierError(f"{layer.name}: without requantisation the output is the signed accumulator")
    elif layer.requantize.outputs not in (1, outputs):
        raise EspalierError(f"{layer.name}: {outputs} outputs have 1 or {outputs} multipliers and offsets")
    elif layer.accumulator_bits + int(layer.requantize.multipliers.max()).bit_length() > PRODUCT_BITS:
        raise EspalierError(f"{layer.name}: accumulator times multiplier needs more than {PRODUCT_BITS} bits")


LAYERS = (
    AddLayer, AvgPoolLayer, ClipLayer, ConcatLayer, FlattenLayer, MacLayer, MaxPoolLayer, MulLayer, ReluLayer,
    TableLayer,
)  # fmt: skip
