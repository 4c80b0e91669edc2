"""The power of a small Program, without tools: what `espalier power` says is then known."""

from functools import cache
from pathlib import Path

import pytest

from accel.array import MacArray
from accel.cost.technology import load_technology
from reports.workflow import power
from reports.workflow.power import Power, measured, windows_of
from rtl.asic.power import Watts
from rtl.emit import Job
from rtl.simulators import Outcome
from support.rtl_gates import small_job
from support.silicon import SRAM, TINY

HERTZ = 100e6
TABLE = load_technology()


@cache
def job() -> tuple[MacArray, Job]:
    """Return a small array and its job; it is made once."""
    return small_job()


def made(monkeypatch: pytest.MonkeyPatch, folder: Path, sram: bool = True) -> Power:
    """Return the power of the small job, whose tools are not run: each module takes a watt in each window."""
    array, one = job()
    count = len(windows_of(one, array))
    outcome = Outcome(2, 6, 0, 2 * one.cycles, 0, ())
    watts = Watts(tool="OpenSTA 2.0", switched=[{"lanes": 1.0}] * count, clock=1.0, leakage=[0.5] * count)
    monkeypatch.setattr(power, "check_known", lambda library: None)
    monkeypatch.setattr(power, "Accelerator", lambda *arguments: None)
    monkeypatch.setattr(power, "map_to_cells", lambda *arguments: type("Netlist", (), {"yosys": "Yosys 1"}))
    monkeypatch.setattr(power, "write_simulated", lambda *arguments: [])
    monkeypatch.setattr(power.simulators, "build", lambda *arguments, **options: None)
    monkeypatch.setattr(power, "simulate", lambda *arguments: (outcome, None))
    monkeypatch.setattr(power, "watts_of", lambda *arguments: watts)
    return measured(one, array, TINY, folder, HERTZ, "iverilog", SRAM if sram else None, TABLE)
