"""How a graph has the tensors of its Program: other axes, integers with a zero point or real values."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.interchange.onnx.reading.coded import Quantized, Stored
from accel.interchange.onnx.reading.file import onnx_package
from accel.interchange.onnx.reading.program import Making
from accel.interchange.onnx.reading.views import View, order_of, shape_of
from accel.network import INPUT


@dataclass(frozen=True)
class Seen:
    """A tensor of the graph.

    Parameters
    ----------
    name : str
    view : View
        Its axes without the batch.
    zero_point : int or None
        Of its integers; None: it holds real values, ``code * step``.
    ends : (int, int) or None
        The lowest and the highest code that it can hold, if these are not those of the Program's word.
    """

    name: str
    view: View
    zero_point: int | None = None
    ends: tuple[int, int] | None = None

    def shown(self, ours: NDArray[Any]) -> NDArray[Any]:
        """Return a tensor of ours (images, ...) under the axes of the graph."""
        flat = ours.reshape(len(ours), -1)
        return flat[:, self._order].reshape(len(ours), *shape_of(self.view))

    def codes(self, theirs: NDArray[Any], step: float) -> NDArray[np.int64]:
        """Return the codes (images, words) of the graph's tensor, in the order of its axes."""
        flat = theirs.reshape(len(theirs), -1)
        if self.zero_point is None:
            return np.rint(flat.astype(np.float64) / step).astype(np.int64)
        return flat.astype(np.int64) - self.zero_point

    def ours(self, flat: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Return codes (images, words), in the order of the graph's axes, as a tensor of ours (images, *shape)."""
        found = np.empty_like(flat)
        found[:, self._order] = flat
        return found.reshape(len(flat), *shape)

    @property
    def _order(self) -> NDArray[np.intp]:
        order = np.zeros(1, np.intp)
        for axis in self.view:
            order = (order[:, None] + order_of(axis)).ravel()
        return order


def seen_of(making: Making) -> Mapping[str, Seen]:
    """Return how the graph has tensors of a Program; integers, where it has both integers and what they are worth."""
    found: dict[str, Seen] = {}
    builder = making.builder
    named = {name for node in builder.graph.nodes for name in node.outputs}
    for name, value in builder.values.items():
        tensor = making.tensors.get(making.source.place(value.source))
        if tensor is None or value.final or any(value.pad) or name not in named or tensor.name == INPUT:
            continue
        zero_point = None if value.units is None else value.units.zero_point
        if zero_point is not None or getattr(found.get(tensor.name), "zero_point", None) is None:
            found[tensor.name] = Seen(name, value.view, zero_point)
    return found | {INPUT: _image(making)}


def _image(making: Making) -> Seen:
    """Return how the graph takes images."""
    builder = making.builder
    ((name, _),) = builder.graph.inputs
    value = builder.values[name]
    stored = isinstance(value.units, Stored)
    layers = [layer for layer in builder.layers if isinstance(layer, Quantized) and layer.low is not None]
    ends = next(((x.low, x.high) for x in layers if making.tensors[x.name].name == INPUT), None)
    zero_point = builder.graph.integers[name][0] - ends[0] if stored and ends and ends[0] is not None else None
    return Seen(name, value.view, zero_point, ends)  # type: ignore[arg-type]  # both ends are there


def with_outputs(path: str | os.PathLike[str], names: Iterable[str]) -> bytes:
    """Return an ONNX file that also gives these tensors of its graph."""
    onnx = onnx_package()
    model = onnx.load(os.fspath(path))
    there = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in there)
    return bytes(model.SerializeToString())
