import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from masks import PATTERNS, few
from networks import Array, Sketch, chain, images_for, networks, residual, scalar_layer

from accel.encoding import index_bits
from accel.errors import EspalierError
from accel.fixedpoint import Overflow, Rounding
from accel.network import BatchNorm, Network, ReLU, Weighted
from accel.program import AddLayer, AvgPoolLayer, FlattenLayer, MacLayer, MaxPoolLayer, Program, ProgramLayer, ReluLayer
from accel.prune import Space, select_by_magnitude
from accel.prune.space import can_have
from accel.pruned import PrunedNetwork
from accel.quantize import Steps, Widths, l2_step, lower, power_of_two_step
from accel.quantize.lower import matched_weights
from accel.signal import Requantize, Signal, integer_format
from accel.sparsity import LayerMask, parse_pattern
from sim import golden

every_pattern = pytest.mark.parametrize("pattern", PATTERNS)


def pruned_by(network: Network, pattern: str) -> PrunedNetwork:
    """Return the network with a mask of `pattern` on every layer that can have it: half of it goes, or less."""
    if pattern == "dense":
        return PrunedNetwork(network)
    kind = parse_pattern(pattern)
    masks: dict[str, LayerMask] = {}
    for layer in network.weighted:
        for ratio in (0.5, 0.25, 0.0):  # a small layer may have one unit
            if not can_have(layer, kind) or layer.name in masks:
                break
            try:
                masks |= select_by_magnitude(Space(network, {layer.name: kind}), ratio)
            except EspalierError:
                continue
    return PrunedNetwork(network, masks, pattern=pattern, data="none")


def decoded(program: Program, images: Array) -> dict[str, Array]:
    """Return the real values that the golden model gives for every tensor."""
    tensors = golden.run(program, program.input_signal.encode(images))
    return {name: program.signals[name].decode(codes) for name, codes in tensors.items()}


