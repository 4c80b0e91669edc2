import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from support.networks import chain, images_for, mobile, residual  # noqa: E402
from support.retraining import IMAGES, LABELS, WIDTHS, lowered, pruned  # noqa: E402

from accel.fixedpoint import Overflow, Rounding  # noqa: E402
from accel.interchange import zoo  # noqa: E402
from accel.interchange.data.datasets import load  # noqa: E402
from accel.layers import Conv2d, Flatten, Linear, MaxPool, ReLU  # noqa: E402
from accel.network import INPUT, Network  # noqa: E402
from accel.program import Program  # noqa: E402
from accel.program_layers import MacLayer  # noqa: E402
from accel.pruned import PrunedNetwork  # noqa: E402
from accel.quantize import Steps, Widths, l2_step, lower  # noqa: E402
from accel.sparsity import LayerMask  # noqa: E402
from accel.train import Progress, QuantizedModule, Recipe, Retrained, StepRule, retrain_quantized  # noqa: E402
from accel.window import Window  # noqa: E402
from sim import golden  # noqa: E402
from sim.engine import compile_program  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

RULES: dict[str, dict[str, Any]] = {
    "keep": {},
    "refit": {"rule": StepRule("refit"), "find_step": l2_step},
    "learn": {"rule": StepRule("learn", "learn")},
}
RECIPE = Recipe(epochs=3, batch_size=32, learning_rate=0.02, weight_decay=1e-3, shift_pixels=1, seed=3)
SMALL = {"chain": chain, "residual": residual, "mobile": mobile}
BATCHES = 3  # of an epoch: 80 images in batches of at most 32

every_rule = pytest.mark.parametrize("how", RULES.values(), ids=RULES.keys())


def retrain(recipe: Recipe = RECIPE, steps: Steps | None = None, **options: Any) -> Retrained:
    """Retrain the small network."""
    return retrain_quantized(pruned(), lowered(steps), IMAGES, LABELS, recipe, **options)


def given(result: Retrained, **options: Any) -> Steps:
    """Return the steps of a training, for lowering."""
    return Steps(weights=result.weight_steps, signals=result.signal_steps, **options)


@contextmanager
def watched() -> Iterator[list[tuple[QuantizedModule, dict[str, Any], dict[str, Any]]]]:
    """Note, at every pass forward of a quantised module, the module, its float weights, and the codes that it uses."""
    seen: list[tuple[QuantizedModule, dict[str, Any], dict[str, Any]]] = []

    def look(module: Any, inputs: Any) -> None:
        if isinstance(module, QuantizedModule):
            layers = module.program.mac_layers
            floats = {x.name: module.operation(x.name).weight.detach().numpy().copy() for x in layers}
            seen.append((module, floats, {x.name: codes_of(module, x) for x in layers}))

    handle = torch.nn.modules.module.register_module_forward_pre_hook(look)
    try:
        yield seen
    finally:
        handle.remove()


def codes_of(module: QuantizedModule, layer: MacLayer) -> Any:
    """Return the codes (M, C * T) of the weights that a module computes with; they are real codes, or it fails."""
    weight = module.arrays(layer)[0].detach().double().reshape(len(layer.bias), -1)
    codes = weight.numpy() / module.weight_steps.values()[layer.name][:, None]
    assert np.allclose(codes, np.rint(codes), rtol=0, atol=1e-5)  # code * step in float32
    return np.rint(codes).astype(int)


