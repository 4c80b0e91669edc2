"""A memory that the host loads and the hardware reads."""

from amaranth.hdl import Module, Value
from amaranth.lib import data
from amaranth.lib.memory import Memory, ReadPort


def loadable(
    m: Module, name: str, shape: data.Layout, depth: int, enable: Value, address: Value, word: Value
) -> ReadPort:
    """Add a memory to `m` that takes `word` at `address` while `enable`; return its read port (one cycle)."""
    m.submodules[name] = memory = Memory(shape=shape, depth=depth, init=[])
    write = memory.write_port()
    m.d.comb += [write.addr.eq(address), write.data.as_value().eq(word), write.en.eq(enable)]
    return memory.read_port()
