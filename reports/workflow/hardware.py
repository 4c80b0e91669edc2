"""What hardware runs: images as codes, and the job that says what must come of them."""

import sys

import numpy as np
from numpy.typing import NDArray

from accel.array import MacArray
from accel.cost import total_cycles, total_interval
from accel.program import Program
from reports.workflow.sources import check_range, source_if_any
from rtl.emit import Job
from sim import golden


def codes_of(name: str, program: Program, images: int, data: str | None, data_dir: str | None) -> NDArray[np.int64]:
    """Return the codes (images, C, H, W) of the first test images; random ones, said so, where there are none."""
    source = source_if_any(name, program, data, data_dir)
    if source is None:
        signal = program.input_signal.format
        print(f"note: {name}: without images (--data) random ones are run (seed 0)", file=sys.stderr)
        shape = (images, *program.input_shape)
        return np.random.default_rng(0).integers(signal.min_code, signal.max_code, shape, endpoint=True)
    found = source.load("test", labelled=False)
    check_range(found, program, program.name)
    return program.input_signal.encode(found.take(images).pixels())


def job_of(
    program: Program, array: MacArray, codes: NDArray[np.int64], outputs: NDArray[np.int64] | None = None
) -> Job:
    """Return the job of running `codes` (images, C, H, W) on an array, with the outputs and the cycles to expect.

    The outputs are the golden model's, unless they are known already.
    """
    expected = golden.run(program, codes)[program.output] if outputs is None else outputs
    return Job(program, codes, expected, total_cycles(program, array), total_interval(program, array))
