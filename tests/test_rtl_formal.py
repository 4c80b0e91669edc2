"""Proofs of the ports' contract: all images of a tiny Program, all receivers, to a bounded number of cycles.

What is proven, for every image, every receiver and every `start` while busy: a row that waits stays and holds; every
row is golden's, none is lost, none comes twice, `last` is on the last; `busy` is high from the cycle after `start` to
the last row; words are taken while it is low, those of the next image while it is high too, and they change nothing of
the image that runs; cycles minus stalls are the closed form. That those are the
same for every receiver follows: each run equals the same numbers.
"""

import pytest
from support.rtl_proofs import ARRAY, STALLS, Proof, build, prove, tiny

from accel.cost import total_cycles

PROPERTIES = 13
DEPTH = 40  # steps at least


@pytest.fixture(scope="module")
def raw() -> dict[str, bytes]:
    """The files of a convolution that hands out its accumulators."""
    return build(requantized=False)


@pytest.mark.slow
@pytest.mark.parametrize("requantized", [False, True], ids=["accumulators", "codes"])
def test_the_contract_holds(requantized, tmp_path):
    """No image, no receiver and no second start breaks a property within the depth."""
    proof = prove(tmp_path, build(requantized), "prove")
    assert proof.passed, proof.log
    assert proof.checks == PROPERTIES
    assert proof.depth >= max(DEPTH, total_cycles(tiny(requantized).program, ARRAY) + STALLS)


@pytest.mark.slow
def test_the_proof_is_not_empty(raw, tmp_path):
    """Negative control: for each property there is a fault at the ports that breaks it.

    And within the depth runs end: one without a stall, one with as many stalls as rows and a start while busy.
    """
    proof = prove(tmp_path, raw, "cover")
    assert proof.passed, proof.log
    assert proof.checks == PROPERTIES + 2


@pytest.mark.slow
def test_what_is_not_true_is_refuted(raw, tmp_path):
    """Negative control: that a receiver makes no difference to the cycles, stalls included, has a counterexample."""
    refuted(prove(tmp_path, raw, "refute"))


@pytest.mark.slow
def test_a_wrong_expected_bit_is_refuted(raw, tmp_path):
    """Negative control: with one bit of one row of one image changed, the proof fails."""
    lines = raw["expected.hex"].decode().split()
    lines[-1] = f"{int(lines[-1], 16) ^ 1:0{len(lines[-1])}x}"
    refuted(prove(tmp_path, raw | {"expected.hex": "\n".join(lines).encode()}, "prove"))


def refuted(proof: Proof) -> None:
    """Hold a proof to have failed for one reason alone: a counterexample."""
    assert not proof.passed
    assert "failed assertion proof" in proof.log, proof.log
