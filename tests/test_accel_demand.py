"""How much of every memory a Program takes: what the assembler fills, and no word less does."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from programs import PIXEL, mac_layer, program, programs, signal
from rtl_images import POINT, POOL, SIGNED, chain, conv, layer, point

from accel.array import DEPTHS, MacArray
from accel.demand import array_for, demand_of
from accel.errors import EspalierError
from accel.network import INPUT, Window
from accel.program import AddLayer, ClipLayer, FlattenLayer, MacLayer, MaxPoolLayer, Program
from accel.signal import Requantize
from accel.words import Words
from rtl.assemble import assemble

FIRST = point("a", INPUT, reads=PIXEL)
LINEAR = [FlattenLayer("flat", (INPUT,)), replace(layer(np.ones((3, 150, 1)), "dense", weight_bits=10), inputs=("flat",))]


def addition(weight: int) -> AddLayer:
    """Return the sum of the input times `weight` and the input."""
    return AddLayer("b", (INPUT, INPUT), (weight, 1), 20, False, Requantize([1], 1), SIGNED)


class TestWords:
    """Signals, weights, entries, taps, constants and layers on 2 x 2 lanes, by hand."""

    @pytest.mark.parametrize(
        ("of", "words"),
        [
            # 2 maps of 4 x 5 in, one group of 2 outputs: 2 x 4 weight words, no list, the window's taps
            (chain(conv("b", INPUT), shape=(1, 4, 5)), (20, 4, 0, 4, 3, 1)),
        ],
    )
    def test_a_convolution(self, of: Program, words: tuple[int, ...]) -> None:
        """A dense convolution of 3 outputs: 2 groups of as many weight words as columns; a tap each, a constant each."""
        made = of.layers[0]
        assert isinstance(made, MacLayer)
        groups = -(-made.shape[0] // 2)
        columns = made.shape[1] * made.shape[2]
        expected = (of.signal_words, groups * columns, 0, made.shape[2], made.shape[0], 1)
        assert tuple(demand_of(of, 2, 2, 8).words.values()) == expected
        assert list(demand_of(of, 2, 2, 8).words) == [*DEPTHS]
        assert len(words) == len(expected)
