"""A memory that the host loads and the hardware reads, and the registers that values wait in."""

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data
from amaranth.lib.memory import Memory, ReadPort
from amaranth.utils import exact_log2

from rtl.layout import Target


def loadable(
    m: Module, shape: data.Layout, depth: int, target: Target, load: Value, loaded: data.View, style: str = "block"
) -> ReadPort:
    """Add the memory `target` to `m`; it takes a loaded word while `load`. Return its read port (one cycle)."""
    (port,) = loadable_banks(m, shape, depth, 1, target, load, loaded, style)
    return port


def loadable_banks(
    m: Module,
    shape: data.Layout,
    depth: int,
    banks: int,
    target: Target,
    load: Value,
    loaded: data.View,
    style: str = "block",
) -> list[ReadPort]:
    """Add the memory `target` as `banks` (a power of two) of which word a lies in bank a mod banks; return all ports.

    It lies in block RAM unless `style` says otherwise, even where a tool would build it from logic.
    """
    low, ports = exact_log2(banks), []
    for index in range(banks):
        memory = Memory(shape=shape, depth=depth // banks, init=[], attrs={"ram_style": style})
        m.submodules[f"{target.name.lower()}{index}" if low else target.name.lower()] = memory
        write = memory.write_port()
        m.d.comb += [write.addr.eq(loaded.address >> low), write.data.as_value().eq(loaded.word)]
        m.d.comb += write.en.eq(load & (loaded.target == target) & (loaded.address[:low] == index))
        ports.append(memory.read_port())
    return ports


def delayed(m: Module, value: Any, cycles: int, *, resets: bool = False) -> Any:
    """Return `value` as it was `cycles` ago.

    What says that something is there `resets`; data need not, and a reset that reaches all registers is a long wire.
    """
    for _ in range(cycles):
        following = Signal(value.shape(), reset_less=not resets)
        m.d.sync += following.eq(value)
        value = following
    return value
