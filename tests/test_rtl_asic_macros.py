"""Memories as macros: their shapes, and wrappers that do what Amaranth's memories do."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rtl.asic.macros import Shape, liberty, maps, shape_of, shapes_of, verilog

RTLIL = """
module \\top
  memory width 8 size 64 \\one
  memory width 425 size 1 \\two
  memory width 8 size 64 \\three
end
"""
BENCH = """
module bench;
  reg clk = 0, read_enable = 1, write_enable = 1;
  reg [2:0] address = 3;
  reg [3:0] write_data = 9;
  wire [3:0] read_data;
  espalier_sram_5x4 dut(.clk(clk), .read_enable(read_enable), .read_address(address), .read_data(read_data),
    .write_enable(write_enable), .write_address(address), .write_data(write_data));
  task edges; begin #1 clk = 1; #1 clk = 0; $display("%0d", read_data); end endtask
  initial begin
    edges; write_enable = 0; write_data = 2;  // reads what was there while it writes
    edges; read_enable = 0; address = 4;
    edges; read_enable = 1;  // the word stays
    edges; address = 6;  // behind the last
    edges;
  end
endmodule
"""


def test_shapes() -> None:
    """Each shape of a design once; its name, bits and address are those of its words."""
    assert shapes_of(RTLIL) == [Shape(1, 425), Shape(64, 8)]
    assert (Shape(64, 8).name, Shape(64, 8).bits) == ("espalier_sram_64x8", 512)
    assert [Shape(depth, 1).address_bits for depth in (1, 2, 5, 64, 65)] == [1, 1, 3, 6, 7]


def test_names() -> None:
    """A wrapper's name says its shape, and no other cell's does."""
    assert shape_of("espalier_sram_5x4") == Shape(5, 4)
    assert [shape_of(name) for name in ("NAND2", "espalier_sram_5x", "my_espalier_sram_5x4")] == [None] * 3


def test_what_stands_for_a_shape() -> None:
    """Each text names every wrapper once; the address of five words has three bits."""
    shapes = [Shape(5, 4), Shape(64, 8)]
    forms = {maps(shapes): r"\) (\w+) _TECHMAP", verilog(shapes): r"module (\w+)\(", liberty(shapes): r"cell \((\w+)\)"}
    for text, form in forms.items():
        assert re.findall(form, text) == [shape.name for shape in shapes]
    assert "bus (read_address) { bus_type : bus3;" in liberty(shapes[:1])
    assert "input [2:0] read_address" in verilog(shapes[:1])


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Debian's package iverilog")
def test_a_wrapper_at_work(tmp_path: Path) -> None:
    """A word comes an edge after its address, as it was before a write of that edge, and stays while not enabled.

    Behind the last word there is a known one.
    """
    (tmp_path / "bench.v").write_text(verilog([Shape(5, 4)]) + BENCH)
    subprocess.run(["iverilog", "-o", "bench", "bench.v"], cwd=tmp_path, check=True)
    done = subprocess.run(["vvp", "bench"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["0", "9", "9", "0", "0"]
