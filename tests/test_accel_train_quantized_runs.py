from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.stopping import StopTrainingError, stop_at

torch = pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from support.networks import chain, residual  # noqa: E402
from support.retraining import IMAGES, LABELS, lowered, parts, pruned  # noqa: E402

from accel import archive  # noqa: E402
from accel.errors import EspalierError  # noqa: E402
from accel.fixedpoint import Overflow  # noqa: E402
from accel.layers import Linear, ReLU  # noqa: E402
from accel.network import Network  # noqa: E402
from accel.program import Program  # noqa: E402
from accel.program_layers import MacLayer, MaxPoolLayer  # noqa: E402
from accel.pruned import PrunedNetwork  # noqa: E402
from accel.quantize import Steps, Widths, l2_step, lower, power_of_two_step  # noqa: E402
from accel.train import Progress, Recipe, Retrained, StepRule, fit, initialize, quantized, retrain_quantized  # noqa: E402
from accel.train.checkpoint import KIND, State  # noqa: E402
from accel.window import Window  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

RULES: dict[str, dict[str, Any]] = {
    "keep": {},
    "refit": {"rule": StepRule("refit"), "find_step": l2_step},
    "learn": {"rule": StepRule("learn", "learn", rate=0.5)},
}
SGD = Recipe(epochs=3, batch_size=32, learning_rate=0.02, weight_decay=1e-3, shift_pixels=1, seed=3)
RECIPES = {"sgd": SGD, "adam": replace(SGD, optimizer="adam", learning_rate=0.002, schedule="step")}
BATCHES = 3  # of an epoch: 80 images in batches of at most 32

every_rule = pytest.mark.parametrize("how", RULES.values(), ids=RULES.keys())
every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())


def retrain(recipe: Recipe = SGD, of: Program | None = None, **options: Any) -> Retrained:
    """Retrain the small network."""
    return retrain_quantized(pruned(), of or lowered(), IMAGES, LABELS, recipe, **options)


