"""What an image costs in standard cells, window of time by window: `espalier power`.

The netlist runs images in a simulation of its gates, every output compared; how often its nets change goes to OpenSTA.
An image is loaded when the one before has ended. Windows are that, `IMAGE`, and one for each layer: from the end of the
layer before to its own end, when its last row is back in memory or has left. Where weights are streamed they come as
fast as they are taken, and a layer's window has what it waits for them; the first image, which waits longer, is run and
not counted. Memories are not mapped: an access costs
what a library of macros or a technology's table says, and accesses are counted exactly (`accel.cost.accesses`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

from accel.array import MacArray
from accel.cost.accesses import IMAGE, Access, accesses_of
from accel.cost.cycles import cycles_of, start_cycles
from accel.cost.energy import access_joules
from accel.cost.estimate import estimate
from accel.cost.stalls import schedule_of, unit_stalls
from accel.cost.technology import Technology
from accel.errors import EspalierError
from accel.places import beats_of
from reports.shared.schema import Kind
from rtl import simulators
from rtl.asic.activity import nets_in, simulate, write_simulated, write_windows
from rtl.asic.liberty import Library
from rtl.asic.macros import Shape
from rtl.asic.mapping import map_to_cells, mapped_in
from rtl.asic.power import Watts, check_known, watts_of
from rtl.asic.sram import SramLibrary, all_built
from rtl.assemble import signal_formats
from rtl.core.accelerator import Accelerator
from rtl.emit import Job, emit
from rtl.simulators import Outcome

KIND = Kind("espalier-power", 1, "the results of espalier power")
MEMORIES, CLOCK, LEAKAGE, SRAM_LEAKAGE = "memories", "clock", "leakage", "SRAM leakage"
MEASURED = "measured on the netlist"
PARTS = {  # what each module of the accelerator belongs to; what is in none is the load port, counters, and control
    "lanes": "lanes",
    **dict.fromkeys(("sequencer", "fetch", "path", "weights", "activations"), "lists, fetch"),
    **dict.fromkeys(("drain", "buffer"), "drain"),
}
SHELL = "shell"


@dataclass(frozen=True, kw_only=True)
class PartEnergy:
    """What a part takes for one image in a window of time.

    Parameters
    ----------
    window : str
        A layer, or `IMAGE` for an image being loaded.
    part : str
        Lanes; lists and fetch; drain; shell; memories (their accesses); clock; leakage of cells; leakage of memories.
    joules : float
        The mean of all images.
    origin : str
        `MEASURED`, or ``table: ...`` with its name.
    """

    window: str
    part: str
    joules: float
    origin: str


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window of time: its name, and its cycles for one image."""

    window: str
    cycles: int


@dataclass(frozen=True, kw_only=True)
class Power:
    """Energy and power of a Program on an array.

    Parameters
    ----------
    program, pattern : str
    array : MacArray
    library, yosys, timing, simulator : str
        The standard cells, and the tools.
    clock_hertz : float
    images : int
        That ran, each equal to the golden model in every bit; of streamed weights the first is in no energy.
    rows : int
        Output rows that were compared.
    windows : list of Window
    energies : list of PartEnergy
    """

    program: str
    pattern: str
    array: MacArray
    library: str
    yosys: str
    timing: str
    simulator: str
    clock_hertz: float
    images: int
    rows: int
    windows: list[Window]
    energies: list[PartEnergy]

    def to_json(self) -> str:
        """Return it as a file of `KIND`."""
        names = ("program", "pattern", "library", "yosys", "timing", "simulator", "clock_hertz", "images", "rows")
        head = {"array": asdict(self.array), **{name: getattr(self, name) for name in names}}
        return KIND.written(head, windows=map(asdict, self.windows), energies=map(asdict, self.energies))

    @property
    def parts(self) -> list[str]:
        """The parts, in the order of a table."""
        return list(dict.fromkeys(row.part for row in self.energies))

    def joules(self, window: str | None = None, part: str | None = None) -> float:
        """Return the energy of one image, of a window or a part alone if it is named."""
        asked = (row for row in self.energies if window in (None, row.window) and part in (None, row.part))
        return sum(row.joules for row in asked)

    def seconds(self, window: str | None = None) -> float:
        """Return the time of one image, or of a window."""
        return sum(row.cycles for row in self.windows if window in (None, row.window)) / self.clock_hertz

    def watts(self, window: str | None = None, part: str | None = None) -> float:
        """Return the power, while images follow each other and each is loaded when the one before has ended."""
        return self.joules(window, part) / self.seconds(window)


