"""Additions and ReLUs of their own on the hardware: single layers, chains, and networks from floats to codes."""

from dataclasses import replace

import numpy as np
import pytest
from support.networks import Sketch, images_for, residual
from support.programs import PIXEL, program, signal
from support.rtl_programs import ARRAY, SIGNED, SIZES, add, check, difference, images_of, mac

from accel.array import MacArray
from accel.fixedpoint import Overflow
from accel.network import INPUT, Network
from accel.program import Program
from accel.program_layers import AddLayer, FlattenLayer, MaxPoolLayer, ProgramLayer, ReluLayer
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from accel.signal import Signal
from accel.window import Window
from reports.workflow.prune import prune
from rtl.simulate import simulate

POINT = Window((1, 1))
UNSIGNED = signal(7, signed=False)


def both(
    rng: np.random.Generator,
    first: Signal,
    second: Signal,
    weights: tuple[int, int],
    swapped: bool = False,
    relu: bool = False,
) -> Program:
    """Return the sum of an input of the signal `first` and a convolution of it that gives `second`."""
    names, reads = (INPUT, "a"), (first, second)
    if swapped:
        names, reads = ("a", INPUT), (second, first)
    layers = [
        mac(rng, "a", INPUT, (3, 3, 1), first, window=POINT, output=second),
        add("sum", names, weights, reads, signal(6, overflow=Overflow.SAT), relu=relu),
    ]
    return program(layers, (3, 2, 6), first)


class TestAdditions:
    @pytest.mark.slow
    @pytest.mark.parametrize(("swapped", "relu"), [(False, False), (True, False), (True, True)])
    @pytest.mark.parametrize(
        ("first", "second"),
        [(PIXEL, UNSIGNED), (PIXEL, SIGNED), (signal(8), SIGNED), (SIGNED, UNSIGNED)],
        ids=["unsigned", "unsigned + signed", "signed", "signed + unsigned"],
    )
    def test_signs(self, first: Signal, second: Signal, swapped: bool, relu: bool, rng: np.random.Generator) -> None:
        """Each operand has a sign of its own, in either order; the ReLU sees the sum."""
        of = both(rng, first, second, (2, 3), swapped, relu)
        runs = check(of, images_of(rng, of))
        negative = any((run.codes < 0).any() for run in runs)
        assert negative == (not relu and (first.format.signed or second.format.signed))

    @pytest.mark.slow
    @pytest.mark.parametrize("weights", [(1, 1), (127, 1), (128, 1), (1, 254), (300, 513), (4096, 2)], ids=str)
    def test_weights_of_several_words(self, weights: tuple[int, int], rng: np.random.Generator) -> None:
        """A weight above 127 is added in as many steps as it takes words."""
        of = both(rng, PIXEL, SIGNED, weights)
        check(of, images_of(rng, of, 1))

    @pytest.mark.parametrize("weight_bits", [2, 3, 16])
    def test_words_of_the_array(self, weight_bits: int, rng: np.random.Generator) -> None:
        """On narrower words a weight takes more steps, on wider ones fewer; an array of 2 bits counts up by ones."""
        layers = [add("sum", (INPUT, INPUT), (9, 4), (SIGNED, SIGNED), signal(8))]
        of = program(layers, (3, 2, 6), SIGNED)
        check(of, images_of(rng, of, 1), replace(ARRAY, weight_bits=weight_bits))

    @pytest.mark.parametrize("lanes", [(1, 1), (2, 2), (3, 8)], ids=str)
    def test_arrays(self, lanes: tuple[int, int], rng: np.random.Generator) -> None:
        """Whatever the array's lanes, an addition runs a map at a time on the first."""
        of = both(rng, PIXEL, SIGNED, (5, 2))
        check(of, images_of(rng, of, 1), MacArray(*lanes, **SIZES))

    def test_in_the_middle(self, rng: np.random.Generator) -> None:
        """A sum that a layer with lists and another sum read; the layer before it has lists too."""
        same = Window.square(3, padding=1)
        layers = [
            mac(rng, "a", INPUT, (3, 2, 9), PIXEL, window=same, pattern="kernel+ikss", output=SIGNED),
            mac(rng, "b", "a", (3, 3, 9), SIGNED, window=same, pattern="irregular", output=UNSIGNED),
            add("one", ("a", "b"), (150, 2), (SIGNED, UNSIGNED), SIGNED, relu=True),
            mac(rng, "c", "one", (3, 3, 1), SIGNED, window=POINT, pattern="kernel", output=SIGNED),
            add("two", ("c", "one"), (3, 1), (SIGNED, SIGNED), SIGNED),
            mac(rng, "d", "two", (5, 3, 4), SIGNED, window=Window.square(2), pattern="ikss"),
        ]
        of = program(layers, (2, 3, 5))
        check(of, images_of(rng, of, 1))

    def test_vectors(self, rng: np.random.Generator) -> None:
        """Vectors are added a word at a time, also where one of them is a flattened map."""
        layers: list[ProgramLayer] = [
            FlattenLayer("flat", (INPUT,)),
            mac(rng, "a", "flat", (6, 6, 1), PIXEL, output=SIGNED),
            add("sum", ("a", "flat"), (4, 1), (SIGNED, PIXEL), SIGNED),
            mac(rng, "b", "sum", (6, 6, 1), SIGNED, pattern="block-2", output=SIGNED),
            add("scores", ("b", "sum"), (1, 1), (SIGNED, SIGNED), signal(7)),
        ]
        of = program(layers, (2, 1, 3))
        check(of, images_of(rng, of))

    @pytest.mark.slow
    def test_back_pressure(self, rng: np.random.Generator) -> None:
        """Rows of sums that have to wait are as they are."""
        of = both(rng, PIXEL, SIGNED, (2, 3))
        (run,) = check(of, images_of(rng, of, 1), ready=0.3, rng=rng)
        assert run.stalls

    @pytest.mark.slow
    def test_the_comparison(self, rng: np.random.Generator) -> None:
        """Negative control: another weight, the ReLU or the operands' order are noticed."""
        of = both(rng, PIXEL, SIGNED, (2, 3))
        images, (first, layer) = images_of(rng, of, 1), of.layers
        assert isinstance(layer, AddLayer)
        for wrong in (replace(layer, weights=(2, 2)), replace(layer, relu=True), replace(layer, inputs=("a", INPUT))):
            runs = simulate(replace(of, layers=(first, wrong)), ARRAY, images)
            assert difference(of, images, runs) is not None


