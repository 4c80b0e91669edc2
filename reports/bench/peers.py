"""Other people's runtimes for `espalier bench`: onnxruntime in float32 and in 8 bits, and PyTorch.

They are imported where they are used, because nothing else needs them. Each gets what it wants: batch norms folded,
convolutions of one position as matrices, images as the numbers it takes, one pool of threads. onnxruntime's own
quantiser makes its 8-bit models.
"""

import importlib
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.layers import Conv2d, Flatten, Layer, Linear, MaxPool, ReLU
from accel.network import INPUT, Network

Images = NDArray[np.uint8]
Run = Callable[[], Any]
"""Runs all images once."""

INSTALL = 'install them with: pip install "espalier-hw[bench]"'
CALIBRATION_IMAGES = 64
OPSET, IR_VERSION = 17, 8
FORMATS = ("QDQ", "QOperator")


def pixels(images: Images) -> NDArray[np.float32]:
    """Return images as the numbers that networks take, 0..1."""
    return images.astype(np.float32) / np.float32(255)


def connected(network: Network) -> Network:
    """Return a network, folded, whose convolutions that see one position are full connections, which run faster."""
    folded = network.folded()
    layers: list[Layer] = []
    for layer in folded.layers:
        if isinstance(layer, Conv2d) and folded.shapes[layer.name][1:] == (1, 1) and not any(layer.window.padding):
            flat = Flatten(f"{layer.name} flat", layer.inputs)
            weight = layer.weight.reshape(len(layer.weight), -1)
            layers += [flat, Linear(layer.name, (flat.name,), weight=weight, bias=layer.bias)]
        else:
            layers.append(layer)
    return Network(network.name, network.input_shape, tuple(layers))


def onnx_model(network: Network) -> bytes:
    """Return a network of convolutions, pools and full connections as an ONNX file in float32."""
    onnx = _package("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes, constants = [], []
    for layer in network.layers:
        arrays = {key: getattr(layer, key) for key in ("weight", "bias") if hasattr(layer, key)}
        names = [f"{layer.name}.{key}" for key in arrays]
        constants += [onnx.numpy_helper.from_array(x, name) for x, name in zip(arrays.values(), names, strict=True)]
        operator, attributes = _operator(layer)
        nodes.append(helper.make_node(operator, [*layer.inputs, *names], [layer.name], **attributes))
    shapes = {INPUT: network.input_shape, network.output: network.shapes[network.output]}
    ends = [helper.make_tensor_value_info(name, kind, ["batch", *shape]) for name, shape in shapes.items()]
    graph = helper.make_graph(nodes, network.name, ends[:1], ends[1:], constants)
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION).SerializeToString()


def _operator(layer: Any) -> tuple[str, dict[str, Any]]:
    """Return the name and the attributes of a layer's node."""
    window = getattr(layer, "window", None)
    sizes = {"kernel_shape": window.kernel, "strides": window.stride, "pads": window.padding} if window else {}
    names: dict[type[Layer], str] = {Conv2d: "Conv", MaxPool: "MaxPool", ReLU: "Relu", Flatten: "Flatten"}
    if isinstance(layer, Linear):
        return "Gemm", {"transB": 1}
    if type(layer) not in names:
        raise EspalierError(f"{layer.name}: {type(layer).__name__} is not among the layers that the peers are given")
    return names[type(layer)], sizes


def quantized_model(model: bytes, images: Images, form: str) -> bytes:
    """Return a model in 8 bits, calibrated on some images: unsigned signals, signed weights with a step per output."""
    quantization = _package("onnxruntime.quantization")
    kinds, feed = quantization.QuantType, iter(_batches(images[:CALIBRATION_IMAGES]))
    reader = type("Reader", (quantization.CalibrationDataReader,), {"get_next": lambda self: next(feed, None)})
    with tempfile.TemporaryDirectory(prefix="espalier-") as folder, _quiet():
        float_file, file = Path(folder, "float.onnx"), Path(folder, "quantized.onnx")
        float_file.write_bytes(model)
        quantization.quantize_static(
            float_file,
            file,
            reader(),
            quant_format=quantization.QuantFormat[form],
            activation_type=kinds.QUInt8,
            weight_type=kinds.QInt8,
            per_channel=True,
        )
        return file.read_bytes()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantiser's advice to fold batch norms first from the terminal: they are folded."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _batches(images: Images) -> Iterator[dict[str, Any]]:
    """Yield images as a quantiser wants to see them."""
    for first in range(0, len(images), 16):
        yield {INPUT: pixels(images[first : first + 16])}


def onnxruntime_run(model: bytes, images: Images, threads: int, batch: int) -> Run:
    """Return what runs a model over all images in batches of `batch`."""
    runtime = _package("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    parts = [pixels(images[first : first + batch]) for first in range(0, len(images), batch)]
    return lambda: [session.run(None, {INPUT: part})[0] for part in parts]


def torch_run(network: Network, images: Images, threads: int, batch: int) -> Run:
    """Return what runs a network in PyTorch, float32, over all images in batches of `batch`."""
    torch = _package("torch")
    from accel.train.module import NetworkModule

    module = NetworkModule(network).eval()
    parts = [torch.from_numpy(pixels(images[first : first + batch])) for first in range(0, len(images), batch)]

    def run() -> Any:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            return [module(part) for part in parts]

    return run


def _package(name: str) -> Any:
    """Import a peer."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EspalierError(f"the peers need onnx, onnxruntime and torch ({error}); {INSTALL}") from error