class TestRepeating:
    @every_rule
    def test_one_seed_gives_the_same_bytes(self, how: dict[str, Any]) -> None:
        """Weights, biases and steps, whatever the state of the global generators; another seed gives others."""
        first = retrain(**how)
        torch.manual_seed(99)
        assert parts(retrain(**how)) == parts(first)
        assert parts(retrain(replace(SGD, seed=4), **how)) != parts(first)

    @every_rule
    @every_recipe
    @pytest.mark.parametrize("step", [1, BATCHES, BATCHES + 1], ids=["first", "epoch end", "inside"])
    def test_a_resumed_run_equals_an_uninterrupted_one(
        self, recipe: Recipe, how: dict[str, Any], step: int, tmp_path: Path
    ) -> None:
        """Stopped anywhere, the same call goes on after the last whole epoch and ends in the same bytes."""
        path, reports = tmp_path / "run.checkpoint", list[Progress]()
        with pytest.raises(StopTrainingError):
            retrain(recipe, **how, checkpoint=path, progress=stop_at(step))
        assert path.exists() == (step >= BATCHES)
        resumed = retrain(recipe, **how, checkpoint=path, progress=reports.append)
        assert parts(resumed) == parts(retrain(recipe, **how))
        done = step // BATCHES * BATCHES
        assert [x.step for x in reports] == list(range(done + 1, 3 * BATCHES + 1))

    def test_the_comparison_sees_lost_steps(self, tmp_path: Path) -> None:
        """Negative control: a step of the checkpoint that is another gives other bytes."""
        path, how = tmp_path / "run.checkpoint", RULES["learn"]
        with pytest.raises(StopTrainingError):
            retrain(**how, checkpoint=path, progress=stop_at(BATCHES))
        state, step = archive.load(path, KIND, (State,)), "signal_steps.tensors.0"
        archive.save(path, KIND, replace(state, module={**state.module, step: 1.5 * state.module[step]}))
        assert parts(retrain(**how, checkpoint=path)) != parts(retrain(**how))

    def test_a_checkpoint_of_another_quantisation_is_refused(self, tmp_path: Path) -> None:
        """Other word lengths, other steps, another rule or another function are named, and the file stays."""
        path, short = tmp_path / "run.checkpoint", replace(SGD, epochs=1)
        retrain(short, **RULES["refit"], checkpoint=path)
        before = path.read_bytes()
        for changes, names in (
            ({"of": lowered(widths=Widths(3, 4))}, "program"),
            ({"of": lowered(Steps(power_of_two=True))}, "program"),
            ({"rule": StepRule("refit", "learn")}, "steps"),
            ({"rule": StepRule("refit", rate=0.5)}, "steps"),
            ({"find_step": power_of_two_step}, "find_step"),
            ({"find_step": None, "rule": StepRule()}, "steps, find_step"),
        ):
            with pytest.raises(EspalierError, match=rf"is of another training \(other {names}\): delete it"):
                retrain(short, **(RULES["refit"] | changes), checkpoint=path)
        assert path.read_bytes() == before
        assert parts(retrain(short, **RULES["refit"], checkpoint=path)) == parts(retrain(short, **RULES["refit"]))

    def test_a_quantised_network_learns_from_its_teacher_alone_where_that_has_all_of_the_loss(self) -> None:
        """Other labels give the same bytes; the teacher is float, with its batch norm; another one gives others."""
        recipe = replace(SGD, epochs=1, distillation=1.0)
        teachers = [initialize(pruned().network, np.random.default_rng(seed)) for seed in (7, 8)]
        found = [parts(retrain(recipe, teacher=teacher, **RULES["learn"])) for teacher in teachers]
        other = (LABELS + 1) % (LABELS.max() + 1)
        again = retrain_quantized(pruned(), lowered(), IMAGES, other, recipe, teacher=teachers[0], **RULES["learn"])
        assert parts(again) == found[0] != found[1]
        with pytest.raises(EspalierError, match=r"distillation is 1\.0, but there is no teacher"):
            retrain(recipe)

    def test_float_and_quantised_trainings_do_not_take_each_others_checkpoints(self, tmp_path: Path) -> None:
        """Of one network without batch norm, one recipe and one set of images: what is quantised is the difference."""
        short = replace(SGD, epochs=1)
        start = replace(pruned(), network=pruned().network.folded())
        data, of = (IMAGES, LABELS, short), lowered(start=start)
        fit(start, *data, checkpoint=tmp_path / "float")
        with pytest.raises(EspalierError, match=r"of another training \(other program, steps, find_step\)"):
            retrain_quantized(start, of, *data, checkpoint=tmp_path / "float")
        retrain_quantized(start, of, *data, checkpoint=tmp_path / "quantised")
        with pytest.raises(EspalierError, match=r"of another training \(other program, steps, find_step\)"):
            fit(start, *data, checkpoint=tmp_path / "quantised")


def changed(of: Program, name: str, **changes: Any) -> Program:
    """Return the Program with one layer changed."""
    return replace(of, layers=tuple(replace(x, **changes) if x.name == name else x for x in of.layers))


def of_network(network: Network) -> Program:
    """Return the Program of a network that takes the images."""
    return lower(PrunedNetwork(network), Widths(3, 3), IMAGES)


def without(network: Network, name: str) -> Network:
    """Return a network with one layer, which keeps shapes, left out."""
    (gone,) = network[name].inputs
    layers = [x for x in network.layers if x.name != name]
    return replace(
        network,
        layers=tuple(replace(x, inputs=tuple(gone if y == name else y for y in x.inputs)) for x in layers),
    )


def with_relu_after(network: Network, name: str) -> Network:
    """Return a network whose last layer is followed by a ReLU."""
    return replace(network, layers=(*network.layers, ReLU("relu4", (name,))))


def narrow(of: Program) -> Program:
    """Return the Program with an accumulator too narrow for its sums."""
    return changed(of, "conv2", accumulator_bits=4, accumulator_overflow=Overflow.WRAP)


