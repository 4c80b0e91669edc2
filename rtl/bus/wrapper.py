"""The accelerator behind a bus and two streams: what stands around the core, which stays as it is.

    bus -> registers -> staging register -> load port <- images <- AXI4-Stream
                     <- results, counters, events     -> results -> AXI4-Stream

The core is an instance of the module that a build has anyway, so that its own testbench proves it as before.
"""

from dataclasses import dataclass

from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    Instance,
    Module,
    Mux,
    ResetInserter,
    ResetSignal,
    Shape,
    Signal,
    Value,
)
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from accel.errors import EspalierError
from rtl.bus.axi_lite import AxiLite
from rtl.bus.bank import Bank
from rtl.bus.images import Images, beat_bits
from rtl.bus.registers import EVENTS
from rtl.bus.results import Results, result_bits
from rtl.bus.wishbone import Wishbone
from rtl.core.accelerator import Accelerator
from rtl.layout import Target

WIDTHS = (32, 64)
IN, OUT, UNITS = "s_axis_", "m_axis_", "s_axis_units_"


@dataclass(frozen=True, kw_only=True)
class Bus:
    """A bus that a system may have.

    Attributes
    ----------
    name : str
        What the command calls it.
    kind : type
        The component that speaks it.
    clock, reset : str
        What its standard calls them.
    active : int
        The level at which the reset resets.
    """

    name: str
    kind: type[AxiLite | Wishbone]
    clock: str
    reset: str
    active: int


BUSES = {
    bus.name: bus
    for bus in (
        Bus(name="axi", kind=AxiLite, clock="aclk", reset="aresetn", active=0),
        Bus(name="wishbone", kind=Wishbone, clock="clk_i", reset="rst_i", active=1),
    )
}


