"""Small ONNX models of every kind that is imported: what fuzzers damage."""

import numpy as np

from support.onnx_graphs import Drawing
from support.onnx_quantized import Quantized


def float_model() -> Drawing:
    """Return a small network with most of the float operators."""
    g = Drawing("batch", 2, 8, 8)
    g.node("Pad", "", g.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1])))
    g.conv(4, 2, 3)
    g.norm(4)
    source = g.node("Clip", "", g.constant(np.float32(0)), g.constant(np.float32(6)))
    g.conv(4, 4, 3, pads=[1, 1, 1, 1], group=4)
    g.node("Add", "", source)
    g.node("LeakyRelu", alpha=0.1)
    g.node("Concat", "", source, axis=1)
    g.node("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    g.node("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    g.node("Resize", "", "", g.constant(np.array([1, 1, 2, 2], np.float32)), mode="nearest")
    maps = g.node("DepthToSpace", blocksize=2, mode="CRD")
    g.node("Mul", maps, g.node("Sigmoid", g.node("GlobalAveragePool")))
    kernels = g.constant(g.rng.normal(0, 0.3, (2, 8, 2, 2)).astype(np.float32))
    g.node("ConvTranspose", "", kernels, strides=[2, 2], output_padding=[1, 1])
    g.node("MaxPool", kernel_shape=[8, 8], strides=[8, 8])
    maps = g.node("Transpose", perm=[0, 2, 3, 1])
    size = g.node("Gather", g.node("Shape"), g.constant(np.int64(0)), axis=0)
    batch = g.node("Unsqueeze", size, g.constant(np.array([0])))
    g.node("Reshape", maps, g.node("Concat", batch, g.constant(np.array([-1])), axis=0))
    features = g.gemm(5, 32)
    g.node("Mul", features, g.node("Sigmoid", features))
    g.node("Mul", "", g.constant(np.float32(2)))
    g.node("Softmax", axis=-1)
    return g


def mobilenet_v2(side: int = 8, classes: int = 10) -> Drawing:
    """Return inverted residual blocks as torchvision exports them, with ReLU6 behind all but the last convolution."""
    g = Drawing("batch", 1, side, side)

    def relu6(outputs: int, maps: int, kernel: int, **more: object) -> str:
        g.conv(outputs, maps, kernel, bias=False, **more)
        g.norm(outputs)
        return g.node("Clip", "", g.constant(np.float32(0)), g.constant(np.float32(6)))

    source, maps = relu6(8, 1, 3, pads=[1, 1, 1, 1]), 8
    for outputs, stride in ((8, 1), (12, 2), (12, 1)):
        relu6(4 * maps, maps, 1)
        relu6(4 * maps, 4 * maps, 3, pads=[1, 1, 1, 1], strides=[stride, stride], group=4 * maps)
        g.conv(outputs, 4 * maps, 1, bias=False)
        g.norm(outputs)
        if outputs == maps:
            g.node("Add", source, "")
        source, maps = g.last, outputs
    relu6(32, maps, 1)
    g.node("GlobalAveragePool")
    g.node("Flatten")
    g.gemm(classes, 32)
    return g


def squeezenet(side: int = 8, classes: int = 10) -> Drawing:
    """Return fire modules, whose two halves are joined, and a skip across the last of them, as U-Nets have it."""
    g = Drawing("batch", 1, side, side)

    def relu(outputs: int, maps: int, kernel: int, source: str = "") -> str:
        g.conv(outputs, maps, kernel, source, pads=[kernel // 2] * 4)
        return g.node("Relu")

    def fire(maps: int) -> str:
        squeezed = relu(4, maps, 1)
        return g.node("Concat", relu(6, 4, 1, squeezed), relu(8, 4, 3, squeezed), axis=1)

    relu(8, 1, 3)
    fire(8)
    skip = g.node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=0)
    g.node("Concat", skip, fire(14), axis=1)
    fire(28)
    relu(classes, 14, 1)
    g.node("GlobalAveragePool")
    g.node("Flatten")
    return g


def quantized_model(qonnx: bool) -> Quantized:
    """Return a small quantised network."""
    g = Quantized(1, 2, 8, 8, qonnx=qonnx)
    g.quantize(0.25)
    g.qconv(4, 2, step=np.array([0.5, 0.125, 0.25, 0.0625]), pads=[1, 1, 1, 1])
    g.node("Relu")
    source = g.quantize(0.5, 6, signed=False)
    g.qconv(4, 4, reads=0.5, group=2, pads=[1, 1, 1, 1])
    branch = g.quantize(0.5, 6)
    g.node("Add", source, branch)
    g.quantize(1.0, 4, signed=False)
    g.node("GlobalAveragePool")
    g.quantize(0.25, 6, signed=False)
    g.node("Flatten")
    g.node("Gemm", "", g.coded(g.rng.integers(-7, 8, (3, 4)), 0.125, 4), transB=1)
    return g


def qlinear_model() -> Quantized:
    """Return a small network of integer operators."""
    g = Quantized(1, 2, 8, 8)
    step, zero = g.constant(np.float32(0.25)), g.constant(np.int8(0))
    g.node("QuantizeLinear", "", step, zero)
    weight = g.constant(g.rng.integers(-7, 8, (4, 2, 3, 3)).astype(np.int8))
    bias = g.constant(g.rng.integers(-50, 50, 4).astype(np.int32))
    g.node("QLinearConv", "", step, zero, weight, step, zero, step, zero, bias)
    g.node("Flatten")
    matrix = g.constant(g.rng.integers(-7, 8, (144, 5)).astype(np.int8))
    g.node("QLinearMatMul", "", step, zero, matrix, step, zero, step, zero)
    g.node("DequantizeLinear", "", step, zero)
    return g


def int8_model() -> Quantized:
    """Return a network of onnxruntime's operators on integers, zero points in all of them."""
    g = Quantized(1, 2, 8, 8)
    unit = {"domain": "com.microsoft"}

    def step(value: float, zero: int) -> tuple[str, str]:
        return g.constant(np.float32(value)), g.constant(np.int8(zero))

    # even ones: onnxruntime's pools and sums round halves to an even code after they add the zero point
    pixel, left, right, both = step(0.25, 5), step(0.5, -4), step(1.0, 10), step(1.0, -20)
    weights = step(0.125, 0)
    image = g.node("QuantizeLinear", "", *pixel)

    def conv(output: tuple[str, str]) -> str:
        weight = g.constant(g.rng.integers(-7, 8, (4, 2, 3, 3)).astype(np.int8))
        bias = g.constant(g.rng.integers(-50, 50, 4).astype(np.int32))
        return g.node("QLinearConv", image, *pixel, weight, *weights, *output, bias, pads=[1, 1, 1, 1])

    one, other = conv(left), conv(right)
    added = g.node("QLinearAdd", one, *left, other, *right, *both, **unit)
    joined = g.node("QLinearConcat", *both, one, *left, added, *both, axis=1, **unit)
    pooled = g.node(
        "QLinearAveragePool", joined, *both, *left, kernel_shape=[2, 2], strides=[2, 2], channels_last=0, **unit
    )
    g.node("QLinearGlobalAveragePool", pooled, *left, *left, channels_last=0, **unit)
    flat = g.node("Flatten")
    matrix, bias = g.constant(g.rng.integers(-7, 8, (5, 8)).astype(np.int8)), g.constant(np.arange(5, dtype=np.int32))
    scores = g.node("QGemm", flat, *left, matrix, *weights, bias, *right, transB=1, alpha=1.0, **unit)
    softmax = step(1 / 256, -128)
    g.node("QLinearSoftmax", scores, *right, *softmax, axis=-1, opset=13, **unit)
    g.node("DequantizeLinear", "", *softmax)
    return g


MODELS = {
    "float": float_model,
    "qonnx": lambda: quantized_model(True),
    "qcdq": lambda: quantized_model(False),
    "qlinear": qlinear_model,
    "int8": int8_model,
}
