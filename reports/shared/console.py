"""The console that tables and results are printed on."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from reports.shared import notes
from reports.shared.terminal import clean, raw

WORDS = 24  # characters to which a column of words may be wrapped
NARROWEST = 132  # columns in a pipe, where there is no terminal to ask


def console() -> Console:
    """Return the console for results: standard output, wide enough for the tables also in a pipe."""
    notes.tell()
    plain: Any = {"highlight": False, "markup": False, "emoji": False}  # names may hold [brackets] and :colons:
    plain["file"] = raw(sys.stdout)
    out = _Console(**plain)
    return out if out.is_terminal else _Console(**plain, width=NARROWEST, soft_wrap=True)


def plain_table(heads: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> Table:
    """Return a table of ready texts that fits a narrow terminal; the first `words` columns are to the left."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for index, head in enumerate(heads):
        table.add_column(head, justify="left" if index < words else "right", no_wrap=index >= words, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def fitting(table: Table, width: int) -> list[Table]:
    """Return a table as tables of at most `width` columns each, which share the first column of the table.

    Columns of numbers are never narrower than their numbers; words are wrapped, down to `WORDS` characters.
    """
    needs = [_needed(column) for column in table.columns]
    if 1 + sum(needs) <= width:
        return [table]
    groups: list[list[int]] = [[]]
    for index in range(1, len(needs)):
        if groups[-1] and 1 + needs[0] + sum(needs[i] for i in (*groups[-1], index)) > width:
            groups.append([])
        groups[-1].append(index)
    return [_part(table, (0, *group), number) for number, group in enumerate(groups)]


def _needed(column: Column) -> int:
    lengths = [cell_len(line) for cell in (column.header, *column.cells) for line in str(cell).split()]
    whole = [cell_len(str(cell)) for cell in (column.header, *column.cells)]
    numbers = column.justify == "right"
    return 3 + (max(whole) if numbers else max(min(max(whole), WORDS), min(max(lengths, default=0), WORDS)))


def _part(table: Table, places: Sequence[int], number: int) -> Table:
    part = Table(title=table.title if not number else None, box=table.box, pad_edge=table.pad_edge)
    cells = [[*column.cells] for column in table.columns]
    for place in places:
        column = table.columns[place]
        part.add_column(column.header, justify=column.justify, no_wrap=column.justify == "right", overflow="fold")
    for index, row in enumerate(table.rows):
        part.add_row(*(cells[place][index] for place in places), end_section=row.end_section)
    return part


class _Console(Console):
    """A console that cleans the text it is given, and adds its own control characters after that."""

    def print(self, *things: Any, **settings: Any) -> None:
        """Print things; a table that is wider than a terminal in parts, so that no digit is left out."""
        for thing in things:
            parts = fitting(thing, self.width) if isinstance(thing, Table) and self.is_terminal else [thing]
            for part in parts:
                super().print(part, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        return super().render_str(clean(text), **settings)
