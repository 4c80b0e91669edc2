"""The console that tables and results are printed on."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.shared.terminal import clean, raw

NARROWEST = 132  # columns in a pipe, where there is no terminal to ask


def console() -> Console:
    """Return the console for results: standard output, wide enough for the tables also in a pipe."""
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


class _Console(Console):
    """A console that cleans the text it is given, and adds its own control characters after that."""

    def render_str(self, text: str, **settings: Any) -> Text:
        return super().render_str(clean(text), **settings)
