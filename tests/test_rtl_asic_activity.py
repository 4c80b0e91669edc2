"""How often nets change: probes count what a netlist of known registers does, in the right windows of time."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from support import tiny_cells

from accel.errors import EspalierError
from rtl import simulators
from rtl.asic import liberty
from rtl.asic.activity import NETS, PLANES, heard, nets_in, simulate, with_probes, write_simulated, write_windows
from rtl.asic.mapping import TOP, map_to_cells

RUN = 12  # cycles of an image
BEGINS = [0, 5]
WINDOWS = 4  # one more than there are
BENCH = """
`timescale 1ns / 1ps
module testbench;
  reg clk = 0, rst = 1, start = 0, load_valid = 0;
  wire busy;
  integer image;
  espalier dut(.clk(clk), .rst(rst), .start(start), .busy(busy), .load__valid(load_valid), .load__payload(4'd%d));
  initial forever #5 clk = ~clk;
  initial begin
    repeat (2) @(negedge clk);
    rst = 0;
    for (image = 0; image < 2; image = image + 1) begin
      repeat (2) @(negedge clk);  // what the last edge of an image changes is seen at the next
      load_valid = 1;
      repeat (3) @(negedge clk);
      load_valid = 0;
      repeat (4) @(negedge clk);
      start = 1;
      @(negedge clk);
      start = 0;
      while (busy !== 0) @(negedge clk);
    end
    $display("DONE images 2 rows 1 errors 0 cycles 0 stalls 0");
    $finish;
  end
endmodule
"""


class Runs(wiring.Component):
    """It counts to `RUN` from a start, and a register changes in every cycle, whatever happens."""

    def __init__(self) -> None:
        ports = {"start": In(1), "busy": Out(1), "load__valid": In(1), "load__payload": In(4)}
        super().__init__({**ports, "count": Out(4), "always": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count, always = Signal(4), Signal()
        m.d.sync += always.eq(~always)
        m.d.comb += [self.busy.eq(count != 0), self.count.eq(count), self.always.eq(always)]
        with m.If(self.busy):
            m.d.sync += count.eq(count - 1)
        with m.Elif(self.start):
            m.d.sync += count.eq(RUN)
        return m


def named(folder: Path, name: str) -> list[int]:
    """Return the nets of a port of the netlist."""
    bits: list[int] = json.loads((folder / "netlist.json").read_text())["modules"][TOP]["ports"][name]["bits"]
    return bits


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Debian's package iverilog")
def test_counts(tmp_path: Path) -> None:
    """What changes every cycle does so in every cycle of each window; of a counter each bit as often as it counts.

    Of two images: three cycles of loading each, where the target is that of signals, then five cycles and the rest.
    Where the target is another, nothing is counted while nothing runs.
    """
    map_to_cells(Runs(), liberty.parse(tiny_cells.liberty()), tmp_path, 1e8)
    nets = write_simulated(tmp_path, WINDOWS)
    write_windows(tmp_path, BEGINS, 2, WINDOWS)
    assert nets == nets_in(tmp_path)
    (always,), count, (clock,) = (named(tmp_path, name) for name in ("always", "count", "clk"))
    assert clock not in nets
    for target, loads in ((8, 3), (9, 0)):  # the lowest three bits of the payload
        (tmp_path / "testbench.v").write_text(BENCH % target)
        simulators.build(tmp_path, "iverilog")
        outcome, activity = simulate(tmp_path, "iverilog", nets, WINDOWS)
        assert (outcome.images, outcome.errors) == (2, 0)
        changed = dict(zip(activity.nets, activity.changed.T.tolist(), strict=True))
        assert changed[always] == [2 * loads, 2 * 5, 2 * (RUN + 1 - 5), 0]
        values = [0, *range(RUN, -1, -1)]  # at each edge from that of the start
        for place, net in enumerate(count):
            bits = np.array([value >> place & 1 for value in values])
            flips = np.abs(np.diff(bits))
            assert changed[net] == [0, 2 * flips[:4].sum(), 2 * flips[4:-1].sum(), 0]
    nets = write_simulated(tmp_path, WINDOWS, skipped=1)  # then it is the second image alone
    (tmp_path / "testbench.v").write_text(BENCH % 8)
    simulators.build(tmp_path, "iverilog")
    _, activity = simulate(tmp_path, "iverilog", nets, WINDOWS)
    assert activity.changed[:, activity.nets.index(always)].tolist() == [3, 5, RUN + 1 - 5, 0]


def test_probes() -> None:
    """All nets but the clock, each once, 32 to a probe."""
    cells = {
        f"g{net}": {"type": "INV", "connections": {"A": [net], "Y": [net + 1]}, "port_directions": {}}
        for net in range(20, 60)
    }
    ports = {name: {"bits": [place]} for place, name in enumerate(("clk", "start", "busy", "load__valid"), 2)}
    ports["load__payload"] = {"bits": [6, 7, 8, 9]}
    cells["r"] = {"type": "DFF", "connections": {"CK": [2], "D": ["0"]}, "port_directions": {}}
    module = {"ports": ports, "cells": dict(cells)}
    nets = with_probes(module)
    assert nets == list(range(20, 61))
    probes = [cell["connections"] for cell in module["cells"].values() if cell["type"] == "espalier_probe"]
    assert [bit for probe in probes for bit in probe["nets"]] == [*nets, *["0"] * (2 * NETS - len(nets))]
    assert [int("".join(reversed(probe["number"])), 2) for probe in probes] == [0, 1]
    assert not set(probes[0]["window"]) & {*nets, *range(10)}


def told(counts: dict[int, int], windows: int = 1) -> str:
    """Return what a probe says whose nets changed so often in the last window and were never high."""
    planes = [0] * (windows * PLANES)
    for net, count in counts.items():
        for bit in range(PLANES):
            planes[(windows - 1) * PLANES + bit] |= (count >> bit & 1) << net
    return "PROBE 0" + "".join(f" {plane:08x} 00000000" for plane in planes) + "\n"


def test_what_probes_say() -> None:
    """Counts are spread over words by their bits; the nets of the last probe are as many as there are."""
    found = heard(told({0: 5, 3: 1 << 20, 31: 7}, 2), range(4), 2)
    assert found.changed.tolist() == [[0, 0, 0, 0], [5, 0, 0, 1 << 20]]
    assert not found.high.any()


@pytest.mark.parametrize("said", ["", told({0: 1}).replace(" 00000001", " 0000000x", 1)])
def test_probes_that_do_not_say(said: str) -> None:
    """A probe that is missing, or a net that is neither low nor high, is an error."""
    with pytest.raises(EspalierError, match=r"told of \d probes, expected 1 without unknowns"):
        heard(said, range(4), 1)
