"""CSV as spreadsheets take it: numbers are numbers, and no text is a formula."""

import csv
import io
from collections.abc import Iterable

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what makes a spreadsheet compute a cell, or drop what stands before it


def csv_text(names: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    r"""Return a line of names and one for each row.

    A text that a spreadsheet would take for a formula gets an apostrophe before it, as OWASP has it ("CSV Injection").

    >>> csv_text(["name", "count"], [["=1+1", -1], ["lenet5", 0.5]])
    "name,count\n'=1+1,-1\nlenet5,0.5\n"
    """
    return "".join(map(_line, (names, *rows)))


def _line(row: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(map(_cell, row))  # that quotes what is in its own line end, so both of its characters
    return text.getvalue().removesuffix("\r\n") + "\n"


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.lstrip(" ").startswith(FORMULA) else value
