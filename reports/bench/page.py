"""The page of a benchmark: the machine, the ratios, where the time goes, and how it was measured."""

from rich.table import Table

from reports.bench.results import DENSE, Results
from reports.bench.tables import rate_cells, rates_table, start_rows, start_table, time_rows, times_table
from reports.shared import markdown

START = [
    "## A new process",
    "",
    "Seconds of the processor from a Program to the codes of 16 images: with nothing compiled yet on this machine,",
    "and from numba's cache, the best of three. numba imports SciPy, too, where it finds it.",
    "Then the peak of memory for 1,000 images on all processors, beyond the Program and the images.",
    "",
]


def page(results: Results) -> str:
    """Return the page: the machine, the ratios, where the time goes, and how it was measured."""
    said = "; ".join(f"{name} {value}" for name, value in results.machine.items())
    lines = [
        "# The engine's speed",
        "",
        f"Measured with `espalier bench --peers --out reports/studies/bench` on this machine: {said}. Kernel:",
        f"`{results.kernel}`, whose dot products alone reach {results.roof:.0f} GMAC/s on one thread.",
        "",
        "Random weights and images, which run as fast as others; 8-bit words. Everything runs in one process, every",
        "contender in turn, round by round; medians. On one thread a run's time is what the processor gave it, on",
        "several it is the clock's. onnxruntime's models come from its own static quantiser (QDQ and QOperator), each",
        "runtime with the fastest of four batch sizes. A ratio is over the better of onnxruntime's three on the dense",
        "network, with as many threads.",
        "",
        "![ratios](ratios.png)",
        "",
    ]
    for network in results.networks:
        lines += [
            f"## {network.network}",
            "",
            *_markdown(rates_table(network), [rate_cells(network, x) for x in network.entries]),
        ]
        for pattern in network.profiles if network.network == "lenet5" else (DENSE,):
            rows = time_rows(results, network.profiles[pattern])
            lines += [f"Where the time goes, {pattern}, in µs for an image on one thread:", ""]
            lines += _markdown(times_table(results, network, pattern), rows)
    lines += ["![layers](layers.png)", "", "![times](times.png)", "", *START]
    lines += _markdown(start_table(results.networks), start_rows(results.networks))
    return "\n".join(lines)


def _markdown(table: Table, rows: list[list[str]]) -> list[str]:
    """Return a table as Markdown."""
    heads = " | ".join(str(column.header) for column in table.columns)
    columns = "".join("r" if column.justify == "right" else "l" for column in table.columns)
    return [markdown.table(heads, columns, rows), ""]
