"""Hundreds of damaged files of those that Espalier reads again: refused in a line, made again, or as they were."""

import importlib.util
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from support import fuzz_kept
from support.fuzz_cases import Case

from accel.errors import EspalierError

SEED, EACH = 15, 30  # cases of each format


def outcome(case: Case, folder: Path) -> str:
    """Return how a case ended: "refused" in a line that names the file, or "read"; anything else is raised."""
    folder.mkdir()
    try:
        case.run(folder)
    except EspalierError as error:
        told = str(error)
    else:
        return "read"
    assert told.isprintable()
    assert len(told) < 1000
    assert str(folder) in told
    return "refused"


def kinds() -> list[str]:
    """Return the formats that can be read here."""
    there = importlib.util.find_spec("torch") is not None
    return [name for name in fuzz_kept.FORMATS_OF if there or name != "training checkpoint"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds())
def test_damage(kind: str, tmp_path: Path) -> None:
    """No damage makes a traceback or, without a word, another result; some of it is met and some is harmless."""
    rng = np.random.default_rng(SEED)
    found = Counter(
        outcome(Case(kind, fuzz_kept.FORMATS_OF[kind](rng)), tmp_path / str(number)) for number in range(EACH)
    )
    assert found["refused"] > 0 or kind in ("points.jsonl", "rows of results.sqlite")  # there it is made again
    assert found.total() == EACH


def test_the_order_of_the_cases() -> None:
    """They come one of each format, so that any number of them is fair to all."""
    pytest.importorskip("torch")  # one of the formats is a training's checkpoint
    count = len(fuzz_kept.FORMATS_OF)
    formats = [case.format for case in islice(fuzz_kept.cases(np.random.default_rng(0)), 2 * count)]
    assert formats == 2 * [*fuzz_kept.FORMATS_OF]


def test_a_believed_change_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: where digests are not looked at, changes are believed, and the cases say so."""
    monkeypatch.setattr(
        "reports.shared.schema.unsealed", lambda record: {x: record[x] for x in record if x != "sha256"}
    )
    monkeypatch.setattr(
        "reports.shared.journal.unsealed", lambda record: {x: record[x] for x in record if x != "sha256"}
    )
    monkeypatch.setattr("reports.shared.store._digest", lambda key, value: b"")
    rng = np.random.default_rng(SEED)
    for kind in ("results.json", "points.jsonl", "rows of results.sqlite"):
        believed = 0
        for number in range(EACH):
            try:
                outcome(Case(kind, fuzz_kept.FORMATS_OF[kind](rng)), tmp_path / f"{kind} {number}")
            except (AssertionError, EspalierError, LookupError, TypeError, ValueError):
                believed += 1
        assert believed
