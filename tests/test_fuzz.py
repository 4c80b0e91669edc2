"""Damaged inputs of every format, and hostile command lines: each is read right or refused in a line, soon."""

import time
from collections.abc import Callable
from pathlib import Path

import fuzz
import numpy as np
import pytest
from support import fuzzing

from accel.errors import EspalierError

SEED = 15
FAST, SLOW = 62, 2000  # inputs; `python tests/fuzz.py` takes 50,000
JOBS = 1  # what a process needs is made once


def check(count: int, first: int) -> None:
    """Run so many inputs and raise AssertionError unless all of them end well."""
    rows = list(fuzzing.run_all(fuzz.MODULES, SEED, range(first, first + count), JOBS))
    bad = [row for row in rows if row.end in fuzzing.BAD]
    shown = "\n".join(f"{row.format}, --seed {SEED} --first {row.index}: {row.end}: {row.text}" for row in bad[:5])
    assert not bad, f"{fuzzing.table(rows)}\n{shown}"
    assert sorted(row.index for row in rows) == list(range(first, first + count))
    assert {row.format for row in rows} == {*fuzzing.formats_of(fuzz.MODULES)}
    assert sum(row.end == "accepted" for row in rows) > count / 20  # or nothing but the first check was met


def test_some_of_every_format() -> None:
    """No traceback, no hang, nothing over 1 GiB and no changed result that is believed, in a few of each format."""
    pytest.importorskip("torch")  # one of the formats is a training's checkpoint
    check(FAST, 0)


@pytest.mark.slow
def test_thousands() -> None:
    """The same of three thousand others."""
    check(SLOW, FAST)


def test_the_same_number_is_the_same_input() -> None:
    """An input is drawn from the seed and its number alone, so that one that ended badly is seen again."""
    formats = {"npz": fuzzing.formats_of(("support.fuzz_files",))["npz"]}
    first, again, others = (
        [_text(fuzzing.run_case(formats, SEED, index)) for index in range(start, start + 20)] for start in (0, 0, 20)
    )
    assert first == again != others


def _text(row: fuzzing.Row) -> str:
    """Return what was said, without the name of the folder."""
    return row.end + row.text.partition("a.npz")[2]


# Negative controls: what must never happen is seen where it does.


def _stumbles(_: Path) -> None:
    raise KeyError("name")


def _believes(_: Path) -> None:
    assert not "another result"


class RawError(EspalierError):
    """An error that does not clean its message, as `EspalierError` does."""

    def __str__(self) -> str:
        return str(self.raw)

    def __init__(self, raw: str) -> None:
        self.raw = raw


def _says_two_lines(_: Path) -> None:
    raise RawError("one\ntwo")


def _colors(_: Path) -> None:
    raise RawError("\x1b[31mred")


def _grows(_: Path) -> None:
    np.ones(200 << 20, np.uint8)


def _sleeps(_: Path) -> None:
    time.sleep(1000)


def _dies(_: Path) -> None:
    import os

    os._exit(3)


def _refuses(_: Path) -> None:
    raise EspalierError("a line")


def _accepts(_: Path) -> None:
    pass


EXPECTED: dict[Callable[[Path], None], str] = {
    _accepts: "accepted",
    _refuses: "refused",
    _stumbles: "traceback",
    _says_two_lines: "traceback",
    _colors: "traceback",
    _believes: "believed",
    _grows: "memory",
    _sleeps: "hang",
    _dies: "died",
}
FORMATS_OF = {run.__name__: lambda rng, run=run: run for run in EXPECTED}


@pytest.mark.slow
def test_what_must_not_happen_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each bad end is told apart, whatever the process does, and those after it are run all the same."""
    monkeypatch.setattr(fuzzing, "PATIENCE_SECONDS", 8)
    monkeypatch.setattr(fuzzing, "MOST_BYTES", 220 << 20)
    count = len(EXPECTED) + 3
    rows = list(fuzzing.run_all((Path(__file__).stem,), SEED, range(count), 2))
    ends = list(EXPECTED.values())
    assert {row.index: row.end for row in rows} == {index: ends[index % len(ends)] for index in range(count)}
    lines = fuzzing.table(rows).splitlines()
    assert lines[-1].split()[:9] == ["all", str(count), "2", "2", "4", "1", "1", "1", "1"]
