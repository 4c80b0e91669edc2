"""A memory that the host loads and the hardware reads, and the registers that values wait in."""

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data
from amaranth.lib.memory import Memory, ReadPort

from rtl.layout import Target


def loadable(m: Module, shape: data.Layout, depth: int, target: Target, load: Value, loaded: data.View) -> ReadPort:
    """Add the memory `target` to `m`; it takes a loaded word while `load`. Return its read port (one cycle).

    It lies in block RAM, even where it is so shallow that a tool would build it from logic.
    """
    memory = Memory(shape=shape, depth=depth, init=[], attrs={"ram_style": "block"})
    m.submodules[target.name.lower()] = memory
    write = memory.write_port()
    m.d.comb += [write.addr.eq(loaded.address), write.data.as_value().eq(loaded.word)]
    m.d.comb += write.en.eq(load & (loaded.target == target))
    return memory.read_port()


def delayed(m: Module, value: Any, cycles: int, *, resets: bool = False) -> Any:
    """Return `value` as it was `cycles` ago.

    What says that something is there `resets`; data need not, and a reset that reaches all registers is a long wire.
    """
    for _ in range(cycles):
        following = Signal(value.shape(), reset_less=not resets)
        m.d.sync += following.eq(value)
        value = following
    return value
