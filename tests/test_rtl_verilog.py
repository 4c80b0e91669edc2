"""The emitted Verilog in Verilator and Icarus Verilog: 1,100 random Programs, every value and every cycle."""

import shutil

import numpy as np
import pytest
from support.rtl_builds import WORD, Build, write
from support.rtl_coverage import Coverage
from support.rtl_layers import ARRAY, PACKED, probe, random_job

from rtl import simulators
from rtl.emit import Job
from rtl.layout import Layout, Target

MISSING = [tool for tool in ("verilator", "iverilog") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs Debian's packages {', '.join(MISSING)}")

JOBS, PACKED_JOBS = 1000, 100
PROBE = 500  # the place of the job in which the negative controls plant an error


@pytest.fixture(scope="module")
def jobs() -> list[Job]:
    """All random jobs, and the probe among them."""
    rng = np.random.default_rng(1)
    drawn = [random_job(rng) for _ in range(JOBS)]
    return [*drawn[:PROBE], probe(), *drawn[PROBE:]]


@pytest.fixture(scope="module")
def packed_jobs() -> list[Job]:
    """Random jobs for an array whose lanes share multipliers, and whose weights are streamed."""
    rng = np.random.default_rng(2)
    return [random_job(rng, PACKED) for _ in range(PACKED_JOBS)]


@pytest.fixture(scope="module")
def build(jobs, tmp_path_factory) -> Build:
    """The jobs in one Verilator binary."""
    return write(tmp_path_factory.mktemp("verilator"), jobs, ARRAY, "verilator")


@pytest.mark.slow
def test_the_random_jobs_meet_every_corner(jobs, packed_jobs):
    """No bin of the functional coverage is empty; those of shared multipliers are the packed array's alone."""
    coverage = Coverage()
    for job in jobs:
        coverage.see(job)
    shared = {"packed weights", "lowest weight beside a negative one in a multiplier", "streamed weights"}
    assert {*coverage.empty} == {*shared, "two maps a step of lanes that share a multiplier"}
    for job in packed_jobs:
        coverage.see(job, PACKED)
    assert coverage.empty == []


def test_coverage_that_is_missing_is_noticed():
    """One job does not fill the bins."""
    coverage = Coverage()
    coverage.see(probe())
    missing = {"pattern irregular", "padding", "RND: tie above zero", "kind add", "kind relu", "packed weights"}
    assert missing <= set(coverage.empty)
    assert {"list of one entry", "counter of one entry", "tile shorter than the walk"} <= set(coverage.empty)
    assert not {"kind conv", "pattern kernel", "raw output"} & set(coverage.empty)


@pytest.mark.slow
def test_every_value_and_every_cycle(build):
    """All output words are those of golden, and every image takes the cycles of the closed form."""
    outcome = simulators.run(build.folder, "verilator")
    assert outcome == build.expected
    assert outcome.images > JOBS


@pytest.mark.slow
def test_lanes_that_share_a_multiplier(packed_jobs, tmp_path):
    """On an array of packed weights, which are streamed, and an odd number of lanes too, held back or not."""
    packed = write(tmp_path, packed_jobs, PACKED, "verilator")
    for stall in (0, 128):
        outcome = simulators.run(tmp_path, "verilator", stall=stall)
        assert (outcome.errors, outcome.images, outcome.rows) == (0, packed.expected.images, packed.expected.rows)
        assert outcome.cycles - outcome.stalls == packed.expected.cycles
    (tmp_path / "wrong").mkdir()
    words = packed.table[:, 6]
    firsts = (words.cumsum() - words)[words > 0]  # of every job's weights: what one job hides another shows
    packed.edit(tmp_path / "wrong", "units.hex", firsts, lambda word: word ^ 0xFFF)  # negative control
    assert simulators.run(tmp_path / "wrong", "verilator").errors


@pytest.mark.slow
def test_a_receiver_that_is_not_ready_changes_nothing_but_time(build):
    """With the output held back in half of the cycles all values are the same, and so are cycles minus stalls."""
    outcome = simulators.run(build.folder, "verilator", stall=128)
    assert (outcome.errors, outcome.images, outcome.rows) == (0, build.expected.images, build.expected.rows)
    assert outcome.cycles - outcome.stalls == build.expected.cycles
    assert 0.2 < outcome.stalls / outcome.rows < 1  # half of the rows wait; two places take up some of it


@pytest.mark.slow
def test_icarus_says_the_same(jobs, tmp_path):
    """A simulator with delays and four states gives the same values and cycles, stalled or not."""
    few = write(tmp_path, [*jobs[:4], jobs[PROBE]], ARRAY, "iverilog")
    assert simulators.run(tmp_path, "iverilog") == few.expected
    held = simulators.run(tmp_path, "iverilog", stall=128)
    assert (held.errors, held.cycles - held.stalls) == (0, few.expected.cycles)
    assert held.stalls


@pytest.mark.slow
def test_a_wrong_expected_bit_is_an_error(build, tmp_path):
    """One bit of one expected row gives one error, whose line names job, image and row."""
    build.edit(tmp_path, "expected.hex", build.line_of_row(PROBE, image=1, row=2), lambda row: row ^ 1)
    outcome = simulators.run(tmp_path, "verilator")
    assert outcome.errors == 1
    assert outcome.complaints[0].startswith(f"FAIL job {PROBE} image 1 row 2: got ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "bit"),
    [
        (Target.WEIGHTS, 0),
        (Target.ENTRIES, 0),  # of the base
        (Target.TAPS, Layout(ARRAY).tap["words"].offset),
        (Target.CONSTANTS, 0),  # of the bias
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_wrong_memory_bit_is_an_error(build, tmp_path, target, bit):
    """One bit of a weight, an index entry, a tap or a bias spoils both images of its job, and no other job."""
    build.edit(tmp_path, "load.hex", build.line_of_word(PROBE, target), lambda word: word ^ 1 << WORD + bit)
    outcome = simulators.run(tmp_path, "verilator")
    _, images, _, rows, *_ = build.table[PROBE]
    assert images < outcome.errors <= images * rows
    assert outcome.complaints[0].startswith(f"FAIL job {PROBE} image 0 row 0: got ")
    assert all(line.startswith(f"FAIL job {PROBE} image ") for line in outcome.complaints)


@pytest.mark.slow
def test_a_wrong_cycle_count_is_an_error(build, tmp_path):
    """A cycle more than the hardware takes is an error of each image."""
    _, images, _, _, cycles, *_ = build.table[PROBE]
    build.edit(tmp_path, "jobs.hex", 7 * PROBE + 4, lambda count: count + 1)
    outcome = simulators.run(tmp_path, "verilator")
    assert outcome.errors == images
    assert outcome.complaints[0] == f"FAIL job {PROBE} image 0 took {cycles} cycles - 0 stalls, expected {cycles + 1}"
