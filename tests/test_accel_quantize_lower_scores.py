import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.lowering import decoded, every_pattern, pruned_by, requantized_layers, weights_of
from support.masks import PATTERNS, few
from support.networks import Array, Sketch, chain, images_for, networks, residual

from accel.layers import Weighted
from accel.network import Network
from accel.program import Program
from accel.program_layers import AddLayer, AvgPoolLayer, MacLayer, MaxPoolLayer, ProgramLayer, ReluLayer
from accel.prune import Space, select_by_magnitude
from accel.pruned import PrunedNetwork
from accel.quantize import Steps, Widths, lower
from accel.signal import Signal


class Interval:
    """What a tensor is without rounding, and how far the decoded codes may be from it, element by element.

    Everything follows from the Program's structure and steps, in float64 and by the triangle inequality.
    """

    def __init__(self, value: Array, error: Array) -> None:
        self.value, self.error = value, error

    def requantised(self, layer: Any, extra: Array | float = 0.0) -> "Interval":
        """Return what comes out of an accumulator: multiplier off by 2**-16 (2**-7 where 8 of its bits are left),
        half a step of rounding, and what lies beyond the last code.
        """  # noqa: D205
        error = self.error + extra
        value = np.maximum(self.value, 0) if layer.relu else self.value
        if layer.requantize is None:
            return Interval(value, error)
        relative = 2.0**-16 if layer.requantize.multipliers.size == 1 else 0.5 / layer.requantize.multipliers.min()
        largest = (np.abs(value) + error) * (1 + relative)
        clipped = np.maximum(0, largest - layer.output.format.max_code * layer.output.step)
        return Interval(value, error + largest * relative + layer.output.step / 2 + clipped)


def bounds(pruned: PrunedNetwork, program: Program, images: Array) -> dict[str, Interval]:
    """Return for every tensor the exact value and a bound of its error."""
    pixels, signal = np.asarray(images, np.float64), program.input_signal
    clipped = 1 - signal.format.max_code * signal.step  # with powers of two, of the brightest pixel
    known = {"input": Interval(pixels, np.full(pixels.shape, max(signal.step / 2, clipped)))}
    for layer in program.layers:
        known[layer.name] = _bound(pruned, program, layer, [known[source] for source in layer.inputs])
    return known


def _bound(pruned: PrunedNetwork, program: Program, layer: ProgramLayer, inputs: list[Interval]) -> Interval:
    x = inputs[0]
    match layer:
        case MacLayer():
            weights, bias = weights_of(pruned, layer.name)
            steps = layer.weight_steps.reshape((-1,) + (1,) * (weights.ndim - 1))
            coded = layer.matrix.reshape(weights.shape) * steps
            # |sum(w' x') - sum(w x)| <= sum(|w' - w| |x|) + sum(|w'| |x' - x|); the bias is half a step off
            error = product(layer, np.abs(coded - weights), np.abs(x.value)) + product(layer, np.abs(coded), x.error)
            half = layer.weight_steps.max() * program.signals[layer.inputs[0]].step / 2
            shape = (-1,) + (1,) * (error.ndim - 2)
            return Interval(product(layer, weights, x.value) + bias.reshape(shape), error + half).requantised(layer)
        case MaxPoolLayer():
            # two maxima differ by no more than the values do anywhere in the window
            largest = layer.window.patches(layer.window.pad(x.value, -np.inf)).max(axis=(-2, -1))
            return Interval(largest, layer.window.patches(layer.window.pad(x.error)).max(axis=(-2, -1)))
        case AvgPoolLayer():
            value, error = (layer.window.patches(layer.window.pad(y)).mean(axis=(-2, -1)) for y in (x.value, x.error))
            return Interval(value, error).requantised(layer)
        case AddLayer():
            # steps are matched to half a 2**-12 of the larger one, so that every code is off by as much
            steps = [program.signals[source].step for source in layer.inputs]
            codes = sum((np.abs(y.value) + y.error) / step for y, step in zip(inputs, steps, strict=True))
            total = Interval(x.value + inputs[1].value, x.error + inputs[1].error)
            return total.requantised(layer, extra=codes * max(steps) * 2.0**-13)
        case ReluLayer():
            return Interval(np.maximum(x.value, 0), x.error)
    return Interval(x.value.reshape(len(x.value), -1), x.error.reshape(len(x.error), -1))


