"""Retraining a network as a Program computes it: quantised weights and signals, and a float copy that learns."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accel import archive
from accel.errors import EspalierError
from accel.fixedpoint import SATURATING
from accel.grouped_convolution import group_weights
from accel.layers import Clip
from accel.network import INPUT, Network
from accel.program import KIND, Program
from accel.program_layers import ClipLayer, ConcatLayer, MacLayer
from accel.pruned import PrunedNetwork
from accel.signal import nearest_steps
from accel.train.checkpoint import Checkpoint, Fingerprint, fingerprint
from accel.train.learned_steps import SPREAD, LayerSteps, StepRule
from accel.train.lowered import check_lowered
from accel.train.module import NetworkModule, to_network
from accel.train.norms import Norms
from accel.train.quantizer import Levels, quantize
from accel.train.recipe import Recipe
from accel.train.run import Listener, Run
from accel.train.samples import Images, Labels, pick_device
from accel.train.walk import Accumulating, activations, bounded, origins, scores

FindStep = Callable[[NDArray[np.float32], int, int], float]
"""From weights, the lowest and the highest code to a step: `accel.quantize.l2_step`, for one."""

BIAS = Levels(0, 0, lambda bias: (bias + 0.5).floor(), clipped=False)  # as wide as it takes


@dataclass(frozen=True, eq=False)
class Retrained:
    """What a quantised training gives: all that lowering needs to come to the weights and signals of that training.

    Parameters
    ----------
    pruned : PrunedNetwork
        Its batch norms folded, its weights float.
    weight_steps : dict of layer name to float array (1,) or (M,)
    signal_steps : dict of layer name to float
        Of the layers whose accumulators are requantised.
    """

    pruned: PrunedNetwork
    weight_steps: dict[str, NDArray[np.float64]]
    signal_steps: dict[str, float]


def retrain_quantized(
    pruned: PrunedNetwork,
    program: Program,
    images: Images,
    labels: Labels,
    recipe: Recipe,
    rule: StepRule = StepRule(),  # noqa: B008 - frozen
    *,
    find_step: FindStep | None = None,
    teacher: Network | None = None,
    validation: tuple[Images, Labels] | None = None,
    device: str | torch.device | None = None,
    checkpoint: Path | None = None,
    progress: Listener | None = None,
) -> Retrained:
    """Return `pruned` trained by `recipe` as `program` computes it, from the float weights that it has.

    Each step quantises the float weights and the biases anew, runs and differentiates the network with these and with
    quantised signals, and changes the float copy; masks hold after every step. Training is repeatable as `fit` is.

    Parameters
    ----------
    pruned : PrunedNetwork
        With its batch norms where they are to stay alive (`recipe.norms_frozen`), which needs steps of weights that
        are learned, one for each output map.
    program : Program
        Lowered from `pruned`: its word lengths, steps, rounding and overflow are those that are trained for. Its
        weights are not read.
    images, labels, recipe, teacher, validation, device, checkpoint, progress
        As for `fit`; the error rates that are reported are those of the quantised network. `recipe.group_lasso` has no
        groups here.
    rule : StepRule
        What becomes of the steps.
    find_step : function of weights (float, any shape), lowest and highest code, optional
        Gives the steps that are refitted; needed there and nowhere else.

    Raises
    ------
    EspalierError
        The Program is of another network or has other masks, data or checkpoint do not fit, or the training diverged.

    Notes
    -----
    Source: Shin, Hwang and Sung, "Fixed-Point Performance Analysis of Recurrent Neural Networks" (arXiv 1512.01322);
    for the straight-through estimator Hwang and Sung, "Fixed-Point Feedforward Deep Neural Network Design" (2014).
    """
    given, pruned = pruned, pruned.folded()
    check_lowered(pruned, program)
    _check_rule(program, rule, find_step)
    norms = Norms(given.network, recipe.norms_frozen)
    _check_norms(program, rule, norms)
    module = QuantizedModule(pruned.network, program, rule, find_step, norms)
    run = Run(module, pruned, images, labels, recipe, _precise(pick_device(device)), validation, teacher=teacher)
    store = None
    if checkpoint:
        start = given if recipe.norms_frozen else pruned
        what = fingerprint(start, images, labels, recipe, teacher=teacher, validation=validation)
        what |= _fingerprint(program, rule, find_step)
        store = Checkpoint(Path(checkpoint), what)
    run.train(store, progress)
    module.fold()
    steps, known = module.signal_steps.values(), {layer.name for layer in pruned.network.layers}
    signal_steps = {name: float(steps[name][0]) for name in steps if name in known}
    return Retrained(pruned.with_network(to_network(module)), module.weight_steps.values(), signal_steps)


class QuantizedModule(NetworkModule):
    """Runs a Program on real values, its weights and biases quantised from float parameters each time.

    Parameters
    ----------
    network : Network
        Without batch norms; its weights are where the parameters start.
    program : Program
        That fits it.
    rule : StepRule
    find_step : function, optional
        For weight steps that are refitted.
    norms : Norms, optional
        Of the network before it was folded; none by default.
    """

    def __init__(
        self,
        network: Network,
        program: Program,
        rule: StepRule | None = None,
        find_step: FindStep | None = None,
        norms: Norms | None = None,
    ) -> None:
        super().__init__(network)
        self.program, self.rule, self.find_step = program, rule or StepRule(), find_step
        self.norms = norms or Norms(network, 0.0)
        self.origins = origins(program)
        learned = self.rule.weights == "learn"
        self.weight_steps = LayerSteps({x.name: x.weight_steps for x in program.mac_layers}, learned)
        summing = [x for x in program.layers if isinstance(x, Accumulating) and x.requantize is not None]
        signal_steps = {x.name: x.output.step for x in summing}
        self.signal_steps = LayerSteps(signal_steps, self.rule.signals == "learn", _joined(network, program))
        self.highest = _highest(network, program)
        self.levels = {x.name: Levels.of_signal(x.output.format, x.relu) for x in summing}
        self.weight_levels = {x.name: Levels.of_weights(x.weight_bits, learned) for x in program.mac_layers}
        self.register_buffer(
            "input_step", torch.tensor(program.input_signal.step, dtype=torch.float64), persistent=False
        )
        for place, layer in enumerate(program.mac_layers):
            counts = np.maximum(layer.kept.reshape(layer.weight_steps.size, -1).sum(axis=1), 1)
            scale = self.weight_levels[layer.name].gradient_scale(counts)
            self.register_buffer(f"scale{place}", torch.from_numpy(scale), persistent=False)
        self.scales = {layer.name: f"scale{place}" for place, layer in enumerate(program.mac_layers)}

    def activations(self, images: Tensor) -> dict[str, Tensor]:
        """Return the real values of every tensor for a batch of images, by the names that the Program has."""
        return activations(self.program, self, self._input(images))

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores of a batch of images (batch, maps, height, width)."""
        return scores(self.program, self, self._input(images))

    def arrays(self, layer: MacLayer) -> tuple[Tensor, Tensor]:
        """Return a layer's weights and biases, quantised in float64, as lowering does it.

        Where a batch norm is frozen it is part of both; where one is alive biases have no effect.
        """
        operation, steps = self.operation(layer.name), self.weight_steps[layer.name]
        weight, levels = operation.weight, self.weight_levels[layer.name]
        by_output = steps.reshape(-1, *(1,) * (weight.ndim - 1))
        scale = self.get_buffer(self.scales[layer.name])
        quantized = quantize(weight.double(), by_output, levels, scale.reshape(by_output.shape))
        bias = operation.bias.double()
        if layer.name in self.norms and not self.norms.alive:
            gain, offset = (x.double() for x in self.norms.affine(layer.name))
            quantized, bias, steps = quantized * gain.reshape(by_output.shape), bias * gain + offset, steps * gain.abs()
        bias = quantize(bias, (steps * self._step_of(layer.inputs[0])).detach(), BIAS)
        return quantized.to(weight.dtype), bias.to(weight.dtype)

    def summed(self, layer: MacLayer, sums: Tensor) -> Tensor:
        """Return sums in float32, normalised by their batch where a norm is alive."""
        return self.norms(layer.name, sums.to(self.operation(layer.name).weight.dtype))

    def finished(self, layer: Accumulating, sums: Tensor) -> Tensor:
        """Quantise a layer's sums, the last one's excepted."""
        if layer.requantize is None:
            return sums
        levels, step = self.levels[layer.name], self.signal_steps[layer.name]
        values = quantize(sums, step, levels, levels.gradient_scale(math.prod(sums.shape[1:])))
        return bounded(values, _nearest(self.highest[layer.name], step)) if layer.name in self.highest else values

    def bound(self, layer: ClipLayer) -> Tensor:
        """Return the bound of the network's clip, rounded to the step as it is now."""
        clip, step = self.network[layer.name], self._step_of(layer.inputs[0])
        assert isinstance(clip, Clip)  # as was checked
        return _nearest(clip.highest, torch.as_tensor(step, dtype=torch.float64))

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return also the steps that are learned, which do not decay and have a rate of their own."""
        learned = [x for steps in (self.weight_steps, self.signal_steps) for x in steps.parameters() if x.requires_grad]
        groups = super().parameter_groups(weight_decay)
        groups[-1]["params"] += self.norms.parameters()
        return [*groups, {"params": learned, "weight_decay": 0.0, "share": self.rule.rate}] if learned else groups

    @torch.no_grad()
    def before_epoch(self, done: float) -> None:
        """Refit the steps of the weights, if that is the rule, and freeze batch norms when it is time."""
        self.norms.before_epoch(done)
        if self.find_step is not None:
            for layer in self.program.mac_layers:
                self.weight_steps[layer.name].copy_(torch.from_numpy(self._found_steps(layer, self.find_step)))

    @torch.no_grad()
    def after_step(self) -> None:
        """See to it that steps that are learned can be lowered."""
        for steps in (self.weight_steps, self.signal_steps):
            if steps.learned:
                steps.keep_apart_from_zero()

    @torch.no_grad()
    def fold(self) -> None:
        """Make batch norms part of weights, biases and steps, as lowering has them."""
        for name in self.norms.places:
            operation, steps = self.operation(name), self.weight_steps[name]
            gain, offset = self.norms.affine(name)
            operation.weight *= gain.reshape(-1, *(1,) * (operation.weight.ndim - 1))
            operation.bias.copy_(operation.bias * gain + offset)
            steps *= gain.abs()
            self.norms.reset(name)
        self.after_step()

    def _input(self, images: Tensor) -> Tensor:
        levels = Levels.of_signal(self.program.input_signal.format)
        return quantize(images.double(), self.get_buffer("input_step"), levels).to(images.dtype)

    def _step_of(self, tensor: str) -> Tensor | float:
        origin = self.origins[tensor]
        if origin == INPUT:
            return self.program.input_signal.step
        return self.signal_steps[origin]

    def _found_steps(self, layer: MacLayer, find_step: FindStep) -> NDArray[np.float64]:
        """Return the steps, one for each that the Program has, of the weights that are kept."""
        weight, highest = self.operation(layer.name).weight.cpu().numpy(), self.weight_levels[layer.name].highest
        rows, groups = layer.weight_steps.size, layer.shape[1] // weight.shape[1]
        kept = group_weights(layer.kept.astype(np.int64), layer.shape, groups) > 0
        parts = [row[keep] for row, keep in zip(weight.reshape(rows, -1), kept.reshape(rows, -1), strict=True)]
        steps = np.array([find_step(part, -highest, highest) if part.any() else 0.0 for part in parts])
        return np.maximum(steps, steps.max() * SPREAD or 1.0)


def _joined(network: Network, program: Program) -> set[str]:
    """Return the layers whose signals a concatenation joins: one step for both, which lowering finds from theirs."""
    made_by, known = origins(program), {layer.name for layer in network.layers}
    found = {made_by[x] for layer in program.layers if isinstance(layer, ConcatLayer) for x in layer.inputs}
    own = [layer for layer in program.layers if layer.name in found - known]
    return found | {made_by[source] for layer in own for source in layer.inputs}


def _highest(network: Network, program: Program) -> dict[str, float]:
    """Return the bounds of clips that are part of a layer's requantisation, by that layer."""
    made_by, lowered = origins(program), {layer.name for layer in program.layers}
    highest, moved = dict[str, float](), dict[str, str]()
    for layer in network.layers:
        if layer.name in lowered:
            continue
        source = moved[layer.name] = moved.get(layer.inputs[0], layer.inputs[0])
        if isinstance(layer, Clip):
            name = made_by[source]
            highest[name] = min(layer.highest, highest.get(name, math.inf))
    return highest


