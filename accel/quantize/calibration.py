"""Calibration: a network and images, from which the steps of any widths are found, each of them once."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat
from accel.layers import Array, Clip, Conv2d, Flatten, MaxPool, ReLU, Weighted
from accel.network import INPUT, Network
from accel.pattern import keeps_everything
from accel.program_layers import MacLayer
from accel.pruned import PrunedNetwork
from accel.quantize.fit_step import Sorted
from accel.quantize.operands import Operand, operands_of
from accel.quantize.steps import L2, Steps
from accel.signal import MULTIPLIER_BITS

Floats = NDArray[np.float64]
REMEMBERED = 64  # layers
MOST_SORTED = 1 << 23  # values of all layers that stay sorted, of up to 40 bytes each


@dataclass(frozen=True, eq=False)
class Calibration:
    """What the steps of a network are found from; they are remembered, for searches that lower it many times.

    Parameters
    ----------
    pruned : PrunedNetwork
        Its batch norms are folded here; `unfolded` is what was given.
    images : float array (images, maps, height, width)
        Signal steps are fitted to what the layers give for these.
    steps : Steps
        The rule by which steps are found, and those that are given.

    Raises
    ------
    EspalierError
        A batch norm cannot be folded, or the images or a given step do not fit.
    """

    pruned: PrunedNetwork
    images: Array
    steps: Steps = L2
    unfolded: PrunedNetwork = field(init=False, repr=False)
    _found: dict[tuple[Operand, int, int], Floats] = field(default_factory=dict, init=False, repr=False)
    _layers: dict[Hashable, MacLayer] = field(default_factory=dict, init=False, repr=False)
    _sorted: dict[str, Sorted] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "unfolded", self.pruned)
        self.pruned.check_values("quantization")
        object.__setattr__(self, "pruned", self.pruned.folded())
        network = self.pruned.network
        if self.images.ndim != 4 or self.images.shape[1:] != network.input_shape or not len(self.images):
            shape = ", ".join(map(str, network.input_shape))
            raise EspalierError(
                f"{network.name}: calibration images must be (images, {shape}), got {self.images.shape}"
            )
        if not np.isfinite([self.images.min(), self.images.max()]).all():
            raise EspalierError(f"{network.name}: calibration images hold a value that is not finite")
        _check_given(self.pruned, self.steps)

    @property
    def network(self) -> Network:
        """The network, batch norm folded."""
        return self.pruned.network

    @cached_property
    def values(self) -> dict[str, Array]:
        """For every layer with signals what is read of it for the images; not asked for where all steps are given."""
        activations = self.network.forward(self.images)
        signals = [operand.layer for operand in operands_of(self.pruned) if operand.kind == "signals"]
        return {name: activations[self.settled(name)] for name in signals}

    def weight_steps(self, layer: Weighted, bits: int) -> Floats:
        """Return the steps (1,) or (M,) of a layer's weights, whose codes are ``2**bits - 1`` levels around zero."""
        if layer.name in self.steps.weights:
            return self.steps.weights[layer.name]
        highest = 2 ** (bits - 1) - 1
        key = Operand("weights", layer.name), -highest, highest
        if key not in self._found:
            self._found[key] = self._find_weight_steps(layer, highest)
        return self._found[key]

    def layer(self, key: Hashable, make: Callable[[], MacLayer]) -> MacLayer:
        """Return what `make` gives, or gave for the same key, which must say all that the layer depends on.

        Widths that a search meets one after the other differ in few layers; the last `REMEMBERED` are kept.
        """
        made = self._layers.pop(key, None) or make()
        self._layers[key] = made
        if len(self._layers) > REMEMBERED:
            del self._layers[next(iter(self._layers))]
        return made

    def signal_step(self, name: str, form: FixedFormat, finest: float) -> float:
        """Return the step of a layer's signals, found where their codes are read, but no finer than `finest`.

        A given step is used as it is. Codes with a sign are symmetric.
        """
        if name in self.steps.signals:
            return self.steps.signals[name]
        lowest, highest = -form.max_code if form.signed else 0, form.max_code
        key = Operand("signals", name), lowest, highest
        if key not in self._found:
            self._found[key] = np.array([self.steps.of(self.values[name], lowest, highest, self._ordered(name))])
        return max(float(self._found[key][0]), finest)

    def _ordered(self, name: str) -> Sorted | None:
        """Return a layer's values, sorted for every width that asks for them; None where all are too many to keep."""
        if self.steps.rule != "l2" or sum(values.size for values in self.values.values()) > MOST_SORTED:
            return None
        if name not in self._sorted:
            self._sorted[name] = Sorted.of(self.values[name])
        return self._sorted[name]

    def input_step(self, bits: int) -> tuple[float, bool]:
        """Return the step of the image's codes of `bits` bits, and whether they have a sign.

        Images in 0..1 are pixels, whose step covers just that; others were normalised, and their step is found by the
        rule, with a sign if any of them is negative.
        """
        lowest, highest = float(self.images.min()), float(self.images.max())
        if lowest >= 0 and highest <= 1:
            return (2.0**-bits if self.steps.power_of_two else 1 / (2**bits - 1)), False
        if lowest >= 0:
            return self.steps.of(self.images, 0, 2**bits - 1), False
        if bits < 2:
            raise EspalierError(f"{INPUT}: images with negative values need at least 2 bits, got {bits}")
        most = 2 ** (bits - 1) - 1
        return self.steps.of(self.images, -most, most), True

    def _find_weight_steps(self, layer: Weighted, highest: int) -> Floats:
        kept = self.pruned.layer_mask(layer.name).kept.reshape(len(layer.weight), -1)
        matrix = layer.weight.reshape(kept.shape)
        alone = isinstance(layer, Conv2d) and 1 < layer.groups == layer.weight.size  # as of a batch norm: exact steps
        if (self.steps.per_output or alone) and layer.name != self.network.output:
            parts = [row[keep] for row, keep in zip(matrix, kept, strict=True)]
        else:
            parts = [matrix if keeps_everything(kept) else matrix[kept]]
        steps = np.array([self.steps.of(part, -highest, highest) if part.any() else 0.0 for part in parts])
        # multipliers share a shift: rows of tiny or no weights take a step with which theirs keeps half of its bits
        return np.maximum(steps, steps.max() * 2.0 ** (-MULTIPLIER_BITS // 2) or 1.0)

    def settled(self, name: str) -> str:
        """Return the tensor that is read after the ReLU and max pools of `name`, which move codes but make none."""
        moving = ReLU | Clip | MaxPool | Flatten
        while len(readers := self.network.consumers(name)) == 1 and isinstance(readers[0], moving):
            name = readers[0].name
        return name


def _check_given(pruned: PrunedNetwork, steps: Steps) -> None:
    operands, network = operands_of(pruned), pruned.network
    for kind, given in (("weights", steps.weights), ("signals", steps.signals)):
        layers = [operand.layer for operand in operands if operand.kind == kind]
        if unknown := [name for name in given if name not in layers]:
            raise EspalierError(
                f"{network.name}: a step is given for the {kind} of {unknown[0]}, only {', '.join(layers)} have some"
            )
    for layer in network.weighted:
        outputs = 1 if layer.name == network.output else len(layer.weight)
        if (found := steps.weights.get(layer.name, np.ones(1)).size) not in (1, outputs):
            raise EspalierError(f"{layer.name}: takes 1 weight step{f' or {outputs}' * (outputs > 1)}, got {found}")
