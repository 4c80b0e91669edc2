"""Networks that Brevitas quantises and exports, QONNX and QCDQ, are Programs with the very same codes."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.onnx_graphs import images, qonnx_tensors, runtime_tensors

from accel.interchange.onnx.reading.model import ImportedProgram, import_model
from accel.program_layers import MacLayer
from sim import golden
from sim.engine import compile_program

REASON = "the referee is Brevitas (extra brevitas, after PyTorch)"
torch = pytest.importorskip("torch", reason=REASON)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    qnn = pytest.importorskip("brevitas.nn", reason=REASON)
    from brevitas.export import export_onnx_qcdq, export_qonnx
    from brevitas.quant import Int32Bias, fixed_point

pytestmark = pytest.mark.filterwarnings("ignore")  # of PyTorch's exporter, about itself
Array = np.ndarray[Any, np.dtype[Any]]
SHAPE = (2, 8, 8)
REFEREES = {
    "qonnx": (export_qonnx, qonnx_tensors),
    "qcdq": (export_onnx_qcdq, runtime_tensors),
}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Let PyTorch run on one thread: these networks are so small that more wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def layers(bits: int, per_output: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what layers with weights and what ReLUs are made with: steps that are powers of two."""
    kind = "Channel" if per_output else "Tensor"
    weights = getattr(fixed_point, f"Int8WeightPer{kind}FixedPoint")
    mac = {"weight_quant": weights, "weight_bit_width": bits, "bias_quant": Int32Bias, "bias": True}
    return mac, {"act_quant": fixed_point.Uint8ActPerTensorFixedPoint, "bit_width": bits, "return_quant_tensor": True}


def identity(bits: int = 8) -> Any:
    """Return a quantiser with a sign."""
    signed = fixed_point.Int8ActPerTensorFixedPoint
    return qnn.QuantIdentity(act_quant=signed, bit_width=bits, return_quant_tensor=True)


def chain(bits: int, per_output: bool) -> Any:
    """Return a network with a max pool, a depthwise convolution and an average pool that truncates."""
    mac, relu = layers(bits, per_output)
    return torch.nn.Sequential(
        identity(),
        qnn.QuantConv2d(2, 6, 3, padding=1, **mac),
        qnn.QuantReLU(**relu),
        torch.nn.MaxPool2d(2),
        qnn.QuantConv2d(6, 6, 3, padding=1, groups=6, **mac),
        qnn.QuantReLU(**relu),
        qnn.TruncAvgPool2d(2, bit_width=bits),
        torch.nn.Flatten(),
        qnn.QuantLinear(24, 5, **mac),
    )


class Residual(torch.nn.Module):  # type: ignore[misc]  # PyTorch is Any here
    """A network with a sum of two signals of different steps and a mean over the maps."""

    def __init__(self, bits: int, per_output: bool) -> None:
        super().__init__()
        mac, relu = layers(bits, per_output)
        self.image, self.branch, self.mean = identity(), identity(bits), identity()
        self.conv1 = qnn.QuantConv2d(2, 4, 3, padding=1, **mac)
        self.conv2 = qnn.QuantConv2d(4, 4, 3, padding=1, stride=1, **mac)
        self.relu1, self.relu2 = qnn.QuantReLU(**relu), qnn.QuantReLU(**relu)
        self.scores = qnn.QuantLinear(4, 5, **mac)

    def forward(self, x: Any) -> Any:
        """Return the scores."""
        trunk = self.relu1(self.conv1(self.image(x)))
        branch = self.branch(self.conv2(trunk))
        total = self.relu2(trunk.value + branch.value)
        return self.scores(self.mean(total.value.mean((2, 3))))


MODELS: dict[str, Callable[[int, bool], Any]] = {"chain": chain, "residual": Residual}


def trained(name: str, bits: int, per_output: bool) -> Any:
    """Return a model whose quantisers have seen images, as after training."""
    torch.manual_seed(0)
    model = MODELS[name](bits, per_output)
    for seed in range(10):
        model(torch.from_numpy(images(SHAPE, 8, seed)))
    return model.eval()


