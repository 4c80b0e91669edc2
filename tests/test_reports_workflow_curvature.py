"""What few bits cost each operand, by the loss's curvature: half of it times the squares of what rounding changes."""

from pathlib import Path

import numpy as np
import pytest
from support.commandline import complaint

pytest.importorskip("torch", reason="curvatures need PyTorch (extra train)")

from accel.interchange import zoo
from accel.interchange.data import datasets
from accel.quantize import Calibration, Widths, operands_of, sensitivity
from reports.workflow import curvature
from reports.workflow.curvature import estimated_losses, sensitivities
from reports.workflow.quantize import Workbench, allocated

pytestmark = pytest.mark.usefixtures("one_thread")
BITS = (2, 3, 4, 8)


@pytest.fixture(scope="module")
def bench() -> Workbench:
    """Return the digits with their validation images."""
    images = datasets.load("digits", "train").take(200)
    return Workbench(Calibration(zoo.load("digits"), images.pixels()), datasets.load("digits", "validation"))


def test_losses_are_half_the_curvature_times_the_squares(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a curvature of 2 everywhere: of weights what their codes times steps are off by, squared and added up."""
    import accel.train

    operands = bench.operands
    names = {x.layer for x in operands} | {bench.calibration.settled(x.layer) for x in operands}
    twos = accel.train.Curvatures(dict.fromkeys(names, 2.0), dict.fromkeys(names, 2.0))
    monkeypatch.setattr(accel.train, "curvatures", lambda *given, **more: twos)
    found = estimated_losses(bench.calibration, operands, datasets.load("digits", "train"), (4,))
    program = bench.lowered(Widths(4, 4))
    for layer in program.mac_layers:
        weight = bench.pruned.folded().network[layer.name].weight  # type: ignore[attr-defined]
        off = layer.matrix * layer.weight_steps[:, None] - weight.reshape(layer.matrix.shape)
        (operand,) = [x for x in operands if (x.kind, x.layer) == ("weights", layer.name)]
        assert found[operand, 4] == pytest.approx(np.square(off).sum(), rel=1e-4)


def test_estimates_order_operands_as_measurements_do(bench: Workbench) -> None:
    """Over operands and widths ranks correlate; fewer bits never cost less; uniform widths come to the measurement."""
    operands, images = operands_of(bench.pruned), datasets.load("digits", "train")

    def error_rate(widths: Widths) -> float:
        return bench.error_rate(bench.lowered(widths))

    found = sensitivities(bench.calibration, operands, images, error_rate, BITS)
    rates = {(x.operand, x.bits): x.error_rate for x in found}
    assert all(rates[x, a] >= rates[x, b] for x in operands for a, b in ((2, 3), (3, 4), (4, 8)))
    base = error_rate(Widths(8, 8))
    rise = sum(rates[x, 3] - base for x in operands)
    assert rise == pytest.approx(error_rate(Widths(3, 3)) - base)
    measured = sensitivity(operands, error_rate, bits=(2,), high_bits=8)
    pairs = [(rates[x.operand, 2], x.error_rate) for x in measured]
    order = np.argsort(np.argsort(pairs, axis=0), axis=0)
    assert np.corrcoef(order.T)[0, 1] > 0.5


@pytest.mark.slow
def test_a_search_measures_less(bench: Workbench) -> None:
    """The budget is met with fewer evaluations than one for each operand and width."""
    train = datasets.load("digits", "train")
    curved = allocated(bench, Widths(8, 8), 0.01, None, 60, train)
    assert curved.error_rate <= bench.float_error_rate + 0.01
    uniform = min(
        bench.memory_bits(Widths(bits, bits))
        for bits in range(2, 9)
        if bench.error_rate(bench.lowered(Widths(bits, bits))) <= bench.float_error_rate + 0.01
    )
    assert curved.memory_bits <= uniform
    calls: list[Widths] = []
    sensitivities(bench.calibration, bench.operands, train, lambda x: calls.append(x) or 0.1 * len(calls), range(2, 9))
    assert calls == [Widths(8, 8), Widths(curvature.FEW, curvature.FEW)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sensitivity", "hessian"], "--sensitivity hessian: no widths are searched; give a budget"),
        (["--sensitivity", "hesse"], "unknown sensitivity 'hesse'"),
    ],
)
def test_bad_input(tmp_path: Path, arguments: list[str], words: str) -> None:
    """One line says what does not go together."""
    assert words in complaint("quantize", "digits", *arguments, "-o", tmp_path / "o")
