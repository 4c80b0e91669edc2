"""What operators on integers become: the quantisers and the operator on real values that their definitions name.

QLinearConv and QLinearMatMul are ONNX's, the others onnxruntime's own, which its static quantiser writes.

Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from collections.abc import Callable

import numpy as np

from accel.interchange.onnx.reading.arithmetic import add
from accel.interchange.onnx.reading.builder import Builder
from accel.interchange.onnx.reading.coded import Coded
from accel.interchange.onnx.reading.file import Node
from accel.interchange.onnx.reading.layouts import concat
from accel.interchange.onnx.reading.operators import average_pool, conv, ending, gemm, global_average_pool, matmul
from accel.interchange.onnx.reading.quantizer_parameters import MOST_BITS
from accel.interchange.onnx.reading.quantizers import QUANTIZED_OPERATORS, dequantize_linear, quantize_linear

Function = Callable[[Builder, Node], None]


def weighted(op: str, function: Function) -> Function:
    """Return what reads QLinearConv and QLinearMatMul: signal, weights, step of the output, and perhaps biases."""

    def read(builder: Builder, node: Node) -> None:
        _check_inputs(node, 8)
        _weighted(builder, node, op, function, 0 if op == "Conv" else 1, node.inputs[8:9], node.inputs[6:8])

    read.__doc__ = f"{op} of a signal and weights, with steps and zero points, and the step of the output."
    return read


def qgemm(builder: Builder, node: Node) -> None:
    """QGemm: signal, weights, biases, and the step of the output."""
    _check_inputs(node, 9)
    if not node.inputs[7]:
        raise node.refused("has no input 7 (y_scale): its sums would be floats")
    _weighted(builder, node, "Gemm", gemm, 0 if node.get("transB", 0) else 1, node.inputs[6:7], node.inputs[7:9])


def qlinear_add(builder: Builder, node: Node) -> None:
    """QLinearAdd of two signals."""
    _check_inputs(node, 7)
    _between(builder, node, "Add", add, (node.inputs[:3], node.inputs[3:6]), node.inputs[6:8])


def qlinear_concat(builder: Builder, node: Node) -> None:
    """QLinearConcat of signals, each with a step of its own."""
    if len(node.inputs) < 5 or len(node.inputs) % 3 != 2:
        raise node.refused(f"has {len(node.inputs)} inputs, expected a step and triples")
    triples = tuple(node.inputs[first : first + 3] for first in range(2, len(node.inputs), 3))
    _between(builder, node, "Concat", concat, triples, node.inputs[:2])


def of_one(op: str, function: Function) -> Function:
    """Return what reads a pool or Softmax of one signal."""

    def read(builder: Builder, node: Node) -> None:
        _check_inputs(node, 4)
        if node.get("channels_last", 0):
            raise node.refused("attribute channels_last is 1, expected 0")
        _between(builder, node, op, function, (node.inputs[:3],), node.inputs[3:5])

    read.__doc__ = f"{op} of a signal with step and zero point, and the step of the output."
    return read


def _check_inputs(node: Node, least: int) -> None:
    if len(node.inputs) < least:
        raise node.refused(f"has {len(node.inputs)} inputs, expected {least} or more")


def _part(node: Node, kind: str, inputs: tuple[str, ...], output: str, **settings: object) -> Node:
    return Node(kind, "", node.name or node.outputs[0], inputs, (output,), settings)


def _between(
    builder: Builder,
    node: Node,
    op: str,
    function: Function,
    sources: tuple[tuple[str, ...], ...],
    step: tuple[str, ...],
) -> None:
    """Read an operator on signals, each with step and zero point, between its quantisers."""
    base = node.outputs[0]
    names = [f"{base}/{index}" for index in range(len(sources))]
    for name, source in zip(names, sources, strict=True):
        dequantize_linear(builder, _part(node, "DequantizeLinear", source, name))
    _finished(builder, node, op, function, names, step)


def _weighted(
    builder: Builder,
    node: Node,
    op: str,
    function: Function,
    axis: int,
    biases: tuple[str, ...],
    step: tuple[str, ...],
) -> None:
    """Read an operator with weights, and biases in steps of its sums, between its quantisers."""
    if node.inputs[3] not in builder.constants:
        raise node.refused(f"input 3 ({node.inputs[3]!r}) must be a constant of the file: its weights")
    base = node.outputs[0]
    names = [f"{base}/{part}" for part in ("x", "w", "b")]
    dequantize_linear(builder, _part(node, "DequantizeLinear", node.inputs[:3], names[0]))
    dequantize_linear(builder, _part(node, "DequantizeLinear", node.inputs[3:6], names[1], axis=axis))
    if any(biases):
        weight, scale = builder.coded[names[1]], float(builder.needed(node, 1).ravel()[0])
        bias = builder.constants.get(biases[0])
        if bias is None or bias.dtype.kind not in "iu" or bias.ndim != 1:
            found = "no constant" if bias is None else f"{bias.dtype} {bias.shape}"
            raise node.refused(f"its biases ({biases[0]!r}) must be a list of integers, got {found}")
        steps = (np.float32(scale) * weight.steps.astype(np.float32)).astype(np.float64)
        coded = Coded(bias.astype(np.int64), steps, 0 if steps.size > 1 else None, MOST_BITS)
        builder.code(_part(node, "DequantizeLinear", (), names[2]), coded)
    _finished(builder, node, op, function, names if any(biases) else names[:2], step)


def _finished(
    builder: Builder, node: Node, op: str, function: Function, inputs: list[str], step: tuple[str, ...]
) -> None:
    """Read the operator itself, and the quantiser after it."""
    base = node.outputs[0]
    builder.note_readers([*inputs, f"{base}/y"])
    function(builder, Node(op, "", node.name or base, tuple(inputs), (f"{base}/y",), dict(node.attributes)))
    quantize_linear(builder, _part(node, "QuantizeLinear", (f"{base}/y", *step), base))


INTEGER_OPERATORS: dict[str, Function] = QUANTIZED_OPERATORS | {
    "QGemm": qgemm,
    "QLinearAdd": qlinear_add,
    "QLinearAveragePool": of_one("AveragePool", average_pool),
    "QLinearConcat": qlinear_concat,
    "QLinearConv": weighted("Conv", conv),
    "QLinearGlobalAveragePool": of_one("GlobalAveragePool", global_average_pool),
    "QLinearMatMul": weighted("MatMul", matmul),
    "QLinearSoftmax": of_one("Softmax", ending),
}
