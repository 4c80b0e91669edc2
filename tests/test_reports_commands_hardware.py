"""The commands `rtl` and `verify`: what they write, what they say, and their exit status."""

import hashlib
import json
import re
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commandline import complaint, contents, espalier
from support.programs import PIXEL, mac_layer, program, signal

from accel.array import MacArray
from accel.cost import total_cycles, total_interval
from accel.cost.stalls import schedule_of, unit_stalls
from accel.demand import array_for
from accel.interchange import zoo
from accel.interchange.data import datasets
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import AddLayer, FlattenLayer, MaxPoolLayer, ReluLayer
from accel.quantize import Widths, lower
from accel.signal import Requantize
from accel.window import Window
from reports.workflow import hardware, parsing
from sim import golden

FILES = {"espalier.v", "testbench.v", "jobs.hex", "load.hex", "signals.hex", "expected.hex", "manifest.json"}
FILES |= {"test_espalier.py", "espalier_bench.py", "Makefile", "espalier.vlt", "espalier.core"}
UNCHANGED = FILES - {"testbench.v", "jobs.hex", "signals.hex", "expected.hex", "manifest.json"}  # by other images
ARRAY = ("--array", "4x4")


def small() -> Program:
    """Return a Program for digits, 1 x 8 x 8, of random weights."""
    rng, signed = np.random.default_rng(0), signal(6)
    words = {"requantize": Requantize([1], 5), "output": signed}
    kept = np.broadcast_to(np.arange(9) % 2 == 0, (5, 1, 9))
    ikss = {"kept": kept, "pattern": "ikss", "encoding": "stride-offset"}
    layers = [
        mac_layer("conv", INPUT, rng.integers(-7, 8, (5, 1, 9)), PIXEL, window=Window.square(3, 2, 1), **ikss, **words),
        MaxPoolLayer("pool", ("conv",), Window.square(2, 2)),
        FlattenLayer("flat", ("pool",)),
        mac_layer("scores", "flat", rng.integers(-7, 8, (10, 20)), signed, weight_bits=4),
    ]
    return replace(program(layers, (1, 8, 8)), data="digits", name="small", pattern="ikss")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a small Program."""
    path = tmp_path_factory.mktemp("saved") / "small.espalier"
    small().save(path)
    return path


@pytest.fixture(scope="module")
def folder(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that `espalier rtl` wrote."""
    out = tmp_path_factory.mktemp("rtl") / "new" / "build"
    done = espalier("rtl", saved, *ARRAY, "--images", 3, "--out", out)
    assert (done.status, done.err) == (0, "")
    (out.parent / "printed.txt").write_text(done.out)
    return out


