"""A network as it grows while the nodes of an ONNX graph are read one after another."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.interchange.onnx.reading.coded import Coded, Units
from accel.interchange.onnx.reading.file import Constant, Graph, Node, NodeError
from accel.interchange.onnx.reading.views import Axis, View, channels_last, is_in_order, order_of, plain, shape_of
from accel.layers import Conv2d, Layer, Shape, Weighted
from accel.limits import MOST_LAYERS, check_limit, check_unpacked, check_words
from accel.network import INPUT
from accel.window import Window

NO_PAD = (0, 0, 0, 0)
LONGEST_NAME = 64
FUSED = re.compile(  # operators below a layer's name
    r"(Conv2D|MatMul|convolution|depthwise|add|AddV2|sub|Relu6?|AvgPool|MaxPool(2d)?|Mean|Squeeze)\d*"
)
TENSORFLOW = re.compile(r"^(StatefulPartitionedCall(_\d+)?/)+|_prequant$")  # what its converters put around a name


@dataclass(frozen=True, eq=False)
class Value:
    """What a tensor of the graph is in our network: the output of `source`, under axes of its own.

    Parameters
    ----------
    source : str
        The layer.
    view : View
        The axes that the graph's tensor has, the batch left out.
    pad : (int, int, int, int)
        Zeros at the top, left, bottom and right that the next convolution or pool shall add.
    final : bool
        An operator on the scores, which was dropped, stands between: nothing may read this but the end.
    units : Units or None
        The graph has integers here, which a quantiser made of our numbers.
    """

    source: str
    view: View
    pad: tuple[int, int, int, int] = NO_PAD
    final: bool = False
    units: Units | None = None

    @property
    def graph_shape(self) -> Shape:
        """The shape that the graph's tensor has, without the batch."""
        return shape_of(self.view)


