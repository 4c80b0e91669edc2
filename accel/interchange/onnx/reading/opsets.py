"""Nodes of older opsets as those of opset 13 say the same: lists and bounds that were attributes are inputs there.

Source: the changelog of operators, https://onnx.ai/onnx/operators/ (opset 7 brought today's broadcasting).
"""

from dataclasses import replace

import numpy as np

from accel.interchange.onnx.reading.file import Constant, Node

OLDEST, BASE = 7, 13
RESIZES = 11  # the opset from which Resize says where its pixels lie
_LISTS: dict[str, tuple[str, ...]] = {  # attributes in the order of the inputs that came in their place
    "Pad": ("pads", "value"),
    "ReduceSum": ("axes",),
    "Slice": ("starts", "ends", "axes"),
    "Split": ("split",),
    "Squeeze": ("axes",),
    "Unsqueeze": ("axes",),
}
_BOUNDS = ("min", "max")  # of Clip
_FLATTENED = ("Softmax", "LogSoftmax", "Hardmax")  # whose axis was 1 by default


def as_base(node: Node, opset: int, constants: dict[str, Constant]) -> Node:
    """Return a node of opset 13 that does the same; its new inputs join `constants`.

    Raises
    ------
    EspalierError
        There is none.
    """
    if opset >= BASE or node.domain not in ("", "ai.onnx"):
        return node
    if node.op in _FLATTENED:
        return replace(node, attributes={"axis": 1} | dict(node.attributes))
    if node.op in ("Upsample", "Resize") and opset < RESIZES:
        return _resize(node, constants)
    if node.op == "BatchNormalization" and node.get("spatial", 1) != 1:
        raise node.refused("attribute spatial is 0, expected 1: one number for each map")
    names = _BOUNDS if node.op == "Clip" else _LISTS.get(node.op, ())
    if not any(name in node.attributes for name in names):
        return node
    if len(node.inputs) > 1:
        raise node.refused(f"has its {names} as attributes and inputs both")
    inputs = [*node.inputs]
    for name in names:
        value = node.get(name)
        if value is None:
            inputs.append("")
            continue
        if not isinstance(value, tuple | float):
            raise node.refused(f"attribute {name} must be a number or a list of integers, got {value!r}")
        inputs.append(f"{node.outputs[0]}/{name}")
        constants[inputs[-1]] = np.array(value, np.int64 if isinstance(value, tuple) else np.float32)
    left = {name: value for name, value in node.attributes.items() if name not in names}
    return replace(node, inputs=tuple(inputs), attributes=left)


def _resize(node: Node, constants: dict[str, Constant]) -> Node:
    """Return an Upsample, or a Resize of opset 10, as today's Resize by these rules."""
    scales = node.inputs[1] if len(node.inputs) > 1 else f"{node.outputs[0]}/scales"
    if len(node.inputs) < 2:
        constants[scales] = np.array(node.get("scales", ()), np.float32)
    where = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return replace(
        node,
        op="Resize",
        inputs=(node.inputs[0], "", scales),
        attributes={"mode": node.get("mode", "nearest")} | where,
    )
