"""Who measures: processes here, or those of a real Dask cluster; what is wrong with them is told in one line."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from support.calls import alive, deaf, ended, refused, slept, squared
from support.commandline import ROOT, complaint, environment, espalier

from accel.errors import EspalierError
from reports.shared import workers as module
from reports.shared.workers import workers

distributed = pytest.importorskip("distributed", reason="needs Dask (extra cluster)")

SMALL = ("explore", "digits", "--patterns", "kernel", "--weight-bits", "3,6", "--signal-bits", 4, "--arrays", "4x4,8x2")
ANY_PORT = "127.0.0.1:0"  # of a page that nobody looks at; the usual one may be taken
WORKER = "from distributed.cli.dask_worker import main; main()"
OTHER_RELEASE = (
    "import importlib.metadata as m; known = m.version; "
    "m.version = lambda name: '0.0.9' if name == 'espalier-hw' else known(name)"
)
NO_ESPALIER = "import sys; sys.modules['reports'] = None"  # importing it fails as if it were not there


class TestLoky:
    @pytest.mark.parametrize("jobs", [1, 2])
    def test_results(self, jobs: int) -> None:
        """Every call's result comes with its number, in any order; one job is this very process."""
        with workers("loky", jobs, None) as run:
            found = dict(run(squared, [(n,) for n in range(6)]))
        assert {number: square for number, (square, _) in found.items()} == {n: n**2 for n in range(6)}
        processes = {process for _, process in found.values()}
        assert (processes == {os.getpid()}) == (jobs == 1)

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_interrupts_are_for_the_command(self, jobs: int) -> None:
        """Workers do not hear Ctrl-C, not even while they start; this process does, which is the negative control."""
        with workers("loky", jobs, None) as run:
            assert {found for _, found in run(deaf, [(n,) for n in range(4)])} == {jobs > 1}

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_errors(self, jobs: int) -> None:
        """What a worker says is wrong is what the command says."""
        with workers("loky", jobs, None) as run, pytest.raises(EspalierError, match=r"^no 3 here$"):
            list(run(refused, [(3,)]))

    def test_a_worker_dies(self) -> None:
        """A worker that is gone is told in one line."""
        with workers("loky", 2, None) as run, pytest.raises(EspalierError, match="a worker was lost"):
            list(run(ended, [(n,) for n in range(2)]))

    def test_no_orphans(self, tmp_path: Path) -> None:
        """Killed, the command takes its workers along: they would otherwise wait for work for minutes."""
        script = tmp_path / "endless.py"
        script.write_text(
            "import os, sys, time\n"
            "from reports.shared.workers import workers\n"
            "if __name__ == '__main__':\n"
            "    from support.calls import squared\n"
            "    with workers('loky', 2, None) as run:\n"
            "        for n, (_, process) in run(squared, ((n,) for n in range(10**6))):\n"
            "            print(process, flush=True)\n"
        )
        env = environment(PYTHONPATH=os.pathsep.join(map(str, (ROOT, ROOT / "tests"))))
        with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=env) as process:
            assert process.stdout is not None
            seen = {int(process.stdout.readline()) for _ in range(20)}
            process.send_signal(signal.SIGKILL)
            process.stdout.close()
        assert process.pid not in seen
        deadline = time.monotonic() + 20
        while any(alive(worker) for worker in seen) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(alive(worker) for worker in seen)

    def test_no_more_than_processors(self) -> None:
        """A thousand jobs are as many processes as there are processors."""
        with workers("loky", 1000, None) as run:
            processes = {process for _, (_, process) in run(squared, [(n,) for n in range(40)])}
        assert 1 <= len(processes) <= len(os.sched_getaffinity(0))

    @pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
    def test_none_is_left_that_had_no_work_yet(self, tmp_path: Path, by: signal.Signals) -> None:
        """Workers end with the command also before their first call; Ctrl-C, which all of them get, is one line."""
        script = tmp_path / "early.py"
        script.write_text(
            "import espalier.__main__, reports.shell\n"
            "from reports.shared.workers import workers\n"
            "from time import sleep\n"
            "def run():\n"
            "    with workers('loky', 2, None) as go:\n"
            "        for _ in go(sleep, [(600,)] * 2): pass\n"
            "if __name__ == '__main__':\n"
            "    reports.shell.run = run\n"
            "    espalier.__main__.main()\n"
        )
        with subprocess.Popen(
            [sys.executable, script], stderr=subprocess.PIPE, text=True, env=environment(), process_group=0
        ) as process:
            deadline = time.monotonic() + 60
            while len(children := children_of(process.pid)) < 4 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert len(children) >= 4  # two workers, and the two that watch over their memory
            os.killpg(process.pid, by) if by == signal.SIGINT else process.send_signal(by)
            deadline = time.monotonic() + 60
            while any(alive(worker) for worker in children) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert not any(alive(worker) for worker in children)
            assert process.stderr is not None
            if by == signal.SIGINT:
                assert process.stderr.read() == "espalier: interrupted\n"
        assert process.returncode == (130 if by == signal.SIGINT else -by)


@pytest.mark.parametrize("interrupted", [True, False])
def test_a_thread_that_fails_when_it_is_interrupted(tmp_path: Path, interrupted: bool) -> None:
    """Nothing is said of it beside the one line; where nobody interrupted, Python tells what it raised."""
    script = tmp_path / "threads.py"
    script.write_text(
        "import espalier.__main__, os, reports.shell, signal, threading\n"
        "def fail():\n"
        "    raise OSError('the queue is gone')\n"
        "def run():\n"
        "    try:\n"
        f"        if {interrupted}: os.kill(os.getpid(), signal.SIGINT)\n"
        "    finally:\n"
        "        thread = threading.Thread(target=fail)\n"
        "        thread.start()\n"
        "        thread.join()\n"
        "reports.shell.run = run\n"
        "espalier.__main__.main()\n"
    )
    command = [sys.executable, script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60, check=False)
    assert ("the queue is gone" in done.stderr) == (not interrupted)
    assert (done.stderr == "espalier: interrupted\n", done.returncode) == (interrupted, 130 if interrupted else 0)