class Wrapper(wiring.Component):
    """An accelerator in a system.

    Parameters
    ----------
    core : Accelerator
        Whose ports the instance has.
    top : str
        The name of its module.
    bus : Bus
    bits : int
        Of the bus, 32 or 64.

    Ports
    -----
    clock and reset, and the bus : as its standard calls them
    irq : out, an event that is enabled has come
    s_axis_... : images; a code for each pixel lane in whole bytes, TLAST with the last beat of each image
    m_axis_... : results, one a beat, TLAST with the last of each image
    s_axis_units_... : streamed weights, of arrays that have them: the core's words in whole bytes

    Raises
    ------
    EspalierError
        A result has more bits than the bus.
    """

    def __init__(self, core: Accelerator, top: str, bus: Bus, bits: int) -> None:
        self.core, self.top, self.bus, self.bits = core, top, bus, bits
        array = core.array
        width = result_bits(array.accumulator_bits)
        if width > bits:
            bits_of = array.accumulator_bits
            raise EspalierError(
                f"results have {bits_of} bits, a bus of {bits} bits reads fewer: --bus-bits {WIDTHS[-1]}"
            )
        self.adapter, self.bank = bus.kind(bits), Bank(bits)
        self.images, self.results = Images(array), Results(core.result, width)
        ports = {bus.clock: In(1), bus.reset: In(1), "irq": Out(1)}
        ports |= {name: member for name, member in self.adapter.signature.members.items() if name != "access"}
        ports |= _stream(IN, In, Out, beat_bits(array)) | _stream(OUT, Out, In, width)
        if array.stream_words:
            self.unit_bits = Shape.cast(core.layout.unit).width - 1
            ports |= _stream(UNITS, In, Out, -(-self.unit_bits // 8) * 8)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        """Put everything around the core."""
        m = Module()
        reset = getattr(self, self.bus.reset)
        m.domains.sync = ClockDomain()
        m.d.comb += [
            ClockSignal().eq(getattr(self, self.bus.clock)),
            ResetSignal().eq(reset if self.bus.active else ~reset),
        ]
        m.submodules.bus, m.submodules.registers = self.adapter, self.bank
        bank, forget = self.bank, Signal()
        wiring.connect(m, self.adapter.access, bank.access)
        for name in self.adapter.signature.members:
            if name != "access":
                mine, its = getattr(self, name), getattr(self.adapter, name)
                m.d.comb += mine.eq(its) if self.signature.members[name].flow == Out else its.eq(mine)
        m.submodules.images = ResetInserter(forget)(self.images)
        m.submodules.results = ResetInserter(bank.control_reset)(self.results)
        ports = {"__".join(map(str, path)): member for path, member, _ in self.core.signature.flatten(self.core)}
        port = {name: Signal(Shape.cast(member.shape), name=f"core_{name}") for name, member in ports.items()}
        m.submodules.core = Instance(
            self.top,
            i_clk=ClockSignal(),
            i_rst=ResetSignal() | bank.control_reset,
            **{f"{'o' if member.flow == Out else 'i'}_{name}": port[name] for name, member in ports.items()},
        )
        commit = self._build_load(m, port)
        m.d.comb += forget.eq(bank.control_reset | (commit & (bank.load_address_target == Target.LAYERS)))
        self._build_streams(m, port)
        self._build_control(m, port, commit, forget)
        return m

    def _build_load(self, m: Module, port: dict[str, Signal]) -> Value:
        """Gather a word in the staging register; return whether it goes to a memory, or is a beat of an image."""
        bank, images, layout = self.bank, self.images, self.core.layout.load
        word_bits = max(layout["word"].width, beat_bits(self.core.array))
        pieces = -(-word_bits // self.bits)
        staged, piece = Signal(pieces * self.bits), Signal(range(pieces + 1))
        whole, image, bad, commit = Signal(pieces * self.bits), Signal(), Signal(), Signal()
        pieces_of = [staged[at * self.bits : (at + 1) * self.bits] for at in range(pieces)]
        m.d.comb += [
            whole.eq(Cat(Mux(piece == at, bank.written, before) for at, before in enumerate(pieces_of))),
            image.eq(bank.load_address_target == Target.SIGNALS),
            bad.eq(port["busy"] | (piece == pieces) | (bank.load_commit_now & image & ~images.room)),
            commit.eq(bank.load_commit_now & ~bad),
            bank.load_address_word_counts.eq(commit),
            bank.refuse.eq(
                ((bank.load_data_now | bank.load_commit_now) & bad) | (bank.result_now & ~self.results.there)
            ),
            images.word.eq(commit & image),
            images.data.eq(whole),
        ]
        with m.If(bank.load_commit_now):
            m.d.sync += [piece.eq(0), staged.eq(0)]
        with m.Elif(bank.load_data_now & ~bad):
            m.d.sync += [piece.eq(piece + 1), staged.eq(whole)]
        with m.If(bank.control_reset):
            m.d.sync += piece.eq(0)
        load = Signal(layout)
        m.d.comb += [
            port["load__payload"].eq(load),
            port["load__valid"].eq(commit | images.offers),
            images.goes.eq(port["load__ready"]),
            load.target.eq(Target.SIGNALS),
            load.address.eq(images.address),
            load.word.eq(images.codes),
        ]
        with m.If(commit & ~image):
            m.d.comb += [load.target.eq(bank.load_address_target), load.address.eq(bank.load_address_word)]
            m.d.comb += [load.word.eq(whole), images.goes.eq(0)]
        return commit

    def _build_streams(self, m: Module, port: dict[str, Signal]) -> None:
        """Connect the streams."""
        images, results = self.images, self.results
        m.d.comb += [
            images.tvalid.eq(self.s_axis_tvalid),
            images.tdata.eq(self.s_axis_tdata),
            images.tlast.eq(self.s_axis_tlast),
            self.s_axis_tready.eq(images.tready),
            self.m_axis_tvalid.eq(results.tvalid),
            self.m_axis_tdata.eq(results.tdata),
            self.m_axis_tlast.eq(results.tlast),
            results.tready.eq(self.m_axis_tready),
            results.row_valid.eq(port["out__valid"]),
            results.row.as_value().eq(port["out__payload"]),
            port["out__ready"].eq(results.row_ready),
        ]
        if self.core.array.stream_words:
            words = Cat(self.s_axis_units_tdata[: self.unit_bits], self.s_axis_units_tlast)
            m.d.comb += [
                port["units__valid"].eq(self.s_axis_units_tvalid),
                port["units__payload"].eq(words),
                self.s_axis_units_tready.eq(port["units__ready"]),
            ]

    def _build_control(self, m: Module, port: dict[str, Signal], commit: Value, forget: Value) -> None:
        """Start images, count them, and tell what has happened."""
        bank, images, results = self.bank, self.images, self.results
        armed, ran, start, busy = Signal(), Signal(), Signal(), port["busy"]
        ended = ran & ~busy
        m.d.comb += [
            start.eq((armed | bank.control_auto) & (images.waiting != 0) & ~busy & ~commit),
            port["start"].eq(start),
            images.start.eq(start),
            images.ended.eq(ended),
        ]
        m.d.sync += [ran.eq(busy), armed.eq((armed & ~start) | bank.control_start)]
        with m.If(forget):
            m.d.sync += [armed.eq(0), ran.eq(0)]
        with m.If(ended):
            m.d.sync += [bank.cycles_value.eq(port["cycles"]), bank.stalls_value.eq(port["stalls"])]
        with m.If(bank.control_reset):
            m.d.sync += bank.images_value.eq(0)
        with m.Elif(results.done):
            m.d.sync += bank.images_value.eq(bank.images_value + 1)
        error = images.early | images.late | bank.refuse
        m.d.comb += [
            results.takes.eq(bank.control_take),
            results.take.eq(bank.result_now & results.there),
            bank.result_value.eq(results.value.as_signed()),
            bank.status_busy.eq(busy),
            bank.status_armed.eq(armed),
            bank.status_result.eq(results.there),
            bank.status_room.eq(images.room),
            bank.status_waiting.eq(images.waiting),
            bank.status_early.eq(images.early),
            bank.status_late.eq(images.late),
            bank.status_refused.eq(bank.refuse),
            bank.interrupt_status_result.eq(results.first),
            bank.interrupt_status_done.eq(results.done),
            bank.interrupt_status_error.eq(error),
            images.beats.eq(bank.image_beats_value),
            images.place0.eq(bank.place0_value),
            images.place1.eq(bank.place1_value),
        ]
        raised = [
            getattr(bank, f"interrupt_enable_{name}") & getattr(bank, f"interrupt_status_{name}_held")
            for name in map(str.lower, EVENTS)
        ]
        m.d.comb += self.irq.eq(Cat(raised).any())


def _stream(prefix: str, forward: type, backward: type, bits: int) -> dict[str, wiring.Member]:
    members = {"tvalid": forward(1), "tready": backward(1), "tdata": forward(bits), "tlast": forward(1)}
    return {f"{prefix}{name}": member for name, member in members.items()}
