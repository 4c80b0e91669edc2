"""What arrays take in standard cells, for a terminal: a table for each build, and what else is to be said."""

from rich.table import Table

from reports.shared.console import plain_table
from reports.workflow.silicon import ModuleCells, Silicon
from rtl.asic.timing import MISSING

KIBIT = 1024


def tables_of(silicon: Silicon) -> list[Table]:
    """Return a table for each build: a line for each module, and one for all."""
    heads = ["module", "area", "GE", "FF", "SRAM, Kibit", "leak, uW", "path, ns"]
    tables = []
    for whole in silicon.whole():
        rows = [row for row in silicon.modules if row.build == whole.build and row is not whole]
        table = plain_table(heads, [_line(row) for row in (*rows, whole)])
        table.title = f"{whole.build}, cells of {silicon.library}"
        tables.append(table)
    return tables


def _line(row: ModuleCells) -> list[str]:
    path = f"{row.slowest_path.nanoseconds:.2f}" if row.slowest_path else "-"
    macros, leakage = f"{row.macro_bits / KIBIT:,.1f}", f"{row.leakage_watts * 1e6:,.3f}"
    return [
        row.module,
        f"{row.area:,.0f}",
        f"{row.gate_equivalents:,.0f}",
        f"{row.flip_flops:,}",
        macros,
        leakage,
        path,
    ]


def sentences_of(silicon: Silicon) -> list[str]:
    """Return what stands below the tables: the clock and its path for each build, what lists cost, which tools."""
    lines = []
    for whole in silicon.whole():
        if whole.slowest_path and whole.mhz:
            path = whole.slowest_path
            lines.append(
                f"{whole.build}: {whole.mhz:.1f} MHz, {path.nanoseconds:.2f} ns from {path.start} to {path.end}"
            )
    areas = {row.build: row.area for row in silicon.whole()}
    if len(areas) == 2:
        lines.append(f"lists cost {areas['sparse'] / areas['dense'] - 1:.1%} more area of cells")
    tools = f"mapped by {silicon.yosys}, sized for {silicon.clock_hertz / 1e6:g} MHz"
    return [*lines, f"{tools}, timed by {silicon.timing}" if silicon.timing else f"{tools}; {MISSING}"]
