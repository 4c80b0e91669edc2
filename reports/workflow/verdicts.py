"""What an estimate says in words: why a design does not fit, what binds, a verdict; and its record for JSON."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from accel.cost.accesses import Accesses
from accel.cost.design import Estimate, LayerEstimate
from accel.cost.macros import PlacedMemory
from accel.cost.shortage import Resource, Shortage
from reports.shared.columns import COLUMNS, COUNTED, SLOTS, SPENT, WAITS, columns
from reports.workflow import predictions

LEAST = 0.0005  # the smallest share that is told


def problems(e: Estimate) -> tuple[str, ...]:
    """Return why a design does not fit, a line each."""
    return tuple(_shortage_line(e, shortage) for shortage in e.shortages)


def shortage_line(shortage: Shortage) -> str:
    """Return in words what there is too little of.

    >>> shortage_line(Shortage(resource=Resource.BLOCKS, needed=120, available=108, block="EBR"))
    '120 EBR are needed, there are 108'
    >>> shortage_line(Shortage(resource=Resource.MEMORY, needed=16384, available=8192))
    'memory blocks of 2.0 KiB are needed, 1.0 KiB are given'
    """
    needed, available = shortage.needed, shortage.available
    if shortage.resource is Resource.MEMORY:
        return f"memory blocks of {_kib(needed)} KiB are needed, {_kib(available)} KiB are given"
    what = shortage.block if shortage.resource is Resource.BLOCKS else shortage.resource.value
    return f"{needed:,} {what} are needed, there are {available:,}"


def _shortage_line(e: Estimate, shortage: Shortage) -> str:
    if shortage.resource is not Resource.MEMORY:
        return shortage_line(shortage)
    largest = max(e.memories, key=lambda memory: memory.macro_bits)
    return f"{shortage_line(shortage)}; {_kib(largest.macro_bits)} KiB are for {largest.name}"


BINDS = {  # where most of the multiply slots go
    "useful_slots": "multipliers bind",
    "pruned_slots": "pruned weights bind, which lanes run because a neighbour keeps its own",
    "no_map_slots": "output lanes without a map bind",
    "no_pixel_slots": "pixel lanes without a pixel bind",
    "pool_slots": "pools and additions bind",
    "drain_cycles": "the drain binds, one row a cycle",
    "fill_cycles": "the pipeline between layers binds",
    "stall_cycles": "DRAM bandwidth binds",
}
LOAD = "the load of the image binds"


def binding(e: Estimate) -> str:
    """Return what binds, in one sentence: what is missing, or else where most of the multiply slots go."""
    if not e.fits:
        return f"room binds: {problems(e)[0]}"
    shares = {BINDS[name]: slots for name, slots in _slots(e).items()}
    shares[LOAD] = (e.interval_cycles - e.cycles) * e.array.macs_per_cycle
    what = max(shares, key=lambda name: shares[name])
    longest = max(e.layers, key=lambda layer: layer.cycles)
    useful = f"{longest.name} is the longest layer, {longest.utilization:.0%} of its slots useful"
    return f"{what}: {shares[what] / sum(shares.values()):.0%} of the multiply slots; {useful}"


def losses(e: Estimate) -> str:
    """Return what becomes of the multiply slots, useful work first, then what is lost, the most first."""
    slots = _slots(e)
    shares = {COLUMNS[name].label: part / sum(slots.values()) for name, part in slots.items()}
    useful = shares.pop(COLUMNS["useful_slots"].label)
    lost = sorted((item for item in shares.items() if item[1] >= LEAST), key=lambda item: -item[1])
    return f"multiply slots: {useful:.1%} useful; lost: {', '.join(f'{name} {share:.1%}' for name, share in lost)}"


def filled(e: Estimate) -> str | None:
    """Return what memory holds of grouped layers beside their weights, as a line; None where there are none.

    The array has a weight for all lanes in each step, zeros where a lane's group does not read the map.
    """
    layers = [x for x in e.layers if x.cost.pattern.startswith("groups-")]
    if not layers:
        return None
    kept, filling = sum(x.cost.counts.weight_memory_bits for x in layers), sum(x.filling_bits for x in layers)
    names = ", ".join(x.name for x in layers)
    return f"grouped: {names} lie as weights for all lanes: {_kib(kept)} KiB of them, {_kib(filling)} KiB of filling"


def _slots(e: Estimate) -> dict[str, int]:
    """Return all multiply slots of an image, lanes x cycles, by what becomes of them or by what the array waits for."""
    waits = {name: e.array.macs_per_cycle * cycles for name, cycles in columns(WAITS, e.spent).items()}
    return columns(SLOTS, e.slots) | waits


def verdict(e: Estimate) -> str:
    """Return one line: whether a design fits, what it does, and what binds."""
    size = f"{_kib(e.memory_bits)} KiB of memory blocks ({_kib(e.waste_bits)} KiB of them empty)"
    wait = e.interval_cycles - e.cycles
    cycles = f"{e.cycles:,} cycles" + (f" and {wait:,} of loading" if wait else "")
    speed = f"{cycles}, {e.images_per_s:,.0f} images/s at {e.limits.clock_hz / 1e6:g} MHz"
    answer = "fits" if e.fits else "does not fit"
    return f"{answer}: {size}, weights {e.weights}, {speed}; {binding(e)}"


def account(e: Estimate) -> str:
    """Return the verdict, what becomes of the multiply slots, and what synthesis is predicted to say."""
    return f"{verdict(e)}; {losses(e)}; {predictions.brief(e.array)}"


PLAIN = ("network", "pattern", "weights", "on_our_hardware", "exact", "fits")
CYCLES = ("cycles", *SPENT)
NUMBERS = (
    "load_cycles",
    "interval_cycles",
    "seconds",
    "images_per_s",
    "macs",
    "utilization",
    "built_bits",
    "memory_bits",
    "payload_bits",
)
MORE = ("waste_bits", "stored_bits", "dram_bits", "multipliers", "area_mm2")
LAYER = ("name", "kind", *CYCLES, *SLOTS, "utilization", "held_bits", "control_bits", "filling_bits")
TRAFFIC = ("dram_bits", "macs_per_dram_byte")
WORDS = ("pattern", "encoding", "weight_bits", "signal_bits", "accumulator_bits")


def record(e: Estimate) -> dict[str, Any]:
    """Return an estimate as plain numbers and words, as JSON takes them."""
    energy, widths = e.energy, {memory.name: memory.width_bits for memory in e.memories}
    return {
        **columns(PLAIN, e),
        "problems": problems(e),
        "binding": binding(e),
        "verdict": verdict(e),
        "clock_reached": e.clock_reached,
        **columns(CYCLES + SLOTS + NUMBERS + MORE, e, e.spent, e.slots),
        "energy": None if energy is None else {**asdict(energy), "total_joules": energy.total_joules},
        "roofline": {**asdict(e.roofline), "bound": e.roofline.bound},
        "technology": e.technology.name,
        "limits": asdict(e.limits),
        "array": asdict(e.array),
        "predicted": predictions.record(e.array),
        "memories": [_memory_record(memory) for memory in e.memories],
        "load_accesses": _accesses(e.load_accesses, widths),
        "layers": [_layer_record(layer) | {"accesses": _accesses(layer.accesses, widths)} for layer in e.layers],
    }


def _memory_record(memory: PlacedMemory) -> dict[str, Any]:
    return {
        **asdict(memory),
        "built_bits": memory.bits,
        "macro_bits": memory.macro_bits,
        "waste_bits": memory.waste_bits,
    }


def _layer_record(layer: LayerEstimate) -> dict[str, Any]:
    row = columns(LAYER + TRAFFIC + WORDS + COUNTED, layer, layer.spent, layer.slots, layer.cost, layer.cost.counts)
    return row | {"energy_joules": layer.energy.total_joules if layer.energy else None}


def _accesses(accesses: Accesses, widths: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Return words that are read and written, and the bits of all of them, by memory."""
    built = {name: accesses[name] for name in widths if name in accesses}
    return {name: {**asdict(access), "bits": access.words * widths[name]} for name, access in built.items()}


def _kib(bits: int) -> str:
    return f"{bits / 8192:.1f}"
