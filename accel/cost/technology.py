"""What a chip is made of: which memories exist, how many multipliers there are, what an event costs. From TOML.

`technologies.toml` beside this file has a table for each technology, every number with its source, and says how to
write one's own.
"""

import difflib
import math
import os
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import resources
from itertools import pairwise
from reprlib import repr as shortened
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError, reading
from accel.records import parse_toml, record_of, text_of

DEFAULT = "asic-45nm"
SUFFIX = ".toml"
# A large memory is wires: they run along its sides, which grow as the square root of what it holds (Muralimanohar et
# al., CACTI 6.0, HPL-2009-85, section 3). Horowitz's 10 pJ at 8 KiB and 20 pJ at 32 KiB are this law as well.
WIRES = 0.5
# So far from everything that is real that no total of a network leaves the numbers of a computer.
MOST_COUNT = 1 << 40  # of blocks, words, bits, multipliers
LEAST_SIZE, MOST_SIZE = 1e-6, 1e12  # of bits or KiB
LEAST_COST, MOST_COST = 1e-9, 1e12  # pJ or um2 of one event or bit
MOST_EXPONENT = 8.0  # of a power law: a multiplier takes 2


@dataclass(frozen=True)
class Macro:
    """A block of memory as it exists.

    Parameters
    ----------
    name : str
    shapes : tuple of (words, width in bits)
        What the block can be set to.
    available : int or None
        How many there are; None: as many as one likes.
    source : str
    shallow : bool
        Whether it is made of look-up tables, for memories that are `accel.array.MemoryShape.shallow` alone.
    """

    name: str
    shapes: tuple[tuple[int, int], ...]
    available: int | None
    source: str
    shallow: bool = False

    def __post_init__(self) -> None:
        if not self.shapes or any(len(shape) != 2 or min(shape) < 1 for shape in self.shapes):
            raise EspalierError(
                f"macro {self.name}: shapes must be [words, width] of at least 1, got {shortened(self.shapes)}"
            )
        for words, width in self.shapes:
            _check_count(f"macro {self.name}: words x width", words * width)
        _check_count(f"macro {self.name}: available", self.available)

    @cached_property
    def bits(self) -> int:
        """Bits of the block, set to the shape that holds most."""
        return max(words * width for words, width in self.shapes)


