"""What a Program costs: multiply-accumulates and on-chip memory, counted exactly from closed forms."""

from accel.cost.counts import Counts, LayerCost, ProgramCost, cost_of
from accel.cost.cycles import START_CYCLES, LayerCycles, cycles_of, total_cycles
from accel.cost.signals import live_signals, peak_signals

__all__ = [
    "START_CYCLES",
    "Counts",
    "LayerCost",
    "LayerCycles",
    "ProgramCost",
    "cost_of",
    "cycles_of",
    "live_signals",
    "peak_signals",
    "total_cycles",
]