WRONG: dict[str, tuple[Any, str]] = {
    "other images": (
        lambda: lower(PrunedNetwork(residual()), Widths(3, 3), np.zeros((2, 2, 6, 6), np.float32)),
        r"chain: takes images \(2, 8, 8\), the Program of residual \(2, 6, 6\)",
    ),
    "other masks": (
        lambda: of_network(chain()),
        "conv2: the Program of chain keeps other weights than the network's mask does",
    ),
    "a ReLU more": (
        lambda: lowered(start=replace(pruned(), network=with_relu_after(pruned().network, "fc4"), dense_macs={})),
        "chain: its ReLUs are not where the Program of chain has them",
    ),
    "a ReLU less": (
        lambda: lowered(start=replace(pruned(), network=without(pruned().network, "relu2"))),
        "chain: its ReLUs are not where the Program of chain has them",
    ),
    "another window": (
        lambda: changed(lowered(), "pool1", window=Window((2, 2), (2, 2), (0, 0, 0, 1))),
        "pool1: the Program of chain has another layer of this name",
    ),
    "another input": (
        lambda: Program(
            "chain",
            "",
            "",
            (2, 8, 8),
            (x := lowered()).input_signal,
            (*x.layers[:-1], replace(x.layers[-1], name="fc")),
        ),
        "fc4: the Program of chain has no layer of this name",
    ),
    "an accumulator that overflows": (
        lambda: narrow(lowered()),
        "conv2: has an accumulator of 4 bits that overflows, which PyTorch has no arithmetic for",
    ),
    "weights of one bit": (
        lambda: changed(lowered(), "fc4", weight_bits=1, weights=np.zeros_like(lowered().mac_layers[-1].weights)),
        "fc4: weights need at least 2 bits, the Program of chain has 1",
    ),
}


