"""Watts of a netlist from what its nets did: OpenSTA, window of time by window, module by module.

The installed OpenSTA (2.0) reads neither SAIF nor VCD, and its `set_power_activity` takes no pins; what that calls
does: each pin of each cell gets the changes a cycle of its net, and the share of time in which it is high. That holds
from when power was first asked for; from then on nothing is propagated, and nothing need be.

Watts are as OpenSTA counts them: a cell's internal energy from the library, half of C V^2 for each change of what it
drives, and leakage. In a cycle in which nothing changes registers still take what the clock does inside of them; with
the capacitance of their clock pins that is `Watts.clock`. A tree of the clock, wires and glitches are not in it.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from accel.errors import EspalierError
from rtl.asic.activity import Activity
from rtl.asic.liberty import Library
from rtl.asic.macros import READ_DATA, liberty, shape_of
from rtl.asic.mapping import CLOCK, TOP, Netlist
from rtl.asic.timing import EXTRA, TOOL, check_said
from rtl.tools import run_tool

KNOWN = "2.0"  # of OpenSTA; later ones take activities in another unit
SCRIPT = """
read_liberty cells.lib
read_liberty macros.lib
read_verilog netlist.v
link_design {top}
set_cmd_units -time ns -capacitance pF
create_clock -name {clock} -period {period:.6f} [get_ports {clock}]
report_power
puts "CLOCK"
report_net -connections -verbose -digits 6 {clock}
set pins {{}}
set instances {{}}
source pins.tcl
proc told {{window}} {{
  global instances
  foreach {{module cells}} $instances {{
    set internal 0
    set switching 0
    set leakage 0
    foreach cell $cells {{
      set power [::sta::instance_power $cell [::sta::cmd_corner]]
      set internal [expr {{$internal + [lindex $power 0]}}]
      set switching [expr {{$switching + [lindex $power 1]}}]
      set leakage [expr {{$leakage + [lindex $power 2]}}]
    }}
    puts "WATTS $window $module $internal $switching $leakage"
  }}
}}
proc annotated {{activities}} {{
  global pins
  foreach net $pins {{activity duty}} $activities {{
    foreach pin $net {{ ::sta::set_power_pin_activity $pin $activity $duty }}
  }}
}}
source activities.tcl
"""
_WATTS = re.compile(r"^WATTS (\d+) (\S+) (\S+) (\S+) (\S+)$", re.MULTILINE)
_CLOCK = re.compile(r"^CLOCK$.*?Pin capacitance: (?:r (\S+) f )?(\S+)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Watts:
    """Power of a netlist at its clock.

    Parameters
    ----------
    tool : str
        Which OpenSTA it was.
    switched : sequence of mappings
        Of each window, from the name of a module to what it takes for changes of its nets.
    clock : float
        Of the clock's pins and what it does in registers.
    leakage : sequence of float
        Of each window.
    """

    tool: str
    switched: Sequence[Mapping[str, float]]
    clock: float
    leakage: Sequence[float]


def watts_of(
    netlist: Netlist,
    library: Library,
    folder: Path,
    clock_hertz: float,
    activity: Activity,
    cycles: Sequence[int],
) -> Watts:
    """Return the power of the netlist that `map_to_cells` left in `folder`.

    Parameters
    ----------
    netlist : Netlist
    library : Library
    folder : Path
    clock_hertz : float
    activity : Activity
    cycles : sequence of int
        Of each window, of all images together.

    Raises
    ------
    EspalierError
        OpenSTA is not installed, another one than is known, or fails.
    """
    check_known(library)
    module = json.loads((folder / "netlist.json").read_text())["modules"][TOP]
    pins = pins_of(module, activity.nets)
    lines = [f"lappend pins [get_pins {{{' '.join(found)}}}]" for found in pins]
    instances: dict[str, list[str]] = {}
    for one in netlist.placed:
        instances.setdefault(one.module, []).append(one.name)
    lines += [f"lappend instances {name} [get_cells {{{' '.join(cells)}}}]" for name, cells in instances.items()]
    (folder / "pins.tcl").write_text("\n".join(lines) + "\n")
    (folder / "activities.tcl").write_text("\n".join(_annotations(activity, cycles)) + "\n")
    (folder / "macros.lib").write_text(liberty(netlist.shapes))
    (folder / "power.tcl").write_text(SCRIPT.format(top=TOP, clock=CLOCK, period=1e9 / clock_hertz))
    said = run_tool(folder, TOOL, EXTRA, "-exit", "power.tcl")
    tool = check_said(said)
    if not tool.startswith(f"OpenSTA {KNOWN}"):
        raise EspalierError(f"{tool} takes activities that are not known here: expected {KNOWN}, Debian's opensta")
    return _watts(said, tool, len(cycles), library, clock_hertz)


def check_known(library: Library) -> None:
    """Raise EspalierError if there is no OpenSTA, or the library does not say at which voltage it is."""
    if not library.volts:
        raise EspalierError(f"{library.name} has no default operating conditions, whose voltage power is counted at")
    if shutil.which(TOOL) is None:
        raise EspalierError("no power: OpenSTA is not installed (apt-get install opensta)")


def pins_of(module: dict[str, Any], nets: Sequence[int]) -> list[list[str]]:
    """Return the pins on each of `nets`, as OpenSTA names them."""
    found: dict[int, list[str]] = {net: [] for net in nets}
    for name, cell in module["cells"].items():
        for port, bits in cell["connections"].items():
            shape = shape_of(cell["type"])
            bus = shape is not None and (port == READ_DATA or shape.inputs.get(port, 0) > 0)
            for place, bit in enumerate(bits):
                if bit in found:
                    found[bit].append(f"{name}/{port}[{place}]" if bus else f"{name}/{port}")
    return [found[net] for net in nets]


def _annotations(activity: Activity, cycles: Sequence[int]) -> Iterator[str]:
    """Yield the lines that ask for each window, and last for one in which nothing happens."""
    for window, count in enumerate(cycles):
        rates = np.stack([activity.changed[window], activity.high[window]], axis=1) / max(count, 1)
        words = " ".join(f"{rate:.6g}" for rate in np.minimum(rates, 1).ravel().tolist())
        yield f"annotated {{{words}}}\ntold {window}"
    yield f"annotated {{{' '.join(['0 0'] * len(activity.nets))}}}\ntold {len(cycles)}"


def _watts(said: str, tool: str, windows: int, library: Library, clock_hertz: float) -> Watts:
    found = {(int(window), module): tuple(map(float, numbers)) for window, module, *numbers in _WATTS.findall(said)}
    modules = sorted({module for _, module in found})
    load = _CLOCK.search(said)
    if load is None or len(found) != len(modules) * (windows + 1):
        raise EspalierError("OpenSTA told no power")
    rest = {module: found[windows, module][0] for module in modules}
    farads = 1e-12 * (float(load[1] or load[2]) + float(load[2])) / 2  # of rise and fall, in picofarads
    return Watts(
        tool=tool,
        switched=[
            {module: found[window, module][0] - rest[module] + found[window, module][1] for module in modules}
            for window in range(windows)
        ],
        clock=sum(rest.values()) + farads * library.volts**2 * clock_hertz,
        leakage=[sum(found[window, module][2] for module in modules) for window in range(windows)],
    )
