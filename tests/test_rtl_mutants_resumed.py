"""Mutants that are judged one by one: what was judged before a stop is not judged again."""

from pathlib import Path

import pytest
import rtl_mutants

from reports.maintain import mutants as mutate
from reports.maintain.mutants import Mutant, Verdict

MUTANTS = [Mutant(number, "", "inv", "cell", "A", "0", "", "") for number in (1, 2, 3)]


def test_a_stopped_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verdicts are on the disk as they come; the next run asks for the others, and one that was changed."""
    asked: list[int] = []

    def run(folder: Path, simulator: str, number: int, limit: int) -> Verdict:
        asked.append(number)
        if asked.count(3) == 1 and number == 3:
            raise KeyboardInterrupt
        return Verdict("row", f"image {number}") if number else Verdict("survived", "")

    monkeypatch.setattr(mutate, "run", run)
    with pytest.raises(KeyboardInterrupt):
        rtl_mutants.judge(tmp_path, MUTANTS, "iverilog", 1)
    assert asked == [0, 1, 2, 3]  # 0: the hardware without a mutant
    rows = rtl_mutants.judge(tmp_path, MUTANTS, "iverilog", 1)
    assert asked[4:] == [0, 3]
    assert [row.verdict.line for row in rows] == ["image 1", "image 2", "image 3"]
    path = tmp_path / rtl_mutants.VERDICTS
    path.write_text(path.read_text().replace("image 2", "image 7"))
    assert rtl_mutants.judge(tmp_path, MUTANTS, "iverilog", 1) == rows
    assert asked[6:] == [0, 2]
