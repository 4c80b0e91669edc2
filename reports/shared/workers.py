"""Who measures: this process, processes beside it, or a Dask cluster; each worker does one call at a time."""

import asyncio
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import Any

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import BrokenProcessPool

from accel.errors import EspalierError
from accel.interchange.data.datasets import check_choice
from reports.shared import progress
from reports.shared.release import release

LOKY, DASK = "loky", "dask"
BACKENDS = (LOKY, DASK)
CONNECT_SECONDS = 5
WATCH_SECONDS = 0.5
Calls = Sequence[tuple[Any, ...]]
Run = Callable[[Callable[..., Any], Calls], Iterator[tuple[int, Any]]]
"""From a function and the arguments of each call to (number of the call, result), as they come."""
_one_at_a_time = threading.Lock()
# of joblib, when a command is interrupted: its user knows
warnings.filterwarnings("ignore", r"\d+ tasks which were still being processed", UserWarning)


@contextmanager
def workers(backend: str, jobs: int | None, scheduler: str | None) -> Iterator[Run]:
    """Give the function that has calls done by workers.

    Parameters
    ----------
    backend : {"loky", "dask"}
        Processes of this machine, or of a cluster.
    jobs : int or None
        How many at a time; all processors, or all workers that the cluster has at the start, by default, and never more
        processes than processors. 1 of loky is this process.
    scheduler : str or None
        The address of a cluster, such as ``tcp://10.0.0.1:8786``.

    Raises
    ------
    EspalierError
        `check_backend` raises it, nothing answers at the address within `CONNECT_SECONDS`, or its workers have no
        Espalier of this release.

    Notes
    -----
    A worker of a cluster that is lost is replaced: what it had not told is done by another one, until a call has taken
    more workers with it than Dask allows (``distributed.scheduler.allowed-failures``). Those here are not.
    """
    check_backend(backend, scheduler)
    lost: tuple[type[BaseException], ...] = ()  # what is raised where a worker is gone
    ahead: int | str = "2 * n_jobs"  # calls that are not done and yet given away, so that nobody waits
    with ExitStack() as stack:
        if scheduler is None:
            settings: dict[str, Any] = {"backend": LOKY, "n_jobs": _at_once(jobs), "inner_max_num_threads": 1}
            settings |= {"initializer": _end_with, "initargs": (os.getpid(),)}
        else:
            lost = stack.enter_context(_cluster(scheduler))
            settings, ahead = {"backend": DASK}, jobs or ahead  # joblib takes all the workers that there are

        def run(function: Callable[..., Any], calls: Calls) -> Iterator[tuple[int, Any]]:
            tasks = (delayed(_numbered)(number, function, call) for number, call in enumerate(calls))
            try:
                with parallel_config(**settings):
                    with _without_interrupts():
                        results = Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch=ahead)(tasks)
                    yield from results
            except (BrokenProcessPool, *lost) as error:
                raise EspalierError(
                    "a worker was lost, perhaps for want of memory; what it had not finished is done when the same "
                    "command runs again, and --jobs says how many work"
                ) from error

        yield run


def check_backend(backend: str, scheduler: str | None) -> None:
    """Raise an EspalierError if there is no such backend, or a cluster is asked for and not named, or named alone."""
    check_choice("backend", backend, BACKENDS)
    if (backend == DASK) != (scheduler is not None):
        wanted = "--backend dask needs --scheduler" if backend == DASK else "--scheduler needs --backend dask"
        raise EspalierError(f"{wanted}, such as --backend dask --scheduler tcp://10.0.0.1:8786")


def _numbered(number: int, function: Callable[..., Any], call: tuple[Any, ...]) -> tuple[int, Any]:
    """Return the number of a call and its result, one call of a process after another.

    How many threads a product of matrices has is a fact of the whole process, and the last bit of sums depends on it;
    a Dask worker may have threads for several calls.
    """
    with _one_at_a_time, progress.quiet():
        return number, function(*call)


def _end_with(command: int) -> None:
    """See to it that this worker ends soon after the command: loky's would wait for minutes if that was killed."""

    def watch() -> None:
        while os.getppid() == command:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Let processes that are started in the block not hear Ctrl-C, which is for the command: it ends them.

    The one that cleans up after it has nothing to say of what it found: it is given an option of Python's for that.
    """
    sys.warnoptions.append("ignore:resource_tracker")
    resource_tracker.ensure_running()  # now: Python's own, begun in the block, would leave Ctrl-C to those after it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        sys.warnoptions.remove("ignore:resource_tracker")


def _at_once(jobs: int | None) -> int:
    """Return how many processes work: more than there are processors would only take each other's memory."""
    return min(jobs or _processors(), _processors())


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _cluster(scheduler: str) -> Iterator[tuple[type[BaseException], ...]]:
    try:
        import distributed
    except ImportError as error:
        raise EspalierError('--backend dask needs Dask: pip install "espalier-hw[cluster]"') from error
    found = _identity(scheduler)
    if not found["workers"]:
        raise EspalierError(f"--scheduler {scheduler}: has no workers; start some with `dask worker {scheduler}`")
    with distributed.Client(scheduler, timeout=CONNECT_SECONDS) as client:
        mine = release()
        try:
            theirs = client.run(release)
        except Exception as error:  # whatever a worker stumbles over that cannot import us
            raise EspalierError(f"--scheduler {scheduler}: its workers cannot run Espalier: {error}") from error
        for worker, version in theirs.items():
            if version != mine:
                raise EspalierError(f"--scheduler {scheduler}: {worker} has Espalier {version}, this is {mine}")
        yield distributed.scheduler.KilledWorker, distributed.CancelledError, distributed.comm.CommClosedError


def _identity(scheduler: str) -> dict[str, Any]:
    """Return what a scheduler says of itself: by a connection of our own, because a failed Client complains."""
    from distributed import rpc

    async def ask() -> dict[str, Any]:
        async with rpc(scheduler, timeout=CONNECT_SECONDS) as peer:
            return dict(await peer.identity())

    async def ask_in_time() -> dict[str, Any]:
        return await asyncio.wait_for(ask(), CONNECT_SECONDS + 1)

    try:
        return asyncio.run(ask_in_time())
    except Exception as error:  # whatever else listens there may answer anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise EspalierError(f"--scheduler {scheduler}: no Dask scheduler answers there: {reason}") from error
