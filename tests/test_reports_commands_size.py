"""`espalier size` on an array: cycles, blocks, energy, one verdict, and what it refuses."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from support.commandline import Outcome, complaint, contents, espalier

from accel.array import DEPTHS
from accel.cost import estimate, layer_storages, total_cycles
from accel.cost.accesses import accesses_of
from accel.cost.fft import layer_fft
from accel.cost.predictor import model, predict
from accel.demand import array_for
from accel.program import Program
from accel.quantize import ordered_for
from accel.words import Words
from reports.workflow import verdicts

pytestmark = pytest.mark.usefixtures("few_calibration_images")


@pytest.fixture(scope="module")
def path(digits_file: Path) -> Path:
    """Return the file of digits."""
    return digits_file


@pytest.fixture(scope="module")
def program(path: Path) -> Program:
    """Return the Program in that file."""
    return Program.load(path)


def sized(path: Path, out: Path, *arguments: object) -> tuple[Outcome, dict[str, Any]]:
    """Return what `size` printed and wrote; its exit status is 1 if it does not fit, and only then."""
    done = espalier("size", path, *arguments, "--json", out / "size.json")
    record = json.loads((out / "size.json").read_text())
    assert (done.status, done.err) == (1 if record["fits"] is False else 0, "")
    return done, record


class TestOnAnArray:
    def test_networks_are_in_order_for_the_array(self, path: Path, program: Program, tmp_path: Path) -> None:
        """Of a network it is the Program for these lanes that is sized, of a Program the one that is in the file."""
        arguments = ("--array", "8x8", "--json", tmp_path / "o.json")
        widths = ("--pattern", "kernel", "--weight-bits", 4, "--signal-bits", 6)
        assert espalier("size", "digits", *widths, *arguments).status == 0
        e = json.loads((tmp_path / "o.json").read_text())["estimate"]
        ordered = ordered_for(program, 8, split=True)
        assert e["cycles"] == total_cycles(ordered, array_for(ordered, 8, 8))
        assert espalier("size", path, *arguments).status == 0
        own = json.loads((tmp_path / "o.json").read_text())["estimate"]
        assert own["cycles"] == total_cycles(program, array_for(program, 8, 8)) > e["cycles"]

    def test_the_record_is_the_estimate(self, path: Path, program: Program, tmp_path: Path) -> None:
        """The record holds the estimate of the library, number for number; of another array it is another."""
        done, record = sized(path, tmp_path, "--array", "4x8", "--clock", "50MHz", "--technology", "ecp5-45f")
        e = estimate(program, array_for(program, 4, 8), "ecp5-45f", clock_hz=50e6)
        assert record["estimate"] == json.loads(json.dumps(verdicts.record(e)))
        assert record["fits"] is True
        other = estimate(program, array_for(program, 8, 8), "ecp5-45f", clock_hz=50e6)
        assert record["estimate"] != json.loads(json.dumps(verdicts.record(other)))  # negative control
        assert done.out.splitlines()[-1] == verdicts.verdict(e)

    def test_the_tables(self, path: Path, program: Program, tmp_path: Path) -> None:
        """Each layer has a line of cycles, each memory one of blocks, and both have a total."""
        done, record = sized(path, tmp_path, "--array", "8x8")
        lines = done.out.splitlines()
        for row in record["estimate"]["layers"]:
            (line,) = [x for x in lines if x.startswith(f"│ {row['name']} ") and f" {row['kind']} " in x]
            cells = [cell.strip() for cell in line.strip("│").split("│")]
            wanted = [f"{row[name]:,}" for name in ("compute_cycles", "drain_cycles", "fill_cycles", "stall_cycles")]
            assert cells[2:7] == [*wanted, f"{row['cycles']:,}"]
        for memory in record["estimate"]["memories"]:
            (line,) = [x for x in lines if x.startswith(f"│ {memory['name']} ")]
            assert f"{memory['count']:,} {memory['macro']} as " in line
            assert f"{memory['macro_bits'] / 8192:.2f}" in line
        (total,) = [x for x in lines if x.startswith("│ all ") and f"{record['estimate']['cycles']:,}" in x]
        assert f"{record['estimate']['energy']['total_joules'] * 1e9:,.1f}" in total
        assert max(len(line) for line in lines if line.startswith("│")) <= 132

    def test_fft_and_encodings(self, path: Path, program: Program, tmp_path: Path) -> None:
        """Convolutions have their multiplications by FFT; pruned layers what every encoding takes."""
        done, record = sized(path, tmp_path)
        for layer in program.mac_layers:
            ways = {way.name: way.bits(4) for way in layer_storages(layer)}
            assert record["storage_bits"][layer.name] == ways
            assert (f"{layer.name} is stored as " in done.out) == (layer.pattern != "dense")
            if layer.window:
                cost = layer_fft(program, layer)
                assert record["fft"][layer.name]["kernel_words"] == cost.kernel_words
                (line,) = [x for x in done.out.splitlines() if x.startswith(f"│ {layer.name} ")]
                assert f" {cost.multiplications:,} " in line
        assert set(record["fft"]) == {"conv1", "conv2", "conv3"}
        assert f"conv2 is stored as kernel flags {record['storage_bits']['conv2']['kernel flags']:,} bits; " in done.out
        assert [plan["name"] for plan in record["signal_plans"]] == [
            "live tensors",
            "ping-pong",
            "in place",
            "line buffer",
        ]

    def test_without_an_option_of_an_array(self, path: Path, tmp_path: Path) -> None:
        """Then there is no array, and no verdict of blocks."""
        done, record = sized(path, tmp_path, "--sram", "64KiB")
        assert record["estimate"] is None
        assert done.out.splitlines()[-1].startswith("SRAM of 64.00 KiB: fits, ")
        for option in (("--clock", "1GHz"), ("--technology", "zu7ev"), ("--dram-bandwidth", "1GB/s")):
            assert sized(path, tmp_path, *option)[1]["estimate"]["array"]["output_lanes"] == 8

    def test_memory_to_fit_into(self, path: Path, tmp_path: Path) -> None:
        """On an array it is blocks that must fit, and the verdict is one line: what is missing.

        Where streamed weights make it fit that is told; asked for, they are what is sized.
        """
        bits = sized(path, tmp_path, "--array", "8x8")[1]["estimate"]["memory_bits"]
        done, record = sized(path, tmp_path, "--array", "8x8", "--sram", f"{bits}b")
        assert (record["fits"], done.out.splitlines()[-1][:5]) == (True, "fits:")
        done, record = sized(path, tmp_path, "--array", "8x8", "--sram", f"{bits - 1}b")
        assert (record["fits"], record["estimate"]["fits"]) == (True, False)  # in tiles alone
        assert done.out.splitlines()[-1].startswith("fits in tiles: ")
        assert done.out.splitlines()[-2].startswith("whole layers: room binds: memory blocks of ")
        done, record = sized(path, tmp_path, "--sram", f"{bits - 1}b", "--dram-bandwidth", "100MB/s")
        assert (record["estimate"]["fits"], record["estimate"]["weights"]) == (False, "resident")
        streamed = record["streamed"]
        fits = streamed["memory_bits"] < bits  # as blocks of the technology come
        assert (streamed["weights"], streamed["fits"]) == ("streamed", fits)
        assert streamed["stall_cycles"] > record["estimate"]["stall_cycles"] == 0
        assert streamed["built_bits"] < record["estimate"]["built_bits"]
        line, whole, verdict = done.out.splitlines()[-3:]
        assert line == (
            f"with --stream it {'fits' if fits else 'takes too much, too'}: weights streamed through two buffers "
            "take "
            f"{streamed['memory_bits'] / 8192:.2f} KiB of memory blocks and {streamed['cycles']:,} cycles"
        )
        assert (whole[:14], verdict[:15]) == ("whole layers: ", "fits in tiles: ")
        done, asked = sized(path, tmp_path, "--sram", f"{bits - 1}b", "--dram-bandwidth", "100MB/s", "--stream")
        assert (asked["estimate"]["fits"], asked["estimate"]["cycles"]) == (fits, streamed["cycles"])
        assert done.out.splitlines()[-1].startswith("fits: " if fits else "fits in tiles: ")
        assert asked["estimate"]["weights"] == "streamed"
        fitting = sized(path, tmp_path, "--sram", f"{bits}b", "--dram-bandwidth", "100MB/s")[1]
        assert (fitting["fits"], fitting["streamed"]) == (True, None)  # negative control: nothing to tell where it fits

    def test_stored_weights_that_travel(self, path: Path, program: Program, tmp_path: Path) -> None:
        """Beside lane words it is told what weights and index would move as they are stored, and that nothing does so.

        It is told where weights are streamed, or would be; not where they stay.
        """
        for asked in (("--stream",), ("--sram", "2KiB")):
            done, record = sized(path, tmp_path, "--dram-bandwidth", "100MB/s", *asked)
            packed, streamed = record["packed"], record["estimate" if asked == ("--stream",) else "streamed"]
            assert (packed["weights"], packed["on_our_hardware"]) == ("packed", False)
            assert (streamed["weights"], streamed["on_our_hardware"]) == ("streamed", True)
            rows = {row["name"]: row["dram_bits"] for row in packed["layers"]}
            words = {row["name"]: row["dram_bits"] for row in streamed["layers"]}
            pruned = program.mac_layers[1]
            stored = pruned.index_bits + pruned.weights.size * pruned.weight_bits
            assert rows[pruned.name] == stored < words[pruned.name]
            (line,) = [x for x in done.out.splitlines() if x.startswith("unpacked on the chip, ")]
            moved = f"would move {packed['dram_bits'] / 8192:.2f} KiB an image from and to DRAM"
            assert moved in line
            assert f"lane words {streamed['dram_bits'] / 8192:.2f}; " in line
            assert line.endswith("(an estimate: our hardware streams lane words, and does not unpack)")
        done, record = sized(path, tmp_path, "--dram-bandwidth", "100MB/s")
        assert record["packed"] is None
        assert "unpacked" not in done.out

    def test_the_memories_are_built(self, path: Path, program: Program, tmp_path: Path) -> None:
        """Each memory has its built bits, what of them is used, and its blocks; their sum is the array's."""
        e = sized(path, tmp_path, "--array", "8x4")[1]["estimate"]
        array = array_for(program, 8, 4)
        assert {m["name"]: m["built_bits"] for m in e["memories"]} == {m.name: m.bits for m in array.memories}
        assert e["built_bits"] == array.built_bits
        assert all(m["payload_bits"] <= m["built_bits"] <= m["macro_bits"] for m in e["memories"])

    def test_accesses(self, path: Path, program: Program, tmp_path: Path) -> None:
        """Each layer says what it reads and writes of each memory, in words and in bits."""
        e = sized(path, tmp_path, "--array", "8x4")[1]["estimate"]
        array = array_for(program, 8, 4)
        image, *layers = accesses_of(program, array).values()
        for layer, expected in zip(e["layers"], layers, strict=True):
            for memory in array.memories:
                access = expected[memory.name]
                words = {"reads": access.reads, "writes": access.writes}
                assert layer["accesses"][memory.name] == {**words, "bits": access.words * memory.width_bits}
        assert e["load_accesses"]["signals"]["writes"] == image["signals"].writes > 0

    def test_what_synthesis_would_say(self, path: Path, program: Program, tmp_path: Path) -> None:
        """What is predicted of the array is told with the errors of predictions, and what lies beyond the sweep."""
        done, record = sized(path, tmp_path, "--array", "2x2")
        array = array_for(program, 2, 2)
        told, found = record["estimate"]["predicted"], predict(array)
        assert {name: told[name] for name in asdict(found)} == json.loads(json.dumps(asdict(found)))
        assert told["errors"]["lut"]["worst_error"] == model().fits["lut"].worst_error
        (line,) = [x for x in done.out.splitlines() if x.startswith("predicted, ECP5: ")]
        assert f": {found.lut:,} LUT, {found.ff:,} FF, {found.multipliers} multipliers, " in line
        other = sized(path, tmp_path, "--array", "32x16")
        assert other[1]["estimate"]["predicted"]["lut"] != found.lut
        assert "... outside of that sweep: 32 output lanes, in ECP5 the sweep has 1.." in other[0].out

    def test_power_at_a_rate_of_images(self, path: Path, program: Program, tmp_path: Path) -> None:
        """It is the energy of so many images and what memories leak all the time; more than it does is refused."""
        done, record = sized(path, tmp_path, "--fps", "30")
        e = estimate(program, array_for(program, 8, 8))
        assert e.energy
        leaks = e.energy.leakage_joules / e.seconds
        watts = 30 * (e.energy.total_joules - e.energy.leakage_joules) + leaks
        assert record["power"] == {"images_per_s": 30.0, "watts": pytest.approx(watts)}
        assert f"estimated, table asic-45nm: {1e3 * watts:.4g} mW at 30 images a second" in done.out.splitlines()
        full = e.watts_at(e.images_per_s)
        assert full == pytest.approx(e.energy.total_joules * e.images_per_s)  # one after another: all of the energy
        assert sized(path, tmp_path, "--array", "8x8")[1]["power"] is None
        line = f"--fps: 1e+09 images a second are more than the {e.images_per_s:,.1f} that it does"
        assert complaint("size", path, "--fps", "1e9") == line
        line = "--fps: nothing is known of energy in the technology ecp5-45f"
        assert complaint("size", path, "--fps", "30", "--technology", "ecp5-45f") == line

    def test_depths_that_are_insisted_on(self, path: Path, program: Program, tmp_path: Path) -> None:
        """They are those of the array, and are charged; one that is too small is refused in a line."""
        needed = array_for(program, 8, 8)
        deeper = {name: 2 * getattr(needed, name) for name in DEPTHS.values()}
        options = [x for name, words in deeper.items() for x in (f"--{name.replace('_', '-')}", words)]
        e = sized(path, tmp_path, *options)[1]["estimate"]
        assert {name: e["array"][name] for name in deeper} == deeper
        assert e["built_bits"] == replace(needed, **deeper).built_bits > needed.built_bits
        few = needed.weight_words - needed.weight_banks
        line = f"digits: needs {needed.weight_words:,} words of weights, weight_words are {few:,}"
        assert complaint("size", path, "--weight-words", few) == line

    def test_a_technology_of_ones_own(self, path: Path, tmp_path: Path) -> None:
        """A TOML file is a technology: its blocks are counted, and what it does not say is left open."""
        (tmp_path / "own.toml").write_text(
            '[mine]\nabout = "my chip"\n[[mine.macro]]\nname = "R"\nshapes = [[64, 8]]\nsource = "x"\n'
        )
        done, record = sized(path, tmp_path, "--technology", tmp_path / "own.toml")
        assert {memory["macro"] for memory in record["estimate"]["memories"]} == {"R"}
        assert record["estimate"]["energy"] is None
        assert "my chip: memory blocks" in done.out


