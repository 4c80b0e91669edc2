"""Tables on the terminal."""

from typing import Any

from rich.console import Console
from rich.table import Table

from accel.cost import ProgramCost
from accel.program import Program
from reports.results import Results

NARROWEST = 132  # columns in a pipe, where there is no terminal to ask


def console() -> Console:
    """Return the console for results: standard output, wide enough for the tables also in a pipe."""
    plain: Any = {"highlight": False, "markup": False, "emoji": False}  # names may hold [brackets] and :colons:
    out = Console(**plain)
    return out if out.is_terminal else Console(**plain, width=NARROWEST, soft_wrap=True)


def kib(bits: int) -> str:
    """Return `bits` in KiB (1024 bytes), two decimals.

    >>> kib(8 * 1024 * 10)
    '10.00'
    """
    return f"{bits / 8192:.2f}"


def summary_table(results: Results) -> Table:
    """Return the error rate of every pattern (rows) at every width (columns), with memory at the narrowest."""
    table = Table(title=f"{results.network} on {results.test_images:,} test images of {results.data}: error rate in %")
    table.add_column("pattern", no_wrap=True)
    for name in ("sparsity", "MACs", "float"):
        table.add_column(name, justify="right")
    for width in results.widths:
        table.add_column(f"{width} bit", justify="right")
    table.add_column(f"KiB at {results.widths[0]}..{results.widths[-1]} bit", justify="right")
    for pattern in results.patterns:
        points = results.of(pattern)
        sizes = f"{kib(points[0].memory_bits)}..{kib(points[-1].memory_bits)}"
        shares = f"{points[0].sparsity:.1%}", f"{points[0].macs:,}", f"{points[0].float_error_rate:.2%}"
        table.add_row(pattern, *shares, *(f"{p.error_rate:.2%}" for p in points), sizes)
    return table


def recommendation(results: Results) -> str:
    """Return in words which point to build."""
    best = results.recommended
    within = f"within {results.tolerance:.1%} of the {results.reference} ({results.float_dense_error_rate:.2%} error)"
    if best is None:
        return f"No point stays {within}."
    return (
        f"Least memory {within}: {best.pattern} at {best.weight_bits} bits, "
        f"{kib(best.memory_bits)} KiB on chip in all, {best.macs:,} MACs an image, {best.error_rate:.2%} error."
    )


def size_table(program: Program, cost: ProgramCost) -> Table:
    """Return the per-layer table of one Program."""
    table = Table(title=f"{program.name}, {program.pattern}: bits and MACs of one image")
    for name, justify in (
        ("layer", "left"),
        ("pattern", "left"),
        ("dense MACs", "right"),
        ("MACs", "right"),
        ("weights", "right"),
        ("index", "right"),
        ("encoding", "left"),
        ("biases", "right"),
        ("requant.", "right"),
        ("acc.", "right"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]  # two of its literals
    for layer in cost.layers:
        if not layer.accumulator_bits:
            continue
        c = layer.counts
        table.add_row(
            layer.name,
            layer.pattern,
            f"{c.dense_macs:,}",
            f"{c.macs:,}",
            f"{c.weight_memory_bits:,}",
            f"{c.index_memory_bits:,}",
            layer.encoding,
            f"{c.bias_memory_bits:,}",
            f"{c.requantize_memory_bits:,}",
            str(layer.accumulator_bits),
        )
    t = cost.total
    table.add_section()
    totals = f"{t.dense_macs:,}", f"{t.macs:,}", f"{t.weight_memory_bits:,}", f"{t.index_memory_bits:,}"
    table.add_row("all", "", *totals, "", f"{t.bias_memory_bits:,}", f"{t.requantize_memory_bits:,}", "")
    return table


def memory_lines(cost: ProgramCost, sram_bits: int | None) -> list[str]:
    """Return where the memory goes, why each encoding was chosen, and whether it fits."""
    lines = [f"{x.name}: {x.encoding}; {x.encoding_reason}" for x in cost.layers if x.encoding_reason]
    t = cost.total
    lines += [
        f"parameters {kib(t.parameter_memory_bits)} KiB, signals {kib(cost.signal_memory_bits)} KiB "
        f"(peak of live maps, while {cost.peak_layer} runs), in all {kib(cost.memory_bits)} KiB; "
        f"sparsity {t.sparsity:.1%}"
    ]
    if sram_bits is not None:
        spare = sram_bits - cost.memory_bits
        verdict = f"fits, {kib(spare)} KiB to spare" if spare >= 0 else f"does not fit: {kib(-spare)} KiB too much"
        lines.append(f"SRAM of {kib(sram_bits)} KiB: {verdict}")
    return lines
