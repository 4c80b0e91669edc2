"""Verilog, memory contents, expected outputs and self-checking testbenches for Programs on one array."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import resources
from itertools import cycle
from string import Template

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import wiring
from numpy.typing import NDArray

from accel import archive
from accel.array import MacArray
from accel.fixedpoint import FixedFormat
from accel.places import beats_of
from accel.program import KIND, Program
from rtl.assemble import assemble, signal_formats
from rtl.core.accelerator import Accelerator
from rtl.counters import COUNTS, LOADED, Counted
from rtl.fusesoc import CORE, core_file
from rtl.image import Image
from rtl.layout import Layout, Target, fields_of, packer
from rtl.simulate import Words, load_words, output_rows, signal_words
from rtl.verilog import convert

TOP = "espalier"
COCOTB = {  # what a build calls our files
    "test_espalier.py": "test_espalier.cocotb",
    "espalier_bench.py": "espalier_bench.cocotb",
    "Makefile": "cocotb.mk",
}
WAIVERS = "espalier.vlt"


@dataclass(frozen=True, eq=False)
class Job:
    """A Program, images, and what must come out.

    Parameters
    ----------
    program : Program
    codes : int array (images, maps, height, width)
        Input codes.
    outputs : int array (images, ...)
        Output codes.
    cycles : int
        What each image must take, without stalls.
    interval : int
        From one start to the next, without stalls, if images come as fast as they are taken.
    """

    program: Program
    codes: NDArray[np.int64]
    outputs: NDArray[np.int64]
    cycles: int
    interval: int


def emit(
    jobs: Sequence[Job],
    array: MacArray,
    room: Mapping[str, int] | None = None,
    counted: bool = False,
    apart: bool = False,
) -> dict[str, bytes]:
    """Return the files of a build, by name: hardware that runs every job, and the testbench that checks them all.

    Parameters
    ----------
    jobs : sequence of Job
    array : MacArray
    room : mapping, optional
        ``loads``, ``signals``, ``beats``: words that the testbench has room for, if more than these jobs need. What was
        compiled with it runs the ``.hex`` files of as many other jobs too, if their hardware is the same.
    counted : bool
        The hardware counts accesses to its memories (`rtl.counters`), and the testbench tells them; each image is then
        loaded when the one before has ended.
    apart : bool
        Each image is loaded when the one before has ended, without counters too.

    Returns
    -------
    dict
        ``espalier.v``, ``testbench.v``, ``jobs.hex``, ``load.hex``, ``signals.hex``, ``expected.hex`` and
        ``manifest.json``; ``espalier.vlt``, what lint of them may say; ``test_espalier.py`` and ``Makefile``, the same
        comparison in cocotb by the parts in ``espalier_bench.py``; ``espalier.core``, all of it for FuseSoC.
    """
    formats = formats_of(job.program for job in jobs)
    images = [assemble(job.program, array, formats) for job in jobs]
    dut, source = hardware(array, tuple(formats), counted)
    loads = [load_words(image, dut.layout) for image in images]
    signals = [word for job, image in zip(jobs, images, strict=True) for word in _signals(job, image, array)]
    units = [_units(image, dut.layout) for image in images]
    beats = [[output_beats(job.program, dut, output) for output in job.outputs] for job in jobs]
    table = [
        (len(load), len(job.codes), beats_of(job.program, array), len(beat[0]), job.cycles, job.interval, len(unit))
        for job, load, beat, unit in zip(jobs, loads, beats, units, strict=True)
    ]
    every_unit = [word for unit in units for word in unit]
    every_load, every_beat = [word for load in loads for word in load], [x for job in beats for one in job for x in one]
    load_bits, out_bits = Shape.cast(dut.layout.load).width, Shape.cast(dut.result).width
    sizes = {"jobs": len(jobs), "loads": len(every_load), "signals": len(signals), "beats": len(every_beat)}
    sizes = {name: max(size, (room or {}).get(name, 0)) for name, size in sizes.items()}
    sizes |= {"load_bits": load_bits, "out_bits": out_bits, "places": 1 if counted or apart else len(images[0].places)}
    sizes |= {"counted": int(counted or apart), "count_bits": COUNTS.size, "loaded": LOADED}
    core = "dut.hardware.core" if counted else "dut.core"
    ours = resources.files("rtl")
    bench = Template((ours / "testbench.v").read_text()).substitute(
        sizes, core=core, **_ports(dut, len(every_unit), counted)
    )
    files = {
        f"{TOP}.v": source,
        "testbench.v": bench.encode(),
        "jobs.hex": _hex([number for row in table for number in row], 32),
        "load.hex": _hex([_payload(dut, *word) for word in every_load], load_bits),
        "signals.hex": _hex([_payload(dut, *word) for word in signals], load_bits),
        "expected.hex": _hex(every_beat, 2 * out_bits),
        **({"units.hex": _hex(every_unit, Shape.cast(dut.layout.unit).width)} if every_unit else {}),
        "manifest.json": (json.dumps(manifest(jobs, dut, images), indent=1) + "\n").encode(),
        **{name: (ours / file).read_bytes() for name, file in {WAIVERS: WAIVERS, **COCOTB}.items()},
    }
    return files | {CORE: core_file(files, TOP).encode()}


def formats_of(programs: Iterable[Program]) -> list[FixedFormat]:
    """Return the output formats that hardware has which runs all of the Programs."""
    return list(dict.fromkeys(form for program in programs for form in signal_formats(program)))


def _units(image: Image, layout: Layout) -> list[int]:
    """Return the words of streamed weights of one image, each with whether it ends its unit."""
    pack = packer(layout.unit)
    return [
        pack({"word": layout.of_weights(word), "last": place == len(unit)})
        for unit in image.units
        for place, word in enumerate(unit, 1)
    ]


def _ports(dut: Accelerator | Counted, words: int, counted: bool) -> dict[str, int | str]:
    """Return what the testbench knows of the stream of weights, which an array may lack, and of counters."""
    names = ("valid", "ready", "payload") if dut.array.stream_words else ()
    ports = [f"units__{name}(units_{name})" for name in names]
    ports += [f"{name}({name})" for name in ("counts", "turn", "unit") if counted]
    more = "".join(f"\n      .{port}," for port in ports)
    lacked = ([] if names else ["units_ready"]) + ([] if counted else ["counts", "turn", "unit"])
    lacks = "".join(f"  assign {wire} = 0;\n" for wire in lacked)
    return {"units": words, "unit_bits": Shape.cast(dut.layout.unit).width, "more_ports": more, "lacks": lacks}


def _signals(job: Job, image: Image, array: MacArray) -> Words:
    """Return the beats of all images of a job, which lie in the places for images in turn."""
    images = zip(job.program.check_codes(job.codes), cycle(image.places))
    return [beat for codes, place in images for beat in signal_words(codes, array, place)]


@lru_cache(maxsize=2)  # takes seconds, and many Programs share it
def hardware(
    array: MacArray, formats: tuple[FixedFormat, ...], counted: bool = False
) -> tuple[Accelerator | Counted, bytes]:
    """Return the accelerator, with counters beside it if it is `counted`, and its Verilog."""
    dut = (Counted if counted else Accelerator)(array, formats)
    return dut, convert(dut, TOP).encode()


def output_beats(program: Program, dut: Accelerator | Counted, output: NDArray[np.int64]) -> list[int]:
    """Return what the output stream carries for one image: for each row its payload, above it the bits that count.

    Lanes beyond a row's pixels carry whatever the array computed there; their bits do not count.
    """
    bits, pack = Shape.cast(dut.result).width, packer(dut.result)
    rows = output_rows(program, dut.array)
    beats = []
    for index, places in enumerate(rows):
        words = {lane: int(word) for lane, word in enumerate(output.reshape(-1)[places])}
        fields = {"row": words, "lanes": len(words), "last": int(index == len(rows) - 1)}
        counted = {"row": dict.fromkeys(words, -1), "lanes": -1, "last": 1}
        beats.append(pack(fields) | pack(counted) << bits)
    return beats


def manifest(jobs: Sequence[Job], dut: Accelerator | Counted, images: Sequence[Image]) -> dict[str, object]:
    """Return what was built: array, ports, fields of all words, and of each job its Program's hash and memory use.

    Of each memory the words that it is loaded with, as they lie in the lowest bits of a payload's `word`.
    """
    ports = {"__".join(map(str, path)): _port(member) for path, member, _ in dut.signature.flatten(dut)}
    units = {"units": fields_of(dut.layout.unit)} if dut.array.stream_words else {}
    memories = ("weights", "entries", "taps", "constants", "layers", "tables")
    return {
        "array": asdict(dut.array),
        "built_bits": {memory.name: memory.bits for memory in dut.array.memories},
        "formats": [str(form) for form in dut.formats],
        "ports": ports,
        "payloads": {"load": fields_of(dut.layout.load), **units, "out": fields_of(dut.result)},
        "words": {
            name: {"target": Target[name.upper()], "bits": Shape.cast(shape).width, "fields": fields_of(shape)}
            for name, shape in dut.layout.loaded.items()
        },
        "jobs": [
            {
                "program": job.program.name,
                "pattern": job.program.pattern,
                "sha256": hashlib.sha256(archive.dump(KIND, job.program)).hexdigest(),
                "images": len(job.codes),
                "cycles": job.cycles,
                "interval": job.interval,
                "places": list(image.places),
                "used": {name: len(getattr(image, name)) for name in memories},
            }
            for job, image in zip(jobs, images, strict=True)
        ],
    }


def _port(member: wiring.Member) -> dict[str, object]:
    direction = "out" if member.flow == wiring.Out else "in"
    return {"direction": direction, "bits": Shape.cast(member.shape).width}


def _payload(dut: Accelerator | Counted, target: int, address: int, word: int) -> int:
    layout = dut.layout.load
    return target | address << layout["address"].offset | word << layout["word"].offset


def _hex(words: list[int], bits: int) -> bytes:
    digits = -(-bits // 4)
    return "".join(f"{word:0{digits}x}\n" for word in words).encode()
