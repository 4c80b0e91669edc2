"""Ways to hold signals: by hand, in place on real words, and lines against a search that drops a row at once."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from support.networks import chain, images_for
from support.programs import PIXEL, mac_layer, program, programs, signal

from accel.cost.signals import SignalPlan, overwrites, peak_signals, signal_plans
from accel.network import INPUT, Network
from accel.program import Program
from accel.program_layers import AddLayer, FlattenLayer, MaxPoolLayer, ReluLayer
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from accel.signal import Requantize
from accel.window import Window

CODES = {"requantize": Requantize([1], 4), "output": signal(8)}


def programmed(network: Network) -> Program:
    """Return the Program of a network, with signals of 5 bits and an image of 8."""
    return lower(PrunedNetwork(network), Widths(4, 5, 8), images_for(network))


def plans(of: Program) -> dict[str, SignalPlan]:
    """Return the plans by name."""
    return {plan.name: plan for plan in signal_plans(of)}


class TestChain:
    """4C3-MP2-5C3-7-3 for 2 x 8 x 8 images: 1024 bits of image, then 1280, 320, 100, 35 and the scores."""

    of = programmed(chain())
    plan = plans(of)

    def test_live(self) -> None:
        """That of the array: conv1 holds the image and what it writes, the pool's output. Others do not fuse it."""
        assert self.plan["live tensors"].bits == 1024 + 320 == peak_signals(self.of)[1]
        assert self.plan["live tensors"].parts == {"input": 1024, "pool1": 320}

    def test_ping_pong(self) -> None:
        """Two buffers: the image, the pool's output and fc3's in one, conv1's and conv2's in the other."""
        assert self.plan["ping-pong"].parts == {"buffer 0": 1024, "buffer 1": 1280}

    def test_in_place(self) -> None:
        """The pool may write over what it reads, which takes 320 bits less there; conv1 stays the peak."""
        assert self.plan["in place"].bits == 1024 + 1280
        assert (self.plan["in place"].peak, self.plan["in place"].in_place) == ("conv1", ("pool1",))

    def test_line_buffer(self) -> None:
        """Rows of the image are 128 bits, of conv1 160, of the pool 80, of conv2 50.

        The peak: conv1's row 5 is made of the image's rows 4, 5 and 6, while its row 4 waits beside it for the pool,
        whose rows 0 and 1 wait for the third that conv2 needs. When conv1's row 6 is made, its rows 4 and 5 are gone.
        """
        assert self.plan["line buffer"].parts == {"input": 3 * 128, "conv1": 2 * 160, "pool1": 2 * 80}
        assert self.plan["line buffer"].bits == 864


def straight(height: int, kernels: list[tuple[int, int, int]]) -> Program:
    """Return a chain of one-map convolutions (kernel, stride, padding) on a one-pixel wide image of 8-bit words."""
    layers, source = [], INPUT
    for index, (kernel, stride, padding) in enumerate(kernels):
        window = Window((kernel, 1), (stride, stride), (padding, 0, padding, 0))
        weights = np.ones((1, 1, kernel))
        layers.append(
            mac_layer(f"conv{index}", source, weights, PIXEL if not index else signal(8), window=window, **CODES)
        )  # type: ignore[arg-type]
        source = f"conv{index}"
    return program(layers, (1, height, 1))


