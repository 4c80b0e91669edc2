"""The Program: a pruned, quantised network as integers, which every reader reads and none changes.

A signal is a tensor of integer codes; its real value is ``code * step`` and zero is always code 0. A layer of
multiply-accumulates computes ::

    accumulator = bias + sum(weight * signal)              # exact, in `accumulator_bits` (or see below)
    product     = accumulator * multiplier + offset        # 0 <= offset < multiplier: mostly 0
    product     = max(product, 0)                          # where the layer has a ReLU
    code        = overflow(round(product / 2**shift))

and the last one hands out its accumulators. An offset is the part of a bias that is no whole step of the accumulator;
as it is less than the multiplier, a product is negative where its accumulator is. `sim.golden` is this definition in
numpy.

For studies an accumulator may be too narrow for its sums (`MacLayer.accumulator_overflow`). Then the bias, and the sum
after each product that is added in issue order (`LoopNest.row_columns`), wraps or saturates to `accumulator_bits`; what
is pruned is not added, and requantisation reads what is left.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accel import archive
from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat, Overflow, Rounding
from accel.layers import Shape
from accel.limits import MOST_HELD, check_limit, check_tensors
from accel.network import INPUT
from accel.pattern import IndexWords
from accel.program_layers import LAYERS, ConcatLayer, FlattenLayer, MacLayer, ProgramLayer
from accel.signal import Requantize, Signal
from accel.window import Window

KIND = "program"


@dataclass(frozen=True, eq=False)
class Program:
    """A whole network as integers.

    Parameters
    ----------
    name : str
    pattern : str
        What the pruning is called in reports.
    data : str
        The data set that the network was made for.
    input_shape : (int, int, int)
    input_signal : Signal
    layers : tuple of ProgramLayer
        In running order; the last one's output is the class scores.
    original_names : mapping of str to str, optional
        As `Network` has them.

    Raises
    ------
    EspalierError
        Shapes do not fit, a mask breaks its pattern, or an accumulator is too narrow for its proven range.
    """

    name: str
    pattern: str
    data: str
    input_shape: tuple[int, int, int]
    input_signal: Signal
    layers: tuple[ProgramLayer, ...]
    original_names: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if not self.layers or len(self.input_shape) != 3 or min(self.input_shape) < 1:
            raise EspalierError(f"{self.name}: needs layers and maps of a height and width, got {self.input_shape}")
        _ = self.shapes, self.signals, self.held

    def __repr__(self) -> str:
        """Return the Program in a line, without its integers."""
        widths = sorted({layer.weight_bits for layer in self.mac_layers})
        bits = "..".join(map(str, dict.fromkeys((widths[0], widths[-1])))) if widths else "no"
        data = f", {self.data}" if self.data else ""
        return f"<Program {self.name}: {self.pattern}, {len(self.layers)} layers, {bits}-bit weights{data}>"

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The shape of every tensor without the batch, ``"input"`` included."""
        shapes: dict[str, Shape] = {INPUT: self.input_shape}
        for layer in self.layers:
            if len(layer.inputs) != layer.arity:
                raise EspalierError(f"{layer.name}: must have {layer.arity} inputs, got {layer.inputs}")
            for source in layer.inputs:
                if source not in shapes or layer.name in shapes:
                    raise EspalierError(f"{layer.name}: its input {source!r} is no earlier layer, or its name is taken")
            shapes[layer.name] = layer.output_shape(*(shapes[source] for source in layer.inputs))
        check_tensors(self.name, self.layers, shapes)
        return shapes

    @cached_property
    def signals(self) -> dict[str, Signal]:
        """What the codes of every tensor mean, ``"input"`` included."""
        signals = {INPUT: self.input_signal}
        for layer in self.layers:
            signals[layer.name] = layer.output_signal(*(signals[source] for source in layer.inputs))
        return signals

    @cached_property
    def roots(self) -> dict[str, str]:
        """For every tensor the one whose words it shares: a flatten moves nothing."""
        roots = {INPUT: INPUT}
        for layer in self.layers:
            roots[layer.name] = roots[layer.inputs[0]] if isinstance(layer, FlattenLayer) else layer.name
        return roots

    @cached_property
    def homes(self) -> dict[str, tuple[str, int]]:
        """For every tensor the one in whose words it lies, and from which of them on: what is joined moves nowhere.

        The inputs of a concatenation lie in its output from the start. Those cannot that lie elsewhere already, in
        another one or where the image is loaded; nor can any if the output leaves the chip as it comes.
        """
        roots, inside = self.roots, dict[str, tuple[str, int]]()
        leaving = roots[self.output]
        for layer in self.layers:
            if isinstance(layer, ConcatLayer) and layer.name != leaving:
                for source, first in zip(layer.inputs, (0, math.prod(self.shapes[layer.inputs[0]])), strict=True):
                    if roots[source] not in (INPUT, leaving):
                        inside.setdefault(roots[source], (layer.name, first))
        homes = {name: (name, 0) for name in dict.fromkeys(roots.values())}
        for name in reversed(homes):
            if name in inside:
                outer, first = inside[name]
                homes[name] = homes[outer][0], homes[outer][1] + first
        return {name: homes[root] for name, root in roots.items()}

    def reads(self, layer: ProgramLayer) -> tuple[str, ...]:
        """Return the tensors whose words are read while a layer runs; none where nothing moves (`homes`)."""
        if not isinstance(layer, ConcatLayer):
            return () if isinstance(layer, FlattenLayer) else layer.inputs
        (home, first), (left, right) = self.homes[layer.name], layer.inputs
        lie = (left, first), (right, first + math.prod(self.shapes[left]))
        return tuple(source for source, place in lie if self.homes[source] != (home, place))

    @cached_property
    def held(self) -> dict[str, tuple[str, ...]]:
        """What `held_fusing` says of hardware that stores the output of every layer."""
        return self.held_fusing({})

    def held_fusing(self, behind: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """For each layer in running order, the tensors (`homes`) that are in memory while it runs.

        A tensor is held from the layer that first writes there to the last one that reads it, the network's output to
        the end; nothing is overwritten in place.

        Parameters
        ----------
        behind : mapping
            For layers that do the work of others behind them, which alone read what is before, those: they write the
            output of the last one, and nothing holds what comes between.
        """
        homes = {name: home for name, (home, _) in self.homes.items()}
        last_read = {homes[source]: index for index, layer in enumerate(self.layers) for source in layer.inputs}
        last_read[homes[self.output]] = len(self.layers) - 1
        fused, held, now = {*chain.from_iterable(behind.values())}, dict[str, tuple[str, ...]](), [INPUT]
        for index, layer in enumerate(self.layers):
            target = homes[behind.get(layer.name, (layer.name,))[-1]]
            moves = not self.reads(layer) or layer.name in fused
            now += [] if moves or target in now else [target]
            check_limit(layer.name, "tensors that are held while it runs", len(now), MOST_HELD)
            held[layer.name] = tuple(now)
            now = [name for name in now if last_read.get(name, index) > index]
        return held

    @property
    def output(self) -> str:
        """The layer whose output is the class scores."""
        return self.layers[-1].name

    @property
    def mac_layers(self) -> tuple[MacLayer, ...]:
        """The layers that hold weights, in order."""
        return tuple(layer for layer in self.layers if isinstance(layer, MacLayer))

    def check_codes(self, codes: ArrayLike) -> NDArray[np.int64]:
        """Return input codes (images, maps, height, width) as int64, or raise EspalierError if they do not fit."""
        array = self.input_signal.format.check(codes)
        if array.shape[1:] != self.input_shape:
            raise EspalierError(f"{self.name}: expects images of shape {self.input_shape}, got {array.shape[1:]}")
        return array

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the Program to one file, whole or not at all."""
        archive.save(path, KIND, self)

    def to_bytes(self) -> bytes:
        """Return what `save` writes."""
        return archive.dump(KIND, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Program":
        """Read what `save` wrote; raises EspalierError if the file was cut, changed, or is something else."""
        return archive.load(path, KIND, (cls, *_CLASSES))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Program":
        """Return the Program of which `to_bytes` made `data`; raises as `load` does."""
        return archive.loads(data, KIND, (cls, *_CLASSES))


_CLASSES = (*LAYERS, FixedFormat, IndexWords, Overflow, Requantize, Rounding, Signal, Window)
