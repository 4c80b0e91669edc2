"""Memories as macros of a chip: one wrapper for each shape, whose insides a memory compiler's take the place of.

A wrapper has one port that writes and one that reads, of one clock; the word that is read stands from one edge to the
next, and stays while `read_enable` is low. A word that is being written is read as it was.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

PREFIX = "espalier_sram_"
READ_DATA = "read_data"  # the one output
# of a cell that holds a memory, which Yosys's manual has (chapter "Memories"); the wrapper writes whole words, so
# that all bits of a word must have one enable
_MAPS = """(* techmap_celltype = "$mem_v2" *)
module macros (RD_CLK, RD_EN, RD_ARST, RD_SRST, RD_ADDR, RD_DATA, WR_CLK, WR_EN, WR_ADDR, WR_DATA);
  parameter MEMID = "", SIZE = 0, OFFSET = 0, ABITS = 0, WIDTH = 0, INIT = 0, RD_PORTS = 1, WR_PORTS = 1;
  parameter RD_CLK_ENABLE = 1, RD_CLK_POLARITY = 1, RD_TRANSPARENCY_MASK = 0, RD_COLLISION_X_MASK = 0;
  parameter RD_WIDE_CONTINUATION = 0, RD_CE_OVER_SRST = 0, RD_ARST_VALUE = 0, RD_SRST_VALUE = 0, RD_INIT_VALUE = 0;
  parameter WR_CLK_ENABLE = 1, WR_CLK_POLARITY = 1, WR_PRIORITY_MASK = 0, WR_WIDE_CONTINUATION = 0;
  parameter _TECHMAP_BITS_CONNMAP_ = 1;
  parameter [WIDTH*_TECHMAP_BITS_CONNMAP_-1:0] _TECHMAP_CONNMAP_WR_EN_ = 0;
  input RD_CLK, RD_EN, RD_ARST, RD_SRST, WR_CLK;
  input [ABITS-1:0] RD_ADDR, WR_ADDR;
  input [WIDTH-1:0] WR_DATA, WR_EN;
  output [WIDTH-1:0] RD_DATA;
  wire _TECHMAP_FAIL_ = RD_PORTS != 1 || WR_PORTS != 1 || !RD_CLK_ENABLE || !WR_CLK_ENABLE || RD_TRANSPARENCY_MASK
    || _TECHMAP_CONNMAP_WR_EN_ != {WIDTH{_TECHMAP_CONNMAP_WR_EN_[_TECHMAP_BITS_CONNMAP_-1:0]}};
  generate
%s  endgenerate
endmodule
"""
_THRESHOLDS = {"input": 50, "output": 50, "slew_lower": 20, "slew_upper": 80}  # percent


@dataclass(frozen=True, order=True)
class Shape:
    """The shape of a memory: `depth` words of `width` bits."""

    depth: int
    width: int

    @property
    def name(self) -> str:
        """The name of its wrapper."""
        return f"{PREFIX}{self.depth}x{self.width}"

    @property
    def bits(self) -> int:
        """The bits of all words."""
        return self.depth * self.width

    @property
    def address_bits(self) -> int:
        """The bits of an address, at least one."""
        return max(1, (self.depth - 1).bit_length())

    @property
    def inputs(self) -> dict[str, int]:
        """From the name of each input but the clock to its bits; 0: a single wire."""
        address = self.address_bits
        return {
            "read_enable": 0,
            "read_address": address,
            "write_enable": 0,
            "write_address": address,
            "write_data": self.width,
        }


def shapes_of(rtlil: str) -> list[Shape]:
    """Return the shapes of the memories of a design in Yosys's language, each once."""
    found = re.findall(r"^  memory width (\d+) size (\d+) ", rtlil, re.MULTILINE)
    return sorted({Shape(int(depth), int(width)) for width, depth in found})


def shape_of(cell: str) -> Shape | None:
    """Return the shape whose wrapper has this name, or None."""
    found = re.fullmatch(PREFIX + r"(\d+)x(\d+)", cell)
    return Shape(int(found[1]), int(found[2])) if found else None


