"""ONNX graphs for tests, node by node: what other people's exporters write, with random weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, np.dtype[Any]]
OPSET = 21
OPEN = 1.0  # the shift of a batch norm, around which most values pass a ReLU: shut ones would amplify every rounding
BRANCH = 0.5  # of the last batch norm of a residual branch, so that sums of many do not grow without end


class Drawing:
    """Takes nodes one after another; each reads the one before unless it is told, and draws its own weights."""

    def __init__(self, *input_shape: int | str, seed: int = 0, opset: int = OPSET) -> None:
        self.rng, self.opset, self.input_shape = np.random.default_rng(seed), opset, input_shape
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.last, self.extra = "image", []

    def constant(self, array: Any, name: str = "") -> str:
        """Add a constant and return its name."""
        name = name or f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node that reads `inputs`, the last output in place of the first that is empty; return its output."""
        sources = [self.last if source == "" else source for source in inputs or ("",)]
        name = attributes.pop("name", f"{op.lower()}{len(self.nodes)}")
        outputs = attributes.pop("outputs", [f"{name}_out"])
        self.nodes.append(helper.make_node(op, sources, outputs, name, **attributes))
        self.last = outputs[0]
        return self.last

    def conv(self, outputs: int, maps: int, kernel: int, source: str = "", bias: bool = True, **attributes: Any) -> str:
        """Add a convolution of random weights that keep the size of signals."""
        group = attributes.get("group", 1)
        shape = (outputs, maps // group, kernel, kernel)
        weight = self.rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)
        inputs = [source, self.constant(weight)]
        if bias:
            inputs.append(self.constant(self.rng.normal(0, 0.1, outputs).astype(np.float32)))
        return self.node("Conv", *inputs, **attributes)

    def norm(self, maps: int, gain: float = 1.0) -> str:
        """Add a batch norm of random numbers, its scales around `gain`."""
        scale, variance = (self.rng.uniform(0.5, 1.5, (2, maps)) * [[gain], [1]]).astype(np.float32)
        shift, mean = self.rng.normal([[OPEN], [0]], 0.1, (2, maps)).astype(np.float32)
        return self.node("BatchNormalization", "", *map(self.constant, (scale, shift, mean, variance)), epsilon=1e-5)

    def gemm(self, outputs: int, inputs: int) -> str:
        """Add a fully connected layer as PyTorch writes it."""
        weight = self.rng.normal(0, np.sqrt(2 / inputs), (outputs, inputs)).astype(np.float32)
        bias = self.rng.normal(0, 0.1, outputs).astype(np.float32)
        return self.node("Gemm", "", self.constant(weight), self.constant(bias), transB=1)

    def model(self, *outputs: str) -> Any:
        """Return the model; its output is the last node's unless others are named."""
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, self.input_shape)
        results = [helper.make_empty_tensor_value_info(name) for name in outputs or (self.last,)]
        graph = helper.make_graph(self.nodes, "drawn", [image], results, self.constants)
        domains = sorted({node.domain for node in self.nodes} - {""})
        opsets = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def save(self, path: Path, *outputs: str) -> Path:
        """Write the model to `path` and return it."""
        onnx.save(self.model(*outputs), path)
        return path


def session(model: Any, plain: bool = False) -> Any:
    """Return onnxruntime's session for a model or a file; `plain` without any rewriting of the graph."""
    ort = pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install espalier-hw[peers]")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if plain:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def runtime(model: Any, images: Array, plain: bool = False) -> list[Array]:
    """Return what onnxruntime gives for a model or a file: all outputs."""
    running = session(model, plain)
    return running.run(None, {running.get_inputs()[0].name: images})


