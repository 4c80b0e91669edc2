"""The tables of a benchmark: on the terminal, and as Markdown on its page."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from reports.bench.figures import PARTS
from reports.bench.results import RIVAL, Measured, NetworkResult, Results


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
        parts = [f"{layer[part]:.3f}" for part in PARTS] if layer["dots"] else [""] * 4
        speed = layer["macs"] / layer["total"] / 1e3
        ends = [f"{speed:.0f}", f"{speed / results.roof:.0%}"] if layer["macs"] else ["", ""]
        rows.append([layer["name"], f"{layer['total']:.3f}", *parts, *ends])
    rest = profile["total"] - profile["packing"] - sum(layer["total"] for layer in profile["layers"])
    rows.append(["around them", f"{max(0.0, rest):.3f}", *blank])
    return [*rows, ["all", f"{profile['total']:.3f}", *blank]]


def start_table(networks: Sequence[NetworkResult]) -> Table:
    """Return what the first result of a process takes."""
    table = Table(title="A new process: compilation with the first images, and the memory of a batch of 1,000 images")
    table.add_column("network", no_wrap=True)
    for name in ("first time, s", "from the cache, s", "peak, MB"):
        table.add_column(name, justify="right")
    for row in start_rows(networks):
        table.add_row(*row)
    return table


def start_rows(networks: Sequence[NetworkResult]) -> list[list[str]]:
    """Return the rows of `start_table`."""
    return [
        [x.network, f"{x.start.first:.2f}", f"{x.start.cached:.2f}", f"{x.start.megabytes or float('nan'):.0f}"]
        for x in networks
    ]
