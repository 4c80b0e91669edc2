"""From the graph of an ONNX file to a float network, or to a Program if it is quantised."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from accel.errors import EspalierError
from accel.interchange.exactness import float_notes, offset_notes
from accel.interchange.onnx import sidecar
from accel.interchange.onnx.reading.allowed import Allowed
from accel.interchange.onnx.reading.asked import as_opset, cut, sized
from accel.interchange.onnx.reading.builder import Builder, whole
from accel.interchange.onnx.reading.file import (
    DOMAINS,
    QONNX_DOMAINS,
    RUNTIME,
    RUNTIME_OPERATORS,
    Graph,
    Node,
    read_graph,
)
from accel.interchange.onnx.reading.folding import fold
from accel.interchange.onnx.reading.found_patterns import mask_of_zeros
from accel.interchange.onnx.reading.image import start
from accel.interchange.onnx.reading.integer_operators import INTEGER_OPERATORS
from accel.interchange.onnx.reading.operators import FLOATS_ALONE, OPERATORS, WITHOUT_LAYER, Function
from accel.interchange.onnx.reading.program import Making
from accel.interchange.onnx.reading.quantizers import NEVER_READ, dequantize_linear
from accel.interchange.onnx.reading.seen import Seen, seen_of
from accel.interchange.onnx.reading.views import plain
from accel.layers import Concat, Flatten, Layer, Weighted
from accel.network import Network
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.signal import MULTIPLIER_BITS
from accel.sparsity import Dense, LayerMask

QUANTIZED = {
    "Quant", "IntQuant", "BipolarQuant", "Trunc", "QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul",
    "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear", *RUNTIME_OPERATORS,
}  # fmt: skip

FLOAT_OPERATORS: dict[str, Function] = OPERATORS | {"DequantizeLinear": dequantize_linear}  # of weights


@dataclass(frozen=True)
class ImportedNetwork:
    """A float network from a file.

    Parameters
    ----------
    result : PrunedNetwork
    notes : tuple of str
        What was left out on the way, a line each.
    last : bool
        The file takes its images channels-last.
    """

    result: PrunedNetwork
    notes: tuple[str, ...] = ()
    last: bool = False


@dataclass(frozen=True)
class ImportedProgram:
    """A Program from a quantised file.

    Parameters
    ----------
    result : Program
    notes : tuple of str
    last : bool
        The file takes its images channels-last.
    tensors : dict of str to str
        For tensors of the Program, the tensor of the graph that holds ``code * step``.
    seen : dict of str to Seen
        For tensors of the Program, ``"input"`` among them, how the graph has them.
    """

    result: Program
    notes: tuple[str, ...] = ()
    last: bool = False
    tensors: Mapping[str, str] = field(default_factory=dict)
    seen: Mapping[str, Seen] = field(default_factory=dict)


def import_model(
    path: str | os.PathLike[str],
    data: str = "",
    input_shape: Sequence[int] = (),
    outputs: Sequence[str] = (),
    multiplier_bits: int = MULTIPLIER_BITS,
    nearest: bool = False,
    valued: bool = True,
) -> ImportedNetwork | ImportedProgram:
    """Return the network of an ONNX file, or its Program if it is quantised.

    Parameters
    ----------
    path : str or PathLike
    data : str
        The data set it was trained on.
    input_shape : sequence of int
        Sizes of one image in the file's order of axes, for those that the file leaves open.
    outputs : sequence of str
        Tensors or nodes of the graph that give its outputs, in place of the file's own: where it is cut.
    multiplier_bits : int
        That a multiplier of a Program has at most.
    nearest : bool
        Whether a number of a quantised file that no Program has becomes the nearest one; a note says where.
    valued : bool
        Whether weights must have values. If not, those of a float network may have shapes alone: constants without
        data, data in a file that is not there, or inputs of the graph (`PrunedNetwork.shapes_alone`).

    Zeros of the weights become the mask of the pattern that stores them in the fewest bits. Beside a file that
    `espalier export` wrote its sidecar is read too, and what comes back is the very Program.

    Raises
    ------
    EspalierError
        The file is damaged, or a node is none that a network has: the line names it, the attribute and the reason.
    OSError
        The file cannot be read.
    """
    if (program := sidecar.read(path)) is not None:
        return ImportedProgram(replace(program, data=data or program.data), (f"read with {sidecar.place(path)}",))
    graph = read_graph(path, valued)
    try:
        graph = cut(sized(as_opset(graph), tuple(input_shape)), outputs)
        if is_quantized(graph):
            _check_values(graph)
            return _program_of(graph, data, Allowed(multiplier_bits, nearest))
        builder, network = _network_of(graph)
        masks = {} if graph.shapes_alone else masks_of(network)
        patterns = {mask.pattern for mask in masks.values()}
        label = patterns.pop() if len(patterns) == 1 else "mixed" if patterns else str(Dense())
        pruned = PrunedNetwork(network, masks, label, data, shapes_alone=bool(graph.shapes_alone))
    except EspalierError as error:
        raise EspalierError(f"{path}: {error}") from error
    ((name, _),) = graph.inputs
    return ImportedNetwork(pruned, tuple(builder.notes), builder.is_last(builder.values[name]))


def _check_values(graph: Graph) -> None:
    """Raise EspalierError if a quantised graph lacks values, which say how many bits there are."""
    if graph.shapes_alone:
        name = min(graph.shapes_alone)
        raise EspalierError(f"has the shape of {name!r} and no values, which a quantised graph must have")


def is_quantized(graph: Graph) -> bool:
    """Return whether a graph has quantisers or integer operators; weights alone may be stored as integers."""
    return any(
        (node.op in QUANTIZED and not (node.op == "DequantizeLinear" and set(node.inputs) <= graph.constants.keys()))
        or node.domain in QONNX_DOMAINS
        for node in graph.nodes
    )


def masks_of(network: Network) -> dict[str, LayerMask]:
    """Return the masks of the layers whose weights have zeros worth leaving out."""
    masks = {layer.name: mask_of_zeros(layer.weight) for layer in network.weighted}
    return {name: mask for name, mask in masks.items() if mask.pattern != str(Dense())}


def _network_of(graph: Graph) -> tuple[Builder, Network]:
    builder, input_shape, layers = _layers_of(graph, FLOAT_OPERATORS, ("", "ai.onnx"))
    return builder, Network(graph.name, input_shape, layers, builder.original_names or None)


def _program_of(graph: Graph, data: str, allowed: Allowed) -> ImportedProgram:
    builder, input_shape, layers = _layers_of(graph, INTEGER_OPERATORS, (*DOMAINS, RUNTIME))
    making = Making(builder, layers, allowed)
    program = making.program(graph.name, input_shape, data)
    ((name, _),) = graph.inputs
    changed = allowed.notes(layer.name for layer in program.layers)
    notes = (*builder.notes, *changed, *offset_notes(program), *float_notes(program))
    return ImportedProgram(program, notes, builder.is_last(builder.values[name]), _boundaries(making), seen_of(making))


def _boundaries(making: Making) -> dict[str, str]:
    """Return for each tensor of the Program one of the graph that holds ``code * step``: the last, biases added."""
    found: dict[str, str] = {}
    named = {name for node in making.builder.graph.nodes for name in node.outputs}
    for name, value in making.builder.values.items():
        tensor = making.tensors.get(making.source.place(value.source))
        same = value.view == plain(making.builder.shape(value))
        if tensor and same and not (value.units or value.final or any(value.pad)) and name in named:
            found[tensor.name] = name
    return found


def _layers_of(
    graph: Graph, operators: Mapping[str, Function], domains: Sequence[str]
) -> tuple[Builder, tuple[int, int, int], tuple[Layer, ...]]:
    """Return the layers that the outputs depend on, one after another read by `operators`."""
    builder = Builder(graph, quantized=is_quantized(graph))
    nodes = live_nodes(graph)
    input_shape = start(builder, nodes)
    for node in nodes:
        try:
            if fold(builder, node):
                continue
        except EspalierError as error:
            raise whole(error, node) from error
        if node.op not in operators or node.domain not in domains:
            if node.op in WITHOUT_LAYER:
                raise node.refused(WITHOUT_LAYER[node.op])
            names = ", ".join(sorted(operators.keys() - NEVER_READ))
            raise node.refused(f"is no operator that is read here, where --outputs may cut; those are {names}")
        if builder.quantized and node.op in FLOATS_ALONE:
            raise node.refused("is one that a quantised graph has no codes for; import the float network")
        try:
            operators[node.op](builder, node)
        except EspalierError as error:
            raise whole(error, node) from error
    layers = tuple(reaching(builder.layers, output_of(builder)))
    if not any(isinstance(layer, Weighted) for layer in layers):
        raise EspalierError("has no layer with weights")
    return builder, input_shape, layers


def live_nodes(graph: Graph) -> list[Node]:
    """Return the nodes that the outputs depend on, in the file's order."""
    if not graph.outputs:
        raise EspalierError("the graph has no output")
    wanted, kept = set(graph.outputs), []
    for node in reversed(graph.nodes):
        if wanted.intersection(filter(None, node.outputs)):
            wanted.update(node.inputs)
            kept.append(node)
    return kept[::-1]


