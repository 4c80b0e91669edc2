"""Networks as Brevitas's tutorials have them, batch norms of floats and scales of floats included, become Programs.

A batch norm's offset is no whole number of steps of the sums before it, so that `nearest` is asked for; where there is
no batch norm every code is the file's.
"""

import contextlib
import io
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.onnx_graphs import images, runtime_tensors

from accel.demand import array_for
from accel.errors import EspalierError
from accel.interchange.onnx.reading.model import ImportedProgram, import_model
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


def share(path: Path, found: ImportedProgram) -> float:
    """Return the share of signals' codes that are the file's; raise AssertionError unless the engine has golden's.

    Scores are no signals: they are sums, and one 4-bit code that differs changes all of an image.
    """
    program, batch = found.result, images(SHAPE, 16, 99)
    ours = golden.run(program, program.input_signal.encode(batch))
    engine = compile_program(program).run(ours["input"], threads=1, keep_tensors=True).tensors
    assert [name for name in ours if not np.array_equal(engine[name], ours[name])] == []
    theirs = runtime_tensors(path, batch, [*found.tensors.values()])
    steps = {name: program.signals[name].step for name in found.tensors}
    codes = {name: np.rint(theirs[tensor] / steps[name]) for name, tensor in found.tensors.items()}
    equal = np.concatenate([(codes[x] == ours[x]).ravel() for x in codes if x != program.output])
    assert len(codes) >= 4
    return float(equal.mean())


@pytest.mark.parametrize("name", MODELS)
def test_codes(tmp_path: Path, name: str) -> None:
    """Each is a Program that an array holds; of signals' codes 99 of 100 are the file's, without a norm all."""
    path = exported(name, tmp_path)
    if name != "lenet":
        with pytest.raises(EspalierError, match="a batch norm of floats stands before a quantiser; fold it into"):
            import_model(path)
    found = import_model(path, nearest=name != "lenet")
    assert isinstance(found, ImportedProgram)
    assert share(path, found) >= (1 if name == "lenet" else 0.99)
    assert array_for(found.result, 4, 4)


def test_a_wrong_multiplier_is_seen(tmp_path: Path) -> None:
    """Negative control: with codes of the first layer half as large, far fewer are the file's."""
    path = exported("vgg", tmp_path)
    found = import_model(path, nearest=True)
    assert isinstance(found, ImportedProgram)
    first = found.result.mac_layers[0]
    assert first.requantize is not None
    halved = replace(first, requantize=replace(first.requantize, shift=first.requantize.shift + 1))
    layers = tuple(halved if x is first else x for x in found.result.layers)
    assert share(path, replace(found, result=replace(found.result, layers=layers))) < 0.9