class TestWhatItComputes:
    def start(self, name: str) -> tuple[PrunedNetwork, Program, Any]:
        """Return a network, the Program with power-of-two steps that it becomes, and images."""
        if name in SMALL:
            start = PrunedNetwork(SMALL[name]())
            images = images_for(start.network, 40)
        else:
            start, images = zoo.load("digits", name), load("digits", "test").pixels()[:100]
        return start, lower(start, WIDTHS, images, Steps(power_of_two=True)), images

    def agrees(self, module: QuantizedModule, of: Program, images: Any) -> bool:
        """Return whether a module gives the codes of the golden model for every tensor, the image's too."""
        expected = golden.run(of, of.input_signal.encode(images))
        with torch.no_grad():
            found = module.eval().activations(torch.tensor(images))
        assert found.keys() == expected.keys()
        return all(np.array_equal(found[name].numpy() / of.signals[name].step, expected[name]) for name in expected)

    @pytest.mark.parametrize("name", [*SMALL, "dense", "kernel+ikss"])
    def test_with_powers_of_two_every_code_is_the_golden_models(self, name: str) -> None:
        """No sum has 24 bits, so that float32 is exact: training computes what the hardware computes, ties included.

        Batch norms are folded, weights and biases quantised from the float copy as lowering does it.
        """
        start, of, images = self.start(name)
        module = QuantizedModule(start.network.folded(), of)
        assert self.agrees(module, of, images)
        with torch.no_grad():  # negative control: one weight that is used is one step larger
            name = of.mac_layers[-1].name
            weight = module.operation(name).weight.flatten()
            weight[weight.abs().argmin()] += 1.01 * of.mac_layers[-1].weight_steps[0]
        assert not self.agrees(module, of, images)

    @pytest.mark.parametrize("overflow", [Overflow.SAT, Overflow.WRAP])
    @pytest.mark.parametrize("name", ["chain", "mobile", "dense", "kernel+ikss"])
    def test_scores_are_those_of_every_tensor_in_turn(self, name: str, overflow: Overflow) -> None:
        """Sums are pooled before they are quantised, except where wrapping makes another code the largest."""
        start, _, images = self.start(name)
        of = lower(start, Widths(4, 3), images, overflow=overflow)
        module = QuantizedModule(start.network.folded(), of).eval()
        with torch.no_grad():
            expected = module.activations(torch.tensor(images))
            found = module(torch.tensor(images))
            assert torch.equal(found, expected[of.output])
            assert not torch.equal(found, expected[of.output] + 1e-3)  # negative control: equality is strict

    def test_the_largest_sum_of_a_window_has_the_gradient(self) -> None:
        """Of the sums 1.1 and 1.4, both of code 1, only the pixel of the second learns; no pixel of a smaller code."""
        one = np.ones((1, 1, 1, 1), np.float32), np.zeros(1, np.float32)
        layers = (
            Conv2d("conv", (INPUT,), weight=one[0], bias=one[1], window=Window((1, 1))),
            MaxPool("pool", ("conv",), Window((1, 2), (1, 2))),
            Flatten("flat", ("pool",)),
            Linear("last", ("flat",), weight=one[0][0, 0], bias=one[1]),
        )
        network = Network("two", (1, 1, 2), layers)
        steps = Steps(weights={"conv": np.ones(1), "last": np.ones(1)}, signals={"conv": 1 / 4})
        image = np.array([[[[0.275, 0.35]]]])  # in quarters 1.1 and 1.4
        module = QuantizedModule(network, lower(PrunedNetwork(network), Widths(4, 4), image, steps))
        module(torch.tensor(image, dtype=torch.float32)).sum().backward()
        assert float(module.operation("conv").weight.grad) == pytest.approx(0.35, abs=1 / 255)

    def test_images_have_the_codes_that_lowering_gives_them(self) -> None:
        """Pixels k / 16 of digits, in 255 levels: with the tie at 127.5, the codes of `Signal.encode`, float64."""
        start, images = zoo.load("digits"), load("digits", "test").pixels()
        of = lower(start, WIDTHS, images[:50])
        with torch.no_grad():
            found = QuantizedModule(start.network, of).activations(torch.tensor(images))[INPUT].numpy()
        assert np.array_equal(np.rint(found / of.input_signal.step), of.input_signal.encode(images))

    @every_rule
    @pytest.mark.parametrize("per_output", [False, True])
    def test_lowering_comes_to_the_weights_of_the_training(self, how: dict[str, Any], per_output: bool) -> None:
        """With the steps that come back, every weight and bias has the code with which the training ended."""
        validation = IMAGES[:20], LABELS[:20]
        with watched() as seen:
            result = retrain(steps=Steps(per_output=per_output), validation=validation, **how)
        (module, _, codes), of = seen[-1], lowered(given(result), result.pruned)
        assert not any(type(layer).__name__ == "BatchNorm" for layer in result.pruned.network.layers)
        for layer in of.mac_layers:
            assert np.array_equal(layer.matrix, codes[layer.name])
            assert np.array_equal(layer.weight_steps, result.weight_steps[layer.name])
            bias = module.arrays(layer)[1].detach().numpy() / (layer.weight_steps * source_step(of, layer))
            assert np.array_equal(layer.bias, np.rint(bias))
            assert layer.requantize is None or layer.output.step == result.signal_steps[layer.name]

    def test_error_rates_are_those_of_the_engine(self) -> None:
        """Powers of two, kept: what is reported of the validation images is what the Program does with them."""
        data, reports = load("digits", "train").take(300), list[Progress]()
        start, steps = zoo.load("digits", "ikss"), Steps(power_of_two=True)
        of = lower(start, Widths(2, 2), data.pixels(), steps)
        held_out = load("digits", "test")
        result = retrain_quantized(
            start,
            of,
            data.pixels(),
            data.labels,
            replace(RECIPE, epochs=1),
            validation=(held_out.pixels(), held_out.labels),
            progress=reports.append,
        )
        after = lower(result.pruned, Widths(2, 2), data.pixels(), given(result, power_of_two=True))
        codes = after.input_signal.encode(held_out.pixels())
        assert reports[-1].validation_error_rate == compile_program(after).error_rate(codes, held_out.labels, 1)


