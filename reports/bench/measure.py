"""Running `espalier bench`: every contender in turn, round by round, in one process on the same images."""

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.cost import cost_of
from accel.network import Network
from accel.program import Program
from reports.bench import peers
from reports.bench.networks import PRUNINGS, lowered, pruned_network, random_images, random_network
from reports.bench.results import DENSE, ENGINE, RIVAL, Measured, NetworkResult
from reports.bench.start import start
from reports.shared.progress import Bar, bar
from sim import golden
from sim.engine import Engine, compile_program
from sim.profile import profile

Run = Callable[[], Any]
IMAGES = {"lenet5": 8192, "cifar-quick": 2048, "cnn-small": 256}
GOLDEN = "numpy golden"
GOLDEN_IMAGES = {"lenet5": 64, "cifar-quick": 16, "cnn-small": 2}  # it takes seconds for an image
BATCHES = (16, 64, 256, 1024)
TRIES = 3  # of each batch size
NARROWER = "feature-map"  # the pattern whose network is smaller for everybody
PROFILED = (DENSE, "feature-map", "ikss", "kernel", "block-4")


@dataclass(frozen=True)
class Contender:
    """What is run: `run` runs all `images` once."""

    runtime: str
    pattern: str
    density: float
    threads: int
    batch: int
    images: int
    run: Run


def measure(name: str, threads: Sequence[int], with_peers: bool, rounds: int) -> NetworkResult:
    """Measure one network.

    Parameters
    ----------
    name : str
        One of `NETWORKS`.
    threads : sequence of int
    with_peers : bool
        Run other people's runtimes too.
    rounds : int
        How often each contender runs; medians count.
    """
    dense = random_network(name)
    images = random_images(dense.network.input_shape, IMAGES[name])
    programs = {x.label: lowered(pruned_network(dense, x), images) for x in PRUNINGS}
    engines = {label: compile_program(program) for label, program in programs.items()}
    macs = {label: cost_of(program).total.macs for label, program in programs.items()}
    contenders = [x for n in threads for x in _engines(engines, macs, images, n)]
    contenders.append(_golden(programs[DENSE], images[: GOLDEN_IMAGES[name]]))
    if with_peers:
        narrower = pruned_network(dense, next(x for x in PRUNINGS if x.label == NARROWER)).network
        for n in threads:
            for label, network in ((DENSE, dense.network), (NARROWER, narrower)):
                contenders += _peers(network, label, macs[label] / macs[DENSE], images, n)
    with bar(name, rounds * len(contenders)) as progress:
        entries = _interleaved(contenders, rounds, progress)
    profiles = {label: asdict(profile(engines[label], images)) for label in PROFILED}
    return NetworkResult(name, macs[DENSE], entries, profiles, start(programs[DENSE]))


def _engines(
    engines: dict[str, Engine], macs: dict[str, int], images: NDArray[np.uint8], threads: int
) -> list[Contender]:
    """Return the engine on each pruned version of a network."""
    count = len(images)
    return [
        Contender(ENGINE, label, macs[label] / macs[DENSE], threads, count, count, partial(engine.run, images, threads))
        for label, engine in engines.items()
    ]


def _golden(program: Program, images: NDArray[np.uint8]) -> Contender:
    """Return the golden model on a few images."""
    return Contender(GOLDEN, DENSE, 1.0, 1, len(images), len(images), lambda: golden.run(program, images))


def _peers(network: Network, label: str, density: float, images: NDArray[np.uint8], threads: int) -> list[Contender]:
    """Return other people's runtimes, each with the batch size that it runs fastest with."""
    network = peers.connected(network)
    model = peers.onnx_model(network)
    models = {f"{RIVAL} float32": model}
    for form in peers.FORMATS:
        models[f"{RIVAL} int8 {form}"] = peers.quantized_model(model, images, form)
    makers: dict[str, Callable[[int], Run]] = {
        runtime: partial(peers.onnxruntime_run, data, images, threads) for runtime, data in models.items()
    }
    if label == DENSE:
        makers["torch float32"] = partial(peers.torch_run, network, images, threads)
    found = []
    for runtime, make in makers.items():
        runs = {batch: make(batch) for batch in BATCHES if batch <= len(images)}
        tried = {batch: min(_seconds(run, threads) for _ in range(TRIES)) for batch, run in runs.items()}
        batch = min(tried, key=tried.__getitem__)
        found.append(Contender(runtime, label, density, threads, batch, len(images), runs[batch]))
    return found


def _interleaved(contenders: Sequence[Contender], rounds: int, progress: Bar) -> list[Measured]:
    """Run every contender once a round, after a run that nobody counts."""
    seconds: list[list[float]] = [[] for _ in contenders]
    for contender in contenders:
        contender.run()
    for _ in range(rounds):
        for found, contender in zip(seconds, contenders, strict=True):
            found.append(_seconds(contender.run, contender.threads))
            progress.advance(f"{contender.runtime} {contender.pattern}")
    return [
        Measured(x.runtime, x.pattern, x.density, x.threads, x.batch, x.images, found)
        for x, found in zip(contenders, seconds, strict=True)
    ]


def _seconds(run: Run, threads: int) -> float:
    """Return how long a run takes: on one thread the time that the processor gave it, what else ran not counted."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    start = clock()
    run()
    return clock() - start


def machine() -> dict[str, str]:
    """Return the machine and the versions of what was compared, in words."""
    names = ("numba", "numpy", "onnxruntime", "torch")
    return {"processor": _processor(), "processors": str(os.cpu_count()), "python": platform.python_version()} | {
        name: found for name in names if (found := _version(name))
    }


def _processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(part.split(":", 1) for part in lines if ":" in part)
    named = {key.strip(): value.strip() for key, value in fields.items()}
    family = "/".join(named.get(key, "?") for key in ("cpu family", "model"))
    return f"{named.get('model name', platform.machine())}, family/model {family}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
