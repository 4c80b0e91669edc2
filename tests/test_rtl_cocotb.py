"""The cocotb test that a build brings along: it passes on the hardware, and fails where an error is planted."""

import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.rtl_builds import WORD, Build, write
from support.rtl_layers import SMALL, probe

from rtl.emit import COCOTB as FILES
from rtl.layout import Target

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Debian's package iverilog"),
]


EXAMPLE = Path(__file__).parents[1] / "examples" / "cocotb" / "test_random_images.py"
COCOTB = version("cocotb")
Verdict = tuple[bool, str]  # whether the test passed, and its log


@pytest.fixture(scope="module")
def build(tmp_path_factory) -> Build:
    """The probe: one Program, two images."""
    return write(tmp_path_factory.mktemp("cocotb"), [probe()], SMALL, "iverilog")


@pytest.fixture
def run(monkeypatch) -> Callable[..., Verdict]:
    """Run the test of a folder in Icarus through cocotb's runner."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the runner says that it is experimental
        if COCOTB.startswith("1."):
            from cocotb.runner import get_runner
        else:
            from cocotb_tools.runner import get_runner
    sources_are = "verilog_sources" if COCOTB.startswith("1.") else "sources"

    def verdict(folder: Path, stall: str = "0.5") -> Verdict:
        monkeypatch.delenv("PYTEST_CURRENT_TEST")  # where it is set, the runner raises SystemExit on a failure
        monkeypatch.syspath_prepend(folder)  # where the runner looks for the test
        monkeypatch.setenv("ESPALIER_STALL", stall)
        runner, work = get_runner("icarus"), folder / "cocotb"
        sources, log = [folder / "espalier.v"], folder / "cocotb.log"
        runner.build(
            **{sources_are: sources}, hdl_toplevel="espalier", build_args=["-g2005"], build_dir=work, log_file=log
        )
        results = runner.test("test_espalier", "espalier", seed=1, build_dir=work, test_dir=folder, log_file=log)
        return ElementTree.parse(results).getroot().find(".//failure") is None, log.read_text()

    return verdict


def test_the_hardware_passes(build, run):
    """Held back in half of the cycles, every row and every image is compared, and nothing differs."""
    passed, log = run(build.folder)
    assert passed, log
    (_, images, _, rows, *_) = build.table[0]
    assert f"DONE images {images} rows {images * rows} errors 0" in log


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make with this Python's commands."""
    environment = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    command = ["make", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_makefile_runs_it(build, tmp_path):
    """`make` in a folder of the files alone does the same; its exit status is the verdict in results.xml."""
    words = [f"{name}.hex" for name in ("jobs", "load", "signals", "expected")]
    for name in (*FILES, "espalier.v", "manifest.json", *words):
        (tmp_path / name).symlink_to(build.folder / name)
    done = make(tmp_path, "ESPALIER_STALL=0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"rows {build.expected.rows} errors 0" in done.stdout
    results = tmp_path / "results.xml"
    results.write_text(results.read_text().replace("</testsuite>", "<failure /></testsuite>"))
    assert make(tmp_path, "-o", "sim").returncode == 2  # no new run, the verdict of the planted failure
    results.write_text("<testsuites />")
    assert make(tmp_path, "-o", "sim").returncode == 2  # nor is it a success that nothing ran


def test_a_wrong_expected_bit_fails(build, run, tmp_path):
    """One bit of one expected row is one error, whose line names job, image and row."""
    build.edit(tmp_path, "expected.hex", build.line_of_row(0, image=1, row=2), lambda row: row ^ 1)
    passed, log = run(tmp_path)
    assert not passed
    assert "AssertionError: 1 errors, the first: FAIL job 0 image 1 row 2: got " in log


def test_a_wrong_cycle_count_fails(build, run, tmp_path):
    """A cycle more than the hardware takes is an error of each image, whose line names the image."""
    build.edit(tmp_path, "jobs.hex", 4, lambda cycles: cycles + 1)
    passed, log = run(tmp_path)
    assert not passed
    cycles = build.table[0, 4]
    assert re.search(
        rf"2 errors, the first: FAIL job 0 image 0 took (\d+) cycles - \d+ stalls, expected {cycles + 1}", log
    )


def test_a_wrong_interval_fails(build, run, tmp_path):
    """Where nothing is held back, as where `make` ran it, a start that should come a cycle later is an error."""
    interval = build.table[0, 5]
    build.edit(tmp_path, "jobs.hex", 5, lambda cycles: cycles + 1)
    passed, log = run(tmp_path, "0")
    assert not passed
    complaint = f"FAIL job 0 image 1 started after {interval} cycles, expected {interval + 1}"
    assert f"1 errors, the first: {complaint}" in log


def test_a_missing_row_fails(build, run, tmp_path):
    """A build that expects a row more than comes ends, and says where."""
    build.edit(tmp_path, "jobs.hex", 3, lambda rows: rows + 1)
    passed, log = run(tmp_path)
    assert not passed
    assert "FAIL job 0 image 0: no end, 9 of 10 rows came" in log


@pytest.mark.parametrize("stall", ["1", "-0.1", "half"])
def test_a_share_of_stalls_that_cannot_be_is_refused(build, run, stall):
    """ESPALIER_STALL is a share below 1, because a receiver that never takes anything ends nothing."""
    passed, log = run(build.folder, stall)
    assert not passed
    assert f"ESPALIER_STALL={stall}: expected a share of cycles, at least 0 and below 1" in log


def test_random_images_of_golden(build, tmp_path):
    """The example runs other images than the build has, and holds what comes to golden's outputs.

    The negative control: a weight's bit in the memory is another.
    """
    probe().program.save(tmp_path / "probe.espalier")
    for folder, change in (("right", 0), ("wrong", 1)):
        (tmp_path / folder).mkdir()
        line = build.line_of_word(0, Target.WEIGHTS)
        build.edit(tmp_path / folder, "load.hex", line, lambda word, change=change: word ^ change << WORD)
        shutil.copy(EXAMPLE, tmp_path / folder)
        words = (f"TEST={EXAMPLE.stem}", f"PROGRAM={tmp_path / 'probe.espalier'}", "IMAGES=3")
        done = make(tmp_path / folder, *words)
        assert (done.returncode == 0) == (change == 0), done.stdout + done.stderr
        assert f"DONE images 3 rows {3 * build.table[0, 3]} errors " in done.stdout