class TestRelu:
    def test_a_relu_at_the_end(self, rng: np.random.Generator) -> None:
        """Negative codes become zero, all others stay, the highest too."""
        of = program([ReluLayer("relu", (INPUT,))], (2, 2, 8), SIGNED)
        images = np.arange(-32, 32).reshape(2, 1, 2, 2, 8)[0]
        every = np.concatenate([images, images + 32])
        runs = check(of, every)
        assert (runs[0].codes == 0).all()
        assert (runs[1].codes == every[1]).all()

    def test_unsigned_codes(self, rng: np.random.Generator) -> None:
        """Codes without a sign pass, those with the highest bit too."""
        of = program([ReluLayer("relu", (INPUT,))], (1, 2, 5))
        images = images_of(rng, of, 1) | 128
        (run,) = check(of, images)
        assert (run.codes == images[0]).all()

    def test_between_layers(self, rng: np.random.Generator) -> None:
        """A ReLU that only one of two readers asks for, after a pool and in front of an addition; and of a vector."""
        layers: list[ProgramLayer] = [
            mac(rng, "a", INPUT, (3, 2, 1), PIXEL, window=POINT, output=SIGNED),
            MaxPoolLayer("pool", ("a",), Window.square(2, 1, 1)),
            ReluLayer("relu", ("pool",)),
            add("sum", ("pool", "relu"), (1, 1), (SIGNED, SIGNED), SIGNED),
            FlattenLayer("flat", ("sum",)),
            ReluLayer("again", ("flat",)),
            mac(rng, "b", "again", (5, 36, 1), SIGNED),
        ]
        of = program(layers, (2, 2, 3))
        check(of, images_of(rng, of))


def preactivation() -> Network:
    """Return a network whose ReLU no layer takes in, because the addition reads what is before it."""
    sketch = Sketch(2, 5, 5)
    before = sketch.conv("conv1", 3, padding=1)
    sketch.relu("relu1")
    after = sketch.conv("conv2", 3, padding=1)
    sketch.add("add", before, after)
    sketch.global_pool("mean")
    sketch.flatten()
    sketch.linear("fc", 3)
    return sketch.network("preactivation")


class TestNetworks:
    @pytest.mark.slow
    @pytest.mark.parametrize("pattern", ["dense", "kernel+ikss"])
    @pytest.mark.parametrize("bits", [(4, 8), (8, 6)], ids=["packed", "8x6"])
    def test_a_residual_network(self, bits: tuple[int, int], pattern: str, rng: np.random.Generator) -> None:
        """From floats by way of lowering to the hardware: an addition with a ReLU, average pools, pruned or not."""
        network = PrunedNetwork(residual())
        pruned = network if pattern == "dense" else prune(network, "kernel+ikss")
        of = lower(pruned, Widths(*bits), images_for(network.network))
        assert [layer.name for layer in of.layers if isinstance(layer, AddLayer)] == ["add"]
        codes = of.input_signal.encode(images_for(network.network, 1))
        widest = max(getattr(layer, "accumulator_bits", 1) for layer in of.layers)
        array = MacArray(3, 4, bits[0], 8, widest, **SIZES)
        check(of, codes, replace(array, signal_words=1024, weight_words=1024, list_entries=256))

    @pytest.mark.slow
    def test_a_relu_of_its_own(self) -> None:
        """A ReLU that reads what an addition reads too stays a layer."""
        of = lower(PrunedNetwork(preactivation()), Widths(5, 6), images_for(preactivation()))
        assert any(isinstance(layer, ReluLayer) for layer in of.layers)
        check(of, of.input_signal.encode(images_for(preactivation(), 1)), replace(ARRAY, weight_words=1024))
