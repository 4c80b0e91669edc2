"""Batch norms that are alive in quantised training: what they compute, when they stay, and what becomes of them."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch (extra train)")

from support.networks import images_for, residual  # noqa: E402

from accel.errors import EspalierError  # noqa: E402
from accel.layers import BatchNorm  # noqa: E402
from accel.network import Network  # noqa: E402
from accel.program import Program  # noqa: E402
from accel.pruned import PrunedNetwork  # noqa: E402
from accel.quantize import Steps, Widths, l2_step, lower  # noqa: E402
from accel.train import Progress, QuantizedModule, Recipe, Retrained, StepRule, retrain_quantized  # noqa: E402
from accel.train.norms import Norms, norms_of  # noqa: E402
from sim import golden  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = images_for(residual(), 96)
LABELS = np.arange(96) % 3
WIDTHS = Widths(4, 4)
LEARN = StepRule("learn", "learn")
RECIPE = Recipe(epochs=4, batch_size=32, learning_rate=0.02, norms_frozen=0.5, seed=3)


def start() -> PrunedNetwork:
    """Return a network with batch norms, of which some gains are negative."""

    def turned(norm: BatchNorm) -> BatchNorm:
        signs = np.where(np.arange(len(norm.scale)) % 3 == 1, -1, 1)
        return replace(norm, scale=(norm.scale * signs).astype(np.float32))

    network = residual()
    layers = tuple(turned(layer) if isinstance(layer, BatchNorm) else layer for layer in network.layers)
    return PrunedNetwork(replace(network, layers=layers))


def lowered(steps: Steps | None = None) -> Program:
    """Return the Program of the network."""
    return lower(start(), WIDTHS, IMAGES, steps or Steps(per_output=True))


def retrained(recipe: Recipe = RECIPE, **options: Any) -> Retrained:
    """Return what a training with norms that are alive gives."""
    return retrain_quantized(start(), lowered(), IMAGES, LABELS, recipe, LEARN, **options)


def module(frozen: float = 0.5) -> QuantizedModule:
    """Return the module that is trained."""
    network = start().network
    return QuantizedModule(network.folded(), lowered(), LEARN, None, Norms(network, frozen))


def codes_that_agree(found: QuantizedModule, of: Program) -> float:
    """Return the share of all codes that a module gives as the golden model does, of the tensor with the fewest."""
    expected = golden.run(of, of.input_signal.encode(IMAGES))
    with torch.no_grad():
        values = found.eval().activations(torch.tensor(IMAGES))
    return min(
        float(np.mean(np.rint(values[name].numpy() / of.signals[name].step) == expected[name])) for name in expected
    )


class TestNorms:
    def test_are_those_that_folding_makes_part_of_weights(self) -> None:
        network = start().network
        found = norms_of(network)
        assert len(found) >= 2
        assert {*found.values()} <= {*network.layers}
        assert found.keys() <= {layer.name for layer in network.folded().weighted}
        assert not norms_of(network.folded())  # negative control

    def test_begin_by_changing_nothing(self) -> None:
        """Judged, a module with norms gives the scores of one without; a gain that is doubled shows."""
        images = torch.tensor(IMAGES)
        with torch.no_grad():
            plain, alive = module(0.0).eval(), module().eval()
            assert torch.allclose(alive(images), plain(images), atol=1e-5)
            alive.norms.gains[0] *= 2
            assert not torch.allclose(alive(images), plain(images), atol=1e-5)

    def test_alive_give_sums_the_mean_and_spread_that_they_learned(self) -> None:
        """In training sums of a batch have the norm's shift as their mean and its gain as their deviation."""
        alive = module().train()
        alive.before_epoch(0.0)
        name = next(iter(alive.norms.places))
        sums = torch.randn(64, len(alive.norms.shifts[0]), 5, 5) * 3 + 1
        normed = alive.norms(name, sums)
        assert torch.allclose(normed.mean((0, 2, 3)), alive.norms.shifts[0], atol=1e-3)
        assert torch.allclose(normed.std((0, 2, 3)), alive.norms.gains[0], rtol=1e-2)
        alive.before_epoch(0.5)  # frozen: they are part of the weights
        assert torch.equal(alive.norms(name, sums), sums)

    def test_statistics_move_until_they_are_frozen(self) -> None:
        """Four epochs, frozen after half of them: those of the second epoch's end are those of the fourth's."""
        seen: list[list[Any]] = []
        run_modules: list[QuantizedModule] = []

        def look(watched: Any, inputs: Any) -> None:
            if isinstance(watched, QuantizedModule):
                run_modules.append(watched)

        def note(at: Progress) -> None:
            if at.step % 3 == 0:
                seen.append([buffer.clone() for buffer in run_modules[-1].norms.buffers()])

        handle = torch.nn.modules.module.register_module_forward_pre_hook(look)
        try:
            retrained(progress=note)
        finally:
            handle.remove()
        same = [all(map(torch.equal, one, other)) for one, other in pairwise(seen)]
        assert same == [False, True, True]


