"""`espalier quantize`: budgets are met, what is printed is what the file does, bad input ends in one line."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.commandline import complaint, contents, espalier

from accel.cost import cost_of, total_cycles
from accel.demand import array_for
from accel.errors import EspalierError
from accel.fixedpoint import Overflow
from accel.interchange import zoo
from accel.interchange.data import datasets
from accel.program import Program
from accel.quantize import Calibration, Steps, Widths, ordered_for
from reports.workflow import quantize, retrain
from reports.workflow.quantize import Workbench
from reports.workflow.sources import source_of
from sim.engine import compile_program

KERNEL = ("quantize", "digits", "--pattern", "kernel")


def made(tmp_path: Path, *words: Any) -> tuple[Program, dict[str, Any]]:
    """Return the Program and the numbers that `espalier quantize` writes for the kernel-pruned digits."""
    files = "--json", tmp_path / "o.json", "-o", tmp_path / "o.espalier"
    done = espalier(*KERNEL, *words, *files)
    assert (done.status, done.err) == (0, "")
    return Program.load(tmp_path / "o.espalier"), json.loads((tmp_path / "o.json").read_text())


def error_rate(program: Program, split: str) -> float:
    """Return the engine's error rate on a split of the digits."""
    images = datasets.load("digits", split)
    return compile_program(program).error_rate(program.input_signal.encode(images.pixels()), images.labels)


def calibrated(steps: Steps = Steps()) -> Calibration:  # noqa: B008 - frozen
    """Return the kernel-pruned digits with the images that the command calibrates with."""
    return Calibration(
        zoo.load("digits", "kernel"), source_of("digits", zoo.load("digits"), None, None).calibration().pixels(), steps
    )


@pytest.mark.slow
def test_an_error_budget(tmp_path: Path) -> None:
    """The error rate on the validation images rises by no more than the budget; the numbers are those of the file."""
    program, record = made(tmp_path, "--budget-error", "0.02", "--evaluations", 120)
    rates = record["error_rates"]["validation"]
    assert rates["result"] <= rates["float"] + 0.02
    assert rates["result"] == error_rate(program, "validation")
    assert record["error_rates"]["test"]["result"] == error_rate(program, "test")
    assert record["memory_bits"] == cost_of(program).memory_bits
    assert record["evaluations"] <= 120
    bits = {f"weights of {layer.name}": layer.weight_bits for layer in program.mac_layers}
    bits |= {f"signals of {layer.name}": layer.output.bits for layer in program.mac_layers if layer.requantize}
    assert record["widths"] == bits
    bench = Workbench(calibrated(), datasets.load("digits", "validation"))
    for width in range(2, 9):  # no uniform widths within the budget take less
        uniform = bench.lowered(Widths(width, width))
        assert (
            bench.error_rate(uniform) > rates["float"] + 0.02 or record["memory_bits"] <= cost_of(uniform).memory_bits
        )


@pytest.mark.slow
def test_a_cycle_budget(tmp_path: Path) -> None:
    """Cycles on the array are within the budget, and memory too; what no widths reach is told."""
    budgets = "--budget-memory", "6KiB", "--array", "4x4"
    program, record = made(tmp_path, *budgets, "--budget-cycles", 10_000_000, "--evaluations", 60)
    taken = total_cycles(program, array_for(program, 4, 4))
    assert record["memory_bits"] <= 6 * 8192
    again, _ = made(tmp_path, *budgets, "--budget-cycles", taken, "--evaluations", 60)
    assert total_cycles(again, array_for(again, 4, 4)) <= taken
    refused = espalier("quantize", "digits", *budgets, "--budget-cycles", 9, "-o", tmp_path / "no.espalier")
    assert refused.status == 2
    assert "no widths of 2..8 bits were found that take at most 9 cycles: the fewest are " in refused.err
    assert not (tmp_path / "no.espalier").exists()


