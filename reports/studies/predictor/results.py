"""What the sweep found, as saved: an entry an array, each part once it is measured; and the structure of others."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from accel.array import MacArray
from accel.records import record_of
from reports.shared.schema import Kind
from reports.studies.predictor.definition import ARRAYS

KIND = Kind("espalier-predictor-sweep", 1, "the results of the sweep of the predictor")
STRUCTURE = Kind("espalier-array-structures", 1, "the structures of arrays")
STRUCTURES = "structures.json"  # beside the results
FPGA, CELLS, CLOCK = "fpga", "modules", "mhz"  # the parts of an entry, in the order in which they are measured
WHOLE = "all"  # what `Entry.modules` calls the whole array


@dataclass(frozen=True, kw_only=True)
class Module:
    """What a module takes in standard cells, or the whole array; `mhz` is the clock of its slowest path, if it has one.

    Areas are in square micrometers, without memories.
    """

    area: float
    flip_flops: int
    mhz: float | None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What an array takes.

    Parameters
    ----------
    name : str
    array : mapping
        The fields of the array.
    fpga : mapping
        Look-up tables, flip-flops, multipliers, block RAMs as nextpnr packs them for an ECP5; none: not measured yet.
    modules : mapping
        In standard cells, the whole array as `WHOLE`.
    mhz : float or None
        The clock after place and route on an ECP5.
    hardware : mapping
        From each part that is measured to the fingerprint of the hardware and tools that it is of.
    """

    name: str
    array: Mapping[str, Any]
    fpga: Mapping[str, int] = field(default_factory=dict)
    modules: Mapping[str, Module] = field(default_factory=dict)
    mhz: float | None = None
    hardware: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def mac_array(self) -> MacArray:
        """The array itself."""
        return record_of(MacArray, dict(self.array))

    def has(self, part: str) -> bool:
        """Return whether a part is measured."""
        return part in self.hardware

    def with_part(self, part: str, value: Any, fingerprint: str) -> "Entry":
        """Return this entry with a part of it measured."""
        return replace(self, **{part: value}, hardware={**self.hardware, part: fingerprint})


@dataclass(frozen=True, kw_only=True)
class Structure:
    """What an array that nobody built is made of: bits of each kind, as `rtl.structure` counts them."""

    array: Mapping[str, Any]
    bits: Mapping[str, int]

    @cached_property
    def mac_array(self) -> MacArray:
        """The array itself."""
        return record_of(MacArray, dict(self.array))


@dataclass(frozen=True, kw_only=True)
class Results:
    """The entries that were begun, in the order of the sweep, and which tools areas and their clocks are of."""

    yosys: str = ""
    timing: str = ""
    entries: tuple[Entry, ...] = ()

    def entry(self, name: str) -> Entry:
        """Return the entry of an array of the sweep, without any part if it is not begun."""
        begun = next((entry for entry in self.entries if entry.name == name), None)
        return begun or Entry(name=name, array=asdict(ARRAYS[name]))

    def with_entry(self, entry: Entry) -> "Results":
        """Return these results with an entry in the place of that of its name."""
        entries = {x.name: x for x in (*self.entries, entry)}
        return replace(self, entries=tuple(entries[name] for name in ARRAYS if name in entries))

    def to_json(self) -> str:
        """Return the text of results.json."""
        head = {name: getattr(self, name) for name in ("yosys", "timing")}
        return KIND.written(head, entries=map(asdict, self.entries))

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """Return the results that `to_json` wrote; raises EspalierError if the text is something else."""
        return KIND.read(text, partial(record_of, cls))


@dataclass(frozen=True, kw_only=True)
class Structures:
    """The structures of arrays that were drawn."""

    arrays: tuple[Structure, ...] = ()

    def to_json(self) -> str:
        """Return the text of `STRUCTURES`."""
        return STRUCTURE.written({}, arrays=map(asdict, self.arrays))

    @classmethod
    def from_json(cls, text: str) -> "Structures":
        """Return what `to_json` wrote; raises EspalierError if the text is something else."""
        return STRUCTURE.read(text, partial(record_of, cls))
