"""Watts by OpenSTA: what changes of nets add up to by hand, what the clock takes, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support import tiny_cells
from support.silicon import TWO_VOLTS, Stages

from accel.errors import EspalierError
from rtl.asic import liberty, power, timing
from rtl.asic.activity import Activity
from rtl.asic.mapping import SHELL, TOP, Netlist, map_to_cells
from rtl.asic.power import pins_of, watts_of

HERTZ, VOLTS, FARADS = 200e6, 2.0, 1e-15  # of each pin
LIBRARY = liberty.parse(TWO_VOLTS)
needs_opensta = pytest.mark.skipif(shutil.which(timing.TOOL) is None, reason="needs Debian's package opensta")


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Netlist, Activity]:
    """Return the folder, the netlist, and what nets do: two registers' in all of four cycles, and in one of two."""
    folder = tmp_path_factory.mktemp("stages")
    netlist = map_to_cells(Stages(), LIBRARY, folder, HERTZ)
    module = json.loads((folder / "netlist.json").read_text())["modules"][TOP]
    cells = module["cells"].values()
    registers = [cell["connections"]["Q"][0] for cell in cells if cell["type"] == "DFF"]
    nets = [*registers, *(cell["connections"]["Y"][0] for cell in cells if cell["type"] == "INV")]
    changed = np.array([[4], [1]]) * (np.arange(len(nets)) < len(registers))
    return folder, netlist, Activity(nets, changed, changed // 2)


@needs_opensta
def test_watts(stages: tuple[Path, Netlist, Activity]) -> None:
    """Half of C V^2 for each change of a register's output, C of the cells' pins behind it; leakage as it is.

    The clock reaches both registers, and its capacitance is charged once a cycle. In half as many cycles a change is
    twice the power.
    """
    folder, netlist, activity = stages
    found = watts_of(netlist, LIBRARY, folder, HERTZ, activity, [4, 2])
    module = json.loads((folder / "netlist.json").read_text())["modules"][TOP]
    pins = [pin.rpartition("/")[2] for net in pins_of(module, activity.nets[:2]) for pin in net]
    behind = sum(pin in ("A", "B", "D") for pin in pins)
    once = behind * FARADS * VOLTS**2 / 2 * HERTZ
    assert behind > 0
    assert found.switched[0] == {SHELL: pytest.approx(once)}
    assert found.switched[1] == {SHELL: pytest.approx(once / 2)}
    assert found.clock == pytest.approx(2 * FARADS * VOLTS**2 * HERTZ)
    leaks = sum(tiny_cells.LEAKAGES.get(one.kind.name, 0) for one in netlist.placed)
    assert found.leakage == [pytest.approx(1e-9 * leaks)] * 2
    assert found.tool.startswith("OpenSTA 2.0")


@needs_opensta
def test_another_opensta(monkeypatch: pytest.MonkeyPatch, stages: tuple[Path, Netlist, Activity]) -> None:
    """One that may take activities in another unit is refused."""
    folder, netlist, activity = stages
    monkeypatch.setattr(power, "KNOWN", "9.")
    with pytest.raises(
        EspalierError, match=r"OpenSTA 2\.0\.\S+ takes activities that are not known here: expected 9\."
    ):
        watts_of(netlist, LIBRARY, folder, HERTZ, activity, [4, 2])


def test_without_opensta(monkeypatch: pytest.MonkeyPatch, stages: tuple[Path, Netlist, Activity]) -> None:
    """The line asks for Debian's package."""
    folder, netlist, activity = stages
    monkeypatch.setattr(shutil, "which", lambda tool, path=None: None)
    with pytest.raises(EspalierError, match="apt-get install opensta"):
        watts_of(netlist, LIBRARY, folder, HERTZ, activity, [4, 2])


def test_pins() -> None:
    """A pin of one bit by its name, one of a macro's bus with its place, even if the bus has one bit."""
    cells = {
        "a.g1": {"type": "INV", "connections": {"A": [5], "Y": [6]}},
        "m": {
            "type": "espalier_sram_2x2",
            "connections": {"read_data": [7, 5], "read_address": [6], "write_enable": [7]},
        },
    }
    assert pins_of({"cells": cells}, [5, 7, 6]) == [
        ["a.g1/A", "m/read_data[1]"],
        ["m/read_data[0]", "m/write_enable"],
        ["a.g1/Y", "m/read_address[0]"],
    ]


def test_a_library_without_a_voltage(stages: tuple[Path, Netlist, Activity]) -> None:
    """OpenSTA would count at 0 volts, and say nothing."""
    folder, netlist, activity = stages
    with pytest.raises(EspalierError, match="tiny has no default operating conditions, whose voltage power is counted"):
        watts_of(netlist, liberty.parse(tiny_cells.liberty()), folder, HERTZ, activity, [4, 2])
