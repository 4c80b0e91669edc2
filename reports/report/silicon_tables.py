"""What arrays take in standard cells, for a terminal: tables of each build, and what else is to be said."""

from rich.table import Table

from reports.shared.console import plain_table
from reports.workflow.silicon import ModuleCells, Silicon
from rtl.asic.timing import MISSING

KIBIT = 1024


def tables_of(silicon: Silicon) -> list[Table]:
    """Return a table for each build: a line for each module, and one for all; then one of its memories, if known."""
    tables = []
    for whole in silicon.whole():
        rows = [row for row in silicon.modules if row.build == whole.build and row is not whole]
        memory = "SRAM, Kibit" if whole.macro_um2 is None else "SRAM area"
        heads = ["module", "area", "GE", "FF", memory, "leak, uW", "path, ns"]
        table = plain_table(heads, [_line(row) for row in (*rows, whole)])
        table.title = f"{whole.build}, cells of {silicon.library}"
        tables.append(table)
        if whole.macro_um2 is not None:
            tables.append(_memories(silicon, whole.build))
    return tables


def _line(row: ModuleCells) -> list[str]:
    path = f"{row.slowest_path.nanoseconds:.2f}" if row.slowest_path else "-"
    memory = f"{row.macro_bits / KIBIT:,.1f}" if row.macro_um2 is None else f"{row.macro_um2:,.0f}"
    leakage = row.leakage_watts + (row.macro_leakage_watts or 0)
    return [
        row.module,
        f"{row.area:,.0f}",
        f"{row.gate_equivalents:,.0f}",
        f"{row.flip_flops:,}",
        memory,
        f"{leakage * 1e6:,.3f}",
        path,
    ]


def _memories(silicon: Silicon, build: str) -> Table:
    """Return the memories of a build by their shapes: what each of them is built of."""
    lines = [
        [
            f"{row.depth} x {row.width}",
            f"{row.count}",
            f"{row.built.banks} x {row.built.columns} {row.built.macro}",
            f"{row.built.area_um2:,.0f}",
            f"{row.built.read_pj:,.4g}",
            f"{row.built.write_pj:,.4g}",
            f"{row.built.access_ns:g}",
        ]
        for row in silicon.macros
        if row.build == build and row.built
    ]
    table = plain_table(["memory", "of it", "each of macros", "um2", "read, pJ", "write, pJ", "ns"], lines)
    table.title = f"{build}, memories"
    return table


def sentences_of(silicon: Silicon) -> list[str]:
    """Return what stands below the tables: the clock and its path, memories, what lists cost, which tools."""
    lines = []
    for whole in silicon.whole():
        if whole.slowest_path and whole.mhz:
            path = whole.slowest_path
            lines.append(
                f"{whole.build}: {whole.mhz:.1f} MHz, {path.nanoseconds:.2f} ns from {path.start} to {path.end}"
            )
        if whole.macro_um2 is not None and whole.macro_leakage_watts is not None:
            leakage = whole.macro_leakage_watts * 1e6
            lines.append(f"{whole.build}: memories take {whole.macro_um2:,.0f} um2 and leak {leakage:,.4g} uW")
    areas = {row.build: row.area for row in silicon.whole()}
    if len(areas) == 2:
        lines.append(f"lists cost {areas['sparse'] / areas['dense'] - 1:.1%} more area of cells")
    if silicon.sram_source:
        lines.append(f"macros: {silicon.sram_source}")
    tools = f"mapped by {silicon.yosys}, sized for {silicon.clock_hertz / 1e6:g} MHz"
    return [*lines, f"{tools}, timed by {silicon.timing}" if silicon.timing else f"{tools}; {MISSING}"]
