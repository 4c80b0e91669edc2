"""What hardware runs: images as codes, and the job that says what must come of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel.array import MacArray
from accel.cost import total_cycles, total_interval
from accel.program import Program
from reports.shared import notes
from reports.workflow.parsing import one_each, parse_array
from reports.workflow.sources import check_range, source_if_any
from rtl.emit import Job
from sim import golden


def jobs_of(
    paths: Sequence[Path],
    array: str,
    depths: Mapping[str, int] | None,
    images: int,
    data: Sequence[str],
    data_dir: str | None,
) -> tuple[list[Job], MacArray]:
    """Return a job for the Program in each file, and the one array that is just large enough for each of them.

    Parameters
    ----------
    paths : sequence of Path
    array : str
        Its lanes, as `parse_lanes` has them.
    depths : mapping, optional
        Of memories that are asked for.
    images : int
        Of each job.
    data : sequence of str
        Where images are: for all of them, or for each.
    data_dir : str or None
    """
    places = one_each(data, len(paths))
    programs = [Program.load(path) for path in paths]
    made = parse_array(array, programs, depths)
    found = zip(paths, programs, places, strict=True)
    return [job_of(one, made, codes_of(str(path), one, images, place, data_dir)) for path, one, place in found], made


def codes_of(name: str, program: Program, images: int, data: str | None, data_dir: str | None) -> NDArray[np.int64]:
    """Return the codes (images, C, H, W) of the first test images; random ones, said so, where there are none."""
    source = source_if_any(name, program, data, data_dir)
    if source is None:
        signal = program.input_signal.format
        notes.say(f"{name}: without images (--data) random ones are run (seed 0)")
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
