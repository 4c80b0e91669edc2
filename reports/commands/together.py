"""`espalier explore A B ...`: one array for several networks; its answer told and written."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reports.explore import figures as own_figures
from reports.explore.page import page as own_page
from reports.explore.results import Results
from reports.shared import console as shared_console
from reports.shared import output, resuming
from reports.shared.journal import RESULTS
from reports.shared.schema import saved
from reports.together import answer, figures
from reports.together.library import Asking
from reports.together.page import page
from reports.together.results import Shared
from reports.together.run import names_of
from reports.workflow.delivery import FILES, PROGRAM, RTL, Delivery, proof, rtl_of, write

PAGE = "explore.html"


def explore(
    networks: Sequence[str],
    shares: str | None,
    out: Path | None,
    rtl: bool,
    draw: bool,
    cache: Path | None,
    json_file: Path | None,
    csv_file: Path | None,
    data: Sequence[str],
    **asked: Any,
) -> int:
    """Do what the command `explore` does of several networks; return its exit status."""
    output.check_place(json_file, csv_file)
    names = names_of(networks)
    folder = out or Path("explore", "+".join(names))
    if draw:
        shared, effort = saved(folder / RESULTS, Shared.from_json), ""
        own = [saved(folder / name / RESULTS, Results.from_json) for name in shared.names]
        deliveries: Sequence[Delivery] = ()
    else:
        asking = Asking(networks, data, shares, **asked)
        plans = asking.plans()
        output.write_folder(folder, {})
        resuming.same_command()
        found, kept = asking.answered(cache, plans)
        shared, deliveries, own = found.shared, found.deliveries, [one.results for one in found.explored]
        effort = f"{kept.found:,} results were there, {kept.done:,} were made in {kept.seconds:.1f} s."
    _write(folder, shared, own, deliveries, rtl, draw)
    if json_file:
        output.write_json(json_file, shared.answer() | {"words": answer.words(shared)})
    if csv_file:
        output.write_text(csv_file, shared.to_csv())
    _tell(shared, effort)
    also = f", of each network {', '.join(FILES)}" if deliveries else ""
    print(f"Written to {folder}: {PAGE}, {RESULTS}{also} and figures; of each network alone, in its folder, the same.")
    if deliveries and shared.chosen:
        print(f"Next: {proof([f'{folder}/{name}/{PROGRAM}' for name in shared.names], shared.chosen.lanes, data)}")
    return 0 if shared.chosen else 1


def _write(
    folder: Path, shared: Shared, own: Sequence[Results], deliveries: Sequence[Delivery], rtl: bool, draw: bool
) -> None:
    """Write the folders of the networks, then the hardware, then what all of it is of."""
    built = rtl_of(deliveries, shared.chosen.lanes) if rtl and deliveries and shared.chosen else {}
    for place, (name, results) in enumerate(zip(shared.names, own, strict=True)):
        drawn = own_figures.render(results)
        files = {RESULTS: results.to_json().encode(), PAGE: own_page(results, drawn, delivered=False), **drawn}
        if draw:
            output.write_folder(folder / name, files)
        else:
            write(folder / name, files, deliveries[place] if deliveries else None, rtl=False)
    if built:
        output.write_folder(folder / RTL, built)
    elif (folder / RTL / "manifest.json").exists() and not draw:
        print(f"note: {folder / RTL}: is of an earlier run; --rtl writes it anew", file=sys.stderr)
    drawn = figures.render(shared)
    output.write_folder(folder, {RESULTS: shared.to_json().encode(), PAGE: page(shared, drawn), **drawn})


def _tell(shared: Shared, effort: str) -> None:
    """Print the answer: the first line, the tables, the rest."""
    console = shared_console.console()
    first, *more = answer.words(shared)
    console.print(first)
    for heads, *rows in answer.tables(shared):
        if rows:
            leading = 1 if heads == answer.HEADS else 2
            console.print(shared_console.plain_table(heads, rows, words=leading))
    for line in filter(None, [*more, effort]):
        console.print(line)
