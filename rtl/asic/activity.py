"""How often every net of a netlist changes while it runs images: probes beside it in a simulation of its gates.

Yosys makes a netlist of functions of the cells, as the Liberty file has them; memories stay behavioural. Registers come
up at random. The testbench of `rtl.emit` runs it and compares every output and every cycle, as it does the design.

A probe looks at 32 nets in every cycle, right before the clock's edge, and counts in which they differ from the cycle
before, and in which they are high. So a net changes once a cycle at most: what gates do while their inputs arrive one
after the other is not seen. Counts go by windows of time: the first is that of an image being loaded, the others are
told in cycles from its start. Of the first images nothing is counted, if that is asked for.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from rtl import simulators
from rtl.asic.buffers import Bit
from rtl.asic.mapping import CLOCK, EXTRA, TOP, yosys_found
from rtl.layout import Target
from rtl.tools import run_tool

NETS = 32  # of a probe
LOAD = ("load__valid", "load__payload")
TARGET_BITS = 3
SCRIPT = f"""
read_json probed.json
splitnets
read_liberty -ignore_miss_func -overwrite cells.lib
read_verilog -lib macros.v
hierarchy -top {TOP}
flatten
opt_clean -purge
setundef -init -random 1
write_verilog -noattr simulated.v
"""
# counts are kept bit by bit, of 32 nets at a time: a carry seldom goes far
PROBES = """
module espalier_windows(
  input clk, start, busy, loads, input [2:0] target,
  output reg [7:0] window, output reg counts, output reg tells
);
  integer since, images, place;
  reg [31:0] begins [0:%(windows)d];  // in place of the first, that of an image being loaded: the number of images
  reg runs;
  initial begin
    window = 0; counts = 0; tells = 0; runs = 0; since = 0; images = 0;
    $readmemh("windows.hex", begins);
  end
  always @(negedge clk) begin  // what counts at the edge that comes
    #2;  // the testbench has changed its inputs
    if (start && !busy) begin
      runs = 1;
      since = 0;
    end
    if (runs) for (place = 1; place < %(windows)d; place = place + 1) if (since >= begins[place]) window = place;
    if (!runs) window = 0;
    counts = images >= %(skipped)d && (runs || (loads && target == %(signals)d));
    since = since + 1;
  end
  always @(posedge clk) begin
    #2;  // registers have changed, and what they drive has settled
    if (runs && !busy) begin
      runs = 0;
      images = images + 1;
      if (images == begins[0]) tells = 1;
    end
  end
endmodule

module espalier_probe(
  input clk, counts, tells, input [7:0] window, input [31:0] number, input [31:0] nets
);
  reg [31:0] last, carry, plane;
  reg [31:0] changed [0:%(words)d];
  reg [31:0] high [0:%(words)d];
  integer place, end_place;
  initial for (place = 0; place < %(words)d; place = place + 1) begin
    changed[place] = 0;
    high[place] = 0;
  end
  always @(posedge clk) begin
    last <= nets;
    if (counts) begin
      end_place = (window + 1) * %(planes)d;
      carry = nets ^ last;
      for (place = window * %(planes)d; place < end_place && carry != 0; place = place + 1) begin
        plane = changed[place];
        changed[place] = plane ^ carry;
        carry = plane & carry;
      end
      carry = nets;
      for (place = window * %(planes)d; place < end_place && carry != 0; place = place + 1) begin
        plane = high[place];
        high[place] = plane ^ carry;
        carry = plane & carry;
      end
    end
  end
  always @(posedge tells) begin
    $write("PROBE %%0d", number);
    for (place = 0; place < %(words)d; place = place + 1) $write(" %%h %%h", changed[place], high[place]);
    $write("\\n");
  end
