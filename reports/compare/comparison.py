"""Explorations side by side: what was asked of each and where that differs, what each recommends.

Format history of the JSON: 1, the first.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from accel.errors import EspalierError
from accel.interchange.data.datasets import NAMES
from reports.compare.facts import ASKED, FACTS, GROUPS, NONE, Fact
from reports.explore import answer
from reports.explore.page import building_of
from reports.explore.points import Point
from reports.explore.results import Results
from reports.shared.frames import frame, html
from reports.shared.schema import Kind
from reports.shared.spreadsheet import csv_text
from reports.workflow.delivery import next_command

if TYPE_CHECKING:
    from pandas import DataFrame

KIND = Kind("espalier-comparison", 1, "a comparison of explorations")
Row = tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two explorations or more.

    Parameters
    ----------
    names : tuple of str
        What each is called.
    results : tuple of Results
    folders : tuple of str
        In which the Program that each recommends lies; empty where it lies nowhere. None at all: it is not known.

    Raises
    ------
    EspalierError
        There are fewer than two, two are the same or called alike, or not each has a name.
    """

    names: tuple[str, ...]
    results: tuple[Results, ...]
    folders: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.results) < 2:
            raise EspalierError(f"a comparison takes two explorations or more, got {len(self.results)}")
        if len(self.names) != len(self.results) or len({*self.names}) < len(self.names):
            told = ", ".join(self.names) or "none"
            raise EspalierError(f"names: expected {len(self.results)} that differ, got {told}")
        if len({id(one) for one in self.results}) < len(self.results):
            raise EspalierError("a comparison takes explorations that differ, got one twice")

    @cached_property
    def differing(self) -> tuple[Fact, ...]:
        """What was asked of one otherwise than of another."""
        return tuple(fact for fact in ASKED if len({fact.value(one) for one in self.results}) > 1)

    @cached_property
    def same(self) -> tuple[Fact, ...]:
        """What was asked of all alike; limits that none has are left out."""
        alike = (fact for fact in ASKED if fact not in self.differing)
        return tuple(fact for fact in alike if fact.text(self.results[0]) != NONE)

    @property
    def fits(self) -> bool:
        """Whether any of them recommends something."""
        return any(one.recommended for one in self.results)

    def words(self) -> list[str]:
        """Return in sentences what is the same, and what differs."""
        differ = ", ".join(fact.label for fact in self.differing)
        told = "; ".join(f"{fact.label} {fact.text(self.results[0])}" for fact in self.same)
        return [
            f"What was asked differs in: {differ}." if differ else "The same was asked of all.",
            *([f"The same for all: {told}."] if told else []),
        ]

    def table(self) -> list[Row]:
        """Return a row of names, then one for each fact, its groups under rows that hold nothing else."""
        empty = ("",) * len(self.names)
        rows: list[Row] = [("", *self.names)]
        for title, facts in {"Asked": self.differing, **GROUPS}.items():
            found = [(fact.label, *map(fact.text, self.results)) for fact in facts]
            known = [row for row in found if {*row[1:]} != {NONE}]
            rows += [(title, *empty), *known] if known else []
        return rows

    def next_steps(self) -> list[tuple[str, str]]:
        """Return for each what to do next: commands, or why there are none, what it would take."""
        return [(name, self._next(place)) for place, name in enumerate(self.names)]

    def _next(self, place: int) -> str:
        results = self.results[place]
        chosen = results.recommended
        if chosen is None:
            return " ".join(answer.refused(results))
        folder = self.folders[place] if self.folders else ""
        if folder:
            return next_command(f"{folder}/", chosen.lanes, None if results.data in NAMES else results.data)
        return building_of(results, results.version(chosen), chosen.layers).format_map(asdict(chosen))

    def front(self, place: int) -> list[Point]:
        """Return the designs of one that no other of its own beats, and what it recommends."""
        results = self.results[place]
        chosen = results.recommended
        beyond = chosen is not None and chosen not in results.front  # another beats it, but breaks a limit
        return [*results.front, *([chosen] if chosen is not None and beyond else [])]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield each exploration as plain numbers and words."""
        for name, one in zip(self.names, self.results, strict=True):
            yield {"name": name} | {fact.name: fact.plain(one) for fact in FACTS} | {"command": one.command}

    def to_dataframe(self) -> "DataFrame":
        """Return one row an exploration, the columns of `to_csv`; needs pandas."""
        return frame(self.rows())

    def to_csv(self) -> str:
        """Return one line an exploration."""
        rows = list(self.rows())
        return csv_text(rows[0], (row.values() for row in rows))

    def to_json(self) -> str:
        """Return everything that page and terminal show as versioned JSON, an exploration a line."""
        head = {"same": [fact.name for fact in self.same], "differ": [fact.name for fact in self.differing]}
        found = zip(self.rows(), self.results, self.next_steps(), strict=True)
        rows = []
        for place, (row, one, (_, step)) in enumerate(found):
            recommended = asdict(one.recommended) if one.recommended else None
            row |= {"recommended": recommended, "next": step, "front": [asdict(point) for point in self.front(place)]}
            rows.append(row)
        return KIND.written(head, explorations=rows)

    def __repr__(self) -> str:
        found = "; ".join(
            f"{name}: {answer.short(one.recommended) if one.recommended else 'nothing fits'}"
            for name, one in zip(self.names, self.results, strict=True)
        )
        return f"<Comparison of {len(self.names)} explorations: {found}>"

    def _repr_html_(self) -> str:
        return html(" · ".join(self.names), self.words(), self.table())
