"""Programs whose arithmetic ONNX has, and the runtimes that judge what they are exported as: onnxruntime and qonnx."""

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import reject
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat, Overflow, Rounding
from accel.interchange import zoo
from accel.interchange.data import datasets
from accel.interchange.onnx.writing.formats import export_model
from accel.interchange.zoo.architectures import resnet20
from accel.layers import BatchNorm, Layer, Weighted
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import AddLayer, AvgPoolLayer, MacLayer, ProgramLayer
from accel.pruned import PrunedNetwork
from accel.quantize import Steps, Widths, lower
from accel.signal import Requantize, Signal, sum_bits
from sim.engine import compile_program
from support.programs import programs

Codes = NDArray[np.int64]
Tensors = dict[str, NDArray[Any]]
IMAGES = 500
NETWORKS = ("lenet5", "cifar-quick", "resnet20")
PEERS = "needs {0}: pip install espalier-hw[peers]"


def trained(name: str, pattern: str | None = None) -> PrunedNetwork:
    """Return a network of the zoo, or ResNet-20 with random weights and batch norms."""
    if name != "resnet20":
        return zoo.load(name, pattern)
    rng = np.random.default_rng(0)
    network = resnet20()
    return PrunedNetwork(
        replace(network, layers=tuple(_drawn(layer, rng) for layer in network.layers)), data="cifar-10"
    )


def _drawn(layer: Layer, rng: np.random.Generator) -> Layer:
    if isinstance(layer, Weighted):
        scale = math.sqrt(2 / math.prod(layer.weight.shape[1:]))
        return replace(layer, weight=np.float32(rng.normal(0, scale, layer.weight.shape)))
    if isinstance(layer, BatchNorm):
        gain, variance = rng.uniform(0.5, 1.2, (2, layer.scale.size))
        shift, mean = rng.normal(0, 0.2, (2, layer.scale.size))
        return replace(layer, scale=np.float32(gain), shift=np.float32(shift), mean=np.float32(mean),
                       variance=np.float32(variance))  # fmt: skip
    return layer


@cache
def pixels(data: str, shape: tuple[int, ...], count: int) -> NDArray[np.float32]:
    """Return images in 0..1: test images where ESPALIER_DATA says where they lie, else random ones, mostly dark."""
    if os.environ.get(datasets.DATA_DIR_VARIABLE):
        return datasets.load(data, "test").take(count).pixels()
    return np.random.default_rng(1).random((count, *shape), np.float32) ** 3


@cache
def exportable(name: str, weight_bits: int = 8, signal_bits: int = 8, pattern: str | None = None) -> Program:
    """Return a network's Program of power-of-two steps that rounds ties to even."""
    pruned = trained(name, pattern)
    images = pixels(pruned.data, pruned.network.input_shape, 20)
    return lower(pruned, Widths(weight_bits, signal_bits), images, Steps(power_of_two=True), rounding=Rounding.RND_CONV)


@cache
def expected(program: Program, count: int = IMAGES) -> Tensors:
    """Return the engine's codes of every tensor, the input's included."""
    codes = program.input_signal.encode(pixels(program.data, program.input_shape, count))
    tensors = compile_program(program).run(codes, keep_tensors=True).tensors
    assert all(np.unique(tensor).size > 1 for tensor in tensors.values())  # nothing died on the way
    return tensors


def onnxruntime_tensors(model: bytes, names: Sequence[str], images: NDArray[Any], plain: bool = True) -> Tensors:
    """Return tensors of a model by name; onnxruntime rewrites the graph first unless it is to run it `plain`."""
    ort = pytest.importorskip("onnxruntime", reason=PEERS.format("onnxruntime"))
    graph = onnx.load_from_string(model)
    known = {output.name for output in graph.graph.output}
    graph.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in known)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")  # or pairs saturate on processors without VNNI
    if plain:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run([*names], {"image": images.astype(np.float32)}), strict=True))


def reference_tensors(model: bytes, names: Sequence[str], images: NDArray[Any]) -> Tensors:
    """Return the tensors that ONNX's own definition of the operators gives."""
    graph = onnx.load_from_string(model)
    known = {output.name for output in graph.graph.output}
    graph.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in known)
    return dict(zip(names, ReferenceEvaluator(graph).run([*names], {"image": images.astype(np.float32)}), strict=True))


def qonnx_tensors(model: bytes, names: Sequence[str], images: NDArray[Any]) -> Tensors:
    """Return the tensors that qonnx's executor gives."""
    wrapper = pytest.importorskip("qonnx.core.modelwrapper", reason=PEERS.format("qonnx"))
    executor = pytest.importorskip("qonnx.core.onnx_exec", reason=PEERS.format("qonnx"))
    shapes = pytest.importorskip("qonnx.transformation.infer_shapes", reason=PEERS.format("qonnx"))
    graph = onnx.load_from_string(model)
    for value in (*graph.graph.input, *graph.graph.output):  # the executor takes no open batch
        value.type.tensor_type.shape.dim[0].dim_value = len(images)
    wrapped = wrapper.ModelWrapper(graph).transform(shapes.InferShapes())
    found = executor.execute_onnx(wrapped, {"image": images.astype(np.float32)}, return_full_exec_context=True)
    return {name: found[name] for name in names}


