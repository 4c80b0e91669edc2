"""What a Program costs: exact counts and cycles from closed forms; energy, area and stalls as stated models."""

from accel.cost.accesses import Access, accesses_of
from accel.cost.counts import Counts, Cycles, LayerCost, ProgramCost, cost_of
from accel.cost.cycles import START_CYCLES, LayerCycles, cycles_of, interval_cycles, total_cycles
from accel.cost.design import Estimate, LayerEstimate, Limits, Roofline
from accel.cost.energy import Energy
from accel.cost.estimate import estimate, estimate_of
from accel.cost.invariants import Invariants
from accel.cost.macros import Memory, PlacedMemory, place
from accel.cost.shortage import Resource, Shortage
from accel.cost.signals import SignalPlan, live_signals, peak_signals, signal_plans
from accel.cost.slots import Slots
from accel.cost.stalls import total_interval
from accel.cost.storage import Storage, break_even, break_even_table, layer_storages, storages
from accel.cost.technology import Technology, load_technology, technology_names
from accel.cost.zeros import LayerZeros, zero_gated, zeros_of

__all__ = [
    "START_CYCLES",
    "Access",
    "Counts",
    "Cycles",
    "Energy",
    "Estimate",
    "Invariants",
    "LayerCost",
    "LayerCycles",
    "LayerEstimate",
    "LayerZeros",
    "Limits",
    "Memory",
    "PlacedMemory",
    "ProgramCost",
    "Resource",
    "Roofline",
    "Shortage",
    "SignalPlan",
    "Slots",
    "Storage",
    "Technology",
    "accesses_of",
    "break_even",
    "break_even_table",
    "cost_of",
    "cycles_of",
    "estimate",
    "estimate_of",
    "interval_cycles",
    "layer_storages",
    "live_signals",
    "load_technology",
    "peak_signals",
    "place",
    "signal_plans",
    "storages",
    "technology_names",
    "total_cycles",
    "total_interval",
    "zero_gated",
    "zeros_of",
]
