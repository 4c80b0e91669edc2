"""The page of a comparison: one file that needs no network."""

from collections.abc import Mapping
from itertools import accumulate

from reports.compare.comparison import Comparison
from reports.explore.page import COLUMNS_OF_DESIGNS, commands_of, row_of
from reports.shared.browsing import Browsing, Heading
from reports.shared.template import filled

OPTIONAL = ("energy", "area", "layers")  # columns that are there where a technology says something of them
EXPLORATION = Heading("exploration", "exploration", None, "which of those that are compared")


def page(comparison: Comparison, figures: Mapping[str, bytes]) -> bytes:
    """Return compare.html.

    Parameters
    ----------
    comparison : Comparison
    figures : mapping of file name to content
        Of `reports.compare.figures`.
    """
    contents = {
        "title": ", ".join(comparison.names),
        "words": comparison.words(),
        "table": comparison.table(),
        "steps": comparison.next_steps(),
        "commands": [one.command for one in comparison.results],
        "found": [one.recommended for one in comparison.results],
    }
    return filled("reports.compare", figures, browsing(comparison), **contents)


def browsing(comparison: Comparison) -> Browsing:
    """Return the fronts of all explorations, with their numbers and the commands that build each design."""
    fronts = [comparison.front(place) for place in range(len(comparison.names))]
    starts = [0, *accumulate(map(len, fronts))]
    named = list(zip(comparison.names, comparison.results, strict=True))
    rows = [[name, *row_of(one, p)] for (name, one), front in zip(named, fronts, strict=True) for p in front]
    columns = [EXPLORATION, *COLUMNS_OF_DESIGNS]
    there = [c.name not in OPTIONAL or any(row[place] for row in rows) for place, c in enumerate(columns)]
    mixed = there[-1]
    marked = [
        start + front.index(results.recommended)
        for start, front, (_, results) in zip(starts, fronts, named, strict=False)
        if results.recommended
    ]
    return Browsing(
        [column for column, kept in zip(columns, there, strict=True) if kept],
        [[value for value, kept in zip(row, there, strict=True) if kept] for row in rows],
        first=[],
        best=marked[0] if marked else None,
        across="memory",
        up="error",
        color="exploration",
        commands={
            "\n".join((name, *of)): words
            for name, results in named
            for of, words in commands_of(results, mixed).items()
        },
        file="compare.csv",
        fixed={},
        by=("exploration", "version", "layers") if mixed else ("exploration", "version"),
        marked=marked,
        title="Every front, point by point",
        thinned="what is recommended, and of the rest every so manyth; all are in compare.json",
    )
