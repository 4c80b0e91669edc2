"""The study of flipped bits: what is kept of it is whole, and its reasons hold for nothing that was noticed."""

import json

import numpy as np
import pytest
from rtl_flips import STUDY, draw_flips, page, study_program
from support.flip_reasons import Flip, Reasons

from accel.array import DEPTHS
from accel.demand import array_for
from accel.interchange.data import datasets
from rtl.emit import Job, emit

MADE = json.loads((STUDY / "flips.json").read_text())


def test_what_is_kept() -> None:
    """20 bits of each memory; each is noticed, and located in its layer, or has a reason; the page says so."""
    rows = MADE["flips"]
    memories = [row["flip"]["memory"] for row in rows]
    assert {name: memories.count(name) for name in memories} == dict.fromkeys(DEPTHS, 20)
    assert all(row["noticed"] == (not row["reason"]) for row in rows)
    assert all(row["located"] == (row["layer"] if row["noticed"] else "") for row in rows)
    assert MADE["images"] == 50
    assert (STUDY / "README.md").read_text() == page(MADE)


@pytest.mark.slow
def test_a_reason_holds_for_nothing_that_was_noticed() -> None:
    """Negative control: of the two images that noticed them, flips have no reason; the same are drawn again."""
    program = study_program()
    array = array_for(program, 4, 4)
    codes = program.input_signal.encode(datasets.load("digits", "test").take(2).pixels())
    reasons = Reasons(Job(program, codes, codes, 0, 0), array)
    for row in MADE["flips"]:
        flip = Flip(**row["flip"])
        assert reasons.owner(flip).name == row["layer"]
        if row["noticed"] and row["images"] == 2:
            assert reasons.reason(flip) == "", flip
    files = emit([Job(program, codes, np.zeros((2, 10), np.int64), 1, 1)], array)
    drawn = draw_flips(files, array, 20, np.random.default_rng(1))
    assert drawn == [Flip(**row["flip"]) for row in MADE["flips"]]
