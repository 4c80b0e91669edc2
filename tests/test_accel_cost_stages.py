"""Layers of a Program as loops: by hand, kind by kind; what travels with weights is what the Program stores."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from support.programs import PIXEL, mac_layer, program, programs, signal

from accel.array import MacArray
from accel.cost import cost_of
from accel.cost.stages import Stage, stages_of, tensor_bits
from accel.encoding import encodings
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import AddLayer, AvgPoolLayer, ConcatLayer, FlattenLayer, MacLayer, MaxPoolLayer, MulLayer
from accel.signal import Requantize
from accel.sparsity import parse_pattern
from accel.window import Window

CODES = {"requantize": Requantize([1], 4), "output": signal(8)}
WINDOW = Window.square(3, 1, 1)
NOTHING: frozenset[str] = frozenset()


def stages(of: Program) -> dict[str, Stage]:
    """Return the stages on an array that leaves nothing out, by name."""
    return {stage.name: stage for stage in stages_of(of, MacArray(), cost_of(of).layers)}


def conv(source: str = INPUT, name: str = "conv", outputs: int = 4, maps: int = 2, **more: object) -> MacLayer:
    """Return a convolution of 3 x 3 kernels of ones."""
    return mac_layer(name, source, np.ones((outputs, maps, 9)), PIXEL, window=WINDOW, **CODES, **more)  # type: ignore[arg-type]


class TestKinds:
    def test_convolution_and_its_pool(self) -> None:
        """Its rows go in pairs where the drain pools them; what it writes is the pooled tensor."""
        pool = MaxPoolLayer("pool", ("conv",), Window.square(2, 2))
        fc = mac_layer("fc", "flat", np.ones((3, 4 * 3 * 4)), signal(8))
        found = stages(program([conv(), pool, FlattenLayer("flat", ("pool",)), fc], (2, 6, 8)))
        assert [*found] == ["conv", "fc"]
        loops, accumulator = found["conv"].loops, conv().accumulator_bits
        assert (loops.rows, loops.input_rows, loops.row_step, loops.kernel_rows, loops.padding) == (6, 6, 2, 3, 1)
        assert (loops.outputs, loops.maps, loops.groups, loops.sum_row_bits) == (4, 2, 1, 8 * accumulator)
        assert (found["conv"].sources, found["conv"].target) == ({INPUT: 8 * 8}, "pool")
        assert found["conv"].output_bits == 4 * 3 * 4 * 8
        assert (found["fc"].loops.maps, found["fc"].sources, found["fc"].target) == (48, {"pool": 8}, None)
        assert stages(program([conv()], (2, 6, 8)))["conv"].loops.row_step == 1  # negative control

    def test_depthwise(self) -> None:
        """Each map is a group of its own, also where the mask alone says so."""
        kept = np.zeros((4, 4, 9), bool)
        kept[np.arange(4), np.arange(4)] = True
        for pattern in ("groups-4", "kernel"):
            layer = conv(maps=4, kept=kept, pattern=pattern, encoding=encodings(parse_pattern(pattern))[0].name)
            loops = stages(program([layer], (4, 6, 8)))["conv"].loops
            assert (loops.groups, loops.outputs, loops.maps) == (4, 1, 1)
            assert loops.words.ravel().tolist() == [9] * 4

    def test_pruned_kernels(self) -> None:
        """Words lie where kernels are kept; the index travels with them."""
        kept = np.ones((4, 2, 9), bool)
        kept[0, 1] = kept[3, 0] = False
        of = program([conv(kept=kept, pattern="kernel", encoding="kernel flags")], (2, 6, 8))
        loops, counts = stages(of)["conv"].loops, cost_of(of).layers[0].counts
        assert loops.words.tolist() == [[[9, 0], [9, 9], [9, 9], [0, 9]]]
        assert loops.stored_bits == 6 * 9 * 8 + 8 == counts.weight_memory_bits + counts.index_memory_bits

    def test_pools_and_additions(self) -> None:
        """A map at a time; an addition reads a row of each of both, of one on the chip the other alone."""
        add = AddLayer("add", ("conv", "same"), (1, 1), 12, False, Requantize([1], 1), signal(8))
        mean = AvgPoolLayer("mean", ("add",), Window((6, 8)), 20, False, Requantize([1], 1), signal(8))
        second = mac_layer("same", "conv", np.ones((4, 4, 9)), signal(8), window=WINDOW, **CODES)  # type: ignore[arg-type]
        of = program([conv(), second, add, mean], (2, 6, 8))
        found = stages(of)
        assert found["add"].sources == {"conv": 64, "same": 64}
        assert (found["add"].loops.groups, found["add"].loops.weight_bits) == (4, 0)
        assert (found["mean"].loops.rows, found["mean"].loops.kernel_rows) == (1, 6)
        both, one = (found["add"].tilings(there, False) for there in (NOTHING, frozenset({"conv"})))
        assert (int(both.inputs[0]), int(one.inputs[0])) == (2 * 4 * 6 * 64, 4 * 6 * 64)
        assert found["same"].held == {"conv", "same"}
        assert found["mean"].held == {"add"}  # what leaves is not held

    def test_factors(self) -> None:
        """Maps times a code each: the code comes again for every row, which is told to be no less than it takes."""
        mean = AvgPoolLayer("mean", ("conv",), Window((6, 8)), 20, False, Requantize([1], 6), signal(8))
        product = MulLayer("product", ("conv", "mean"), 16, False, Requantize([1], 8), signal(8))
        found = stages(program([conv(), mean, product], (2, 6, 8)))["product"]
        assert found.sources == {"conv": 8 * 8, "mean": 8}
        assert (found.loops.groups, found.loops.rows) == (4, 6)

    def test_what_a_concatenation_moves(self) -> None:
        """A stage for each tensor that is copied; nothing where both lie there from the start."""
        half = conv(name="half")
        of = program([half, ConcatLayer("twice", ("half", "half"))], (2, 6, 8))
        found = stages_of(of, MacArray(), cost_of(of).layers)
        assert [(stage.name, stage.output_bits) for stage in found] == [
            ("half", 1536),
            ("twice", 1536),
            ("twice", 1536),
        ]
        halves = program(
            [half, conv(name="other"), ConcatLayer("twice", ("half", "other")), conv("twice", maps=8)], (2, 6, 8)
        )
        assert [*stages(halves)] == ["half", "other", "conv"]
        assert stages(halves)["half"].target == "twice"

    @pytest.mark.parametrize(("pattern", "encoding"), [("dense", "none"), ("irregular", "bitmap")])
    def test_wide_layers(self, pattern: str, encoding: str) -> None:
        """Of more than 512 maps a tile has whole units, here of 3: the last has fewer words."""
        layer = mac_layer("fc", "flat", np.ones((2, 1030)), PIXEL, pattern=pattern, encoding=encoding)
        loops = stages(program([FlattenLayer("flat", (INPUT,)), layer], (1030, 1, 1)))["fc"].loops
        assert (loops.output_unit, loops.map_unit) == (1, 3)
        assert loops.words.tolist() == [[[3] * 343 + [1]] * 2]


class TestWholePrograms:
    @settings(max_examples=40, deadline=None)
    @given(of=programs(every_kind=True))
    def test_all_that_is_stored_travels(self, of: Program) -> None:
        """Words, index and constants of all layers with weights, each kept word in one of its groups."""
        costs = {cost.name: cost.counts for cost in cost_of(of).layers}
        found = stages(of)
        for layer in of.mac_layers:
            loops = found[layer.name].loops
            assert loops.weight_bits == costs[layer.name].parameter_memory_bits
            assert loops.words.sum() == np.count_nonzero(layer.kept)
            assert (loops.groups * loops.outputs, loops.groups * loops.maps) == layer.shape[:2]
        bits = tensor_bits(of)
        assert bits[INPUT] == math.prod(of.input_shape) * of.input_signal.bits
        assert all(stage.held <= {*bits} and {*stage.sources} <= {*bits} for stage in found.values())