class TestLines:
    def test_one_convolution(self) -> None:
        """As many rows of the input as the kernel, and none of an output that leaves."""
        for kernel, stride, padding in ((3, 1, 1), (5, 1, 0), (1, 1, 0), (3, 2, 1)):
            assert plans(straight(9, [(kernel, stride, padding)]))["line buffer"].parts == {"input": 8 * kernel}

    def test_rows_that_are_skipped(self) -> None:
        """A window smaller than its stride needs its rows alone."""
        assert plans(straight(9, [(2, 4, 0)]))["line buffer"].parts == {"input": 16}

    def test_two_convolutions(self) -> None:
        """3 rows before each: while the second's third row is made, its three are still read."""
        assert plans(straight(9, [(3, 1, 0), (3, 1, 0)]))["line buffer"].bits == 8 * (3 + 3)

    def test_a_residual_branch_delays(self) -> None:
        """What an addition joins is held for as many rows as the branch beside it lags behind."""
        conv = {"window": Window((3, 1), (1, 1), (1, 0, 1, 0)), **CODES}
        first = mac_layer("conv1", INPUT, np.ones((1, 1, 3)), PIXEL, **conv)  # type: ignore[arg-type]
        second = mac_layer("conv2", "conv1", np.ones((1, 1, 3)), signal(8), **conv)  # type: ignore[arg-type]
        add = AddLayer("add", (INPUT, "conv2"), (1, 1), 11, False, Requantize([1], 3), signal(8))
        with_branch = plans(program([first, second, add], (1, 9, 1)))["line buffer"]
        without = plans(program([first, second, ReluLayer("relu", ("conv2",))], (1, 9, 1)))["line buffer"]
        # row r of conv2 needs row r + 2 of the image, row r of which the addition waits for
        assert with_branch.parts["input"] == 8 * 3
        assert with_branch.bits >= without.bits

    def test_a_vector_is_whole(self) -> None:
        """After a flatten everything is needed at once."""
        layer = mac_layer("fc", "flat", np.ones((2, 18, 1)), PIXEL)
        of = program([FlattenLayer("flat", (INPUT,)), layer], (2, 3, 3))
        assert plans(of)["line buffer"].parts == {"input": 18 * 8}

    @settings(max_examples=40, deadline=None)
    @given(programs())
    def test_lines_are_of_tensors(self, of: Program) -> None:
        """No tensor has more lines than rows; the plans' parts are their sum; ping-pong holds what is live."""
        found = plans(of)
        for plan in found.values():
            assert plan.bits == sum(plan.parts.values())
        for name, bits in found["line buffer"].parts.items():
            assert bits <= math.prod(of.shapes[name]) * of.signals[name].bits
        assert found["ping-pong"].bits >= found["live tensors"].bits >= found["in place"].bits


class TestInPlace:
    @pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (3, 1), (2, 1), (1, 1), (2, 3)])
    def test_a_pool_on_its_own_words(self, kernel: int, stride: int) -> None:
        """Outputs written over the words that were read, in row-major order, equal those written elsewhere."""
        window = Window.square(kernel, stride)
        maps = np.random.default_rng(0).integers(0, 99, (3, 7, 6))
        height, width = window.output_size(7, 6)
        wanted = [
            maps[c, y * stride : y * stride + kernel, x * stride : x * stride + kernel].max()
            for c in range(3)
            for y in range(height)
            for x in range(width)
        ]
        words = maps.ravel().copy()
        for place, (c, y, x) in enumerate(np.ndindex(3, height, width)):
            tile = words.reshape(3, 7, 6)[c, y * stride : y * stride + kernel, x * stride : x * stride + kernel]
            words[place] = tile.max()
        assert words[: len(wanted)].tolist() == wanted

    def test_padding_forbids_it(self) -> None:
        """Negative control: with a row and column of padding a word is overwritten before it is read the last time."""
        words, wanted = np.array([5, 1, 1, 1]), [5, 5, 1, 1]  # windows of 3 on 4 pixels, padded by one
        for place in range(4):
            words[place] = words[max(0, place - 1) : place + 2].max()
        assert words.tolist() != wanted
        of = program([MaxPoolLayer("pool", (INPUT,), Window((1, 3), (1, 1), (0, 1, 0, 1)))], (1, 1, 4))
        assert overwrites(of, of.layers[0]) is None

    def test_who_may(self) -> None:
        """A ReLU and an addition over an input that nobody reads later and whose words are as wide; no convolution."""
        conv = mac_layer("conv", INPUT, np.ones((1, 1, 1)), PIXEL, window=Window((1, 1)), **CODES)  # type: ignore[arg-type]
        relu = ReluLayer("relu", ("conv",))

        def add(bits: int) -> AddLayer:
            return AddLayer("add", (INPUT, "relu"), (1, 1), 12, False, Requantize([1], 3), signal(bits))

        of = program([conv, relu, add(8)], (1, 2, 2))
        assert [overwrites(of, layer) for layer in of.layers] == [None, "conv", INPUT]
        wide = program([conv, relu, add(9)], (1, 2, 2))
        assert overwrites(wide, wide.layers[2]) is None
        later = program(
            [conv, relu, AddLayer("add", ("conv", "relu"), (1, 1), 12, False, Requantize([1], 3), signal(8))]
        )
        assert [overwrites(later, layer) for layer in later.layers] == [None, None, "conv"]