def product(layer: MacLayer, weights: Array, x: Array) -> Array:
    """Convolve, or multiply by a matrix, in float64."""
    if layer.window is None:
        return np.asarray(x @ weights.T)
    return np.asarray(np.einsum("nchwij,mcij->nmhw", layer.window.patches(layer.window.pad(x)), weights))


def fits(known: dict[str, Interval], values: dict[str, Array]) -> bool:
    """Return whether every decoded tensor is as near to the exact one as the bound says, float64 rounding aside."""
    return all(
        bool((np.abs(values[name] - interval.value) <= interval.error * (1 + 1e-9) + 1e-9).all())
        for name, interval in known.items()
    )


class TestScores:
    @every_pattern
    @settings(few, max_examples=10)
    @given(network=networks(), bits=st.integers(2, 12), flags=st.tuples(st.booleans(), st.booleans()))
    def test_every_tensor_is_within_its_bound(
        self, pattern: str, network: Network, bits: int, flags: tuple[bool, bool]
    ) -> None:
        """The golden model's values differ from the float network's by no more than rounding and clipping explain.

        The bound follows every step from the pixels to the scores (`Interval`); what it is derived around are the
        scores of the float network; a bias that is off by more than the bound leaves it.
        """
        pruned, images = pruned_by(network, pattern), images_for(network, 4)
        program = lower(pruned, Widths(bits, bits), images, Steps(power_of_two=flags[0], per_output=flags[1]))
        known, scores = bounds(pruned, program, images), pruned.network.scores(images)
        assert known[program.output].value == pytest.approx(scores, rel=1e-4, abs=1e-4)
        assert fits(known, decoded(program, images))
        last = program.mac_layers[-1]
        off = math.ceil(2 * known[program.output].error.max() / last.output.step) + 1
        values = decoded(program, images)
        assert not fits(known, values | {last.name: values[last.name] + off * last.output.step})

    @pytest.mark.slow
    @pytest.mark.parametrize("build", [chain, residual])
    @pytest.mark.parametrize("power_of_two", [False, True])
    @pytest.mark.parametrize("pattern", ["dense", "kernel", "ikss", "block-3", "2:4"])
    def test_errors_shrink_as_bits_grow(self, build: Any, power_of_two: bool, pattern: str) -> None:
        """Two bits more divide every rounding by four, on average: two more are never worse, four divide by five.

        At 12 bits the error of the scores is below 1 % of their size.
        """
        network = build(2)
        pruned, images = pruned_by(network, pattern), images_for(network, 24)
        scores = pruned.network.scores(images)
        errors = []
        for bits in (4, 6, 8, 10, 12):
            widths = Widths(bits, bits, input_bits=bits)
            program = lower(pruned, widths, images, Steps(power_of_two=power_of_two))
            errors.append(float(np.sqrt(np.mean((decoded(program, images)[program.output] - scores) ** 2))))
        assert errors == sorted(errors, reverse=True)
        assert all(errors[index + 2] < errors[index] / 5 for index in range(3)), errors
        assert errors[-1] < 0.01 * np.sqrt(np.mean(scores**2))

    @pytest.mark.slow
    @pytest.mark.parametrize("build", [chain, residual])
    @pytest.mark.parametrize("per_output", [False, True])
    @every_pattern
    def test_eight_bits_choose_the_same_class(self, pattern: str, per_output: bool, build: Any) -> None:
        """Wherever the float network's first choice leads by more than twice the largest error, it stays the first.

        With eight bits the scores of a class correlate to 0.99 over the images, and nine of ten choices are the same.
        """
        network = build(2)
        masks = {} if pattern == "dense" else select_by_magnitude(Space.of(network, pattern), 0.4)
        pruned, images = PrunedNetwork(network, masks), images_for(network, 50)
        program = lower(pruned, Widths(8, 8), images, Steps(per_output=per_output))
        scores, values = pruned.network.scores(images), decoded(program, images)[program.output]
        lead = np.diff(np.sort(scores, axis=1)[:, -2:])[:, 0]
        agree = scores.argmax(axis=1) == values.argmax(axis=1)
        assert agree[lead > 2 * np.abs(values - scores).max()].all()
        assert agree.mean() >= 0.9
        for klass in range(scores.shape[1]):
            assert np.corrcoef(scores[:, klass], values[:, klass])[0, 1] > 0.99
            assert np.corrcoef(scores[:, klass], np.roll(values[:, klass], 1))[0, 1] < 0.5