class TestBadInput:
    @pytest.mark.parametrize(("program", "message"), WRONG.values(), ids=WRONG.keys())
    def test_a_program_of_another_network_is_refused(self, program: Any, message: str) -> None:
        """The first difference is named, in one line."""
        with pytest.raises(EspalierError, match=f"^{message}$"):
            retrain(of=program())

    def test_a_layer_too_many_is_refused(self) -> None:
        """A Program whose last layer the network does not have."""
        of, reads = lowered(), Window((1, 1))
        first = of.layers[0]
        assert isinstance(first, MacLayer)
        pool = MaxPoolLayer("extra", ("input",), reads)
        with pytest.raises(EspalierError, match=r"^chain: has no layer 'extra', the Program of chain does$"):
            retrain(of=replace(of, layers=(pool, *of.layers)))

    def test_networks_with_branches_averages_and_other_inputs_are_compared(self) -> None:
        """A residual network fits its own Program; with the two inputs of its sum exchanged it is another."""
        images, labels = np.zeros((4, 2, 6, 6), np.float32), np.zeros(4, np.int64)
        start, recipe = PrunedNetwork(residual()), Recipe(epochs=1, batch_size=4)
        of = lower(start, Widths(3, 3), np.random.default_rng(0).random((9, 2, 6, 6), np.float32))
        retrain_quantized(start, of, images, labels, recipe)
        add = next(x for x in of.layers if x.name == "add")
        exchanged = changed(of, "add", inputs=add.inputs[::-1])
        with pytest.raises(EspalierError, match=r"^add: the Program of residual has another layer of this name$"):
            retrain_quantized(start, exchanged, images, labels, recipe)

    def test_a_layer_that_no_program_has_is_refused(self) -> None:
        """A kind of layer that lowering does not know is not taken for a known one."""

        class Sine(Linear):
            pass

        start = pruned()
        last = start.network.layers[-1]
        assert isinstance(last, Linear)
        sine = Sine(last.name, last.inputs, weight=last.weight, bias=last.bias)
        odd = start.with_network(replace(start.network, layers=(*start.network.layers[:-1], sine)))
        with pytest.raises(EspalierError, match=r"^fc4: the Program of chain has another layer of this name$"):
            retrain_quantized(odd, lowered(), IMAGES, LABELS, SGD)

    @pytest.mark.parametrize(("rule", "find_step"), [(StepRule("refit"), None), (StepRule("learn"), l2_step)])
    def test_refitting_and_its_function_go_together(self, rule: StepRule, find_step: Any) -> None:
        """A function that would not be called is as wrong as one that is missing."""
        message = f"^find_step goes with weight steps that are refitted, and these are of '{rule.weights}'$"
        with pytest.raises(EspalierError, match=message):
            retrain(rule=rule, find_step=find_step)

    def test_signals_that_wrap_have_no_step_to_learn(self) -> None:
        """Where a code comes round again, LSQ has no slope."""
        of = lower(pruned(), Widths(3, 3), IMAGES, overflow=Overflow.WRAP)
        message = "^conv1: the step of a signal that overflows by WRAP has no slope$"
        with pytest.raises(EspalierError, match=message):
            retrain(of=of, rule=StepRule("keep", "learn"))
        retrain(replace(SGD, epochs=1), of=of, rule=StepRule("learn"))

    def test_a_batch_norm_that_the_program_lacks_is_refused(self) -> None:
        """A Program without a layer that the network has is another network's."""
        start = pruned()
        after = replace(start.network["norm1"], name="norm2", inputs=("pool1",))
        layers = list(start.network.layers)
        place = [x.name for x in layers].index("pool1") + 1
        layers[place:] = [after, replace(layers[place], inputs=("norm2",)), *layers[place + 1 :]]
        odd = start.with_network(replace(start.network, layers=tuple(layers)))
        with pytest.raises(EspalierError, match=r"^norm2: the Program of chain has no layer of this name"):
            retrain_quantized(odd, lowered(), IMAGES, LABELS, SGD)

    def test_data_that_do_not_fit_are_refused_as_by_fit(self) -> None:
        """The same words."""
        with pytest.raises(EspalierError, match=r"^chain: images must be \(N, 2, 8, 8\) .*, got \(80, 2, 8, 7\)$"):
            retrain_quantized(pruned(), lowered(), IMAGES[..., 1:], LABELS, SGD)
        with pytest.raises(EspalierError, match="device 'abacus' cannot be used"):
            retrain(device="abacus")

    def test_a_device_without_float64_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Weights are quantised in it, so that lowering finds the same codes."""

        def zeros(*_: Any, **__: Any) -> None:
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
            )

        monkeypatch.setattr(quantized.torch, "zeros", zeros)
        with pytest.raises(EspalierError, match=r"^device 'mps' cannot be used: it has no float64$"):
            quantized._precise(torch.device("mps"))

    def test_divergence_is_an_error(self) -> None:
        """A learning rate far too high ends in one line, not in steps or weights of NaN."""
        recipe = replace(SGD, learning_rate=1e30, schedule="constant", epochs=30)
        with pytest.raises(EspalierError, match=r"diverged|not finite"):
            retrain(recipe, rule=StepRule("learn", "learn"))

    def test_signals_of_one_bit_are_trained(self) -> None:
        """Without a sign they are 0 or 1; with one, 0 or -1: no code above zero by which to scale a gradient."""
        rng, start = np.random.default_rng(0), PrunedNetwork(residual())
        images, labels = rng.random((40, 2, 6, 6), np.float32), np.arange(40) % 3
        of = lower(start, Widths(2, 1), images)
        assert {of.signals[name].format.signed for name in ("conv1", "conv3")} == {False, True}
        result = retrain_quantized(start, of, images, labels, replace(SGD, epochs=1), StepRule("learn", "learn"))
        assert all(np.isfinite(step) and step > 0 for step in result.signal_steps.values())
        assert result.signal_steps["conv3"] != of.signals["conv3"].step
