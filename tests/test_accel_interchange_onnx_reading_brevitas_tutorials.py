"""Networks as Brevitas's tutorials have them become Programs with the file's codes.

Batch norms of floats and scales of floats are included: what a batch norm adds is no whole number of steps of the sums
before it, and becomes an offset of their requantisation.
"""

import contextlib
import io
import warnings
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from support.onnx_graphs import images, runtime_tensors

from accel.demand import array_for
from accel.errors import EspalierError
from accel.fixedpoint import Rounding
from accel.interchange.onnx.reading.exact_scale import rounded
from accel.interchange.onnx.reading.model import ImportedProgram, import_model
from accel.program_layers import MacLayer
from accel.signal import Signal
from sim import golden
from sim.engine import compile_program

REASON = "the referee is Brevitas (extra brevitas, after PyTorch)"
torch = pytest.importorskip("torch", reason=REASON)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    qnn = pytest.importorskip("brevitas.nn", reason=REASON)
    from brevitas.export import export_onnx_qcdq
    from brevitas.quant import Int8WeightPerChannelFloat, Int8WeightPerTensorFloat, Int32Bias

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of PyTorch's exporter, about itself
nn = torch.nn
SHAPE = (3, 16, 16)
WIDE = "cnv of 8 bits"  # weights; its codes, of 4 bits, are apart by less than 16-bit multipliers tell


def act(bits: int = 4, signed: bool = True) -> Any:
    """Return a quantiser, or a ReLU with one."""
    return (qnn.QuantIdentity if signed else qnn.QuantReLU)(bit_width=bits, return_quant_tensor=True)


