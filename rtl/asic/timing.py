"""When a netlist's paths end: OpenSTA, before anything is placed.

Wires load as the library's own model of wires says, or not at all; the clock reaches all registers at once; inputs come
and outputs go at the edge. Memories take the times of the macros that they are built of; without a library of macros a
word is there at the edge, and is written without set-up time.
"""

import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from accel.errors import EspalierError
from rtl.asic.macros import Shape, liberty
from rtl.asic.mapping import CLOCK, TOP, Netlist
from rtl.asic.sram import BuiltMemory
from rtl.tools import run_tool

TOOL, EXTRA = "sta", "fpga"
MISSING = "no timing: OpenSTA is not installed (apt-get install opensta)"
ALL = "*"  # the section of the slowest path of all
CHECK = "report_checks -path_delay max -format full -digits 4"
SCRIPT = """
read_liberty cells.lib
read_liberty macros.lib
read_verilog netlist.v
link_design {top}
set_cmd_units -time ns
create_clock -name {clock} -period {period:.6f} [get_ports {clock}]
set_input_delay 0 -clock {clock} [all_inputs]
set_output_delay 0 -clock {clock} [all_outputs]
{checks}
"""
_POINT = re.compile(r"^(Startpoint|Endpoint): (\S+)", re.MULTILINE)
_SLACK = re.compile(r"^\s*(-?\d[\d.]*)\s+slack", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class SlowPath:
    """A path from a register, a memory or an input to one of these or an output.

    Parameters
    ----------
    start, end : str
        The signal that a register holds, a memory's instance, or a port.
    nanoseconds : float
        What it needs of a cycle, set-up time included.
    """

    start: str
    end: str
    nanoseconds: float


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The slowest path of all, and of those that end in each module; `tool` says which OpenSTA found them."""

    tool: str
    slowest: SlowPath
    modules: Mapping[str, SlowPath]


def time_netlist(
    netlist: Netlist, folder: Path, clock_hertz: float, built: Mapping[Shape, BuiltMemory] | None = None
) -> Timing | None:
    """Return the timing of the netlist that `map_to_cells` left in `folder`; None if OpenSTA is not installed.

    Parameters
    ----------
    netlist : Netlist
    folder : Path
    clock_hertz : float
    built : mapping, optional
        Of the memories by their shapes, if there is a library of macros.

    Raises
    ------
    EspalierError
        OpenSTA cannot read the library or the netlist, or finds no path.
    """
    if shutil.which(TOOL) is None:
        return None
    period = 1e9 / clock_hertz
    ends: dict[str, list[str]] = {}
    for placed in netlist.placed:
        if placed.register:
            ends.setdefault(placed.module, []).append(placed.name)
    checks = [f'puts "== {ALL}"', CHECK]
    for module, names in ends.items():
        checks += [f'puts "== {module}"', f"{CHECK} -to [get_cells {{{' '.join(names)}}}]"]
    script = SCRIPT.format(top=TOP, clock=CLOCK, period=period, checks="\n".join(checks))
    times = {shape: (memory.access_ns, memory.setup_ns) for shape, memory in (built or {}).items()}
    (folder / "macros.lib").write_text(liberty(netlist.shapes, times))
    (folder / "time.tcl").write_text(script)
    said = run_tool(folder, TOOL, EXTRA, "-exit", "time.tcl")
    tool, (_, *sections) = check_said(said), re.split(r"^== ", said, flags=re.MULTILINE)
    paths = dict(_paths(sections, netlist.called, period))
    if ALL not in paths:
        raise EspalierError("OpenSTA found no path")
    return Timing(tool=tool, slowest=paths.pop(ALL), modules=paths)


def check_said(said: str) -> str:
    """Return which OpenSTA it was that said this; raise EspalierError if it said of an error."""
    if errors := re.findall(r"^Error: (.*)$", said, re.MULTILINE):  # after which its exit status is 0
        raise EspalierError(f"OpenSTA failed: {errors[0]}")
    version = re.search(r"OpenSTA \S+", said)
    return version[0] if version else "OpenSTA"


def _paths(sections: Iterable[str], called: Mapping[str, str], period: float) -> Iterable[tuple[str, SlowPath]]:
    """Yield the module of each section that has a path, and the path."""
    for section in sections:
        module, _, text = section.partition("\n")
        points, slack = dict(_POINT.findall(text)), _SLACK.search(text)
        if slack:
            start, end = (called.get(points[x], points[x]) for x in ("Startpoint", "Endpoint"))
            yield module.strip(), SlowPath(start=start, end=end, nanoseconds=round(period - float(slack[1]), 4))
