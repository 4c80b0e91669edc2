"""The table of operators: each has a network here, and goes as far as the table says."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.onnx_graphs import Array, Drawing, images
from support.onnx_quantized import QONNX, Quantized

from accel.demand import array_for
from accel.errors import EspalierError
from accel.interchange.onnx.reading.model import ImportedProgram, import_model
from accel.interchange.onnx.reading.table import OF_TWO_SIGNALS, operators
from accel.program import Program
from accel.quantize import Widths, lower
from rtl.assemble import assemble
from sim import golden
from sim.engine import compile_program

Draw = Callable[[Drawing], object]  # adds nodes behind 4 maps of 6 x 6
SHAPE = 2, 8, 8
ROWS = {row.name: row for row in operators()}


def op(name: str, *constants: object, **attributes: object) -> Draw:
    """Return what adds one node with these constants."""
    return lambda g: g.node(name, "", *(g.constant(np.asarray(x)) for x in constants), **attributes)


def flat(*draws: Draw) -> Draw:
    """Return what adds a Flatten, and then nodes behind 144 features."""

    def draw(g: Drawing) -> None:
        g.node("Flatten")
        for each in draws:
            each(g)

    return draw


def matrix(g: Drawing, rows: int, columns: int) -> str:
    """Add a constant matrix, of codes where signals are codes."""
    codes = g.rng.integers(-7, 8, (rows, columns))
    return g.coded(codes, 0.125) if isinstance(g, Quantized) else g.constant((codes / 32).astype(np.float32))


def twice(name: str, **attributes: object) -> Draw:
    """Return what adds a node of a signal and a ReLU of it."""

    def draw(g: Drawing) -> None:
        source = g.last
        g.node("Relu")
        other = g.quantize(0.25) if isinstance(g, Quantized) else g.last
        g.node(name, source, other, **attributes)

    return draw


def sizes(g: Drawing) -> None:
    """Flatten as PyTorch writes it where the batch is open: sizes are taken, cast, joined and used."""
    source = g.last
    whole = g.node("Shape", source)
    first = g.node("Gather", whole, g.constant(np.int64(0)), axis=0)
    kept = g.node("Squeeze", g.node("Unsqueeze", first, g.constant(np.array([0]))), g.constant(np.array([0])))
    kept = g.node("Unsqueeze", g.node("Cast", kept, to=7), g.constant(np.array([0])))
    wanted = g.node("Concat", kept, g.constant(np.array([-1])), axis=0)
    g.node("Reshape", source, wanted)


def split(g: Drawing) -> None:
    """Split maps into halves, and join them the other way round."""
    g.node("Split", outputs=["left", "right"], axis=1, num_outputs=2)
    g.node("Concat", "right", "left", axis=1)


def norm(g: Drawing) -> None:
    """Add a batch norm of whole numbers."""
    ones, zeros = np.ones(4, np.float32), np.zeros(4, np.float32)
    g.node("BatchNormalization", "", *map(g.constant, (ones, zeros, zeros, ones)), epsilon=0.0)


def transposed(g: Drawing) -> None:
    """Go to channels-last and back."""
    g.node("Transpose", perm=[0, 2, 3, 1])
    g.node("Relu")
    g.node("Transpose", perm=[0, 3, 1, 2])


def cut_sizes(g: Drawing) -> None:
    """Flatten by the second and third size, which are cut out of all sizes and joined again."""
    source = g.last
    whole = g.node("Shape", source)
    ends = [g.node("Slice", whole, *(g.constant(np.array([x])) for x in cut)) for cut in ((0, 1), (1, 2))]
    rest = g.constant(np.array([-1]))
    g.node("Reshape", source, g.node("Concat", *ends, rest, axis=0))


def stored_weights(g: Drawing) -> None:
    """Convolve with weights that the file holds as integers."""
    codes = g.rng.integers(-127, 128, (3, 4, 3, 3)).astype(np.int8)
    before = g.last
    weight = g.node("DequantizeLinear", g.constant(codes), g.constant(np.float32(0.01)), g.constant(np.int8(0)))
    g.node("Conv", before, weight)


def padded(g: Drawing) -> None:
    """Put zeros around maps before a convolution."""
    g.node("Pad", "", g.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1])))
    EXAMPLES["Conv"](g)


def nothing(_: Drawing) -> None:
    """Add nothing: the quantisers are there."""


PLAIN = ("Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Relu", "Sigmoid", "Softplus", "Tanh", "Identity")
SIZES = ("Shape", "Gather", "Unsqueeze", "Squeeze", "Cast", "Reshape")
POOL = {"kernel_shape": [2, 2], "strides": [2, 2]}
WHOLE = np.full((4, 1, 1), 2, np.float32)
LARGER = np.array([1, 1, 2, 2], np.float32)
EXAMPLES: dict[str, Draw] = {
    **{name: op(name) for name in (*PLAIN, "GlobalAveragePool", "GlobalMaxPool", "Dropout", "Flatten")},
    **dict.fromkeys(SIZES, sizes),
    **{name: flat(op(name, axis=1)) for name in ("Softmax", "LogSoftmax", "ArgMax")},
    **{name: twice(name) for name in ("Add", "Sum", "Sub")},
    "Mul": op("Mul", WHOLE),
    "Div": op("Div", WHOLE),
    "Concat": twice("Concat", axis=1),
    "AveragePool": op("AveragePool", **POOL),
    "MaxPool": op("MaxPool", **POOL),
    "BatchNormalization": norm,
    "Clip": op("Clip", np.float32(0), np.float32(6)),
    "Constant": lambda g: g.node("Add", g.last, g.node("Constant", value_float=0.5)),
    "Conv": lambda g: g.qconv(3, 4) if isinstance(g, Quantized) else g.conv(3, 4, 3),
    "ConvTranspose": op("ConvTranspose", np.ones((4, 3, 2, 2), np.float32), strides=[2, 2]),
    "DepthToSpace": op("DepthToSpace", blocksize=2, mode="CRD"),
    "SpaceToDepth": op("SpaceToDepth", blocksize=2),
    "DequantizeLinear": stored_weights,
    "Gemm": flat(lambda g: g.node("Gemm", "", matrix(g, 5, 144), transB=1)),
    "MatMul": flat(lambda g: g.node("MatMul", "", matrix(g, 144, 5))),
    "PRelu": op("PRelu", np.full((4, 1, 1), 0.25, np.float32)),
    "Pad": padded,
    "ReduceMean": op("ReduceMean", np.array([2, 3])),
    "Resize": op("Resize", np.zeros(0, np.float32), LARGER),
    "Upsample": op("Upsample", LARGER),
    "Slice": op("Slice", np.array([1]), np.array([3]), np.array([1])),
    "Split": split,
    "Transpose": transposed,
}
OF_INTEGERS: dict[str, Draw] = EXAMPLES | {  # what a quantised file has otherwise
    "Slice": cut_sizes,
    **dict.fromkeys(("Quant", "IntQuant", "QuantizeLinear", "DequantizeLinear"), nothing),
}
BIASES: dict[str, Draw] = {  # between a convolution and its quantiser
    "Constant": EXAMPLES["Constant"],
    "Sub": op("Sub", np.full((4, 1, 1), 0.5, np.float32)),
}


def of_floats(name: str) -> Drawing:
    """Return a drawing of floats that has the operator."""
    g = Drawing("batch", *SHAPE, opset=9 if name == "Upsample" else 21)
    g.conv(4, 2, 3)
    EXAMPLES[name](g)
    return g


def of_integers(name: str) -> Quantized:
    """Return a quantised drawing that has the operator."""
    g = Quantized(1, *SHAPE, qonnx=name in ("Quant", "IntQuant"))
    g.quantize(0.25)
    g.qconv(4, 2)
    if name in BIASES:
        BIASES[name](g)
    g.quantize(0.25)
    if name not in BIASES:
        OF_INTEGERS[name](g)
    g.quantize(0.5)
    for node in g.nodes:
        node.op_type = "IntQuant" if name == "IntQuant" and node.op_type == "Quant" else node.op_type
    return g


def truncated() -> Drawing:
    """Return sums of four signals, whose two low bits go."""
    g = Quantized(1, *SHAPE, qonnx=True)
    g.quantize(0.25)
    g.qconv(4, 2)
    g.quantize(0.5, 4, signed=False)
    g.node("AveragePool", **POOL)
    g.node("Mul", "", g.constant(np.float32(4)))
    g.node("Trunc", "", *(g.constant(np.float32(x)) for x in (0.5, 0, 6, 4)), rounding_mode="FLOOR", domain=QONNX)
    return g


def by_the_quantizer(folder: Path) -> Path:
    """Return a file of onnxruntime's that has its operators on integers."""
    quantization = pytest.importorskip("onnxruntime.quantization", reason="needs onnxruntime (extra peers)")
    g = Drawing("batch", *SHAPE)
    g.conv(4, 2, 3)
    source = g.node("Relu")
    g.node("Concat", g.node("AveragePool", source, **POOL), g.node("MaxPool", source, **POOL), axis=1)
    source = g.last
    g.conv(8, 8, 1)
    g.node("Add", source, g.last)
    g.node("GlobalAveragePool")
    g.node("Flatten")
    g.gemm(6, 8)
    g.node("Relu")
    g.node("MatMul", "", g.constant(g.rng.normal(0, 0.5, (6, 4)).astype(np.float32)))
    g.node("Softmax", axis=1)
    path, feed = g.save(folder / "float.onnx"), iter([{"image": images(SHAPE, 8)}])
    reader = type("Reader", (quantization.CalibrationDataReader,), {"get_next": lambda self: next(feed, None)})
    logging.disable(logging.WARNING)
    quantization.quantize_static(path, folder / "model.onnx", reader(), quantization.QuantFormat.QOperator)
    logging.disable(logging.NOTSET)
    return folder / "model.onnx"


