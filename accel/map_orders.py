"""Orders of the maps of tensors: which tensors share one, which keep their places, and what follows for the others.

Both graphs, of a network and of a Program, are lists of layers that name their inputs. Layers with weights give maps of
their own, in whatever order; a flatten and a concatenation give those of what they read, and everything else hands its
inputs' maps on, so that an addition needs both of its inputs in one order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from accel.layers import Shape
from accel.network import INPUT

Order = NDArray[np.intp]
Orders = Mapping[str, Order]


class Node(Protocol):
    """A layer of either graph."""

    @property
    def name(self) -> str:
        """The name of the layer, and of the tensor that it gives."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The tensors that it reads."""


@dataclass(frozen=True, eq=False)
class Graph:
    """The layers of a network or of a Program.

    Parameters
    ----------
    layers : sequence of layers
        In running order; the last one's output is the graph's.
    shapes : mapping of tensor name to shape
    own, flatten, concat : type
        Of layers that give maps of their own; of those that flatten, and join, the maps of what they read.
    through : set of str
        Layers of the first kind that hand the maps of what they read on all the same, each made of one.
    """

    layers: Sequence[Node]
    shapes: Mapping[str, Shape]
    own: type
    flatten: type
    concat: type
    through: frozenset[str] = frozenset()

    def groups(self) -> dict[str, set[str]]:
        """Return, for each tensor, those that have the same maps, itself included."""
        groups: dict[str, set[str]] = {INPUT: {INPUT}}
        for layer in self.layers:
            group = {layer.name}
            if not (self._owns(layer) or isinstance(layer, self.flatten | self.concat)):
                group = group.union(*(groups[source] for source in layer.inputs))
            for member in group:
                groups[member] = group
        return groups

    def free(self, fixed: set[str]) -> list[list[str]]:
        """Return the layers with maps of their own whose order may be chosen, in lists of those that have one order.

        Tensors of `fixed`, the image and the output keep their places, and so does all that would move them.
        """
        groups = self.groups()
        own = [layer.name for layer in self.layers if self._owns(layer)]
        joined = {x.name: x.inputs for x in self.layers if isinstance(x, self.flatten | self.concat)}
        kept, before = {INPUT, self.layers[-1].name, *fixed}, 0
        while len(kept) > before:
            before = len(kept)
            for group in groups.values():
                given = group & joined.keys()  # in the order of what they read
                if group & kept or (given and group & {*own}) or len(given) > 1:
                    kept |= group.union(*(joined[name] for name in given))
        found = {frozenset(groups[name]): name for name in own if name not in kept}
        return [[name for name in own if name in group] for group in found]

    def orders(self, own: Orders) -> Orders:
        """Return the order of every tensor's first dimension, where layers give their own maps in the orders `own`."""
        of: dict[str, Order] = {INPUT: np.arange(self.shapes[INPUT][0])}
        for layer in self.layers:
            sources = [of[source] for source in layer.inputs]
            if self._owns(layer):
                of[layer.name] = own.get(layer.name, np.arange(self.shapes[layer.name][0]))
            elif isinstance(layer, self.flatten):
                apart = prod(self.shapes[layer.inputs[0]]) // len(sources[0])
                flat = len(self.shapes[layer.name]) == 1  # maps of another shape keep their places
                of[layer.name] = in_runs(sources[0], apart) if flat else np.arange(self.shapes[layer.name][0])
            elif isinstance(layer, self.concat):
                of[layer.name] = np.concatenate([sources[0], sources[0].size + sources[1]])
            else:
                of[layer.name] = sources[0]
        return of

    def _owns(self, layer: Node) -> bool:
        return isinstance(layer, self.own) and layer.name not in self.through


def in_runs(order: Order, size: int) -> Order:
    """Return the order of places, of runs of `size` in this order.

    >>> in_runs(np.array([1, 0]), 3).tolist()
    [3, 4, 5, 0, 1, 2]
    """
    return (order[:, None] * size + np.arange(size)).ravel()


def moves(order: Order) -> bool:
    """Return whether anything leaves its place."""
    return bool((order != np.arange(order.size)).any())
