"""Buffers for nets with many readers: every reader is still reached, through as many buffers as every other."""

from collections import Counter
from typing import Any

import pytest
from support import tiny_cells

from rtl.asic import liberty
from rtl.asic.buffers import MOST_READERS, with_buffers

TINY = liberty.parse(tiny_cells.liberty())
CLOCK, NET = 2, 3


def design(readers: int) -> dict[str, Any]:
    """Return a register that drives so many inverters, and its clock, which drives as many registers."""
    cells = {"core.lanes.g0": {"type": "DFF", "connections": {"CK": [CLOCK], "D": ["0"], "Q": [NET]}}}
    for place in range(readers):
        cells[f"core.drain.g{place}"] = {"type": "INV", "connections": {"A": [NET], "Y": [100 + place]}}
        cells[f"core.drain.r{place}"] = {"type": "DFF", "connections": {"CK": [CLOCK], "D": ["1"], "Q": [9000 + place]}}
    return {"cells": cells, "ports": {"clk": {"direction": "input", "bits": [CLOCK]}}}


def behind(module: dict[str, Any]) -> dict[str, list[str]]:
    """Return for each inverter the buffers before it, as far as the register."""
    cells = module["cells"]
    drivers = {cell["connections"]["Y"][0]: name for name, cell in cells.items() if cell["type"] == "BUF"}
    found = {}
    for name in (name for name in cells if cells[name]["type"] == "INV"):
        net, path = cells[name]["connections"]["A"][0], []
        while net != NET:
            path.append(drivers[net])
            net = cells[drivers[net]]["connections"]["A"][0]
        found[name] = path
    return found


@pytest.mark.parametrize(
    ("readers", "depth", "buffers"), [(1, 0, 0), (10, 0, 0), (11, 1, 2), (100, 1, 10), (101, 2, 13)]
)
def test_trees(readers: int, depth: int, buffers: int) -> None:
    """Ten readers need none, a hundred one buffer for each ten, more a further level: 101 have 11 and above them 2."""
    module = design(readers)
    assert with_buffers(module, TINY, "clk") == buffers
    paths = behind(module)
    assert len(paths) == readers
    assert {len(path) for path in paths.values()} == {depth}
    nets = Counter(bit for cell in module["cells"].values() for bit in cell["connections"].get("A", ()))
    assert max(nets.values()) <= MOST_READERS


def test_what_stays() -> None:
    """The clock is left alone, a buffer belongs to the module of what drives it, and new nets are nobody else's."""
    module = design(50)
    before = {bit for cell in module["cells"].values() for bits in cell["connections"].values() for bit in bits}
    with_buffers(module, TINY, "clk")
    cells = module["cells"]
    assert sum(cell["connections"].get("CK") == [CLOCK] for cell in cells.values()) == 51
    added = {name: cell for name, cell in cells.items() if cell["type"] == "BUF"}
    assert all(name.startswith("core.lanes.fanout") for name in added)
    assert not before & {cell["connections"]["Y"][0] for cell in added.values()}


def test_a_library_without() -> None:
    """Without a buffer in the library nothing changes."""
    module = design(50)
    assert with_buffers(module, liberty.parse(tiny_cells.liberty("BUF")), "clk") == 0
    assert module == design(50)