endmodule
"""
PLANES = 24  # bits of a count
NEVER = 0xFFFFFFFF  # when a window begins that there is not
_SAID = re.compile(r"^PROBE (\d+)((?: [0-9a-fx]+)+)$", re.MULTILINE)


@dataclass(frozen=True, eq=False)
class Activity:
    """What nets did, of all images together.

    Parameters
    ----------
    nets : list of int
        Their numbers in the netlist.
    changed, high : int64 arrays (windows, nets)
        The cycles in which they had changed, and in which they were high.
    """

    nets: Sequence[int]
    changed: NDArray[np.int64]
    high: NDArray[np.int64]


def write_windows(folder: Path, begins: Sequence[int], images: int, windows: int) -> None:
    """Write ``windows.hex``, which a simulation of gates reads as it starts.

    Parameters
    ----------
    folder : Path
    begins : sequence of int
        The cycle from an image's start in which each window begins, but for the first window.
    images : int
        After which probes tell.
    windows : int
        That `write_simulated` made room for, at least one more than there are `begins`.
    """
    never = [NEVER] * (windows - len(begins))
    (folder / "windows.hex").write_text("".join(f"{number:08x}\n" for number in (images, *begins, *never)))


def write_simulated(folder: Path, windows: int, skipped: int = 0) -> list[int]:
    """Turn the netlist that `map_to_cells` left in `folder` into Verilog for a simulation of gates, with its probes.

    Parameters
    ----------
    folder : Path
        It gets ``espalier.v``.
    windows : int
        That there may be.
    skipped : int
        Images at the beginning of which nothing is counted.

    Returns
    -------
    list of int
        The nets that are looked at.
    """
    netlist = json.loads((folder / "netlist.json").read_text())
    nets = with_probes(netlist["modules"][TOP])
    (folder / "probed.json").write_text(json.dumps(netlist))
    sizes = {"windows": windows, "words": windows * PLANES, "planes": PLANES, "signals": int(Target.SIGNALS)}
    (folder / "probes.v").write_text(PROBES % (sizes | {"skipped": skipped}))
    (folder / "simulate.ys").write_text(SCRIPT)
    run_tool(folder, yosys_found(), EXTRA, "simulate.ys")
    parts = ((folder / name).read_text() for name in ("simulated.v", "macros.v", "probes.v"))
    (folder / f"{TOP}.v").write_text("`timescale 1ns / 1ps\n" + "\n".join(parts))
    return nets


def nets_of(module: dict[str, Any]) -> list[int]:
    """Return the nets of a module of Yosys's JSON that are looked at: all but the clock."""
    (clock,) = module["ports"][CLOCK]["bits"]
    found = {bit for cell in module["cells"].values() for bits in cell["connections"].values() for bit in bits}
    return sorted(bit for bit in found if isinstance(bit, int) and bit != clock)


def nets_in(folder: Path) -> list[int]:
    """Return the nets that the simulation in `folder` looks at."""
    return nets_of(json.loads((folder / "netlist.json").read_text())["modules"][TOP])


def with_probes(module: dict[str, Any]) -> list[int]:
    """Add probes of all nets to a module of Yosys's JSON, in place; return the nets."""
    ports, cells = module["ports"], module["cells"]
    (clock,) = ports[CLOCK]["bits"]
    nets = nets_of(module)
    after = 1 + max(nets)
    told = {"window": list(range(after, after + 8)), "counts": [after + 8], "tells": [after + 9]}
    inputs = {name: ports[name]["bits"] for name in (CLOCK, "start", "busy")}
    inputs |= {"loads": ports[LOAD[0]]["bits"], "target": ports[LOAD[1]]["bits"][:TARGET_BITS]}
    cells["windows"] = _cell("espalier_windows", inputs | told, outputs=[*told])
    for number in range(-(-len(nets) // NETS)):
        some = nets[number * NETS : (number + 1) * NETS]
        bits: list[Bit] = [*some, *["0"] * (NETS - len(some))]
        names: list[Bit] = [*f"{number:032b}"[::-1]]
        cells[f"probe{number}"] = _cell("espalier_probe", {CLOCK: [clock], "number": names, "nets": bits} | told)
    return nets


def _cell(kind: str, connections: dict[str, list[Any]], outputs: Sequence[str] = ()) -> dict[str, Any]:
    directions = {name: "output" if name in outputs else "input" for name in connections}
    head = {"hide_name": 0, "type": kind, "parameters": {}, "attributes": {"keep": "1"}}
    return head | {"port_directions": directions, "connections": connections}


def simulate(folder: Path, simulator: str, nets: Sequence[int], windows: int) -> tuple[simulators.Outcome, Activity]:
    """Run what `simulators.build` compiled of what lies in `folder`; return what was compared, and what nets did.

    Raises
    ------
    EspalierError
        The simulation did not come to its end.
    """
    outcome, said = simulators.run_and_hear(folder, simulator)
    if outcome.errors:
        return outcome, Activity(nets, np.zeros((windows, 0), np.int64), np.zeros((windows, 0), np.int64))
    return outcome, heard(said, nets, windows)


def heard(said: str, nets: Sequence[int], windows: int) -> Activity:
    """Return what probes told.

    Raises
    ------
    EspalierError
        Not all of them did, or a net was neither low nor high.
    """
    words = {int(number): text.split() for number, text in _SAID.findall(said)}
    probes = -(-len(nets) // NETS)
    if sorted(words) != list(range(probes)) or any("x" in word for text in words.values() for word in text):
        raise EspalierError(f"the simulation of gates told of {len(words)} probes, expected {probes} without unknowns")
    planes = np.array([[int(word, 16) for word in words[number]] for number in range(probes)], np.int64)
    bits = planes.reshape(probes, windows, PLANES, 2, 1) >> np.arange(NETS) & 1
    counts = (bits << np.arange(PLANES).reshape(-1, 1, 1)).sum(axis=2)  # (probes, windows, what, nets of one)
    changed, high = counts.transpose(2, 1, 0, 3).reshape(2, windows, -1)[:, :, : len(nets)]
    return Activity(nets, changed, high)