def measured(
    job: Job,
    array: MacArray,
    library: Library,
    folder: Path,
    clock_hertz: float,
    simulator: str,
    sram: SramLibrary | None,
    technology: Technology,
    room: Mapping[str, int] | None = None,
) -> Power:
    """Map an array, run the images of a job on it, and return what they cost.

    Parameters
    ----------
    job : Job
    array : MacArray
    library : Library
    folder : Path
        Where the netlist and all else lies; it is there.
    clock_hertz : float
    simulator : str
        ``verilator`` or ``iverilog``.
    sram : SramLibrary or None
        Whose macros memories are built of.
    technology : Technology
        That says what an access costs where there is no `sram`.
    room : mapping, optional
        Of the testbench, as `rtl.emit.emit` has it: then what was mapped and compiled in `folder` is used again, of the
        same array, and jobs that fit in there follow each other in minutes less.

    Raises
    ------
    EspalierError
        A tool is not installed or fails, an output or a cycle is not what the golden model says, one image is to run
        whose weights are streamed, no macro fits a memory, or the technology knows no energies.
    """
    images, skipped = len(job.codes), 1 if array.stream_words else 0
    if images == skipped:
        raise EspalierError("power: the first image waits longest for streamed weights and is not counted: --images 2")
    check_known(library)
    priced = _memories_of(job, array, clock_hertz, sram, technology)
    there = room is not None and simulators.is_built(folder, simulator)
    for name, content in emit([job], array, room, apart=True).items():
        if not there or name.endswith(".hex"):
            (folder / name).write_bytes(content)
    most, windows = 1 + array.layers, windows_of(job, array)
    write_windows(folder, begins_of(windows), images, most)
    if there:
        netlist, nets = mapped_in(folder, library), nets_in(folder)
    else:
        netlist = map_to_cells(Accelerator(array, signal_formats(job.program)), library, folder, clock_hertz)
        nets = write_simulated(folder, most, skipped)
        simulators.build(folder, simulator, optimized=False)
    outcome, activity = simulate(folder, simulator, nets, most)
    check_equal(outcome)
    cycles = [(images - skipped) * row.cycles for row in windows]
    watts = watts_of(netlist, library, folder, clock_hertz, activity, cycles)
    return Power(
        program=job.program.name,
        pattern=job.program.pattern,
        array=array,
        library=library.name,
        yosys=netlist.yosys,
        timing=watts.tool,
        simulator=simulator,
        clock_hertz=clock_hertz,
        images=images,
        rows=outcome.rows,
        windows=windows,
        energies=[*energies_of(windows, watts, clock_hertz), *priced],
    )


def check_equal(outcome: Outcome) -> None:
    """Raise EspalierError unless the gates gave what the golden model gives, in as many cycles."""
    if outcome.errors:
        raise EspalierError(f"the gates do not compute what the Program says: {' '.join(outcome.complaints[:1])}")


def windows_of(job: Job, array: MacArray) -> list[Window]:
    """Return the windows of an image: it is loaded, then layer by layer; its start is the first layer's."""
    layers, load = cycles_of(job.program, array), beats_of(job.program, array)
    waits = [0] * len(layers)
    if array.stream_words:
        waits = unit_stalls(schedule_of(job.program, array), Fraction(1), load + start_cycles(array))
    waits[0] += start_cycles(array)
    found = [Window(window=layer.name, cycles=layer.cycles + wait) for layer, wait in zip(layers, waits, strict=True)]
    return [Window(window=IMAGE, cycles=load), *found]


def begins_of(windows: Sequence[Window]) -> list[int]:
    """Return the cycle from an image's start in which each window but the first begins."""
    layers = [row.cycles for row in windows[1:]]
    return [sum(layers[:place]) for place in range(len(layers))]


def energies_of(windows: Sequence[Window], watts: Watts, clock_hertz: float) -> list[PartEnergy]:
    """Return what the cells take in each window: their parts, the clock, leakage."""
    found = []
    for row, switched, leakage in zip(windows, watts.switched, watts.leakage, strict=True):
        parts = dict.fromkeys([*dict.fromkeys(PARTS.values()), SHELL], 0.0)
        for module, power in switched.items():
            parts[PARTS.get(module, SHELL)] += power
        parts |= {CLOCK: watts.clock, LEAKAGE: leakage}
        seconds = row.cycles / clock_hertz
        found += [_energy(row.window, part, power * seconds, MEASURED) for part, power in parts.items()]
    return found


def _memories_of(
    job: Job, array: MacArray, clock_hertz: float, sram: SramLibrary | None, technology: Technology
) -> list[PartEnergy]:
    """Return what memories take in each window: for accesses, and because they leak."""
    origin = f"table: {sram.source if sram else technology.name}"
    joules, leaks = _of_macros(array, sram) if sram else _of_table(job, array, technology)
    cycles = {row.window: row.cycles for row in windows_of(job, array)}
    found = []
    for window, accesses in accesses_of(job.program, array).items():
        spent = sum(_spent(accesses.get(name, Access()), joules[name]) for name in joules)
        found.append(_energy(window, MEMORIES, spent, origin))
        found.append(_energy(window, SRAM_LEAKAGE, leaks * cycles[window] / clock_hertz, origin))
    return found


def _of_macros(array: MacArray, sram: SramLibrary) -> tuple[Mapping[str, tuple[float, float]], float]:
    """Return the joules to read and to write a word of each memory, and the watts that all leak."""
    shapes = {memory.name: Shape(memory.words, memory.width_bits) for memory in array.memories}
    built = all_built(shapes.values(), sram)
    joules = {name: (1e-12 * built[shape].read_pj, 1e-12 * built[shape].write_pj) for name, shape in shapes.items()}
    return joules, sum(1e-6 * built[shapes[memory.name]].leakage_uw * memory.banks for memory in array.memories)


def _of_table(job: Job, array: MacArray, technology: Technology) -> tuple[Mapping[str, tuple[float, float]], float]:
    table = technology.energy
    if table is None:
        raise EspalierError(f"technology {technology.name} knows no energies: expected another, or --sram-library")
    placed = estimate(job.program, array, technology).memories
    joules = {name: (one, one) for name, one in access_joules(table, placed).items()}
    return joules, 1e-3 * table.leakage * sum(memory.macro_bits for memory in placed) / 2**20


def _spent(access: Access, joules: tuple[float, float]) -> float:
    return access.reads * joules[0] + access.writes * joules[1]


def _energy(window: str, part: str, joules: float, origin: str) -> PartEnergy:
    return PartEnergy(window=window, part=part, joules=joules, origin=origin)


def origins(power: Power) -> Iterable[str]:
    """Yield a line for each origin: which parts it is of."""
    found: dict[str, list[str]] = {}
    for row in power.energies:
        parts = found.setdefault(row.origin, [])
        if row.part not in parts:
            parts.append(row.part)
    yield from (f"{origin}: {', '.join(parts)}" for origin, parts in found.items())