def program_of(path: Path, pixels: Array) -> Program:
    """Return the Program of a file: its own, or of 8 bits where it has floats."""
    found = import_model(path, multiplier_bits=32, nearest=True)
    return found.result if isinstance(found, ImportedProgram) else lower(found.result, Widths(8, 8), pixels)


def goes(program: Program, pixels: Array) -> None:
    """Raise AssertionError unless golden and engine agree, EspalierError unless an array is made."""
    codes = program.input_signal.encode(pixels)
    tensors = golden.run(program, codes)
    found = compile_program(program).run(codes, threads=1, keep_tensors=True).tensors
    assert [x for x in tensors if not np.array_equal(found[x], tensors[x])] == []
    assert assemble(program, array_for(program, 4, 4)).layers


@pytest.mark.slow
@pytest.mark.parametrize("name", [x for x in ROWS if ROWS[x].floats])
def test_floats(name: str, tmp_path: Path) -> None:
    """In a file of floats it is read, runs, and has an array."""
    g, pixels = of_floats(name), images(SHAPE)
    assert name in {node.op_type for node in g.nodes}
    program = program_of(g.save(tmp_path / "model.onnx"), pixels)
    goes(program, pixels)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*OF_INTEGERS, "Trunc"])
def test_integers(name: str, tmp_path: Path) -> None:
    """In a quantised file likewise; or it is refused there, as the table says."""
    g = truncated() if name == "Trunc" else of_integers(name)
    assert name in {node.op_type for node in g.nodes}
    pixels, path = images(g.input_shape[1:]), g.save(tmp_path / "model.onnx")
    if ROWS[name].integers:
        goes(program_of(path, pixels), pixels)
    else:
        with pytest.raises(EspalierError, match="is one that a quantised graph has no codes for"):
            import_model(path)