def differing(program: Program, tensors: Tensors, codes: Tensors, holds_codes: bool) -> list[str]:
    """Return the tensors that differ from the engine's `codes`; all but QLinear's hold code * step."""
    wrong = []
    for name, found in tensors.items():
        real = not holds_codes or name == program.output
        wanted = codes[name] * program.signals[name].step if real else codes[name]
        wrong += [] if found.shape == wanted.shape and np.array_equal(found, wanted) else [name]
    return wrong


def check(program: Program, form: str, codes: Tensors, plain: bool = True) -> None:
    """Raise AssertionError unless the format's runtime gives the engine's codes of every tensor."""
    model = export_model(program, form)[0]
    onnx.checker.check_model(model, full_check=form != "qonnx")
    images = program.input_signal.decode(codes[INPUT])
    names = [*program.shapes]
    if form == "qonnx":
        found = qonnx_tensors(model, names, images)
    else:
        found = onnxruntime_tensors(model, names, images, plain)
    assert differing(program, found, codes, form == "qlinear") == []


def refusal(program: Program, form: str) -> str | None:
    """Return the line with which an export is refused, or None."""
    try:
        export_model(program, form)
    except EspalierError as error:
        return str(error)
    return None


def with_one_code_changed(model: bytes, tensor: str, amount: float = 1, place: int | None = None) -> bytes:
    """Return a model in which the largest weight of `tensor`, or that at a place, is lowered by `amount`."""
    graph = onnx.load_from_string(model)
    (stored,) = (x for x in graph.graph.initializer if x.name == tensor)
    array = np.array(numpy_helper.to_array(stored))
    array.flat[array.argmax() if place is None else place] -= amount
    stored.CopyFrom(numpy_helper.from_array(array, tensor))
    return graph.SerializeToString()


def kinds_of(model: bytes) -> dict[str, int]:
    """Return how many nodes of each kind a model has."""
    ops = [node.op_type for node in onnx.load_from_string(model).graph.node]
    return {op: ops.count(op) for op in ops}


def shifted(program: Program, longest: int = 16) -> Program:
    """Return a Program of the same layers and weights whose steps are powers of two, and which rounds ties to even.

    No signal has more than `longest` bits, no bias more than 20.
    """
    reads = Signal(_even(program.input_signal.format, longest), 0.125)
    signals, layers = {INPUT: reads}, []
    for layer in program.layers:
        layers.append(_shifted(layer, [signals[source] for source in layer.inputs], longest))
        signals[layer.name] = layers[-1].output_signal(*(signals[source] for source in layer.inputs))
    return replace(program, input_signal=reads, layers=tuple(layers))


def _shifted(layer: ProgramLayer, reads: list[Signal], longest: int) -> ProgramLayer:
    if isinstance(layer, MacLayer):
        most = (1 << 19) - 1
        bias = {"bias": np.clip(layer.bias, -most, most), "bias_bits": min(layer.bias_bits, 20)}
        layer = replace(layer, weight_steps=np.array([0.25]), **bias)
        step = 0.25 * reads[0].step
        if layer.requantize is None:
            return replace(layer, output=replace(layer.output, step=step))
        return _requantized(layer, step, longest)
    if isinstance(layer, AvgPoolLayer):
        if layer.window.taps.bit_count() != 1:
            reject()  # no mean is a shift
        return _requantized(layer, reads[0].step / layer.window.taps, longest)
    if isinstance(layer, AddLayer):
        least = min(signal.step for signal in reads)
        weights = tuple(int(signal.step / least) for signal in reads)
        if max(weights) >= 1 << 12:
            reject()  # no sum holds both
        bits = sum_bits(weights, [signal.format for signal in reads])
        return _requantized(replace(layer, weights=weights, accumulator_bits=bits), least, longest)
    return layer


def _requantized(layer: Any, step: float, longest: int) -> Any:
    shift = min(layer.requantize.shift, layer.accumulator_bits)
    output = Signal(_even(layer.output.format, longest), step * 2.0**shift)
    return replace(layer, requantize=Requantize([1], shift), output=output)


def _even(form: FixedFormat, longest: int) -> FixedFormat:
    overflow = Overflow.SAT_SYM if form.overflow == Overflow.SAT_SYM else Overflow.SAT
    width = min(form.width, longest)
    return FixedFormat(width, width, form.signed, Rounding.RND_CONV, overflow)


@st.composite
def exact_programs(draw: st.DrawFn, longest: int = 16) -> Program:
    """Draw a Program that a format takes that has words of so many bits, but for sums that are too large."""
    return shifted(draw(programs(weight_bits=draw(st.integers(2, longest)))), longest)
