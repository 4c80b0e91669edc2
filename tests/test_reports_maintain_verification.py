"""The study of the zoo in hardware: what was run is kept, what differs is counted; the simulators are replaced."""

import json
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.sealing import resealed

from accel.array import MacArray
from reports.maintain import verification
from reports.maintain.verification import RUNS, SIMULATED
from rtl.simulators import Outcome

NAMES = ["digits dense 3", "digits dense 4"]


class Here:
    """An executor that works in this process."""

    def __enter__(self) -> "Here":
        """Begin."""
        return self

    def __exit__(self, *error: object) -> None:
        """End."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run at once."""
        future: Future[Any] = Future()
        future.set_result(function(*arguments))
        return future


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A small study whose simulator is replaced; the stalls of each run in Verilator."""
    ran: list[int] = []

    def run(folder: Path, simulator: str, stall: int) -> Outcome:
        ran.append(stall)
        return Outcome(2, 20, 0, 100 + stall, stall, ())

    monkeypatch.setattr(verification, "NETWORKS", ("digits",))
    monkeypatch.setattr(verification, "WEIGHT_BITS", (3, 4))
    monkeypatch.setattr(verification, "ARRAY", MacArray(2, 2))
    monkeypatch.setattr(verification.zoo, "patterns", lambda network: ["dense"])
    monkeypatch.setattr(verification.simulators, "build", lambda folder, simulator: None)
    monkeypatch.setattr(verification.simulators, "run", run)
    monkeypatch.setattr(verification, "ProcessPoolExecutor", Here)
    counts = {"images": 1, "rows": 10, "cycles": 5, "stalls": 1, "errors": 0}
    monkeypatch.setattr(verification, "_simulated", lambda job: dict(counts, images=len(job.codes)))
    return ran


@pytest.mark.slow
def test_a_second_run_does_nothing(tmp_path: Path, ran: list[int]) -> None:
    """Every Program has its three runs; what is in the file is not run again; other images are."""
    assert verification.make(None, 2, 1, tmp_path) == 0
    assert ran == [0, 128, 0, 128]
    programs = json.loads((tmp_path / "results.json").read_text())["programs"]
    assert list(programs) == NAMES
    assert all({*RUNS, SIMULATED} < set(runs) for runs in programs.values())
    page = (tmp_path / "README.md").read_text()
    assert "| Verilator | 2 | 4 | 40 | 200 | 0 | 0 |" in page
    assert f"| {SIMULATED} | 2 | 2 | 20 | 10 | 2 | 0 |" in page
    assert verification.make(None, 2, 1, tmp_path) == 0
    assert len(ran) == 4
    verification.make(None, 3, 1, tmp_path)
    assert len(ran) == 8


@pytest.mark.slow
def test_a_stopped_run_goes_on(tmp_path: Path, ran: list[int]) -> None:
    """Runs that are missing in the file are made, the others stay."""
    verification.make(None, 2, 1, tmp_path)
    record = json.loads((tmp_path / "results.json").read_text())
    del record["programs"][NAMES[1]][list(RUNS)[1]]
    (tmp_path / "results.json").write_text(resealed(record))
    verification.make(None, 2, 1, tmp_path)
    assert ran[4:] == [128]


@pytest.mark.slow
def test_an_error_is_counted(tmp_path: Path, ran: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: what the simulator finds wrong is in the table and in what `make` returns."""
    right = verification.simulators.run
    monkeypatch.setattr(verification.simulators, "run", lambda *words: replace(right(*words), errors=3))
    assert verification.make(None, 2, 1, tmp_path) == 3 * 2 * len(NAMES)
    assert "| Verilator | 2 | 4 | 40 | 200 | 0 | 6 |" in (tmp_path / "README.md").read_text()
