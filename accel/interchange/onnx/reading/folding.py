"""What a graph computes of constants alone: done once, by the reference evaluator of onnx.

Exporters leave such parts behind: PyTorch's older one writes the widths of ``F.pad`` as ConstantOfShape, Concat,
Reshape, Slice, Transpose and Cast, others a division of sizes. What comes out is bounded before it is computed.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from accel.interchange.onnx.reading.builder import Builder
from accel.interchange.onnx.reading.file import Constant, Node, onnx_package
from accel.limits import MOST_DIMENSIONS, MOST_WEIGHTS, check_limit

Count = Callable[[Node, Sequence[Constant]], int]


def _broadcast(node: Node, inputs: Sequence[Constant]) -> int:
    return math.prod(np.broadcast_shapes(*(array.shape for array in inputs)))


def _no_more(node: Node, inputs: Sequence[Constant]) -> int:
    return sum(array.size for array in inputs)


def _shaped(node: Node, inputs: Sequence[Constant]) -> int:
    return math.prod(max(0, size) for size in inputs[0].ravel().tolist())


def _expanded(node: Node, inputs: Sequence[Constant]) -> int:
    return math.prod(np.broadcast_shapes(inputs[0].shape, tuple(inputs[1].ravel().tolist())))


def _tiled(node: Node, inputs: Sequence[Constant]) -> int:
    return inputs[0].size * math.prod(max(0, count) for count in inputs[1].ravel().tolist())


def _ranged(node: Node, inputs: Sequence[Constant]) -> int:
    start, end, step = (float(array.ravel()[0]) for array in inputs)
    return max(0, math.ceil((end - start) / step))


def _gathered(node: Node, inputs: Sequence[Constant]) -> int:
    return inputs[0].size * max(1, inputs[1].size)


def _padded(node: Node, inputs: Sequence[Constant]) -> int:
    widths = [abs(width) for width in inputs[1].ravel().tolist()]
    return math.prod(size + 2 * max(widths, default=0) for size in inputs[0].shape)


def _multiplied(node: Node, inputs: Sequence[Constant]) -> int:
    return math.prod(inputs[0].shape[:-1]) * math.prod(inputs[1].shape)


_ELEMENTS = (
    "Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Clip", "Div", "Equal", "Exp", "Floor",
    "Greater", "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Log", "Max", "Min", "Mod", "Mul", "Neg", "Not",
    "Or", "Pow", "Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Sqrt", "Sub", "Sum", "Tanh", "Where", "Xor",
)  # fmt: skip
_PARTS = (
    "Concat", "Flatten", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "Shape", "Size",
    "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze",
)  # fmt: skip
FOLDED: dict[str, Count] = {
    **dict.fromkeys(_ELEMENTS, _broadcast),
    **dict.fromkeys(_PARTS, _no_more),
    "ConstantOfShape": _shaped,
    "Expand": _expanded,
    "Gather": _gathered,
    "MatMul": _multiplied,
    "Pad": _padded,
    "Range": _ranged,
    "Tile": _tiled,
}
QUANTIZERS_OWN = ("Clip", "Transpose")  # of codes, where a graph is quantised


def fold(builder: Builder, node: Node) -> bool:
    """Let the outputs of `node` be constants if all that it reads is; return whether they are.

    Of a quantised graph the integers of a quantiser stay what they are.

    Raises
    ------
    EspalierError
        They would be too large, or cannot be computed.
    """
    given = [name for name in node.inputs if name]
    if node.op not in FOLDED or node.domain not in ("", "ai.onnx") or not given:
        return False
    if not all(name in builder.constants for name in given):
        return False
    if builder.quantized and (
        node.op in QUANTIZERS_OWN or any(name in builder.coded or name in builder.ranges for name in given)
    ):
        return False
    inputs = [builder.constants[name] for name in given]
    try:
        count = FOLDED[node.op](node, inputs)
    except (ValueError, IndexError, OverflowError, ZeroDivisionError) as error:
        raise node.refused(f"cannot be computed of its constants: {error}") from error
    check_limit(node, "numbers that it makes of constants", count, MOST_WEIGHTS)
    builder.reserve(count * max(array.itemsize for array in inputs))
    for name, array in zip(filter(None, node.outputs), _computed(node, inputs, builder.graph.opset), strict=True):
        if array.ndim > MOST_DIMENSIONS:
            raise node.refused(f"makes a constant of {array.ndim} dimensions, expected at most {MOST_DIMENSIONS}")
        builder.constants[name] = array
    return True


def _computed(node: Node, inputs: Sequence[Constant], opset: int) -> list[Constant]:
    """Return what the reference evaluator gives for the outputs of a node."""
    onnx = onnx_package()
    from onnx.reference import ReferenceEvaluator

    names = dict.fromkeys(filter(None, node.inputs))
    attributes = {
        name: onnx.numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        for name, value in node.attributes.items()
    }
    proto = onnx.helper.make_node(node.op, node.inputs, node.outputs, **attributes)
    ends = [[onnx.ValueInfoProto(name=name) for name in end] for end in (names, filter(None, node.outputs))]
    graph = onnx.helper.make_graph([proto], "constant", *ends)
    feeds = dict(zip(filter(None, node.inputs), inputs, strict=True))
    try:
        with np.errstate(all="ignore"):
            found = ReferenceEvaluator(graph, opsets={"": opset}).run(None, feeds)
    except Exception as error:  # the evaluator's own may be anything
        raise node.refused(f"cannot be computed of its constants: {' '.join(str(error).split())[:120]}") from error
    if not all(isinstance(array, np.ndarray | np.generic) for array in found):
        raise node.refused("makes something else than numbers of its constants")
    return [np.asarray(array) for array in found]