def exported(model: Any, how: str, folder: Path) -> Path:
    """Return the file that Brevitas writes."""
    path = folder / f"{how}.onnx"
    REFEREES[how][0](model, args=torch.from_numpy(images(SHAPE, 1)), export_path=str(path), dynamo=False)
    return path


def imported(path: Path) -> ImportedProgram:
    """Return what a file is imported as, which is a Program."""
    found = import_model(path)
    assert isinstance(found, ImportedProgram)
    return found


CASES = [(name, bits, per_output) for name in MODELS for bits in range(2, 9) for per_output in (False, True)]


class TestSameCodes:
    @pytest.mark.slow
    @pytest.mark.parametrize("how", REFEREES)
    @pytest.mark.parametrize(("name", "bits", "per_output"), CASES)
    def test_at_every_boundary(self, tmp_path: Path, how: str, name: str, bits: int, per_output: bool) -> None:
        """Every tensor that the file has too holds golden's and the engine's codes times their step; scores as well."""
        model = trained(name, bits, per_output)
        path = exported(model, how, tmp_path)
        found, batch = imported(path), images(SHAPE, 6, seed=99)
        program = found.result
        assert not found.notes
        ours = golden.run(program, program.input_signal.encode(batch))
        engine = compile_program(program).run(ours["input"], threads=1, keep_tensors=True).tensors
        theirs = REFEREES[how][1](path, batch, [*found.tensors.values()])
        assert len(found.tensors) >= len(program.layers) - 1
        for tensor, codes in ours.items():
            assert np.array_equal(engine[tensor], codes)
            if tensor in found.tensors:
                expected = theirs[found.tensors[tensor]]
                assert np.array_equal(program.signals[tensor].decode(codes), expected), tensor
                assert np.unique(codes).size > 1
        with torch.no_grad():
            scores = model(torch.from_numpy(batch))
        scores = getattr(scores, "value", scores).numpy()
        assert np.array_equal(program.signals[program.output].decode(ours[program.output]), scores)

    @pytest.mark.parametrize("how", REFEREES)
    def test_words_are_kept(self, tmp_path: Path, how: str) -> None:
        """Weights and signals have the bits, the signs and the steps that Brevitas gave them."""
        model = trained("chain", 3, False)
        program = imported(exported(model, how, tmp_path)).result
        macs = [layer for layer in program.layers if isinstance(layer, MacLayer)]
        assert [layer.weight_bits for layer in macs] == [3, 3, 3]
        assert [float(layer.weight_steps[0]) for layer in macs] == [
            float(model[index].quant_weight().scale) for index in (1, 4, 8)
        ]
        signals = [program.signals[layer.name] for layer in macs[:2]]
        assert [(signal.bits, signal.format.signed) for signal in signals] == [(3, False)] * 2
        assert (program.input_signal.bits, program.input_signal.format.signed) == (8, True)

    def test_a_wrong_weight_is_seen(self, tmp_path: Path) -> None:
        """Negative control: with one weight of the file changed by a step, codes differ."""
        import onnx

        path = exported(trained("chain", 4, False), "qcdq", tmp_path)
        found, batch = imported(path), images(SHAPE, 6, seed=99)
        model = onnx.load(path)
        constants = [node.attribute[0].t for node in model.graph.node if node.op_type == "Constant"]
        kernels = next(x for x in (*constants, *model.graph.initializer) if len(x.dims) == 4)
        first = kernels.raw_data[0]
        kernels.raw_data = bytes([first + 1 if first < 7 else first - 1]) + kernels.raw_data[1:]
        onnx.save(model, path)
        names = [*found.tensors.values()]
        theirs = runtime_tensors(path, batch, names)
        program = found.result
        ours = golden.run(program, program.input_signal.encode(batch))
        conv = program.mac_layers[0].name
        assert not np.array_equal(program.signals[conv].decode(ours[conv]), theirs[found.tensors[conv]])
