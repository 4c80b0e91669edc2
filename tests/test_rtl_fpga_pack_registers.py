"""Registers into hard blocks: which may move, which may not, and that a packed array computes what it did."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from support.rtl_gates import small_job, write_gates

from accel.array import MacArray
from accel.cost.macros import Memory, place
from accel.cost.technology import load_technology
from accel.memory_words import SHALLOW
from rtl import simulators
from rtl.core.activations import Activations
from rtl.fpga.pack_registers import ADDER, MEMORY, MULTIPLIER, REGISTER, SUM, TABLE, Netlist
from rtl.fpga.synthesis import map_to_cells
from rtl.layout import Layout

CLOCK, ENABLE, OTHER = 2, 3, 4  # nets
NONE_TAKEN = {"operands": 0, "products": 0, "words": 0, "masks": 0}


def cell(kind: str, inputs: dict[str, Any], outputs: dict[str, Any], **parameters: str) -> dict[str, Any]:
    """Return a cell of yosys's JSON whose ports have one bit each."""
    ways = dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output")
    nets = {port: [bit] for port, bit in (inputs | outputs).items()}
    return {"type": kind, "parameters": parameters, "port_directions": ways, "connections": nets}


def register(
    before: int, behind: int, enable: int = ENABLE, reset: int | str = "0", **parameters: str
) -> dict[str, Any]:
    """Return a register from one net to another."""
    inputs = {"CLK": CLOCK, "CE": enable, "LSR": reset, "DI": before}
    return cell(REGISTER, inputs, {"Q": behind}, **({"CEMUX": "CE", "REGSET": "RESET"} | parameters))


def multiplier(a: int, b: int, product: int) -> dict[str, Any]:
    """Return a multiplier of one bit by one bit."""
    inputs = {f"{side}{place}": "0" for side in "AB" for place in range(18)} | {"A0": a, "B0": b}
    outputs = {f"P{place}": 900 + place for place in range(36)} | {"P0": product}
    return cell(MULTIPLIER, inputs, outputs)


def memory(word: int, upper: int = 950) -> dict[str, Any]:
    """Return a memory whose port B reads one bit, and whose port A gives `upper`."""
    outputs = {f"DO{port}{place}": 900 + 40 * (port == "A") + place for port in "AB" for place in range(18)}
    return cell(MEMORY, {"CLKB": CLOCK, "CEB": ENABLE}, outputs | {"DOB0": word, "DOA0": upper})


def netlist(*cells: dict[str, Any], reads: tuple[int, ...] = ()) -> Netlist:
    """Return a netlist of cells with numbers for names; the module's port reads some nets."""
    ports = {"out": {"direction": "output", "bits": list(reads)}}
    return Netlist({"cells": {str(number): one for number, one in enumerate(cells)}, "ports": ports})


def test_operands() -> None:
    """Registers at both operands go in; the block obeys what they obeyed, and registers that nobody reads are gone."""
    made = netlist(multiplier(12, 13, 14), register(10, 12), register(11, 13), reads=(14,))
    assert made.pack() == NONE_TAKEN | {"operands": 1}
    block = made.cells["0"]
    assert block["connections"]["A0"] == [10]
    assert block["connections"]["B0"] == [11]
    assert {name: block["parameters"][f"REG_INPUT{name}"] for name in ("A_CLK", "A_CE", "B_CLK", "B_RST")} == {
        "A_CLK": "CLK0",
        "A_CE": "CE0",
        "B_CLK": "CLK1",
        "B_RST": "RST1",
    }
    assert block["connections"]["CLK0"] == block["connections"]["CLK1"] == [CLOCK]
    assert block["connections"]["CE0"] == [ENABLE]
    assert block["connections"]["RST0"] == ["0"]
    assert list(made.cells) == ["0"]


def test_a_register_that_others_read_stays() -> None:
    """The block takes a copy."""
    made = netlist(multiplier(12, 13, 14), register(10, 12), register(11, 13), reads=(12, 14))
    assert made.pack()["operands"] == 1
    assert list(made.cells) == ["0", "1"]


