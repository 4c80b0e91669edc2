"""Every zoo network and pattern in Verilator: the hardware is measured to take the cycles of the estimate."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.rtl_builds import Build, write

from accel.array import MacArray
from accel.cost import estimate
from accel.interchange import zoo
from accel.program import Program
from accel.quantize import Widths, lower
from rtl import simulators
from rtl.emit import Job
from sim.engine import compile_program

MISSING = [tool for tool in ("verilator",) if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs Debian's packages {', '.join(MISSING)}")

SIZES = {"signal_words": 1 << 16, "weight_words": 1 << 16, "list_entries": 1 << 16, "taps": 1 << 10}
ARRAY = MacArray(8, 8, 4, 8, 24, **SIZES)
VERSIONS = [(network, pattern) for network in zoo.names() for pattern in zoo.patterns(network)]


def programmed(network: str, pattern: str) -> Program:
    """Return a zoo network with 4-bit weights and 6-bit signals; its steps come from random pixels."""
    version = zoo.load(network, pattern)
    pixels = np.random.default_rng(0).random((2, *version.network.input_shape), np.float32)
    return lower(version, Widths(4, 6), pixels)


def job_of(network: str, pattern: str) -> Job:
    """Return one random image of a Program, what the engine makes of it, and how long the estimate says it takes."""
    of = programmed(network, pattern)
    codes = of.input_signal.encode(np.random.default_rng(1).random((1, *of.input_shape), np.float32))
    e = estimate(of, ARRAY)
    return Job(of, codes, compile_program(of).run(codes).codes, e.cycles, e.interval_cycles)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """All of them in one binary."""
    return write(tmp_path_factory.mktemp("zoo"), [job_of(*version) for version in VERSIONS], ARRAY, "verilator")


@pytest.mark.slow
def test_cycles_are_measured(build: Build) -> None:
    """The testbench counts the cycles of each image itself: each is the estimate's, and so is what they sum to."""
    measured = simulators.run(build.folder, "verilator")
    assert (measured.errors, measured.complaints, measured.stalls) == (0, (), 0)
    assert measured.images == len(VERSIONS)
    assert measured.cycles == sum(estimate(programmed(*version), ARRAY).cycles for version in VERSIONS)


@pytest.mark.slow
def test_an_estimate_that_is_off_by_one(build: Build, tmp_path: Path) -> None:
    """Negative control: the testbench complains about one job of which a cycle more is claimed; other lanes differ."""
    build.edit(tmp_path, "jobs.hex", 6 * 3 + 4, lambda cycles: cycles + 1)
    measured = simulators.run(tmp_path, "verilator")
    assert measured.errors == 1
    assert measured.complaints[0].startswith("FAIL job 3 image 0 took ")
    one = programmed("digits", "kernel")
    assert estimate(one, ARRAY).cycles != estimate(one, replace(ARRAY, output_lanes=4)).cycles