def dyadic(network: Network, seed: int) -> Network:
    """Return the network with weights in quarters, -3/4 .. 3/4, and biases in sixteenths: 3 bits hold each weight."""
    rng = np.random.default_rng(seed)
    layers = []
    for layer in network.layers:
        if isinstance(layer, Weighted):
            quarters = rng.integers(-3, 4, layer.weight.shape)
            quarters.flat[0] = 3  # so that no smaller step is enough
            sixteenths = rng.integers(-8, 9, layer.bias.shape)
            layer = replace(layer, weight=np.float32(quarters / 4), bias=np.float32(sixteenths / 16))
        layers.append(layer)
    return replace(network, layers=tuple(layers))


class TestExact:
    def network(self, seed: int) -> Network:
        """Return a network of every layer that shifts can run, its numbers exact in few bits."""
        sketch = Sketch(2, 6, 6)
        trunk = sketch.conv("conv1", 3, padding=1)
        sketch.relu("relu1")
        sketch.conv("conv2", 3, kernel=1)
        sketch.add("add", trunk, "conv2")
        sketch.relu("relu2")
        sketch.avg_pool("pool2")
        sketch.max_pool("pool3", size=2, stride=1)
        sketch.conv("conv4", 4, kernel=1)
        sketch.relu("relu4")
        sketch.global_pool("mean")
        sketch.flatten()
        sketch.linear("fc5", 3)
        return dyadic(sketch.network(), seed)

    @pytest.mark.parametrize("pattern", PATTERNS)
    @pytest.mark.parametrize("seed", [0, 1])
    def test_decoded_scores_are_the_float_scores(self, pattern: str, seed: int) -> None:
        """Where every number is a multiple of a power of two that the words hold, nothing is rounded at all.

        Pixels are quarters (2 bits), weights quarters (3 bits), so that the values of conv1 are sixteenths, of conv2
        64ths, of the averages of four 256ths, of conv4 1024ths, of their averages 4096ths: 16 bits hold them. Half the
        resolution of the scores is noticed.
        """
        network = self.network(seed)
        pruned = pruned_by(network, pattern)
        codes = np.random.default_rng(seed).integers(0, 4, (10, *network.input_shape))
        images = np.float32(codes / 4)
        program = lower(pruned, Widths(3, 16, input_bits=2), images, Steps(power_of_two=True))
        values, scores = decoded(program, images)[program.output], pruned.network.scores(images)
        assert np.array_equal(values, scores)
        assert not np.array_equal(values + program.signals[program.output].step, scores)
        assert all(requantize.multipliers.tolist() == [1] for _, _, requantize in requantized_layers(program))

    def test_signals_are_no_finer_than_accumulators(self) -> None:
        """Codes wider than the accumulator needs have its step, so that requantising only ever shifts down."""
        network = self.network(0)
        program = lower(
            PrunedNetwork(network), Widths(3, 16, input_bits=2), images_for(network, levels=4), Steps(power_of_two=True)
        )
        for layer, ratios, _ in requantized_layers(program):
            assert ratios.max() <= 1
            assert isinstance(layer.output, Signal)

    def test_few_bits_are_not_exact(self) -> None:
        """Negative control: with 4 bits for the signals the same network is rounded."""
        network = self.network(0)
        images = images_for(network, levels=4) * np.float32(0.75)
        program = lower(PrunedNetwork(network), Widths(3, 4, input_bits=2), images, Steps(power_of_two=True))
        assert not np.array_equal(decoded(program, images)[program.output], network.scores(images))
