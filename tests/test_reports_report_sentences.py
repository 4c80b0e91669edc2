"""What the cost model finds, in words."""

import numpy as np
import pytest
from support.networks import chain

from accel.cost import Counts, LayerCost, SignalPlan, signal_plans, storages
from accel.cost.signals import PLANS
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from accel.sparsity import parse_pattern
from reports.report.sentences import encoding_reason, plan_note, storage_line


@pytest.mark.parametrize(
    ("encoding", "bits", "reason"),
    [
        ("none", None, ""),  # a dense layer: there is nothing to explain
        ("strides", {"strides": 3}, "the only one of its pattern"),
        ("kernel flags", {"kernel flags": 4, "kernel lists": 1009}, "kernel lists would take 1,009 bits"),
    ],
)
def test_why_an_encoding(encoding: str, bits: dict[str, int] | None, reason: str) -> None:
    """The reason names what every other encoding would take, or that there is no other."""
    layer = LayerCost(name="conv", counts=Counts(), encoding=encoding, encoding_bits=bits)
    assert encoding_reason(layer) == reason


def test_every_way_to_store() -> None:
    """The choice is explained by what the others take, cheapest first."""
    ways = storages(parse_pattern("kernel"), np.array([[[True] * 2, [False] * 2]]))
    # 2 weights of 3 bits and: 2 flags; an end of 0..2 and a column; 4 bits; 3 + 2 x 2; 4 ends of 3; those and 2 x 4
    assert storage_line(ways, 3, "kernel flags") == (
        "kernel flags 8 bits; kernel lists 9, bitmap 10, dense 12, csr 13, csc 18, run-length 26"
    )


def test_every_way_to_hold_signals() -> None:
    """4C3-MP2-5C3-7-3: conv1 holds most, two buffers take turns, and the pool alone may write where it reads."""
    rng = np.random.default_rng(0)
    pixels = rng.random((4, 2, 8, 8), np.float32)
    plans = signal_plans(lower(PrunedNetwork(chain()), Widths(4, 5, 8), pixels))
    assert tuple(plan.name for plan in plans) == PLANS
    assert [plan_note(plan) for plan in plans] == [
        "what the array does; the peak is conv1",
        "2 buffers of fixed size, in turn",
        "the peak is conv1; in place: pool1",
        "all layers at once, row by row; all weights resident",
    ]


def test_nowhere_in_place() -> None:
    """Where no layer may write over its input, that is said."""
    plan = SignalPlan(name="in place", bits=8, parts={"input": 8}, peak="conv1")
    assert plan_note(plan) == "the peak is conv1; nowhere legal"
