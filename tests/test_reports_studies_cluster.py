"""Studies on a Dask cluster: workers killed in the middle change no byte of what is found, and lose nothing of it."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.calls import alive
from support.commandline import espalier

pytest.importorskip("torch", reason="retraining needs PyTorch (extra train)")
from reports.shared.journal import Journal
from reports.studies.bitwidth import definition as bitwidth
from reports.studies.pruning import definition as pruning
from reports.studies.pruning.results import Results

distributed = pytest.importorskip("distributed", reason="needs Dask (extra cluster)")

PRUNING = pruning.Study(
    "digits",
    sweep={"feature-map": (0.5,)},
    settings=(pruning.Setting("feature-map+kernel", {"feature-map": 0.25, "kernel": {"conv2": 0.25, "conv3": 0.5}}),),
    epochs=1,
    selectors=("random", "magnitude"),
    selection_images=30,
)
BITWIDTH = bitwidth.Study(
    "digits",
    ("dense",),
    searched=(3,),
    allocated=(),
    retrained=(),
    sensitive=(),
    evaluations=20,
    images=100,
)
pytestmark = pytest.mark.slow


@contextmanager
def cluster(**settings: Any) -> Iterator[Any]:
    """Give a cluster of two workers, whose page nobody looks at; processes that end are started again."""
    with distributed.LocalCluster(n_workers=2, dashboard_address="127.0.0.1:0", silence_logs=50, **settings) as running:
        yield running


def kill_one_of(running: Any) -> list[int]:
    """Kill a worker of a cluster in the middle of a task, if one has any, and return which process it was."""
    busy = [worker.address for worker in list(running.scheduler.workers.values()) if worker.processing][:1]
    with distributed.Client(running) as client:
        processes = list(client.run(os.getpid, workers=busy).values()) if busy else []
    for process in processes:
        os.kill(process, signal.SIGKILL)
    return processes


def test_a_worker_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one does what it was doing: the bytes of a study in this process, and no finished point is done again."""
    here, there = tmp_path / "here", tmp_path / "there"
    command = "study", "pruning", "digits", "--seeds", 2, "--out"
    monkeypatch.setitem(pruning.STUDIES, "digits", PRUNING)  # workers need no table: a task says everything
    assert espalier(*command, here, "--jobs", 1).status == 0
    kept: list[str] = []
    killed: list[int] = []
    add = Journal.add
    with cluster(threads_per_worker=1, processes=True) as running:

        def adding(self: Journal, record: dict[str, Any]) -> dict[str, Any]:
            added = add(self, record)
            kept.append(str(record["task"]))
            if not killed:
                killed.extend(kill_one_of(running))
            return added

        monkeypatch.setattr(Journal, "add", adding)
        done = espalier(*command, there, "--backend", "dask", "--scheduler", running.scheduler_address)
    assert (done.status, done.err) == (0, "")
    assert [alive(process) for process in killed] == [False]
    assert len(kept) == len(set(kept)) == 2 + 2 + 1 + 1  # two seeds but of magnitude, and of voting, once each
    found = (there / "results.json").read_bytes()
    assert found == (here / "results.json").read_bytes()
    first, second = (point.after for point in Results.from_json(found.decode()).points if point.after)
    assert first != second  # negative control: what workers draw and train shows in the bytes


def test_whoever_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes, and workers that would do two calls at a time, find the bytes that this process finds alone."""
    here, there, beside = tmp_path / "here", tmp_path / "there", tmp_path / "beside"
    command = "study", "bitwidth", "digits", "--out"
    monkeypatch.setitem(bitwidth.STUDIES, "digits", BITWIDTH)
    assert espalier(*command, here, "--jobs", 1).status == 0
    with cluster(threads_per_worker=2, processes=False) as running:
        done = espalier(*command, there, "--backend", "dask", "--scheduler", running.scheduler_address)
    assert (done.status, done.err) == (0, "")
    assert espalier(*command, beside, "--jobs", 2).status == 0
    found = [(folder / "results.json").read_bytes() for folder in (here, there, beside)]
    assert found[0] == found[1] == found[2]
