"""A graph as it was asked for: operators of one opset, sizes that the file leaves open, an end of one's own."""

from collections.abc import Sequence
from dataclasses import replace

from accel.errors import EspalierError
from accel.interchange.onnx.reading.file import Graph
from accel.interchange.onnx.reading.opsets import BASE, OLDEST, as_base


def as_opset(graph: Graph) -> Graph:
    """Return the graph in operators of opset 13 or later.

    Raises
    ------
    EspalierError
        It is older than those that can be brought there.
    """
    if graph.opset < OLDEST:
        raise EspalierError(
            f"is of ONNX opset {graph.opset}, expected {OLDEST} or later: onnx.version_converter makes it so"
        )
    constants = dict(graph.constants)
    nodes = tuple(as_base(node, graph.opset, constants) for node in graph.nodes)
    return replace(graph, nodes=nodes, constants=constants, opset=max(graph.opset, BASE))


def sized(graph: Graph, sizes: Sequence[int]) -> Graph:
    """Return the graph with the sizes of an image, in its own order of axes, where it leaves them open.

    Raises
    ------
    EspalierError
        It has sizes, which are others.
    """
    if not sizes:
        return graph
    if len(graph.inputs) != 1:
        raise EspalierError(f"the graph has {len(graph.inputs)} inputs, expected one, which --input-shape is for")
    ((name, shape),) = graph.inputs
    stated = shape[1:] or (None,) * len(sizes)
    fits = len(stated) == len(sizes) and all(b in (a, None, 0, -1) for a, b in zip(sizes, stated, strict=True))
    if not fits:
        shown = ", ".join("?" if size is None else str(size) for size in stated)
        raise EspalierError(f"--input-shape: {_listed(sizes)} does not fit the image of input {name!r}: ({shown})")
    return replace(graph, inputs=((name, (*shape[:1], *sizes)),))


def cut(graph: Graph, outputs: Sequence[str]) -> Graph:
    """Return the graph with other outputs: tensors, or what nodes give.

    Raises
    ------
    EspalierError
        There is none of that name.
    """
    if not outputs:
        return graph
    given = {name: name for node in graph.nodes for name in node.outputs if name}
    named = {node.name: node.outputs[0] for node in graph.nodes if node.name and node.name not in given}
    for name in outputs:
        if name not in given and name not in named:
            raise EspalierError(f"--outputs: no node gives {name!r}; the last ones are {_last(graph)}")
    return replace(graph, outputs=tuple((given | named)[name] for name in outputs))


def _last(graph: Graph) -> str:
    return ", ".join(repr(node.outputs[0]) for node in graph.nodes[-4:])


def _listed(sizes: Sequence[int]) -> str:
    return ",".join(map(str, sizes))
