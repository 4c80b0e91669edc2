"""The engine: a Program prepared once, then run over whole data sets, bit for bit what `sim.golden` gives.

`compile_program` lays out each layer for the processor's best kernel (`sim.plan`). `Engine.run` takes the images in
chunks of whole blocks of `LANES`, side by side in memory, and threads share the chunks, so that the result is the same
for any number of threads and any kernel.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accel.errors import EspalierError
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import MacLayer
from sim.instructions import Choice, choose
from sim.kernels.dots import LANES
from sim.packed import recipes
from sim.packed.recipes import Listed
from sim.plan import Plan, planes_of
from sim.stores import Stores

Codes = NDArray[Any]
FEWEST_BLOCKS, MOST_BLOCKS = 4, 64  # of a chunk: fewer do not fill the tiles of fully connected layers
CHUNK_BYTES = 1 << 25  # that all tensors of a chunk may take: with less, threads wait for Python too often
LARGEST_CHUNK = 1 << 27  # for the sake of `FEWEST_BLOCKS`
PACKED_TYPES = (np.uint8, np.int8, np.int16, np.int64)  # of input codes that are packed as they come


@dataclass(frozen=True)
class Result:
    """What a run gives.

    Parameters
    ----------
    codes : int64 array (images, ...)
        The output of the last layer: the class scores.
    macs : dict of str to int
        Multiply-accumulates executed for one image, counted as they ran, by layer.
    tensors : dict of str to int64 array (images, ...)
        Every tensor, if they were asked for.
    """

    codes: NDArray[np.int64]
    macs: dict[str, int]
    tensors: dict[str, NDArray[np.int64]]

    @property
    def predictions(self) -> NDArray[np.int64]:
        """The class with the highest score for each image; the first of those that tie."""
        return self.codes.argmax(axis=1)


class Engine:
    """A compiled Program. Make one with `compile_program`."""

    def __init__(self, program: Program, choice: Choice) -> None:
        self.program, self.choice = program, choice
        self._stores, self._lock = Stores(program), Lock()
        self._listed: dict[str, Listed] = {}
        self._plans: dict[tuple[int, bool], Plan] = {}
        block_bytes = self._stores.block_bytes
        fitting = max(CHUNK_BYTES // block_bytes, min(FEWEST_BLOCKS, LARGEST_CHUNK // block_bytes), 1)
        self._most_blocks = min(MOST_BLOCKS, 1 << fitting.bit_length() - 1)

    def run(self, codes: ArrayLike, threads: int | None = None, keep_tensors: bool = False) -> Result:
        """Run the Program on a batch.

        Parameters
        ----------
        codes : int array (images, maps, height, width)
            Codes of the input signal. Those that come as bytes are not copied.
        threads : int, optional
            All processors by default.
        keep_tensors : bool
            Keep every layer's output, not only the last.

        Raises
        ------
        EspalierError
            The codes do not fit the Program's input, or `threads` is less than one.
        """
        images = self._checked(codes)
        threads = (os.cpu_count() or 1) if threads is None else threads
        if threads < 1:
            raise EspalierError(f"threads must be at least 1, got {threads}")
        kept = [*self.program.shapes] if keep_tensors else [self.program.output]
        results = {name: np.empty((len(images), *self.program.shapes[name]), np.int64) for name in kept}
        plan = self.plan(self.blocks(len(images), threads), fused=not keep_tensors)
        lanes = plan.blocks * LANES
        chunks = [slice(i, i + lanes) for i in range(0, len(images), lanes)]
        if min(threads, len(chunks)) < 2:
            counts = [_run_chunk(plan, images[chunk], chunk, results) for chunk in chunks]
        else:
            with ThreadPoolExecutor(threads) as pool:
                counts = list(pool.map(lambda chunk: _run_chunk(plan, images[chunk], chunk, results), chunks))
        if None in counts:
            self.program.check_codes(codes)  # says which code does not fit
        macs = counts[0] if counts else None
        macs = macs or {layer.name: 0 for layer in self.program.mac_layers}
        return Result(results[self.program.output], macs, results if keep_tensors else {})

    def error_rate(self, codes: ArrayLike, labels: ArrayLike, threads: int | None = None) -> float:
        """Return the share of images whose prediction is not their label (0..1)."""
        expected = np.asarray(labels)
        predictions = self.run(codes, threads).predictions
        if expected.shape != predictions.shape or not len(expected):
            raise EspalierError(f"expected one label for each of {len(predictions)} images, got {expected.shape}")
        return float(np.count_nonzero(predictions != expected) / len(expected))

    def plan(self, blocks: int, fused: bool) -> Plan:
        """Return the steps for chunks of so many blocks; they are laid out when they are first asked for."""
        with self._lock:
            if (blocks, fused) not in self._plans:
                self._plans[blocks, fused] = Plan(self._stores, self.choice.kernel, blocks, fused, self._lists)
            return self._plans[blocks, fused]

    def _lists(self, layer: MacLayer) -> Listed:
        """Return a layer's lists, which are found once for all plans."""
        if layer.name not in self._listed:
            stores = self._stores.packed
            of = stores[layer.inputs[0]], stores.get(layer.name)
            self._listed[layer.name] = recipes.listed(layer, self.choice.kernel, *of, self._most_blocks)
        return self._listed[layer.name]

    def blocks(self, images: int, threads: int) -> int:
        """Return the blocks of a chunk: not more than every thread gets of the batch, and a power of two."""
        share = -(-images // (LANES * threads))
        return min(self._most_blocks, 1 << max(share - 1, 0).bit_length())

    def _checked(self, codes: ArrayLike) -> Codes:
        """Return codes that fit the Program; those that are packed are checked on the way."""
        images = np.asarray(codes)
        packed_as_they_are = INPUT in self._stores.maps and images.dtype in PACKED_TYPES
        if packed_as_they_are and images.shape[1:] == self.program.input_shape:
            return images
        return self.program.check_codes(codes)


def _run_chunk(plan: Plan, images: Codes, chunk: slice, results: dict[str, Codes]) -> dict[str, int] | None:
    """Run some images, write what is asked for into `results`, return the MACs for one image.

    None: a code is outside the input's range, and nothing was run.
    """
    with plan.buffers() as buffers:
        if INPUT in plan.stores.maps:
            if not plan.pack(np.ascontiguousarray(images), buffers):
                return None
        else:
            buffers[planes_of(INPUT)] = plan.padded(images)
        counts = {name: step(buffers) for name, step in plan.steps}
        for name, result in results.items():
            result[chunk] = np.moveaxis(plan.planes(name, buffers), -1, 0)[: len(images)]
        return {layer.name: counts[layer.name] for layer in plan.program.mac_layers}


def compile_program(program: Program, kernel: str | None = None) -> Engine:
    """Prepare `program` for running; kernels are compiled by numba at their first use and cached on disk.

    Parameters
    ----------
    kernel : str, optional
        One of `sim.instructions.KERNELS`, all of which give the same codes; by default the fastest on this processor.

    Raises
    ------
    EspalierError
        There is no such kernel, or this processor cannot run it.
    """
    return Engine(program, choose(kernel))
