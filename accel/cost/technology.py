"""What a chip is made of: which memories exist, how many multipliers there are, what an event costs. From TOML.

`technologies.toml` beside this file has a table for each technology, every number with its source, and says how to
write one's own.
"""

import difflib
import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from accel.errors import EspalierError

DEFAULT = "asic-45nm"
SUFFIX = ".toml"
# A large memory is wires: they run along its sides, which grow as the square root of what it holds (Muralimanohar et
# al., CACTI 6.0, HPL-2009-85, section 3). Horowitz's 10 pJ at 8 KiB and 20 pJ at 32 KiB are this law as well.
WIRES = 0.5


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
    """

    name: str
    shapes: tuple[tuple[int, int], ...]
    available: int | None
    source: str

    def __post_init__(self) -> None:
        if not self.shapes or any(len(shape) != 2 or min(shape) < 1 for shape in self.shapes):
            raise EspalierError(f"macro {self.name}: shapes must be [words, width] of at least 1, got {self.shapes}")
        if self.available is not None and self.available < 0:
            raise EspalierError(f"macro {self.name}: available must be at least 0, got {self.available}")

    @property
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
        if not sizes or sizes != sorted(set(sizes)) or any(min(point) <= 0 for point in self.points):
            raise EspalierError(f"expected ascending [size, cost] points, all positive, got {self.points}")

    def at(self, size: float) -> float:
        """Return the cost at `size` > 0.

        >>> PowerLaw(((8, 10.0), (32, 20.0))).at(8), PowerLaw(((8, 10.0), (32, 20.0))).at(128)
        (10.0, 40.0)
        """
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
    """Picojoules of the events that are counted; an estimate."""

    source: str
    multiply: PowerLaw  # of the bits of an operand; two different ones count as their geometric mean
    add: PowerLaw  # of the bits of the sum
    sram: PowerLaw  # of the KiB of the bank, for an access of `sram_access_bits`
    sram_access_bits: int
    register: float  # an accumulator read and written
    dram: float  # a bit

    def __post_init__(self) -> None:
        if self.sram_access_bits < 1 or self.register < 0 or self.dram < 0:
            raise EspalierError("energy: sram_access_bits must be at least 1, register and dram at least 0")

    def mac_joules(self, weight_bits: int, signal_bits: int, accumulator_bits: int) -> float:
        """Return the energy of one multiply with its add."""
        return 1e-12 * (self.multiply.at(math.sqrt(weight_bits * signal_bits)) + self.add.at(accumulator_bits))

    def sram_joules(self, bank_bits: int, access_bits: int) -> float:
        """Return the energy of an access of `access_bits` to a bank of `bank_bits`, all its blocks together."""
        return 1e-12 * self.sram.at(bank_bits / 8192) * access_bits / self.sram_access_bits


@dataclass(frozen=True)
class AreaTable:
    """Square micrometers of what is counted; an estimate."""

    source: str
    multiply: PowerLaw
    add: PowerLaw
    sram: float  # a bit

    def __post_init__(self) -> None:
        if self.sram < 0:
            raise EspalierError(f"area: sram must be at least 0, got {self.sram}")


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
        if self.multipliers is not None and self.multipliers < 0:
            raise EspalierError(f"multipliers must be at least 0, got {self.multipliers}")

    def reaches(self, clock_hz: float) -> bool | None:
        """Return whether the array is known to run at a clock; None where nothing is known of its clocks."""
        return None if self.clock is None else clock_hz <= self.clock.hz


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
    try:
        tables = tomllib.loads(Path(text).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EspalierError(f"{text}: is not TOML: {error}") from error
    if len(tables) != 1:
        raise EspalierError(f"{text}: must hold one technology, one table at the top, got {len(tables)}")
    ((own, table),) = tables.items()
    return _technology(text, own, table)


@cache
def _shipped() -> dict[str, Any]:
    return tomllib.loads((resources.files("accel.cost") / "technologies.toml").read_text(encoding="utf-8"))


def _technology(where: str, name: str, table: Any) -> Technology:
    """Return the technology that a TOML table says; what is wrong with it is told with `where` it stands."""
    try:
        _check_keys(table, {"about"}, {"multipliers", "macro", "energy", "area", "clock"})
        return Technology(
            name,
            str(table["about"]),
            tuple(_macro(macro) for macro in table.get("macro", ())),
            _count(table.get("multipliers")),
            _energy(table["energy"]) if "energy" in table else None,
            _area(table["area"]) if "area" in table else None,
            _clock(table["clock"]) if "clock" in table else None,
        )
    except EspalierError as error:
        raise EspalierError(f"{where}: technology {name}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise EspalierError(f"{where}: technology {name}: {type(error).__name__}: {error}") from error


def _macro(table: Mapping[str, Any]) -> Macro:
    _check_keys(table, {"name", "shapes", "source"}, {"available"})
    shapes = tuple(tuple(map(_whole, shape)) for shape in table["shapes"])
    return Macro(table["name"], shapes, _count(table.get("available")), table["source"])  # type: ignore[arg-type]


def _energy(table: Mapping[str, Any]) -> EnergyTable:
    _check_keys(table, {"source", "multiply", "add", "sram", "sram_access_bits", "register", "dram"}, set())
    return EnergyTable(
        table["source"],
        _law(table["multiply"], 2),
        _law(table["add"], 1),
        _law(table["sram"], 0, WIRES),
        _whole(table["sram_access_bits"]),
        float(table["register"]),
        float(table["dram"]),
    )


def _area(table: Mapping[str, Any]) -> AreaTable:
    _check_keys(table, {"source", "multiply", "add", "sram"}, set())
    return AreaTable(table["source"], _law(table["multiply"], 2), _law(table["add"], 1), float(table["sram"]))


def _clock(table: Mapping[str, Any]) -> ClockLimit:
    _check_keys(table, {"source", "mhz"}, set())
    return ClockLimit(table["source"], 1e6 * float(table["mhz"]))


def _law(points: Any, exponent: float, beyond: float | None = None) -> PowerLaw:
    return PowerLaw(tuple((float(size), float(cost)) for size, cost in points), exponent, beyond)


def _whole(number: Any) -> int:
    if type(number) is not int:
        raise EspalierError(f"expected a whole number, got {number!r}")
    return number


def _count(number: Any) -> int | None:
    return None if number is None else _whole(number)


def _check_keys(table: Any, needed: set[str], allowed: set[str]) -> None:
    if not isinstance(table, dict):
        raise EspalierError(f"expected a table, got {table!r}")
    wrong = sorted((needed - table.keys()) | (table.keys() - needed - allowed))
    if wrong:
        what = "lacks" if wrong[0] in needed else "has an unknown"
        raise EspalierError(f"{what} key {wrong[0]!r}; the keys are {', '.join(sorted(needed | allowed))}")
