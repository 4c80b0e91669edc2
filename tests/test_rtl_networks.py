"""Networks for small devices in Verilator, whole, on 8 x 8 lanes: golden's scores in the cycles of the closed form.

``ESPALIER_MODELS=DIR`` takes MLPerf Tiny's float models from there instead of networks of their shapes, and verifies
them by the commands at 8 and 4 bits, and the int8 files in both of their readings.
"""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.commandline import espalier
from support.mobile import ds_cnn, mobilenet, quantized, resnet8
from support.rtl_builds import Build, write
from support.rtl_programs import check

from accel.array import DEPTHS
from accel.cost import total_cycles, total_interval
from accel.cost.cycles import START_CYCLES
from accel.cost.stalls import schedule_of
from accel.demand import array_for
from accel.interchange.onnx.reading.model import import_model
from accel.network import Network
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from rtl import simulators
from rtl.emit import Job
from sim import golden

MODELS = {"ds-cnn": "dscnn-kws-mlperf-tiny.onnx", "resnet8": "resnet8-mlperf-tiny.onnx"}
LANES = 8, 8


def network_of(name: str, rng: np.random.Generator) -> Network:
    """Return a network with random weights, or the model of that name where models are."""
    made = {"ds-cnn": ds_cnn, "resnet8": resnet8, "mobilenet": mobilenet}[name](rng)
    folder = os.environ.get("ESPALIER_MODELS")
    if not folder or name not in MODELS:
        return made
    found = import_model(Path(folder) / MODELS[name]).result
    assert isinstance(found, PrunedNetwork)
    return found.network


@pytest.fixture(scope="module")
def programs() -> dict[str, Program]:
    """The networks at 8 bits."""
    rng = np.random.default_rng(0)
    return {name: quantized(network_of(name, rng), rng) for name in ("ds-cnn", "resnet8", "mobilenet")}


def useful(of: Program, prefix: str = "") -> float:
    """Return the share of multiply slots that is useful, of the layers whose names begin so."""
    array = array_for(of, *LANES)
    rows = [row for row in schedule_of(of, array) if row.name.startswith(prefix)]
    return sum(row.macs for row in rows) / array.macs_per_cycle / sum(row.cycles for row in rows)


@pytest.mark.slow
def test_useful_slots(programs: dict[str, Program]) -> None:
    """MobileNet's depthwise layers use 35 % of their slots, the network 72 %; a tenth without lines."""
    of = programs["mobilenet"]
    assert useful(of, "depthwise") >= 0.35
    assert useful(of) >= 0.72
    without = array_for(of, *LANES, lines=False, combine=False)  # two maps a step help zero-filled layers too
    assert total_cycles(of, without) > 1.5 * total_cycles(of, array_for(of, *LANES))
    schedule = schedule_of(of, array_for(of, *LANES))
    assert total_cycles(of, array_for(of, *LANES)) == START_CYCLES + sum(row.cycles for row in schedule)


@pytest.fixture(scope="module")
def build(programs: dict[str, Program], tmp_path_factory: pytest.TempPathFactory) -> Build:
    """All of them in one binary, as large as the largest needs it."""
    arrays = [array_for(of, *LANES) for of in programs.values()]
    depths = {name: max(getattr(array, name) for array in arrays) for name in DEPTHS.values()}
    widest = max(array.accumulator_bits for array in arrays)
    array = replace(arrays[0], accumulator_bits=widest, **depths)
    rng, jobs = np.random.default_rng(1), []
    for of in programs.values():
        codes = of.input_signal.encode(rng.random((1, *of.input_shape), np.float32))
        jobs.append(
            Job(of, codes, golden.run(of, codes)[of.output], total_cycles(of, array), total_interval(of, array))
        )
    return write(tmp_path_factory.mktemp("networks"), jobs, array, "verilator")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("verilator") is None, reason="needs Debian's package verilator")
def test_whole_networks(build: Build, tmp_path: Path) -> None:
    """Every score and cycle, held back or not; a bit of a score that is another is noticed."""
    assert simulators.run(build.folder, "verilator") == build.expected
    held = simulators.run(build.folder, "verilator", stall=128)
    assert (held.errors, held.cycles - held.stalls) == (0, build.expected.cycles)
    build.edit(tmp_path, "expected.hex", build.line_of_row(2, 0, 0), lambda word: word ^ 1)
    assert simulators.run(tmp_path, "verilator").errors == 1


@pytest.mark.slow
def test_four_bits() -> None:
    """A DS-CNN of 4-bit weights and signals, a sixteenth as wide, has golden's codes and the closed form's cycles."""
    rng = np.random.default_rng(0)
    network = ds_cnn(rng, 4, 1)
    images = rng.random((2, *network.input_shape), np.float32)
    of = lower(PrunedNetwork(network), Widths(4, 4), images)
    check(of, of.input_signal.encode(images[:1]), array_for(of, 4, 4))


if FOLDER := os.environ.get("ESPALIER_MODELS"):
    READ = {
        "8 bits": ("", ()),
        "4 bits": ("", ("--weight-bits", 4, "--signal-bits", 4)),
        "int8, exact": ("-int8", ("--multiplier-bits", 32)),
        "int8, nearest": ("-int8", ("--nearest",)),
    }

    @pytest.mark.slow
    @pytest.mark.parametrize("name", MODELS)
    @pytest.mark.parametrize("how", READ)
    def test_by_the_commands(name: str, how: str, tmp_path: Path) -> None:
        """`espalier import` and `espalier verify` say that every bit and every cycle is equal."""
        kind, options = READ[how]
        path, made = Path(FOLDER, MODELS[name].replace(".onnx", f"{kind}.onnx")), tmp_path / "made.espalier"
        shape = (8, 1, 49, 10) if name == "ds-cnn" else (8, 3, 32, 32)
        images = np.random.default_rng(0).random(shape, np.float32)
        np.savez(tmp_path / "images.npz", train_images=images, test_images=images)
        data = "--data", tmp_path / "images.npz"
        assert espalier("import", path, *data, *options, "-o", made).status == 0
        done = espalier("verify", made, "--array", "8x8", "--simulator", "verilator", "--images", 1, *data)
        assert (done.status, " 0 differences; " in done.out) == (0, True)
