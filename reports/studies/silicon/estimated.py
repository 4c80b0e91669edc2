"""The estimate of `accel.cost.energy` beside what gates took, group by group, and its table calibrated on some of them.

Before the calibration the table is that of 45 nm, scaled to 130 nm. The calibration is a factor of what lanes do, one
of the clock, one of control and fetch, by the cycle and bit of register, and two of drains, for what leaves and by the
cycle: least squares of relative errors over the layers of three runs of one network on one array. All other runs are
held out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median

import numpy as np

from accel.array import MacArray
from accel.cost.accesses import Access
from accel.cost.energy import Events, access_joules, energy_of, energy_of_time, memory_joules
from accel.cost.macros import Memory, place
from accel.cost.technology import EnergyTable, PowerLaw, load_technology
from reports.studies.silicon.definition import CALIBRATING, CLOCK
from reports.studies.silicon.results import Results, Run
from reports.workflow.power import CLOCK as CLOCKS
from reports.workflow.power import LEAKAGE, MEMORIES, SHELL, SRAM_LEAKAGE

# Stillmaker and Baas (Integration 58, 2017, table of energies): 7.171 V^2 - 6.709 V + 2.904 at 130 nm, here at 1.8 V,
# over 1.018 V^2 - 0.3107 V + 0.1539 at 45 nm and 0.9 V
SCALE = (7.171 * 1.8**2 - 6.709 * 1.8 + 2.904) / (1.018 * 0.9**2 - 0.3107 * 0.9 + 0.1539)
SHIPPED = "asic-130nm"
LANES, FETCH, DRAIN, MEMORY, LEAKS = "lanes", "fetch", "drain", "memory", "leakage"
GROUPS: Mapping[str, tuple[str, ...]] = {
    LANES: ("lanes",),
    FETCH: ("lists, fetch", SHELL),
    DRAIN: ("drain",),
    CLOCKS: (CLOCKS,),
    MEMORY: (MEMORIES,),
    LEAKS: (LEAKAGE, SRAM_LEAKAGE),
}
FITTED = (LANES, FETCH, DRAIN, CLOCKS)
NARROW, WIDE = (4, 8), (12, 32)  # bits of multiplications: those of lanes, and those of drains
Joules = Mapping[str, float]


@dataclass(frozen=True)
class Compared:
    """A run: what gates took, and what an estimate says, by group; `fitted` says whether the table is made of it."""

    run: Run
    measured: Joules
    estimated: Joules
    fitted: bool

    def error(self, group: str | None = None) -> float:
        """Return the relative error of a group, or of all together."""
        if group:
            return self.estimated[group] / self.measured[group] - 1
        return sum(self.estimated.values()) / sum(self.measured.values()) - 1


def scaled() -> EnergyTable:
    """Return the table of 45 nm, scaled to 130 nm, with the memories that are shipped: the estimate before."""
    memories, table = shipped(), load_technology("asic-45nm").energy
    assert table is not None
    return replace(
        table,
        multiply=_times(table.multiply, SCALE),
        add=_times(table.add, SCALE),
        flip_flop=SCALE * table.flip_flop,
        clock=SCALE * table.clock,
        sram=memories.sram,
        sram_access_bits=memories.sram_access_bits,
        sram_whole_bits=memories.sram_whole_bits,
        leakage=memories.leakage,
    )


def shipped() -> EnergyTable:
    """Return the table that is calibrated, as it is shipped."""
    table = load_technology(SHIPPED).energy
    assert table is not None
    return table


def fits(run: Run) -> bool:
    """Return whether a run is one of those that the table is calibrated on."""
    return run.task in CALIBRATING


def calibrated(results: Results) -> EnergyTable:
    """Return the scaled table, calibrated on the runs that `fits`."""
    before = scaled()
    unit, waiting = replace(before, clock=1.0, control=1.0, fetch=1.0), replace(before, drain=1.0)
    layers = [one for run in results.runs if fits(run) for one in _layers(run)]
    measured, found = [measured_of(one) for one in layers], [_estimated(unit, one, results) for one in layers]
    factor = {
        group: _factors([[one[group]] for one in found], [one[group] for one in measured])[0]
        for group in (LANES, FETCH, CLOCKS)
    }
    idle = [_estimated(waiting, one, results)[DRAIN] - spent[DRAIN] for one, spent in zip(layers, found, strict=True)]
    leaves = [[spent[DRAIN], waits] for spent, waits in zip(found, idle, strict=True)]
    leaving, drain = _factors(leaves, [one[DRAIN] for one in measured])
    factors = [(bits, factor[LANES]) for bits in NARROW] + [(bits, leaving) for bits in WIDE]
    return replace(
        before,
        multiply=PowerLaw(tuple((bits, _short(part * before.multiply.at(bits))) for bits, part in factors)),
        add=_times(before.add, factor[LANES]),
        flip_flop=_short(factor[LANES] * before.flip_flop),
        clock=_short(factor[CLOCKS]),
        control=_short(factor[CLOCKS]),
        fetch=_short(factor[FETCH]),
        drain=_short(drain),
    )


def compared_with(table: EnergyTable, run: Run, results: Results) -> Compared:
    """Return a run beside its estimate by a table."""
    return Compared(run, measured_of(run), _estimated(table, run, results), fits(run))


def measured_of(run: Run) -> dict[str, float]:
    """Return what gates took by group."""
    return {group: sum(run.joules(part) for part in parts) for group, parts in GROUPS.items()}


def estimate_of(run: Run, array: MacArray, table: EnergyTable) -> dict[str, float]:
    """Return what a table says of each group."""
    shapes = [Memory(**asdict(memory), payload_bits=0) for memory in array.memories]
    placed = place(shapes, load_technology(SHIPPED))
    joules, loaded = access_joules(table, placed), {"signals": Access(writes=array.pixel_lanes * run.load_cycles)}
    lasting = energy_of_time(table, array, sum(memory.macro_bits for memory in placed), run.cycles, CLOCK)
    found = {LANES: 0.0, FETCH: lasting.fetch_joules, DRAIN: lasting.requantize_joules}
    found |= {CLOCKS: lasting.register_joules + lasting.control_joules, MEMORY: memory_joules(loaded, joules)}
    for layer in run.layers:
        accesses = {name: Access(reads=reads, writes=layer.writes[name]) for name, reads in layer.reads.items()}
        events = Events(macs=layer.macs, requantized=layer.requantized, accesses=accesses, dram_bits=0)
        mac = table.mac_joules(layer.weight_bits, layer.signal_bits, layer.accumulator_bits) if layer.macs else 0.0
        spent = energy_of(events, table, mac, joules, array)
        found[LANES] += spent.mac_joules + spent.register_joules
        found[DRAIN] += spent.requantize_joules
        found[MEMORY] += spent.sram_joules
    return found | {LEAKS: lasting.leakage_joules}


def errors(compared: Iterable[Compared], group: str | None = None) -> tuple[float, float]:
    """Return the median and the worst of relative errors, without their signs."""
    found = [abs(one.error(group)) for one in compared]
    return median(found), max(found)


def _estimated(table: EnergyTable, run: Run, results: Results) -> dict[str, float]:
    build = results.build(*run.task.build)
    assert build is not None
    return estimate_of(run, build.mac_array, table)


def _layers(run: Run) -> list[Run]:
    """Return a run of each layer alone."""
    return [replace(run, load_cycles=0, load_joules={}, layers=(layer,)) for layer in run.layers]


def _factors(rows: Sequence[Sequence[float]], measured: Sequence[float]) -> list[float]:
    """Return the factors of the columns of estimates that bring their sums nearest to what was measured."""
    relative = np.array(rows) / np.array(measured)[:, None]
    found: list[float] = np.linalg.lstsq(relative, np.ones(len(measured)), rcond=None)[0].tolist()
    return [max(factor, 0.0) for factor in found]


def _times(law: PowerLaw, factor: float) -> PowerLaw:
    return PowerLaw(tuple((size, _short(factor * cost)) for size, cost in law.points), law.exponent, law.beyond)


def _short(number: float) -> float:
    return float(f"{number:.4g}")
