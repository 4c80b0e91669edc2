"""Quantised retraining of what only networks from elsewhere have: clips, concatenations, depthwise convolutions."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from support.networks import images_for, mobile  # noqa: E402

from accel.errors import EspalierError  # noqa: E402
from accel.layers import Clip  # noqa: E402
from accel.program import Program  # noqa: E402
from accel.program_layers import ClipLayer, ConcatLayer, ProgramLayer  # noqa: E402
from accel.pruned import PrunedNetwork  # noqa: E402
from accel.quantize import Steps, Widths, l2_step, lower  # noqa: E402
from accel.sparsity import LayerMask  # noqa: E402
from accel.train import QuantizedModule, Recipe, Retrained, StepRule, emulate, fit, retrain_quantized  # noqa: E402
from accel.train.walk import bounded  # noqa: E402
from sim import golden  # noqa: E402
from sim.engine import compile_program  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

RULES: dict[str, dict[str, Any]] = {
    "keep": {},
    "refit": {"rule": StepRule("refit"), "find_step": l2_step},
    "learn": {"rule": StepRule("learn", "learn")},
}
WIDTHS, IMAGES = Widths(4, 4), images_for(mobile(), 80)
LABELS = np.random.default_rng(8).integers(0, 3, 80)
RECIPE = Recipe(epochs=3, batch_size=32, learning_rate=0.02, seed=3)
JOINED = ("conv1", "conv2")  # whose signals the concatenation joins

every_rule = pytest.mark.parametrize("how", RULES.values(), ids=RULES.keys())


def start() -> PrunedNetwork:
    """Return the network with kernels of one layer and taps of the depthwise convolution pruned."""
    rng, network = np.random.default_rng(6), mobile()
    shapes = {layer.name: layer.lowered_shape for layer in network.weighted}
    kernels = np.repeat(rng.random((*shapes["conv4"][:2], 1)) < 0.6, 9, axis=2)
    masks = {"conv4": LayerMask("kernel", kernels), "conv2": LayerMask("irregular", rng.random(shapes["conv2"]) < 0.7)}
    return PrunedNetwork(network, masks, "mixed", "noise")


def retrained(how: dict[str, Any]) -> tuple[Retrained, Program]:
    """Return what a training gives, and the Program that it is lowered to."""
    result = retrain_quantized(start(), lower(start(), WIDTHS, IMAGES), IMAGES, LABELS, RECIPE, **how)
    steps = Steps(weights=result.weight_steps, signals=result.signal_steps)
    return result, lower(result.pruned, WIDTHS, IMAGES, steps)


def equal_codes(module: QuantizedModule, of: Program) -> float:
    """Return the share of all codes that a module gives as the golden model does, of the tensor with the fewest."""
    expected = golden.run(of, of.input_signal.encode(IMAGES))
    with torch.no_grad():
        found = module.eval().activations(torch.tensor(IMAGES))
    assert found.keys() == expected.keys()
    codes = {name: np.rint(found[name].numpy() / of.signals[name].step) for name in expected}
    return min(float((codes[name] == expected[name]).mean()) for name in expected)


class TestTraining:
    @every_rule
    def test_the_hardware_computes_what_was_trained(self, how: dict[str, Any]) -> None:
        """With the weights and steps that come back nearly every code is the trained one: 16-bit multipliers round.

        Negative control: with the weights from before the training far fewer are.
        """
        result, of = retrained(how)
        assert equal_codes(QuantizedModule(result.pruned.network, of), of) > 0.98
        assert equal_codes(QuantizedModule(start().network.folded(), of), of) < 0.9

    @every_rule
    def test_engine_and_emulation_agree(self, how: dict[str, Any]) -> None:
        """The Program that comes of it runs the same in float64, every code of every tensor."""
        _, of = retrained(how)
        codes = of.input_signal.encode(IMAGES)
        found, expected = emulate(of, codes), compile_program(of).run(codes, threads=1, keep_tensors=True).tensors
        assert all(np.array_equal(found[name], expected[name]) for name in expected)
        assert not np.array_equal(found["clip3"], np.roll(expected["clip3"], 1))  # negative control

    def test_masks_hold_and_weights_learn(self) -> None:
        """Pruned taps and kernels stay zero, others change; in float training too."""
        result, _ = retrained(RULES["learn"])
        for after in (result.pruned, fit(start(), IMAGES, LABELS, RECIPE)):
            for layer in after.network.weighted:
                kept = after.layer_mask(layer.name).kept.reshape(layer.weight.shape)
                assert not layer.weight[~kept].any()
                assert (layer.weight != start().network.folded()[layer.name].weight)[kept].any()  # type: ignore[attr-defined]

    def test_signals_that_are_joined_keep_their_steps(self) -> None:
        """Lowering finds the one step of a concatenation from theirs; those of other signals learn."""
        of, (result, after) = lower(start(), WIDTHS, IMAGES), retrained(RULES["learn"])
        moved = {name for name, step in result.signal_steps.items() if step != of.signals[name].step}
        assert set(result.signal_steps) == {"conv1", "conv2", "conv4"}
        assert moved == {"conv4"}
        assert after.signals["join"] == of.signals["join"]


class TestBounds:
    def program(self, step: float) -> tuple[Program, PrunedNetwork]:
        """Return the Program of powers of two whose signal of conv1 has a given step."""
        given = Steps(power_of_two=True, signals={"conv1": step})
        return lower(PrunedNetwork(mobile()), WIDTHS, IMAGES, given), PrunedNetwork(mobile().folded())

    @pytest.mark.parametrize(("step", "clips"), [(1 / 16, False), (1 / 8, True)])
    def test_a_step_that_grows_is_clipped_as_lowering_clips_it(self, step: float, clips: bool) -> None:
        """15 codes of 1/16 end below the bound of 1.5, those of 1/8 beyond it: there a layer clips at code 12.

        The module is made of the other Program: what it clips follows from the step that it has learned.
        """
        of, pruned = self.program(step)
        assert any(layer.name == "clip1" for layer in of.layers) == clips
        other, _ = self.program(1 / 8 + 1 / 16 - step)
        module = QuantizedModule(pruned.network, other)
        with torch.no_grad():
            module.signal_steps["conv1"].fill_(step)
            found = module.eval().activations(torch.tensor(IMAGES))
        expected = golden.run(of, of.input_signal.encode(IMAGES))
        name = "clip1" if clips else "conv1"
        last = "conv1" if clips else "clip1"  # what has these values in the module
        assert np.array_equal(found[last].numpy() / step, expected[name])
        assert expected[name].max() == (12 if clips else 15)

    def test_what_is_clipped_gets_no_gradient(self) -> None:
        """A value above the bound of a clip does not move; others do."""
        of, pruned = self.program(1 / 8)
        module = QuantizedModule(pruned.network, of)
        values = torch.tensor([[[[1.0, 2.0]]]], requires_grad=True)
        clip = next(layer for layer in of.layers if layer.name == "clip1")
        assert isinstance(clip, ClipLayer)
        bounded(values, module.bound(clip)).sum().backward()
        assert values.grad is not None
        assert values.grad.tolist() == [[[[1.0, 0.0]]]]


def changed(of: Program, name: str, **values: Any) -> Program:
    """Return the Program with one layer changed."""
    return replace(of, layers=tuple(replace(x, **values) if x.name == name else x for x in of.layers))


class TestAnotherProgram:
    def test_is_refused(self) -> None:
        """Another bound, another order of a concatenation, or a clip that the network does not have."""
        of = lower(start(), WIDTHS, IMAGES)
        by_kind: dict[type[ProgramLayer], ProgramLayer] = {type(layer): layer for layer in of.layers}
        clip, join = by_kind[ClipLayer], by_kind[ConcatLayer]
        assert isinstance(clip, ClipLayer)
        refused = (
            (changed(of, clip.name, highest=clip.highest - 1), f"{clip.name}: the Program of mobile clips at another"),
            (changed(of, clip.name, lowest=-1), f"{clip.name}: the Program of mobile clips at another"),
            (changed(of, join.name, inputs=join.inputs[::-1]), "join: the Program of mobile has another layer"),
        )
        for other, words in refused:
            with pytest.raises(EspalierError, match=words):
                retrain_quantized(start(), other, IMAGES, LABELS, RECIPE)
        layers = tuple(
            replace(x, highest=x.highest + 1) if isinstance(x, Clip) and x.name == clip.name else x
            for x in mobile().layers
        )
        other_network = start().with_network(replace(mobile(), layers=layers))
        with pytest.raises(EspalierError, match="clips at another bound"):
            retrain_quantized(other_network, of, IMAGES, LABELS, RECIPE)
