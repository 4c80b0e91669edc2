import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.lowering import (
    codes_of,
    decoded,
    every_pattern,
    is_power_of_two,
    pruned_by,
    requantized_layers,
    weights_of,
)
from support.masks import few, unasked
from support.networks import Sketch, chain, images_for, networks, residual, scalar_layer

from accel.encoding import index_bits
from accel.errors import EspalierError
from accel.fixedpoint import Overflow, Rounding
from accel.layers import BatchNorm, ReLU
from accel.network import Network
from accel.program_layers import AvgPoolLayer, MacLayer
from accel.pruned import PrunedNetwork
from accel.quantize import Steps, Widths, l2_step, lower, power_of_two_step
from accel.scales import matched_weights
from accel.signal import integer_format
from accel.sparsity import parse_pattern


class TestWeights:
    @pytest.mark.slow
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
            assert layer.index_bits == bits[layer.encoding] == min(unasked(bits).values())

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


@pytest.mark.parametrize("shape", [(2, 8, 8), (0, 2, 8, 8), (3, 1, 8, 8), (3, 2, 8, 7), (3, 128)])
def test_calibration_images_must_fit(shape: tuple[int, ...]) -> None:
    """No images, or images of another shape, are refused with both shapes; one image is enough."""
    message = rf"^chain: calibration images must be \(images, 2, 8, 8\), got \({', '.join(map(str, shape))}\)$"
    with pytest.raises(EspalierError, match=message):
        lower(PrunedNetwork(chain()), Widths(4, 4), np.zeros(shape, np.float32))
    assert lower(PrunedNetwork(chain()), Widths(4, 4), np.zeros((1, 2, 8, 8), np.float32)).output == "fc4"


def test_a_batch_norm_that_does_not_fold() -> None:
    """A batch norm of the image is a layer with a weight for each map, whose own step makes it exact."""
    ones = np.ones(2, np.float32)
    sketch = Sketch(2, 4, 4)
    sketch.put(BatchNorm("norm", ("input",), np.array([0.5, -3], np.float32), ones, ones, ones, epsilon=0.0))
    sketch.conv("conv", 2)
    norm = lower(PrunedNetwork(sketch.network()), Widths(4, 4), images_for(sketch.network())).layers[0]
    assert isinstance(norm, MacLayer)
    np.testing.assert_allclose(norm.weights * norm.weight_steps, [0.5, -3], rtol=1e-6)


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