def conv(
    maps: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1, norm: bool = True, bits: int = 4,
    per_map: bool = False,
) -> list[Any]:  # fmt: skip
    """Return a convolution, a batch norm or a bias, and a ReLU."""
    weights = Int8WeightPerChannelFloat if per_map else Int8WeightPerTensorFloat
    bias = {} if norm else {"bias_quant": Int32Bias}
    given = {"weight_bit_width": bits, "weight_quant": weights, "bias": not norm, "groups": groups, **bias}
    layer = qnn.QuantConv2d(maps, outputs, kernel, stride, kernel // 2, **given)
    return [layer, *([nn.BatchNorm2d(outputs)] if norm else []), act(bits, signed=False)]


def linear(features: int, outputs: int, norm: bool = False, bias: bool = False, bits: int = 4) -> list[Any]:
    """Return a fully connected layer, with a batch norm and a ReLU behind it if asked for."""
    given = {"bias_quant": Int32Bias} if bias else {}
    layer = qnn.QuantLinear(features, outputs, bias=bias, weight_bit_width=bits, **given)
    return [layer, *([nn.BatchNorm1d(outputs), act(bits, signed=False)] if norm else [])]


def lenet() -> Any:
    """Return the tutorials' LeNet: biases, and no batch norm."""
    convs = *conv(3, 6, 5, norm=False), nn.MaxPool2d(2), *conv(6, 16, 5, norm=False), nn.MaxPool2d(2), nn.Flatten()
    return nn.Sequential(act(8), *convs, *linear(256, 24, bias=True), act(signed=False), *linear(24, 10, bias=True))


def cnv(bits: int = 4) -> Any:
    """Return CNV of BNN-PYNQ: batch norms behind convolutions and a fully connected layer."""
    convs = *conv(3, 8, bits=bits), *conv(8, 8, bits=bits), nn.MaxPool2d(2), *conv(8, 12, bits=bits), nn.MaxPool2d(2)
    return nn.Sequential(act(8), *convs, nn.Flatten(), *linear(192, 16, norm=True, bits=bits), *linear(16, 10))


def tfc() -> Any:
    """Return TFC of BNN-PYNQ: fully connected layers, batch norms, dropouts."""
    first, second = linear(768, 32, norm=True), linear(32, 32, norm=True)
    return nn.Sequential(act(8), nn.Flatten(), nn.Dropout(0.2), *first, nn.Dropout(0.2), *second, *linear(32, 10))


def mobilenet() -> Any:
    """Return depthwise separable convolutions with batch norms, and an average that is quantised again."""
    parts = *conv(3, 8, stride=2), *conv(8, 8, groups=8), *conv(8, 16, 1), *conv(16, 16, 3, 2, 16), *conv(16, 24, 1)
    return nn.Sequential(act(8), *parts, nn.AvgPool2d(4), nn.Flatten(), act(8), *linear(24, 10, bias=True))


def vgg() -> Any:
    """Return convolutions with batch norms, and max pools."""
    parts = (x for maps, outputs in ((3, 8), (8, 12), (12, 16)) for x in (*conv(maps, outputs), nn.MaxPool2d(2)))
    return nn.Sequential(act(8), *parts, nn.Flatten(), *linear(64, 10, bias=True))


def per_map() -> Any:
    """Return strided convolutions whose weights have a step for each map."""
    parts = *conv(3, 8, stride=2, per_map=True), *conv(8, 8, stride=2, per_map=True)
    return nn.Sequential(act(8), *parts, nn.Flatten(), *linear(128, 10, bias=True))


class Residual(nn.Module):  # type: ignore[misc]  # PyTorch is Any here
    """A residual block with batch norms, both of whose sides one quantiser gives."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.first = act(8), nn.Sequential(*conv(3, 8))
        self.second = nn.Sequential(*conv(8, 8)[:2])
        self.shared, self.relu, self.mean = act(), act(signed=False), act(8)
        self.scores = linear(8, 10, bias=True)[0]

    def forward(self, x: Any) -> Any:
        """Return the scores."""
        x = self.first(self.image(x))
        x = self.relu(self.shared(self.second(x)) + self.shared(x))
        return self.scores(self.mean(x.value.mean((2, 3))))


MODELS: dict[str, Callable[[], Any]] = {
    "lenet": lenet,
    "cnv": cnv,
    "cnv of 8 bits": lambda: cnv(8),
    "tfc": tfc,
    "mobilenet": mobilenet,
    "vgg": vgg,
    "per map": per_map,
    "residual": Residual,
}


def exported(name: str, folder: Path) -> Path:
    """Return the file that Brevitas writes of a network whose quantisers and norms have seen images."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, path = MODELS[name](), folder / "model.onnx"
    for seed in range(6):
        model(torch.from_numpy(images(SHAPE, 8, seed)))
    with contextlib.redirect_stdout(io.StringIO()):
        example = torch.from_numpy(images(SHAPE, 1))
        export_onnx_qcdq(model.eval(), args=example, export_path=str(path), dynamo=False)
    torch.set_num_threads(threads)
    return path


def our_codes(found: ImportedProgram) -> dict[str, NDArray[np.int64]]:
    """Return golden's codes of images; raise AssertionError unless the engine has the same."""
    program, batch = found.result, images(SHAPE, 16, 99)
    ours = golden.run(program, program.input_signal.encode(batch))
    engine = compile_program(program).run(ours["input"], threads=1, keep_tensors=True).tensors
    assert [name for name in ours if not np.array_equal(engine[name], ours[name])] == []
    return ours


def differing(path: Path, found: ImportedProgram) -> int:
    """Return how many codes of signals are not those that onnxruntime gives for the file.

    Scores are no signals: they are sums.
    """
    program, ours = found.result, our_codes(found)
    theirs = runtime_tensors(path, images(SHAPE, 16, 99), [*found.tensors.values()])
    steps = {name: program.signals[name].step for name in found.tensors if name != program.output}
    codes = {name: np.rint(theirs[found.tensors[name]] / step) for name, step in steps.items()}
    assert len(codes) >= 3
    return sum(int((codes[name] != ours[name]).sum()) for name in codes)


def exact_codes(path: Path, layer: MacLayer, reads: Signal, x: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the codes that the numbers of the file say as reals for a layer with a batch norm, given what it reads.

    Every number is exact but for the square root of the variance, which has 17 digits.
    """
    graph = onnx.load(path).graph
    known = {x.name: numpy_helper.to_array(x) for x in graph.initializer}
    known |= {x.output[0]: numpy_helper.to_array(x.attribute[0].t) for x in graph.node if x.op_type == "Constant"}
    makers, readers = ({name: x for x in graph.node for name in getattr(x, side)} for side in ("output", "input"))
    node = next(x for x in graph.node if x.name == layer.name)
    source, turned = makers[node.input[1]], makers[node.input[1]].op_type == "Transpose"
    weights = makers[source.input[0]] if turned else source
    codes = torch.from_numpy(known[makers[weights.input[0]].input[0]].astype(np.float64))
    steps = np.broadcast_to(known[weights.input[1]].astype(np.float64), codes.shape[0]).tolist()
    settings = {x.name: onnx.helper.get_attribute_value(x) for x in node.attribute}
    signals = torch.from_numpy(x.astype(np.float64))
    if node.op_type == "Conv":
        sizes = {"stride": settings["strides"], "padding": settings["pads"][:2], "groups": settings["group"]}
        sums = torch.conv2d(signals, codes, **sizes).numpy()
    else:
        sums = (signals @ codes.T).numpy()
    norm = readers[node.output[0]]
    scale, shift, mean, variance = (known[name].astype(np.float64) for name in norm.input[1:])
    epsilon = next(x.f for x in norm.attribute if x.name == "epsilon")
    after = readers[norm.output[0]]
    relu = after.op_type == "Relu"
    step = Fraction(float(known[(readers[after.output[0]] if relu else after).input[1]]))
    found = np.empty(sums.shape, np.int64)
    form = layer.output.format
    for row in range(sums.shape[1]):
        gain = float(scale[row] / np.sqrt(variance[row] + epsilon))
        offset = Fraction(float(shift[row])) - Fraction(float(mean[row])) * Fraction(gain)
        unit = Fraction(steps[row]) * Fraction(reads.step) * Fraction(gain)
        for number in np.unique(sums[:, row]).tolist():
            value = int(number) * unit + offset
            code = rounded((max(value, Fraction(0)) if relu else value) / step, Rounding.RND_CONV)
            found[:, row][sums[:, row] == number] = min(max(code, form.min_code), form.max_code)
    return found


@pytest.mark.parametrize("name", MODELS)
def test_codes(tmp_path: Path, name: str) -> None:
    """Each is a Program that an array holds; every code is the file's, by onnxruntime and by exact numbers."""
    path = exported(name, tmp_path)
    if name == WIDE:
        with pytest.raises(
            EspalierError, match=r"no 16-bit multiplier, offset and shift .* --multiplier-bits 32 may find"
        ):
            import_model(path)
    found = import_model(path, multiplier_bits=32 if name == WIDE else 16)
    assert isinstance(found, ImportedProgram)
    assert differing(path, found) == 0
    ours, program = our_codes(found), found.result
    layers = [x for x in program.mac_layers if x.requantize is not None and x.requantize.offsets is not None]
    assert (len(layers) > 1) == (name != "lenet")
    for layer in layers:
        (source,) = layer.inputs
        assert np.array_equal(exact_codes(path, layer, program.signals[source], ours[source]), ours[layer.name])
    assert array_for(program, 4, 4).offset_bits == max(
        (x.requantize.offset_bits for x in layers if x.requantize), default=0
    )


def test_the_nearest_is_near(tmp_path: Path) -> None:
    """With 16-bit multipliers codes of 8 bits are nearly all the file's; no layer's bias is rounded for it."""
    path = exported(WIDE, tmp_path)
    found = import_model(path, nearest=True)
    assert isinstance(found, ImportedProgram)
    (note,) = (note for note in found.notes if note.startswith("nearest: "))
    assert "by multipliers of at most 16 bits" in note
    assert "bias" not in note
    assert 0 < differing(path, found) < 2000


@pytest.mark.parametrize("what", ["offsets", "shift"])
def test_wrong_numbers_are_seen(tmp_path: Path, what: str) -> None:
    """Negative control: without a layer's offsets, or with codes half as large, both referees see others."""
    path = exported("vgg", tmp_path)
    found = import_model(path)
    assert isinstance(found, ImportedProgram)
    first = found.result.mac_layers[0]
    assert first.requantize is not None
    changed = {"offsets": None} if what == "offsets" else {"shift": first.requantize.shift + 1}
    wrong = replace(first, requantize=replace(first.requantize, **changed))  # type: ignore[arg-type]
    layers = tuple(wrong if x is first else x for x in found.result.layers)
    other = replace(found, result=replace(found.result, layers=layers))
    assert differing(path, other) > 0
    ours = our_codes(other)
    assert not np.array_equal(exact_codes(path, wrong, other.result.input_signal, ours["input"]), ours[first.name])
