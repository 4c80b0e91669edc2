"""Quantisers before pools: rounding and ReLU keep the order of values, so that a maximum may come after them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from accel.interchange.onnx.reading.coded import Quantized
from accel.layers import Clip, Concat, Flatten, Layer, MaxPool, ReLU
from accel.limits import MOST_MOVES, check_limit

MOVING = MaxPool | Flatten
KEEPING_ORDER = Quantized | ReLU | Clip


@dataclass(frozen=True)
class Hoisted:
    """Layers in order; `moved` says which layer gives the values of another now, an empty name that none does."""

    layers: tuple[Layer, ...]
    moved: dict[str, str]

    def place(self, name: str) -> str:
        """Return the layer that gives what `name` gave in the graph."""
        return self.moved.get(name, name)

    def readers(self, name: str) -> list[Layer]:
        """Return the layers that read `name`."""
        return [layer for layer in self.layers if name in layer.inputs]


def hoisted(layers: Sequence[Layer]) -> Hoisted:
    """Return the layers with each quantiser, and each ReLU, before the pools and flattens that it follows.

    Only where a sum or the image stands before these: codes need no quantiser before their pool.
    """
    now = list(layers)
    moved: dict[str, str] = {}
    moves = 0
    for layer in layers:
        if not isinstance(layer, KEEPING_ORDER):
            continue
        while (pool := _pool_before(now, layer.name)) is not None:
            moves += 1
            check_limit(layer.name, "moves of quantisers before pools", moves, MOST_MOVES)
            now = _swapped(now, pool, layer.name)
            moved = {name: "" if place == pool.name and name != layer.name else place for name, place in moved.items()}
            moved = {layer.name: pool.name} | moved | {pool.name: ""}
    return Hoisted(tuple(now), moved)


def _pool_before(layers: list[Layer], name: str) -> Layer | None:
    """Return the pool or flatten whose only reader is `name` and that comes after a sum or the image."""
    by_name = {layer.name: layer for layer in layers}
    before = by_name.get(by_name[name].inputs[0])
    if not isinstance(before, MOVING) or _count(layers, before.name) != 1:
        return None
    root: Layer | None = before
    while isinstance(root, MOVING | ReLU | Clip):
        root = by_name.get(root.inputs[0])
        if root is not None and _count(layers, root.name) != 1:
            return None
    return None if isinstance(root, Quantized | Concat) else before


def _swapped(layers: list[Layer], pool: Layer, name: str) -> list[Layer]:
    """Return the layers with `name` before `pool`, which takes its readers."""
    place = next(index for index, layer in enumerate(layers) if layer.name == pool.name)
    layer = next(layer for layer in layers if layer.name == name)
    others = [
        replace(x, inputs=tuple(pool.name if source == name else source for source in x.inputs))
        for x in layers
        if x.name not in (pool.name, name)
    ]
    return [*others[:place], replace(layer, inputs=pool.inputs), replace(pool, inputs=(name,)), *others[place:]]


def _count(layers: list[Layer], name: str) -> int:
    return sum(layer.inputs.count(name) for layer in layers)
