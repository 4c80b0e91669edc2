"""What is sized is what is built: the memories of an array are those of its Verilog, bit for bit."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Shape
from amaranth.lib import data
from hypothesis import given, settings
from hypothesis import strategies as st
from support.programs import every_kind, program, signal
from support.rtl_builds import write
from support.rtl_layers import random_job

from accel.array import MacArray
from accel.cost import Invariants, Limits, estimate, total_cycles, total_interval
from accel.cost.technology import load_technology
from accel.demand import array_for
from accel.interchange import zoo
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import AddLayer, TableLayer
from accel.quantize import Widths, lower
from accel.signal import Requantize
from reports.workflow import verdicts
from rtl import simulators
from rtl.assemble import signal_formats
from rtl.emit import hardware
from rtl.layout import Layout, packer
from rtl.simulate import simulate

VERSIONS = [(network, pattern) for network in zoo.names() for pattern in zoo.patterns(network)]
REGISTERS = re.compile(r"^\s*reg \[(\d+):0\] \S+ +\[(\d+):0\];", re.MULTILINE)


def programmed(network: str, pattern: str, bits: tuple[int, int] = (4, 6)) -> Program:
    """Return a version of the zoo as a Program; its steps come from random pixels, because bits alone are counted."""
    version = zoo.load(network, pattern)
    pixels = np.random.default_rng(0).random((4, *version.network.input_shape), np.float32)
    return lower(version, Widths(*bits), pixels)


def built(of: Program, array: MacArray) -> list[tuple[int, int]]:
    """Return (words, bits of one) of every array of registers in the Verilog, sorted."""
    source = hardware(array, signal_formats(of))[1].decode()
    return sorted((int(words) + 1, int(bits) + 1) for bits, words in REGISTERS.findall(source))


def sized(array: MacArray) -> list[tuple[int, int]]:
    """Return (words, bits of one) of every bank that the array says it has, sorted."""
    return sorted((memory.words, memory.width_bits) for memory in array.memories for _ in range(memory.banks))


def bits_of(banks: list[tuple[int, int]]) -> int:
    """Return the bits of all banks."""
    return sum(words * bits for words, bits in banks)


def assert_built_as_sized(of: Program, lanes: tuple[int, int]) -> None:
    """Raise AssertionError unless the Verilog has the memories that the estimate charges."""
    array = array_for(of, *lanes)
    found, record = built(of, array), verdicts.record(estimate(of, array))
    assert found == sized(array)
    assert record["built_bits"] == sum(memory["built_bits"] for memory in record["memories"]) == bits_of(found)


@given(
    st.integers(1, 20),
    st.sampled_from([1, 2, 4, 8]),
    st.integers(2, 16),
    st.integers(1, 16),
    st.lists(st.integers(1, 5000), min_size=7, max_size=7),
    st.tuples(*(st.booleans(),) * 5),
)
@settings(max_examples=60, deadline=None)
def test_widths_are_stated_once(
    outputs: int, pixels: int, weight_bits: int, signal_bits: int, depths: list[int], features: tuple[bool, ...]
) -> None:
    """The words that the hardware is made of have the widths that the array says its memories have."""
    signals, weights, entries, taps, constants, layers, tables = depths
    lists, split, pool, combine, looks_up = features
    array = MacArray(
        *(outputs, pixels, weight_bits, signal_bits, signal_bits + 9),
        *(2 * pixels * signals, pixels * weights, entries * lists, taps, constants, layers),
        split=split,
        pool=pool,
        combine=combine,
        table_words=tables * looks_up,
    )
    words = Layout(array).words
    widths = {memory.name: memory.width_bits for memory in array.memories}
    assert widths == {name: Shape.cast(words[name]).width for name in widths}
    assert words.keys() - widths == ({"entries"} if not lists else set()) | ({"tables"} if not looks_up else set())


@pytest.mark.parametrize("seed", range(3))
def test_words_are_packed_as_the_hardware_has_them(seed: int) -> None:
    """A word is what Amaranth makes of the same parts, signed ones among them; another part makes another word."""
    words, rng = Layout(MacArray(4, 2, 5, 6, 20)).words, np.random.default_rng(seed)
    for layout in (words[name] for name in ("entries", "taps", "constants", "layers")):
        parts = {key: int(rng.integers(-(1 << 20), 1 << 20)) & (1 << field.width) - 1 for key, field in layout}
        parts |= {key: part - (1 << layout[key].width) for key, part in parts.items() if _negative(layout[key], part)}
        assert packer(layout)(parts) == layout.const(parts).as_value().value
        assert packer(layout)(parts) != packer(layout)(parts | {key: part ^ 1 for key, part in list(parts.items())[:1]})
    word = {"lanes": tuple(rng.integers(-16, 16, 4).tolist()), "others": int(rng.integers(16))}
    assert packer(words["weights"])(word) == words["weights"].const(word).as_value().value


def _negative(field: data.Field, part: int) -> bool:
    shape = Shape.cast(field.shape)
    return shape.signed and bool(part >> (shape.width - 1))


@pytest.mark.slow
@pytest.mark.parametrize(("version", "lanes"), [(("digits", "kernel+ikss"), (2, 1)), (("digits", "dense"), (1, 2))])
def test_the_verilog_holds_what_is_sized(version: tuple[str, str], lanes: tuple[int, int]) -> None:
    """The arrays of registers in the Verilog are the memories of the estimate, word for word, on small arrays."""
    assert_built_as_sized(programmed(*version), lanes)


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS, ids=" ".join)
def test_the_whole_zoo(version: tuple[str, str]) -> None:
    """So they are of every version of the zoo, on 8 x 8 lanes."""
    assert_built_as_sized(programmed(*version), (8, 8))


@pytest.mark.slow
def test_a_word_more_is_seen() -> None:
    """Negative control: an array whose memory of layers has a word more is built with as many bits more."""
    of = programmed("digits", "kernel")
    array = array_for(of, 1, 1)
    deeper = replace(array, layers=array.layers + 1)
    assert bits_of(built(of, deeper)) - bits_of(sized(array)) == array.memories[-1].width_bits
    assert built(of, deeper) != sized(array)


@pytest.mark.slow
def test_a_loop_initialises_a_memory() -> None:
    """The Verilog sets the words of a memory to 0 in one line, not each in one of its own."""
    of = programmed("digits", "kernel")
    array = array_for(of, 1, 1)
    source = hardware(array, signal_formats(of))[1].decode()
    loops = re.findall(
        r"^    for \(zeroed = 0; zeroed <= (\d+); zeroed = zeroed \+ 1\) \S+ \[zeroed\] = \d+'h0+;$",
        source,
        re.MULTILINE,
    )
    assert sorted(int(last) + 1 for last in loops) == [words for words, _ in sized(array)]


def test_a_depth_that_is_insisted_on_is_charged() -> None:
    """The estimate charges the array that it is given: what a Program does not need is built, and holds nothing."""
    of, chip = programmed("digits", "kernel"), load_technology("asic-45nm")
    arrays = [array_for(of, 8, 8, {"weight_words": words}) for words in (None, 1 << 14)]
    less, more = (estimate(of, array, chip) for array in arrays)
    memories = [{memory.name: memory for memory in e.memories} for e in (less, more)]
    assert memories[1]["weights"].bits == (1 << 14) * (8 * 4 + 4)  # two lanes share a multiplier, and take one map
    assert memories[1]["weights"].payload_bits == memories[0]["weights"].payload_bits
    assert (more.built_bits > less.built_bits, more.memory_bits > less.memory_bits) == (True, True)
    assert Invariants(of).array(Invariants(of).words, 8, 8) == array_for(of, 8, 8)
    assert Limits().stream is False


@pytest.mark.parametrize("seed", range(4))
def test_just_large_enough_runs(seed: int) -> None:
    """On an array that has not a word too many every code is golden's, and the cycles are those of the closed form."""
    lanes = ((1, 1), (2, 2), (3, 4), (5, 2))[seed]
    job = random_job(np.random.default_rng(20 + seed))
    array = array_for(job.program, *lanes)
    for run, codes in zip(simulate(job.program, array, job.codes), job.outputs, strict=True):
        assert (run.codes == codes).all()
        assert run.cycles - run.stalls == total_cycles(job.program, array)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Debian's package iverilog")
