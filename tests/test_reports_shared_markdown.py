"""A table in Markdown has the rule that its columns ask for."""

import pytest

from reports.shared.markdown import table

ROWS = [["digits", "1,024", "met"], ["lenet5", "", ""]]


def test_numbers_stand_on_the_right() -> None:
    """The rule says where numbers are, row follows row, and nothing ends the last one."""
    assert table("network | cycles | target", "lrl", iter(ROWS)).splitlines() == [
        "| network | cycles | target |",
        "| --- | ---: | --- |",
        "| digits | 1,024 | met |",
        "| lenet5 |  |  |",
    ]
    assert not table("network | cycles | target", "lrl", ROWS).endswith("\n")
    assert table("network | cycles | target", "lll", ROWS) != table("network | cycles | target", "lrl", ROWS)


def test_a_table_without_rows() -> None:
    """Heads and rule are there; outer columns may be without a head."""
    assert table("| cycles |", "lrl", []) == "| | cycles | |\n| --- | ---: | --- |"


@pytest.mark.parametrize(("heads", "columns"), [("network | cycles", "l"), ("network", "lr"), ("network", "")])
def test_each_head_has_a_column(heads: str, columns: str) -> None:
    """A rule of another length than the heads would make Markdown show no table."""
    with pytest.raises(AssertionError, match="network"):
        table(heads, columns, [])