def _nearest(highest: float, step: Tensor) -> Tensor:
    """Return a bound as lowering rounds it to whole steps."""
    whole = step.detach()
    return nearest_steps(highest, whole) * whole


def _check_rule(program: Program, rule: StepRule, find_step: FindStep | None) -> None:
    if (find_step is not None) != (rule.weights == "refit"):
        raise EspalierError(f"find_step goes with weight steps that are refitted, and these are of {rule.weights!r}")
    for layer in program.layers:
        if rule.signals == "learn" and isinstance(layer, Accumulating) and layer.requantize is not None:
            overflow = layer.output.format.overflow
            if overflow not in SATURATING:
                raise EspalierError(
                    f"{layer.name}: the step of a signal that overflows by {overflow.name} has no slope"
                )


def _check_norms(program: Program, rule: StepRule, norms: Norms) -> None:
    if norms.places and rule.weights != "learn":
        raise EspalierError(f"{program.name}: with batch norms that are alive steps of weights must be learned")
    for layer in program.mac_layers:
        if layer.name in norms and layer.weight_steps.size != layer.shape[0]:
            raise EspalierError(f"{layer.name}: a batch norm that is alive needs a step for each output map")


def _fingerprint(program: Program, rule: StepRule, find_step: FindStep | None) -> Fingerprint:
    name = "" if find_step is None else getattr(find_step, "__qualname__", type(find_step).__qualname__)
    digest = hashlib.sha256(archive.dump(KIND, program)).hexdigest()
    return {"program": digest, "steps": repr(rule), "find_step": name}


def _precise(device: torch.device) -> torch.device:
    """Return a device that has float64, in which weights are quantised."""
    try:
        return torch.zeros(1, dtype=torch.float64, device=device).device
    except (RuntimeError, TypeError) as error:
        raise EspalierError(f"device {str(device)!r} cannot be used: it has no float64") from error
