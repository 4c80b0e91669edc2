"""`espalier bench`: tables on the terminal, and a folder with results, figures and a page."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from accel.errors import EspalierError
from reports import bench_figures, output, tables
from reports.bench_networks import NETWORKS
from reports.bench_results import DENSE, RIVAL, Measured, NetworkResult, Results
from reports.bench_run import measure
from reports.drawing import rendered

PAGE = "README.md"


def command(
    networks: Sequence[str],
    peers: bool,
    threads: Sequence[int],
    rounds: int,
    out: Path | None,
    json_file: Path | None,
) -> None:
    """Measure, print, and write what was asked for."""
    names = list(dict.fromkeys(networks)) or list(NETWORKS)
    if unknown := [name for name in names if name not in NETWORKS]:
        raise EspalierError(f"unknown network {unknown[0]!r}: expected {', '.join(NETWORKS)}")
    output.check_place(json_file)
    if out:
        output.write_folder(out, {})
    counts = sorted(set(threads)) or sorted({1, os.cpu_count() or 1})
    results = measure(names, counts, peers, rounds)
    for network in results.networks:
        tables.console().print(rates_table(network))
        for pattern in network.profiles:
            tables.console().print(times_table(results, network, pattern))
    if json_file:
        output.write_folder(json_file.parent, {json_file.name: results.to_json().encode()})
    if out:
        output.write_folder(out, files(results))


def files(results: Results) -> dict[str, bytes]:
    """Return everything that a folder of results holds."""
    drawn = rendered(bench_figures.FIGURES, results)
    return {"results.json": results.to_json().encode(), **drawn, PAGE: page(results).encode()}


def rates_table(network: NetworkResult) -> Table:
    """Return images a second and ratios of every contender."""
    table = Table(title=f"{network.network}: {network.macs / 1e6:.2f} million MACs an image when dense")
    for name in ("runtime", "network", "density"):
        table.add_column(name, no_wrap=True)
    for name in ("threads", "batch", "images/s", f"/ {RIVAL}", "target"):
        table.add_column(name, justify="right")
    for entry in network.entries:
        table.add_row(*rate_cells(network, entry))
    return table


def rate_cells(network: NetworkResult, entry: Measured) -> list[str]:
    """Return one row: what ran, how fast, the ratio to the better onnxruntime on the dense network, what was asked."""
    ratio, target = network.ratio(entry), network.target(entry)
    return [
        entry.runtime,
        entry.pattern,
        f"{entry.density:.3f}",
        str(entry.threads),
        f"{entry.batch:,}",
        f"{entry.images_per_second:,.0f}",
        "" if ratio is None else f"{ratio:.2f}",
        "" if target is None else f"{target:.2f}",
    ]


TIMES = ("µs/image", "lowering", "dot products", "finishing", "calls", "GMAC/s", "of roof")


def times_table(results: Results, network: NetworkResult, pattern: str) -> Table:
    """Return where the time of an image goes."""
    profile = network.profiles[pattern]
    table = Table(title=f"{network.network}, {pattern}: one thread, chunks of {profile['images']} images")
    table.add_column("layer", no_wrap=True)
    for name in TIMES:
        table.add_column(name, justify="right")
    for row in time_rows(results, profile):
        table.add_row(*row)
    return table


def time_rows(results: Results, profile: dict[str, Any]) -> list[list[str]]:
    """Return the rows: packing, the layers, what is around them, and all."""
    blank = [""] * (len(TIMES) - 1)
    rows = [["packing", f"{profile['packing']:.3f}", *blank]]
    for layer in profile["layers"]:
        parts = [f"{layer[part]:.3f}" for part in bench_figures.PARTS] if layer["dots"] else [""] * 4
        speed = layer["macs"] / layer["total"] / 1e3
        ends = [f"{speed:.0f}", f"{speed / results.roof:.0%}"] if layer["macs"] else ["", ""]
        rows.append([layer["name"], f"{layer['total']:.3f}", *parts, *ends])
    rest = profile["total"] - profile["packing"] - sum(layer["total"] for layer in profile["layers"])
    rows.append(["around them", f"{max(0.0, rest):.3f}", *blank])
    return [*rows, ["all", f"{profile['total']:.3f}", *blank]]


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
    return "\n".join([*lines, "![layers](layers.png)", "", "![times](times.png)", ""])


def _markdown(table: Table, rows: list[list[str]]) -> list[str]:
    """Return a table as Markdown."""
    heads = [str(column.header) for column in table.columns]
    rules = ["---:" if column.justify == "right" else "---" for column in table.columns]
    return [*(f"| {' | '.join(cells)} |" for cells in (heads, rules, *rows)), ""]
