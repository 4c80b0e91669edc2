"""What two builds of an array take in FPGAs, whose tools are not run."""

from dataclasses import replace
from pathlib import Path

import pytest

from accel.array import MacArray
from reports.workflow import fpga
from reports.workflow.fpga import FpgaCounts, in_family
from rtl.fpga.families import Counts

ARRAY = MacArray(1, 1)
BUILDS = {"sparse": ARRAY, "dense": replace(ARRAY, list_entries=0)}


def counts(monkeypatch: pytest.MonkeyPatch, family: str, lut: int = 100) -> FpgaCounts:
    """Return counts of two builds, each with `lut` look-up tables in its lanes and 3 in its shell."""
    modules = {"lanes": Counts(lut=lut, ff=7, dsp=2, carry_bits=5), "shell": Counts(lut=3, block_ram=4)}
    monkeypatch.setattr(fpga, "count_cells", lambda component, family, folder: modules)
    return in_family(BUILDS, family, Path("/nowhere"))
