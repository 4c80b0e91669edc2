"""Studies on a Dask cluster: workers killed in the middle change no byte of what is found, and lose nothing of it."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.commandline import Outcome, complaint, espalier

pytest.importorskip("torch", reason="retraining needs PyTorch (extra train)")
distributed = pytest.importorskip("distributed", reason="needs Dask (extra cluster)")

from reports.shared.journal import Journal
from reports.studies.bitwidth import definition as bitwidth
from reports.studies.files import POINTS
from reports.studies.pruning import definition as pruning

PRUNING = pruning.Study(
    "digits",
    sweep={"feature-map": (0.5,)},
    settings=(pruning.Setting("kernel", {"kernel": {"conv2": 0.25, "conv3": 0.5}}),),
    epochs=1,
    selectors=("random", "magnitude"),
    selection_images=30,
)
BITWIDTH = bitwidth.Study(
    "digits",
    ("dense",),
    searched=(3,),
    allocated=(),
    retrained=((3, 3),),
    sensitive=(),
    epochs=1,
    evaluations=20,
    images=100,
)
STUDIES = {"pruning": (pruning, PRUNING, 2 + 2 + 1 + 1), "bitwidth": (bitwidth, BITWIDTH, 2 * 7 + 1 + 1)}
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have studies of digits that take seconds: a setting with two seeds, a sweep, a search; workers need no table."""
    for module, study, _ in STUDIES.values():
        monkeypatch.setitem(module.STUDIES, "digits", study)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Return a cluster of two processes, each started again if it ends."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", silence_logs=50
    ) as running:
        yield running


def study(kind: str, folder: Path, *words: object) -> Outcome:
    """Run a study of digits, with two seeds where it has any."""
    seeds = ("--seeds", 2) if kind == "pruning" else ()
    return espalier("study", kind, "digits", *seeds, *words, "--out", folder)


def killer(cluster: Any, kept: list[dict[str, Any]], times: int) -> Callable[..., Any]:
    """Return `Journal.add` that kills a worker in the middle of a task, so many times, when a point is on the disk."""
    add, killed = Journal.add, []

    def dying(self: Journal, record: dict[str, Any]) -> dict[str, Any]:
        kept.append(record)
        written = add(self, record)
        if len(killed) < times:
            busy = [worker for worker in cluster.scheduler.workers.values() if worker.processing]
            assert busy
            with distributed.Client(cluster) as client:
                process = client.run(os.getpid, workers=[busy[0].address])[busy[0].address]
            os.kill(process, signal.SIGKILL)
            killed.append(process)
        return written

    return dying


@pytest.mark.parametrize("kind", STUDIES)
def test_a_worker_is_killed(kind: str, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was doing is done by another: the same bytes as in this process, every point measured once."""
    here, there = tmp_path / "here", tmp_path / "there"
    assert study(kind, here, "--jobs", 1).status == 0
    kept: list[dict[str, Any]] = []
    monkeypatch.setattr(Journal, "add", killer(cluster, kept, 1))
    done = study(kind, there, "--backend", "dask", "--scheduler", cluster.scheduler_address)
    assert (done.status, done.err) == (0, "")
    assert len(kept) == STUDIES[kind][2]
    assert (there / "results.json").read_bytes() == (here / "results.json").read_bytes()