@dataclass
class Builder:
    """Layers so far, and what each tensor of the graph is among them.

    `sizes` are those that the graph computes of its tensors' shapes. Of a quantised graph also: constants as codes
    (`coded`), ranges of integers that are narrower than their type, and for each layer the node that it is of and the
    constants that are its weights and are summed to its biases. `quantized` says that it is one.
    """

    graph: Graph
    layers: list[Layer] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)
    constants: dict[str, Constant] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    coded: dict[str, Coded] = field(default_factory=dict)
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    sizes: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    biases: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    quantized: bool = False

    def __post_init__(self) -> None:
        self.constants, self.ranges = dict(self.graph.constants), dict(self.graph.ranges)
        self.unpacked = 0
        self.original_names: dict[str, str] = {}  # of layers whose names are shorter than the graph's
        read = Counter(source for node in self.graph.nodes for source in node.inputs)
        self.readers = read + Counter(self.graph.outputs)

    def value(self, node: Node, index: int = 0, pad: bool = False, codes: bool = False) -> Value:
        """Return what input `index` of `node` is; padded, or as integers, only if `pad`, `codes` say so."""
        name = self._name(node, index)
        if name in self.constants:
            raise node.refused(f"input {index} ({name!r}) is a constant, expected a signal")
        if name in self.sizes:
            raise node.refused(f"reads {name!r}, sizes that a Shape gives; expected only a Reshape to")
        if name not in self.values:
            raise node.refused(f"reads {name!r}, which no earlier node gives: the graph has a cycle or a gap")
        value = self.values[name]
        if value.final:
            raise node.refused("reads what Softmax or ArgMax gives; these may only stand at the end, not quantised")
        if value.pad != NO_PAD and not pad:
            value = self.padded(node, name, value)
        if value.units is not None and not codes:
            raise node.refused(f"reads the integers {name!r} of a quantiser, expected DequantizeLinear before it")
        return value

    def maps(self, node: Node, index: int = 0, pad: bool = False, codes: bool = False) -> Value:
        """Return an input that must be maps in ONNX's layout (batch, maps, height, width)."""
        value = self.ordered(node, index, pad, codes)
        self.check_maps(node, value)
        return value

    def ordered(self, node: Node, index: int = 0, pad: bool = False, codes: bool = False) -> Value:
        """Return an input whose maps, if the graph counts them in another order, were put into it by a layer."""
        value = self.value(node, index, pad, codes)
        return self.unshuffled(node, node.inputs[index], value)

    def check_maps(self, node: Node, value: Value) -> None:
        """Refuse what is no maps in ONNX's layout (batch, maps, height, width), or (batch, maps, length)."""
        shape, rank = self.shape(value), len(value.view)
        one_row = rank == 2 and len(shape) == 3 and shape[2] == 1
        if len(shape) != 3 or value.view != plain(shape)[:rank] or not (one_row or rank == 3):
            found = "channels-last maps" if self.is_last(value) else f"the shape {value.graph_shape}"
            raise node.refused(f"expects maps (batch, maps, height, width), gets {found}")

    def constant(self, node: Node, index: int) -> Constant | None:
        """Return input `index` of `node`, which must be a constant; None if it is not given."""
        if index >= len(node.inputs) or not node.inputs[index]:
            return None
        if node.inputs[index] not in self.constants:
            raise node.refused(f"input {index} ({node.inputs[index]!r}) must be a constant of the file")
        return self.constants[node.inputs[index]]

    def needed(self, node: Node, index: int) -> Constant:
        """Return input `index` of `node`, which must be there and a constant."""
        found = self.constant(node, index)
        if found is None:
            raise node.refused(f"has no input {index}")
        return found

    def floats(self, node: Node, index: int, dimensions: int) -> Constant:
        """Return a constant input that must be of floats, in so many dimensions."""
        array = self.needed(node, index)
        if array.dtype.kind != "f" or array.ndim != dimensions or not array.size:
            raise node.refused(
                f"input {index} must be floats in {dimensions} dimensions, got {array.dtype} {array.shape}"
            )
        return array

    def integers(self, node: Node, index: int, attribute: str) -> tuple[int, ...] | None:
        """Return a list that is an attribute in older opsets and a constant input in newer ones; None if neither."""
        array = self.constant(node, index)
        if array is None:
            found = node.get(attribute)
            if found is not None and not isinstance(found, tuple):
                raise node.refused(f"attribute {attribute} must be a list, got {found!r}")
            return found
        if array.dtype.kind not in "iu" or array.ndim > 1 or array.size > 64:
            raise node.refused(f"input {index} must be a short list of integers, got {array.dtype} {array.shape}")
        return tuple(int(x) for x in array.ravel())

    def shape(self, value: Value) -> Shape:
        """Return the shape of a value without the batch, in our layout."""
        return self.shapes[value.source]

    def is_last(self, value: Value) -> bool:
        """Return whether the graph has these maps channels-last, and could not have them otherwise."""
        shape = self.shape(value)
        return len(shape) == 3 and value.view == channels_last(shape) != plain(shape)

    def map_axis(self, value: Value) -> tuple[int, Axis] | None:
        """Return the axis of the graph's tensor that counts maps, or features: its number, and how it counts ours.

        None if there is no such axis.
        """
        maps, *pixels = self.shape(value)
        area = math.prod(pixels)
        if maps == 1:
            last = value.view != plain(self.shape(value)) and self.is_last(value)
            return (len(value.view) - 1 if last else 0), ()
        for index, axis in enumerate(value.view):
            if shape_of((axis,)) == (maps,) and all(stride % area == 0 for _, stride in axis):
                return index, tuple((size, stride // area) for size, stride in axis)
        return None

    def put(self, node: Node, layer: Layer, value: Value | None = None) -> None:
        """Add a layer that gives the output of `node`: as the graph has `value`, where that has the same shape."""
        self.append(node, layer)
        shape = self.shapes[layer.name]
        view = plain(shape)[: None if value is None else len(value.view)]
        if value is not None and self.shape(value) == shape:
            view = value.view
        units = None if value is None else value.units
        self.values[node.outputs[0]] = Value(layer.name, view, units=units)

    def append(self, node: Node, layer: Layer) -> None:
        """Add a layer whose output no tensor of the graph is yet."""
        shape = layer.output_shape(*(self.shapes[source] for source in layer.inputs))
        window = getattr(layer, "window", None)
        check_words("its output", shape)
        if isinstance(window, Window):
            before = self.shapes[layer.inputs[0]]
            check_words("its input", (before[0], *window.padded_size(*before[1:])))
        check_limit("the network", "layers", len(self.layers) + 1, MOST_LAYERS)
        if isinstance(layer, Weighted):
            self.spend(layer.weight)
        self.layers.append(layer)
        self.shapes[layer.name] = shape
        self.nodes[layer.name] = node

    def code(self, node: Node, coded: Coded) -> None:
        """Let the output of `node` be a constant that is known as codes too."""
        self.spend(coded.codes)
        self.coded[node.outputs[0]] = coded
        self.constants[node.outputs[0]] = coded.values

    def spend(self, array: Constant) -> None:
        """Count an array that is made of the file's; many of a few are no network, but fill the memory."""
        if any(array.strides):  # of a shape alone nothing is made
            self.reserve(array.nbytes)

    def reserve(self, number_of_bytes: int) -> None:
        """Count the bytes of an array that will be made."""
        self.unpacked += number_of_bytes
        check_unpacked(self.unpacked, self.graph.file_bytes, "its constants")

    def note_readers(self, names: Iterable[str]) -> None:
        """Note that each of these tensors, which the graph does not name, is read once."""
        self.readers.update(names)

    def alias(self, node: Node, value: Value) -> None:
        """Let the output of `node` be what `value` is already."""
        self.values[node.outputs[0]] = value

    def new_name(self, node: Node, suffix: str = "") -> str:
        """Return a name for a layer that `node` becomes: its own, or that of its output, made unique."""
        original = node.name or node.outputs[0] or node.op
        base = short_name(original) + suffix
        name, number = base, 2
        while name in self.shapes or name == INPUT:
            name, number = f"{base}.{number}", number + 1
        if short_name(original) != original:
            self.original_names[name] = original
        return name

    def only_reader(self, node: Node, index: int, value: Value) -> bool:
        """Return whether nothing but `node` reads its input `index`, neither in the graph nor among the layers."""
        return self.readers[node.inputs[index]] == 1 and not any(value.source in layer.inputs for layer in self.layers)

    def replaced(self, layer: Layer) -> None:
        """Put `layer` where the one of its name is."""
        self.layers = [layer if x.name == layer.name else x for x in self.layers]

    def check_outputs_used(self, node: Node, most: int = 1) -> None:
        """Refuse a node of which an output beyond the first `most` is read."""
        for name in node.outputs[most:]:
            if name and self.readers[name]:
                raise node.refused(f"its output {name!r} is read; expected only the first to be")

    def padded(self, node: Node, name: str, value: Value) -> Value:
        """Let the tensor `name` be a layer that adds the zeros around it: a convolution with ones."""
        if self.quantized:
            raise node.refused("a Pad stands before it; expected a convolution or pool, which takes the zeros in")
        maps = self.shape(value)[0]
        return self._copied(node, name, value, np.ones((maps, 1, 1, 1), np.float32), ".pad", value.pad)

    def unshuffled(self, node: Node, name: str, value: Value) -> Value:
        """Let the tensor `name`, if it has maps in another order, be a layer that puts them into it."""
        found, natural = self.map_axis(value), plain(self.shape(value))
        if len(natural) != 3 or found is None or found[0] or value.view[1:] != natural[1 : len(value.view)]:
            return value
        if is_in_order(found[1]) or self.quantized:
            return value
        self.reserve(4 * self.shape(value)[0] ** 2)
        order = order_of(found[1])
        picked = np.zeros((len(order), len(order), 1, 1), np.float32)
        picked[np.arange(len(order)), order] = 1
        return replace(self._copied(node, name, value, picked, ".order", NO_PAD), pad=value.pad)

    def _copied(
        self, node: Node, name: str, value: Value, weight: Constant, suffix: str, pad: tuple[int, int, int, int]
    ) -> Value:
        """Let the tensor `name` be what a convolution of 1x1 kernels, ones and zeros, gives of it."""
        window, bias = Window((1, 1), (1, 1), pad), np.zeros(len(weight), np.float32)
        groups = self.shape(value)[0] // weight.shape[1]
        before, last, rank = (value.source,), self.is_last(value), len(value.view)
        layer = Conv2d(self.new_name(node, suffix), before, weight=weight, bias=bias, window=window, groups=groups)
        self.append(node, layer)
        shape = self.shapes[layer.name]
        self.values[name] = Value(layer.name, channels_last(shape) if last else plain(shape)[:rank])
        return self.values[name]

    def _name(self, node: Node, index: int) -> str:
        if index >= len(node.inputs) or not node.inputs[index]:
            raise node.refused(f"has no input {index}")
        return node.inputs[index]


def short_name(name: str) -> str:
    """Return a name without what exporters joined to it; TensorFlow's joins all that it fused into a layer.

    >>> short_name("StatefulPartitionedCall/net/dense/MatMul"), short_name("net/conv2d/Squeeze1_prequant")
    ('net/dense/MatMul', 'net/conv2d')
    >>> short_name("model/activation/Relu;model/conv2d/BiasAdd;model/conv2d/BiasAdd/ReadVariableOp/resource1")
    'model/conv2d'
    >>> short_name("features.0")
    'features.0'
    """
    whole, name = name, TENSORFLOW.sub("", name) or name
    if ";" in name or whole.endswith("_prequant"):
        *scope, last = re.sub(r"(/(BiasAdd|ReadVariableOp|resource)\d*)+$", "", name.rpartition(";")[2]).split("/")
        name = "/".join(scope if len(scope) > 1 and FUSED.fullmatch(last) else [*scope, last])
    return name if len(name) <= LONGEST_NAME else f"...{name[3 - LONGEST_NAME :]}"


def vector(node: Node, array: Constant, shape: Sequence[int], axis: int) -> NDArray[np.float64]:
    """Return a constant that is broadcast over a tensor as one number for each index of its `axis`.

    `shape` is the tensor's, the batch included as 1.
    """
    wide = (1,) * (len(shape) - array.ndim) + array.shape
    fits = len(wide) == len(shape) and all(
        size == 1 or (index == axis and size == shape[axis]) for index, size in enumerate(wide)
    )
    if array.dtype.kind not in "fiu" or not fits:
        raise node.refused(f"a constant of shape {array.shape} is not one number, nor one for each map of {shape}")
    return np.broadcast_to(array.ravel().astype(np.float64), shape[axis])


def in_order(numbers: Constant, axis: Axis) -> Constant:
    """Return numbers that lie along an axis of maps of the graph in our order of maps."""
    if is_in_order(axis):
        return numbers
    ours = np.empty_like(numbers)
    ours[order_of(axis)] = numbers
    return ours


def whole(error: EspalierError, node: Node) -> EspalierError:
    """Return an error that names a node: the one that it names, or `node`."""
    return error if isinstance(error, NodeError) else node.refused(str(error))