class TestClock:
    @pytest.mark.parametrize(
        ("clock", "technology", "reached", "words"),
        [
            ("118MHz", "ecp5-45f", True, ""),
            ("119MHz", "ecp5-45f", False, "warning: a clock of 119 MHz; in this technology the array is known to run"),
            ("900MHz", "ecp5-45f", False, "warning: a clock of 900 MHz"),
            ("900MHz", "zu7ev", None, "clock: 900 MHz as asked; how high the array can go in this technology is not"),
        ],
    )
    def test_what_the_technology_reaches(
        self, path: Path, tmp_path: Path, clock: str, technology: str, reached: bool | None, words: str
    ) -> None:
        """A clock above what was measured is a warning, above the verdict; what nobody measured is said to be so."""
        done, record = sized(path, tmp_path, "--clock", clock, "--technology", technology)
        assert record["estimate"]["clock_reached"] is reached
        line = done.out.splitlines()[-2]
        assert line.startswith(words) if words else "clock" not in line

    def test_the_next_image_is_loaded_meanwhile(self, path: Path, program: Program, tmp_path: Path) -> None:
        """64 pixels, a beat of 8 a cycle, while the array runs; from a slow DRAM they count in the images a second."""
        e = sized(path, tmp_path, "--clock", "100MHz")[1]["estimate"]
        assert (e["load_cycles"], e["interval_cycles"]) == (8, e["cycles"])
        assert f"{e['cycles']:,} cycles, {e['images_per_s']:,.0f} images/s" in e["verdict"]
        slow = sized(path, tmp_path, "--clock", "100MHz", "--dram-bandwidth", "0.1MB/s")[1]["estimate"]
        assert (
            slow["load_cycles"] == 64 * 1000 < slow["interval_cycles"]
        )  # and the rows that the drain writes meanwhile
        assert slow["images_per_s"] == pytest.approx(100e6 / slow["interval_cycles"])
        assert f"{slow['interval_cycles'] - slow['cycles']:,} of loading, " in slow["verdict"]


