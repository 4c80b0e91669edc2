"""A model as it grows while a Program is written to ONNX: nodes and constants, each tensor named after its layer."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accel.errors import EspalierError
from accel.grouped_convolution import group_weights, within_groups
from accel.interchange.onnx.reading.file import onnx_package
from accel.program import Program
from accel.program_layers import FlattenLayer, MacLayer
from accel.window import Window

OPSET, IR_VERSION = 21, 10
PRODUCER = "espalier"
IMAGE = "image"  # the graph's input
OFFSET = 128  # the zero point of weights that are stored without a sign


class Writer:
    """Nodes and constants of one graph."""

    def __init__(self, program: Program) -> None:
        self.onnx, self.program = onnx_package(), program
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self.domains: dict[str, int] = {"": OPSET}

    def constant(self, name: str, array: ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        """Add a constant and return its name; one that is there holds the same already."""
        if name not in self.constants:
            self.constants[name] = self.onnx.numpy_helper.from_array(np.asarray(array, dtype), name)
        return name

    def node(self, op: str, inputs: list[str], output: str, name: str = "", **attributes: Any) -> str:
        """Add a node, named after its output unless it has a name, and return the output."""
        self.nodes.append(self.onnx.helper.make_node(op, inputs, [output], name or output, **attributes))
        self.domains.setdefault(attributes.get("domain", ""), 1)
        return output

    def flatten(self, layer: FlattenLayer, inputs: list[str], output: str) -> str:
        """Add what reads maps as a vector, or as maps of another shape."""
        if not layer.shape:
            return self.node("Flatten", inputs, output, axis=1)
        shape = self.constant(f"{output}.shape", [0, *layer.shape], np.int64)  # 0: as many images as there are
        return self.node("Reshape", [*inputs, shape], output)

    def model(self, output: str) -> bytes:
        """Return the model whose output is the tensor `output`, as the bytes of a file."""
        outputs = [node.output[0] for node in self.nodes]
        if repeated := sorted(
            {name for name in outputs if outputs.count(name) > 1 or name in (*self.constants, IMAGE)}
        ):
            raise EspalierError(f"{repeated[0]}: two tensors would have this name; rename the layer")
        helper, kinds, program = self.onnx.helper, self.onnx.TensorProto, self.program
        image = helper.make_tensor_value_info(IMAGE, kinds.FLOAT, ["batch", *program.input_shape])
        scores = helper.make_tensor_value_info(output, kinds.FLOAT, ["batch", *program.shapes[program.output]])
        graph = helper.make_graph(self.nodes, program.name, [image], [scores], [*self.constants.values()])
        opsets = [helper.make_opsetid(domain, version) for domain, version in self.domains.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name=PRODUCER)
        return model.SerializeToString(deterministic=True)


def window_attributes(window: Window) -> dict[str, Any]:
    """Return kernel, strides and pads as ONNX's attributes."""
    return {"kernel_shape": [*window.kernel], "strides": [*window.stride], "pads": [*window.padding]}


def kernels(layer: MacLayer) -> tuple[NDArray[np.int64], int]:
    """Return the weights as ONNX has them, (M, C / groups, height, width) or (M, C), and the number of groups."""
    if layer.window is None:
        return layer.matrix, 1
    groups = within_groups(layer.kept)
    codes = group_weights(layer.matrix, layer.shape, groups)
    return codes.reshape(*codes.shape[:2], *layer.window.kernel), groups


def per_output(steps: NDArray[np.float64], dimensions: int) -> NDArray[np.float64]:
    """Return one step as a scalar, and one for each output with `dimensions` so that it is broadcast."""
    return steps[0] if steps.size == 1 else steps.reshape((-1,) + (1,) * (dimensions - 1))