@pytest.mark.slow
def test_a_memory_budget(tmp_path: Path) -> None:
    """Everything on the chip fits the budget, and words are no longer than the options say."""
    most = 6 * 8 * 1024
    program, record = made(tmp_path, "--budget-memory", "6KiB", "--weight-bits", 4, "--evaluations", 60)
    assert record["memory_bits"] == cost_of(program).memory_bits <= most
    assert max(layer.weight_bits for layer in program.mac_layers) <= 4
    assert max(layer.output.bits for layer in program.mac_layers if layer.requantize) > 4
    bench = Workbench(calibrated(), datasets.load("digits", "validation"))
    assert bench.memory_bits(Widths(8, 8)) > most  # or the budget would say nothing


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "steps"),
    [
        (("--rule", "max"), Steps("max")),
        (("--rule", "percentile", "--percentile", "99"), Steps("percentile", 99.0)),
        (("--rule", "alternating"), Steps("alternating")),
        (("--power-of-two",), Steps(power_of_two=True)),
        (("--per-output",), Steps(per_output=True)),
    ],
)
def test_rules(tmp_path: Path, words: tuple[str, ...], steps: Steps) -> None:
    """Each rule writes the Program that the library makes by it, which the default rule does not."""
    written = tmp_path / "o", tmp_path / "l2"
    assert espalier(*KERNEL, "--weight-bits", 4, *words, "-o", written[0]).status == 0
    assert espalier(*KERNEL, "--weight-bits", 4, "-o", written[1]).status == 0
    for path, wanted in zip(written, (True, False), strict=True):
        bench = Workbench(calibrated(steps), datasets.load("digits", "validation"))
        bench.lowered(Widths(4, 8)).save(tmp_path / "library")
        assert (path.read_bytes() == (tmp_path / "library").read_bytes()) == wanted


@pytest.mark.slow
def test_a_search(tmp_path: Path) -> None:
    """Searched steps are no worse on the images that judge them, and here better."""
    widths = "--weight-bits", 3, "--signal-bits", 3
    _, found = made(tmp_path, *widths, "--search", 60)
    _, plain = made(tmp_path, *widths)
    assert found["error_rates"]["validation"]["result"] < plain["error_rates"]["validation"]["result"]


@pytest.mark.slow
def test_retraining(tmp_path: Path) -> None:
    """Retrained as the Program computes it, few bits err less; the file is what the library gives for the seed."""
    pytest.importorskip("torch")
    widths = "--weight-bits", 2, "--signal-bits", 3
    program, record = made(tmp_path, *widths, "--retrain", 4, "--seed", 5)
    rates = record["error_rates"]["test"]
    assert rates["result"] == error_rate(program, "test") < rates["quantized"] - 0.02
    assert record["emulated_images"] == len(datasets.load("digits", "test"))
    for seed in (5, 6):
        bench = Workbench(calibrated(), datasets.load("digits", "validation"))
        recipe = retrain.recipe("digits", 4, seed=seed)
        after, steps = quantize.retrained(
            bench, Widths(2, 3), bench.calibration.steps, recipe, datasets.load("digits", "train")
        )
        after.lowered(Widths(2, 3), steps).save(tmp_path / "library")
        same = (tmp_path / "o.espalier").read_bytes() == (tmp_path / "library").read_bytes()
        assert same == (seed == 5)  # negative control: another seed


@pytest.mark.parametrize("power_of_two", [False, True])
def test_the_emulation_must_agree(monkeypatch: pytest.MonkeyPatch, power_of_two: bool) -> None:
    """One code of one image that differs is told with its place; of other layers than the last, for powers of two."""
    pytest.importorskip("torch")
    from accel import train

    bench = Workbench(calibrated(Steps(power_of_two=power_of_two)), datasets.load("digits", "validation"))
    program, images = bench.lowered(Widths(3, 3)), datasets.load("digits", "test").take(60)
    assert quantize.check_emulation(program, images, power_of_two) == 60
    name = program.layers[0].name if power_of_two else program.output
    emulate = train.emulate

    def other(of: Any, codes: Any) -> Any:
        tensors = emulate(of, codes)
        tensors[name][17].flat[0] += 1
        return tensors

    monkeypatch.setattr(train, "emulate", other)
    with pytest.raises(EspalierError, match=rf"{name}: the engine's code -?\d+ of image 17 at \(0"):
        quantize.check_emulation(program, images, power_of_two)


