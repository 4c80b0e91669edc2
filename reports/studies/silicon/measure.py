"""Running tasks: an array is mapped and compiled once, then its gates run an image of one Program after the other."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from accel.array import MacArray
from accel.cost.accesses import IMAGE
from accel.cost.invariants import Invariants
from accel.cost.technology import load_technology
from accel.digest import digest_of
from accel.errors import EspalierError
from accel.files import write_whole
from accel.interchange.data import datasets
from accel.program import Program
from reports.shared.schema import saved
from reports.studies.silicon.definition import CLOCK, LIBRARY, NETWORKS, Task, array_of, program
from reports.studies.silicon.results import Build, LayerRun, Results, Run, joined
from reports.workflow.hardware import job_of
from reports.workflow.power import Power, Window, measured
from reports.workflow.silicon import rows_of
from rtl.asic.liberty import Library
from rtl.asic.mapping import mapped_in
from rtl.asic.sram import SramLibrary, all_built
from rtl.asic.timing import time_netlist
from rtl.emit import formats_of, hardware

SIMULATOR = "verilator"
IMAGES = 1


def swept(wanted: list[Task], library: Library, sram: SramLibrary, work: Path) -> Iterator[Task]:
    """Yield each task when it is run and its file lies in `work`.

    Raises
    ------
    EspalierError
        A tool is not installed or fails, gates do not compute what a Program says, or the library is another.
    """
    if library.name != LIBRARY:
        raise EspalierError(f"the study is of {LIBRARY}, got {library.name}")
    for task in wanted:
        write_whole(work / f"{task.name}.json", _found(task, library, sram, work).to_json().encode())
        yield task


def gathered(work: Path, known: Results) -> Results:
    """Return the results that are known, and those in the files of `work`."""
    return joined([known, *(saved(path, Results.from_json) for path in sorted(work.glob("*.json")))])


def _found(task: Task, library: Library, sram: SramLibrary, work: Path) -> Results:
    """Return the results of one task: its run, and its build."""
    array, one = array_of(task.build), program(task.network, task.pattern, task.bits)
    folder = folder_of(task, array, one, work)
    folder.mkdir(parents=True, exist_ok=True)
    codes = one.input_signal.encode(datasets.load(NETWORKS[task.network], "test").take(IMAGES).pixels())
    table = load_technology()  # which nothing is asked, for there are macros
    job = job_of(one, array, codes)
    power = measured(job, array, library, folder, CLOCK, SIMULATOR, sram, table, room_of(array))
    build = _build(task, array, library, sram, folder)
    load, *windows = power.windows
    run = Run(
        network=task.network,
        pattern=task.pattern,
        bits=task.bits,
        shape=task.shape,
        lists=task.lists,
        load_cycles=load.cycles,
        load_joules=_joules(power, IMAGE),
        layers=tuple(_layers(power, windows, one, array)),
    )
    tools = power.library, power.yosys, power.timing, power.simulator, sram.source
    return Results(tools=tools, builds=(build,), runs=(run,))


def folder_of(task: Task, array: MacArray, one: Program, work: Path) -> Path:
    """Return where an array is mapped: by its Verilog too, so that what was mapped before that changed is not taken."""
    _, verilog = hardware(array, tuple(formats_of([one])))
    return work / "builds" / "-".join([*map(str, task.build), digest_of(verilog)[:16]])


def room_of(array: MacArray) -> dict[str, int]:
    """Return words that the testbench of `array` has room for: of all memories, and of an image each way."""
    memories = {memory.name: memory for memory in array.memories}
    words = sum(memory.words * memory.banks for memory in memories.values())
    return {"loads": words, "signals": memories["signals"].words, "beats": memories["signals"].words}


def _build(task: Task, array: MacArray, library: Library, sram: SramLibrary, folder: Path) -> Build:
    """Return what the array in `folder` takes, from there if it was asked before."""
    known = folder / "build.json"
    if known.exists():
        return saved(known, Results.from_json).builds[0]
    netlist = mapped_in(folder, library)
    built = all_built(netlist.shapes, sram)
    whole = rows_of("", netlist, time_netlist(netlist, folder, CLOCK, built), library, built)[0]
    if whole.mhz is None or whole.macro_um2 is None:
        raise EspalierError("no timing: OpenSTA is not installed (apt-get install opensta)")
    shape, bits, lists = task.build
    found = Build(
        shape=shape,
        bits=bits,
        lists=lists,
        array=asdict(array),
        area=whole.area,
        gate_equivalents=whole.gate_equivalents,
        flip_flops=whole.flip_flops,
        mhz=round(whole.mhz, 1),
        leakage_watts=whole.leakage_watts,
        macros=whole.macros,
        macro_um2=round(whole.macro_um2, 1),
    )
    write_whole(known, Results(builds=(found,)).to_json().encode())
    return found


def _layers(power: Power, windows: list[Window], one: Program, array: MacArray) -> Iterator[LayerRun]:
    """Yield each layer: what is counted of it, and what it took."""
    invariants = Invariants(one)
    words = invariants.words
    rows = invariants.timed(invariants.costs(words), array)
    for window, (x, cost), accesses in zip(windows, rows, invariants.accesses(array), strict=True):
        yield LayerRun(
            name=window.window,
            cycles=window.cycles,
            macs=x.macs,
            requantized=x.output_words if cost.requantizes else 0,
            weight_bits=cost.weight_bits,
            signal_bits=max(words.signals[source] for source in words.sources[x.name]),
            accumulator_bits=cost.accumulator_bits,
            reads={name: access.reads for name, access in accesses.items()},
            writes={name: access.writes for name, access in accesses.items()},
            joules=_joules(power, window.window),
        )


def _joules(power: Power, window: str) -> dict[str, float]:
    return {part: float(f"{power.joules(window, part):.5g}") for part in power.parts}