@pytest.mark.slow
def test_operators_on_integers(tmp_path: Path) -> None:
    """All that onnxruntime's quantiser writes go to the array, in one network."""
    path = by_the_quantizer(tmp_path)
    there = {node.op_type for node in onnx.load(path).graph.node}
    assert {name for name in ROWS if name.startswith("Q") and name not in OF_INTEGERS} <= there
    goes(program_of(path, images(SHAPE)), images(SHAPE))


def test_every_operator_has_a_network() -> None:
    """What the table has is what is tried here, and nothing else is said to be read."""
    tried = EXAMPLES.keys() | OF_INTEGERS.keys() | {"Trunc"}
    assert {name for name in ROWS if not name.startswith("Q")} == {x for x in tried if not x.startswith("Q")}
    assert all(row.about.endswith(".") for row in ROWS.values())


@pytest.mark.slow
def test_two_signals(tmp_path: Path) -> None:
    """Negative control: what the table says that the array does not run is refused by name."""
    assert {name for name in ROWS if ROWS[name].array != "yes"} == OF_TWO_SIGNALS.keys()
    g, pixels = Drawing("batch", *SHAPE), images(SHAPE)
    g.conv(4, 2, 3)
    twice("Mul")(g)
    program = program_of(g.save(tmp_path / "model.onnx"), pixels)
    with pytest.raises(EspalierError, match="the array runs no MulLayer yet"):
        goes(program, pixels)
