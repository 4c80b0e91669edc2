"""Every design of a page, for a reader who points at them: what `points.html` and `points.js` show."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

MOST_POINTS = 3_000  # that a page holds and a browser moves smoothly


@dataclass(frozen=True)
class Heading:
    """A column of the designs.

    Parameters
    ----------
    name : str
        By which a command names it.
    label : str
        With its unit.
    digits : int or None
        Decimals of its numbers; None: words.
    about : str
        What it says, in full.
    """

    name: str
    label: str
    digits: int | None = 0
    about: str = ""


@dataclass(frozen=True)
class Browsing:
    """Designs, a row each, and what a reader can do with them.

    Parameters
    ----------
    columns : sequence of Heading
    rows : sequence of sequence of str or float
    first : sequence of int
        Rows that are shown in any case, such as those that no other beats.
    best : int or None
        The row that is recommended.
    across, up, color : str
        The columns that axes and colors show first.
    commands : mapping of str to str
        By what the columns `by` say, a line each, the commands that build a design; a name in braces stands for a
        column.
    file : str
        What a CSV file is called.
    fixed : mapping of str to str
        What stands for names in braces that are no columns.
    by : sequence of str
        The columns by which commands are known; that of colors by default.
    marked : sequence of int
        Rows that have a star.
    title : str
        What the rows are.
    thinned : str
        Which of too many rows are shown, and where the others are.
    """

    columns: Sequence[Heading]
    rows: Sequence[Sequence[Any]]
    first: Sequence[int]
    best: int | None
    across: str
    up: str
    color: str
    commands: Mapping[str, str]
    file: str
    fixed: Mapping[str, str]
    by: Sequence[str] = ()
    marked: Sequence[int] = ()
    title: str = "Every design"
    thinned: str = "those that no other beats, and of the rest every so manyth; all are in the CSV of the command"

    def record(self) -> dict[str, Any]:
        """Return what the page's program reads."""
        shown = chosen(len(self.rows), {*self.first, *self.marked} | ({self.best} - {None}))
        names = [column.name for column in self.columns]
        return {
            "columns": [asdict(column) for column in self.columns],
            "rows": [self.rows[place] for place in shown],
            "count": len(self.rows),
            "best": None if self.best is None else shown.index(self.best),
            "across": names.index(self.across),
            "up": names.index(self.up),
            "color": names.index(self.color),
            "commands": dict(self.commands),
            "fixed": dict(self.fixed),
            "by": [names.index(name) for name in self.by or (self.color,)],
            "marked": [shown.index(place) for place in self.marked],
            "title": self.title,
            "thinned": self.thinned,
            "file": self.file,
        }


def chosen(count: int, first: set[Any], most: int = MOST_POINTS) -> list[int]:
    """Return which of `count` rows a page holds: `first`, and of the rest every so manyth if they are too many.

    >>> chosen(4, {1}), chosen(10, {9}, most=4)
    ([0, 1, 2, 3], [0, 3, 6, 9])
    """
    rest = [place for place in range(count) if place not in first]
    step = max(1, -(-len(rest) // max(1, most - len(first))))
    return sorted([*first, *rest[::step]])


@functools.cache
def plotly() -> str:
    """Return the program that draws, which a page has inside so that it needs no network."""
    text = (resources.files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    return text.replace("</script", "<\\/script")
