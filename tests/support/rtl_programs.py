"""Programs for the hardware, layer by layer, and the comparison of what it gives with golden and the closed form."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from accel.array import MacArray
from accel.cost import total_cycles
from accel.encoding import encodings
from accel.program import Program
from accel.program_layers import AddLayer, AvgPoolLayer, MacLayer
from accel.signal import Requantize, Signal, sum_bits
from accel.sparsity import Mask, parse_pattern
from accel.window import Window
from rtl import simulate as simulation
from rtl.assemble import assemble
from rtl.image import Image
from rtl.simulate import Run, simulate
from sim import golden
from support.programs import Codes, mac_layer, signal

SIZES = {"signal_words": 1024, "weight_words": 512, "list_entries": 128, "taps": 128, "constants": 64, "layers": 16}
ARRAY = MacArray(4, 4, **SIZES)
SIGNED = signal(6)


def images_of(rng: np.random.Generator, of: Program, count: int = 2) -> Codes:
    """Return images of any codes that the input may have."""
    form = of.input_signal.format
    return rng.integers(form.min_code, form.max_code, (count, *of.input_shape), endpoint=True)


def difference(of: Program, images: Codes, runs: list[Run], array: MacArray = ARRAY) -> str | None:
    """Return how `runs` differ from golden's codes or the closed form's cycles, or None."""
    expected = golden.run(of, images)[of.output]
    if len(runs) != len(expected):
        return f"{len(runs)} runs of {len(expected)} images"
    for index, (run, codes) in enumerate(zip(runs, expected, strict=True)):
        if run.codes.shape != codes.shape or (run.codes != codes).any():
            return f"image {index}: {run.codes.tolist()}, expected {codes.tolist()}"
        if run.cycles - run.stalls != total_cycles(of, array):
            return f"image {index}: {run.cycles} cycles - {run.stalls} stalls, expected {total_cycles(of, array)}"
    return None


def check(of: Program, images: Codes, array: MacArray = ARRAY, **how: Any) -> list[Run]:
    """Simulate; raise AssertionError unless every code and the cycles are as they must be; return the runs."""
    runs = simulate(of, array, images, **how)
    assert difference(of, images, runs, array) is None
    return runs


def corrupting(patch: pytest.MonkeyPatch, corrupt: Callable[[Image], None]) -> None:
    """Let `simulate` load what `corrupt` has changed in the contents of the memories."""

    def corrupted(*arguments: Any) -> Image:
        image = assemble(*arguments)
        corrupt(image)
        return image

    patch.setattr(simulation, "assemble", corrupted)


def mask(pattern: str, shape: tuple[int, int, int]) -> Mask:
    """Return a mask of `pattern` in which lists differ from map to map and from output to output."""
    outputs, maps, taps = shape
    m, c, t = np.ogrid[:outputs, :maps, :taps]
    columns = maps * taps
    block = int(pattern[6:]) if pattern.startswith("block-") else 1
    blocks = (np.arange(outputs)[:, None] // block + np.arange(columns)[None, :] // block) % 3 != 1
    kernels, strided = (m + c) % 3 > 0, (t >= c % 2) & ((t - c % 2) % (c % 3 + 2) == 0)
    masks = {
        "kernel": kernels,
        "ikss": strided,
        "ikss-rest": ~strided,
        "kernel+ikss": kernels & strided,
        "irregular": (3 * m + 5 * c + t * t) % 4 < 2,
        "2:4": ((np.arange(columns) // 2 + np.arange(outputs)[:, None]) % 2 == 0).reshape(shape),
        "block-2": blocks.reshape(shape),
        "block-3": blocks.reshape(shape),
    }
    kept = np.broadcast_to(masks.get(pattern, True), shape).copy()
    if pattern == "2:4":  # the first two of a last run that is short
        kept.reshape(outputs, -1)[:, columns - columns % 4 :] = np.arange(columns % 4) < 2
    return kept


def mac(
    rng: np.random.Generator,
    name: str,
    source: str,
    shape: tuple[int, int, int],
    reads: Signal,
    *,
    window: Window | None = None,
    pattern: str = "dense",
    output: Signal | None = None,
    multipliers: int = 1,
    **more: Any,
) -> MacLayer:
    """Return a layer of random weights, 5 bits by default, and biases; with `output`, some codes saturate."""
    kept, weight_bits = more.pop("kept", mask(pattern, shape)), more.pop("weight_bits", 5)
    highest = (1 << (weight_bits - 1)) - 1
    weights, bias = rng.integers(-highest, highest + 1, shape), rng.integers(-99, 100, shape[0])
    words = {"window": window, "kept": kept, "pattern": pattern, "bias": bias, "weight_bits": weight_bits, **more}
    words["encoding"] = encodings(parse_pattern(pattern))[-1].name
    layer = mac_layer(name, source, weights, reads, **words)
    if output is None:
        return layer
    chosen = rng.integers(1 << 7, 1 << 8, multipliers)
    needless = layer.accumulator_bits + 8 - output.bits  # bits that cannot matter if every sum is the largest
    words |= {"output": output, "requantize": Requantize(chosen, max(0, needless - 3))}
    return mac_layer(name, source, weights, reads, **words)


def avg(name: str, source: str, window: Window, reads: Signal, output: Signal, relu: bool = False) -> AvgPoolLayer:
    """Return an average over `window`, its divisor as a multiplier over 2**10."""
    multiplier = Requantize([(1 << 10) // window.taps], 10)
    bits = sum_bits([window.taps], [reads.format])
    return AvgPoolLayer(name, (source,), window, bits, relu, multiplier, output)


def add(
    name: str,
    sources: tuple[str, str],
    weights: tuple[int, int],
    reads: tuple[Signal, Signal],
    output: Signal,
    relu: bool = False,
) -> AddLayer:
    """Return the sum of two tensors times `weights`, requantised so that some codes saturate."""
    bits = sum_bits(weights, [read.format for read in reads])
    return AddLayer(name, sources, weights, bits, relu, Requantize([3], max(0, bits - output.bits)), output)
