"""What arrays take in FPGAs, for a terminal: a line for what was placed, a table by module for what was counted."""

from rich.table import Table

from reports.shared.console import plain_table
from reports.workflow.fpga import FpgaCounts, FpgaModule


def tables_of(counts: FpgaCounts) -> list[Table]:
    """Return a table for each build: a line for each module, and one for all."""
    heads = ["module", "LUT", "FF", "DSP", f"block RAM, {counts.block_ram_kbit} kbit", "carry bits"]
    tables = []
    for whole in counts.whole():
        rows = [row for row in counts.modules if row.build == whole.build and row is not whole]
        table = plain_table(heads, [_line(row) for row in (*rows, whole)])
        table.title = f"{whole.build}, cells of {counts.family}, not placed"
        tables.append(table)
    return tables


def _line(row: FpgaModule) -> list[str]:
    return [row.module, *(f"{number:,}" for number in (row.lut, row.ff, row.dsp, row.block_ram, row.carry_bits or 0))]


def sentences_of(counts: FpgaCounts, array: str) -> list[str]:
    """Return what stands below the tables, or for them: each build that was placed, what lists cost, what does not fit.

    `array` is how its lanes were asked for, such as ``4x4``.
    """
    words = f"{array}, {counts.array.weight_bits}-bit weights, {counts.array.signal_bits}-bit signals"
    lines = [f"{words}, {row.build}: {_placed(row)}" for row in counts.whole()] if counts.placed else []
    tables = {row.build: row.lut for row in counts.whole()}
    if len(tables) == 2:
        lines.append(f"lists cost {tables['sparse'] / tables['dense'] - 1:.1%} more LUT")
    if not counts.placed:
        tools = ", ".join(counts.tools)
        lines.append(f"counted by {tools} before place and route, which packs further and alone knows a clock")
    return [*lines, *counts.shortages()]


def _placed(row: FpgaModule) -> str:
    return f"{row.lut:,} LUT, {row.ff:,} FF, {row.dsp} DSP, {row.block_ram} block RAM, {row.mhz} MHz"
