"""What is no Program, and the line that says so."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.programs import PIXEL, mac_layer, signal
from support.small_programs import ADD, CONV, FLAT, POOL, SCORES, small, sparse_scores, words

from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat
from accel.network import INPUT
from accel.program_layers import MacLayer, MaxPoolLayer, ReluLayer
from accel.signal import Requantize, Signal, integer_format
from accel.window import Window

Refused = tuple[Callable[[], Any], str]

SIGNALS: dict[str, Refused] = {
    "fraction bits": (
        lambda: Signal(FixedFormat(8, 3), 1.0),
        r"a signal's codes are integers of at most 61 bits, got ap_fixed<8,3>",
    ),
    "too wide": (lambda: signal(62), "integers of at most 61 bits, got ap_fixed<62,62>"),
    "no step": (lambda: Signal(integer_format(8, True), 0.0), "a step must be a positive number, got 0.0"),
    "step not finite": (lambda: Signal(integer_format(8, True), np.inf), "a step must be a positive number, got inf"),
    "step no number": (lambda: Signal(integer_format(8, True), np.nan), "a step must be a positive number, got nan"),
    "multiplier 0": (lambda: Requantize([1, 0], 0), r"must be 1..4294967295 in one dimension, got \[1, 0\]"),
    "multiplier of 33 bits": (lambda: Requantize([1 << 32], 0), r"1..4294967295 .*, got \[4294967296\]"),
    "multiplier that would wrap": (lambda: Requantize([2**32 + 1], 0), "multipliers must be 1..4294967295"),
    "no multiplier": (lambda: Requantize([], 0), r"multipliers must be 1..4294967295 in one dimension, got \[\]"),
    "multipliers in a matrix": (lambda: Requantize([[1, 2]], 0), r"in one dimension, got \[\[1, 2\]\]"),
    "shift below 0": (lambda: Requantize([1], -1), "shift must be 0..60, got -1"),
    "shift past the product": (lambda: Requantize([1], 61), "shift must be 0..60, got 61"),
}

MAC_LAYERS: dict[str, Refused] = {
    "no weight bits": (lambda: replace(CONV, weight_bits=0), "conv: weight_bits must be 1..16, got 0"),
    "wide weight bits": (lambda: replace(CONV, weight_bits=17), "conv: weight_bits must be 1..16, got 17"),
    "wide bias bits": (lambda: replace(CONV, bias_bits=62), "conv: bias_bits must be 1..61, got 62"),
    "shape": (lambda: replace(CONV, shape=(2, 4)), r"conv: shape must be \(outputs, maps, taps\), got \(2, 4\)"),
    "no outputs": (lambda: replace(CONV, shape=(0, 1, 4)), r"conv: shape must be .*, got \(0, 1, 4\)"),
    "window": (
        lambda: replace(CONV, window=Window((2, 3))),
        r"conv: 4 taps do not fit the window Window\(kernel=\(2, 3\)",
    ),
    "weight": (lambda: mac_layer("fc", "flat", [[8, 0]], PIXEL, weight_bits=4), "fc: a weight does not fit 4 bits"),
    "negative weight": (lambda: mac_layer("fc", "flat", [[-9]], PIXEL, weight_bits=4), "fc: a weight does not fit 4"),
    "weight that would wrap": (lambda: mac_layer("fc", "flat", [[2**32 + 1]], PIXEL), "fc: a weight does not fit 8"),
    "bias": (lambda: replace(CONV, bias=[0, 2]), "conv: a bias does not fit 1 bits"),
    "biases": (lambda: replace(CONV, bias=[0]), r"conv: expected 2 biases and 8 weights, got \(1,\) and \(8,\)"),
    "weights": (
        lambda: replace(CONV, weights=np.ones(7)),
        r"conv: expected 2 biases and 8 weights, got \(2,\) and \(7,\)",
    ),
    "matrix": (lambda: replace(CONV, weights=np.ones((2, 4))), r"expected 2 biases and 8 weights, got .* and \(2, 4\)"),
    "steps": (lambda: replace(CONV, weight_steps=np.ones(3)), "conv: weight_steps must be one or 2 positive numbers"),
    "step 0": (lambda: replace(CONV, weight_steps=[0.0]), "conv: weight_steps must be one or 2 positive numbers"),
    "step nan": (lambda: replace(CONV, weight_steps=[np.nan]), "conv: weight_steps must be one or 2 positive numbers"),
    "step inf": (
        lambda: replace(CONV, weight_steps=[1, np.inf]),
        "conv: weight_steps must be one or 2 positive numbers",
    ),
}

INDICES: dict[str, Refused] = {
    "unknown pattern": (lambda: replace(CONV, pattern="knit"), "unknown pattern 'knit'"),
    "unknown encoding": (lambda: replace(CONV, encoding="csr"), "dense is not stored as 'csr'"),
    "words that nobody reads": (lambda: replace(CONV, index=(words("flags", 1, 1),)), "is not the one that its mask"),
    "no words": (lambda: replace(sparse_scores(), index=()), "the index has no ends"),
    "ends": (lambda: edited(0, (3, 5)), "the ends of the csr index do not divide its 6 columns"),
    "descending ends": (lambda: edited(0, (7, 6)), "the ends of the csr index do not divide its 6 columns"),
    "column": (lambda: wide_columns(5), "the csr index has column 5 of only 4"),
    "order": (lambda: edited(1, (2, 0, 3, 0, 1, 3)), "the csr index is not the one that its mask is stored as"),
    "twice": (lambda: edited(1, (0, 0, 3, 0, 1, 3)), "the csr index is not the one that its mask is stored as"),
    **{
        f"broken pattern, {encoding}": (
            lambda encoding=encoding: replace(sparse_scores(encoding=encoding), pattern="2:4"),
            "scores: mask breaks the pattern 2:4: row 0 keeps 3 of the columns 0..3",
        )
        for encoding in ("bitmap", "csr")
    },
    "word": (lambda: words("ends", 2, 4), "index words ends: a word does not fit 2 bits"),
    "negative word": (lambda: words("ends", 2, -1), "index words ends: a word does not fit 2 bits"),
    "offset": (
        lambda: replace(strided(), index=(words("strides", 3, 1), words("offsets", 3, 2))),
        "an offset of the stride-offset index is not smaller than its stride",
    ),
}

GRAPHS: dict[str, Refused] = {
    "no layers": (lambda: small(), r"test: needs layers and maps of a height and width, got \(1, 3, 3\)"),
    "flat input": (lambda: small(FLAT, shape=(4,)), r"test: needs layers and maps of a height and width, got \(4,\)"),
    "empty input": (lambda: small(FLAT, shape=(1, 0, 3)), r"test: needs layers and maps .*, got \(1, 0, 3\)"),
    "unknown input": (
        lambda: small(ReluLayer("relu", ("nobody",))),
        "relu: its input 'nobody' is no earlier layer, or its name is taken",
    ),
    "later input": (lambda: small(ReluLayer("relu", ("flat",)), FLAT), "relu: its input 'flat' is no earlier layer"),
    "own input": (lambda: small(ReluLayer("relu", ("relu",))), "relu: its input 'relu' is no earlier layer"),
    "name twice": (lambda: small(FLAT, FLAT), "flat: its input 'input' is no earlier layer, or its name is taken"),
    "name of the input": (lambda: small(ReluLayer(INPUT, (INPUT,))), "input: its input .* its name is taken"),
    "two inputs": (lambda: small(ReluLayer("relu", (INPUT, INPUT))), "relu: must have 1 inputs, got"),
    "one of two inputs": (
        lambda: small(CONV, replace(ADD, inputs=("conv",))),
        r"add: must have 2 inputs, got \('conv',\)",
    ),
    "no inputs": (lambda: small(replace(CONV, inputs=())), r"conv: must have 1 inputs, got \(\)"),
}

SHAPES: dict[str, Refused] = {
    "maps": (lambda: small(CONV, shape=(2, 3, 3)), r"conv: expects 1 inputs in 3 dimensions, gets \(2, 3, 3\)"),
    "flattened": (lambda: small(FLAT, replace(CONV, inputs=("flat",))), r"conv: expects 1 inputs in 3 .*, gets \(9,\)"),
    "not flattened": (
        lambda: small(replace(SCORES, inputs=(INPUT,))),
        r"scores: expects 4 inputs in 1 dim.*\(1, 3, 3\)",
    ),
    "features": (lambda: small(FLAT, SCORES), r"scores: expects 4 inputs in 1 dimensions, gets \(9,\)"),
    "kernel": (lambda: small(CONV, shape=(1, 1, 3)), r"conv: a \(2, 2\) kernel is larger than the padded \(1, 3\) map"),
    "pool": (
        lambda: small(FLAT, MaxPoolLayer("max", ("flat",), Window((1, 1)))),
        r"max: expects \(maps, .*, gets \(9,\)",
    ),
    "average of a vector": (
        lambda: small(FLAT, replace(POOL, inputs=("flat",))),
        r"avg: expects \(maps, height, width\), gets \(9,\)",
    ),
    "pool size": (
        lambda: small(MaxPoolLayer("max", (INPUT,), Window.square(4))),
        r"max: a \(4, 4\) kernel is larger than the padded \(3, 3\) map",
    ),
    "added shapes": (
        lambda: small(CONV, replace(ADD, inputs=("conv", INPUT))),
        r"add: adds equal shapes by positive weights, gets \(\(2, 2, 2\), \(1, 3, 3\)\), \(2, 3\)",
    ),
    **{  # a window of padding alone would have no largest code
        f"padding {padding}": (
            lambda padding=padding: small(MaxPoolLayer("max", (INPUT,), Window((2, 3), padding=padding))),
            r"max: a max pool must be larger than its padding, got Window\(kernel=\(2, 3\)",
        )
        for padding in ((2, 0, 0, 0), (0, 3, 0, 0), (0, 0, 2, 0), (0, 0, 0, 3))
    },
}

ACCUMULATORS: dict[str, Refused] = {
    # 4 ones x 255 = 1020 < 2**10, and the sign
    "narrow": (lambda: small(replace(CONV, accumulator_bits=10)), "conv: accumulator_bits must be at least 11, got 10"),
    # 4 x 127 = 508 and 4 x -128 = -512
    "average": (
        lambda: small(CONV, replace(POOL, accumulator_bits=9)),
        "avg: accumulator_bits must be at least 10, got 9",
    ),
    # 5 x -128 = -640
    "sum": (
        lambda: small(CONV, replace(ADD, accumulator_bits=10)),
        "add: accumulator_bits must be at least 11, got 10",
    ),
    "handed out as another width": (
        lambda: small(replace(CONV, requantize=None, output=signal(12))),
        "conv: without requantisation the output is the signed accumulator",
    ),
    "handed out unsigned": (
        lambda: small(replace(CONV, requantize=None, output=signal(11, False))),
        "conv: without requantisation the output is the signed accumulator",
    ),
    "handed out after a ReLU": (
        lambda: small(replace(CONV, requantize=None, output=signal(11), relu=True)),
        "conv: without requantisation the output is the signed accumulator",
    ),
    "product": (
        lambda: small(replace(CONV, accumulator_bits=46, requantize=Requantize([65535], 0))),
        "conv: accumulator times multiplier needs more than 61 bits",
    ),
    "product of an average": (
        lambda: small(CONV, replace(POOL, accumulator_bits=61)),
        "avg: accumulator times multiplier needs more than 61 bits",
    ),
    "multipliers": (
        lambda: small(replace(CONV, requantize=Requantize([1, 1, 1], 0))),
        "conv: 2 outputs have 1 or 2 multipliers",
    ),
    "multipliers of an average": (
        lambda: small(CONV, replace(POOL, requantize=Requantize([1, 2], 0))),
        "avg: 1 outputs have 1 or 1 multipliers",
    ),
    "multipliers of a sum": (
        lambda: small(CONV, replace(ADD, requantize=Requantize([1, 2], 0))),
        "add: 1 outputs have 1 or 1 multipliers",
    ),
    "weight of a sum": (lambda: small(CONV, replace(ADD, weights=(2, 0))), r"add: adds equal shapes .*, \(2, 0\)"),
    "negative weight of a sum": (
        lambda: small(CONV, replace(ADD, weights=(-1, 3))),
        r"add: adds equal shapes .*, \(-1, 3\)",
    ),
}

REFUSED = {**SIGNALS, **MAC_LAYERS, **INDICES, **GRAPHS, **SHAPES, **ACCUMULATORS}


def edited(position: int, values: tuple[int, ...]) -> MacLayer:
    """Return the sparse layer with other values in one of its arrays of index words (ends, columns)."""
    layer = sparse_scores()
    index = list(layer.index)
    index[position] = words(index[position].name, index[position].word_bits, *values)
    return replace(layer, index=tuple(index))


def wide_columns(column: int) -> MacLayer:
    """Return the sparse layer with a column word that takes a bit more."""
    layer = sparse_scores()
    return replace(layer, index=(layer.index[0], words("columns", 3, 0, 2, column, 0, 1, 3)))


def strided() -> MacLayer:
    """Return a convolution of one input map that keeps every second tap."""
    store = {"kept": np.array([[[1, 0, 1, 0]]], bool), "pattern": "ikss", "encoding": "stride-offset"}
    return mac_layer("conv", INPUT, np.ones((1, 1, 4)), PIXEL, window=Window.square(2), **store)


class TestRefusals:
    @pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
    def test_one_line_says_what_is_wrong(self, make: Callable[[], Any], message: str) -> None:
        """What no reader could run is refused when it is made, in one line that names layer and value."""
        with pytest.raises(EspalierError, match=message) as caught:
            make()
        assert len(str(caught.value).splitlines()) == 1

    def test_the_bases_of_the_refusals_are_legal(self) -> None:
        """The layers that the refusals start from make Programs, so that each is refused for its one change."""
        small(CONV, POOL, ADD)
        small(replace(CONV, requantize=None, output=signal(11)))
        small(replace(CONV, accumulator_bits=45, requantize=Requantize([65535, 1], 60)))
        small(FLAT, SCORES, shape=(1, 2, 2))
        small(FLAT, sparse_scores(), shape=(1, 2, 2))
        small(strided())
        small(MaxPoolLayer("max", (INPUT,), Window((2, 3), padding=(1, 2, 1, 2))))
        assert Requantize([(1 << 32) - 1], 60).multipliers.tolist() == [(1 << 32) - 1]
        assert signal(61).bits == 61

    def test_arrays_are_read_only_copies(self) -> None:
        """A Program cannot be changed, neither through its arrays nor through those that it was made of."""
        bias, multipliers = np.zeros(2, np.int64), np.ones(1, np.int64)
        layer = replace(CONV, bias=bias, requantize=Requantize(multipliers, 0))
        bias[0] = multipliers[0] = 7
        assert layer.bias.tolist() == [0, 0]
        assert layer.requantize.multipliers.tolist() == [1]
        for array in (layer.weights, layer.bias, layer.weight_steps, layer.requantize.multipliers):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1
