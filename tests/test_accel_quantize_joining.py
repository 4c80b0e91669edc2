"""Operands of a concatenation: of one signal from the start where nothing else reads them, else copied."""

from dataclasses import replace

import numpy as np
import pytest
from support.lowering import decoded
from support.networks import Sketch, images_for

from accel.fixedpoint import FixedFormat
from accel.layers import Conv2d
from accel.network import Network
from accel.program import Program
from accel.program_layers import ConcatLayer, MacLayer
from accel.pruned import PrunedNetwork
from accel.quantize import Formats, Steps, Widths, lower, lower_calibrated
from accel.quantize.calibration import Calibration

BITS = 6


def joined(skip: bool = False, relu: bool = False, third: float = 0.0) -> Network:
    """Return a network that joins a narrow and a wide tensor.

    Another layer reads the narrow one too if there is a `skip`; a `third` one so many times as wide is joined to both.
    """
    sketch = Sketch(2, 6, 6, seed=3)
    sketch.conv("stem", 3, padding=1)
    sketch.conv("narrow", 3, padding=1)
    narrow = sketch.relu("relu") if relu else "narrow"
    sketch.conv("wide", 2, padding=1, source="stem")
    if third:
        sketch.conv("third", 2, padding=1, source="stem")
    both = sketch.concat("join", narrow, "wide")
    if third:
        sketch.concat("again", both, "third")
    sketch.conv("last", 4)
    if skip:
        sketch.global_pool("pool")
        sketch.conv("other", 4, source=narrow)
        sketch.global_pool("pool2")
        sketch.add("sum", "pool", "pool2")
    sketch.flatten()
    sketch.linear("fc", 3)
    factors = {"narrow": np.float32(0.25), "third": np.float32(third)}
    layers = [
        replace(x, weight=x.weight * factors[x.name], bias=x.bias * factors[x.name])
        if isinstance(x, Conv2d) and x.name in factors
        else x
        for x in sketch.layers
    ]
    return Network("joined", (2, 6, 6), tuple(layers))


def program(network: Network, widths: Widths | None = None, steps: Steps | None = None) -> Program:
    """Return its Program."""
    chosen = widths or Widths(BITS, BITS, weight_bits_of={}, signal_bits_of={})
    return lower(PrunedNetwork(network), chosen, images_for(network), steps or Steps())


def copies(of: Program) -> list[str]:
    """Return the layers that bring an operand to another step."""
    return [
        source for x in of.layers if isinstance(x, ConcatLayer) for source in x.inputs if source[-2:] in (".a", ".b")
    ]


def farthest(of: Program, network: Network) -> float:
    """Return how far the joined codes of `narrow` are from its accumulators, in steps of the concatenation."""
    values, layer, float_one = decoded(of, images_for(network)), of.layers[1], network["narrow"]
    assert isinstance(layer, MacLayer)
    assert isinstance(float_one, Conv2d)
    weights = (layer.matrix * layer.weight_steps[:, None]).reshape(float_one.weight.shape)
    bias = layer.bias * layer.weight_steps * of.signals["stem"].step
    sums = replace(float_one, weight=np.float32(weights), bias=np.float32(bias)).forward(np.float32(values["stem"]))
    return float(np.abs(sums - values["join"][:, : layer.shape[0]]).max() / of.signals["join"].step)


class TestWithoutCopies:
    @pytest.mark.parametrize("relu", [False, True])
    def test_what_is_joined_alone_has_the_signal_from_the_start(self, relu: bool) -> None:
        """The narrow tensor has the wide one's step, which it would have had by a copy; sums are rounded once."""
        network = joined(relu=relu)
        of = program(network)
        wide = of.signals["wide"]
        if not relu:
            assert copies(of) == []
            assert of.signals["narrow"] == of.signals["wide"] == of.signals["join"] == wide
            assert farthest(of, network) <= 0.5 + 1e-4
            own = {"narrow": wide.step * 0.6}  # its own, as somebody might give it: rounded twice
            twice = program(network, steps=Steps(signals=own))
            assert copies(twice) == ["join.a"]
            assert farthest(twice, network) > 0.55
        else:  # only one of both has a sign
            assert copies(of) == ["join.a"]

    def test_steps_of_powers_of_two_too(self) -> None:
        """Where both differ by a power of two."""
        network = joined()
        of = program(network, steps=Steps(power_of_two=True))
        assert copies(of) == []
        assert farthest(of, network) <= 0.5

    def test_what_is_joined_twice(self) -> None:
        """Four times as wide as the widest so far, the third tensor gives its step to both that are joined already."""
        of = program(joined(third=4.0))
        assert copies(of) == []
        assert len({of.signals[name].step for name in ("narrow", "wide", "third", "join", "again")}) == 1
        narrower = program(joined(third=0.1))
        assert copies(narrower) == []
        assert narrower.signals["again"] == program(joined()).signals["join"]

    def test_a_tensor_that_another_layer_reads_is_copied(self) -> None:
        """It keeps the finer step for that one."""
        of = program(joined(skip=True))
        assert copies(of) == ["join.a"]
        assert of.signals["narrow"].step < of.signals["join"].step


class TestGiven:
    def test_other_widths_are_copied(self) -> None:
        """Few bits stay few where they were asked for."""
        of = program(joined(), Widths(BITS, BITS, signal_bits_of={"narrow": 4}))
        assert copies(of) == ["join.a"]
        assert of.signals["narrow"].bits == 4

    def test_a_format_that_is_given_stays(self) -> None:
        """Of the narrow tensor; the wide one is no power of two."""
        network, form = joined(), FixedFormat.parse("ap_fixed<6,0,AP_RND,AP_SAT>")
        calibration = Calibration(PrunedNetwork(network), images_for(network), Steps())
        of = lower_calibrated(calibration, Widths(BITS, BITS), formats=Formats(outputs={"narrow": form}))
        assert copies(of) == ["join.a"]
        assert of.signals["narrow"].step == 2.0**-6

    def test_steps_that_a_lowering_found_lower_to_the_same(self) -> None:
        """As steps do that a training gives back."""
        network = joined(third=4.0)
        of = program(network)
        found = {name: of.signals[name].step for name in ("stem", "narrow", "wide", "third", "last")}
        again = program(network, steps=Steps(signals=found))
        assert copies(again) == []
        assert again.signals == of.signals

    def test_a_training_keeps_them_joined(self) -> None:
        """Steps are learned, but not those that a concatenation has from the start, which would part ways."""
        pytest.importorskip("torch", reason="training needs PyTorch (extra train)")
        from accel import train

        network = joined(third=4.0)
        images, pruned, of = images_for(network, 40), PrunedNetwork(network), program(network)
        labels = np.random.default_rng(0).integers(0, 3, 40)
        recipe = train.Recipe(epochs=2, batch_size=20, learning_rate=0.02)
        found = train.retrain_quantized(pruned, of, images, labels, recipe, train.StepRule("learn", "learn"))
        learned = {name for name, step in found.signal_steps.items() if step != of.signals[name].step}
        assert learned == {"stem", "last"}
        steps = Steps(weights=found.weight_steps, signals=found.signal_steps)
        again = lower(found.pruned, Widths(BITS, BITS), images, steps)
        assert copies(again) == []
        assert again.signals["again"] == of.signals["again"]