@dataclass(frozen=True)
class PowerLaw:
    """A cost that was measured at a few sizes, and a power law through neighbouring points for those between.

    Parameters
    ----------
    points : tuple of (size, cost)
        Sizes ascending; both positive. Outside, the law of the outermost two goes on.
    exponent : float
        Of a law that has one point alone.
    beyond : float or None
        Exponent above the last of several points; None: the law of the last two goes on.
    """

    points: tuple[tuple[float, float], ...]
    exponent: float = 1.0
    beyond: float | None = None

    def __post_init__(self) -> None:
        sizes = [size for size, _ in self.points]
        if not sizes or sizes != sorted(set(sizes)) or any(not min(point) > 0 for point in self.points):
            raise EspalierError(f"expected ascending [size, cost] points, all positive, got {shortened(self.points)}")
        for size, cost in self.points:
            if not (LEAST_SIZE <= size <= MOST_SIZE and LEAST_COST <= cost <= MOST_COST):
                raise EspalierError(
                    f"sizes must be {LEAST_SIZE:g}..{MOST_SIZE:g} and costs {LEAST_COST:g}..{MOST_COST:g}, "
                    f"got [{size:g}, {cost:g}]"
                )
        for (low, low_cost), (high, high_cost) in pairwise(self.points):
            if abs(math.log(high_cost / low_cost)) > MOST_EXPONENT * math.log(high / low):
                raise EspalierError(
                    f"a cost may change with a power of {MOST_EXPONENT:g} at most, "
                    f"not from {low_cost:g} at {low:g} to {high_cost:g} at {high:g}"
                )

    @overload
    def at(self, size: float) -> float: ...

    @overload
    def at(self, size: NDArray[np.float64]) -> NDArray[np.float64]: ...

    def at(self, size: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
        """Return the cost at `size` > 0, or at each of many, which is the same.

        >>> PowerLaw(((8, 10.0), (32, 20.0))).at(8), PowerLaw(((8, 10.0), (32, 20.0))).at(128)
        (10.0, 40.0)
        """
        if isinstance(size, np.ndarray):
            sizes, places = np.unique(size, return_inverse=True)
            return np.array([self.at(one) for one in sizes.tolist()])[places].reshape(size.shape)
        if len(self.points) == 1:
            ((known, cost),) = self.points
            return cost * (size / known) ** self.exponent
        if self.beyond is not None and size > self.points[-1][0]:
            known, cost = self.points[-1]
            return cost * (size / known) ** self.beyond
        above = next((i for i, (known, _) in enumerate(self.points[1:-1], 1) if size <= known), len(self.points) - 1)
        (low, low_cost), (high, high_cost) = self.points[above - 1 : above + 1]
        return low_cost * (size / low) ** (math.log(high_cost / low_cost) / math.log(high / low))


@dataclass(frozen=True)
class EnergyTable:
    """Picojoules of the events that are counted, and the milliwatts of memories that only hold; an estimate."""

    source: str
    multiply: PowerLaw  # of the bits of an operand; two different ones count as their geometric mean
    add: PowerLaw  # of the bits of the sum
    sram: PowerLaw  # of the KiB of the bank, for an access of `sram_access_bits`
    sram_access_bits: int
    register: float  # of a multiply-accumulate, however wide: an accumulator read and written
    dram: float  # a bit
    flip_flop: float = 0.0  # a bit of a register that takes a new value
    clock: float = 0.0  # a bit of a register in a cycle, whether it takes one or not
    leakage: float = 0.0  # milliwatts of a Mbit (2**20) of memory blocks
    sram_whole_bits: int = 1  # an access takes whole macros of so many bits
    fetch: float = 0.0  # of control and fetch by the cycle and the bit of registers that are in no lane
    drain: float = 0.0  # of a pixel lane's drain by the cycle and the bit of a sum, whether one leaves or not
    control: float = 0.0  # a bit of a register that is in no lane, in a cycle: the clock
    calibrated: str = ""  # by what measurements of netlists, if it is

    def __post_init__(self) -> None:
        for name in ("sram_access_bits", "sram_whole_bits"):
            if not 1 <= getattr(self, name) <= MOST_COUNT:
                raise EspalierError(f"energy: {name} must be 1..{MOST_COUNT}, got {shortened(getattr(self, name))}")
        for name in ("register", "dram", "flip_flop", "clock", "leakage", "fetch", "drain", "control"):
            _check_cost(f"energy: {name}", getattr(self, name))

    def mac_joules(self, weight_bits: int, signal_bits: int, accumulator_bits: int) -> float:
        """Return the energy of one multiply with its add."""
        return 1e-12 * (self.multiply.at(math.sqrt(weight_bits * signal_bits)) + self.add.at(accumulator_bits))

    def sram_joules(self, bank_bits: int, access_bits: int) -> float:
        """Return the energy of an access of `access_bits` to a bank of `bank_bits`, all its blocks together."""
        whole = -(-access_bits // self.sram_whole_bits) * self.sram_whole_bits
        return 1e-12 * self.sram.at(bank_bits / 8192) * whole / self.sram_access_bits


@dataclass(frozen=True)
class AreaTable:
    """Square micrometers of what is counted; an estimate."""

    source: str
    multiply: PowerLaw
    add: PowerLaw
    sram: float  # a bit
    sram_block: float = 0.0  # a block of memory, however small: its decoder, its amplifiers, its pins
    flip_flop: float = 0.0  # a bit of a register

    def __post_init__(self) -> None:
        for name in ("sram", "sram_block", "flip_flop"):
            _check_cost(f"area: {name}", getattr(self, name))


@dataclass(frozen=True)
class ClockLimit:
    """The highest clock at which the array is known to run."""

    source: str
    hz: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.hz) and self.hz > 0):
            raise EspalierError(f"clock: mhz must be a positive number, got {self.hz / 1e6:g}")


@dataclass(frozen=True)
class Technology:
    """A chip, or a process to make one in.

    Parameters
    ----------
    name, about : str
    macros : tuple of Macro
    multipliers : int or None
        How many there are; None: as many as one likes.
    energy, area : tables or None
        None: nothing is known, and nothing is estimated.
    clock : ClockLimit or None
        None: nobody has measured it.
    """

    name: str
    about: str
    macros: tuple[Macro, ...]
    multipliers: int | None = None
    energy: EnergyTable | None = None
    area: AreaTable | None = None
    clock: ClockLimit | None = None

    def __post_init__(self) -> None:
        if not self.macros:
            raise EspalierError("has no [[macro]]: expected at least one size of memory")
        _check_count("multipliers", self.multipliers)

    def block_size(self, macro: Macro) -> float:
        """Return what a block takes, in bits: those that it holds, and as many as its periphery has room for."""
        known = self.area
        return macro.bits + (known.sram_block / known.sram if known and known.sram else 0)

    @property
    def origin(self) -> str:
        """Where its energies come from, for whoever prints one."""
        return f"{'calibrated' if self.energy and self.energy.calibrated else 'table'} {self.name}"

    def reaches(self, clock_hz: float) -> bool | None:
        """Return whether the array is known to run at a clock; None where nothing is known of its clocks."""
        return None if self.clock is None else clock_hz <= self.clock.hz


def _check_count(what: str, count: int | None) -> None:
    if count is not None and not 0 <= count <= MOST_COUNT:
        raise EspalierError(f"{what} must be 0..{MOST_COUNT}, got {shortened(count)}")