class TestRtl:
    def test_what_it_says(self, folder: Path) -> None:
        """One line: where, which array, which Program, and the cycles of an image."""
        cycles = total_cycles(small(), MacArray(4, 4))
        kib = array_for(small(), 4, 4).built_bits / 8192
        expected = f"{folder}: 4x4 array for small, ikss; {cycles:,} cycles an image, {kib:.2f} KiB of memories\n"
        assert (folder.parent / "printed.txt").read_text() == expected

    def test_the_files(self, folder: Path) -> None:
        """Verilog, a testbench with its numbers filled in, memory contents, expected outputs, a manifest; all whole."""
        assert set(contents(folder)) == FILES
        assert "module espalier(" in (folder / "espalier.v").read_text()
        assert "localparam JOBS = 1," in (folder / "testbench.v").read_text()
        words = {name: (folder / name).read_text().split() for name in FILES if name.endswith(".hex")}
        assert [int(word, 16) for word in words["jobs.hex"]] == [
            len(words["load.hex"]),
            3,  # images
            16,  # beats of each, 4 of 64 signals in one
            10,  # rows of each: one for each score
            total_cycles(small(), MacArray(4, 4)),
            total_interval(small(), MacArray(4, 4)),
            0,  # words of streamed weights
        ]
        assert (len(words["signals.hex"]), len(words["expected.hex"])) == (3 * 16, 3 * 10)

    def test_the_manifest(self, saved: Path, folder: Path) -> None:
        """The manifest says what was built: widths that fit the Program, ports, its hash, how full the memories are."""
        manifest = json.loads((folder / "manifest.json").read_text())
        of = small()
        widest = max(layer.accumulator_bits for layer in of.mac_layers)
        expected = {"output_lanes": 4, "pixel_lanes": 4, "weight_bits": 8, "signal_bits": 8, "accumulator_bits": widest}
        assert manifest["array"].items() >= expected.items()
        assert manifest["formats"] == [str(of.signals["conv"].format)]
        assert {name: manifest["ports"][name] for name in ("start", "cycles", "out__ready")} == {
            "start": {"direction": "in", "bits": 1},
            "cycles": {"direction": "out", "bits": 32},
            "out__ready": {"direction": "in", "bits": 1},
        }
        # weights: 2 groups x 5 taps, and from the next whole row of 4 banks 3 groups x 20; constants: 5 + 10; taps: 9
        # and one for each of a vector's 5 windows of 4; the pool is fused; layers of two images in turn
        used = {"weights": 12 + 60, "entries": 1, "taps": 14, "constants": 15, "layers": 2 * 2, "tables": 0}
        sha256 = hashlib.sha256(saved.read_bytes()).hexdigest()
        cycles = total_cycles(of, MacArray(4, 4))
        job = {"program": "small", "pattern": "ikss", "sha256": sha256, "images": 3, "cycles": cycles, "used": used}
        job |= {"interval": total_interval(of, MacArray(4, 4)), "places": manifest["jobs"][0]["places"]}
        assert manifest["jobs"] == [job]
        assert (job["places"][0], len(job["places"])) == (0, 2)

    def test_other_images(self, saved: Path, folder: Path, tmp_path: Path) -> None:
        """Run again, the same hardware and memory words come out, byte for byte; other images are other signals."""
        espalier("rtl", saved, *ARRAY, "--images", 2, "--out", tmp_path / "again")
        again, before = contents(tmp_path / "again"), contents(folder)
        assert {name for name in FILES if again[name] == before[name]} == UNCHANGED