class TestTraining:
    def test_ends_with_weights_and_steps_that_compute_the_same(self) -> None:
        """The Program that they are lowered to gives the codes of a module made of them, nearly all; no others do."""
        result = retrained()
        steps = Steps(weights=result.weight_steps, signals=result.signal_steps)
        of = lower(result.pruned, WIDTHS, IMAGES, steps)
        assert not norms_of(result.pruned.network)
        assert codes_that_agree(QuantizedModule(result.pruned.network, of), of) > 0.98
        assert codes_that_agree(QuantizedModule(start().network.folded(), of), of) < 0.9  # negative control

    def test_what_is_reported_is_what_the_program_gives(self) -> None:
        """The error rate on validation images after the last epoch is that of the Program, within a few images."""
        rates = []
        held_out = IMAGES[:48], LABELS[:48]
        result = retrained(validation=held_out, progress=lambda at: rates.append(at.validation_error_rate))
        of = lower(result.pruned, WIDTHS, IMAGES, Steps(weights=result.weight_steps, signals=result.signal_steps))
        scores = golden.run(of, of.input_signal.encode(held_out[0]))[of.output].reshape(48, -1)
        assert abs(np.mean(scores.argmax(1) != held_out[1]) - rates[-1]) <= 2 / 48

    def test_other_weights_come_of_norms_that_are_alive(self) -> None:
        alive, folded = retrained(), retrained(replace(RECIPE, norms_frozen=0.0))
        first = alive.pruned.network.weighted[0].name
        assert not np.allclose(alive.pruned.network[first].weight, folded.pruned.network[first].weight)  # type: ignore[attr-defined]

    def test_goes_on_from_a_checkpoint_to_the_same_bytes(self, tmp_path: Path) -> None:
        whole = retrained()
        path = tmp_path / "training"

        def stop(at: Progress) -> None:
            if at.epoch == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            retrained(checkpoint=path, progress=stop)
        again = retrained(checkpoint=path)
        assert again.pruned.to_bytes() == whole.pruned.to_bytes()
        assert all(np.array_equal(again.weight_steps[name], step) for name, step in whole.weight_steps.items())
        with pytest.raises(EspalierError, match="norms_frozen"):
            retrained(replace(RECIPE, norms_frozen=0.75), checkpoint=path)

    def test_needs_steps_of_each_output_map_that_are_learned(self) -> None:
        given = start(), lowered(), IMAGES, LABELS, RECIPE
        with pytest.raises(EspalierError, match="steps of weights must be learned"):
            retrain_quantized(*given, StepRule("refit"), find_step=l2_step)
        one = lower(start(), WIDTHS, IMAGES)
        with pytest.raises(EspalierError, match="needs a step for each output map"):
            retrain_quantized(start(), one, IMAGES, LABELS, RECIPE, LEARN)


def test_a_network_without_norms_has_none_to_keep_alive() -> None:
    """Nothing is added to it, whatever share of the epochs is asked for."""
    network: Network = start().network.folded()
    assert not Norms(network, 0.5).places