def _check_cost(what: str, cost: float) -> None:
    if not 0 <= cost <= MOST_COST:  # which a NaN is not either
        raise EspalierError(f"{what} must be 0..{MOST_COST:g}, got {cost:g}")


def technology_names() -> list[str]:
    """Return the technologies that are shipped."""
    return list(_shipped())


def load_technology(name: str | os.PathLike[str] = DEFAULT) -> Technology:
    """Return a technology that is shipped, or the one in a TOML file of a user's own.

    Raises
    ------
    EspalierError
        There is none of that name (with the nearest that is), or the file does not hold exactly one.
    OSError
        The file cannot be read.
    """
    text = os.fspath(name)
    if not text.endswith(SUFFIX):
        if text in _shipped():
            return _technology(text, text, _shipped()[text])
        near = difflib.get_close_matches(text, technology_names(), 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        known = ", ".join(technology_names())
        raise EspalierError(f"unknown technology {text!r}: {hint}(known: {known}, or a file that ends in {SUFFIX})")
    content = text_of(text)
    with reading(text):
        tables = parse_toml(content)
        if len(tables) != 1:
            raise EspalierError(f"must hold one technology, one table at the top, got {len(tables)}")
    ((own, table),) = tables.items()
    return _technology(text, own, table)


def _shipped() -> dict[str, Any]:
    return _read("technologies.toml")


@cache
def _read(name: str) -> dict[str, Any]:
    return parse_toml((resources.files("accel.cost") / name).read_text(encoding="utf-8"))


# The tables of a file as they are written there, which `record_of` checks them against.

_Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class _Macro:
    name: str
    shapes: tuple[tuple[int, int], ...]
    source: str
    available: int | None = None
    shallow: bool = False


@dataclass(frozen=True)
class _Area:
    source: str
    multiply: _Points
    add: _Points
    sram: float
    sram_block: float = 0.0
    flip_flop: float = 0.0


@dataclass(frozen=True)
class _Energy:
    source: str
    multiply: _Points
    add: _Points
    sram: _Points
    sram_access_bits: int
    register: float
    dram: float | str
    flip_flop: float = 0.0
    clock: float = 0.0
    leakage: float = 0.0
    sram_whole_bits: int = 1
    fetch: float = 0.0
    drain: float = 0.0
    control: float = 0.0
    calibrated: str = ""


@dataclass(frozen=True)
class _Dram:
    about: str
    source: str
    bit: float


@dataclass(frozen=True)
class _Clock:
    source: str
    mhz: float


@dataclass(frozen=True)
class _Table:
    about: str
    multipliers: int | None = None
    macro: tuple[_Macro, ...] = ()
    energy: _Energy | None = None
    area: _Area | None = None
    clock: _Clock | None = None


def _technology(where: str, name: str, table: Any) -> Technology:
    """Return the technology that a TOML table says; what is wrong with it is told with `where` it stands."""
    with reading(f"{where}: technology {name}"):
        found = record_of(_Table, table)
        macros = tuple(Macro(x.name, x.shapes, x.available, x.source, x.shallow) for x in found.macro)
        energy = None if found.energy is None else _energy(found.energy)
        area = None if found.area is None else _area(found.area)
        clock = None if found.clock is None else ClockLimit(found.clock.source, 1e6 * found.clock.mhz)
        return Technology(name, found.about, macros, found.multipliers, energy, area, clock)


def _energy(table: _Energy) -> EnergyTable:
    laws = _law("energy.multiply", table.multiply, 2), _law("energy.add", table.add, 1)
    sram = _law("energy.sram", table.sram, 0, WIRES)
    dram, source = (table.dram, table.source) if isinstance(table.dram, float) else _dram(table.dram, table.source)
    costs = table.register, dram, table.flip_flop, table.clock, table.leakage
    known = EnergyTable(source, *laws, sram, table.sram_access_bits, *costs, table.sram_whole_bits)
    return replace(known, fetch=table.fetch, drain=table.drain, control=table.control, calibrated=table.calibrated)


def _dram(name: str, source: str) -> tuple[float, str]:
    """Return picojoules of a bit of a kind of DRAM, and the source that it adds to a table's."""
    kinds = _read("drams.toml")
    if name not in kinds:
        raise EspalierError(f"energy.dram must be a number or one of {', '.join(kinds)}, got {name!r}")
    found = record_of(_Dram, kinds[name])
    return found.bit, f"{source}; DRAM, {found.about}: {found.source}"


def _area(table: _Area) -> AreaTable:
    laws = _law("area.multiply", table.multiply, 2), _law("area.add", table.add, 1)
    return AreaTable(table.source, *laws, table.sram, table.sram_block, table.flip_flop)


def _law(where: str, points: _Points, exponent: float, beyond: float | None = None) -> PowerLaw:
    with reading(where):
        return PowerLaw(points, exponent, beyond)
