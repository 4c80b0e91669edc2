"""What every number is called stands once, and every table that shows it says so."""

from dataclasses import fields
from pathlib import Path

import pytest
from support.commandline import made_results

from accel.cost import Counts, Cycles
from reports.report import layer_tables, saved
from reports.shared.columns import COLUMNS, COUNTED, SPENT, STORED, WORK, Column, columns

PACKAGE = Path(__file__).parents[1] / "reports"


@pytest.mark.parametrize("noun", [Counts, Cycles])
def test_every_count_has_a_column(noun: type[Counts | Cycles]) -> None:
    """Whatever is counted of a layer has a label, a unit or none, and an explanation."""
    for field in fields(noun):
        column = COLUMNS[field.name]
        assert column.label
        assert len(column.about) > len(column.label)
        assert column.unit == next((x for x in ("bits", "cycles") if field.name.endswith(f"_{x}")), "")


def test_every_saved_number_has_a_column() -> None:
    """So has what results.csv holds, and what tables of the page and of the terminal show."""
    shown = {name for names in layer_tables.TABLES.values() for name in names} - set(layer_tables.BARS)
    for name in (*saved.POINT, *shown, *layer_tables.OF_A_POINT):
        assert COLUMNS[name].about
    assert "weather" not in COLUMNS  # negative control


def test_labels_are_told_apart() -> None:
    """No two columns of one table have the same heading."""
    for names in (*layer_tables.TABLES.values(), layer_tables.OF_A_POINT):
        heads = [COLUMNS[name].heading() for name in names if name not in layer_tables.BARS]
        assert len(set(heads)) == len(heads)


def test_parts() -> None:
    """What is stored and what is work are all that is counted; cycles are none of it."""
    assert {*STORED, *WORK} == set(COUNTED)
    assert len(STORED) + len(WORK) == len(COUNTED) == 8
    assert not set(SPENT) & set(COUNTED)
    counts = Counts(**{name: 1 << place for place, name in enumerate(COUNTED)})
    assert sum(columns(STORED, counts).values()) == counts.parameter_memory_bits
    assert sum(columns(STORED[1:], counts).values()) != counts.parameter_memory_bits  # negative control


def test_a_column_of_two_records_is_the_first_ones() -> None:
    """A record hides what those behind it have under the same name; a column that none has is no column."""
    one, other = Counts(macs=1), Counts(macs=2)
    assert columns(["macs"], one, other) == {"macs": 1} != columns(["macs"], other, one)
    with pytest.raises(StopIteration):
        columns(["weather"], one)


def test_a_heading_says_its_unit_once() -> None:
    """The unit stands in the heading unless the table or the label has it."""
    assert Column("weight", "bits", "").heading() == "weight bits"
    assert Column("weight", "bits", "").heading("bits") == "weight"
    assert Column("weight", "bits", "").heading("cycles") == "weight bits"
    assert Column("nJ (est.)", "nJ", "").heading() == "nJ (est.)"


def test_a_name_stands_in_few_files() -> None:
    """One count is known by name where it is counted and where it is labelled, and nowhere else in reports."""
    root = PACKAGE.parent
    found = {
        str(path.relative_to(root))
        for package in ("accel", "reports", "sim", "rtl", "espalier")
        for path in (root / package).rglob("*")
        if path.suffix in (".py", ".js", ".html") and "requantize_memory_bits" in path.read_text()
    }
    assert found == {"accel/cost/counts.py", "accel/cost/invariants.py", "reports/shared/columns.py"}


def test_a_page_explains_its_columns() -> None:
    """Each heading of a table carries what is counted; the last row has the sums."""
    results = made_results()
    design = results.designs[0]
    for table in layer_tables.tables_of(results, design):
        assert [head.title for head in table.heads if head.text] == [
            COLUMNS[name].about for name in layer_tables.TABLES[table.name] if name in COLUMNS
        ]
        assert table.rows[-1][0].text == "all"
