"""Where the time of a run goes: for each layer lowering, dot products and what follows them; packing; Python."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.network import INPUT
from sim.engine import Engine
from sim.kernels import roof
from sim.kernels.dots import LANES, LINE_BYTES, WORDS, Kind
from sim.packed.recipes import Buffers, MacStep
from sim.packed.tensors import aligned
from sim.plan import Plan

ROOF_ENTRIES, ROOF_RUNS = 64, 2000


@dataclass(frozen=True)
class LayerTime:
    """Microseconds for one image, and its multiply-accumulates; layers without weights have no parts."""

    name: str
    macs: int
    total: float
    lowering: float = 0.0
    dots: float = 0.0
    finishing: float = 0.0  # pooling, requantising, storing
    call: float = 0.0  # Python

    @property
    def gmacs(self) -> float:
        """Multiply-accumulates a second, in 10**9."""
        return self.macs / self.total / 1e3


@dataclass(frozen=True)
class Profile:
    """Microseconds for one image of a batch that fills one chunk, on one thread."""

    images: int
    total: float
    packing: float
    layers: tuple[LayerTime, ...]

    @property
    def rest(self) -> float:
        """What is in none of the parts: Python around them, and scores copied out."""
        return max(0.0, self.total - self.packing - sum(layer.total for layer in self.layers))


def profile(engine: Engine, images: NDArray[Any], rounds: int = 30) -> Profile:
    """Run the first chunk of `images` again and again, and each part of it alone; the fastest of `rounds` counts.

    Times are those of the processor, so that what else runs on the machine does not count.
    """
    blocks = engine.blocks(len(images), 1)
    plan, chunk = engine.plan(blocks, fused=True), images[: blocks * LANES]
    macs = engine.run(chunk, 1).macs
    with plan.buffers() as buffers:
        packing = _fastest(lambda: plan.pack(chunk, buffers), rounds) if INPUT in plan.stores.maps else 0.0
        layers = [_layer_time(plan, name, step, buffers, rounds) for name, step in plan.steps]
    scale = 1e6 / len(chunk)
    total = _fastest(lambda: engine.run(chunk, 1), rounds)
    times = tuple(LayerTime(name, macs.get(name, 0), *(seconds * scale for seconds in parts)) for name, parts in layers)
    return Profile(len(chunk), total * scale, packing * scale, times)


def _layer_time(plan: Plan, name: str, step: Any, buffers: Buffers, rounds: int) -> tuple[str, tuple[float, ...]]:
    """Return the seconds of a step and of its parts, buffers being those of a whole run."""
    total = _fastest(lambda: step(buffers), rounds)
    if not isinstance(step, MacStep):  # its parts would not have what they write to
        return name, (total,)
    unfinished, empty = step.unfinished(), step.empty()
    call = _fastest(lambda: empty(buffers), rounds)
    lowering = _fastest(lambda: step.lower(buffers), rounds) if step.lowering[1].size else 0.0
    dots = max(0.0, _fastest(lambda: unfinished(buffers), rounds) - lowering - call)
    step(buffers)  # what comes after reads it
    return name, (total, lowering, dots, max(0.0, total - lowering - dots - call), call)


def _fastest(run: Callable[[], Any], rounds: int) -> float:
    """Return the fewest seconds that a call took."""
    found = []
    for _ in range(rounds):
        start = time.thread_time()
        run()
        found.append(time.thread_time() - start)
    return min(found)


def peak(kind: Kind, rounds: int = 1000) -> float:
    """Return the multiply-accumulates a second, in 10**9, of a kernel's dot products alone on one thread.

    Its loop with everything in the first-level cache: no layer can be faster.
    """
    kernel = kind(4, False)
    places = np.arange(ROOF_ENTRIES, dtype=np.int64) * LINE_BYTES
    weights = np.zeros(ROOF_ENTRIES * 4 * WORDS[kind], np.uint32)
    x, bias, out = (
        aligned((ROOF_ENTRIES + 8, LANES), np.uint32),
        aligned((4,), np.int32),
        aligned((16, LANES), np.int32),
    )
    seconds = _fastest(lambda: roof.run(kernel, ROOF_RUNS, x, places, weights, bias, out), rounds)
    return ROOF_RUNS * ROOF_ENTRIES * 4 * 4 * 4 * LANES / seconds / 1e9
