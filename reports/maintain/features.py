"""What each feature of the array costs in look-up tables and saves in cycles: ``reports/studies/features``.

    python -m reports.maintain.features
    python -m reports.maintain.features --cycles

Cycles are closed forms, of every version in the zoo; look-up tables are those of yosys's netlist (the extra ``fpga``),
written as they come: builds of the same hardware that are in ``results.json`` already are not made again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import click

from accel.array import MacArray
from accel.cost import cost_of, total_cycles, total_interval
from accel.demand import array_for
from accel.files import write_whole
from accel.interchange import zoo
from accel.program import Program
from accel.quantize import Widths, lower, ordered_for
from reports.shared import markdown, output
from reports.shared.journal import results_of, write_results
from reports.shared.progress import bar
from reports.workflow.sources import random_images
from rtl.fpga.synthesis import DEPTHS, count_cells, fingerprint

STUDY = Path(__file__).parents[1] / "studies" / "features"
LANES = (8, 8)
ARRAY = MacArray(*LANES, **DEPTHS)  # as `espalier synth` has it
FEATURES = tuple(ARRAY.features)
WIDTHS = Widths(8, 8)  # cycles depend on none
ALL = "all"
HEAD = """# What features of the array cost and save

    python -m reports.maintain.features

leaves each feature of an array of 8 x 8 lanes out (`--without`). LUT are those of yosys's netlist, two for each pair of
an adder's bits, before place and route, of the array that `espalier synth` builds; cycles, and cycles from one image to
the next where images come as fast as they are taken, are means over the versions of the zoo of what they are with all
features over what they are without this one.

No version has depthwise layers, which `lines` are for: `tests/test_rtl_networks.py` holds what MobileNetV1 gains.
"""
BEFORE = """
## Before and after

Cycles of an image on an array with none of these features, output maps in the network's order, and on one with all
of them, in the order that suits it. *Useful* is the share of multiply slots in which a kept weight meets a signal; the
last columns compare with the dense version: its cycles after, and its multiply-accumulates.
"""


def make(out: Path, builds: bool = True) -> None:
    """Count cycles, then the cells of what is not built yet, and write ``results.json`` and the tables after each."""
    with output.writing(out):
        out.mkdir(parents=True, exist_ok=True)
        found = results_of(out, "builds")
    wanted = {ALL: ARRAY} | {name: replace(ARRAY, **{name: False}) for name in FEATURES}
    prints = {name: fingerprint(array) for name, array in wanted.items()} if builds else {}
    done = {name: one for name, one in found.items() if prints.get(name, one["fingerprint"]) == one["fingerprint"]}
    missing = [name for name in prints if name not in done]
    versions = [(network, pattern) for network in zoo.names() for pattern in zoo.patterns(network)]
    with bar("features", len(versions) + len(missing)) as shown:
        cycles = []
        for network, pattern in versions:
            cycles.append(_counted(network, pattern))
            shown.advance(f"{network} {pattern}")
        _write(out, done, cycles)
        for name in missing:
            with output.working_folder(None) as folder:
                done[name] = {"fingerprint": prints[name], **count_cells(wanted[name], folder)}
            _write(out, done, cycles)
            shown.advance(name)


def _counted(network: str, pattern: str) -> dict[str, Any]:
    """Return the cycles of a version with all features, without each, and without any."""
    pruned = zoo.load(network, pattern)
    program = lower(pruned, WIDTHS, random_images(pruned.network.input_shape, 1))
    ordered = {split: ordered_for(program, LANES[0], split=split) for split in (True, False)}
    record = {"network": network, "pattern": pattern, "macs": cost_of(program).total.macs}
    record[ALL] = _cycles(ordered[True])
    record["without"] = {name: _cycles(ordered[name != "split"], **{name: False}) for name in FEATURES}
    record["none"] = _cycles(program, **dict.fromkeys(FEATURES, False))
    return record


def _cycles(program: Program, **features: bool) -> dict[str, int]:
    array = array_for(program, *LANES, None, **features)
    return {"cycles": total_cycles(program, array), "interval": total_interval(program, array)}


def _write(out: Path, builds: Mapping[str, Mapping[str, Any]], cycles: Sequence[Mapping[str, Any]]) -> None:
    write_results(out, {"builds": dict(builds), "cycles": {f"{x['network']} {x['pattern']}": x for x in cycles}})
    ratios = [row[ALL]["cycles"] / row["none"]["cycles"] for row in cycles]
    costs = [_cost(ALL, builds, []), *(_cost(name, builds, cycles) for name in FEATURES)]
    rows = [_row(row, next(x for x in cycles if x["network"] == row["network"])) for row in cycles]
    heads = "without | LUT | LUT that it costs | cycles with it / without | from image to image"
    compared = "network | pattern | before | after | ratio | useful | cycles / dense | MACs / dense"
    mean = f"\nThe mean ratio of {len(rows)} versions is {fmean(ratios):.3f}.\n"
    tables = markdown.table(heads, "lrrrr", costs), markdown.table(compared, "llrrrrrr", rows)
    write_whole(out / "README.md", "\n".join([HEAD, tables[0], BEFORE, tables[1], mean]).encode())


def _cost(name: str, builds: Mapping[str, Mapping[str, Any]], cycles: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the row of a feature, or of the array that has all: what it takes, and what it saves on average."""
    lut = {build: builds[build]["lut"] for build in (name, ALL) if build in builds}
    cells = [name if name != ALL else "nothing", f"{lut[name]:,}" if name in lut else "", ""]
    if len(lut) == 2:
        cells[2] = f"{lut[ALL] - lut[name]:,}"
    for what in ("cycles", "interval"):
        cells.append(f"{fmean(x[ALL][what] / x['without'][name][what] for x in cycles):.3f}" if cycles else "")
    return cells


def _row(row: Mapping[str, Any], dense: Mapping[str, Any]) -> list[str]:
    before, after = row["none"]["cycles"], row[ALL]["cycles"]
    useful = row["macs"] / (after * ARRAY.macs_per_cycle)
    shares = [f"{after / dense[ALL]['cycles']:.3f}", f"{row['macs'] / dense['macs']:.3f}"]
    cells = [row["network"], row["pattern"], f"{before:,}", f"{after:,}", f"{after / before:.3f}", f"{useful:.1%}"]
    return [*cells, *shares]


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=STUDY, help="Where the study lies.")
@click.option("--cycles", is_flag=True, help="Count cycles alone; look-up tables stay as they were counted.")
def main(out: Path, cycles: bool) -> None:
    """Make the tables of the array's features."""
    make(out, builds=not cycles)


if __name__ == "__main__":
    main()
