"""What a shell learns of a testbench: exit status 0 if everything agrees, another one if anything differs."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.programs import PIXEL, mac_layer, program
from support.rtl_builds import WORD, Build, write
from support.rtl_layers import SMALL, probe

from accel.cost import total_cycles, total_interval
from accel.demand import array_for
from accel.errors import EspalierError
from accel.network import INPUT
from accel.window import Window
from rtl import simulators, verilog
from rtl.emit import Job
from rtl.layout import Target
from rtl.simulators import COMMANDS, RUN
from sim import golden

MISSING = [tool for tool in ("verilator", "iverilog") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs Debian's packages {', '.join(MISSING)}")

COMPILERS = {
    "verilator": COMMANDS["verilator"],
    "verilog": COMMANDS["iverilog"],
    "systemverilog": COMMANDS["iverilog"].replace("-g2005", "-g2012"),
}
PORTS = """
module ports;
  reg clk = 0;
  wire busy, ready, valid;
  wire [31:0] cycles, stalls;
  espalier dut (.clk(clk), .rst(1'b0), .start(1'b0), .busy(busy), .cycles(cycles), .stalls(stalls), .load__valid(1'b0),
                .load__ready(ready), .out__valid(valid), .out__ready(1'b0));
  initial begin
    #1 $display("%b %b %b %0d %0d", busy, ready, valid, cycles, stalls);
    #1 clk = 1;
    #1 $display("%b %b %b %0d %0d", busy, ready, valid, cycles, stalls);
  end
endmodule
"""


def said(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder."""
    return subprocess.run(command.split(), cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def dense() -> Job:
    """Return a job of a layer whose entries are counted, and nothing pruned."""
    rng = np.random.default_rng(0)
    layer = mac_layer("conv", INPUT, rng.integers(-7, 8, (2, 1, 4)), PIXEL, window=Window.square(2))
    of, codes = program([layer], (1, 3, 3)), rng.integers(0, 256, (1, 1, 3, 3))
    array = array_for(of, 2, 2)
    return Job(of, codes, golden.run(of, codes)["conv"], total_cycles(of, array), total_interval(of, array))


@pytest.fixture(scope="module", params=[pytest.param("verilator", marks=pytest.mark.slow), "verilog", "systemverilog"])
def build(request, tmp_path_factory) -> Build:
    """One Program and two images, compiled by each simulator, and by Icarus in both languages."""
    folder = tmp_path_factory.mktemp(request.param)
    made = write(folder, [probe()], SMALL, None)
    done = said(COMPILERS[request.param], folder)
    assert done.returncode == 0, done.stderr
    return made


def simulated(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run what was compiled, half of the rows held back."""
    run = RUN["verilator" if (folder / "obj_dir").exists() else "iverilog"]
    return said(" ".join([*run, "+stall=128"]), folder)


def test_agreement_is_status_0(build):
    """Every image and row was compared, nothing differs, and the simulator ends with 0."""
    done = simulated(build.folder)
    assert done.returncode == 0, done.stdout
    assert f"DONE images {build.expected.images} rows {build.expected.rows} errors 0" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "line", "change"),
    [
        ("expected.hex", lambda build: build.line_of_row(0, 1, 2), lambda row: row ^ 1),
        ("load.hex", lambda build: build.line_of_word(0, Target.WEIGHTS), lambda word: word ^ 1 << WORD),
        ("jobs.hex", lambda _: 4, lambda cycles: cycles + 1),
        ("jobs.hex", lambda _: 3, lambda rows: rows + 2),
    ],
    ids=["an output bit", "a weight's bit", "a cycle", "a row that never comes"],
)
def test_a_difference_is_another_status(
    build: Build, tmp_path: Path, name: str, line: Callable[[Build], int], change: Callable[[int], int]
) -> None:
    """One thing that is wrong, and the simulator does not end with 0; its lines say what it was."""
    build.edit(tmp_path, name, line(build), change)
    done = simulated(tmp_path)
    assert done.returncode not in (0, None)
    assert done.stdout.startswith("FAIL job 0 image ")


def test_the_ports_are_known_from_the_start(build, tmp_path):
    """Before anything moves the accelerator is idle, in Verilog and in SystemVerilog, and not unknown.

    The negative control: in SystemVerilog they are without the event that `rtl.emit` puts at time 0.
    """
    if (build.folder / "obj_dir").exists():
        return  # two states: nothing is unknown
    standard = "-g2012" if "systemverilog" in build.folder.name else "-g2005"
    (tmp_path / "ports.v").write_text(PORTS)
    source = (build.folder / "espalier.v").read_text()
    (tmp_path / "espalier.v").write_text(source)
    command = f"iverilog {standard} -o ports -s ports ports.v espalier.v"
    assert said(command, tmp_path).returncode == 0
    assert said("vvp ports", tmp_path).stdout == "0 1 0 0 0\n" * 2
    (tmp_path / "espalier.v").write_text(source.replace("\n  initial \\", "\n  // \\"))
    assert said(command, tmp_path).returncode == 0
    assert ("x" in said("vvp ports", tmp_path).stdout) == (standard == "-g2012")


def test_blocks_of_a_single_assignment(tmp_path: Path) -> None:
    """An array that counts entries has blocks of constants alone; as SystemVerilog it gives the same codes.

    The negative control: as Yosys writes them, such blocks never run.
    """
    build = write(tmp_path, [dense()], array_for(dense().program, 2, 2), None)
    command = COMPILERS["systemverilog"]
    assert said(command, tmp_path).returncode == 0
    assert f"rows {build.expected.rows} errors 0" in said("vvp simulation", tmp_path).stdout
    source = (tmp_path / "espalier.v").read_text()
    bare, blocks = re.subn(
        r"  always @\* begin\n    if \(\S+ \) begin end\n    (.*)\n  end\n", r"  always @*\n    \1\n", source
    )
    assert blocks
    (tmp_path / "espalier.v").write_text(bare)
    assert said(command, tmp_path).returncode == 0
    assert f"rows {build.expected.rows} errors 0" not in said("vvp simulation", tmp_path).stdout


@pytest.mark.parametrize("name", ["", "  reg \\$auto$verilog_backend.cc:1:dump_module$7  = 0;\n"])
def test_a_module_of_such_blocks_alone(name: str, tmp_path: Path) -> None:
    """Where a module has no register to wait for, it gets one."""
    module = f"module few(output reg [1:0] y);\n{name}  reg [1:0] x = 2;\n  always @*\n    y = x;\nendmodule\n"
    bench = "module bench;\n  wire [1:0] y;\n  few dut (y);\n  initial #1 $display(y);\nendmodule\n"
    for text, seen in ((verilog._started(module), "2"), (module, "x")):
        (tmp_path / "few.v").write_text(text + bench)
        assert said("iverilog -g2012 -o few -s bench few.v", tmp_path).returncode == 0
        assert said("vvp few", tmp_path).stdout.strip() == seen


@pytest.mark.parametrize(("errors", "status", "right"), [(0, 0, True), (1, 1, True), (1, 0, False), (0, 1, False)])
def test_lines_and_status_must_agree(errors: int, status: int, right: bool, tmp_path: Path) -> None:
    """What is read from the lines is held to the exit status, in every simulation that we run."""
    binary = tmp_path / "obj_dir" / "simulation"
    binary.parent.mkdir()
    binary.write_text(f"#!/bin/sh\necho DONE images 1 rows 2 errors {errors} cycles 3 stalls 0\nexit {status}\n")
    binary.chmod(0o755)
    if right:
        assert simulators.run(tmp_path, "verilator").errors == errors
    else:
        with pytest.raises(EspalierError, match=f"counts {errors} errors and exits with {status}"):
            simulators.run(tmp_path, "verilator")
