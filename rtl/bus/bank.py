"""The registers in hardware, made of the map: what a bus reads and writes, what the accelerator gives and gets."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rtl.bus.registers import ADDRESS_BITS, CLEAR, COUNT, DATA, PULSE, READ, REGISTERS, TAKE, WRITE, Field, fields

GIVEN = (READ, CLEAR, TAKE)  # what the hardware says; the rest the bus does


class Access(wiring.Signature):
    """One read or write of a register, in the cycle in which `read` or `write` is high; `answer`, `error` come in it.

    Members
    -------
    place : which register, counted from the first
    read, write : never both
    data, bytes : what is written, and which of its bytes are
    answer : what is read
    error : there is no such register, or what it does cannot be done now
    """

    def __init__(self, bits: int) -> None:
        super().__init__(
            {
                "place": Out(ADDRESS_BITS),
                "read": Out(1),
                "write": Out(1),
                "data": Out(bits),
                "bytes": Out(bits // 8),
                "answer": In(bits),
                "error": In(1),
            }
        )


class Bank(wiring.Component):
    """All registers.

    Parameters
    ----------
    bits : int
        Of the bus, and so of the registers that are data; the others lie in the lowest 32.

    Ports
    -----
    access : in, from the bus
    written : out, the bits that are written and not left out
    refuse : in, what is accessed cannot be done now
    of each field, called `register_field`: what the hardware gives (`READ`, `CLEAR`: sets it, `TAKE`: what is read), or
    gets (`WRITE`, `COUNT`: what it is, `PULSE`: in this cycle)
    register_field_held : out, of `CLEAR`, what it is; register_field_counts : in, of `COUNT`, one is added
    register_now : out, of `DATA` and `TAKE`, it is accessed in this cycle
    """

    def __init__(self, bits: int) -> None:
        self.bits = bits
        ports = {}
        for _, register, field in fields():
            flow = In if field.access in GIVEN else Out
            if field.access is not DATA:
                ports[register.port(field)] = flow(field.bits or bits, init=field.reset)
            if field.access is CLEAR:
                ports[f"{register.port(field)}_held"] = Out(field.bits)
            if field.access is COUNT:
                ports[f"{register.port(field)}_counts"] = In(1)
            if field.access in (DATA, TAKE):
                ports[f"{register.name}_now".lower()] = Out(1)
        super().__init__({"access": In(Access(bits)), "written": Out(bits), "refuse": In(1), **ports})

    def elaborate(self, platform: object) -> Module:
        """Choose the register, then do to each field what its access says."""
        m = Module()
        access, mask = self.access, Cat(byte.replicate(8) for byte in self.access.bytes)
        m.d.comb += [self.written.eq(access.data & mask), access.error.eq(1)]
        with m.Switch(access.place):
            for place in range(len(REGISTERS)):
                with m.Case(place):
                    m.d.comb += access.error.eq(self.refuse)
        chosen: dict[int, Signal] = {}
        for place, register, field in fields():
            if place not in chosen:
                chosen[place] = Signal(name=f"{register.name}_chosen".lower())
                m.d.comb += chosen[place].eq(access.place == place)
            now = Signal(name=f"{register.port(field)}_access")
            m.d.comb += now.eq(chosen[place] & (access.read if field.access is TAKE else access.write))
            value = self._build(m, field, register.port(field), register.name.lower(), now, mask)
            with m.If(chosen[place]):
                m.d.comb += access.answer[field.lowest : field.lowest + (field.bits or self.bits)].eq(value)
        return m

    def _build(self, m: Module, field: Field, port: str, register: str, now: Value, mask: Value) -> Value:
        """Connect one field; return what is read of it."""
        end = field.lowest + field.bits
        written, kept = self.written[field.lowest : end], ~mask[field.lowest : end]
        if field.access in (DATA, TAKE):
            m.d.comb += getattr(self, f"{register}_now").eq(now)
        if field.access is DATA:
            return Value.cast(0)
        mine = getattr(self, port)
        if field.access is PULSE:
            m.d.comb += mine.eq(Mux(now, written, 0))
            return Value.cast(0)
        if field.access is CLEAR:
            held = getattr(self, f"{port}_held")
            m.d.sync += held.eq(held & ~Mux(now, written, 0) | mine)
            return held
        if field.access is COUNT:
            m.d.sync += mine.eq(mine + getattr(self, f"{port}_counts"))
        if field.access in (WRITE, COUNT):
            with m.If(now):
                m.d.sync += mine.eq(mine & kept | written)
        return mine
