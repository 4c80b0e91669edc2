"""A Program on an array, as a report holds it: what of `accel.cost.Estimate` figures and pages show, and no more."""

from dataclasses import dataclass

from accel.cost import Counts, Cycles, Slots


@dataclass(frozen=True, kw_only=True)
class LayerDesign:
    """One layer that takes time on the array."""

    name: str
    kind: str  # mac, add, avg-pool, max-pool or relu
    counts: Counts
    spent: Cycles
    slots: Slots
    accumulator_bits: int
    held_bits: int  # signals in the memory while the layer runs
    control_bits: int  # entries, taps and the word of layers, but for the shift, which counts as requantisation
    filling_bits: int  # of the array's words: lanes that keep nothing, and what extends a narrower number
    dram_bits: int  # for one image
    joules: float | None  # an estimate

    @property
    def lanes(self) -> int:
        """Multiply slots of a cycle."""
        return self.slots.slots // self.spent.compute_cycles


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
