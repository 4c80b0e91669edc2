"""The console that tables and results are printed on."""

import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from reports.shared.terminal import clean, raw

NARROWEST = 132  # columns in a pipe, where there is no terminal to ask


def console() -> Console:
    """Return the console for results: standard output, wide enough for the tables also in a pipe."""
    plain: Any = {"highlight": False, "markup": False, "emoji": False}  # names may hold [brackets] and :colons:
    plain["file"] = raw(sys.stdout)
    out = _Console(**plain)
    return out if out.is_terminal else _Console(**plain, width=NARROWEST, soft_wrap=True)


class _Console(Console):
    """A console that cleans the text it is given, and adds its own control characters after that."""

    def render_str(self, text: str, **settings: Any) -> Text:
        return super().render_str(clean(text), **settings)
