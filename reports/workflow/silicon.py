"""What arrays take in standard cells, module by module: `espalier synth --liberty`."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from accel.array import MacArray
from accel.fixedpoint import FixedFormat
from accel.signal import integer_format
from reports.shared.schema import Kind
from rtl.asic.liberty import Cell, Library
from rtl.asic.macros import Shape
from rtl.asic.mapping import Netlist, Placed, map_to_cells
from rtl.asic.sram import BuiltMemory, SramLibrary, all_built
from rtl.asic.timing import SlowPath, Timing, time_netlist
from rtl.core.accelerator import Accelerator

KIND = Kind("espalier-cells", 2, "the results of espalier synth --liberty")


@dataclass(frozen=True, kw_only=True)
class ModuleCells:
    """What one module takes, or a whole build.

    Parameters
    ----------
    build : str
        ``sparse``, or ``dense``: the same array without lists.
    module : str
        ``all`` for the whole build; ``shell`` is what is in no module of its own.
    cells, flip_flops : int
        Standard cells, and how many of them are registers.
    area : float
        Of the cells, in the library's unit, mostly square micrometres; memories are not in it.
    gate_equivalents : float
        The area over that of the library's smallest NAND of two inputs.
    macros, macro_bits : int
        Memories, and the bits of all.
    leakage_watts : float
        Of the cells.
    macro_um2, macro_leakage_watts : float or None
        Of the macros that memories are built of; None without a library of them.
    slowest_path : SlowPath or None
        Of those that end here; None without OpenSTA, or without a register.
    """

    build: str
    module: str
    cells: int
    flip_flops: int
    area: float
    gate_equivalents: float
    macros: int
    macro_bits: int
    leakage_watts: float
    macro_um2: float | None
    macro_leakage_watts: float | None
    slowest_path: SlowPath | None

    @property
    def mhz(self) -> float | None:
        """The highest clock that the slowest path allows."""
        path = self.slowest_path
        return 1e3 / path.nanoseconds if path and path.nanoseconds > 0 else None


@dataclass(frozen=True, kw_only=True)
class MacroCount:
    """How many memories of a shape a build has.

    Parameters
    ----------
    build : str
    wrapper : str
        The name of their module.
    depth, width : int
    count : int
    built : BuiltMemory or None
        What each of them is built of; None without a library of macros.
    """

    build: str
    wrapper: str
    depth: int
    width: int
    count: int
    built: BuiltMemory | None


@dataclass(frozen=True, kw_only=True)
class Silicon:
    """Builds of an array.

    Parameters
    ----------
    array : MacArray
        Of the first build.
    library, yosys : str
    sram_source : str or None
        Where the figures of macros come from, if there is a library of them.
    timing : str or None
        Which OpenSTA timed it, if there is one.
    clock_hertz : float
        For which cells are sized.
    modules : list of ModuleCells
        Of each build: all, then its modules, the largest first.
    macros : list of MacroCount
    """

    array: MacArray
    library: str
    yosys: str
    sram_source: str | None
    timing: str | None
    clock_hertz: float
    modules: list[ModuleCells]
    macros: list[MacroCount]

    def to_json(self) -> str:
        """Return it as a file of `KIND`."""
        head = {name: getattr(self, name) for name in ("library", "yosys", "sram_source", "timing", "clock_hertz")}
        rows = {"modules": map(asdict, self.modules), "macros": map(asdict, self.macros)}
        return KIND.written({"array": asdict(self.array), **head}, **rows)

    def whole(self) -> list[ModuleCells]:
        """Return the row of each build that has all of it."""
        return [row for row in self.modules if row.module == "all"]


def in_cells(
    arrays: Mapping[str, MacArray],
    library: Library,
    folder: Path,
    clock_hertz: float,
    formats: Sequence[FixedFormat] = (),
    sram: SramLibrary | None = None,
) -> Silicon:
    """Map arrays to the cells of `library`, one after the other, in folders of their names, which are there.

    Parameters
    ----------
    arrays : mapping
        By the names of builds.
    library : Library
    folder : Path
    clock_hertz : float
    formats : sequence of FixedFormat
        Of the output signals that they know; unsigned, as wide as their signals, if there are none.
    sram : SramLibrary, optional
        Macros that memories are built of.

    Raises
    ------
    EspalierError
        A tool is not installed or fails, the library lacks a cell, or no macro fits a memory.
    """
    for array in arrays.values():  # before what takes minutes
        all_built((Shape(memory.words, memory.width_bits) for memory in array.memories), sram)
    modules: list[ModuleCells] = []
    macros: list[MacroCount] = []
    for name, array in arrays.items():
        known = formats or [integer_format(array.signal_bits, signed=False)]
        netlist = map_to_cells(Accelerator(array, known), library, folder / name, clock_hertz)
        built = all_built(netlist.shapes, sram)
        timing = time_netlist(netlist, folder / name, clock_hertz, built)
        modules += rows_of(name, netlist, timing, library, built)
        macros += [_counted(name, shape, netlist.placed, built.get(shape)) for shape in netlist.shapes]
    return Silicon(
        array=next(iter(arrays.values())),
        library=library.name,
        yosys=netlist.yosys,
        sram_source=sram.source if sram else None,
        timing=timing.tool if timing else None,
        clock_hertz=clock_hertz,
        modules=modules,
        macros=macros,
    )


def rows_of(
    build: str,
    netlist: Netlist,
    timing: Timing | None,
    library: Library,
    built: Mapping[Shape, BuiltMemory] | None = None,
) -> list[ModuleCells]:
    """Return what all of a netlist takes, and each module, the largest first."""
    placed: dict[str, list[Placed]] = {}
    for one in netlist.placed:
        placed.setdefault(one.module, []).append(one)
    paths = timing.modules if timing else {}
    rows = [_row(build, name, ones, paths.get(name), library, built or {}) for name, ones in placed.items()]
    whole = _row(build, "all", netlist.placed, timing.slowest if timing else None, library, built or {})
    return [whole, *sorted(rows, key=lambda row: row.area + (row.macro_um2 or 0), reverse=True)]


def _row(
    build: str,
    module: str,
    placed: Sequence[Placed],
    path: SlowPath | None,
    library: Library,
    built: Mapping[Shape, BuiltMemory],
) -> ModuleCells:
    cells = [one.kind for one in placed if isinstance(one.kind, Cell)]
    macros = [one.kind for one in placed if isinstance(one.kind, Shape)]
    area, memories = math.fsum(cell.area for cell in cells), [built[shape] for shape in macros if built]
    return ModuleCells(
        build=build,
        module=module,
        cells=len(cells),
        flip_flops=sum(cell.register for cell in cells),
        area=round(area, 3),
        gate_equivalents=round(area / library.nand2.area, 2),
        macros=len(macros),
        macro_bits=sum(shape.bits for shape in macros),
        leakage_watts=math.fsum(cell.leakage_watts for cell in cells),
        macro_um2=math.fsum(memory.area_um2 for memory in memories) if built else None,
        macro_leakage_watts=1e-6 * math.fsum(memory.leakage_uw for memory in memories) if built else None,
        slowest_path=path,
    )


def _counted(build: str, shape: Shape, placed: Iterable[Placed], built: BuiltMemory | None) -> MacroCount:
    count = sum(one.kind == shape for one in placed)
    return MacroCount(build=build, wrapper=shape.name, depth=shape.depth, width=shape.width, count=count, built=built)