def children_of(process: int) -> list[int]:
    """Return the processes that a process has started."""
    try:
        return [*map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())]
    except FileNotFoundError:
        return []


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Return the address of a cluster of two processes."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=ANY_PORT, silence_logs=50
    ) as running:
        yield running.scheduler_address


@contextmanager
def cluster_of_one(before: str) -> Iterator[str]:
    """Give the address of a cluster of one worker, in whose process the statements `before` run first."""
    with distributed.LocalCluster(n_workers=0, processes=True, dashboard_address=ANY_PORT, silence_logs=50) as running:
        words = [sys.executable, "-c", f"{before}\n{WORKER}", running.scheduler_address, "--no-nanny", "--no-dashboard"]
        with subprocess.Popen([*words, "--nthreads", "1"], stderr=subprocess.DEVNULL, env=environment()) as worker:
            try:
                deadline = time.monotonic() + 60
                while not running.scheduler.workers and time.monotonic() < deadline:
                    time.sleep(0.05)
                yield running.scheduler_address
            finally:
                worker.kill()


class TestDask:
    @pytest.mark.slow
    def test_the_same_results(self, cluster: str, tmp_path: Path) -> None:
        """A study on a cluster gives the bytes that one on this machine gives; its workers are other processes."""
        here, there = tmp_path / "here", tmp_path / "there"
        done = espalier(*SMALL, "--jobs", 1, "--out", here)
        assert (done.status, done.err) == (0, "")
        done = espalier(*SMALL, "--backend", "dask", "--scheduler", cluster, "--out", there, "--cache", there)
        assert (done.status, done.err) == (0, "")
        assert "0 results were there, 8 were made" in done.out  # 2 versions x (2 widths + float), 2 on test images
        assert (there / "results.json").read_bytes() == (here / "results.json").read_bytes()

    def test_processes(self, cluster: str) -> None:
        """Both workers of a cluster work, and neither is this process."""
        with workers("dask", None, cluster) as run:
            processes = {process for _, (_, process) in run(squared, [(n,) for n in range(40)])}
        assert len(processes) == 2
        assert os.getpid() not in processes

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_at_a_time(self, cluster: str, jobs: int) -> None:
        """No more calls are at work than are asked for, whatever the cluster could do."""
        with workers("dask", jobs, cluster) as run:
            times = sorted(time for _, time in run(slept, [(0.1,)] * 4))
        alone = all(end <= start for (_, end), (start, _) in pairwise(times))
        assert alone == (jobs == 1)

    def test_errors(self, cluster: str) -> None:
        """What a worker says is wrong is what the command says."""
        with workers("dask", None, cluster) as run, pytest.raises(EspalierError, match="no 3 here"):
            list(run(refused, [(3,)]))


class TestNoCluster:
    def test_nobody_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A port where nobody listens."""
        monkeypatch.setattr(module, "CONNECT_SECONDS", 0.5)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        line = complaint(*SMALL, "--backend", "dask", "--scheduler", address, "--out", tmp_path)
        assert line.startswith(f"--scheduler {address}: no Dask scheduler answers there: ")

    def test_somebody_else(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A port where something listens that says nothing."""
        monkeypatch.setattr(module, "CONNECT_SECONDS", 0.5)
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
            line = complaint(*SMALL, "--backend", "dask", "--scheduler", address, "--out", tmp_path)
        assert line.startswith(f"--scheduler {address}: no Dask scheduler answers there: ")

    @pytest.mark.parametrize("address", ["nonsense", "http://127.0.0.1:1", "tcp://", ""])
    def test_no_address(self, tmp_path: Path, address: str) -> None:
        """Words that are no address."""
        line = complaint(*SMALL, "--backend", "dask", "--scheduler", address, "--out", tmp_path)
        assert line.startswith(f"--scheduler {address}: no Dask scheduler answers there: ")

    @pytest.mark.parametrize("words", [("--backend", "dask"), ("--scheduler", "tcp://127.0.0.1:1")])
    def test_both_or_neither(self, tmp_path: Path, words: tuple[str, ...]) -> None:
        """A cluster is named and asked for."""
        assert "--backend dask --scheduler tcp://10.0.0.1:8786" in complaint(*SMALL, *words, "--out", tmp_path)

    def test_no_workers(self, tmp_path: Path) -> None:
        """A scheduler without workers would wait for ever."""
        with distributed.LocalCluster(n_workers=0, dashboard_address=ANY_PORT, silence_logs=50) as running:
            address = running.scheduler_address
            line = complaint(*SMALL, "--backend", "dask", "--scheduler", address, "--out", tmp_path)
        assert line == f"--scheduler {address}: has no workers; start some with `dask worker {address}`"

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("before", "words"),
        [(OTHER_RELEASE, "has Espalier 0.0.9, this is "), (NO_ESPALIER, "its workers cannot run Espalier: ")],
        ids=["another release", "none"],
    )
    def test_other_workers(self, tmp_path: Path, before: str, words: str) -> None:
        """Workers that have another release of Espalier, or none."""
        with cluster_of_one(before) as address:
            line = complaint(*SMALL, "--backend", "dask", "--scheduler", address, "--out", tmp_path)
        assert line.startswith(f"--scheduler {address}: ")
        assert words in line
