"""A library of standard cells, as a Liberty file has it: areas, leakage, which cells are registers, a NAND2, a buffer.

Of the format (Liberty User Guide and Reference Manual, Synopsys) this reads no more than what is counted here; Yosys
and OpenSTA read the rest.
"""

import gzip
import io
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from accel.errors import EspalierError, reading
from accel.files import read_whole

MOST_BYTES = 1 << 28  # of a library, unpacked
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_TOKEN = re.compile(
    r"(?P<group>[A-Za-z_]\w*)\s*\((?P<of>[^(){};]*)\)\s*\{|(?P<end>\})|"
    r"\b(?P<name>area|direction|function|value|cell_leakage_power|default_cell_leakage_power|leakage_power_unit)"
    r"\s*:\s*(?P<text>\"[^\"]*\"|[^;\s{}]+)"
)
_WATTS = {"m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15, "": 1.0}
# from the strongest, as the manual orders them; a space is an AND
_OPERATORS = (
    (re.compile(r"!([01])|([01])'"), lambda x: "10"[int(x[1] or x[2])]),
    (re.compile(r"([01])\^([01])"), lambda x: str(int(x[1]) ^ int(x[2]))),
    (re.compile(r"([01])[&*]?([01])"), lambda x: str(int(x[1]) & int(x[2]))),
    (re.compile(r"([01])[|+]([01])"), lambda x: str(int(x[1]) | int(x[2]))),
)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A standard cell.

    Parameters
    ----------
    name : str
    area : float
        In the library's unit, mostly square micrometres.
    leakage_watts : float
    inputs : sequence of str
        Pins.
    outputs : mapping
        From each output pin to its function, which is empty for one that has none.
    register : bool
        Whether it is a flip-flop.
    """

    name: str
    area: float
    leakage_watts: float
    inputs: Sequence[str]
    outputs: Mapping[str, str]
    register: bool

    def table(self) -> tuple[int, ...]:
        """Return the output for every input, the first pin counting fastest; nothing if that is no gate's."""
        if self.register or len(self.outputs) != 1 or not 0 < len(self.inputs) <= 2:
            return ()
        (function,) = self.outputs.values()
        rows = itertools.product("01", repeat=len(self.inputs))
        return tuple(_value(function, dict(zip(reversed(self.inputs), row, strict=True))) for row in rows)


@dataclass(frozen=True, kw_only=True)
class Library:
    """What a Liberty file says.

    Parameters
    ----------
    name : str
        As the file has it.
    text : str
        All of the file, for the tools.
    cells : mapping
        By their names.
    nand2 : Cell
        The smallest NAND of two inputs, whose area is a gate equivalent.
    volts : float
        Of the operating conditions that hold by default; 0 if it does not say.
    """

    name: str
    text: str
    cells: Mapping[str, Cell]
    nand2: Cell
    volts: float

    @cached_property
    def buffer(self) -> Cell | None:
        """The smallest buffer, if there is one."""
        return _smallest(self.cells.values(), (0, 1))


def read(path: Path) -> Library:
    """Return the library of a Liberty file, gzipped or not.

    Raises
    ------
    EspalierError
        The file cannot be read, is no Liberty file or ends too early, or has no flip-flop or no NAND of two inputs.
    """
    try:
        data = read_whole(path, MOST_BYTES)
    except OSError as error:
        raise EspalierError(f"cannot read {path}: {error.strerror or error}") from error
    if data[:2] == b"\x1f\x8b":
        with reading(path, "is a damaged gzip file"), gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            data = packed.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise EspalierError(f"{path}: has more than {MOST_BYTES} bytes unpacked")
    with reading(path):
        return parse(data.decode("latin-1"))


def parse(text: str) -> Library:
    """Return the library that `text` is; raises EspalierError as `read` does."""
    groups, name = _Groups(), re.search(r"\blibrary\s*\(\s*\"?([^\s\"()]+)\"?\s*\)\s*\{", text)
    if name is None:
        raise EspalierError("is no Liberty file: expected library (NAME) { ... }")
    for token in _TOKEN.finditer(_COMMENT.sub("", text)):
        groups.take(token)
    if groups.open or not groups.cells:
        raise EspalierError("is no whole Liberty file: it " + ("ends within a group" if groups.open else "has no cell"))
    cells = {cell.name: cell for cell in map(groups.made, groups.cells)}
    if not any(cell.register for cell in cells.values()):
        raise EspalierError("has no flip-flop: expected a cell with a group ff (...) { ... }")
    nand2 = _smallest(cells.values(), (1, 1, 1, 0))
    if nand2 is None:
        raise EspalierError("has no NAND of two inputs, whose area gate equivalents are counted in")
    return Library(name=name[1], text=text, cells=cells, nand2=nand2, volts=_volts(text))


def _volts(text: str) -> float:
    """Return the voltage of the operating conditions that hold by default; 0 if there are none."""
    default = re.search(r"\bdefault_operating_conditions\s*:\s*\"?([\w.+-]+)\"?\s*;", text)
    name = re.escape(default[1]) if default else "(?!)"
    found = re.search(rf"\boperating_conditions\s*\(\s*\"?{name}\"?\s*\)\s*{{[^}}]*?\bvoltage\s*:\s*([\d.]+)", text)
    return float(found[1]) if found else 0.0


@dataclass
class _Draft:
    """A cell while it is read: the texts of its attributes, and of each pin's."""

    name: str
    said: dict[str, str] = field(default_factory=dict)
    leakages: list[str] = field(default_factory=list)
    pins: dict[str, dict[str, str]] = field(default_factory=dict)
    register: bool = False


@dataclass
class _Groups:
    """The groups that are open, outermost first, and the cells so far."""

    open: list[tuple[str, str]] = field(default_factory=list)
    cells: list[_Draft] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)

    def take(self, token: re.Match[str]) -> None:
        """Take what comes next."""
        if token["end"]:
            if not self.open:
                raise EspalierError("is no Liberty file: it closes more groups than it opens")
            self.open.pop()
        elif token["group"]:
            self.open.append((token["group"], token["of"].strip().strip('"')))
            self._begin()
        else:
            self._say(token["name"], token["text"].strip('"'))

    def _begin(self) -> None:
        match [kind for kind, _ in self.open]:
            case ["library", "cell"]:
                self.cells.append(_Draft(self.open[-1][1]))
            case ["library", "cell", "ff"]:
                self.cells[-1].register = True
            case ["library", "cell", "pin"]:
                self.cells[-1].pins[self.open[-1][1]] = {}

    def _say(self, name: str, text: str) -> None:
        match [kind for kind, _ in self.open]:
            case ["library"]:
                self.said[name] = text
            case ["library", "cell"]:
                self.cells[-1].said[name] = text
            case ["library", "cell", "leakage_power"] if name == "value":
                self.cells[-1].leakages.append(text)
            case ["library", "cell", "pin"]:
                self.cells[-1].pins[self.open[-1][1]][name] = text

    def made(self, draft: _Draft) -> Cell:
        """Return the cell of a draft; its leakage is what it says, the mean of its states, or the library's default."""
        unit = re.fullmatch(r"([\d.]+)([munpf]?)W", self.said.get("leakage_power_unit", "1nW"))
        if unit is None:
            raise EspalierError(f"leakage_power_unit {self.said['leakage_power_unit']}: expected one such as 1nW")
        states = [_number(draft, text) for text in draft.leakages]
        mean = sum(states) / len(states) if states else _number(draft, self.said.get("default_cell_leakage_power", "0"))
        said = draft.said.get("cell_leakage_power")
        return Cell(
            name=draft.name,
            area=_number(draft, draft.said.get("area", "0")),
            leakage_watts=(mean if said is None else _number(draft, said)) * float(unit[1]) * _WATTS[unit[2]],
            inputs=tuple(name for name, pin in draft.pins.items() if pin.get("direction") == "input"),
            outputs={
                name: pin.get("function", "") for name, pin in draft.pins.items() if pin.get("direction") == "output"
            },
            register=draft.register,
        )


def _number(draft: _Draft, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise EspalierError(f"cell {draft.name}: {text} is no number") from None


def _smallest(cells: Iterable[Cell], table: tuple[int, ...]) -> Cell | None:
    """Return the smallest cell that has an area and the outputs `table`; the first name of several as small."""
    found = [cell for cell in cells if cell.area > 0 and cell.table() == table]
    return min(found, key=lambda cell: (cell.area, cell.name), default=None)


def _value(function: str, pins: Mapping[str, str]) -> int:
    """Return what a function gives for "0" or "1" at each pin; 2 if it is none of these pins alone."""
    text = re.sub(r"[A-Za-z_]\w*", lambda name: pins.get(name[0], "?"), function).replace(" ", "")
    before = ""
    while text != before:
        before = text
        text = re.sub(r"\(([^()]*)\)", lambda inner: _flat(inner[1]), _flat(text) if "(" not in text else text)
    return int(text) if text in ("0", "1") else 2


def _flat(text: str) -> str:
    """Return what an expression without parentheses gives."""
    for pattern, result in _OPERATORS:
        before = ""
        while text != before:
            before, text = text, pattern.sub(result, text)
    return text
