"""Buffers for nets that many cells read: an output drives ten inputs in time, not a thousand.

Yosys buffers within logic, but not what registers and ports drive. A tree of buffers of equal depth takes the place of
such a net; the clock is left for a clock tree.
"""

from collections.abc import Iterator
from typing import Any

from rtl.asic.liberty import Library
from rtl.asic.macros import READ_DATA

Bit = int | str  # a net's number, or a constant
Reader = tuple[str, str, int]  # instance, port, place in it
MOST_READERS = 10  # of a net; what abc's `buffer` has, too


def with_buffers(module: dict[str, Any], library: Library, clock: str) -> int:
    """Add buffers to a module of Yosys's JSON, in place; return how many. Without a buffer in the library: none.

    Parameters
    ----------
    module : dict
        Its cells are the library's, or have their outputs named as a macro's.
    library : Library
    clock : str
        The port that is left alone.
    """
    if library.buffer is None:
        return 0
    (given,), (taken,) = library.buffer.outputs, library.buffer.inputs
    cells, ends = module["cells"], _ends(module, library)
    untouched = set(module["ports"][clock]["bits"]) if clock in module["ports"] else set()
    names = (f"fanout{number}" for number in range(1 << 30))
    nets = iter(range(1 + max((bit for bit in _bits(module) if isinstance(bit, int)), default=1), 1 << 40))
    before = len(cells)
    for bit, (driver, readers) in ends.items():
        if bit in untouched or isinstance(bit, str):
            continue
        path = driver.rpartition(".")[0]
        while len(readers) > MOST_READERS:
            above = []
            for first in range(0, len(readers), MOST_READERS):
                name, net = f"{path}.{next(names)}".lstrip("."), next(nets)
                for instance, port, place in readers[first : first + MOST_READERS]:
                    cells[instance]["connections"][port][place] = net
                cells[name] = {
                    "hide_name": 0,
                    "type": library.buffer.name,
                    "parameters": {},
                    "attributes": {},
                    "connections": {taken: [bit], given: [net]},
                }
                above.append((name, taken, 0))
            readers = above
    return len(cells) - before


def _bits(module: dict[str, Any]) -> Iterator[Bit]:
    for cell in module["cells"].values():
        for bits in cell["connections"].values():
            yield from bits
    for port in module["ports"].values():
        yield from port["bits"]


def _ends(module: dict[str, Any], library: Library) -> dict[Bit, tuple[str, list[Reader]]]:
    """Return who drives each net, "" for a port, and its readers, those of a module side by side."""
    drivers: dict[Bit, str] = {}
    readers: dict[Bit, list[Reader]] = {}
    for name in sorted(module["cells"]):
        cell = module["cells"][name]
        kind = library.cells.get(cell["type"])
        outputs = (READ_DATA,) if kind is None else kind.outputs
        for port, bits in cell["connections"].items():
            for place, bit in enumerate(bits):
                if port in outputs:
                    drivers[bit] = name
                else:
                    readers.setdefault(bit, []).append((name, port, place))
    return {bit: (drivers.get(bit, ""), found) for bit, found in readers.items()}