def output_of(builder: Builder) -> str:
    """Return the layer whose output all outputs of the graph are; several are one vector, one after another."""
    found: dict[str, str] = {}
    for name in builder.graph.outputs:
        if name not in builder.values:
            raise EspalierError(f"output {name!r} is given by no node")
        value = builder.values[name]
        end = Node("Identity", "", name, (name,), (name,))
        value = builder.unshuffled(end, name, builder.padded(end, name, value) if any(value.pad) else value)
        axes, shape = [axis for axis in value.view if axis], builder.shape(value)
        if axes != [axis for axis in plain(shape) if axis]:
            builder.notes.append(f"output {name!r} has other axes {value.graph_shape}; the network gives {shape}")
        found.setdefault(value.source, name)
    if len(found) > 1:
        return _joined(builder, found)
    (output,) = found
    return output


def _joined(builder: Builder, outputs: Mapping[str, str]) -> str:
    """Add what makes one vector of several layers' outputs, which the graph has by these names; return its name."""
    if builder.quantized:
        many = f"the graph has {len(outputs)} different outputs, expected one of a quantised graph"
        raise EspalierError(f"{many}; --outputs names one")
    joined, end, places = "", 0, []
    for source, name in outputs.items():
        node = Node("Concat", "", name, (), (name,))
        flat, before, shape = source, end, builder.shapes[source]
        if len(shape) > 1:
            flat = builder.new_name(node, ".flat")
            builder.append(node, Flatten(flat, (source,)))
        if joined:
            builder.append(node, Concat(builder.new_name(node, ".joined"), (joined, flat)))
            flat = builder.layers[-1].name
        joined, end = flat, before + math.prod(shape)
        places.append(f"{name!r} {shape} at {before}..{end - 1}")
    builder.notes.append(f"its outputs are one vector here: {', '.join(places)}; --outputs names one alone")
    return joined


def reaching(layers: Iterable[Layer], output: str) -> list[Layer]:
    """Return the layers that `output` depends on, in order; it comes last."""
    wanted, kept = {output}, []
    for layer in reversed(list(layers)):
        if layer.name in wanted:
            wanted.update(layer.inputs)
            kept.append(layer)
    return kept[::-1]
