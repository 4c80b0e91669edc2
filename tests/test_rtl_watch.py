"""What a watched testbench tells is read: rows that are written, rows that leave, unknown bits; nothing else."""

import pytest

from accel.array import MacArray
from rtl.watch import Row, rows_of

ARRAY = MacArray(2, 2, signal_bits=4, accumulator_bits=8)


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("WROTE 1 35 4 2 10100011", Row(1, 35, 4, (0b0011, 0b1010))),
        ("WROTE 2 36 0 1 10100011", Row(2, 36, 0, (0b0011,))),
        ("WROTE 1 35 4 2 1x100011", Row(1, 35, 4, (0b0011, None))),
        ("LEFT 3 99 0101111111100000001", Row(3, 99, None, (0b00000001, 0b11111111))),
        ("LEFT 3 99 1011111111100000001", Row(3, 99, None, (0b00000001,))),
        ("LEFT 3 99 1XX11111111zzzzzzzz", Row(3, 99, None, (None, 0b11111111))),
    ],
)
def test_a_row(line: str, row: Row) -> None:
    """The first lane's word is the lowest; of a row that leaves what counts, all if that is unknown."""
    assert list(rows_of(f"JOB 0 images 1\n{line}\nDONE images 1\n", ARRAY)) == [row]


@pytest.mark.parametrize("said", ["", "WROTE 1 35 4 2", "DONE images 1 rows 2 errors 0", " WROTE 1 2 3 4 1"])
def test_nothing(said: str) -> None:
    """Other lines are none."""
    assert list(rows_of(said, ARRAY)) == []
