"""Quantised ONNX graphs for tests, node by node: QONNX, QDQ and QCDQ, with random codes."""

from typing import Any

import numpy as np

from support.onnx_graphs import Array, Drawing

QONNX = "qonnx.custom_op.general"


class Quantized(Drawing):
    """A drawing with quantisers: of signals, and of weights and biases that it draws as codes."""

    def __init__(self, *input_shape: int | str, qonnx: bool = False, seed: int = 0) -> None:
        super().__init__(*input_shape, seed=seed)
        self.qonnx = qonnx

    def quantize(
        self,
        step: float,
        bits: int = 8,
        signed: bool = True,
        source: str = "",
        dtype: Any = None,
        zero: int = 0,
        mode: str = "ROUND",
        narrow: int = 0,
    ) -> str:
        """Add a quantiser of a signal, and what makes real values of its codes again."""
        if self.qonnx:
            inputs = [self.constant(np.float32(x)) for x in (step, zero, bits)]
            settings = {"signed": int(signed), "narrow": narrow, "rounding_mode": mode, "domain": QONNX}
            return self.node("Quant", source, *inputs, **settings)
        dtype = dtype or (np.int8 if signed else np.uint8)
        constants = self.constant(np.float32(step)), self.constant(dtype(zero))
        codes = self.node("QuantizeLinear", source, *constants)
        if bits < 8:
            low = -(1 << (bits - 1)) + narrow if signed else 0
            high = (1 << (bits - signed)) - 1
            bounds = [self.constant(dtype(bound + zero)) for bound in (low, high)]
            codes = self.node("Clip", codes, *bounds)
        return self.node("DequantizeLinear", codes, *constants)

    def coded(self, codes: Array, step: Any, bits: int = 8, axis: int = 0, dtype: Any = np.int8, zero: int = 0) -> str:
        """Add a constant of codes; `step` is one number or one for each index of `axis`."""
        before, steps = self.last, np.asarray(step, np.float32)
        if self.qonnx:
            shape = [-1 if index == axis else 1 for index in range(codes.ndim)]
            wide = steps.reshape(shape) if steps.ndim else steps
            inputs = [self.constant(x) for x in ((codes * wide).astype(np.float32), wide, np.float32(0))]
            output = self.node("Quant", *inputs, self.constant(np.float32(bits)), signed=1, narrow=0, domain=QONNX)
        else:
            stored = self.constant((codes + zero).astype(dtype))
            zeros = self.constant(np.broadcast_to(dtype(zero), steps.shape))
            output = self.node("DequantizeLinear", stored, self.constant(steps), zeros, axis=axis if steps.ndim else 1)
        self.last = before
        return output

    def qconv(
        self, outputs: int, maps: int, kernel: int = 3, step: Any = 0.125, reads: float = 0.25, **more: Any
    ) -> str:
        """Add a convolution of 4-bit weights, with a bias in steps of its sums."""
        bias = more.pop("bias", True)
        source, group = more.pop("source", ""), more.get("group", 1)
        codes = self.rng.integers(-7, 8, (outputs, maps // group, kernel, kernel))
        inputs = [source, self.coded(codes, step, 4)]
        if bias:
            numbers = self.rng.integers(-50, 50, outputs)
            inputs.append(self.coded(numbers, np.asarray(step) * reads, 32, dtype=np.int32))
        return self.node("Conv", *inputs, **more)


def small(qonnx: bool = False) -> Quantized:
    """Return a drawing for images of 2 maps of 8 x 8, quantised to steps of one quarter."""
    g = Quantized(1, 2, 8, 8, qonnx=qonnx)
    g.quantize(0.25)
    return g
