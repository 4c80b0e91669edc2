"""Tables of functions, in the drain of the layer before them or alone: golden's codes in the closed form's cycles."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.programs import Codes, program, signal
from support.rtl_builds import WORD, write
from support.rtl_layers import TABLED, TABLES, random_job
from support.rtl_programs import ARRAY, SIGNED, add, avg, check, corrupting, difference, images_of, mac

from accel.array import MacArray
from accel.cost import estimate
from accel.cost.cycles import LAYER_CYCLES, TABLE_CYCLES, cycles_of
from accel.cost.technology import load_technology
from accel.demand import array_for
from accel.fixedpoint import Overflow
from accel.fusion import bounds_of, computing, drained, looks_up, rectifies, table_of
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import ClipLayer, ConcatLayer, MaxPoolLayer, ProgramLayer, ReluLayer, TableLayer
from accel.signal import Signal, integer_format
from accel.window import Window
from rtl import simulators
from rtl.layout import Target
from rtl.simulate import simulate
from sim import golden

POINT, HALF = Window((1, 1)), Window.square(2, 2)
SATURATES = signal(6, overflow=Overflow.SAT)
UNSIGNED = signal(5, signed=False)
BOWL = np.arange(-32, 32) ** 2 // 33  # falls, then rises
SLOPE = np.maximum(np.arange(-32, 32) // 4, np.arange(-32, 32))  # never falls: a leaky ReLU


def table(
    name: str, source: str, codes: Codes = BOWL, output: Signal = SATURATES, reads: Signal = SATURATES
) -> TableLayer:
    """Return a table of codes for those of `reads`."""
    return TableLayer(name, (source,), codes, reads.format.min_code, output)


def behind(*layers: ProgramLayer) -> Program:
    """Return a convolution "a" and what follows it."""
    rng, window = np.random.default_rng(0), Window.square(3, 1, 1)
    first = mac(rng, "a", INPUT, (3, 2, 9), SIGNED, window=window, output=SATURATES)
    return program([first, *layers], (2, 2, 4), SIGNED)


def own(of: Program) -> list[str]:
    """Return the layers that take time."""
    return [layer.name for layer in computing(of, ARRAY)]


class TestWhatTheDrainDoes:
    def test_before_a_pool(self) -> None:
        """A convolution looks its codes up and pools them, in this order; nothing else takes time."""
        of = behind(table("t", "a"), MaxPoolLayer("pool", ("t",), HALF))
        assert own(of) == ["a"]
        assert drained(of, ARRAY) == {"a": of.layers[1:]}

    @pytest.mark.parametrize(("codes", "layers"), [(SLOPE, ["a"]), (BOWL, ["a", "t"])], ids=["rises", "falls"])
    def test_behind_a_pool(self, codes: Codes, layers: list[str]) -> None:
        """The largest code stays the largest if the function never falls; any other is looked up afterwards."""
        of = behind(MaxPoolLayer("pool", ("a",), HALF), table("t", "pool", codes))
        assert own(of) == layers
        assert looks_up(of, computing(of, ARRAY)[-1], ARRAY)

    def test_what_is_around_it(self) -> None:
        """ReLUs, clips and other tables are part of the table, by hand here: the array needs no bounds for them."""
        first = table("t", "clip", BOWL - 16)
        middle = [ClipLayer("clip", ("a",), 20, -9), first, ReluLayer("relu", ("t",)), ClipLayer("end", ("relu",), 7)]
        of = behind(*middle, table("last", "end", np.arange(64)[::-1] // 4, UNSIGNED))
        assert own(of) == ["a"]
        ends = [min(7, max(0, min(20, max(-9, code)) ** 2 // 33 - 16)) for code in range(-32, 32)]
        found = table_of(of, of.layers[0], ARRAY)
        assert found is not None
        assert (found[0], found[1].tolist()) == (-32, [(31 - end) // 4 for end in ends])
        assert bounds_of(of, of.layers[0], ARRAY) == (None, None)
        assert not rectifies(of, of.layers[0], ARRAY)
        array = array_for(of, 4, 4)
        assert (array.ceiling, array.floor, array.table_words) == (False, False, 64)

    def test_where_it_runs_alone(self) -> None:
        """What others read too is stored, and looked up after; so is the image, and what is joined."""
        both = add("sum", ("a", "t"), (1, 1), (SATURATES, SATURATES), SATURATES)
        assert own(behind(table("t", "a"), both)) == ["a", "t", "sum"]
        join = [table("t", INPUT, reads=SIGNED, output=SIGNED), ConcatLayer("join", ("t", INPUT)), table("u", "join")]
        of = program([*join[:2], replace(join[2], output=SIGNED)], (2, 4, 4), SIGNED)  # type: ignore[type-var]
        assert own(of) == ["t", "join", "u"]


class TestOnTheHardware:
    @pytest.mark.parametrize("signed", [True, False])
    @pytest.mark.parametrize("bits", [2, pytest.param(8, marks=pytest.mark.slow)])
    def test_every_code(self, bits: int, signed: bool, rng: np.random.Generator) -> None:
        """A table of its own gives what stands in it for each code, to the end of the memory, in its own cycles."""
        reads, output = (Signal(integer_format(bits, kind), 1.0) for kind in (signed, not signed))
        words = rng.permutation(1 << bits) + output.format.min_code
        of = program([table("t", INPUT, words, output, reads)], (1, 1, 1 << bits), reads)
        codes = np.arange(1 << bits).reshape(1, 1, 1, -1) + reads.format.min_code
        array = array_for(of, 1, 4)
        (run,) = check(of, codes, array)
        assert run.codes.ravel().tolist() == words.tolist()
        tiles = (1 << bits) // 4
        assert cycles_of(of, array)[0].cycles == 3 * tiles + 1 + LAYER_CYCLES + TABLE_CYCLES

    def test_in_the_drain(self, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
        """A convolution that pools takes 2 cycles more for a table. Negative control: a word of it is changed."""
        pool = MaxPoolLayer("pool", ("t",), HALF)
        of = behind(table("t", "a", BOWL - 16), pool)
        array, images = array_for(of, 2, 2), images_of(rng, of, 1)
        check(of, images, array)
        without = behind(replace(pool, inputs=("a",)))
        assert cycles_of(of, array)[0].cycles == cycles_of(without, array)[0].cycles + TABLE_CYCLES
        codes = golden.run(of, images)["a"]
        word = int(codes[0, 0, 0, 0]) + 32  # one that is looked up; a larger code is not hidden by the pool
        corrupting(monkeypatch, lambda image: image.tables.__setitem__(word, 31))
        assert difference(of, images, simulate(of, array, images), array) is not None

    @pytest.mark.slow
    def test_any_layer_before(self, rng: np.random.Generator) -> None:
        """An addition, an average, a max pool that is not fused, a ReLU and a clip of their own look codes up."""
        layers: list[ProgramLayer] = [
            add("sum", (INPUT, INPUT), (2, 3), (SATURATES, SATURATES), SATURATES),
            table("t1", "sum", BOWL - 16),
            avg("avg", "t1", Window.square(2), SATURATES, SATURATES),
            table("t2", "avg", SLOPE),
            MaxPoolLayer("max", ("t2",), Window.square(3, 1, 1)),
            table("t3", "max", BOWL, UNSIGNED),
            ConcatLayer("join", ("t3", "t3")),
            ClipLayer("clip", ("join",), 25),
            table("t4", "clip", np.arange(32)[::-1] - 20, SATURATES, UNSIGNED),
        ]
        of = program(layers, (2, 4, 5), SATURATES)
        assert own(of) == ["sum", "avg", "max", "join", "clip"]
        check(of, images_of(rng, of), array_for(of, 4, 4))

    @pytest.mark.slow
    @pytest.mark.skipif(shutil.which("verilator") is None, reason="needs Debian's package verilator")
    def test_the_verilog(self, tmp_path: Path) -> None:
        """Networks of every kind around tables in the emitted Verilog: golden's codes in the closed form's cycles.

        Negative control: with all words of a table turned over the testbench counts errors.
        """
        rng = np.random.default_rng(3)
        jobs = [random_job(rng, TABLED, [chain]) for chain in (*TABLES, *TABLES)]
        (tmp_path / "right").mkdir()
        build = write(tmp_path / "right", jobs, TABLED, "verilator")
        assert simulators.run(build.folder, "verilator") == build.expected
        (tmp_path / "wrong").mkdir()
        first = build.line_of_word(0, Target.TABLES)
        places = first + np.arange(len(jobs[0].program.layers[0].table))  # type: ignore[attr-defined]
        build.edit(tmp_path / "wrong", "load.hex", places, lambda word: word ^ 1 << WORD)
        assert simulators.run(tmp_path / "wrong", "verilator").errors > 0


class TestWhatItCosts:
    def test_memory_and_energy(self) -> None:
        """A copy for each pixel lane is built, one of them is the Program's; a read of one for each code is charged."""
        of, chip = behind(table("t", "a")), load_technology("asic-45nm")
        found = estimate(of, array_for(of, 4, 4), chip)
        (memory,) = (memory for memory in found.memories if memory.name == "tables")
        assert (memory.bits, memory.payload_bits) == (4 * 64 * 6, 64 * 6)
        plain = behind()
        without = estimate(plain, array_for(plain, 4, 4), chip)
        assert found.stored_bits == without.stored_bits + 64 * 6
        assert chip.energy is not None
        assert found.energy is not None
        assert without.energy is not None
        reads = 3 * 2 * 4 * chip.energy.sram_joules(memory.macro_bits // 4, 6)
        assert found.energy.sram_joules == pytest.approx(without.energy.sram_joules + reads)

    def test_an_array_without(self) -> None:
        """No word of it has a bit for tables."""
        without, with_them = MacArray(), replace(MacArray(), table_words=64)
        more = {name: field.bits for name, field in with_them.layer_fields.items() if name not in without.layer_fields}
        assert more == {"tabled": 1, "table": 6, "table_signed": 1}
        assert [memory.name for memory in with_them.memories[len(without.memories) :]] == ["tables"]
