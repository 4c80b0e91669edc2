"""The C driver runs the whole digits network over AXI4-Lite and over Wishbone: golden's results and cycles."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support import bus_driver
from support.bus_driver import compiled, expected, run
from support.rtl_layers import SMALL, probe

from accel.demand import array_for
from accel.interchange import zoo
from accel.interchange.data import datasets
from accel.quantize import Widths, lower
from reports.workflow.hardware import job_of
from rtl.bus.describe import header
from rtl.bus.wrapper import BUSES
from rtl.emit import Job

needs_tools = pytest.mark.skipif(
    not (shutil.which("verilator") and shutil.which("gcc")), reason="needs Debian's packages verilator and g++"
)
IMAGES = 3
LATE, ROOM = 1 << 9, 1 << 3  # of STATUS
DRIVER = Path(__file__).parents[1] / "rtl" / "bus" / "driver"


@pytest.fixture(scope="module")
def digits() -> Job:
    """Images of digits, and what golden has for them."""
    program = lower(zoo.load("digits", "kernel"), Widths(8, 8), datasets.load("digits", "train").take(64).pixels())
    codes = program.input_signal.encode(datasets.load("digits", "test").take(IMAGES).pixels())
    return job_of(program, array_for(program, 2, 2), codes)


@pytest.fixture(scope="module", params=BUSES)
def folder(request: pytest.FixtureRequest, digits: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wrapped build with its driver, compiled without a warning."""
    array = array_for(digits.program, 2, 2)
    return compiled(tmp_path_factory.mktemp(request.param), digits, array, request.param)


@needs_tools
@pytest.mark.parametrize("mode", ["registers", "streams"])
def test_every_result_is_goldens(folder: Path, digits: Job, mode: str) -> None:
    """All scores of all images, however bus and streams wait; cycles without stalls are those of the closed form."""
    done = run(folder, IMAGES, mode)
    assert (done.status, done.results) == (0, expected(digits))
    *counters, last = done.told
    numbers = [list(map(int, re.findall(r"\d+", line))) for line in counters]
    assert [cycles - stalls for cycles, stalls in numbers] == [digits.cycles] * IMAGES
    assert last == f"images {IMAGES} status {ROOM}"


@needs_tools
@pytest.mark.parametrize(
    ("mode", "fault"),
    [
        ("registers", "address wrong"),
        *(("streams", fault) for fault in ("address wrong", "TLAST late", "ready ignored")),
    ],
)
def test_a_careless_neighbour_is_seen(folder: Path, digits: Job, mode: str, fault: str) -> None:
    """Control: a word at a wrong address, a TLAST that comes late, a beat given while nobody is ready for it."""
    done = run(folder, IMAGES, mode, fault)
    assert done.status == 1
    assert done.results != expected(digits)
    told = re.fullmatch(r"wait: -4, status (\d+)", done.told[-1])
    assert told
    assert int(told[1]) & LATE or fault != "TLAST late"


@needs_tools
@pytest.mark.slow
@pytest.mark.parametrize("bus", BUSES)
@pytest.mark.parametrize("bits", [32, 64])
def test_maps_of_accumulators(bus: str, bits: int, tmp_path: Path) -> None:
    """A network whose output is maps with a sign, in the order of tiles, at both widths of the bus."""
    job = probe()
    build = compiled(tmp_path, job, SMALL, bus, bits)
    for mode in ("registers", "streams"):
        done = run(build, len(job.codes), mode)
        assert (done.status, done.results) == (0, expected(job))
    assert job.outputs.shape[1:] == (3, 3, 3)  # so that maps, rows and tiles come in an order of their own


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs Debian's package g++")
@pytest.mark.parametrize("options", [(), ("-ffreestanding", "-U__linux__"), ("-m32", "-ffreestanding", "-U__linux__")])
def test_it_compiles_without_a_warning(options: tuple[str, ...], tmp_path: Path) -> None:
    """For Linux, and for bare metal, where there is nothing but the compiler's own headers."""
    (tmp_path / "espalier_registers.h").write_text(header(SMALL, 32))
    system = [] if options else ["-D_DEFAULT_SOURCE"]
    command = ["gcc", *bus_driver.WARNINGS, *system, *options, f"-I{tmp_path}", "-fsyntax-only", DRIVER / "espalier.c"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