class TestRefusals:
    @pytest.mark.parametrize(
        "option", [("--weight-bits", "4"), ("--signal-bits", "6"), ("--pattern", "kernel"), ("--weight-bits", "3")]
    )
    def test_what_is_a_programs_own(self, path: Path, tmp_path: Path, option: tuple[str, str]) -> None:
        """Options that cannot change a Program are refused, whether it is so by chance or not; the network has them."""
        line = complaint("size", path, *option)
        words = "is a Program, whose pattern and word lengths are its own"
        assert line == f"{path}: {words}; {' '.join(option)} cannot apply"
        assert sized(path, tmp_path)[1]["estimate"] is None  # negative control: without the option it is counted
        assert espalier("size", "digits", *option).status == 0

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--technology", "ecp5"], "unknown technology 'ecp5': did you mean 'ecp5-"),
            (["--technology", "nope.toml"], "nope.toml: No such file or directory"),
            (["--dram-bandwidth", "-1GB/s"], "--dram-bandwidth -1GB/s: expected a bandwidth above 0 such as 800MB/s"),
            (["--dram-bandwidth", "0GB/s"], "--dram-bandwidth 0GB/s: expected a bandwidth above 0"),
            (["--dram-bandwidth", "1GHz"], "--dram-bandwidth 1GHz: expected a bandwidth above 0"),
            (["--clock", "0MHz"], "--clock 0MHz: expected a frequency above 0 such as 100MHz or 1.2GHz"),
            (["--clock", "100"], "--clock 100: expected a frequency above 0"),
            (["--array", "8"], "--array 8: expected output lanes x pixel lanes, such as 8x8"),
            (["--array", "8x3"], "pixel_lanes must be a power of two, got 3"),
            (["--array", "0x8"], "output_lanes must be at least 1, got 0"),
            (["--accumulator-bits", "12"], "digits does not run on this array: conv1: needs accumulator_bits of "),
            (
                ["--accumulator-bits", "4"],
                "accumulator_bits must be above signal_bits, to hold any signal and its sign",
            ),
            (["--array", "8x8", "--sram", "0b"], "sram_bits must be a positive number, got 0"),
        ],
    )
    def test_words(
        self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
    ) -> None:
        """One clear line, exit status 2, and nothing is written."""
        monkeypatch.chdir(tmp_path)
        assert complaint("size", path, *arguments, "--json", "x.json").startswith(words)
        assert contents(tmp_path) == {}

    def test_wide_enough(self, path: Path, program: Program, tmp_path: Path) -> None:
        """Negative control: accumulators of exactly as many bits as are needed will do, and more too."""
        needed = Words.of(program).accumulator_bits
        for bits in (needed, needed + 8):
            record = sized(path, tmp_path, "--accumulator-bits", bits)[1]
            assert record["estimate"]["array"]["accumulator_bits"] == bits
        assert f"needs accumulator_bits of {needed}" in complaint("size", path, "--accumulator-bits", needed - 1)