@pytest.mark.parametrize(
    "second",
    [
        register(11, 13, reset=OTHER),
        register(11, 13, REGSET="SET"),
        register(11, 13, CLKMUX="INV"),
        register(11, 13, CEMUX="INV"),
        cell("LUT4", {"A": 11}, {"Z": 13}),
    ],
    ids=["reset", "comes up as 1", "falling edge", "enabled by 0", "no register"],
)
def test_operands_that_may_not(second: dict[str, Any]) -> None:
    """One operand alone stays outside too: nextpnr has no times for half of them."""
    made = netlist(multiplier(12, 13, 14), register(10, 12), second, reads=(14,))
    assert made.pack() == NONE_TAKEN
    assert len(made.cells) == 3


def test_bits_of_an_operand_share_their_enable() -> None:
    """Two bits of one operand with different enables cannot share a register of the block; with one they can."""
    for enable, taken in ((OTHER, 0), (ENABLE, 1)):
        block = multiplier(12, 13, 14)
        block["connections"]["A1"] = [15]
        made = netlist(block, register(10, 12), register(11, 13), register(10, 15, enable), reads=(14,))
        assert made.pack()["operands"] == taken


def test_a_register_without_enable() -> None:
    """Yosys writes the text 1 as "1 ", which is always enabled."""
    made = netlist(multiplier(12, 13, 14), *(register(n - 2, n, CEMUX="1 ") for n in (12, 13)), reads=(14,))
    assert made.pack()["operands"] == 1
    assert made.cells["0"]["connections"]["CE0"] == ["1"]


def test_a_product() -> None:
    """The register behind a product goes in; what it drove, the block drives."""
    made = netlist(multiplier(12, 13, 14), register(14, 16), reads=(16,))
    assert made.pack() == NONE_TAKEN | {"products": 1}
    assert made.cells["0"]["connections"]["P0"] == [16]
    assert made.cells["0"]["parameters"]["REG_OUTPUT_CLK"] == "CLK2"
    assert list(made.cells) == ["0"]


@pytest.mark.parametrize("reads", [(14, 16), ()], ids=["the port", "another register"])
def test_a_product_that_others_read(reads: tuple[int, ...]) -> None:
    """A product that something else reads too, a cycle earlier, stays."""
    more = () if reads else (register(14, 17), register(17, 18))
    made = netlist(multiplier(12, 13, 14), register(14, 16), *more, reads=reads or (16, 18))
    assert made.pack() == NONE_TAKEN


def test_a_word() -> None:
    """The register behind a memory's port B goes in and keeps its enable."""
    made = netlist(memory(14), register(14, 16, OTHER), reads=(16,))
    assert made.pack() == NONE_TAKEN | {"words": 1}
    block = made.cells["0"]
    assert block["parameters"]["REGMODE_B"] == "OUTREG"
    assert (block["connections"]["DOB0"], block["connections"]["OCEB"]) == ([16], [OTHER])


def test_a_word_over_both_ports() -> None:
    """Of a word that port A gives a part of both ports take their registers, or none if they obey different enables."""
    made = netlist(memory(14, 15), register(14, 16), register(15, 17), reads=(16, 17))
    assert made.pack() == NONE_TAKEN | {"words": 1}
    block = made.cells["0"]
    assert [block["connections"][port] for port in ("DOB0", "DOA0", "OCEA", "OCEB")] == [[16], [17], [ENABLE], [ENABLE]]
    assert {block["parameters"][f"REGMODE_{port}"] for port in "AB"} == {"OUTREG"}
    made = netlist(memory(14, 15), register(14, 16), register(15, 17, OTHER), reads=(16, 17))
    assert made.pack() == NONE_TAKEN


AND = 0b1000_1000_1000_1000  # of A and B, whatever C and D are


def adder(first: int, second: int, below: int | str = "0", table: int = SUM) -> dict[str, Any]:
    """Return a bit of an adder, and one beside it that adds nothing."""
    inputs = {"A0": first, "B0": second, "C0": below, "D0": "1"} | dict.fromkeys(("A1", "B1", "C1"), "0") | {"D1": "1"}
    return cell(ADDER, inputs, {"S0": 30}, INIT0=f"{table:016b}", INIT1=f"{SUM:016b}")


def look_up(table: int, one: int, other: int, result: int) -> dict[str, Any]:
    """Return a look-up table of two nets."""
    return cell(TABLE, {"A": one, "B": other, "C": "0", "D": "0"}, {"Z": result}, INIT=f"{table:016b}")


