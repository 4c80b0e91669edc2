"""Verilator's -Wall has nothing to say of a build beyond what `espalier.vlt` names, each line of which is needed."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.rtl_builds import write
from support.rtl_layers import FORMATS, PACKED, SMALL, probe, random_job

from accel.array import MacArray
from rtl.core.accelerator import Accelerator
from rtl.counters import Counted
from rtl.emit import WAIVERS, Job
from rtl.verilog import convert

pytestmark = pytest.mark.skipif(shutil.which("verilator") is None, reason="needs Debian's package verilator")

RULES = Path(__file__).parents[1] / "rtl" / WAIVERS
DESIGN, BENCH = (line.split()[2:] for line in RULES.read_text().splitlines() if line.startswith("//   $ "))
DEPTHS = {"signal_words": 64, "weight_words": 64, "list_entries": 8, "taps": 8, "constants": 8, "layers": 2}
LESS = dict.fromkeys(("split", "flat", "pool", "lines", "overlap", "prefetch", "combine"), False)
ARRAYS = {
    "single lane": (MacArray(1, 1, **DEPTHS), ()),
    "without features": (MacArray(2, 2, **DEPTHS, **LESS), FORMATS[:2]),
    "dense": (MacArray(2, 2, **{**DEPTHS, "list_entries": 0}), FORMATS[:1]),
    "odd": (MacArray(3, 1, weight_bits=3, signal_bits=5, accumulator_bits=17, offset_bits=16, **DEPTHS), FORMATS[2:4]),
    "tables": (MacArray(4, 2, table_words=64, **DEPTHS), FORMATS[4:]),
    "streamed": (MacArray(3, 4, weight_bits=4, stream_words=16, **DEPTHS), FORMATS),
    "sparse, pooled": (MacArray(4, 4, ceiling=True, floor=True, **DEPTHS), FORMATS),
}
FAULTS = {  # a line for the top module, and the rule that it breaks
    "LATCH": "reg held; always @* if (start) held = load__valid;",
    "UNDRIVEN": "wire open, used; assign used = open;",
    "WIDTH": "wire cut; assign cut = cycles[1:0];",
    "CASEINCOMPLETE": "reg half; always @* case (start) 1'b1: half = 1'b0; endcase",
}


def lint(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line that the waivers' file shows."""
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def clean(words: list[str], folder: Path) -> bool:
    """Return whether lint says nothing at all."""
    done = lint(words, folder)
    return (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a build of one Program."""
    return write(tmp_path_factory.mktemp("lint"), [probe()], SMALL, None).folder


def test_a_build(folder: Path) -> None:
    """The design, and the design with its testbench, by the commands that stand in the file of waivers."""
    assert clean(DESIGN, folder)
    assert clean(BENCH, folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("kind", [Accelerator, Counted])
def test_arrays(name: str, kind: type[Accelerator | Counted], tmp_path: Path) -> None:
    """Lanes, memories and features of all kinds, with counters or without."""
    (tmp_path / "espalier.v").write_text(convert(kind(*ARRAYS[name]), "espalier"))
    shutil.copy(RULES, tmp_path)
    assert clean(DESIGN, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("job", [random_job(np.random.default_rng(2), PACKED)], ids=["streamed"])
def test_testbenches(job: Job, counted: bool, tmp_path: Path) -> None:
    """Of streamed weights, and of hardware that counts."""
    write(tmp_path, [job], PACKED, None, counted)
    assert clean(BENCH, tmp_path)


@pytest.mark.parametrize("rule", FAULTS)
def test_a_fault_is_told(rule: str, folder: Path, tmp_path: Path) -> None:
    """The control: what is wrong in the design is no waiver's."""
    shutil.copy(RULES, tmp_path)
    source = (folder / "espalier.v").read_text()
    (tmp_path / "espalier.v").write_text(source.replace("\nendmodule", f"\n  {FAULTS[rule]}\nendmodule", 1))
    done = lint(DESIGN, tmp_path)
    assert done.returncode != 0
    assert f"%Warning-{rule}: espalier.v" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("waiver", [line for line in RULES.read_text().splitlines() if line.startswith("lint_off")])
def test_every_waiver_is_needed(waiver: str, folder: Path, tmp_path: Path) -> None:
    """Without it lint names its rule, and no other; above it stands why it is there."""
    text = RULES.read_text()
    assert re.search(rf"^// .*\n{re.escape(waiver)}$", text, re.MULTILINE)
    for name in ("espalier.v", "testbench.v"):
        shutil.copy(folder / name, tmp_path)
    (tmp_path / WAIVERS).write_text(text.replace(f"{waiver}\n", ""))
    said = set(re.findall(r"^%Warning-(\w+)", lint(BENCH, tmp_path).stderr, re.MULTILINE))
    assert said == {waiver.split()[2]}