def resnet18(size: int = 64, classes: int = 1000, width: int = 64) -> Drawing:
    """Return ResNet-18 as torchvision's exporter writes it (batch norms still there)."""
    g = Drawing("batch", 3, size, size)
    g.conv(width, 3, 7, bias=False, strides=[2, 2], pads=[3, 3, 3, 3])
    g.norm(width)
    g.node("Relu")
    g.node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    maps = width
    for stage in range(4):
        outputs = width << stage
        for block in range(2):
            source, stride = g.last, 2 if stage and not block else 1
            g.conv(outputs, maps, 3, bias=False, strides=[stride, stride], pads=[1, 1, 1, 1])
            g.norm(outputs)
            g.node("Relu")
            g.conv(outputs, outputs, 3, bias=False, pads=[1, 1, 1, 1])
            branch = g.norm(outputs, BRANCH)
            if stride == 2:
                g.conv(outputs, maps, 1, source, bias=False, strides=[2, 2])
                source = g.norm(outputs)
            g.node("Add", branch, source)
            g.node("Relu")
            maps = outputs
    g.node("GlobalAveragePool")
    g.node("Flatten", axis=1)
    g.gemm(classes, maps)
    return g


def mobilenet_v2(size: int = 32, classes: int = 1000, shrink: int = 1) -> Drawing:
    """Return MobileNetV2 as torchvision's exporter writes it, `shrink` times narrower."""
    g = Drawing("batch", 3, size, size)

    def normed(outputs: int, maps: int, kernel: int, stride: int = 1, group: int = 1, bounded: bool = True) -> str:
        pads = [kernel // 2] * 4
        g.conv(outputs, maps, kernel, bias=False, strides=[stride, stride], pads=pads, group=group)
        g.norm(outputs)
        bounds = g.constant(np.float32(0)), g.constant(np.float32(6))
        return g.node("Clip", "", *bounds) if bounded else g.last

    maps = 32 // shrink
    normed(maps, 3, 3, 2)
    rows = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for factor, outputs, count, first in rows:
        outputs //= shrink
        for number in range(count):
            source, stride, hidden = g.last, first if number == 0 else 1, maps * factor
            if factor > 1:
                normed(hidden, maps, 1)
            normed(hidden, hidden, 3, stride, hidden)
            branch = normed(outputs, hidden, 1, bounded=False)
            if stride == 1 and maps == outputs:
                g.node("Add", source, branch)
            maps = outputs
    normed(1280 // shrink, maps, 1)
    g.node("ReduceMean", "", g.constant(np.array([2, 3])), keepdims=0)
    g.node("Dropout")
    g.gemm(classes, 1280 // shrink)
    return g


def vgg11(size: int = 32, classes: int = 1000, shrink: int = 1, head: int = 4096) -> Drawing:
    """Return VGG-11 as torchvision's exporter writes it, `shrink` times narrower, for images of `size`.

    Its two hidden layers have `head` outputs.
    """
    g = Drawing("batch", 3, size, size)
    maps = 3
    for row in (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0):
        if not row:
            g.node("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
            continue
        g.conv(row // shrink, maps, 3, pads=[1, 1, 1, 1])
        maps = row // shrink
        g.node("Relu")
    features = maps * (size // 32) ** 2
    g.node("Reshape", "", g.constant(np.array([-1, features])))
    for outputs in (head // shrink, head // shrink):
        g.gemm(outputs, features)
        g.node("Relu")
        g.node("Dropout")
        features = outputs
    g.gemm(classes, features)
    return g


def keras_like(size: int = 16, classes: int = 10, width: int = 8) -> Drawing:
    """Return a channels-last network as Keras's exporter writes it: transposes, SAME padding, MatMul + Add, Softmax."""
    g = Drawing("batch", size, size, 3)
    g.node("Transpose", perm=[0, 3, 1, 2])
    g.conv(width, 3, 3, bias=False, strides=[2, 2], auto_pad="SAME_UPPER")
    g.node("Transpose", perm=[0, 2, 3, 1])
    g.node("Add", "", g.constant(g.rng.normal(0, 0.1, width).astype(np.float32)))
    source = g.node("Relu")
    g.node("Pad", "", g.constant(np.array([0, 0, 0, 0, 0, 1, 1, 0])))
    g.node("Transpose", perm=[0, 3, 1, 2])
    g.conv(width, width, 2, pads=[0, 0, 0, 0])
    g.node("Transpose", perm=[0, 2, 3, 1])
    g.node("Concat", "", source, axis=3)
    g.node("Transpose", perm=[0, 3, 1, 2])
    g.node("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    g.node("Transpose", perm=[0, 2, 3, 1])
    inputs = 2 * width * (size // 4) ** 2
    g.node("Reshape", "", g.constant(np.array([-1, inputs])))
    g.node("MatMul", "", g.constant(g.rng.normal(0, np.sqrt(2 / inputs), (inputs, classes)).astype(np.float32)))
    g.node("Add", g.constant(g.rng.normal(0, 0.1, classes).astype(np.float32)), "")
    g.node("Softmax", axis=-1)
    return g


def images(shape: Sequence[int], count: int = 2, seed: int = 1) -> Array:
    """Return normalised random images (count, *shape), some of their numbers negative."""
    return np.random.default_rng(seed).normal(0, 1, (count, *shape)).astype(np.float32)


def runtime_tensors(path: Path, images: Array, names: Sequence[str]) -> dict[str, Array]:
    """Return what onnxruntime gives for these tensors of a file, whose graph is run as it is written."""
    model = onnx.load(path)
    there = {value.name for value in model.graph.output}
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in there)
    running = session(model, plain=True)
    feed = running.get_inputs()[0].name
    runs = [running.run([*names], {feed: image[None]}) for image in images]  # files of a batch of 1 too
    return {name: np.concatenate(parts) for name, *parts in zip(names, *runs, strict=True)}


def qonnx_tensors(path: Path, images: Array, names: Sequence[str]) -> dict[str, Array]:
    """Return what qonnx's executor gives for these tensors of a file."""
    pytest.importorskip("qonnx", reason="needs qonnx: pip install espalier-hw[peers]")
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    read = onnx.load(path)
    outputs = [helper.make_tensor_value_info(value.name, TensorProto.FLOAT, None) for value in read.graph.output]
    del read.graph.output[:]
    read.graph.output.extend(outputs)  # one that has no type would be inferred twice
    model = ModelWrapper(read).transform(InferShapes())
    feed = model.graph.input[0].name
    runs = [execute_onnx(model, {feed: image[None]}, return_full_exec_context=True) for image in images]
    return {name: np.concatenate([run[name] for run in runs]) for name in names}


def depthwise_separable(maps: int = 8, classes: int = 5) -> Drawing:
    """Return a small DS-CNN as tf2onnx writes MLPerf Tiny's: a Reshape for a transpose, weights stored as int8."""
    g = Drawing("batch", 25, 5, 1)
    g.node("Reshape", "", g.constant(np.array([-1, 1, 25, 5])))
    image = g.last
    codes = g.rng.integers(-127, 128, (maps, 1, 10, 4)).astype(np.int8)
    weight = g.node("DequantizeLinear", g.constant(codes), g.constant(np.float32(0.002)), g.constant(np.int8(0)))
    bias = g.constant(g.rng.normal(0, 0.1, maps).astype(np.float32))
    g.node("Conv", image, weight, bias, strides=[2, 2], pads=[4, 1, 5, 1])
    g.node("Relu")
    g.conv(maps, maps, 3, pads=[1, 1, 1, 1], group=maps)
    g.node("Relu")
    g.conv(maps, maps, 1)
    g.node("Relu")
    g.node("AveragePool", kernel_shape=[13, 2], strides=[13, 2])
    g.node("Reshape", "", g.constant(np.array([-1, maps])))
    g.node("MatMul", "", g.constant(g.rng.normal(0, 0.5, (maps, classes)).astype(np.float32)))
    g.node("Add", g.constant(g.rng.normal(0, 0.1, classes).astype(np.float32)), "")
    return g