def source_step(of: Program, layer: MacLayer) -> float:
    """Return the step of what a layer reads."""
    return of.signals[layer.inputs[0]].step


class TestGradients:
    """Two layers by hand: three inputs, one unit, two scores; weights of 3 bits, the signal of 2, the image of 1."""

    def module(self, signal_step: float, bias: float = 0.2, rule: StepRule | None = None) -> QuantizedModule:
        """Return it, all weight steps 0.5 and the second weight pruned.

        Weights 0.6 and 0.3 become 0.5 and 0.5, 1.9 and -0.8 become 1.5 (the last code) and -1; the bias 0.2 becomes 0.
        """
        layers = (
            Flatten("flat", (INPUT,)),
            Linear("fc1", ("flat",), weight=np.float32([[0.6, 0.9, 0.3]]), bias=np.float32([bias])),
            ReLU("relu", ("fc1",)),
            Linear("fc2", ("relu",), weight=np.float32([[1.9], [-0.8]]), bias=np.zeros(2, np.float32)),
        )
        kept = np.array([[[True], [False], [True]]])
        start = PrunedNetwork(Network("hand", (1, 1, 3), layers), {"fc1": LayerMask("irregular", kept)})
        steps = Steps(weights={"fc1": 0.5, "fc2": 0.5}, signals={"fc1": signal_step})
        of = lower(start, Widths(3, 2, input_bits=1), np.ones((1, 1, 1, 3), np.float32), steps)
        return QuantizedModule(start.network, of, rule)

    def backward(self, module: QuantizedModule) -> list[float]:
        """Return the scores of the image (1, 0, 1), and take gradients 1 and 10 of them."""
        scores = module(torch.tensor([[[[1.0, 0.0, 1.0]]]]))
        scores.backward(torch.tensor([[1.0, 10.0]]))
        return scores.flatten().tolist()

    def test_quantised_weights_and_signals_are_differentiated(self) -> None:
        """The unit is 0.5 + 0.5 = 1; scores 1.5 and -1. What comes back to it is 1 * 1.5 + 10 * -1 = -8.5.

        The weight 1.9 is beyond the last code and learns nevertheless.
        """
        module = self.module(signal_step=0.5)
        assert self.backward(module) == [1.5, -1.0]
        first, second = module.operation("fc1"), module.operation("fc2")
        assert second.weight.grad.tolist() == [[1.0], [10.0]]  # the unit's value for each score
        assert second.bias.grad.tolist() == [1.0, 10.0]
        assert first.weight.grad.tolist() == [[-8.5, 0.0, -8.5]]
        assert first.bias.grad.tolist() == [-8.5]
        assert all(step.grad is None for step in (*module.weight_steps.tensors, *module.signal_steps.tensors))

    def test_a_clipped_signal_gives_nothing_back(self) -> None:
        """With a bias of 2 the unit would be 3, twice its largest value 1.5: what is before it learns nothing."""
        module = self.module(signal_step=0.5, bias=2.0)
        assert self.backward(module) == [2.25, -1.5]
        assert not module.operation("fc1").weight.grad.any()
        assert module.operation("fc2").weight.grad.tolist() == [[1.5], [15.0]]

    def test_steps_learn_by_the_formula_of_lsq(self) -> None:
        """(code - v / s), or the last code where it is clipped, summed, / sqrt(n * largest code) (Esser et al.)."""
        module = self.module(signal_step=0.4, rule=StepRule("learn", "learn"))
        assert self.backward(module) == pytest.approx([1.8, -1.2])  # the unit, 1 / 0.4 = 2.5, has the code 3: 1.2
        (fc1,), (fc2,) = module.weight_steps["fc1"].grad.tolist(), module.weight_steps["fc2"].grad.tolist()
        (unit,) = module.signal_steps["fc1"].grad.tolist()
        assert unit == pytest.approx(-8.5 * (3 - 2.5) / math.sqrt(1 * 3))  # one feature, largest code 3
        # 1.9 / 0.5 is clipped at 3; -0.8 / 0.5 = -1.6 has the code -2. Two weights, largest code 3
        assert fc2 == pytest.approx((1.2 * 3 + 12 * (-2 + 1.6)) / math.sqrt(2 * 3))
        # 0.6 / 0.5 = 1.2 and 0.3 / 0.5 = 0.6 have the code 1; the pruned weight does not count
        assert fc1 == pytest.approx(-8.5 * ((1 - 1.2) + (1 - 0.6)) / math.sqrt(2 * 3))
        assert module.operation("fc2").weight.grad.flatten().tolist() == pytest.approx([0, 12])  # clipped: none