def quantised(weight: float, step: float, bits: int) -> int:
    """Return Q(w) / step = sgn(w) * min(floor(|w| / step + 0.5), (M - 1) / 2) with M = 2**bits - 1 levels (Q15)."""
    levels = 2**bits - 1
    return (weight > 0 or -1) * min(math.floor(abs(weight) / step + 0.5), (levels - 1) // 2)


def codes_of(layer: MacLayer, weights: Array) -> list[list[int]]:
    """Return the codes (M, K) of float weights, one by one, at the steps of `layer`."""
    steps = np.broadcast_to(layer.weight_steps, len(weights)).tolist()
    rows = weights.reshape(len(weights), -1).tolist()
    return [[quantised(w, step, layer.weight_bits) for w in row] for row, step in zip(rows, steps, strict=True)]


def weights_of(pruned: PrunedNetwork, name: str) -> tuple[Array, Array]:
    """Return the weights that a layer keeps (zeros elsewhere) and its bias, batch norm folded, in float64."""
    layer = pruned.network.folded()[name]
    assert isinstance(layer, Weighted)
    kept = pruned.layer_mask(name).kept.reshape(layer.weight.shape)
    return np.where(kept, layer.weight, 0).astype(np.float64), layer.bias.astype(np.float64)


def requantized_layers(program: Program) -> list[tuple[Any, Array, Requantize]]:
    """Return every layer that requantises, with the real ratios of its accumulator's steps to its output's."""
    found: list[tuple[Any, Array, Requantize]] = []
    for layer in program.layers:
        sources = [program.signals[source].step for source in layer.inputs]
        if isinstance(layer, MacLayer) and layer.requantize:
            found.append((layer, layer.weight_steps * sources[0] / layer.output.step, layer.requantize))
        if isinstance(layer, AvgPoolLayer):
            found.append((layer, np.array([sources[0] / layer.window.taps / layer.output.step]), layer.requantize))
        if isinstance(layer, AddLayer):
            found.append((layer, np.array([max(sources) / max(layer.weights) / layer.output.step]), layer.requantize))
    return found


class TestWeights:
    @every_pattern
    @few
    @given(network=networks(), bits=st.integers(2, 9), per_output=st.booleans())
    def test_codes_are_the_quantised_masked_weights(
        self, pattern: str, network: Network, bits: int, per_output: bool
    ) -> None:
        """Every weight by the formula of the source, batch norm folded, zeros where the mask says so.

        The step is the least-squares step of the weights that are kept; the mask is found again in the index.
        """
        pruned = pruned_by(network, pattern)
        program = lower(pruned, Widths(bits, 6), images_for(network, 3), Steps(per_output=per_output))
        for layer in program.mac_layers:
            weights, _ = weights_of(pruned, layer.name)
            mask = pruned.layer_mask(layer.name)
            assert (layer.weight_bits, layer.pattern) == (bits, mask.pattern)
            assert np.array_equal(layer.kept, mask.kept)
            assert layer.matrix.tolist() == codes_of(layer, weights)
            assert layer.weight_steps.size in (1, len(weights) if per_output else 1)
            if layer.weight_steps.size == 1:
                highest = 2 ** (bits - 1) - 1
                assert layer.weight_steps[0] == l2_step(weights[weights != 0], -highest, highest)
            assert not layer.matrix.any() or layer.matrix.tolist() != codes_of(layer, -weights)

    @every_pattern
    def test_the_index_is_the_shortest(self, pattern: str) -> None:
        """Of all encodings of the mask the one with the fewest bits is stored."""
        pruned = pruned_by(chain(), pattern)
        for layer in lower(pruned, Widths(4, 4), images_for(pruned.network)).mac_layers:
            bits = index_bits(parse_pattern(layer.pattern), pruned.layer_mask(layer.name).kept)
            assert layer.index_bits == bits[layer.encoding] == min(bits.values())

    def test_layers_with_widths_of_their_own(self) -> None:
        """A named layer has its own word lengths, the image its own too."""
        widths = Widths(5, 6, input_bits=7, weight_bits_of={"conv2": 3}, signal_bits_of={"fc3": 9})
        program = lower(PrunedNetwork(chain()), widths, images_for(chain()))
        assert {layer.name: layer.weight_bits for layer in program.mac_layers} == {
            "conv1": 5,
            "conv2": 3,
            "fc3": 5,
            "fc4": 5,
        }
        signals = [program.signals[name].bits for name in ("input", "conv1", "pool1", "conv2", "flat", "fc3")]
        assert signals == [7, 6, 6, 6, 6, 9]

    def test_sizes_before_pruning(self) -> None:
        """What the network had before pruning, its name, data and pattern go with it."""
        network = chain()
        dense_weights = {layer.name: 2 * layer.weight.size for layer in network.weighted}
        dense_macs = {name: 3 * macs for name, macs in network.dense_macs().items()}
        pruned = PrunedNetwork(network, {}, "kernel", "digits", dense_weights, dense_macs)
        program = lower(pruned, Widths(4, 4), images_for(network))
        assert {layer.name: layer.dense_weights for layer in program.mac_layers} == dense_weights
        assert {layer.name: layer.dense_macs for layer in program.mac_layers} == dense_macs
        assert (program.name, program.pattern, program.data) == ("chain", "kernel", "digits")


class TestConstants:
    @few
    @given(network=networks(), widths=st.builds(Widths, st.integers(2, 9), st.integers(2, 9)), two=st.booleans())
    def test_biases_are_in_the_steps_of_the_accumulator(self, network: Network, widths: Widths, two: bool) -> None:
        """A bias is rounded to the product of the weight's and the input's step, and so many bits hold it."""
        pruned = PrunedNetwork(network)
        program = lower(pruned, widths, images_for(network, 3), Steps(power_of_two=two))
        for layer in program.mac_layers:
            _, biases = weights_of(pruned, layer.name)
            step = float(layer.weight_steps[0]) * program.signals[layer.inputs[0]].step
            assert layer.bias.tolist() == [math.floor(bias / step + 0.5) for bias in biases.tolist()]
            lowest, highest = min(layer.bias.tolist()), max(layer.bias.tolist())
            bits = layer.bias_bits
            assert -(2 ** (bits - 1)) <= lowest <= highest < 2 ** (bits - 1)
            assert bits == 1 or not -(2 ** (bits - 2)) <= lowest <= highest < 2 ** (bits - 2)

    @few
    @given(network=networks(), widths=st.builds(Widths, st.integers(2, 9), st.integers(2, 9)), two=st.booleans())
    def test_multipliers(self, network: Network, widths: Widths, two: bool) -> None:
        """At most 16 bits, and multiplier / 2**shift is the ratio of the steps to 2**-16; exact, and 1, for shifts.

        Half a unit of a multiplier of 16 bits, at least 2**15, is 2**-16 of it.
        """
        program = lower(PrunedNetwork(network), widths, images_for(network, 3), Steps(power_of_two=two))
        for layer, ratios, requantize in requantized_layers(program):
            stored = requantize.multipliers / 2.0**requantize.shift
            assert requantize.multipliers.max() < 1 << 16
            assert np.abs(stored / ratios - 1).max() <= 2.0**-16
            assert np.abs(stored / (ratios * (1 + 2.0**-14)) - 1).max() > 2.0**-16
            shifts = all(map(is_power_of_two, [*ratios, *(program.signals[x].step for x in program.signals)]))
            # 1 / 3 of a global average over 3 pixels is no shift
            assert shifts or not two or isinstance(layer, AvgPoolLayer)
            if two and shifts:
                assert requantize.multipliers.tolist() == [1]
                assert stored == ratios

    @few
    @given(network=networks(), two=st.booleans())
    def test_multipliers_of_each_output(self, network: Network, two: bool) -> None:
        """With a step for each output map all share a shift: to half a unit, at least 8 bits of each in use."""
        program = lower(
            PrunedNetwork(network), Widths(5, 5), images_for(network, 3), Steps(per_output=True, power_of_two=two)
        )
        for layer, ratios, requantize in requantized_layers(program):
            expected = ratios * 2.0**requantize.shift
            assert np.abs(requantize.multipliers - expected).max() <= 0.5
            if isinstance(layer, MacLayer):
                assert ratios.size == requantize.multipliers.size == layer.shape[0]
                assert ratios.max() / ratios.min() <= 2.0**8
            if two and is_power_of_two(float(ratios[0])):
                assert requantize.multipliers.tolist() == expected.tolist()

    @few
    @given(network=networks(), bits=st.integers(2, 9), two=st.booleans())
    def test_powers_of_two(self, network: Network, bits: int, two: bool) -> None:
        """Asked for, all steps of weights and signals are powers of two; otherwise they are what L2 gives."""
        program = lower(PrunedNetwork(network), Widths(bits, bits), images_for(network, 3), Steps(power_of_two=two))
        steps = [layer.weight_steps[0] for layer in program.mac_layers]
        steps += [program.signals[name].step for name in program.signals]
        assert all(map(is_power_of_two, steps)) == two

    def test_one_step_for_the_scores(self) -> None:
        """With a step for each output map the last layer keeps one, so that its scores compare."""
        program = lower(PrunedNetwork(chain()), Widths(4, 4), images_for(chain()), Steps(per_output=True))
        assert [layer.weight_steps.size for layer in program.mac_layers] == [4, 5, 7, 1]
        for layer in program.mac_layers[:-1]:
            weights, _ = weights_of(PrunedNetwork(chain()), layer.name)
            assert layer.weight_steps.tolist() == [l2_step(row, -7, 7) for row in weights]

    @pytest.mark.parametrize("power_of_two", [False, True])
    @pytest.mark.parametrize("tiny", [0.0, 1e-12])
    def test_a_dead_map_takes_a_step_of_the_others(self, tiny: float, power_of_two: bool) -> None:
        """Weights that decayed to nothing ask for a step that no shared shift has; theirs is 2**-8 of the largest."""
        network = scalar_layer([[[0.5, -0.25]], [[tiny, -tiny]], [[0.75, 0.5]]], (1, 2), bias=[0, 0.5, 0])
        network = replace(network, layers=(*network.layers, ReLU("relu", ("conv",))))
        program = lower(
            PrunedNetwork(network), Widths(8, 8), images_for(network), Steps(per_output=True, power_of_two=power_of_two)
        )
        (layer,) = program.mac_layers
        assert layer.weight_steps[1] == layer.weight_steps.max() / 256
        assert layer.matrix[1].tolist() == [0, 0]
        # the bias is still there: half a step of the output at most
        assert decoded(program, images_for(network))["conv"][:, 1] == pytest.approx(0.5, abs=layer.output.step * 0.51)

    def test_biases_that_no_accumulator_holds(self) -> None:
        """Where all weights are nearly nothing a bias would need more bits than there are: refused in one line."""
        network = scalar_layer([[[1e-25, 0]]], (1, 2), bias=[1])
        with pytest.raises(EspalierError, match=r"^conv: no accumulator holds its biases, its weights are too small"):
            lower(PrunedNetwork(network), Widths(4, 4), images_for(network))
        zeros = scalar_layer([[[0, 0]]], (1, 2), bias=[1])
        assert decoded(lower(PrunedNetwork(zeros), Widths(4, 4), images_for(zeros)), images_for(zeros))["conv"].all()


def is_power_of_two(value: float) -> bool:
    """Return whether `value` is 2**k."""
    return math.frexp(value)[0] == 0.5


class TestSignals:
    def test_the_image(self) -> None:
        """Pixels 0..1 are the codes 0 .. 2**bits - 1, unsigned; with powers of two the step is 2**-bits."""
        for two, step in ((False, 1 / 255), (True, 1 / 256)):
            program = lower(PrunedNetwork(chain()), Widths(4, 4), images_for(chain()), Steps(power_of_two=two))
            signal = program.input_signal
            assert (signal.step, signal.bits, signal.format.signed) == (step, 8, False)
            assert signal.encode(np.array([0, 0.5, 1])).tolist() == [0, 128, 255]

    def test_steps_are_fitted_where_codes_are_read(self) -> None:
        """The codes of conv1 are pooled before anything else reads them: the step is that of pool1, unsigned.

        The step of what is not pooled would be another.
        """
        network, images = chain(), images_for(chain())
        values = network.folded().forward(images)
        program = lower(PrunedNetwork(network), Widths(4, 3), images)
        assert program.signals["conv1"].step == l2_step(values["pool1"], 0, 7)
        assert program.signals["conv1"].step != l2_step(values["relu1"], 0, 7)
        assert program.signals["pool1"] == program.signals["conv1"]
        assert program.signals["conv2"].step == l2_step(values["relu2"], 0, 7)
        two = lower(PrunedNetwork(network), Widths(4, 3), images, Steps(power_of_two=True))
        assert two.signals["conv1"].step == power_of_two_step(values["pool1"], 0, 7)

    def test_signs(self) -> None:
        """After a ReLU, and in a mean of what has no sign, codes are 0 .. 2**n - 1; elsewhere they have a sign.

        The step of signed codes is that of symmetric ones.
        """
        network, images = residual(), images_for(residual())
        program = lower(PrunedNetwork(network), Widths(4, 5), images)
        signed = {name: program.signals[name].format.signed for name in program.signals}
        unsigned = ("input", "conv1", "conv2", "add", "conv4", "pool3", "mean", "flat")
        assert signed == {name: name not in unsigned for name in program.signals}
        values = network.forward(images)["norm3"]
        assert program.signals["conv3"].step == pytest.approx(l2_step(values, -15, 15), rel=1e-5)  # folded or not

    def test_the_last_layer_hands_out_accumulators(self) -> None:
        """Scores are not requantised: their words are the accumulators, their step is weight step x input step."""
        program = lower(PrunedNetwork(chain()), Widths(4, 5), images_for(chain()))
        last = program.mac_layers[-1]
        assert last.requantize is None
        assert program.output == last.name == "fc4"
        assert (last.output.bits, last.output.format.signed) == (last.accumulator_bits, True)
        assert last.output.step == last.weight_steps[0] * program.signals["fc3"].step
        assert all(layer.requantize for layer in program.mac_layers[:-1])

    @pytest.mark.parametrize(
        ("rounding", "overflow"), [(Rounding.TRN, Overflow.WRAP), (Rounding.RND_CONV, Overflow.SAT_SYM)]
    )
    def test_modes(self, rounding: Rounding, overflow: Overflow) -> None:
        """Every requantisation rounds and overflows as asked for; the image and the scores are not requantised."""
        program = lower(
            PrunedNetwork(residual()), Widths(4, 5), images_for(residual()), rounding=rounding, overflow=overflow
        )
        for layer, _, _ in requantized_layers(program):
            assert (layer.output.format.rounding, layer.output.format.overflow) == (rounding, overflow)
        default = lower(PrunedNetwork(residual()), Widths(4, 5), images_for(residual()))
        for layer, _, _ in requantized_layers(default):
            assert (layer.output.format.rounding, layer.output.format.overflow) == (Rounding.RND, Overflow.SAT)


def plain(*, relu_last: bool) -> Network:
    """Return conv - ReLU - max pool - flatten - linear, or with the ReLU behind the pool and the flatten."""
    sketch = Sketch(2, 6, 6, seed=4)
    sketch.conv("conv", 3)
    if not relu_last:
        sketch.relu("relu")
    sketch.max_pool("pool", size=3, stride=2, padding=1)
    sketch.flatten()
    if relu_last:
        sketch.relu("relu")
    sketch.linear("fc", 2)
    return sketch.network()


class TestRelu:
    @few
    @given(seed=st.integers(0), bits=st.integers(1, 8))
    def test_absorbed_through_a_max_pool(self, seed: int, bits: int) -> None:
        """Codes are those of the definition that takes nothing in: pool the accumulators, then ReLU, then requantise.

        The largest of a window does not change when all are made non-negative, and requantising keeps order.
        """
        network = plain(relu_last=True)
        images = images_for(network, seed=seed)
        program = lower(PrunedNetwork(network), Widths(4, bits), images)
        (conv, pool) = program.layers[:2]
        assert isinstance(conv, MacLayer)
        assert isinstance(pool, MaxPoolLayer)
        assert conv.relu
        assert conv.requantize
        tensors = golden.run(program, program.input_signal.encode(images))
        accumulators = golden.mac(replace_requantize(conv, None), tensors["input"])
        pooled = golden.max_pool(pool, accumulators)
        expected = conv.requantize.apply(np.maximum(pooled, 0), conv.output.format)
        assert (pooled < 0).any()
        assert np.array_equal(tensors["pool"], expected)
        assert not np.array_equal(tensors["pool"], conv.requantize.apply(np.abs(pooled), conv.output.format))

    def test_before_or_behind_the_pool_is_one_program(self) -> None:
        """A ReLU behind the pool and the flatten gives the same codes as one in front of them."""
        images = images_for(plain(relu_last=True))
        first, last = (
            golden.run(program, program.input_signal.encode(images))
            for program in (lower(PrunedNetwork(plain(relu_last=x)), Widths(4, 4), images) for x in (False, True))
        )
        assert first.keys() == last.keys() == {"input", "conv", "pool", "flat", "fc"}
        assert all(np.array_equal(first[name], last[name]) for name in first)
        without = network_without_relu(plain(relu_last=True))
        bare = lower(PrunedNetwork(without), Widths(4, 4), images)
        assert not np.array_equal(golden.run(bare, bare.input_signal.encode(images))["fc"], last["fc"])

    def test_one_that_cannot_be_absorbed(self) -> None:
        """The convolution is read twice, as it is and through a ReLU: it keeps its sign, and the ReLU is a layer."""
        sketch = Sketch(2, 5, 5, seed=1)
        conv = sketch.conv("conv", 3)
        sketch.add("add", conv, sketch.relu("relu"))
        sketch.flatten()
        sketch.linear("fc", 3)
        network = sketch.network()
        images = images_for(network)
        program = lower(PrunedNetwork(network), Widths(8, 8), images)
        assert [type(layer) for layer in program.layers] == [MacLayer, ReluLayer, AddLayer, FlattenLayer, MacLayer]
        assert not program.mac_layers[0].relu
        assert program.signals["relu"] == program.signals["conv"]
        tensors = golden.run(program, program.input_signal.encode(images))
        assert (tensors["conv"] < 0).any()
        assert np.array_equal(tensors["relu"], np.maximum(tensors["conv"], 0))
        values, scores = decoded(program, images), network.scores(images)
        assert np.abs(values["fc"] - scores).max() < 0.05 * np.abs(scores).max()

    def test_of_the_image_or_twice(self) -> None:
        """After the image, or after another ReLU, there is no accumulator to take it in: it stays a layer."""
        sketch = Sketch(2, 4, 4)
        sketch.relu("first")
        sketch.conv("conv", 3)
        sketch.relu("second")
        sketch.relu("third")
        program = lower(PrunedNetwork(sketch.network()), Widths(4, 4), images_for(sketch.network()))
        assert [layer.name for layer in program.layers] == ["first", "conv", "third"]

    @pytest.mark.parametrize("pool", ["avg_pool", "global_pool"])
    def test_behind_an_average(self, pool: str) -> None:
        """The average has an accumulator of its own and takes the ReLU in; the convolution before it keeps its sign."""
        sketch = Sketch(2, 6, 6)
        sketch.conv("conv", 3)
        getattr(sketch, pool)("pool")
        sketch.relu("relu")
        sketch.flatten()
        sketch.linear("fc", 2)
        conv, average = lower(PrunedNetwork(sketch.network()), Widths(4, 4), images_for(sketch.network())).layers[:2]
        assert isinstance(conv, MacLayer)
        assert isinstance(average, AvgPoolLayer)
        assert (conv.relu, average.relu) == (False, True)
        assert (conv.output.format.signed, average.output.format.signed) == (True, False)


def replace_requantize(layer: MacLayer, requantize: Requantize | None) -> MacLayer:
    """Return the layer with its accumulators as they are: no ReLU, no requantisation."""
    return replace(layer, requantize=requantize, relu=False)


def network_without_relu(network: Network) -> Network:
    """Return the network in which every ReLU is skipped."""
    renamed: dict[str, str] = {}
    layers = []
    for layer in network.layers:
        inputs = tuple(renamed.get(source, source) for source in layer.inputs)
        if isinstance(layer, ReLU):
            renamed[layer.name] = inputs[0]
        else:
            layers.append(replace(layer, inputs=inputs))
    return replace(network, layers=tuple(layers))


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


@pytest.mark.parametrize("shape", [(2, 8, 8), (0, 2, 8, 8), (3, 1, 8, 8), (3, 2, 8, 7), (3, 128)])
def test_calibration_images_must_fit(shape: tuple[int, ...]) -> None:
    """No images, or images of another shape, are refused with both shapes; one image is enough."""
    message = rf"^chain: calibration images must be \(images, 2, 8, 8\), got \({', '.join(map(str, shape))}\)$"
    with pytest.raises(EspalierError, match=message):
        lower(PrunedNetwork(chain()), Widths(4, 4), np.zeros(shape, np.float32))
    assert lower(PrunedNetwork(chain()), Widths(4, 4), np.zeros((1, 2, 8, 8), np.float32)).output == "fc4"


def test_a_batch_norm_that_does_not_fold() -> None:
    """There is no layer that normalises in a Program."""
    ones = np.ones(2, np.float32)
    sketch = Sketch(2, 4, 4)
    sketch.put(BatchNorm("norm", ("input",), ones, ones, ones, ones))
    sketch.conv("conv", 2)
    with pytest.raises(EspalierError, match=r"^norm: folds only into a convolution or linear layer"):
        lower(PrunedNetwork(sketch.network()), Widths(4, 4), images_for(sketch.network()))


def test_the_same_program_again() -> None:
    """Nothing is drawn at random; other calibration images give other steps."""
    network = residual()
    first, again, other = (
        lower(PrunedNetwork(network), Widths(4, 4), images_for(network, seed=seed)) for seed in (0, 0, 1)
    )
    assert first.signals == again.signals
    assert first.signals != other.signals
    for one, two in zip(first.mac_layers, again.mac_layers, strict=True):
        assert np.array_equal(one.weights, two.weights)
        assert np.array_equal(one.bias, two.bias)


def test_a_layer_before_a_batch_norm_of_gain_zero() -> None:
    """A batch norm that switched a map off leaves zeros and a bias: the map is its shift."""
    sketch = Sketch(1, 3, 3)
    sketch.conv("conv", 2)
    scale, shift = np.float32([1, 0]), np.float32([0, 0.5])
    sketch.put(BatchNorm("norm", ("conv",), scale, shift, np.zeros(2, np.float32), np.ones(2, np.float32)))
    sketch.flatten()
    sketch.linear("fc", 2)
    network = sketch.network()
    program = lower(PrunedNetwork(network), Widths(8, 8), images_for(network))
    assert not program.mac_layers[0].matrix[1].any()
    step = program.signals["conv"].step
    assert decoded(program, images_for(network))["conv"][:, 1] == pytest.approx(0.5, abs=0.51 * step)
    assert program.signals["conv"].format == integer_format(8, signed=True)


@given(st.floats(1e-3, 1e3), st.floats(1 / 127, 1))
def test_the_weights_of_an_addition(step: float, ratio: float) -> None:
    """Two steps are matched by weights of a word of 8 bits, to 1/127 of the larger step at worst, in either order."""
    (large, small), unit = matched_weights(step, step * ratio)
    assert 1 <= small <= large <= 127
    assert large * unit == pytest.approx(step)
    assert small * unit == pytest.approx(step * ratio, abs=step / 127)
    assert matched_weights(step * ratio, step)[0] == (small, large)


@given(st.integers(0, 12))
def test_powers_of_two_are_added_exactly(shift: int) -> None:
    """Steps that are powers of two apart are matched exactly, however far."""
    assert matched_weights(0.5, 0.5 / 2**shift) == ((2**shift, 1), 0.5 / 2**shift)
