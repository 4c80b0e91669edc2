"""Tables in Markdown, for pages of results."""

from collections.abc import Iterable

RULES = {"l": "---", "r": "---:"}


def table(heads: str, columns: str, rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown, without a line end after its last row.

    Parameters
    ----------
    heads : str
        The heads with bars between them; a bar at an end has a column without a head beside it.
    columns : str
        A letter for each column, as in LaTeX's ``tabular``: `l` for words, `r` for numbers.
    rows : iterable of iterables of str
        The cells of each row.

    Examples
    --------
    >>> print(table("network | cycles", "lr", [["digits", "1,024"], ["lenet5", "7,456"]]))
    | network | cycles |
    | --- | ---: |
    | digits | 1,024 |
    | lenet5 | 7,456 |
    """
    assert heads.count("|") == len(columns) - 1, heads  # else it is no table
    rules = (RULES[column] for column in columns)
    return "\n".join([f"| {heads} |", *(f"| {' | '.join(cells)} |" for cells in (rules, *rows))])
