"""Results as tables for notebooks: pandas where it is installed, HTML without it."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from accel.errors import EspalierError

if TYPE_CHECKING:
    from pandas import DataFrame


def frame(rows: Iterable[Mapping[str, Any]]) -> "DataFrame":
    """Return rows as a DataFrame, a column for each of their names.

    Raises
    ------
    EspalierError
        pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise EspalierError('to_dataframe needs pandas: pip install "espalier-hw[dataframe]"') from error
    return pandas.DataFrame([dict(row) for row in rows])


def html(title: str, lines: Sequence[str], *tables: Sequence[Sequence[str]]) -> str:
    """Return HTML of a title, paragraphs, and tables whose first row are their heads; everything is escaped.

    >>> html("a & b", ["c"], [("x",), ("1",)])
    '<h4>a &amp; b</h4><p>c</p><table><tr><th>x</th></tr><tr><td>1</td></tr></table>'
    """
    text = f"<h4>{escape(title)}</h4>" + "".join(f"<p>{escape(line)}</p>" for line in lines)
    for heads, *rows in tables:
        text += f"<table>{_row('th', heads)}{''.join(_row('td', row) for row in rows)}</table>"
    return text


def _row(tag: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
