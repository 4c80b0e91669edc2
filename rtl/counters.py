"""Counters of what every memory reads and writes, beside the accelerator: of simulations, and never part of a chip.

They count the enables of the memories themselves, as they are when the hardware has been elaborated, so that no part of
the design can say anything else than it does. A read or a write is one word of one bank in one cycle.

Layers overlap: while the rows of one drain, the first entries of the next are read, and its words have been read before
that. So that every access counts with its own layer, a sample is taken two cycles of a moving core after a layer's walk
begins, when the last word of the layer before has been written and nothing else of this one has been read; of entries
it has what had been read when the decoder turned to the layer, of words of layers what had been when the layer before
began. `unit` marks the samples in which the words of one more unit of streamed weights have been written.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from amaranth.hdl import Fragment, Module, Signal, Value
from amaranth.hdl._mem import MemoryInstance
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out
from numpy.typing import NDArray

from accel.array import DEPTHS, MacArray
from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat
from rtl.core.accelerator import Accelerator
from rtl.core.memory import delayed

SETTLED = 2  # cycles of a moving core from a layer's walk to its sample
WRITTEN = 2  # cycles from a word of a unit to the sample that has it
KINDS = ("reads", "writes")
LOADED = 4  # cycles from the last word that is loaded until it has been written
COUNTS = data.StructLayout({name: data.StructLayout(dict.fromkeys(KINDS, 32)) for name in DEPTHS})


class Counted(wiring.Component):
    """An accelerator and its counters.

    Ports
    -----
    all of an `Accelerator`
    counts : out, words that each memory has read and written since the last reset
    turn : out, a layer begins: `counts` are those of all layers before
    unit : out, another unit of streamed weights has been written
    """

    def __init__(self, array: MacArray, formats: Sequence[FixedFormat]) -> None:
        self.hardware = hardware = Accelerator(array, formats)
        self.array, self.formats = hardware.array, hardware.formats
        self.layout, self.result = hardware.layout, hardware.result
        counters = {"counts": Out(COUNTS), "turn": Out(1), "unit": Out(1)}
        super().__init__({**hardware.signature.members, **counters})

    def elaborate(self, platform: object) -> Module:
        """Put counters beside the hardware, which is elaborated first."""
        m = Module()
        hardware = self.hardware
        m.submodules.hardware = inside = Fragment.get(hardware, platform)
        for path, member, outside in self.signature.flatten(self):
            if path[0] in hardware.signature.members:
                own: Any = hardware
                for name in path:
                    own = getattr(own, name)
                m.d.comb += outside.eq(own) if member.flow == Out else own.eq(outside)
        totals = Signal(COUNTS)
        for name, kind, enables in _enables(inside):
            m.d.sync += totals[name][kind].eq(totals[name][kind] + reduce(add, enables))
        self._build_samples(m, totals)
        return m

    def _build_samples(self, m: Module, totals: data.View) -> None:
        """Tell when to sample, and give entries and words of layers to their own layer."""
        core, turns = self.hardware.core, Signal(SETTLED)
        entries, layers, earlier = Signal(32), Signal(32), Signal(32)
        with m.If(core.moves):
            m.d.sync += turns.eq(turns << 1 | core.sequencer.fresh)
            with m.If(core.sequencer.entries.prime):
                m.d.sync += entries.eq(totals.entries.reads)
            with m.If(core.sequencer.fresh):
                m.d.sync += [layers.eq(totals.layers.reads), earlier.eq(layers)]
        m.d.comb += [self.turn.eq(turns[-1] & core.moves), self.counts.eq(totals)]
        with m.If(self.turn):
            m.d.comb += [self.counts.entries.reads.eq(entries), self.counts.layers.reads.eq(earlier)]
        if core.streams:
            units = core.units
            ends = units.valid & units.ready & units.payload.last
            m.d.comb += self.unit.eq(delayed(m, ends, WRITTEN, resets=True))


def _enables(inside: Fragment) -> Iterator[tuple[str, str, list[Value]]]:
    """Yield each memory, whether it is read or written, and the enables of that of all of its banks."""
    found: dict[tuple[str, str], list[Value]] = {}
    for name, memory in _memories(inside):
        for kind, ports in zip(KINDS, (memory._read_ports, memory._write_ports), strict=True):
            found.setdefault((name.rstrip("0123456789"), kind), []).extend(port._en for port in ports)
    yield from ((*key, enables) for key, enables in found.items())


def _memories(fragment: Fragment, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the memories below, with what they are called."""
    if isinstance(fragment, MemoryInstance):
        yield name, fragment
    for part, called, *_ in fragment.subfragments:
        yield from _memories(part, called or name)


class Moment(Enum):
    """When a sample was taken: as a layer began, as a unit of weights had been written, as an image had ended."""

    TURN = "turn"
    UNIT = "unit"
    END = "end"


@dataclass(frozen=True)
class Sample:
    """What all counters said: of each memory of `DEPTHS` the words that were read, then those that were written."""

    moment: Moment
    counts: Sequence[int]


def counts_of(
    samples: Sequence[Sample], images: int, layers: int, owners: Sequence[int] = ()
) -> list[NDArray[np.int64]]:
    """Return what was read and written for each image, from samples that begin when the memories had been loaded.

    Parameters
    ----------
    samples : sequence of Sample
    images, layers : int
        Those that ran, and how many layers each image has.
    owners : sequence of int
        The layer of each unit of streamed weights of one image. Units come before their layer begins, so that their
        words count by their order.

    Returns
    -------
    list of int64 arrays (1 + layers, memories, 2)
        Of each image: while it is loaded, and in each layer.

    Raises
    ------
    EspalierError
        Layers and images did not begin and end as they must.
    """
    names = list(DEPTHS)
    words = np.array([sample.counts for sample in samples], np.int64).reshape(len(samples), len(names), len(KINDS))
    marks = [index for index, sample in enumerate(samples) if sample.moment is not Moment.UNIT]
    seen = [samples[index].moment for index in marks]
    if seen != [Moment.END, *([Moment.TURN] * layers + [Moment.END]) * images]:
        began, ended = seen.count(Moment.TURN), seen.count(Moment.END) - 1
        raise EspalierError(f"counters saw {began} layers and {ended} images, expected {layers} in each of {images}")
    spent = np.diff(words[marks], axis=0).reshape(images, 1 + layers, len(names), len(KINDS))
    weights = names.index("weights"), KINDS.index("writes")
    if owners:
        places = [marks[0], *(index for index, x in enumerate(samples) if x.moment is Moment.UNIT)]
        units = np.diff(words[places][:, *weights])
        spent[:, :, *weights] = 0
        for image, mine in enumerate(units[: images * len(owners)].reshape(images, -1)):
            np.add.at(spent[image, :, *weights], np.array(owners) + 1, mine)
    return list(spent)