class TestVerify:
    def test_all_equal(self, saved: Path) -> None:
        """Exit status 0 and one line: images, bits, differences, cycles predicted and measured."""
        done = espalier("verify", saved, *ARRAY, "--images", 1)
        of = small()
        bits, cycles = 10 * of.signals["scores"].bits, total_cycles(of, MacArray(4, 4))
        assert (done.status, done.err) == (0, "")
        assert done.out.startswith(
            f"small, ikss: 1 images, {bits} bits compared, 0 differences; {cycles:,} cycles an image predicted, "
            f"{cycles:,} measured without 0 stalls; "
        )
        assert done.out.count("\n") == 1

    def test_with_stalls(self, saved: Path) -> None:
        """Stalls are counted apart, and change neither codes nor the other cycles."""
        done = espalier("verify", saved, *ARRAY, "--images", 1, "--stall", 0.5)
        cycles = total_cycles(small(), MacArray(4, 4))
        assert done.status == 0
        assert f"0 differences; {cycles:,} cycles an image predicted, {cycles:,} measured without" in done.out
        assert "without 0 stalls" not in done.out

    @pytest.mark.slow
    @pytest.mark.skipif(shutil.which("verilator") is None, reason="needs Debian's package verilator")
    def test_a_network_whose_weights_are_streamed(self, tmp_path: Path) -> None:
        """A network of the zoo in Verilator: scores, cycles, and between starts those of the formula with its stalls.

        The testbench compares the time between images with the closed form; the first image waits longer.
        """
        pixels = datasets.load("digits", "train").take(64).pixels()
        of = lower(zoo.load("digits", "kernel@8"), Widths(5, 5), pixels)
        of.save(tmp_path / "digits.espalier")
        words = ("--array", "4x4", "--stream", "--images", 3, "--simulator", "verilator")
        done = espalier("verify", tmp_path / "digits.espalier", *words)
        array = array_for(of, 4, 4, stream=True)
        assert array.weight_words < array_for(of, 4, 4).weight_words
        stalls = sum(unit_stalls(schedule_of(of, array), Fraction(1), before=1))
        assert (done.status, done.err) == (0, "")
        found = re.search(r" 0 differences; ([\d,]+) cycles .* ([\d,]+) measured without ([\d,]+) stalls", done.out)
        assert found
        predicted, measured, stalled = (int(number.replace(",", "")) for number in found.groups())
        assert predicted == measured == total_cycles(of, array)
        assert stalled >= 3 * stalls > 0

    def test_a_residual_network(self, tmp_path: Path) -> None:
        """A Program with an addition and a ReLU of its own is verified like any other."""
        same = {"window": Window.square(3, padding=1), "requantize": Requantize([1], 6), "output": signal(6)}
        rng = np.random.default_rng(0)
        layers = [
            mac_layer("conv", INPUT, rng.integers(-7, 8, (1, 1, 9)), PIXEL, **same),
            AddLayer("add", ("conv", INPUT), (3, 1), 10, False, Requantize([1], 2), signal(8)),
            MaxPoolLayer("pool", ("add",), Window.square(2, 2)),
            ReluLayer("relu", ("pool",)),
        ]
        replace(program(layers, (1, 8, 8)), data="digits").save(tmp_path / "residual.espalier")
        done = espalier("verify", tmp_path / "residual.espalier", *ARRAY, "--images", 1)
        assert (done.status, done.err) == (0, "")
        assert " 0 differences; " in done.out

    def test_another_code(self, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Exit status 1 and a line that says which image and output, and both codes."""
        right = golden.run

        def wrong(*arguments: Any) -> dict[str, Any]:
            tensors = right(*arguments)
            tensors["scores"][0, 7] += 1
            return tensors

        monkeypatch.setattr(hardware.golden, "run", wrong)
        done = espalier("verify", saved, *ARRAY, "--images", 1)
        monkeypatch.undo()
        pixels = datasets.load("digits", "test").take(1).pixels()
        code = right(small(), small().input_signal.encode(pixels))["scores"][0, 7]
        assert done.status == 1
        assert done.out.splitlines()[0] == f"FAIL image 0 output 7: got {code}, expected {code + 1}"
        assert " 1 differences;" in done.out

    def test_another_number_of_cycles(self, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Exit status 1 and a line that says which image, what it took and what was predicted."""
        cycles = total_cycles(small(), MacArray(4, 4))
        monkeypatch.setattr(hardware, "total_cycles", lambda *_: cycles - 1)
        done = espalier("verify", saved, *ARRAY, "--images", 1)
        assert done.status == 1
        assert done.out.splitlines()[0] == f"FAIL image 0 took {cycles} cycles - 0 stalls, not {cycles - 1}"


class TestArray:
    def test_it_is_the_programs(self) -> None:
        """The array of a command is the one that every other command has for the Program."""
        assert parsing.parse_array("2x8", small()) == array_for(small(), 2, 8)

    def test_a_depth_that_is_asked_for(self, saved: Path, tmp_path: Path) -> None:
        """The memory is built as deep; one too shallow is refused by `rtl`, `verify`, `synth` in one line."""
        done = espalier("rtl", saved, *ARRAY, "--taps", 50, "--out", tmp_path / "build")
        assert done.status == 0
        assert json.loads((tmp_path / "build" / "manifest.json").read_text())["array"]["taps"] == 50
        for command in (("rtl", "--out", tmp_path / "none"), ("verify",), ("synth",)):
            line = complaint(command[0], saved, *ARRAY, "--taps", 13, *command[1:])
            assert line == "small: needs 14 words of taps, taps are 13"
        assert not (tmp_path / "none").exists()

    def test_features_that_are_left_out(self, saved: Path, tmp_path: Path) -> None:
        """The array of every command is one without them, whose cycles `size` counts."""
        array = array_for(small(), 4, 4, split=False, pool=False)
        assert parsing.parse_array("4x4", small(), {"split": False, "pool": False}) == array
        assert espalier("size", saved, *ARRAY, "--without", "split, pool", "--json", tmp_path / "o.json").status == 0
        estimate = json.loads((tmp_path / "o.json").read_text())["estimate"]
        assert {name: estimate["array"][name] for name in MacArray().features} == array.features
        assert estimate["cycles"] == total_cycles(small(), array) != total_cycles(small(), array_for(small(), 4, 4))

    @pytest.mark.parametrize("without", ["pools", "split,", "", "taps"])
    def test_no_feature(self, without: str, saved: Path) -> None:
        """What is no feature is refused in a line that lists them, with a Program and without."""
        line = f"--without {without.split(',')[-1]}: expected some of {','.join(MacArray().features)}"
        for command in (("verify", saved), ("size", saved), ("synth",)):
            assert complaint(*command, "--without", without) == line

    def test_words_beside_a_program(self, saved: Path) -> None:
        """Of the array of a Program no word lengths can be asked for."""
        line = complaint("synth", saved, "--weight-bits", 4)
        assert line == f"--weight-bits: the words of {saved} say how wide those of its array are"

    @pytest.mark.parametrize("array", ["8", "8x", "x8", "8x8x8", "-8x8", "8 x 8", "eight", "8x88888"])
    def test_no_array(self, array: str, saved: Path, tmp_path: Path) -> None:
        """Anything but two numbers is refused, and nothing is written."""
        line = f"--array {array}: expected output lanes x pixel lanes, such as 8x8"
        assert complaint("rtl", saved, f"--array={array}", "--out", tmp_path / "build") == line
        assert complaint("verify", saved, f"--array={array}") == line
        assert contents(tmp_path) == {}

    def test_impossible_lanes(self, saved: Path) -> None:
        """Numbers of lanes that no array has are refused."""
        assert complaint("verify", saved, "--array", "8x3") == "pixel_lanes must be a power of two, got 3"
        assert complaint("verify", saved, "--array", "0x8") == "output_lanes must be at least 1, got 0"


class TestRefused:
    def test_simulator(self, saved: Path) -> None:
        """An unknown simulator is refused, the known ones are named."""
        line = complaint("verify", saved, "--simulator", "modelsim")
        assert "modelsim" in line
        assert all(name in line for name in ("amaranth", "verilator", "iverilog"))

    @pytest.mark.parametrize("stall", ["1", "-0.1", "1.5", "nan"])
    def test_stall(self, stall: str, saved: Path) -> None:
        """The output cannot be held back for ever, nor for less than never."""
        line = f"--stall {float(stall)}: expected a share of cycles, at least 0 and below 1"
        assert complaint("verify", saved, f"--stall={stall}") == line

    def test_what_the_hardware_cannot_run(self, tmp_path: Path) -> None:
        """A Program with a layer that the hardware cannot run is refused, and nothing is written."""
        of = program([MaxPoolLayer("pool", (INPUT,), Window((1, 65), (1, 1), (0, 30, 0, 30)))], (1, 8, 8))
        replace(of, data="digits").save(tmp_path / "pool.espalier")
        for words in (("verify",), ("rtl", "--out", tmp_path / "build")):
            line = complaint(words[0], tmp_path / "pool.espalier", *words[1:])
            assert line == "pool: needs 65 rows or columns of a kernel, the array has 64"
        assert not (tmp_path / "build").exists()

    def test_no_such_file(self, tmp_path: Path) -> None:
        """A Program that is not there is one line."""
        assert "No such file" in complaint("verify", tmp_path / "missing.espalier")
