"""A Program on an array, as a report holds it: plain numbers, a line of JSON each.

A design is what `accel.cost.Estimate` says; here it has no objects left, so that figures and pages need nothing else.
"""

from dataclasses import asdict, astuple, dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class LayerDesign:
    """One layer that takes time on the array."""

    name: str
    kind: str  # mac, add, avg-pool, max-pool or relu
    compute_cycles: int
    drain_cycles: int
    fill_cycles: int
    stall_cycles: int  # waiting for weights from DRAM
    accumulator_bits: int
    weight_memory_bits: int
    index_memory_bits: int
    bias_memory_bits: int
    requantize_memory_bits: int
    held_bits: int  # signals in the memory while the layer runs
    control_bits: int  # entries, taps and the word of layers, but for the shift, which counts as requantisation
    filling_bits: int  # of the array's words: lanes that keep nothing, and what extends a narrower number
    dram_bits: int  # for one image
    joules: float | None  # an estimate

    @property
    def cycles(self) -> int:
        """All of them."""
        return self.compute_cycles + self.drain_cycles + self.fill_cycles + self.stall_cycles


@dataclass(frozen=True, kw_only=True)
class MemoryDesign:
    """One memory as blocks of the technology."""

    name: str
    banks: int
    words: int
    width_bits: int
    macro: str
    count: int
    macro_bits: int
    payload_bits: int  # what of the Program lies in it


@dataclass(frozen=True, kw_only=True)
class Design:
    """One Program on the report's array."""

    pattern: str
    weight_bits: int
    signal_bits: int
    weights: str  # resident or streamed
    fits: bool
    verdict: str
    cycles: int
    multipliers: int
    stored_bits: int  # the Program's own: parameters and the peak of live signals
    memory_bits: int  # of all blocks
    payload_bits: int  # what of the Program lies in them
    dram_bits: int  # for one image
    joules: float | None  # estimates; None where the technology says nothing
    area_mm2: float | None
    memories: tuple[MemoryDesign, ...]
    layers: tuple[LayerDesign, ...]

    @property
    def key(self) -> tuple[str, int, int]:
        """Which Program it is of."""
        return self.pattern, self.weight_bits, self.signal_bits

    def layer(self, name: str) -> LayerDesign | None:
        """Return the layer of that name, or None if it takes no time."""
        return next((layer for layer in self.layers if layer.name == name), None)

    @property
    def loose_bits(self) -> int:
        """Bits of blocks that hold nothing and belong to no layer: ends of blocks, and words of signals not in use."""
        return self.memory_bits - self.payload_bits - sum(layer.filling_bits for layer in self.layers)

    def record(self) -> dict[str, Any]:
        """Return plain numbers: layers and memories as rows without names."""
        return asdict(self) | {
            "memories": [astuple(memory) for memory in self.memories],
            "layers": [astuple(layer) for layer in self.layers],
        }


def named(record: dict[str, Any]) -> dict[str, Any]:
    """Return what `Design.record` gave with the names of its rows' values."""
    kinds: tuple[tuple[str, type[Any]], ...] = (("memories", MemoryDesign), ("layers", LayerDesign))
    rows = {
        name: [dict(zip((x.name for x in fields(kind)), row, strict=True)) for row in record[name]]
        for name, kind in kinds
    }
    return record | rows


@dataclass(frozen=True, kw_only=True)
class BreakEven:
    """Below which density each way to store a layer takes fewer bits than its dense weights, by bits of a weight.

    `layer` is the largest one of its pattern, of `shape` (outputs, maps, taps), which keeps `density` of its weights.
    """

    pattern: str
    layer: str
    shape: tuple[int, int, int]
    density: float
    bits: tuple[int, ...]
    densities: dict[str, list[float]]  # by encoding, one for each of `bits`; 0: never
