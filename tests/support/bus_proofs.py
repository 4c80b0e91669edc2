"""Bounded proofs of the handshakes of a wrapper, whatever the array does, its neighbours and its receiver.

In the place of the array is a module whose outputs the solver chooses in every cycle, and so are all inputs of the
wrapper, but for soft resets, which end what streams carry.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amaranth.hdl import (
    Assert,
    Assume,
    Cat,
    ClockDomain,
    ClockSignal,
    Cover,
    Elaboratable,
    Instance,
    Module,
    Shape,
    Signal,
    Value,
)
from amaranth.lib import wiring

from rtl.bus.wrapper import BUSES, Wrapper
from rtl.core.accelerator import Accelerator
from rtl.emit import TOP
from rtl.verilog import convert
from support.rtl_proofs import ARRAY, Proof, solve

DEPTH = 20  # cycles
RESETS = 1 << 1  # the bit of CONTROL


@dataclass(frozen=True)
class Channel:
    """What is offered until it is taken; `asked` are handshakes of which each offer needs one before it."""

    valid: str
    ready: str
    payload: Sequence[str]
    asked: Sequence[tuple[str, str]] = ()


RESULTS = Channel("m_axis_tvalid", "m_axis_tready", ("m_axis_tdata", "m_axis_tlast"))
WRITES = (("s_axi_awvalid", "s_axi_awready"), ("s_axi_wvalid", "s_axi_wready"))
READS = (("s_axi_arvalid", "s_axi_arready"),)
CHANNELS = {
    "axi": (
        RESULTS,
        Channel("s_axi_bvalid", "s_axi_bready", ("s_axi_bresp",), WRITES),
        Channel("s_axi_rvalid", "s_axi_rready", ("s_axi_rdata", "s_axi_rresp"), READS),
    ),
    "wishbone": (RESULTS,),
}


class Handshakes(Elaboratable):
    """A wrapper and what must hold at its ports.

    Parameters
    ----------
    bus : str
    mode : str
        "prove" asserts every property; "cover" covers the violation of each by a fault between wrapper and properties.
    """

    depth = DEPTH

    def __init__(self, bus: str, mode: str) -> None:
        self.bus, self.mode = bus, mode
        self.core = Accelerator(ARRAY, ())
        self.wrapper = Wrapper(self.core, TOP, BUSES[bus], 32)
        self.domain = ClockDomain("sync", reset_less=True)
        kind = BUSES[bus]
        members = {
            "__".join(map(str, path)): member for path, member, _ in self.wrapper.signature.flatten(self.wrapper)
        }
        self.wires = {
            name: Signal(Shape.cast(one.shape), name=name) for name, one in members.items() if name != kind.clock
        }
        self.flows = {name: one.flow for name, one in members.items()}
        self.fault, self.seen = Signal(4), dict[str, Value]()
        free = [wire for name, wire in self.wires.items() if self.flows[name] == wiring.In and name != kind.reset]
        self.ports = [self.domain.clk, self.fault, *free]

    def elaborate(self, platform: object) -> Module:
        """Connect the wrapper, reset it once, and say what must hold."""
        m = Module()
        m.domains += self.domain
        kind, begun = BUSES[self.bus], Signal()
        m.d.sync += begun.eq(1)
        m.d.comb += self.wires[kind.reset].eq(begun if kind.active == 0 else ~begun)
        ways = {name: "o" if flow == wiring.Out else "i" for name, flow in self.flows.items() if name != kind.clock}
        ports = {f"{way}_{name}": self.wires[name] for name, way in ways.items()}
        m.submodules.dut = Instance(f"{TOP}_{self.bus}", **{f"i_{kind.clock}": ClockSignal()}, **ports)
        m.d.comb += Assume(~self.wires["s_axi_wdata" if self.bus == "axi" else "dat_i"][1])
        properties = {name: ~begun | holds for name, holds in self._properties(m, begun).items()}
        if self.mode == "cover":
            m.d.comb += [Cover(~holds) for holds in properties.values()]
        else:
            m.d.comb += Assume(self.fault == 0)
            m.d.comb += [Assert(holds) for holds in properties.values()]
        return m

    def _properties(self, m: Module, begun: Value) -> dict[str, Value]:
        """Return what must hold in every cycle after the reset, by name."""
        wires, found, faults = self.wires, dict[str, Value](), iter(range(1, 1 << len(self.fault)))
        for channel in CHANNELS[self.bus]:
            waited, before = Signal(name=f"{channel.valid}_waited"), Signal(64, name=f"{channel.valid}_before")
            lost, changed, more = (self.fault == next(faults) for _ in range(3))
            valid = (wires[channel.valid] & ~(lost & waited)) | more
            payload = Cat(wires[name] for name in channel.payload) ^ (changed & waited)
            m.d.sync += [waited.eq(begun & valid & ~wires[channel.ready]), before.eq(payload)]
            found[f"{channel.valid} stays"] = ~waited | valid
            found[f"{channel.valid} holds"] = ~waited | (payload == before[: len(payload)])
            answered = Signal(5, name=f"{channel.valid}_count")
            m.d.sync += answered.eq(answered + (begun & valid & wires[channel.ready]))
            for asks, heard in channel.asked:
                count = Signal(5, name=f"{asks}_count")
                m.d.sync += count.eq(count + (begun & wires[asks] & wires[heard]))
                found[f"{channel.valid} answers {asks}"] = ~valid | (count > answered)
        if self.bus == "wishbone":
            dumb, asked = self.fault == 13, Signal()
            ack = (wires["ack_o"] & ~dumb) | (self.fault == 14)
            err = (wires["err_o"] & ~dumb) | (self.fault == 15)
            m.d.sync += asked.eq(begun & wires["cyc_i"] & wires["stb_i"] & ~ack & ~err)
            found["an answer has been asked for"] = ~(ack | err) | asked
            found["one answer"] = ~(ack & err)
            found["an answer comes"] = ~asked | ack | err
        return found


def array_of_any(core: Accelerator) -> bytes:
    """Return Verilog of a module with the array's ports, whose outputs are any in every cycle."""
    lines, names = [], ["clk", "rst"]
    declared = ["input clk, rst;"]
    for path, member, _ in core.signature.flatten(core):
        name, bits = "__".join(map(str, path)), Shape.cast(member.shape).width
        names.append(name)
        flow = "output" if member.flow == wiring.Out else "input"
        declared.append(f"{flow} [{bits - 1}:0] {name};")
        if flow == "output":
            lines.append(f"(* anyseq *) wire [{bits - 1}:0] any_{name}; assign {name} = any_{name};")
    return "\n".join([f"module {TOP}({', '.join(names)});", *declared, *lines, "endmodule", ""]).encode()


def prove(folder: Path, bus: str, mode: str, edit: tuple[str, str] | None = None) -> Proof:
    """Run yosys and z3 on the wrapper of a bus, whose text may be edited."""
    harness = Handshakes(bus, mode)
    text = convert(harness.wrapper, f"{TOP}_{bus}")
    if edit:
        assert text.count(edit[0]) == 1
        text = text.replace(*edit)
    return solve(folder, harness, {f"{TOP}_{bus}.v": text.encode(), f"{TOP}.v": array_of_any(harness.core)}, mode)
