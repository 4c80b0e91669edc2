"""Where the tensors of a Program lie: which are packed, the order of their maps, the border around them."""

import math

import numpy as np
from numba import config
from numpy.typing import NDArray

from accel.network import INPUT
from accel.program import Program
from accel.program_layers import (
    AddLayer,
    AvgPoolLayer,
    ClipLayer,
    FlattenLayer,
    MacLayer,
    MaxPoolLayer,
    ProgramLayer,
    ReluLayer,
)
from sim.kernels.dots import LANES, LINE_BYTES
from sim.packed.tensors import Packed, as_maps, fits_bytes, in_fours, lane_type, zero_of
from sim.packed.word_lists import order_by_taps


def can_pack() -> bool:
    """Return whether packed kernels run: they are made of LLVM's instructions, for which Python has nothing."""
    return not config.DISABLE_JIT


def is_packed(layer: MacLayer) -> bool:
    """Return whether a layer's weights are bytes, and its accumulators exact words of 32 bits."""
    if not can_pack():
        return False
    fits = not layer.weights.size or -128 <= int(layer.weights.min()) <= int(layer.weights.max()) <= 127
    return fits and layer.accumulator_overflow is None and layer.accumulator_bits <= 32


def _reshapes(layer: ProgramLayer) -> bool:
    """Return whether a layer reads maps as maps of another shape, whose border would lie elsewhere."""
    return isinstance(layer, FlattenLayer) and bool(layer.shape)


class Stores:
    """Where the tensors of a Program lie: `packed` by name, all others are planes."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.maps = {INPUT: as_maps(program.input_shape)} if can_pack() and fits_bytes(program.input_signal) else {}
        self.same_order = {INPUT: INPUT}
        for layer in program.layers:
            self._add(layer)
        borders, orders = self._borders(), self._orders()
        self.wanted = {name: as_maps(program.shapes[name]) for name in borders} | self.maps
        self.packed = {
            name: Packed(
                in_fours(orders.get(self._first(name), np.arange(maps))),
                (height, width),
                borders.get(self.key(name), (0, 0, 0, 0)),
                zero_of(program.signals[name]),
            )
            for name, (maps, height, width) in self.wanted.items()
        }

    def key(self, name: str) -> str:
        """Return the tensor whose memory a packed tensor shares: a flatten moves nothing."""
        return self.program.roots[name] if name in self.maps else name

    @property
    def block_bytes(self) -> int:
        """Bytes that all tensors of a block of 16 images take, those too that fusing leaves out."""
        lines = sum(store.block_lines for name, store in self.packed.items() if self.key(name) == name)
        signals = {name: signal for name, signal in self.program.signals.items() if name not in self.maps}
        words = (math.prod(self.program.shapes[name]) * lane_type(x)().itemsize for name, x in signals.items())
        return lines * LINE_BYTES + LANES * sum(words)

    def reads_packed(self, layer: ProgramLayer) -> bool:
        """Return whether a layer runs on packed tensors."""
        if isinstance(layer, MacLayer):
            return is_packed(layer) and fits_bytes(self.program.signals[layer.inputs[0]])
        return layer.name in self.maps

    def _add(self, layer: ProgramLayer) -> None:
        """Decide whether the output of `layer` is packed, and as maps of what size."""
        name, shape, sources = layer.name, as_maps(self.program.shapes[layer.name]), layer.inputs
        self.same_order[name] = name
        if not fits_bytes(self.program.signals[name]):
            return
        if isinstance(layer, MacLayer):
            if self.reads_packed(layer):
                self.maps[name] = shape
        elif not all(source in self.maps for source in sources) or _reshapes(layer):
            return
        elif isinstance(layer, FlattenLayer | ReluLayer | ClipLayer | MaxPoolLayer | AvgPoolLayer | AddLayer):
            taken = [self.maps[source] for source in sources]
            if len(set(taken)) == 1:
                self.maps[name] = shape if isinstance(layer, MaxPoolLayer | AvgPoolLayer) else taken[0]
                for source in sources:
                    self.same_order[self._first(source)] = self._first(name)

    def _first(self, name: str) -> str:
        """Return the tensor that stands for all those whose maps lie in the same order."""
        while self.same_order[name] != name:
            name = self.same_order[name]
        return name

    def _borders(self) -> dict[str, tuple[int, int, int, int]]:
        """Return the border that the layers need that read a packed tensor."""
        borders: dict[str, tuple[int, int, int, int]] = {}
        for layer in self.program.layers:
            for source in layer.inputs if self.reads_packed(layer) else ():
                window = getattr(layer, "window", None)
                padding = window.padding if window and not isinstance(layer, MaxPoolLayer) else (0, 0, 0, 0)
                key = self.key(source)
                borders[key] = tuple(np.maximum(borders.get(key, (0, 0, 0, 0)), padding).tolist())
        return borders

    def _orders(self) -> dict[str, NDArray[np.int64]]:
        """Return the order of maps that the first layer to read them wishes for, by the tensor that stands for all."""
        orders: dict[str, NDArray[np.int64]] = {}
        for layer in self.program.mac_layers:
            if self.reads_packed(layer):
                (source,) = layer.inputs
                maps = self.maps.get(source, as_maps(self.program.shapes[source]))[0]
                orders.setdefault(self._first(source), order_by_taps(layer.kept.reshape(layer.shape[0], maps, -1)))
        return orders