@pytest.mark.slow
def test_narrow_accumulators(tmp_path: Path) -> None:
    """Every accumulator has the bits that were asked for, and does what was asked when they are too few."""
    for words, mode in ((("saturate",), Overflow.SAT), (("wrap",), Overflow.WRAP)):
        program, _ = made(tmp_path, "--accumulator-bits", 9, "--accumulator-overflow", *words)
        assert {(x.accumulator_bits, x.accumulator_overflow) for x in program.mac_layers} == {(9, mode)}
    program, _ = made(tmp_path, "--accumulator-bits", 40)
    assert {x.accumulator_overflow for x in program.mac_layers} == {None}


@pytest.mark.slow
def test_an_order_for_an_array(tmp_path: Path) -> None:
    """With --lanes the Program is the one without, in the order for so many lanes; --cluster-lanes is its old name."""
    plain, record = made(tmp_path)
    ordered, same = made(tmp_path, "--lanes", 8)
    given = (tmp_path / "o.espalier").read_bytes()
    ordered_for(plain, 8, split=True).save(tmp_path / "expected.espalier")
    assert given == (tmp_path / "expected.espalier").read_bytes()
    assert record["memory_bits"] == same["memory_bits"]
    assert record["error_rates"] == same["error_rates"]
    # the order knows of one map a step alone
    cycles = [total_cycles(program, array_for(program, 8, 8, combine=False)) for program in (plain, ordered)]
    assert cycles[1] < 0.85 * cycles[0]
    made(tmp_path, "--cluster-lanes", 8)
    assert given == (tmp_path / "o.espalier").read_bytes()
    made(tmp_path, "--lanes", 4)
    assert given != (tmp_path / "o.espalier").read_bytes()  # negative control
    assert "--cluster-lanes" not in espalier("quantize", "--help").out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--lanes", "0"], "--lanes 0: expected output lanes, such as 8, or output lanes x pixel lanes, such as 8x4"),
        (["--rule", "l3"], "unknown rule of steps 'l3': "),
        (["--rule", "percentile", "--percentile", "101"], "percentile must be 0..100, got 101.0"),
        (["--budget-error", "0.1", "--budget-memory", "8KiB"], "--budget-error and --budget-memory: give one of them"),
        (["--budget-cycles", "9"], "--budget-cycles and --array: one says how many cycles at most, the other of which"),
        (["--array", "8x8"], "--budget-cycles and --array: one says how many cycles at most, the other of which array"),
        (["--budget-memory", "8"], "--budget-memory 8: expected a size such as 64KiB"),
        (["--budget-memory", "100B"], "no widths fit in 800 bits of memory: 2 bits everywhere take "),
        (["--budget-error", "0", "--signal-bits", "2"], "no widths of 2..8 bits were found with an error rate of at"),
        (["--budget-error", "0.1", "--weight-bits", "12"], "widths are allocated within 2..8 bits, got 12 for weights"),
        (["--learning-rate", "0.1"], "--learning-rate 0.1: nothing is retrained; --retrain says for how many epochs"),
        (["--teacher", "digits"], "--teacher digits: nothing is retrained; --retrain says for how many epochs"),
        (["--retrain", "1", "--teacher", "lenet5"], "--teacher lenet5: takes images (1, 28, 28) and gives 10 scores"),
        (["--best-epoch"], "--best-epoch: nothing is retrained; --retrain says for how many epochs"),
        (["--bfloat16"], "--bfloat16: nothing is retrained; --retrain says for how many epochs"),
        (["--norms-frozen", "0.6", "--per-output"], "--norms-frozen 0.6: batch norms stay in a retraining alone"),
        (["--norms-frozen", "0.6", "--retrain", "1"], "--norms-frozen 0.6: batch norms stay in a retraining alone"),
        (["--accumulator-overflow", "clip"], "unknown overflow of accumulators 'clip': "),
        (["--accumulator-bits", "1"], "conv1: accumulator_bits must be at least 2, got 1"),
    ],
)
def test_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str) -> None:
    """What cannot be done is said in one line, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert complaint(*KERNEL, *arguments, "-o", "out.espalier").startswith(words)
    assert contents(tmp_path) == {}
