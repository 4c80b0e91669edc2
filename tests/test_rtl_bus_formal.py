"""Bounded proofs of the handshakes at a wrapper's ports, whatever array, neighbours and receiver do.

A result that waits stays and holds; so does an answer of AXI4-Lite, each of which has a request of its own; Wishbone is
answered in the cycle after it asks, once, and never unasked.
"""

from pathlib import Path

import pytest
from support.bus_proofs import DEPTH, prove

pytestmark = pytest.mark.slow
PROPERTIES = {"axi": 9, "wishbone": 5}


@pytest.mark.parametrize("bus", PROPERTIES)
def test_the_handshakes_hold(bus: str, tmp_path: Path) -> None:
    """No behaviour of what is around the wrapper breaks one within the depth."""
    proof = prove(tmp_path, bus, "prove")
    assert proof.passed, proof.log
    assert (proof.checks, proof.depth) == (PROPERTIES[bus], DEPTH)


@pytest.mark.parametrize("bus", PROPERTIES)
def test_the_proofs_are_not_empty(bus: str, tmp_path: Path) -> None:
    """Control: for each property there is a fault at the ports that breaks it, at a time that is reached."""
    proof = prove(tmp_path, bus, "cover")
    assert proof.passed, proof.log
    assert proof.checks == PROPERTIES[bus]


@pytest.mark.parametrize(
    "edit",
    [(".tready(m_axis_tready)", ".tready(1'b1)"), (".s_axi_bready(s_axi_bready)", ".s_axi_bready(1'b1)")],
    ids=["results", "answers"],
)
def test_a_ready_that_is_not_heeded_is_refuted(edit: tuple[str, str], tmp_path: Path) -> None:
    """Control: what goes on as if it had been taken does not stay."""
    proof = prove(tmp_path, "axi", "prove", edit)
    assert not proof.passed
    assert "failed assertion proof" in proof.log, proof.log