@pytest.mark.parametrize("seed", [21, 34])
def test_nothing_unknown_is_read(seed: int, tmp_path) -> None:
    """In Verilog a word beyond a memory's end is unknown: none reaches an output, of the second image either."""
    job = random_job(np.random.default_rng(seed))
    array = array_for(job.program, 1, 2)
    build = write(
        tmp_path,
        [replace(job, cycles=total_cycles(job.program, array), interval=total_interval(job.program, array))],
        array,
        "iverilog",
    )
    assert simulators.run(build.folder, "iverilog") == build.expected


@pytest.mark.slow
def test_every_kind_of_layer_is_sized() -> None:
    """A Program with each kind of layer, an addition among them, is built as it is sized."""
    assert_built_as_sized(every_kind(np.random.default_rng(0)), (2, 2))


@pytest.mark.slow
def test_tables_are_sized() -> None:
    """Each of 4 pixel lanes has the words of both tables, 256 and 64, as wide as the widest signal."""
    rng, six = np.random.default_rng(0), signal(6)
    of = program(
        [
            TableLayer("first", (INPUT,), rng.integers(-32, 32, 256), 0, six),
            TableLayer("last", ("first",), rng.integers(-32, 32, 64), -32, six),
            AddLayer("sum", ("first", "last"), (1, 1), 7, False, Requantize([1], 0), six),
        ]
    )
    assert_built_as_sized(of, (2, 4))
    (tables,) = (memory for memory in array_for(of, 2, 4).memories if memory.name == "tables")
    assert (tables.words, tables.width_bits, tables.banks) == (256 + 64, 8, 4)


def test_verilog_is_the_same_wherever_the_package_lies() -> None:
    """Nothing in it says from which file of Python it came: the same array gives the same bytes to everybody."""
    source = hardware(MacArray(2, 2, signal_words=8, weight_words=8), ())[1].decode()
    assert "ram_style" in source  # its attributes are written
    assert "src =" not in source
    assert ".py" not in source
