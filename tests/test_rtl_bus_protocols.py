"""Referees of the protocols: cocotbext-axi's masters and streams, and a small one for Wishbone, who wait at random."""

import re
import shutil
import warnings
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from support.rtl_proofs import ARRAY, tiny

from rtl.bus.build import wrap
from rtl.bus.wrapper import BUSES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Debian's package iverilog"),
]
TRANSACTIONS, FEW = 10_000, 100
TESTS = Path(__file__).parent
LATE = (  # a register behind TLAST
    "  wire soon; reg behind; assign m_axis_tlast = behind;\n"
    "  always @(posedge clk) if (m_axis_tvalid & m_axis_tready) behind <= soon;\n"
)
FAULTS = {  # what is wrong in the text of the wrapper's top module, and what the referee says of it
    "TLAST late": ((".tlast(m_axis_tlast)", ".tlast(soon)"), r"image \d+: \["),
    "ready dropped": ((".tready(m_axis_tready)", ".tready(1'b1)"), r"image \d+: \["),
    "address wrong": ((".s_axi_awaddr(s_axi_awaddr)", ".s_axi_awaddr(s_axi_awaddr ^ 12'd4)"), "refused|error|read of"),
    "word wrong": (("(adr_i)", "(adr_i ^ 10'd1)"), "refused|error|read of"),
}


def folder_of(folder: Path, bus: str, fault: str | None = None) -> Path:
    """Write a wrapped build of a tiny Program, images and what golden has for them; plant an error if one is named."""
    job = tiny(requantized=False)
    files = wrap([job], ARRAY, bus)
    top = f"espalier_{bus}.v"
    if fault:
        (right, wrong), _ = FAULTS[fault]
        text = files[top].decode()
        assert right in text
        text = text.replace(right, wrong)
        if "soon" in wrong:
            instance = f"  \\espalier_{bus}.results  results ("
            text = text.replace(instance, LATE + instance)
        files[top] = text.encode()
    order = np.frombuffer(files["program0.bin"], "<u4")[6 : 6 + job.outputs[0].size]
    files["images.bin"] = job.codes.astype("u1").tobytes()
    files["golden.bin"] = job.outputs.reshape(len(job.outputs), -1)[:, order].astype("<i4").tobytes()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def verdict(folder: Path, bus: str, transactions: int, monkeypatch: pytest.MonkeyPatch) -> tuple[bool, str]:
    """Return whether the referee passed the build, and its log."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the runner says that it is experimental
        from cocotb.runner import get_runner
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # where it is set, the runner raises SystemExit on a failure
    for path in (TESTS.parent, TESTS):
        monkeypatch.syspath_prepend(path)
    monkeypatch.setenv("BUS", bus)
    monkeypatch.setenv("TRANSACTIONS", str(transactions))
    runner, top, log, work = get_runner("icarus"), f"espalier_{bus}", folder / "cocotb.log", folder / "cocotb"
    sources = [folder / f"{top}.v", folder / "espalier.v"]
    kept = {"build_dir": work, "log_file": log, "timescale": ("1ns", "1ps")}
    runner.build(verilog_sources=sources, hdl_toplevel=top, build_args=["-g2005"], **kept)
    results = runner.test("support.bus_referee", top, seed=1, test_dir=folder, **kept)
    return ElementTree.parse(results).getroot().find(".//failure") is None, log.read_text()


@pytest.mark.parametrize("bus", BUSES)
def test_ten_thousand_transactions(bus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer is the map's and every result golden's, while master, images and receiver wait at random."""
    passed, log = verdict(folder_of(tmp_path, bus), bus, TRANSACTIONS, monkeypatch)
    assert passed, log[-3000:]
    done = re.search(rf"DONE transactions {TRANSACTIONS} images (\d+)", log)
    assert done
    assert int(done[1]) > 100


@pytest.mark.parametrize(
    ("bus", "fault"),
    [(bus, fault) for bus in BUSES for fault in ("TLAST late", "ready dropped")]
    + [("axi", "address wrong"), ("wishbone", "word wrong")],
)
def test_a_broken_protocol_fails(bus: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: TLAST a beat late, a ready that nobody heeds, another address; the referee says what it saw."""
    passed, log = verdict(folder_of(tmp_path, bus, fault), bus, FEW, monkeypatch)
    assert not passed
    assert re.search(rf"(AssertionError|SimTimeoutError).*({FAULTS[fault][1]})", log) or "SimTimeoutError" in log
