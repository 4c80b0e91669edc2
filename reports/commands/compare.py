"""The command `espalier compare`: explorations read, told side by side, and written as a page."""

import os
from pathlib import Path

import click

from accel.errors import EspalierError
from reports.commands.options import COMPARISON, EXPLORED, csv_option, json_option, option
from reports.commands.places import Command
from reports.compare import figures
from reports.compare.comparison import Comparison
from reports.compare.library import compare, folder_of
from reports.compare.page import page
from reports.shared import console as shared_console
from reports.shared import output

PAGE, NUMBERS, TABLE = "compare.html", "compare.json", "compare.csv"


@click.command("compare", cls=Command)
@click.argument("results", nargs=-1, required=True, type=EXPLORED)
@option("--out", "-o", type=COMPARISON, help="Folder to write: a page, its figures, the numbers as JSON and CSV.")
@json_option
@csv_option
def command(results: tuple[Path, ...], out: Path | None, json_file: Path | None, csv_file: Path | None) -> int:
    """Put two explorations or more side by side: what was asked, what is recommended, where the fronts lie.

    RESULTS are folders that `espalier explore` wrote, or their results.json: of several technologies, arrays or
    networks, say. Nothing is measured again. With -o writes compare.html, compare.json, compare.csv and the fronts
    as a figure. Exit status 1 if nothing fits in any of them.

    Example: espalier compare explore/lenet5 explore/digits -o compared
    """
    if out is not None:
        _check_apart(out, results)
    output.check_place(json_file, csv_file)
    found = compare(*results)
    if out is not None:
        output.write_folder(out, files(found))
    if json_file:
        output.write_text(json_file, found.to_json())
    if csv_file:
        output.write_text(csv_file, found.to_csv())
    tell(found)
    if out is not None:
        print(f"Written to {out}: {PAGE}, {NUMBERS}, {TABLE} and figures.")
    return 0 if found.fits else 1


def files(found: Comparison) -> dict[str, bytes]:
    """Return what the folder holds."""
    drawn = figures.render(found)
    numbers = {NUMBERS: found.to_json().encode(), TABLE: found.to_csv().encode()}
    return {PAGE: page(found, drawn), **numbers, **drawn}


def tell(found: Comparison) -> None:
    """Print what differs, the table, and what comes next."""
    console = shared_console.console()
    for line in found.words():
        console.print(line)
    heads, *rows = found.table()
    for part in shared_console.fitting(shared_console.plain_table(heads, rows, words=len(heads)), console.width):
        console.print(part)
    for (name, step), one in zip(found.next_steps(), found.results, strict=True):
        if one.recommended:
            console.print(f"{name}: Next: {' && '.join(step.splitlines())}", soft_wrap=True)
        else:
            console.print(f"{name}: {step}")


def _check_apart(out: Path, results: tuple[Path, ...]) -> None:
    """Refuse to write into the folder of an exploration: what lies there would no longer be of one command."""
    for path in results:
        folder = folder_of(path)
        if folder is not None and os.path.realpath(folder) == os.path.realpath(out):
            raise EspalierError(f"--out {out}: is one of the explorations; name another folder")
