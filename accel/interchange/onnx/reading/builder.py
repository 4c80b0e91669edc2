"""A network as it grows while the nodes of an ONNX graph are read one after another."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.interchange.onnx.reading.coded import Coded, Units
from accel.interchange.onnx.reading.file import Constant, Graph, Node, NodeError
from accel.layers import Layer, Shape, Weighted
from accel.limits import MOST_LAYERS, check_limit, check_unpacked, check_words
from accel.network import INPUT
from accel.window import Window

NO_PAD = (0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Value:
    """What a tensor of the graph is in our network: the output of `source`, read in a layout of its own.

    Parameters
    ----------
    source : str
        The layer.
    last : bool
        The graph has these maps channels-last, (height, width, maps).
    columns : int array or None
        Of features whose order is another: feature i of the graph is feature ``columns[i]`` of ours.
    pad : (int, int, int, int)
        Zeros at the top, left, bottom and right that the next convolution or pool shall add.
    final : bool
        An operator on the scores, which was dropped, stands between: nothing may read this but the end.
    units : Units or None
        The graph has integers here, which a quantiser made of our numbers.
    """

    source: str
    last: bool = False
    columns: NDArray[np.intp] | None = None
    pad: tuple[int, int, int, int] = NO_PAD
    final: bool = False
    units: Units | None = None


@dataclass
class Builder:
    """Layers so far, and what each tensor of the graph is among them.

    `sizes` are those that the graph computes of its tensors' shapes. Of a quantised graph also: constants as codes
    (`coded`), ranges of integers that are narrower than their type, and for each layer the node that it is of and the
    constants that are its weights and are summed to its biases.
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

    def __post_init__(self) -> None:
        self.constants, self.ranges = dict(self.graph.constants), dict(self.graph.ranges)
        self.unpacked = 0
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
            raise node.refused("a Pad stands before it; expected a convolution or pool, which takes the zeros in")
        if value.units is not None and not codes:
            raise node.refused(f"reads the integers {name!r} of a quantiser, expected DequantizeLinear before it")
        return value

    def maps(self, node: Node, index: int = 0, pad: bool = False, codes: bool = False) -> Value:
        """Return an input that must be maps in ONNX's layout (batch, maps, height, width)."""
        value = self.value(node, index, pad, codes)
        if value.last or len(self.shape(value)) != 3:
            found = "channels-last maps" if value.last else f"the shape {self.shape(value)}"
            raise node.refused(f"expects maps (batch, maps, height, width), gets {found}")
        return value

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

    def graph_shape(self, value: Value) -> Shape:
        """Return the shape of a value without the batch, in the graph's layout."""
        shape = self.shape(value)
        return (*shape[1:], shape[0]) if value.last else shape

    def put(self, node: Node, layer: Layer, value: Value | None = None) -> None:
        """Add a layer that gives the output of `node`, in the layout of `value`."""
        self.append(node, layer)
        self.values[node.outputs[0]] = replace(value or Value(""), source=layer.name, pad=NO_PAD)

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
        self.unpacked += array.nbytes
        check_unpacked(self.unpacked, self.graph.file_bytes, "its constants")

    def note_readers(self, names: Iterable[str]) -> None:
        """Note that each of these tensors, which the graph does not name, is read once."""
        self.readers.update(names)

    def alias(self, node: Node, value: Value) -> None:
        """Let the output of `node` be what `value` is already."""
        self.values[node.outputs[0]] = value

    def new_name(self, node: Node, suffix: str = "") -> str:
        """Return a name for a layer that `node` becomes: its own, or that of its output, made unique."""
        base = (node.name or node.outputs[0] or node.op) + suffix
        name, number = base, 2
        while name in self.shapes or name == INPUT:
            name, number = f"{base}.{number}", number + 1
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

    def _name(self, node: Node, index: int) -> str:
        if index >= len(node.inputs) or not node.inputs[index]:
            raise node.refused(f"has no input {index}")
        return node.inputs[index]


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


def in_our_order(value: Value, numbers: Constant) -> Constant:
    """Return numbers for the graph's features in the order of ours."""
    if value.columns is None:
        return numbers
    ours = np.empty_like(numbers)
    ours[value.columns] = numbers
    return ours


def whole(error: EspalierError, node: Node) -> EspalierError:
    """Return an error that names a node: the one that it names, or `node`."""
    return error if isinstance(error, NodeError) else node.refused(str(error))