def maps(shapes: Iterable[Shape]) -> str:
    """Return what tells Yosys's `techmap` which wrapper takes the place of a memory."""
    cases = (
        f"    if (SIZE == {shape.depth} && WIDTH == {shape.width}) {shape.name} _TECHMAP_REPLACE_ (.clk(RD_CLK),\n"
        "      .read_enable(RD_EN), .read_address(RD_ADDR), .read_data(RD_DATA),\n"
        "      .write_enable(WR_EN[0]), .write_address(WR_ADDR), .write_data(WR_DATA));\n"
        for shape in shapes
    )
    return _MAPS % "".join(cases)


def verilog(shapes: Iterable[Shape]) -> str:
    """Return the wrappers, which do what the memories do; a chip has others of the same names and ports."""
    return "\n".join(map(_module, shapes))


def _module(shape: Shape) -> str:
    """Return a wrapper; words behind the last, which may be read and then dropped, are known in simulation, too."""
    room = 1 << shape.address_bits
    ports = "".join(f",\n  input {f'[{bits - 1}:0] ' if bits else ''}{name}" for name, bits in shape.inputs.items())
    return f"""module {shape.name}(
  input clk{ports},
  output reg [{shape.width - 1}:0] {READ_DATA}
);
  reg [{shape.width - 1}:0] words [0:{room - 1}];
  integer word;
  initial begin
    {READ_DATA} = 0;
    for (word = 0; word < {room}; word = word + 1) words[word] = 0;
  end
  always @(posedge clk) begin
    if (read_enable) {READ_DATA} <= words[read_address];
    if (write_enable) words[write_address] <= write_data;
  end
endmodule
"""


def liberty(shapes: Sequence[Shape], times: Mapping[Shape, tuple[float, float]] | None = None) -> str:
    """Return a library of the wrappers for timing.

    Parameters
    ----------
    shapes : sequence of Shape
    times : mapping, optional
        Of each shape nanoseconds from the edge to the word that is read, and of set-up; 0 of those that are not there.
    """
    widths = sorted({bits for shape in shapes for bits in (*shape.inputs.values(), shape.width) if bits})
    lines = [
        "library (espalier_sram) {",
        '  delay_model : table_lookup; time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1mA";',
        '  leakage_power_unit : "1nW"; pulling_resistance_unit : "1kohm"; capacitive_load_unit (1, pf);',
        *(f"  {x}_threshold_pct_{y} : {_THRESHOLDS[x]};" for x in _THRESHOLDS for y in ("rise", "fall")),
        *(
            f"  type (bus{bits}) {{ base_type : array; data_type : bit; bit_width : {bits}; "
            f"bit_from : {bits - 1}; bit_to : 0; }}"
            for bits in widths
        ),
        *(_timed(shape, *(times or {}).get(shape, (0.0, 0.0))) for shape in shapes),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _timed(shape: Shape, access: float, setup: float) -> str:
    before = f'timing () {{ related_pin : "clk"; timing_type : setup_rising; {_tables("constraint", setup)} }}'
    delays = f"{_tables('transition', 0)} {_tables('', access)}"
    after = f'timing () {{ related_pin : "clk"; timing_type : rising_edge; {delays} }}'
    inputs = [f"    {_pin(name, bits)} direction : input; {before} }}" for name, bits in shape.inputs.items()]
    lines = [
        f"  cell ({shape.name}) {{",
        "    pin (clk) { direction : input; clock : true; }",
        *inputs,
        f"    {_pin(READ_DATA, shape.width)} direction : output; {after} }}",
        "  }",
    ]
    return "\n".join(lines)


def _tables(what: str, value: float) -> str:
    """Return the tables of rise and fall, which have one value; those without a name are the cell's delays."""
    names = (f"{edge}_{what}" if what else f"cell_{edge}" for edge in ("rise", "fall"))
    return " ".join(f'{name} (scalar) {{ values ("{value:g}"); }}' for name in names)


def _pin(name: str, bits: int) -> str:
    return f"bus ({name}) {{ bus_type : bus{bits};" if bits else f"pin ({name}) {{"
