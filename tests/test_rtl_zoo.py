"""The zoo's networks in Verilator: every version, whole networks, one build; the small ones at several widths.

``ESPALIER_RTL_IMAGES=100 pytest -s tests/test_rtl_zoo.py`` runs 100 images of the digits and 25 of the others' for each
pattern and width, and prints the totals.
"""

import os
import shutil
import time

import numpy as np
import pytest
from support.rtl_builds import Build, write

from accel.array import MacArray
from accel.cost import estimate
from accel.cost.cycles import total_cycles
from accel.cost.stalls import total_interval
from accel.interchange import zoo
from accel.interchange.data import datasets
from accel.quantize import Widths, lower
from rtl import simulators
from rtl.emit import Job
from sim import golden
from sim.engine import compile_program

MISSING = [tool for tool in ("verilator",) if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs Debian's packages {', '.join(MISSING)}")

SIZES = {  # of the largest, beside those of any
    "signal_words": 1 << 17,
    "weight_words": 1 << 16,
    "list_entries": 1 << 14,
    "layers": 64,
}
ARRAY = MacArray(output_lanes=8, pixel_lanes=8, **SIZES)
WEIGHT_BITS = {"digits": (3, 4, 8), "lenet5": (3, 4, 8)}  # of the others 8
DIGITS_IMAGES = int(os.environ.get("ESPALIER_RTL_IMAGES", "4"))
OTHER_IMAGES = max(1, DIGITS_IMAGES // 4)


def images_of(network: str) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels to calibrate with and pixels to run; random ones of networks whose data set is not shipped."""
    if network == "digits":
        train, test = datasets.load("digits", "train"), datasets.load("digits", "test")
        return train.take(128).pixels(), test.take(DIGITS_IMAGES).pixels()
    rng = np.random.default_rng(0)
    shape = zoo.load(network).network.input_shape
    return rng.random((16, *shape), np.float32), rng.random((OTHER_IMAGES, *shape), np.float32)


def jobs_of(network: str) -> list[Job]:
    """Return every pattern of a zoo network at its widths of weights, with 8-bit signals."""
    calibration, images = images_of(network)
    jobs = []
    for pattern in zoo.patterns(network):
        for bits in WEIGHT_BITS.get(network, (8,)):
            program = lower(zoo.load(network, pattern), Widths(bits, 8), calibration)
            codes = program.input_signal.encode(images)
            outputs = compile_program(program).run(codes).codes
            assert np.array_equal(outputs[:1], golden.run(program, codes[:1])[program.output])
            cycles = estimate(program, ARRAY).cycles
            assert cycles == total_cycles(program, ARRAY)
            jobs.append(Job(program, codes, outputs, cycles, total_interval(program, ARRAY)))
    return jobs


@pytest.fixture(scope="module")
def build(tmp_path_factory) -> Build:
    """All networks in one binary: the hardware depends on the array and the signals' format alone."""
    jobs = [job for network in zoo.names() for job in jobs_of(network)]
    return write(tmp_path_factory.mktemp("zoo"), jobs, ARRAY, "verilator")


@pytest.mark.slow
def test_whole_networks(build):
    """Every score of every image is that of the engine, and takes the cycles of the estimate, without a stall."""
    start = time.perf_counter()
    outcome = simulators.run(build.folder, "verilator")
    seconds = time.perf_counter() - start
    print(
        f"\n{len(build.table)} Programs, {outcome.images:,} images, {outcome.rows:,} rows, {outcome.cycles:,} cycles, "
        f"{outcome.errors} errors, {seconds:.1f} s"
    )
    assert outcome == build.expected
    versions = {network: len(zoo.patterns(network)) for network in zoo.names()}
    assert len(build.table) == sum(count * len(WEIGHT_BITS.get(name, (8,))) for name, count in versions.items())


@pytest.mark.slow
def test_what_is_wrong_is_an_error(build, tmp_path):
    """Of one job a cycle more is claimed, and one bit of the last row is another: both are noticed."""
    last = len(build.table) - 1
    image = int(build.table[last, 1]) - 1
    row = int(build.table[last, 3]) - 1
    (tmp_path / "cycles").mkdir()
    build.edit(tmp_path / "cycles", "jobs.hex", build.table.shape[1] * 3 + 4, lambda cycles: cycles + 1)
    both = Build(tmp_path / "cycles", build.table)
    (tmp_path / "both").mkdir()
    both.edit(tmp_path / "both", "expected.hex", build.line_of_row(last, image, row), lambda word: word ^ 1)
    outcome = simulators.run(tmp_path / "both", "verilator")
    assert outcome.errors == int(build.table[3, 1]) + 1
    told = [complaint.split(" took ")[0].split(": got ")[0] for complaint in outcome.complaints]
    assert told == [f"FAIL job 3 image {index}" for index in range(build.table[3, 1])] + [
        f"FAIL job {last} image {image} row {row}"
    ]