class TestTraining:
    @every_rule
    def test_masks_hold_after_every_step(self, how: dict[str, Any]) -> None:
        """Pruned weights are zero in the float copy, to the bit, and have code 0; what is kept is not all zero."""
        with watched() as seen:
            result = retrain(**how)
        assert len(seen) == BATCHES * RECIPE.epochs
        for name, mask in pruned().masks.items():
            gone = ~mask.kept.reshape(len(mask.kept), -1)
            after = result.pruned.network[name].weight  # type: ignore[attr-defined]
            for weight in (*(floats[name] for _, floats, _ in seen), after):
                assert not weight.reshape(gone.shape)[gone].view(np.uint32).any()
            for codes in (codes[name] for _, _, codes in seen):
                assert not codes[gone].any()
                assert codes[~gone].any()

    @every_rule
    def test_a_float_copy_learns_and_is_quantised_anew_in_each_step(self, how: dict[str, Any]) -> None:
        """Float weights are on no grid of steps and move in every step; now and then one gets another code."""
        with watched() as seen:
            retrain(replace(RECIPE, learning_rate=0.1), **how)
        for layer in lowered().mac_layers:
            floats, codes = ([notes[kind][layer.name] for notes in seen] for kind in (1, 2))
            moved = [(new != old).any() for old, new in pairwise(floats)]
            assert moved == [True] * (len(seen) - 1)
            assert (codes[0] != codes[-1]).any()
            ratios = floats[-1] / layer.weight_steps[0]
            assert np.abs(ratios - np.rint(ratios)).max() > 0.1

    def test_steps_that_are_kept_are_the_programs(self) -> None:
        """To the bit; only the layers that requantise have signal steps."""
        result, of = retrain(), lowered()
        assert {name: step.tolist() for name, step in result.weight_steps.items()} == {
            layer.name: layer.weight_steps.tolist() for layer in of.mac_layers
        }
        assert result.signal_steps == {name: of.signals[name].step for name in ("conv1", "conv2", "fc3")}

    @pytest.mark.parametrize("per_output", [False, True])
    def test_steps_are_refitted_to_the_kept_weights_before_each_epoch(self, per_output: bool) -> None:
        """The function gets what is kept, by row where rows have steps, and the outermost codes; three times."""
        calls = []

        def find_step(values: Any, lowest: int, highest: int) -> float:
            calls.append((values.size, lowest, highest))
            return l2_step(values, lowest, highest)

        options: dict[str, Any] = {"rule": StepRule("refit"), "find_step": find_step}
        with watched() as seen:
            result = retrain(steps=Steps(per_output=per_output), **options)
        expected = []
        for layer in lowered(Steps(per_output=per_output)).mac_layers:
            last = seen[BATCHES * (RECIPE.epochs - 1)][1][layer.name]  # the weights as the last epoch began
            rows = layer.weight_steps.size
            parts = [row[keep] for row, keep in zip(last.reshape(rows, -1), layer.kept.reshape(rows, -1), strict=True)]
            steps = [l2_step(part, -3, 3) if part.any() else 0.0 for part in parts]
            assert result.weight_steps[layer.name].tolist() == np.maximum(steps, max(steps) / 256).tolist()
            expected += [(part.size, -3, 3) for part in parts if part.any()]
        assert calls == expected * RECIPE.epochs

    def test_steps_that_are_learned_move_at_their_rate(self) -> None:
        """One step of plain SGD: a tenth of the rate moves every step a tenth as far; weight decay is not theirs."""
        recipe = Recipe(epochs=1, batch_size=80, momentum=0.0, weight_decay=0.9, schedule="constant")
        before = retrain_quantized(pruned(), lowered(), IMAGES, LABELS, recipe)
        full, tenth = (retrain(recipe, rule=StepRule("learn", "learn", rate)) for rate in (1.0, 0.1))
        for name, start in (before.weight_steps | before.signal_steps).items():
            kinds = ("weight_steps", "signal_steps") if name in before.signal_steps else ("weight_steps",)
            for kind in kinds:
                start = getattr(before, kind)[name]
                far, near = (getattr(result, kind)[name] - start for result in (full, tenth))
                assert np.all(far != 0)
                assert near == pytest.approx(far / 10, rel=1e-6)

    def test_what_is_not_trained_stays(self) -> None:
        """Masks, the pattern, the data's name and the dense sizes come back; what was given is unchanged."""
        start = pruned()
        before = [layer.weight.tobytes() for layer in start.network.weighted]
        result = retrain_quantized(start, lowered(), IMAGES, LABELS, RECIPE).pruned
        assert [layer.weight.tobytes() for layer in start.network.weighted] == before
        assert (result.pattern, result.data) == ("kernel", "noise")
        assert dict(result.dense_macs) == dict(start.dense_macs)
        assert all(result.masks[name].kept is mask.kept for name, mask in start.masks.items())

    @pytest.mark.parametrize("rounding", [Rounding.TRN, Rounding.RND_CONV])
    @pytest.mark.parametrize("overflow", [Overflow.SAT_SYM, Overflow.SAT_ZERO, Overflow.WRAP])
    def test_any_rounding_and_overflow_is_trained_as_it_is(self, rounding: Rounding, overflow: Overflow) -> None:
        """With powers of two the trained module and the Program that it is lowered to agree on every code."""
        modes, start = {"rounding": rounding, "overflow": overflow}, PrunedNetwork(residual())
        images = images_for(residual(), 40)
        labels = np.arange(40) % 3
        of = lower(start, WIDTHS, images, Steps(power_of_two=True), **modes)
        result = retrain_quantized(start, of, images, labels, replace(RECIPE, epochs=2, learning_rate=0.01))
        after = lower(result.pruned, WIDTHS, images, given(result, power_of_two=True), **modes)
        assert TestWhatItComputes().agrees(QuantizedModule(result.pruned.network, after), after, images)

    @pytest.mark.parametrize(("pattern", "bits"), [("dense", (2, 3)), ("kernel+ikss", (2, 3)), ("kernel", (2, 2))])
    def test_retraining_wins_back_what_few_bits_lose(self, pattern: str, bits: tuple[int, int]) -> None:
        """Digits in 2-bit weights and 2 or 3-bit signals: wrong on a quarter and more; retrained on a tenth and less.

        Both error rates are the engine's, on test images.
        """
        data, test, start = load("digits", "train"), load("digits", "test"), zoo.load("digits", pattern)
        images, widths = data.pixels(), Widths(*bits)
        before = lower(start, widths, images[:256])
        codes = before.input_signal.encode(test.pixels())
        assert compile_program(before).error_rate(codes, test.labels, 1) > 0.25
        recipe = Recipe(epochs=5, batch_size=32, learning_rate=0.01)
        result = retrain_quantized(start, before, images, data.labels, recipe, StepRule("refit"), find_step=l2_step)
        after = lower(result.pruned, widths, images[:256], given(result))
        assert compile_program(after).error_rate(codes, test.labels, 1) < 0.1