@pytest.mark.parametrize("masked_first", [False, True])
def test_a_mask(masked_first: bool) -> None:
    """An adder masks what it adds itself, whichever operand it is; the look-up table that did is gone."""
    operands = (20, 12) if masked_first else (12, 20)
    made = netlist(adder(*operands), look_up(AND, 10, 11, 20), reads=(30,))
    assert made.pack() == NONE_TAKEN | {"masks": 1}
    assert list(made.cells) == ["0"]
    assert [made.cells["0"]["connections"][port] for port in ("A0", "B0", "C0", "D0")] == [[12], [10], ["0"], [11]]


@pytest.mark.parametrize("mask", [0, 1])
@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_masked_bit_adds_and_carries(first: int, second: int, mask: int) -> None:
    """The table gives the sum of A and a masked B; where that is 0, what it gives without C and D is their carry."""
    masked = second & mask
    assert SUM >> (mask << 3 | second << 1 | first) & 1 == first ^ masked
    if first == masked:  # else the carry comes from the bit below
        assert SUM >> (second << 1 | first) & 1 == first & masked


@pytest.mark.parametrize(
    ("cells", "reads"),
    [
        ((adder(12, 20), look_up(AND, 10, 11, 20)), (20, 30)),
        ((adder(12, 20, below="1"), look_up(AND, 10, 11, 20)), (30,)),
        ((adder(12, 20, table=0x6666), look_up(AND, 10, 11, 20)), (30,)),
        ((adder(12, 20), look_up(0b0110_0110_0110_0110, 10, 11, 20)), (30,)),
        ((adder(12, 20), register(10, 20)), (30,)),
    ],
    ids=["others read it", "a difference", "another table", "no mask", "a register"],
)
def test_a_mask_that_may_not(cells: tuple[dict[str, Any], ...], reads: tuple[int, ...]) -> None:
    """What others read, what is subtracted, and what is no mask stay."""
    made = netlist(*cells, reads=reads)
    assert made.pack() == NONE_TAKEN
    assert len(made.cells) == 2


@pytest.mark.slow
def test_a_packed_array(tmp_path: Path) -> None:
    """Yosys's cells of an array, packed, run the testbench: every bit and every cycle, and one wrong bit is noticed."""
    array, job = small_job()
    build = write_gates(tmp_path, [job], array)
    cells = json.loads((tmp_path / "top.json").read_text())["modules"]["top"]["cells"].values()
    blocks = [one for one in cells if one["type"] == MULTIPLIER]
    assert len(blocks) == 3  # two in the lanes, one in the drain
    assert all({"REG_INPUTA_CLK", "REG_INPUTB_CLK", "REG_OUTPUT_CLK"} <= set(one["parameters"]) for one in blocks)
    assert [one for one in cells if one["parameters"].get("REGMODE_B") == "OUTREG"]
    assert simulators.run(tmp_path, "verilator") == build.expected
    held = simulators.run(tmp_path, "verilator", stall=128)
    assert (held.errors, held.cycles - held.stalls) == (0, build.expected.cycles)
    (tmp_path / "wrong").mkdir()
    build.edit(tmp_path / "wrong", "expected.hex", build.line_of_row(0, 1, 2), lambda row: row ^ 1)
    assert simulators.run(tmp_path / "wrong", "verilator").errors == 1


@pytest.mark.slow
@pytest.mark.parametrize(("words", "cell"), [(SHALLOW, "TRELLIS_DPR16X4"), (SHALLOW + 1, "DP16KD")])
def test_what_signals_lie_in(words: int, cell: str, tmp_path: Path) -> None:
    """The memory of signals takes the cells that the cost model charges: look-up tables, then blocks."""
    array = MacArray(2, 2, signal_words=4 * words, weight_words=16)
    (shape,) = (memory for memory in array.memories if memory.name == "signals")
    (placed,) = place([Memory(**asdict(shape), payload_bits=0)], load_technology("ecp5-45f"))
    map_to_cells(Activations(Layout(array)), tmp_path)
    cells = json.loads((tmp_path / "top.json").read_text())["modules"]["top"]["cells"].values()
    assert Counter(x["type"] for x in cells)[cell] == placed.count
    assert placed.macro == {"TRELLIS_DPR16X4": "DPR16X4", "DP16KD": "EBR"}[cell]
